"""Responders: who works on an incident besides its assignee, as what, and how they were asked."""

from django.db import transaction

from accounts.permissions import may_once_seen
from core.errors import DomainError, NotFound
from incidents import escalation, lifecycle, messages, news, timeline
from incidents.models import Responder
from notifications.message import CALLS, storable
from notifications.models import Notification

Role = Responder.Role
LONGEST_MESSAGE = 500


@transaction.atomic
def add(number, *, people, role=Role.RESPONDER, message="", by, now, via="web"):
    """Ask people to work on the incident, and page each of them once, by their own rules. Returns the incident.

    Whoever is asked already and has not declined is not paged again. Whoever adds themselves joins, without a page.
    Raises IllegalMove when the incident is over, DomainError when one of them cannot respond: then nobody is added.
    """
    incident = _open(number, by=by, now=now)
    _check_role(role)
    people = list({person.pk: person for person in people}.values())
    if not people:
        raise DomainError("Choose at least one person to add.")
    if role == Role.COMMANDER and len(people) > 1:
        raise DomainError("An incident has one commander. Choose one person.")
    for person in people:
        _check(person, incident)
    message = " ".join(storable(message).split())[:LONGEST_MESSAGE]
    known = {one.user_id: one for one in incident.responders.all()}
    for person in people:
        row = known.get(person.pk)
        if by is not None and by.pk == person.pk:
            join(number, by=by, now=now, via=via)
        elif row is None or row.declined_at:
            _ask(incident, person, row, message, by=by, now=now, via=via)
        if role != Role.RESPONDER:
            _take_role(incident, person, role, by=by, now=now, via=via)
    return incident


def _ask(incident, person, row, message, *, by, now, via):
    row = row or Responder(incident=incident, user=person)
    row.added_by, row.added_at, row.declined_at = by, now, None
    row.save()
    text = f"{by or 'The system'} asked {person} to help. {message}".strip()
    timeline.record(incident, "responder_added", text, at=now, by=by, via=via, user=person.pk)
    incident.page_number += 1
    incident.save(update_fields=["page_number"])
    escalation.page_person(
        incident,
        person,
        key=f"{KEY}{incident.page_number}",
        now=now,
        via=via,
        by=by,
        event="responder_requested",
        why=f"asked to help by {by or 'the system'}",
        said=text,
    )


KEY = "responder"  # how the pages of those who are asked to help begin, behind the topic


@transaction.atomic
def set_role(number, user, role, *, by, now, via="web"):
    """Give a responder a role. There is one commander: taking the role moves it from whoever had it.

    Whoever takes a role themselves joins with it. Raises DomainError when somebody else is no responder yet, or
    declined.
    """
    incident = _open(number, by=by, now=now)
    _check_role(role)
    if by is not None and by.pk == user.pk:
        join(number, by=by, now=now, via=via)
    elif (row := incident.responders.filter(user=user).first()) is None:
        raise DomainError(f"{user} is no responder of this incident. Add them first.")
    elif row.declined_at:
        raise DomainError(f"{user} declined. Add them once more to ask again, or give the role to somebody else.")
    _take_role(incident, user, role, by=by, now=now, via=via)
    return incident


def _take_role(incident, user, role, *, by, now, via):
    row = incident.responders.get(user=user)
    if row.role == role:
        return
    before = None
    if role == Role.COMMANDER:
        before = incident.responders.select_related("user").filter(role=Role.COMMANDER).first()
        incident.responders.filter(role=Role.COMMANDER).update(role=Role.RESPONDER)
    row.role = role
    row.save(update_fields=["role"])
    word = Role(role).label.lower()
    after = f" after {before.user}" if before else ""
    by_whom = "" if by and by.pk == user.pk else f", says {by or 'the system'}"
    text = f"{user} is {word} now{after}{by_whom}."
    timeline.record(incident, "role", text, at=now, by=by, via=via, user=user.pk, role=role)


@transaction.atomic
def join(number, *, by, now, via="web"):
    """Say that one is on it: who was asked, or whoever comes by themselves. Twice is harmless."""
    incident = _open(number, by=by, now=now)
    row = incident.responders.filter(user=by).first()
    if row and row.joined_at:
        return incident
    if row is None:
        _check(by, incident)
        row = Responder(incident=incident, user=by, added_by=by, added_at=now)
    row.joined_at, row.declined_at = now, None
    row.save()
    timeline.record(incident, "joined", f"{by} joined.", at=now, by=by, via=via)
    _stop_asking(incident, by, f"joined by {by}", now=now, is_answered=True)
    return incident


@transaction.atomic
def decline(number, *, by, now, via="web", reason=""):
    """Say that one cannot help; whoever asked hears of it. Twice is harmless. Raises DomainError when nobody asked."""
    incident = lifecycle.locked(number)
    row = incident.responders.select_related("added_by").filter(user=by).first()
    if row is None:
        raise DomainError("Nobody asked you to help with this incident, so there is nothing to decline.")
    if row.declined_at:
        return incident
    row.declined_at, row.joined_at = now, None
    fields = ["declined_at", "joined_at"]
    was_commander = row.role == Role.COMMANDER
    if was_commander:
        row.role = Role.RESPONDER
        fields.append("role")
    row.save(update_fields=fields)
    reason = " ".join(storable(reason).split())[:LONGEST_MESSAGE]
    more = "The incident has no commander now." if was_commander else ""
    text = " ".join(filter(None, (f"{by} declined.", reason, more)))
    timeline.record(incident, "declined", text, at=now, by=by, via=via)
    _stop_asking(incident, by, f"declined by {by}", now=now, is_answered=True)
    if row.added_by_id and row.added_by_id != by.pk:
        message = messages.changed(
            incident, event="responder_declined", what="Declined", text=text, by=by, via=via, more={"in_thread": True}
        )
        news.tell_people(incident, [row.added_by_id], message, key=f"declined{row.pk}:{now:%Y%m%d%H%M%S%f}", now=now)
    return incident


@transaction.atomic
def remove(number, user, *, by, now, via="web"):
    """Take somebody off the incident, and stop asking them. Raises NotFound when they are not on it."""
    incident = lifecycle.locked(number)
    row = incident.responders.filter(user=user).first()
    if row is None:
        raise NotFound(f"{user} is no responder of incident #{incident.pk}.")
    row.delete()
    text = f"{user} left." if by and by.pk == user.pk else f"{user} was taken off by {by or 'the system'}."
    timeline.record(incident, "responder_removed", text, at=now, by=by, via=via, user=user.pk)
    _stop_asking(incident, user, f"taken off by {by or 'the system'}", now=now, is_answered=False)
    return incident


def _stop_asking(incident, user, reason, *, now, is_answered):
    """End the pages that asked this person to help, and no others: the escalation may mean them as well."""
    State = Notification.State
    pages = Notification.objects.filter(
        topic=incident.topic, user=user, kind__in=CALLS, plan_key__startswith=f"{incident.topic}:{KEY}"
    )
    # Locked in the order of their numbers, as everywhere, so that two such statements cannot deadlock.
    pks = list(pages.order_by("pk").select_for_update().values_list("pk", flat=True))
    rows = Notification.objects.filter(pk__in=pks)
    rows.filter(state=State.PENDING).update(state=State.CANCELLED, due_at=None, reason=reason)
    rows.filter(state=State.SENDING).update(due_at=None, reason=reason)
    if is_answered:
        received = (State.SENT, State.DELIVERED, State.READ)
        rows.filter(state__in=received).update(state=State.ACKNOWLEDGED, acknowledged_at=now, receipt_due_at=None)


def _open(number, *, by, now):
    incident = lifecycle.locked(number)
    if not incident.is_open:
        raise lifecycle.refused(incident, "respond", by=by, now=now)
    return incident


def _check_role(role):
    if role not in Role.values:
        raise DomainError(f"“{role}” is not a role. Use {', '.join(Role.values)}.")


def _check(person, incident):
    if not person.is_active:
        raise DomainError(f"{person} is deactivated. Choose somebody who is active.")
    if person.is_machine:
        raise DomainError(f"{person} is a machine and cannot be paged. Choose a person.")
    if not may_once_seen(person, "respond", incident):  # whoever is called sees it, also in a private team
        raise DomainError(f"{person} may only look at incidents. Choose a responder, or change their role first.")
