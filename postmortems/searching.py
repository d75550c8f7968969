"""Which postmortems somebody looks for: words and filters, of those they may see, the best first.

A word is looked for everywhere a postmortem has words: title, summary, sections, factors, action items. One word may
stand in the title and the next in a section.
"""

import dataclasses
import datetime as dt
import functools
import operator
import re
import uuid

from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.db.models import Exists, FloatField, Max, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils.html import conditional_escape
from django.utils.safestring import mark_safe

from accounts.models import Team, User
from core.errors import DomainError
from core.zones import zone_of
from incidents.models import Severity
from incidents.searching import LONGEST_SEARCH, MOST_WORDS, TERM, TooSlow, time_limit
from notifications.message import storable
from postmortems import states
from postmortems.models import SECTION_WORDS, WORDS, ActionItem, Factor, Postmortem, Section

MOST_VALUES = 50  # of one filter
NUMBER = re.compile(r"(?:pm-|#)?([0-9]{1,18})", re.IGNORECASE)  # so many digits fit a bigint
FACTOR_WORDS = SearchVector("cause", "text", config="simple")
ITEM_WORDS = SearchVector("text", config="simple")
MOST_RANKED = 1000  # matches: each of them is read for it
HEAD_WEIGHT, PART_WEIGHT = 4.0, 1.0  # a word in the title says more than one among many
AROUND, MOST_EXCERPTS = 80, 3  # characters to both sides of a word; of one postmortem
MARKUP = re.compile(r"[*_`#>|~]+|\[|\]\([^)]*\)")
FIRST_DAY, LAST_DAY = dt.date(1990, 1, 1), dt.date(2100, 1, 1)


# --- finding ------------------------------------------------------------------------------------------------------
def found(user, text="", filters=None):
    """What the person looks for: a `Found`. `filters` is `{name: text}` as an address says it."""
    return Found(user, text, filters or {})


class Found:
    """Postmortems that match, to be counted and cut into pages: the best first, without words the newest.

    A word that stands nearly everywhere says nothing about what is best: then the newest come first, too.

    Filters are status, severity, team (slugs) and owner (email, UUID or “me”), several with commas between, cause, and
    since and until, days of the beginning of the impact. Without a status the archive is left out; “all” takes it in.
    `problems` says in sentences what cannot be read; then nothing is found by mistake. Each postmortem carries its
    `excerpts`, `[(where, HTML)]`, safe to show and with the words in <mark>, and the first of them as `excerpt`.
    """

    def __init__(self, user, text, filters):
        self.problems, self._user, self._pattern = [], user, None
        self._zone = zone_of(user.time_zone)
        rows = user.visible(Postmortem.objects.order_by())
        try:
            words = words_of(text)
            rows = self._filtered(rows.filter(says(text)), filters)
        except DomainError as error:
            self.problems.append(error.message)
            words = []
        self._matching = rows.none() if self.problems else rows
        self._query = _either(words)
        if self._query:
            self._pattern = _pattern(words)

    @functools.cached_property
    def _count(self):
        return self._in_time(self._matching.count, 0)

    def count(self):
        """How many there are."""
        return self._count

    def __len__(self):
        return self._count

    def __getitem__(self, part):
        """The rows of a slice, with excerpts."""
        rows = self._in_time(lambda: list(self._ordered()[part]), [])
        for row in rows:
            row.excerpts = excerpts(row, self._pattern)
            row.excerpt = row.excerpts[0][1] if row.excerpts else ""
        return rows

    def _ordered(self):
        rows = self._matching.select_related("team", "owner").prefetch_related("sections", "factors", "items")
        if self._query and self._count <= MOST_RANKED:
            return rows.annotate(rank=_rank(self._query)).order_by("-rank", "-number")
        return rows.order_by("-number")

    def _in_time(self, ask, otherwise):
        try:
            with time_limit():
                return ask()
        except TooSlow as error:
            self.problems.append(error.message)
            return otherwise

    def _filtered(self, rows, filters):
        given = {name: storable(str(value)).strip() for name, value in filters.items()}
        statuses = self._chosen(given, "status", {**states.LABELS, "all": "All"})
        if not statuses:
            rows = rows.exclude(status=states.ARCHIVED)
        elif "all" not in statuses:
            rows = rows.filter(status__in=statuses)
        if severities := self._chosen(given, "severity", dict(Severity.choices)):
            rows = rows.filter(severity__in=severities)
        if slugs := _listed(given.get("team", "")):
            teams = self._user.visible(Team.objects.filter(slug__in=slugs))
            self._check("There is no team “{}” that you can see.", slugs, {team.slug for team in teams})
            rows = rows.filter(team__in=teams)
        if names := _listed(given.get("owner", "")):
            people = {name: _person(name, self._user) for name in names}
            known = {name for name, person in people.items() if person is not None}
            self._check("There is no person “{}”. Write a mail address, or “me”.", names, known)
            rows = rows.filter(owner__in=[people[name] for name in known])
        if cause := given.get("cause"):
            rows = rows.filter(caused_by(cause))
        return self._within(rows, given)

    def _within(self, rows, given):
        since, until = (self._day(given.get(name, "")) for name in ("since", "until"))
        if since:
            rows = rows.filter(impact_began_at__gte=since)
        if until:  # that day is part of it
            rows = rows.filter(impact_began_at__lt=until + dt.timedelta(days=1))
        if since and until and until < since:
            self.problems.append("The end of the time is before its beginning. Choose a later end.")
        return rows

    def _chosen(self, given, name, words):
        values = _listed(given.get(name, ""))
        self._check(f"“{{}}” is not a word for “{name}”. Use {', '.join(words)}.", values, words)
        return values

    def _check(self, sentence, values, known):
        self.problems += [sentence.format(one[:60]) for one in values if one not in known]

    def _day(self, text):
        """The beginning of a day in the zone of who asks."""
        if not text:
            return None
        try:
            day = dt.date.fromisoformat(text)
            if FIRST_DAY <= day < LAST_DAY:
                return dt.datetime.combine(day, dt.time(), self._zone)
        except ValueError:
            pass
        self.problems.append(f"“{text[:60]}” is not a day. Write it like 2026-06-01.")
        return None


def _listed(text):
    return list(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))[:MOST_VALUES]


def _person(name, user):
    if name == "me":
        return user
    try:
        wanted = {"uuid": uuid.UUID(name)}
    except ValueError:
        wanted = {"email__iexact": name}
    return User.objects.people().filter(**wanted).first()


def caused_by(cause):
    """The condition that a postmortem names this cause, however it is written."""
    named = Factor.objects.filter(postmortem=OuterRef("pk"), cause__iexact=" ".join(storable(cause).split()))
    return Exists(named)


# --- words --------------------------------------------------------------------------------------------------------
def says(text):
    """The condition that a postmortem says all words of a search, or has its number. Raises DomainError."""
    text = _checked(text)
    words, named = words_of(text), NUMBER.fullmatch(text)
    if text and not words and not named:
        raise DomainError("A search needs a letter or a digit. Write a word of the title, or a number.")
    condition = functools.reduce(operator.and_, map(_says, words), Q())
    return condition | Q(number=int(named[1])) if named else condition


def _checked(text):
    text = storable(text).strip()
    if len(text) > LONGEST_SEARCH:
        raise DomainError(f"A search has at most {LONGEST_SEARCH} characters. Shorten it.")
    return text.replace("“", '"').replace("”", '"').replace("„", '"')


@dataclasses.dataclass(frozen=True)
class _Word:
    """A word, or a phrase, that must be said, or with a minus must not."""

    text: str
    is_phrase: bool
    is_against: bool

    @property
    def query(self):
        if self.is_phrase:
            return SearchQuery(self.text, config="simple", search_type="phrase")
        return SearchQuery(f"'{self.text}':*", config="simple", search_type="raw")


def words_of(text):
    """The words of a search. Raises DomainError for too many."""
    terms = TERM.findall(_checked(text))
    if len(terms) > MOST_WORDS:
        raise DomainError(f"A search has at most {MOST_WORDS} words. Leave some out.")
    words = []
    for minus, phrase, word in terms:
        clean = re.sub(r"['\\]", " ", phrase or word).strip()
        if re.search(r"\w", clean):
            words.append(_Word(clean, bool(phrase), bool(minus)))
    return words


def _says(word):
    """The condition that a postmortem says a word anywhere, or nowhere for one with a minus."""
    query = word.query
    heads = Postmortem.objects.order_by().annotate(words=WORDS).filter(words=query).values("pk")
    places = (
        (Section.objects.filter(removed_at=None), SECTION_WORDS),
        (Factor.objects, FACTOR_WORDS),
        (ActionItem.objects, ITEM_WORDS),
    )
    condition = Q(pk__in=heads)
    for rows, vector in places:
        said = rows.order_by().annotate(words=vector).filter(words=query)
        condition |= Q(pk__in=said.values("postmortem"))
    return ~condition if word.is_against else condition


def _either(words):
    """The query for any of the words, by which matches are ranked; None without any."""
    wanted = [word.query for word in words if not word.is_against]
    return functools.reduce(operator.or_, wanted) if wanted else None


def _rank(query):
    """How well a postmortem fits: its head counts more than the best of its parts."""
    head = SearchRank(WORDS, query) * Value(HEAD_WEIGHT)
    parts = [
        _best(Section.objects.filter(removed_at=None), SECTION_WORDS, query),
        _best(Factor.objects, FACTOR_WORDS, query),
        _best(ActionItem.objects, ITEM_WORDS, query),
    ]
    return sum((part * Value(PART_WEIGHT) for part in parts), start=head)


def _best(rows, vector, query):
    ranked = rows.order_by().filter(postmortem=OuterRef("pk")).values("postmortem")
    best = ranked.annotate(best=Max(SearchRank(vector, query))).values("best")
    return Coalesce(Subquery(best, output_field=FloatField()), Value(0.0), output_field=FloatField())


# --- excerpts -----------------------------------------------------------------------------------------------------
def _pattern(words):
    """A pattern for the words that are looked for."""
    texts = [re.escape(word.text) for word in words if not word.is_against]
    return re.compile(rf"(?<!\w)(?:{'|'.join(sorted(texts, key=len, reverse=True))})\w{{0,40}}", re.IGNORECASE)


def excerpts(postmortem, pattern):
    """`((where, HTML), …)`: the places of a postmortem where the words stand, or what it begins with."""
    if pattern is not None:
        found = []
        for where, text in _texts(postmortem):
            if part := excerpt(text, pattern):
                found.append((where, part))
            if len(found) == MOST_EXCERPTS:
                break
        if found:
            return tuple(found)
    beginning = " ".join(MARKUP.sub(" ", postmortem.summary[: 6 * AROUND]).split())
    if not beginning:
        return ()
    cut = beginning[: 2 * AROUND]
    return (("Summary", conditional_escape(cut + ("…" if len(beginning) > len(cut) else ""))),)


def _texts(postmortem):
    yield "Summary", postmortem.summary
    for section in postmortem.sections.all():
        if section.removed_at is None:
            yield section.title, section.body
            yield "Section", section.title
    for factor in postmortem.factors.all():
        yield "Contributing factor", f"{factor.cause}. {factor.text}"
    for item in postmortem.items.all():
        yield "Action item", item.text


def excerpt(text, pattern):
    """The words around the first match, as HTML that is safe to show, matches in <mark>; "" without a match. Pure."""
    first = pattern.search(text)
    if first is None:
        return ""
    start, end = max(0, first.start() - AROUND), min(len(text), first.end() + AROUND)
    # No word is cut in two, unless it is longer than anybody reads.
    if start and (space := text.find(" ", start, first.start())) >= 0:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", first.end(), end)) >= 0:
        end = space
    part = " ".join(MARKUP.sub(" ", text[start:end]).split())
    pieces, at = [], 0
    for match in pattern.finditer(part):
        pieces += [conditional_escape(part[at : match.start()]), "<mark>", conditional_escape(match[0]), "</mark>"]
        at = match.end()
    pieces.append(conditional_escape(part[at:]))
    return mark_safe(("…" if start else "") + "".join(pieces) + ("…" if end < len(text) else ""))
