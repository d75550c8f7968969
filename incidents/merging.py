"""Merging: the work of one incident goes on in another, and can be taken out again.

The merged incident is over: it calls nobody, and takes no more alerts. Where it stood is kept. Whatever was merged
into it before goes along, so that a merged incident always points to one that is not merged itself.
"""

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from accounts.permissions import visible
from core.errors import DomainError, IllegalMove, NotFound
from incidents import escalation, lifecycle, states, timeline
from incidents.models import Follower, Incident, Responder, Severity, Task
from incidents.signals import incidents_merged, incidents_unmerged
from notifications import outbox

ROWS = Incident.objects.select_related("service", "team", "assignee")


@transaction.atomic
def merge(number, *, into, by, now, via="web"):
    """Let the work of an incident go on in another one, with its alerts and open tasks. Returns the merged incident.

    Raises IllegalMove when one of the two is over or merged, DomainError when both are the same.
    """
    number, into = int(number), int(into)
    if number == into:
        raise DomainError("An incident cannot be merged into itself. Choose another one.")
    source, target, children = _locked_pair(number, into)
    for one in (source, target):
        if not one.is_open:
            raise _over(one, by=by, now=now)
    before = source.status
    snoozed_until = source.snoozed_until
    was_calling = before == states.TRIGGERED and bool(source.next_escalation_at or snoozed_until)
    source.status_before_merge = before
    source.status = states.RESOLVED
    source.merged_into, source.merged_at = target, now
    source.resolved_at, source.resolved_by, source.resolution_note = now, by, ""
    source.next_escalation_at = source.snoozed_until = source.group_until = None
    source.save(
        update_fields=[
            "status_before_merge",
            "status",
            "merged_into",
            "merged_at",
            "resolved_at",
            "resolved_by",
            "resolution_note",
            "next_escalation_at",
            "snoozed_until",
            "group_until",
        ]
    )
    Incident.objects.filter(pk__in=[child.pk for child in children]).update(merged_into=target)
    # Not announce(): a listener that fails would leave alerts behind, and nobody would hear of them again.
    incidents_merged.send(sender=None, source=source, target=target, now=now)
    _take_along(source, target, by=by, now=now)
    tasks = _move_tasks(source, target)
    who = by or "the system"
    text = f"Merged into #{target.pk} by {who}. Its work goes on there."
    brings = f" It brings {_counted(tasks, 'open task')}." if tasks else ""
    taken = f"#{source.pk} was merged into this incident by {who}.{brings}"
    entries = [
        timeline.entry(source, "merged", text, at=now, by=by, via=via, into=target.pk, before=before),
        timeline.entry(target, "took_in", taken, at=now, by=by, via=via, merged=source.pk),
    ]
    moved = f"#{source.pk} was merged into #{target.pk} by {who}: the work of this one goes on there."
    entries += [timeline.entry(child, "moved_on", moved, at=now, by=by, via=via, into=target.pk) for child in children]
    timeline.record_many(entries)
    outbox.settle([source.topic], by=by, reason=f"merged into #{target.pk} by {who}", now=now)
    escalation.quiet(source, now=now)
    _raise(source, target, now=now, via=via)
    if was_calling:
        _keep_calling(source, target, snoozed_until, now=now, via=via)
    lifecycle.tell(source, "merge", text=text, previous={"status": before}, by=by, now=now, via=via)
    lifecycle.tell(target, "take_in", text=taken, previous={}, by=by, now=now, via=via)
    return source


def _locked_pair(number, into):
    """Both incidents, and what was merged into the first before, all locked in the order of their numbers."""
    children = list(Incident.objects.filter(merged_into=number).values_list("pk", flat=True))
    found = _locked({number, into, *children})
    for one in (number, into):
        if one not in found:
            raise NotFound(f"There is no incident #{one}.")
    # Nothing is merged into it, or taken out of it, without this lock.
    if set(Incident.objects.filter(merged_into=number).values_list("pk", flat=True)) != set(children):
        raise IllegalMove(f"Somebody merges #{number} at this moment too. Look at it again, then retry.")
    return found[number], found[into], [found[child] for child in sorted(children)]


def _locked(numbers):
    rows = ROWS.select_for_update(no_key=True, of=("self",)).filter(pk__in=numbers).order_by("pk")
    return {row.pk: row for row in rows}


def _over(incident, *, by, now):
    error = lifecycle.refused(incident, "merge", by=by, now=now)
    return IllegalMove(f"#{incident.pk}: {error.message}")


def _take_along(source, target, *, by, now):
    """Who follows the one, or works on it, does so with the other; nobody who may not see it."""
    roles = {one.user_id: one for one in source.responders.select_related("user").filter(declined_at=None)}
    followers = {one.user_id: one.user for one in source.followers.select_related("user")}
    people = {**{pk: one.user for pk, one in roles.items()}, **followers}
    seeing = {pk for pk, user in people.items() if _sees(user, target)}
    Responder.objects.bulk_create(
        [
            Responder(incident=target, user=one.user, added_by=one.added_by, added_at=now, joined_at=one.joined_at)
            for pk, one in roles.items()
            if pk in seeing
        ],
        ignore_conflicts=True,
    )
    Follower.objects.bulk_create(
        [Follower(incident=target, user=user, since=now) for pk, user in followers.items() if pk in seeing],
        ignore_conflicts=True,
    )


def _move_tasks(source, target):
    """What is still to be done is done there. Each remembers its first incident, also when that is moved once more."""
    first = Coalesce("merged_from", Value(source.pk))
    return source.tasks.filter(done_at=None).update(incident=target, merged_from=first)


def _counted(count, word):
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _sees(user, incident):
    return user.is_active and visible(Incident.objects.filter(pk=incident.pk), user).exists()


def _raise(source, target, *, now, via):
    """The one that goes on is as bad as the worse of the two."""
    order = Severity.values
    severity = min(source.severity, target.severity, key=order.index)
    priority = min(source.priority, target.priority)
    if (severity, priority) == (target.severity, target.priority):
        return
    why = f"#{source.pk}, which was merged into it, is {source.severity} and {source.priority}."
    raised = lifecycle.worsen(target.pk, severity=severity, priority=priority, why=why, now=now, via=via)
    for name in LIVE:
        setattr(target, name, getattr(raised, name))


LIVE = (
    "severity",
    "priority",
    "urgency",
    "escalation_round",
    "escalation_level",
    "next_escalation_at",
    "snoozed_until",
    "page_number",
)


def _keep_calling(source, target, snoozed_until, *, now, via):
    """Nobody had the merged one, and it was about to call: the other one must not be silent about it.

    `snoozed_until` is until when the merged one was quiet, or None.
    """
    if target.status != states.TRIGGERED or target.next_escalation_at is not None:
        return  # somebody has it, or it calls by itself
    if snoozed_until and target.snoozed_until:  # both are quiet on purpose: it calls when the first snooze ends
        if snoozed_until < target.snoozed_until:
            target.snoozed_until = snoozed_until
            target.save(update_fields=["snoozed_until"])
            text = f"Snoozed until {snoozed_until:%Y-%m-%d %H:%M} UTC now, when the snooze of #{source.pk} ends."
            timeline.record(target, "snoozed", text, at=now, via=via, until=snoozed_until.isoformat())
        return
    text = f"Nobody has #{source.pk} and nobody was going to be called for this one: its policy starts again."
    timeline.record(target, "escalated", text, at=now, via=via)
    lifecycle.call_loudly(target, now=now, via=via)


@transaction.atomic
def unmerge(number, *, by, now, via="web"):
    """Take a merged incident out again: its alerts and tasks go back, and it stands where it stood. Returns it.

    It stays resolved when all of its alerts are over; when the other one is over as well, also when it has none.
    One that was triggered calls again from its first level. Raises IllegalMove when it is not merged.
    """
    number = int(number)
    into = Incident.objects.filter(pk=number).values_list("merged_into", flat=True).first()
    found = _locked({number, into} - {None})
    if number not in found:
        raise NotFound(f"There is no incident #{number}.")
    source = found[number]
    if source.merged_into_id is None:
        raise IllegalMove(f"#{number} is not merged into another incident.")
    if source.merged_into_id != into:
        raise IllegalMove(f"Somebody else merges #{number} at this moment. Look at it again, then retry.")
    target = found[into]
    firing = [said for _, said in incidents_unmerged.send(sender=None, source=source, target=target, now=now)]
    firing = [count for count in firing if count is not None]
    opens = sum(firing) > 0 or (not firing and target.is_open)
    before = source.status_before_merge
    source.merged_into = source.merged_at = None
    source.status_before_merge = ""
    fields = ["merged_into", "merged_at", "status_before_merge"]
    if opens:
        source.status = before
        source.resolved_at = source.resolved_by = source.closed_at = None
        fields += ["status", "resolved_at", "resolved_by", "closed_at"]
    source.save(update_fields=fields)
    tasks = Task.objects.filter(merged_from=source).update(incident=source, merged_from=None)
    who = by or "the system"
    text = f"Taken out of #{target.pk} by {who}. {_outcome(source, target, opens=opens, has_alerts=bool(firing))}"
    takes = f" It takes {_counted(tasks, 'task')} along." if tasks else ""
    left = f"#{source.pk} was taken out of this incident by {who}.{takes}"
    timeline.record_many(
        [
            timeline.entry(source, "unmerged", text, at=now, by=by, via=via, out_of=target.pk),
            timeline.entry(target, "let_go", left, at=now, by=by, via=via, unmerged=source.pk),
        ]
    )
    if opens:
        _call_again(source, now=now, via=via)
    lifecycle.tell(source, "unmerge", text=text, previous={"status": states.RESOLVED}, by=by, now=now, via=via)
    lifecycle.tell(target, "let_go", text=left, previous={}, by=by, now=now, via=via)
    return source


def _outcome(source, target, *, opens, has_alerts):
    if opens:
        return f"It is {source.status} again."
    if has_alerts:
        return "None of its alerts fires any more, so it stays resolved."
    return f"#{target.pk} is over, and nothing of this one fires, so it stays resolved."


def _call_again(incident, *, now, via):
    """A triggered one calls from its first level, unless it never called anybody, because a rule said so."""
    if incident.status == states.TRIGGERED and (incident.escalation_level or incident.escalation_round):
        lifecycle.call_loudly(incident, now=now, via=via)
