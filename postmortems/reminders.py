"""Who is reminded of what: incidents without a postmortem, action items, reviews that were asked for.

Reminders are quiet notices. Each is told once, whatever happens to the worker that plans it: its key says which it is.
"""

import datetime as dt
import logging

from django.conf import settings
from django.db import transaction

from accounts.models import Membership, Role, User
from accounts.permissions import visible
from core import due
from core.errors import DomainError, IllegalMove
from core.zones import zone_of
from incidents import lifecycle, timeline
from incidents.models import Incident, Priority
from incidents.news import quietly
from notifications import outbox
from notifications.message import Kind, Message, storable
from notifications.models import Notification
from postmortems import items, states, telling
from postmortems.models import ActionItem, Postmortem, Review, Wanted

logger = logging.getLogger(__name__)

WANTED = (Priority.P1, Priority.P2)
LEASE = dt.timedelta(seconds=60)
BATCH = 100
REVIEW_AFTER = (dt.timedelta(days=3), dt.timedelta(days=10))  # since somebody was asked
LONGEST_REASON = Wanted._meta.get_field("decline_reason").max_length


# --- incidents without a postmortem -------------------------------------------------------------------------------
def follow(incident, *, now):
    """After an incident changed: note that it wants a postmortem, or that it does not any more."""
    is_wanted = incident.priority in WANTED and not incident.is_open and incident.merged_into_id is None
    if not is_wanted:
        Wanted.objects.filter(incident=incident, declined_at=None).delete()
    elif not _has_one(incident.pk):
        Wanted.objects.get_or_create(incident=incident, defaults={"since": now, "due_at": _due_at(now)})


def _has_one(number):
    return Postmortem.objects.filter(incidents=number).exclude(status=states.ARCHIVED).exists()


def _due_at(now):
    hours = settings.POSTMORTEM_REMINDER_HOURS
    return now + dt.timedelta(hours=hours) if hours else None


@transaction.atomic
def decline(number, *, reason, by, now):
    """Say that an incident needs no postmortem, and why: nobody is reminded. Returns the Wanted row.

    Raises DomainError without a reason, IllegalMove when it has one or was never to have one.
    """
    reason = " ".join(storable(reason).split())
    if not reason:
        raise DomainError("Say in a sentence why it needs none. Others read it beside the incident.")
    if len(reason) > LONGEST_REASON:
        raise DomainError(f"The reason has at most {LONGEST_REASON} characters. Shorten it.")
    incident = lifecycle.locked(number)
    row = Wanted.objects.select_for_update().filter(incident=incident).first()
    if row is None:
        raise IllegalMove(f"Nobody expects a postmortem of incident #{number}, so there is nothing to decline.")
    if _has_one(number):
        raise IllegalMove(f"Incident #{number} has a postmortem by now. Archive that if it is not needed.")
    row.declined_at, row.declined_by, row.decline_reason, row.due_at = now, by, reason, None
    row.save(update_fields=["declined_at", "declined_by", "decline_reason", "due_at"])
    text = f"{by or 'The system'} said that it needs no postmortem: {reason}"
    timeline.record(incident, "postmortem", text, at=now, by=by, via="web")
    return row


@transaction.atomic
def want(number, *, by, now):
    """Expect a postmortem after all, of an incident for which it was declined or never asked. Returns the Wanted row.

    Raises IllegalMove while it is open, or when it has one.
    """
    incident = lifecycle.locked(number)
    if incident.is_open:
        raise IllegalMove(f"Incident #{number} is still open. Begin its postmortem now, or resolve it first.")
    if _has_one(number):
        raise IllegalMove(f"Incident #{number} has a postmortem already.")
    row, is_new = Wanted.objects.get_or_create(incident=incident, defaults={"since": now, "due_at": _due_at(now)})
    if row.declined_at is not None:
        row.declined_at = row.declined_by = row.reminded_at = None
        row.decline_reason, row.due_at, row.since = "", _due_at(now), now
        row.save()
    elif not is_new:
        return row
    text = f"{by or 'The system'} asked for a postmortem."
    timeline.record(incident, "postmortem", text, at=now, by=by, via="web")
    return row


# --- what is due --------------------------------------------------------------------------------------------------
def oldest_due(now):
    """When the oldest reminder that is due should have been planned, or None."""
    found = [
        model.objects.filter(due_at__lte=now).order_by("due_at").values_list("due_at", flat=True).first()
        for model in (Wanted, ActionItem)
    ]
    return min(filter(None, found), default=None)


def run(*, now_of, seconds=10):
    """Remind until nothing is due or the time is up; `now_of()` reads the clock. What is left stays due."""
    until = now_of() + dt.timedelta(seconds=seconds)
    while (now := now_of()) < until:
        due.beat()
        if not remind(now):
            return


def remind(now):
    """Plan the reminders that are due. Returns how many rows were looked at. One broken row stops no other."""
    count = 0
    for model, tell in ((Wanted, _remind_of_incident), (ActionItem, _remind_of_item)):
        waiting = model.objects.filter(due_at__lte=now).order_by("due_at", "pk")
        for row in due.claim(waiting, now=now, lease=LEASE, limit=BATCH):
            count += 1
            try:
                with transaction.atomic():
                    tell(row.pk, row.lease_token, now=now)
            except Exception:  # it is due again when its lease ends; the others are not to wait for it
                logger.exception("The reminder of %s %s could not be planned.", model.__name__, row.pk)
    return count


def _remind_of_incident(pk, token, *, now):
    row = Wanted.objects.select_for_update().filter(pk=pk, lease_token=token).first()
    if row is None:
        return  # somebody began a postmortem, declined it, or merged the incident
    row.due_at = row.lease_until = row.lease_token = None
    incident = Incident.objects.select_related("team", "service").get(pk=row.incident_id)
    if row.declined_at is None and not _has_one(incident.pk):
        _tell_of_incident(incident, row, now=now)
        row.reminded_at = now
    row.save()


def _tell_of_incident(incident, row, *, now):
    """Remind whoever had it last and the admins of its team; without either, all who answer for the team."""
    leads = set(
        Membership.objects.filter(team=incident.team_id, role=Role.ADMIN, user__is_active=True).values_list(
            "user_id", flat=True
        )
    )
    wanted = leads | {incident.assignee_id} - {None}
    people = User.objects.people().filter(pk__in=wanted, is_active=True)
    this = Incident.objects.filter(pk=incident.pk)
    told = [user.pk for user in people if visible(this, user).exists()]
    told = told or list(User.objects.who_may("respond", incident.team_id).values_list("pk", flat=True))
    message = Message(
        title=f"No postmortem yet: #{incident.pk} {incident.title}"[:250],
        body=f"This {incident.priority} incident of {incident.service.name} was over on {row.since:%Y-%m-%d %H:%M} "
        "UTC, and nobody has begun to write about it. Begin now, or say on its page why it needs none.",
        url=f"{settings.PUBLIC_URL}/postmortems/new?incident={incident.pk}",
        urgency="low",
        thread=f"postmortem-wanted-{incident.pk}",
        subject=f"[#{incident.pk}] {incident.title}"[:250],
        kind=Kind.NOTICE,
    )
    topic = f"postmortem-wanted:{incident.pk}"
    key = f"{topic}:{row.since:%Y%m%d%H%M%S}"
    pages = [outbox.Page(key, topic, pk, message, is_repeat=True, share=f"team:{incident.team_id}") for pk in told]
    reaches = {pk: quietly(reach) for pk, reach in outbox.reaches(told).items()}
    outbox.plan_many(pages, now=now, reaches=reaches)


def _remind_of_item(pk, token, *, now):
    rows = ActionItem.objects.select_for_update(of=("self",)).select_related("postmortem", "owner")
    item = rows.filter(pk=pk, lease_token=token).first()
    if item is None:
        return  # somebody changed it meanwhile: that set the next reminder
    item.lease_until = item.lease_token = None
    item.attempts = 0
    if item.status in ActionItem.OPEN and item.owner and item.due_on:
        day = now.astimezone(zone_of(item.owner.time_zone)).date()
        telling.tell(
            item.postmortem,
            {item.owner_id},
            title=f"{_when(item.due_on, day)}: {item.text}",
            body=f"This action item of PM-{item.postmortem_id} is yours. Complete it, or choose another day or owner.",
            key=f"item:{item.uuid}:{item.due_on}:{day}",
            now=now,
        )
    item.due_at = items.next_reminder(item, now=now)
    item.save(update_fields=["due_at", "lease_until", "lease_token", "attempts"])


def _when(due_on, day):
    """How far away a day is, in words."""
    days = (due_on - day).days
    if days in (-1, 0, 1):
        return {-1: "Due since yesterday", 0: "Due today", 1: "Due tomorrow"}[days]
    return f"Due in {days} days" if days > 0 else f"Due since {-days} days"


# --- reviews ------------------------------------------------------------------------------------------------------
def remind_reviewers(now):
    """Remind whoever was asked for a review and has not answered: after three days, and after ten."""
    waiting = Review.objects.filter(
        verdict=Review.Verdict.OPEN, postmortem__status=states.IN_REVIEW, asked_at__lte=now - REVIEW_AFTER[0]
    )
    for review in waiting.select_related("postmortem", "asked_by").order_by("pk"):
        times = sum(now - review.asked_at >= span for span in REVIEW_AFTER)
        key = f"review-reminder:{review.pk}:{review.asked_at:%Y%m%d%H%M%S}:{times}"
        postmortem = review.postmortem
        # Asked again and again: what was planned once is not planned for an address that came later.
        if Notification.objects.filter(plan_key__startswith=f"{postmortem.topic}:{key}:").exists():
            continue
        days = (now - review.asked_at).days
        telling.tell(
            postmortem,
            {review.user_id},
            title=f"Your review waits: {postmortem.title}"[:250],
            body=f"{review.asked_by or 'The system'} asked you {days} days ago to review PM-{postmortem.number}. "
            "Approve it, or say what to change.",
            key=key,
            now=now,
        )
