"""What is known of incidents when they are over, for who writes about them: each table tells its own lines.

A floor above tells of its tables by `@teller`. Names of what is hidden from a reader are taken out where it is shown.
"""

import dataclasses
import datetime as dt

from incidents.models import TimelineEntry
from notifications.message import CALLS
from notifications.models import Notification, channels

ENTRY, ALERT, CHANGE, CHAT, NOTIFICATION = "entry", "alert", "change", "chat", "notification"
MOST = 500  # lines of one table about one incident: nobody reads more, and a storm has tens of thousands
LONGEST = 2000

# What the tellers above say better, or what is about the writing itself.
ELSEWHERE = ("alert_added", "postmortem")
# Bookkeeping: there for who looks for it, and not shown at first.
MINOR = frozenset(
    {"task_added", "task_edited", "task_removed", "task_reopened", "role", "proposed", "reviewed", "moved_on"}
)


@dataclasses.dataclass(frozen=True)
class Happened:
    """One line of what happened. `reference` names the row, for example `entry:17`: the same each time."""

    at: dt.datetime
    text: str
    source: str
    reference: str
    incident: int
    is_shown: bool = True  # False: of little weight, so it waits until somebody picks it


_tellers = []


def teller(function):
    """Decorate a function `(numbers of incidents) -> [Happened]`, in any order."""
    _tellers.append(function)
    return function


def happened(numbers):
    """All that is known of these incidents, the oldest first."""
    numbers = sorted(set(numbers))
    if not numbers:
        return []
    found = [one for function in _tellers for one in function(numbers)]
    return sorted(found, key=lambda one: (one.at, one.reference))


def cut(text):
    """The text as long as a line may be."""
    text = text.strip()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def chats():
    """The ways in from where people write while they talk with each other: channels whose messages stay in place."""
    return {kind for kind, channel in channels.classes().items() if channel.is_for_teams and channel.can_update}


@teller
def entries(numbers):
    """The timeline, with what came from a chat told apart."""
    found, said_in_chat = [], chats()
    for number in numbers:
        rows = TimelineEntry.objects.filter(incident=number).exclude(kind__in=ELSEWHERE).select_related("by")
        found += [
            Happened(
                row.at,
                cut(_said(row)),
                CHAT if row.via in said_in_chat else ENTRY,
                f"entry:{row.pk}",
                number,
                row.kind not in MINOR,
            )
            for row in rows.order_by("id")[:MOST]
        ]
    return found


def _said(entry):
    """The sentence of an entry; of what somebody typed also who it was."""
    if entry.kind == "note":
        return f"{entry.by or 'The system'}: {entry.text}"
    if entry.kind == "update":
        return f"{entry.by or 'The system'} told the stakeholders: {entry.text}"
    return entry.text


@teller
def pages(numbers):
    """Who was called, and whether it arrived. Repeats wait until somebody picks them."""
    found = []
    names = dict(channels.choices())
    for number in numbers:
        rows = Notification.objects.filter(topic=f"incident:{number}", kind__in=sorted(CALLS))
        rows = rows.exclude(state=Notification.State.CANCELLED).select_related("user", "destination")
        for row in rows.order_by("id")[:MOST]:
            how = names.get(row.channel, row.channel)
            outcome = row.get_state_display().lower() + (f": {row.reason}" if row.reason else "")
            text = f"{row.reader or 'Somebody who was deleted'} was paged by {how} ({outcome})."
            at = row.sent_at or row.planned_at
            found.append(Happened(at, cut(text), NOTIFICATION, f"notification:{row.pk}", number, not row.is_repeat))
    return found
