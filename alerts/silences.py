"""Silences: what people do with them, what they would hold, and what becomes due.

A silence holds new alerts while `starts_at <= now < ends_at` and nobody ended it. An incident that is open already
goes on: snooze or acknowledge it. When a silence ends, by itself or by hand, what it held and still fires is looked at
at once, and pages.
"""

import collections
import dataclasses
import datetime as dt
import logging

from django.conf import settings
from django.db import transaction
from django.db.models import Case, CharField, Count, DateTimeField, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, Concat

from accounts.models import Membership, Role, User
from accounts.permissions import may, visible
from alerts import matching, quiet
from alerts.models import Alert, Silence
from core.errors import DomainError, IllegalMove
from notifications import alarms
from notifications.message import Kind, Message, storable
from notifications.outbox import Page, plan_many

logger = logging.getLogger(__name__)

LONGEST = dt.timedelta(days=366)
# How long ago a start may lie: a form is open for a while, and amtool writes the moment it was started.
BACK = dt.timedelta(days=1)
# A batch of events that was being decided when a silence was ended may still write what the silence holds.
SECOND_LOOK = dt.timedelta(seconds=30)
BATCH = 100

LOOK_BACK = dt.timedelta(days=7)
SAMPLE = 5000
SHOWN = 50

PENDING, ACTIVE, EXPIRED = "pending", "active", "expired"


def state(silence, now):
    """pending, active or expired."""
    if silence.expired_at or silence.ends_at <= now:
        return EXPIRED
    return PENDING if silence.starts_at > now else ACTIVE


def in_state(rows, wanted, now):
    """The silences of a queryset that are in a state."""
    over = Q(expired_at__isnull=False) | Q(ends_at__lte=now)
    if wanted == EXPIRED:
        return rows.filter(over)
    return rows.exclude(over).filter(**{"starts_at__gt" if wanted == PENDING else "starts_at__lte": now})


def soonest_end_first(rows, now):
    """What ends next comes first, and after it what has ended, the last first."""
    is_over = Q(expired_at__isnull=False) | Q(ends_at__lte=now)
    alive = Case(When(~is_over, then=F("ends_at")), default=Value(None), output_field=DateTimeField())
    return rows.order_by(alive.asc(nulls_last=True), "-ends_at", "-pk")


def with_holds(rows, by):
    """These silences, each with `holds`: how many firing alerts that the person may see it holds now."""
    name = Concat(Value(f"{quiet.SILENCE}:"), Cast(OuterRef("pk"), CharField()))
    held = visible(Alert.objects.firing(), by).filter(held_by=name).order_by().values("held_by")
    return rows.annotate(holds=Coalesce(Subquery(held.annotate(count=Count("pk")).values("count")), 0))


# --- verbs --------------------------------------------------------------------------------------------------------


@transaction.atomic
def create(
    *, condition, starts_at, ends_at, reason, by, now, made_by="", integration=None, service=None, everything=False
):
    """Hold new alerts that match, from a time until a time. `by` is a User, or None and `made_by` says who.

    Raises DomainError for a condition that cannot be read, one that means nearly every alert without `everything`, a
    missing reason, and times that are the wrong way round or more than a year apart.
    """
    silence = Silence(owner=by, made_by=made_by[:200], created_at=now)
    _fill(silence, condition, starts_at, ends_at, reason, integration, service, everything, now)
    silence.save()
    return silence


@transaction.atomic
def edit(
    silence_id, *, condition, starts_at, ends_at, reason, by, now, integration=None, service=None, everything=False
):
    """Change a silence that is not over. What it holds is looked at again at once. Raises DomainError as `create`."""
    silence = _locked(silence_id, now)
    _fill(silence, condition, starts_at, ends_at, reason, integration, service, everything, now)
    silence.save()
    alarms.clear_alarm(quiet.alarm_key(by_of(silence)), now=now)
    quiet.recheck(by_of(silence), now=now)
    logger.info("Silence %s was edited by %s.", silence.pk, by or "a program")
    return silence


@transaction.atomic
def extend(silence_id, *, seconds, by, now):
    """Let a silence end later. Raises DomainError when it is over, or would last for more than a year from now."""
    silence = _locked(silence_id, now)
    silence.ends_at += dt.timedelta(seconds=seconds)
    _check_span(silence.starts_at, silence.ends_at, now, is_old=True)
    _plan(silence, now)
    silence.save(update_fields=["ends_at", "warn_at", "due_at", "updated_at"])
    logger.info("Silence %s was extended by %s until %s.", silence.pk, by or "a program", silence.ends_at)
    return silence


@transaction.atomic
def expire(silence_id, *, by, now):
    """End a silence now. What it held and still fires pages at once. Raises IllegalMove when it is over."""
    silence = _locked(silence_id, now)
    silence.expired_at = now
    silence.warn_at = None
    silence.due_at = now + SECOND_LOOK
    silence.save(update_fields=["expired_at", "warn_at", "due_at", "updated_at"])
    alarms.clear_alarm(quiet.alarm_key(by_of(silence)), now=now)
    quiet.recheck(by_of(silence), now=now)
    logger.info("Silence %s was ended by %s.", silence.pk, by or "a program")
    return silence


def by_of(silence):
    """How an alert names the silence that holds it."""
    return f"{quiet.SILENCE}:{silence.pk}"


def _locked(silence_id, now):
    silence = Silence.objects.select_for_update(of=("self",)).select_related("owner").get(pk=silence_id)
    if state(silence, now) == EXPIRED:
        raise IllegalMove("This silence is over. Make a new one instead.")
    return silence


def _fill(silence, condition, starts_at, ends_at, reason, integration, service, everything, now):
    silence.condition = checked_condition(
        condition, is_narrow=integration is not None or service is not None, everything=everything
    )
    silence.reason = storable(reason).strip()[:500]
    if not silence.reason:
        raise DomainError("Give a reason: others read it at three in the morning.", code="reason_required")
    _check_span(starts_at, ends_at, now, is_old=bool(silence.pk))
    silence.starts_at, silence.ends_at = starts_at, ends_at
    silence.integration, silence.service = integration, service
    _plan(silence, now)


def checked_condition(text, *, is_narrow, everything=False):
    """The text of a condition, if it can be used for holding alerts; else DomainError says what to change.

    `is_narrow`: something else says which alerts are meant, such as a service, so it may be empty or wide.
    """
    text = storable(text).strip()
    if not text and is_narrow:
        return text
    try:
        condition = matching.parse(text)
    except matching.Wrong as error:
        raise DomainError(f"The condition cannot be read: {error}", code="condition") from None
    if condition.reads_payload:  # what it holds is looked at again and again, and would be let go at the first look
        raise DomainError(
            "The condition asks for the payload, which is known only while an alert comes in. Use labels or fields.",
            code="condition",
        )
    if not (is_narrow or everything) and condition.matches(matching.Facts()):
        raise DomainError(
            "This matches an alert that says nothing at all, so it would hold nearly every alert. Name a label or a "
            "service that the alerts have, or confirm that you mean all of them.",
            code="matches_everything",
        )
    return text


def _check_span(starts_at, ends_at, now, *, is_old=False):
    if ends_at <= starts_at:
        raise DomainError("The end must be later than the start.", code="ends_before_it_starts")
    if ends_at <= now:
        raise DomainError("The end lies in the past. Choose a later one.", code="ends_in_the_past")
    if not is_old and starts_at < now - BACK:
        raise DomainError("The start lies more than a day in the past. Choose a later one.", code="starts_in_the_past")
    if ends_at > max(now, starts_at) + LONGEST:
        raise DomainError("A silence lasts a year at most. Choose an earlier end.", code="too_long")


def _plan(silence, now):
    """When somebody must look at it next: shortly before its end, and at its end."""
    before = min(
        dt.timedelta(seconds=settings.SILENCE_WARNING_SECONDS), (silence.ends_at - max(now, silence.starts_at)) / 2
    )
    warn_at = silence.ends_at - before
    silence.warn_at = warn_at if before and warn_at > now else None
    silence.due_at = silence.warn_at or silence.ends_at


# --- what becomes due ---------------------------------------------------------------------------------------------


def oldest_due(now):
    """The due time of the silence that is due for longest, or None."""
    return Silence.objects.filter(due_at__lte=now).order_by("due_at").values_list("due_at", flat=True).first()


def sweep(*, now, limit=BATCH):
    """Warn of the silences that end soon, and look at what those held that are over. Returns how many."""
    ids = list(Silence.objects.filter(due_at__lte=now).order_by("due_at", "pk").values_list("pk", flat=True)[:limit])
    return sum(_look_alone(pk, now) for pk in ids)


def _look_alone(pk, now):
    try:
        with transaction.atomic():
            rows = Silence.objects.filter(pk=pk, due_at__lte=now).select_related("owner", "service", "integration")
            silence = rows.select_for_update(of=("self",), skip_locked=True).first()
            if silence:
                _look(silence, now)
    except Exception as error:  # one broken silence must not stop the rest: tell the admins, look again soon
        logger.warning("Silence %s could not be looked at.", pk, exc_info=True)
        Silence.objects.filter(pk=pk, due_at__lte=now).update(due_at=now + SECOND_LOOK)
        alarms.raise_alarm(
            f"silence-failed:{pk}",
            f"The end of silence {pk} cannot be prepared, and is tried again every {SECOND_LOOK.seconds} seconds: "
            f"{error} What it holds is looked at every few minutes all the same.",
            now=now,
        )
    return 1


def _look(silence, now):
    if state(silence, now) == EXPIRED:
        quiet.recheck(by_of(silence), now=now)
        alarms.clear_alarms([quiet.alarm_key(by_of(silence)), f"silence-failed:{silence.pk}"], now=now)
        # Once more in a while, for what was being decided at its end: that may be written any moment.
        is_last_look = now >= (silence.expired_at or silence.ends_at) + SECOND_LOOK
        silence.warn_at = None
        silence.due_at = None if is_last_look else now + SECOND_LOOK
    else:
        if silence.warn_at and silence.warn_at <= now:
            _warn(silence, now)
            silence.warn_at = None
        silence.due_at = silence.warn_at or silence.ends_at
    silence.save(update_fields=["warn_at", "due_at"])


def _warn(silence, now):
    """Tell its owner that it ends soon, if something fires that it holds; without one, whoever else it concerns."""
    held = Alert.objects.firing().filter(held_by=by_of(silence)).select_related("service")
    if not held.exists():
        return
    teams = set(held.order_by().values_list("service__team", flat=True).distinct())
    topic = f"silence:{silence.pk}:{silence.ends_at.astimezone(dt.UTC):%Y%m%dT%H%M%S}"
    for people in _who_is_told(silence, teams):
        said = [(person, _warning(silence, visible(held, person), now)) for person in people]
        pages = [Page(topic, topic, person.pk, message, is_repeat=True) for person, message in said if message]
        if any(outcome.is_reachable for outcome in plan_many(pages, now=now)):
            return
    logger.warning("Nobody could be told that silence %s ends with alerts that fire.", silence.pk)


def _warning(silence, held, now):
    """What to tell of the alerts that the reader may see; None without any."""
    alerts = list(held.order_by("first_at")[:SHOWN])
    if not alerts:
        return None
    count = held.count() if len(alerts) == SHOWN else len(alerts)
    what = "1 alert that it holds" if count == 1 else f"{count} alerts that it holds"
    title = f"A silence ends at {quiet.said(silence.ends_at, now)}, and {what} still fire{'s' if count == 1 else ''}"
    names = "; ".join(f"{one.title} ({one.service})" for one in alerts[:5])
    more = f" and {count - 5} more" if count > 5 else ""
    return Message(
        title=title,
        body=f"{names}{more}. They page when it ends. Extend or end the silence. Its reason: {silence.reason}",
        url=f"{settings.PUBLIC_URL}/silences/{silence.uuid}",
        urgency="low",
        kind=Kind.NOTICE,
        thread=f"silence-{silence.uuid}",
    )


def _who_is_told(silence, team_ids):
    """Lists of people, each for when nobody of the one before can be reached."""
    if silence.owner and silence.owner.is_active and not silence.owner.is_machine:
        yield [silence.owner]
    teams = {silence.service.team_id} if silence.service else team_ids
    members = Membership.objects.filter(team__in=teams, user__is_active=True).select_related("user").order_by("user")
    yield list(dict.fromkeys(one.user for one in members if may(one.user, "respond", one)))
    admins = User.objects.people().filter(role=Role.ADMIN, is_active=True)
    yield list(admins.order_by("pk"))


# --- what it would hold -------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Preview:
    """What a condition means, among the `looked_at` newest alerts of the last days.

    `firing` match and fire now: of these, `paged` have an open incident, which goes on. `total` is how many match,
    `alerts` the newest of them. `incidents` is how many incidents of that time would not have been opened: all their
    alerts match. `is_cut`: there were more alerts than were looked at.
    """

    firing: int
    paged: int
    total: int
    incidents: int
    alerts: list
    looked_at: int
    is_cut: bool


def preview(condition, *, now, by=None, integration=None, service=None, services=(), teams=(), limit=SAMPLE):
    """What a condition holds among the alerts of the last 7 days. Raises DomainError when it cannot be read.

    Every alert must be of the integration and the service, and of one of `services` or `teams` if there are any. It is
    told of what `by` may see, if given; it may hold more.
    """
    text = checked_condition(condition, is_narrow=True)
    parsed = matching.parse(text) if text else None
    rows = Alert.objects.filter(last_at__gt=now - LOOK_BACK).select_related("service", "integration")
    if by is not None:
        rows = visible(rows, by)
    if integration is not None:
        rows = rows.filter(integration=integration)
    if service is not None:
        rows = rows.filter(service=service)
    if services or teams:
        rows = rows.filter(Q(service__in=list(services)) | Q(service__team__in=list(teams)))
    found = list(rows[: limit + 1])
    sample = found[:limit]
    matched = [one for one in sample if parsed is None or parsed.matches(matching.facts_of_alert(one))]
    numbers = {one.incident_id for one in matched if one.incident_id}
    of_incidents = Alert.objects.filter(incident_id__in=numbers).order_by().values_list("incident_id")
    of_all = dict(of_incidents.annotate(Count("pk")))
    mine = collections.Counter(one.incident_id for one in matched if one.incident_id)
    firing = [one for one in matched if one.resolved_at is None]
    return Preview(
        firing=len(firing),
        paged=sum(1 for one in firing if one.incident_id and not one.held_by),
        total=len(matched),
        incidents=sum(1 for number, count in mine.items() if count >= of_all[number]),
        alerts=matched[:SHOWN],
        looked_at=len(sample),
        is_cut=len(found) > limit,
    )
