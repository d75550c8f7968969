"""What a responder answers from outside: one verb, run for them, and a sentence that says what came of it.

The doors of this folder (links, Slack, text messages, calls, Telegram) check who answers and then call this.
"""

import dataclasses

from accounts.permissions import may, visible
from accounts.visibility import hushed
from core.errors import DomainError
from incidents import figures, lifecycle
from incidents.models import Incident
from notifications.message import Kind
from notifications.models import Notification

VERBS = {
    "acknowledge": lifecycle.acknowledge,
    "resolve": lifecycle.resolve,
    "escalate": lifecycle.escalate,
    "note": lifecycle.add_note,
}
NOTED = {"note": "text", "resolve": "note"}  # what the words that come with a verb are called
TOLD = 3  # so many of a bundle's incidents with which it went otherwise are told one by one
NO_READER = "This message belongs to nobody in particular, so it cannot tell who answers. Sign in and answer there."


@dataclasses.dataclass(frozen=True)
class Reply:
    """What came of an answer: a sentence for the person, the incident as it is now, and whether it was done.

    After an answer to a bundle `incident` is None and `incidents` has them all.
    """

    text: str
    incident: Incident | None = None
    is_done: bool = False
    incidents: tuple = ()


def numbers_of(notification):
    """The incidents that a message is about: one, or those of its bundle."""
    rows = [notification]
    if notification.kind == Kind.BUNDLE:
        rows = Notification.objects.filter(bundle=notification).order_by("id")
    kinds = (row.topic.partition(":") for row in rows)
    return list(dict.fromkeys(int(number) for kind, _, number in kinds if kind == "incident"))


def answer_message(notification, verb, *, by=None, via, now, note=""):
    """Run a verb for the reader of a message (or for `by`) on all incidents that the message is about."""
    by = by or notification.user
    if by is None:
        return Reply(NO_READER)
    numbers = numbers_of(notification)
    if not numbers:
        return Reply("This message is not about an incident, so there is nothing to answer.")
    # In the order of their numbers, as everywhere, so that two answers to two bundles cannot deadlock.
    replies = [answer(number, verb, by=by, via=via, now=now, note=note) for number in sorted(numbers)]
    if len(replies) == 1:
        return replies[0]
    return Reply(
        _together(verb, replies, by),
        is_done=any(reply.is_done for reply in replies),
        incidents=tuple(reply.incident for reply in replies if reply.incident),
    )


def answer(number, verb, *, by, via, now, note=""):
    """Run a verb (acknowledge, resolve, escalate, note) for a person. Raises no DomainError: the Reply says it."""
    incident = _seen(by).select_related("service", "team", "acknowledged_by").filter(pk=number).first()
    if incident is None:
        return Reply(f"There is no incident #{number}.")
    if verb not in VERBS:
        return Reply(f"“{verb}” is not something to do with an incident. Use {', '.join(VERBS)}.", incident)
    if not may(by, "respond", incident):
        return Reply(refusal(by), incident)
    more = {NOTED[verb]: note} if verb in NOTED else {}
    was_mine = incident.acknowledged_by_id == by.pk
    try:
        incident = VERBS[verb](number, by=by, now=now, via=via, **more)
    except DomainError as error:
        return Reply(f"{_name(incident)}: {hushed(by)(error.message)}", incident)
    return Reply(_said(incident, verb, by, was_mine), incident, is_done=True)


def seen_of(numbers, by):
    """Those of the incidents that the person may see, in the same order."""
    known = set(_seen(by).filter(pk__in=numbers).values_list("pk", flat=True))
    return [number for number in numbers if number in known]


def _seen(by):
    return visible(Incident.objects.all(), by)


def refusal(by):
    """Why this person may not answer, and what to do about it."""
    return (
        f"{by} may not answer: the account is deactivated or only reads. Ask an admin to change that. "
        "The escalation goes on, so somebody else is called."
    )


def _name(incident):
    return f"#{incident.pk} {incident.title}"


def _said(incident, verb, by, was_mine):
    name = _name(incident)
    if verb == "acknowledge":
        if incident.acknowledged_by_id == by.pk:
            return f"You {'already ' if was_mine else ''}have {name}. The calls have stopped."
        who = incident.acknowledged_by or "The monitoring tool"
        return f"{who} already has {name}, acknowledged {figures.answer_text(incident)}."
    if verb == "resolve":
        return f"{name} is resolved."
    if verb == "escalate":
        return f"The next level is called for {name}."
    return f"The note is in the timeline of {name}."


def _together(verb, replies, by):
    """One text for the replies to a bundle: what went as wished is counted, the rest is told."""
    wished = [
        reply
        for reply in replies
        if reply.is_done and (verb != "acknowledge" or reply.incident.acknowledged_by_id == by.pk)
    ]
    if len(wished) <= 1:
        wished = []
    others = [reply for reply in replies if reply not in wished]
    sentences = []
    if wished:
        numbers = _listed([f"#{reply.incident.pk}" for reply in wished])
        sentences.append(
            {
                "acknowledge": f"You have {numbers}. The calls have stopped.",
                "resolve": f"{numbers} are resolved.",
                "escalate": f"The next level is called for {numbers}.",
                "note": f"The note is in the timelines of {numbers}.",
            }[verb]
        )
    sentences += [reply.text for reply in others[:TOLD]]
    if len(others) > TOLD:
        sentences.append(f"{len(others) - TOLD} more could not be done or were done already: look at the list.")
    return " ".join(sentences)


def _listed(words):
    """“#1, #2 and #3”; of many the first ones and a count."""
    if len(words) > 8:
        return f"{', '.join(words[:6])} and {len(words) - 6} more"
    return f"{', '.join(words[:-1])} and {words[-1]}"
