"""The verbs of an incident. Each is one transaction: lock, check the move, change, timeline, news."""

import dataclasses
import datetime as dt

from django.db import transaction

from accounts.permissions import may_once_seen
from catalog.models import Service
from catalog.policies import copies_for
from core import counters
from core.announce import announce
from core.errors import DomainError, NotFound
from incidents import escalation, states, timeline
from incidents.figures import answer_text, span
from incidents.models import Incident, Responder, Severity
from incidents.priorities import priority_of, urgency_of
from incidents.signals import incident_changed, incidents_escalated, incidents_triggered
from notifications import outbox, resending
from notifications.message import storable
from oncall import chain

LONGEST_SNOOZE = dt.timedelta(days=7)
LONGEST_IMPACT = Incident._meta.get_field("impact").max_length
# The entry that brought an incident to a state, and its words.
BROUGHT = {
    "acknowledged": "acknowledged",
    "investigating": "started to investigate",
    "remediating": "started to repair",
    "resolved": "resolved",
    "merged": "merged",
    "closed": "closed",
}


@dataclasses.dataclass
class NewIncident:
    """What is needed to trigger an incident."""

    service: Service
    severity: str
    title: str
    description: str = ""
    priority: str = ""
    why: str = ""
    by: object = None
    via: str = "source"
    policy: object = None  # an EscalationPolicy instead of the service's
    pages: bool = True  # False: nobody is called by itself; `why` says why
    group_key: str = ""  # later alerts of this group join it …
    group_until: object = None  # … until then; None: never


def trigger_many(new, *, now):
    """Trigger incidents and call the first level of each, in a constant number of statements.

    `new` is a list of NewIncident; returns the incidents in the same order.
    """
    if not new:
        return []
    with transaction.atomic():
        policies = copies_for({one.service.pk: one.service for one in new}.values())
        named = chain.copies({one.policy.pk for one in new if one.policy})
        callers = escalation.Callers([*policies.values(), *named.values()], now=now)
        incidents, taken = [], []
        for one in new:
            priority = one.priority or priority_of(one.severity)
            incident = Incident(
                title=one.title,
                description=one.description,
                service=one.service,
                team=one.service.team,
                severity=one.severity,
                priority=priority,
                urgency=urgency_of(priority),
                triggered_at=now,
                policy=named[one.policy.pk] if one.policy else policies[one.service.pk],
                group_key=one.group_key,
                group_until=one.group_until,
            )
            incidents.append(incident)
            if one.pages:
                step = callers.step(incident)
                escalation.take(incident, step, now=now)
                taken.append((incident, step))
        Incident.objects.bulk_create(incidents)
        timeline.record_many(
            timeline.entry(
                incident,
                "triggered",
                one.why or f"Triggered for {one.service.name}: {one.title}",
                at=now,
                by=one.by,
                via=one.via,
                severity=one.severity,
                policy=incident.policy.get("name", ""),
            )
            for incident, one in zip(incidents, new, strict=True)
        )
        escalation.page_many(taken, callers, now=now)
        amounts = {}
        for incident in incidents:
            key = ("incidents_created_total", counters.text(severity=incident.severity))
            amounts[key] = amounts.get(key, 0) + 1
        counters.add_many(amounts)
        announce(incidents_triggered, incidents=incidents, now=now)
    return incidents


def trigger(service, *, title, severity, now, by=None, via="web", description="", priority=""):
    """Open an incident by hand. Raises DomainError when the title is empty or the severity is not one of ours."""
    title = _clean_title(title)
    if severity not in Severity.values:
        raise DomainError(f"“{severity}” is not a severity. Use {', '.join(Severity.values)}.")
    return trigger_many(
        [NewIncident(service, severity, title, storable(description), priority=priority, by=by, via=via)], now=now
    )[0]


def _clean_title(text):
    """One line of at most 1024 characters: it becomes the subject of mails."""
    title = " ".join(storable(text).split())[:1024]
    if not title:
        raise DomainError("Give the incident a title: one line that says what is wrong.")
    return title


def locked(number):
    """The incident, locked until the transaction ends. Raises NotFound."""
    try:
        rows = Incident.objects.select_for_update(no_key=True, of=("self",)).select_related("service", "team")
        return rows.get(pk=number)
    except Incident.DoesNotExist:
        raise NotFound(f"There is no incident #{number}.") from None


def refused(incident, verb, *, by, now):
    """The IllegalMove for a verb that the incident's state does not allow: it says what happened meanwhile."""
    step = f"Its work goes on in #{incident.merged_into_id}." if incident.merged_into_id else ""
    return states.refused(
        verb, incident.status, happened=_happened(incident, by, now), next_step=step if not incident.is_open else ""
    )


def _happened(incident, by, now):
    """“Bob resolved it 2 m 15 s ago.”: who brought the incident to where it is."""
    if incident.status == states.TRIGGERED:
        return ""
    kinds = ["merged", "resolved"] if incident.status == states.RESOLVED else [incident.status]
    entry = incident.timeline.filter(kind__in=kinds).select_related("by").order_by("-id").first()
    if entry is None:
        return ""
    ago = f"{span(now - entry.at)} ago" if now - entry.at >= dt.timedelta(seconds=1) else "just now"
    if entry.by_id is None:
        if entry.kind == "resolved" and entry.via == "source":
            return f"Its last alert stopped firing {ago}."
        who = "The source" if entry.via == "source" else "The system"
    else:
        who = "You" if by and entry.by_id == by.pk else str(entry.by)
    what = f"{BROUGHT[entry.kind]} it" if entry.kind not in ("investigating", "remediating") else BROUGHT[entry.kind]
    if entry.kind == "merged":
        what += f" into #{entry.data.get('into', incident.merged_into_id)}"
    return f"{who} {what} {ago}."


def moved(incident, verb, *, by, now):
    """The state that the verb leads to. Raises IllegalMove when it leads nowhere."""
    if (incident.status, verb) not in states.MOVES:
        raise refused(incident, verb, by=by, now=now)
    return states.after(verb, incident.status)


@transaction.atomic
def acknowledge(number, *, by, now, via="web"):
    """Take the incident: stop its escalation and note who has it. Twice is harmless.

    `by=None` is the system, for example a source that acknowledges its own alert. Raises IllegalMove when it is over.
    """
    incident = locked(number)
    if incident.status in (states.ACKNOWLEDGED, states.INVESTIGATING, states.REMEDIATING):
        if by:  # two people tapped the button at once: what this one was sent counts as answered, and only that
            resending.answer(incident.topic, by=by, reason="acknowledged", now=now)
            _join(incident, by, now=now, via=via)
        return incident
    previous = {"status": incident.status}
    incident.status = moved(incident, "acknowledge", by=by, now=now)
    incident.acknowledged_at = now
    incident.acknowledged_by = by
    # A machine has no telephone: if it grows worse, people are called.
    incident.assignee = None if by and by.is_machine else by
    incident.next_escalation_at = incident.snoozed_until = None
    incident.save(
        update_fields=[
            "status",
            "acknowledged_at",
            "acknowledged_by",
            "assignee",
            "next_escalation_at",
            "snoozed_until",
        ]
    )
    text = f"Acknowledged by {by or 'the source'} {answer_text(incident)}."
    timeline.record(incident, "acknowledged", text, at=now, by=by, via=via)
    if by:
        _join(incident, by, now=now, via=via)
    outbox.settle([incident.topic], by=by, reason=f"acknowledged by {by or 'the source'}", now=now)
    escalation.quiet(incident, now=now)
    tell(incident, "acknowledge", text=text, previous=previous, by=by, now=now, via=via)
    return incident


def _join(incident, user, *, now, via):
    """Whoever was asked to help and answers the page has joined."""
    asked = Responder.objects.filter(incident=incident, user=user, joined_at=None)
    if asked.update(joined_at=now, declined_at=None):
        timeline.record(incident, "joined", f"{user} joined.", at=now, by=user, via=via)


@transaction.atomic
def start(number, *, by, now, via="web"):
    """Begin to investigate. Raises IllegalMove unless it is acknowledged."""
    return _move(number, "start", "investigating", "Investigation started", by=by, now=now, via=via)


@transaction.atomic
def remediate(number, *, by, now, via="web"):
    """Begin to repair. Raises IllegalMove unless somebody has it."""
    return _move(number, "remediate", "remediating", "Remediation started", by=by, now=now, via=via)


def _move(number, verb, kind, text, *, by, now, via):
    incident = locked(number)
    previous = {"status": incident.status}
    incident.status = moved(incident, verb, by=by, now=now)
    incident.save(update_fields=["status"])
    text = f"{text} by {by or 'the system'}."
    timeline.record(incident, kind, text, at=now, by=by, via=via)
    tell(incident, verb, text=text, previous=previous, by=by, now=now, via=via)
    return incident


@transaction.atomic
def resolve(number, *, by, now, via="web", note=""):
    """End the incident, whatever open state it is in. Twice is refused: it is over already.

    Its firing alerts end with it (a listener above does that), so a new event opens new work.
    """
    incident = locked(number)
    previous = {"status": incident.status}
    incident.status = moved(incident, "resolve", by=by, now=now)
    incident.resolved_at = now
    incident.resolved_by = by
    incident.resolution_note = storable(note).strip()
    incident.next_escalation_at = incident.snoozed_until = None
    incident.save(
        update_fields=[
            "status",
            "resolved_at",
            "resolved_by",
            "resolution_note",
            "next_escalation_at",
            "snoozed_until",
        ]
    )
    who = by or ("the source: its last alert stopped firing" if via == "source" else "the system")
    text = f"Resolved by {who}. {incident.resolution_note}".strip()
    timeline.record(incident, "resolved", text, at=now, by=by, via=via)
    outbox.settle([incident.topic], by=by, reason="the incident was resolved", now=now)
    escalation.quiet(incident, now=now)
    tell(incident, "resolve", text=text, previous=previous, by=by, now=now, via=via)
    return incident


@transaction.atomic
def close(number, *, by, now, via="web"):
    """Put a resolved incident away. Raises IllegalMove unless it is resolved."""
    incident = locked(number)
    previous = {"status": incident.status}
    incident.status = moved(incident, "close", by=by, now=now)
    incident.closed_at = now
    incident.save(update_fields=["status", "closed_at"])
    text = f"Closed by {by or 'the system'}."
    timeline.record(incident, "closed", text, at=now, by=by, via=via)
    tell(incident, "close", text=text, previous=previous, by=by, now=now, via=via)
    return incident


@transaction.atomic
def escalate(number, *, by, now, via="web"):
    """Call the next level now, whether or not somebody has the incident.

    Raises IllegalMove when the incident is over, DomainError when no level is left to call.
    """
    incident = locked(number)
    if not incident.is_open:
        raise refused(incident, "escalate", by=by, now=now)
    callers = escalation.Callers([incident.policy], now=now)
    step = callers.step(incident)
    if step.is_over:
        raise DomainError(
            f"{step.reasons[-1]} There is no further level to call. Reassign the incident to somebody instead.",
            code="no_further_level",
        )
    previous = {"escalation_level": incident.escalation_level}
    escalation.take(incident, step, now=now)
    if incident.status != states.TRIGGERED:
        incident.next_escalation_at = None  # somebody has it: one more call, no further steps by themselves
    incident.snoozed_until = None
    incident.save(update_fields=["escalation_round", "escalation_level", "next_escalation_at", "snoozed_until"])
    timeline.record(incident, "escalated", f"Escalated by {by or 'the system'}.", at=now, by=by, via=via)
    (entry,) = escalation.page_many([(incident, step)], callers, now=now, via=via, by=by)
    text = f"Escalated by {by or 'the system'}. {entry.text}"
    tell(incident, "escalate", text=text, previous=previous, by=by, now=now, via=via)
    return incident


@transaction.atomic
def reassign(number, *, to, by, now, via="web"):
    """Give the incident to somebody and page them. The escalation goes on until it is acknowledged.

    Raises IllegalMove when it is over, DomainError when the person is not active.
    """
    incident = locked(number)
    if not incident.is_open:
        raise refused(incident, "reassign", by=by, now=now)
    if not to.is_active:
        raise DomainError(f"{to} is deactivated. Choose somebody who is active.")
    if to.is_machine:
        raise DomainError(f"{to} is a machine and cannot be paged. Choose a person.")
    if not may_once_seen(to, "respond", incident):  # whoever has it sees it, also in a private team
        raise DomainError(f"{to} may only look at incidents. Choose a responder, or change the role of {to} first.")
    previous = {"assignee": str(incident.assignee) if incident.assignee else None}
    incident.assignee = to
    incident.page_number += 1
    if incident.snoozed_until:  # the new one is called now, and who was called before may have gone to bed
        incident.snoozed_until = None
        incident.next_escalation_at = now if incident.status == states.TRIGGERED else None
    incident.save(update_fields=["assignee", "page_number", "snoozed_until", "next_escalation_at"])
    text = f"Reassigned to {to} by {by or 'the system'}."
    timeline.record(incident, "reassigned", text, at=now, by=by, via=via)
    escalation.page_person(incident, to, key=f"reassign{incident.page_number}", now=now, via=via, by=by)
    tell(incident, "reassign", text=text, previous=previous, by=by, now=now, via=via)
    return incident


@transaction.atomic
def snooze(number, *, until, by, now, via="web"):
    """Call nobody until then. If it is still open at that time, it calls again: see incidents/snoozing.py.

    Raises IllegalMove when it is over, DomainError for a time that is not between now and a week from now.
    """
    incident = locked(number)
    if not incident.is_open:
        raise refused(incident, "snooze", by=by, now=now)
    if not now < until <= now + LONGEST_SNOOZE:
        raise DomainError("Snooze until a time in the future, at most 7 days away.")
    previous = {"snoozed_until": incident.snoozed_until and incident.snoozed_until.isoformat()}
    incident.snoozed_until = until
    incident.next_escalation_at = None
    incident.save(update_fields=["snoozed_until", "next_escalation_at"])
    text = f"Snoozed by {by or 'the system'} for {span(until - now)}, until {until:%Y-%m-%d %H:%M} UTC."
    timeline.record(incident, "snoozed", text, at=now, by=by, via=via, until=until.isoformat())
    outbox.settle([incident.topic], by=by, reason=f"snoozed by {by or 'the system'}", now=now)
    tell(incident, "snooze", text=text, previous=previous, by=by, now=now, via=via)
    return incident


@transaction.atomic
def worsen(number, *, severity, why, now, priority="", via="source"):
    """Raise the severity and the priority of an incident whose alert is worse than it; neither is ever lowered here.

    When that makes it loud, whoever was told quietly is called: who has it, else the policy from its first level.
    `why` is a sentence. An incident that is over, or of which nobody is called, calls nobody.
    """
    incident = locked(number)
    previous = {name: getattr(incident, name) for name in ("severity", "priority")}
    was_loud = incident.urgency == "high"
    order = Severity.values
    if order.index(severity) < order.index(incident.severity):
        incident.severity = severity
        priority = priority or priority_of(severity)
    if priority:
        incident.priority = min(priority, incident.priority)
    if not incident.is_open or previous == {name: getattr(incident, name) for name in previous}:
        return incident
    incident.urgency = urgency_of(incident.priority)
    incident.save(update_fields=["severity", "priority", "urgency"])
    text = f"Severity is {incident.severity} and priority {incident.priority} now. {why}"
    timeline.record(incident, "worsened", text, at=now, via=via)
    if incident.urgency == "high" and not was_loud and (incident.escalation_level or incident.escalation_round):
        call_loudly(incident, now=now, via=via)
    tell(incident, "edit", text=text, previous=previous, by=None, now=now, via=via)
    return incident


def call_loudly(incident, *, now, via):
    """Call whoever has the locked incident, else its policy from the first level, and end its snooze."""
    incident.snoozed_until = None
    if incident.status != states.TRIGGERED and incident.assignee and incident.assignee.is_active:
        incident.page_number += 1
        incident.save(update_fields=["snoozed_until", "page_number"])
        escalation.page_person(
            incident,
            incident.assignee,
            key=f"worse{incident.page_number}",
            now=now,
            via=via,
            by=None,
            event="escalated",
            why="has the incident, and it is worse now",
        )
        return
    incident.escalation_round += 1  # the pages of a step have one key in all its life: this is another round
    incident.escalation_level = 0
    callers = escalation.Callers([incident.policy], now=now)
    step = callers.step(incident)
    escalation.take(incident, step, now=now)
    if incident.status != states.TRIGGERED:
        incident.next_escalation_at = None
    incident.save(update_fields=["snoozed_until", "escalation_round", "escalation_level", "next_escalation_at"])
    entries = escalation.page_many([(incident, step)], callers, now=now, via=via)
    announce(incidents_escalated, entries=entries, now=now)


@transaction.atomic
def add_note(number, *, text, by, now, via="web"):
    """Write a note into the timeline. Raises DomainError when it is empty."""
    text = storable(text).strip()
    if not text:
        raise DomainError("The note is empty. Write what the others should know.")
    incident = locked(number)
    timeline.record(incident, "note", text[:20000], at=now, by=by, via=via)
    tell(incident, "note", text=text[:20000], previous={}, by=by, now=now, via=via)
    return incident


@transaction.atomic
def edit(number, *, by, now, via="web", **changes):
    """Change `title`, `description`, `impact`, `severity` or `priority`.

    The urgency of later pages follows the priority, and a change of the severity alone leaves both. Raises IllegalMove
    when the incident is closed.
    """
    incident = locked(number)
    if incident.status == states.CLOSED:
        raise refused(incident, "edit", by=by, now=now)
    if "title" in changes:
        changes["title"] = _clean_title(changes["title"])
    if "description" in changes:
        changes["description"] = storable(changes["description"])
    if "impact" in changes:
        changes["impact"] = " ".join(storable(changes["impact"]).split())[:LONGEST_IMPACT]
    if changes.get("severity", incident.severity) not in Severity.values:
        raise DomainError(f"“{changes['severity']}” is not a severity. Use {', '.join(Severity.values)}.")
    changed = [name for name, value in changes.items() if getattr(incident, name) != value]
    if not changed:
        return incident
    previous = {name: getattr(incident, name) for name in changed if name != "description"}  # that may be a book
    for name in changed:
        setattr(incident, name, changes[name])
    incident.urgency = urgency_of(incident.priority)
    incident.save(update_fields=[*changed, "urgency"])
    what = ", ".join(_said(incident, name) for name in changed)
    text = f"Edited by {by or 'the system'}: {what}."
    timeline.record(incident, "edited", text, at=now, by=by, via=via)
    tell(incident, "edit", text=text, previous=previous, by=by, now=now, via=via)
    return incident


def _said(incident, name):
    if name in ("priority", "severity"):
        return f"{name} is {getattr(incident, name)}"
    impact = incident.impact.rstrip(".")
    return f"impact is “{impact}”" if name == "impact" and impact else f"{name} changed"


def tell(incident, verb, *, text, previous, by, now, via):
    """Announce what a verb did."""
    announce(incident_changed, incident=incident, verb=verb, by=by, via=via, text=text, previous=previous, now=now)
