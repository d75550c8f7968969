"""Earlier incidents that were like this one, and how they ended: the same alerts first, then the same words.

Bounded whatever the history: of each dedup key and of the service only the newest rows are looked at, and of the words
only those that few incidents have. How many have a word is what PostgreSQL knows of the index of words.
"""

import dataclasses
import math

from django.contrib.postgres.search import SearchQuery
from django.db import connection

from accounts.permissions import visible
from alerts.models import Alert
from incidents.models import WORDS, Incident, TimelineEntry

KEYS = 20  # of the incident's alerts
ROWS_PER_KEY = 100
ROWS_OF_SERVICE = 200
RARE = 1000  # a word that more incidents have tells too little
CANDIDATES = 200
SMALL = 20_000  # incidents; so many are searched without knowing how rare a word is
ENOUGH = 0.3  # the share of the words, by their weight, that must be the same
SERVICE_BONUS = 0.25
NOTES, NOTES_READ = 2, 200


@dataclasses.dataclass
class Similar:
    """An earlier incident: why it is like this one, how long it took, and its last notes."""

    incident: Incident
    is_same_alert: bool
    took_seconds: float | None
    notes: list


def find(incident, reader, limit=5):
    """Up to `limit` earlier incidents that the reader may see, the likest first."""
    by_key = _of_same_alerts(incident)
    words = _words(incident.title)
    others = (_of_same_words(words) | _of_service(incident)) - set(by_key)
    rows = Incident.objects.filter(pk__in=[*by_key, *others], pk__lt=incident.pk).exclude(merged_into=incident)
    rows = visible(rows, reader).values_list("pk", "title", "service_id")
    scored = []
    titles = {pk: (title, service_id) for pk, title, service_id in rows}
    weights = {word: weight for word, (weight, _) in words.items()}
    whole = sum(weights.values()) or 1.0
    for pk, own in _words_of(titles).items():
        share = sum(weights.get(word, 0.0) for word in own) / whole
        is_same = pk in by_key
        if is_same or share >= ENOUGH:
            same_service = titles[pk][1] == incident.service_id
            scored.append((is_same, share + SERVICE_BONUS * same_service, pk))
    best = [(pk, is_same) for is_same, _, pk in sorted(scored, reverse=True)[:limit]]
    people = Incident.objects.select_related("service", "resolved_by", "acknowledged_by")
    found = people.in_bulk([pk for pk, _ in best])
    notes = _notes(found)
    return [
        Similar(found[pk], is_same, _seconds(found[pk]), notes.get(pk, []))
        for pk, is_same in best
        if pk in found  # one may be deleted at this moment, because it is old
    ]


def _seconds(incident):
    return (incident.resolved_at - incident.triggered_at).total_seconds() if incident.resolved_at else None


def _of_same_alerts(incident):
    """The numbers of incidents that had an alert of the same dedup key."""
    keys = set(Alert.objects.filter(incident=incident).values_list("scope", "dedup_key")[: KEYS * 10])
    if not keys:
        return set()
    scopes, names = zip(*sorted(keys)[:KEYS], strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            # A span of one key instead of the key: so the index is read from its end, where the newest are.
            "SELECT DISTINCT old.incident_id FROM unnest(%s::text[], %s::text[]) AS wanted(scope, key) "
            "CROSS JOIN LATERAL ("
            f"SELECT one.incident_id FROM {Alert._meta.db_table} AS one WHERE one.scope = wanted.scope "
            "AND one.dedup_key >= wanted.key AND one.dedup_key <= wanted.key "
            "ORDER BY one.dedup_key DESC LIMIT %s) AS old "
            "WHERE old.incident_id < %s",
            [list(scopes), list(names), ROWS_PER_KEY, incident.pk],
        )
        return {number for (number,) in cursor.fetchall()}


def _words(title):
    """`{word: (weight, incidents with it or None)}` of a title. A rare word weighs more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT word, known.share, total.rows FROM unnest(tsvector_to_array(to_tsvector('simple', %s))) AS word "
            "CROSS JOIN (SELECT reltuples AS rows FROM pg_class WHERE oid = %s::regclass) AS total "
            "LEFT JOIN (SELECT elem, share FROM pg_stats AS stats CROSS JOIN LATERAL "
            "unnest(stats.most_common_elems::text::text[], stats.most_common_elem_freqs) AS one(elem, share) "
            "WHERE stats.schemaname = current_schema() AND stats.tablename = 'incident_by_words') AS known "
            "ON known.elem = word",
            [title, Incident._meta.db_table],
        )
        rows = cursor.fetchall()
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stats WHERE schemaname = current_schema() "
            "AND tablename = 'incident_by_words' AND most_common_elems IS NOT NULL)"
        )
        (is_known,) = cursor.fetchone()
    found = {}
    for word, share, total in rows:
        total = max(total, 1)
        # A word that is not among the common ones is rare; where nothing is known, that only holds for few rows.
        unknown = 0 if is_known or total <= SMALL else None
        having = share * total if share is not None else unknown
        found[word] = math.log(2 + total / (1 + (having or 0))), having
    return found


def _of_same_words(words):
    """The numbers of the newest incidents with one of the rare words."""
    rare = sorted((word for word, (_, having) in words.items() if having is not None and having <= RARE), key=len)
    if not rare:
        return set()
    query = None
    for word in rare[-CANDIDATES:]:
        one = SearchQuery(word, config="simple", search_type="plain")
        query = one if query is None else query | one
    rows = Incident.objects.alias(words=WORDS).filter(words=query).order_by()
    return set(sorted(rows.values_list("pk", flat=True)[: RARE * 5], reverse=True)[:CANDIDATES])


def _of_service(incident):
    """The numbers of the service's newest incidents."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT number FROM {Incident._meta.db_table} WHERE service_id >= %s AND service_id <= %s "
            "ORDER BY service_id DESC LIMIT %s",
            [incident.service_id, incident.service_id, ROWS_OF_SERVICE],
        )
        return {number for (number,) in cursor.fetchall()}


def _words_of(titles):
    """`{number: words of its title}`, as PostgreSQL reads them."""
    if not titles:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, tsvector_to_array(to_tsvector('simple', title)) "
            "FROM unnest(%s::bigint[], %s::text[]) AS one(number, title)",
            [list(titles), [title for title, _ in titles.values()]],
        )
        return dict(cursor.fetchall())


def _notes(found):
    notes = {}
    rows = TimelineEntry.objects.filter(incident__in=list(found), kind="note").select_related("by").order_by()
    for entry in sorted(rows[:NOTES_READ], key=lambda one: one.pk):
        notes.setdefault(entry.incident_id, []).append(entry)
    return {number: entries[-NOTES:] for number, entries in notes.items()}
