"""One verb for many incidents. Each is a transaction of its own, and each says what came of it."""

import dataclasses
import datetime as dt

from accounts.permissions import may, visible
from accounts.visibility import hushed
from core.errors import DomainError
from incidents import figures, lifecycle, merging
from incidents.models import Incident

MOST_AT_ONCE = 200
VERBS = {"acknowledge": "Acknowledge", "resolve": "Resolve", "merge": "Merge"}
DONE = {"acknowledge": "acknowledged", "resolve": "resolved", "merge": "merged"}


@dataclasses.dataclass
class Result:
    """What came of one incident: `text` is a sentence for people."""

    number: int
    is_done: bool
    text: str


def do_many(verb, numbers, *, by, now, via="web", note="", into=None):
    """Do it to each of the incidents that the person may change; returns a Result for each, in the given order.

    Raises DomainError when nothing can be done at all: no incident, too many, or none to merge into.
    """
    numbers = list(dict.fromkeys(numbers))
    if verb not in VERBS:
        raise DomainError(f"“{verb}” is not done to many at once. Use {', '.join(VERBS)}.")
    if not numbers:
        raise DomainError("No incident is selected. Select at least one, then press again.")
    if len(numbers) > MOST_AT_ONCE:
        raise DomainError(
            f"{len(numbers)} incidents are selected, and at most {MOST_AT_ONCE} are done at once. Select fewer."
        )
    if verb == "merge":
        numbers = _without_target(numbers, into, by)
    people = Incident.objects.select_related("team", "assignee", "acknowledged_by", "resolved_by")
    found = {one.pk: one for one in visible(people.filter(pk__in=numbers), by)}
    hush = hushed(by)
    return [
        _do(verb, number, found.get(number), by=by, now=now, via=via, note=note, into=into, hush=hush)
        for number in numbers
    ]


def _without_target(numbers, into, by):
    target = visible(Incident.objects.filter(pk=into), by).first() if into is not None else None
    if target is None:
        raise DomainError("Choose the incident that the others are merged into.")
    if not may(by, "respond", target):
        raise DomainError(f"Only responders of its team merge into #{into}. Choose another, or ask one of them.")
    numbers = [number for number in numbers if number != into]
    if not numbers:
        raise DomainError(f"Select at least one incident besides #{into}, which the others are merged into.")
    return numbers


def _do(verb, number, incident, *, by, now, via, note, into, hush):
    if incident is None:
        return Result(number, False, f"#{number}: there is no such incident.")
    if not may(by, "respond", incident):
        return Result(number, False, f"#{number}: only responders of its team do this.")
    caller = {"by": by, "now": now, "via": via}
    try:
        if verb == "acknowledge":
            after = lifecycle.acknowledge(number, **caller)
            if after.acknowledged_at != now:
                return Result(number, True, f"#{number}: {_taken(incident, now)}")
        elif verb == "resolve":
            lifecycle.resolve(number, note=note, **caller)
        else:
            merging.merge(number, into=into, **caller)
    except DomainError as error:
        text = _over(number, by, now) or error.message.removeprefix(f"#{number}: ")
        return Result(number, False, f"#{number}: {hush(text)}")
    return Result(number, True, f"#{number} merged into #{into}." if verb == "merge" else f"#{number} {DONE[verb]}.")


def _over(number, by, now):
    """“Bob resolved it 2 m 3 s ago.” Read again, since it may have changed a moment ago; "" when it is open."""
    incident = Incident.objects.select_related("resolved_by").get(pk=number)
    if incident.is_open:
        return ""
    who = "You" if incident.resolved_by == by else incident.resolved_by or "The system"
    if incident.merged_into_id:
        return f"{who} merged it into #{incident.merged_into_id} {_ago(incident.merged_at, now)}."
    return f"{who} resolved it {_ago(incident.resolved_at, now)}."


def _taken(incident, now):
    incident.refresh_from_db(fields=["acknowledged_by", "acknowledged_at"])
    return f"{incident.acknowledged_by or 'The source'} acknowledged it {_ago(incident.acknowledged_at, now)}."


def _ago(at, now):
    return f"{figures.span(now - at)} ago" if now - at >= dt.timedelta(seconds=1) else "just now"


def said(verb, results):
    """What came of all of them, in one sentence."""
    done = sum(one.is_done for one in results)
    if done == len(results):
        return f"{_incidents(done)} {DONE[verb]}."
    return f"{done} of {_incidents(len(results))} {DONE[verb]}. See what became of the others."


def _incidents(count):
    return "1 incident" if count == 1 else f"{count} incidents"
