"""Why somebody was paged, or was not: told from what the escalation wrote down at the time. Values in, values out."""

import dataclasses
import re

PAGING = {"paged", "nobody_reached", "escalation_ended", "escalated", "snoozed", "snooze_ended", "unreached"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """`verdict` is one sentence; `reasons` are `(at, sentence)` as they were written then, oldest first."""

    was_paged: bool
    verdict: str
    reasons: tuple


def why(name, *, is_reader, times, entries, incident, next_names=(), has_it=False):
    """Say why the person called `name` was paged for the incident, or why not.

    `times` is how often they were paged; `entries` are `(at, kind, sentences)` of the timeline, oldest first;
    `incident` has the state and the copy of the policy; `next_names` are those whom the escalation calls next.
    """
    said = _naming(name, entries)
    subject, was = ("You", "were") if is_reader else (name, "was")
    if times:
        often = "once" if times == 1 else f"{times} times"
        return Answer(True, f"{subject} {was} paged {often}.", said)
    verdict = f"{subject} {was} not paged. "
    if said:
        return Answer(False, f"{verdict}This is what was written down about {'you' if is_reader else name}:", said)
    if name in next_names:
        verdict += f"{subject} {'are' if is_reader else 'is'} called next, if nobody acknowledges before."
    elif has_it:
        verdict += f"{subject} {'have' if is_reader else 'has'} it without a page."
    elif not incident.policy:
        verdict += "The incident has no escalation policy, so nobody is called by itself."
    elif not incident.escalation_level and not incident.escalation_round:
        verdict += f"No level of {incident.policy.get('name', 'its policy')} was called yet."
    else:
        called = incident.escalation_level
        last = max((one.get("number", 0) for one in incident.policy.get("levels", ())), default=0)
        verdict += (
            f"Level {called} of {last} was the last that was called, and at that time no level so far meant "
            f"{'you' if is_reader else name}."
        )
        if incident.status != "triggered":
            verdict += " Higher levels are called only while nobody has it."
    return Answer(False, verdict, ())


def _naming(name, entries):
    """The sentences that name the person, each once, with the time at which it was written first."""
    pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    found = {}
    for at, kind, sentences in entries:
        if kind not in PAGING:
            continue
        for sentence in sentences:
            if pattern.search(sentence):
                found.setdefault(sentence, at)
    return tuple((at, sentence) for sentence, at in found.items())
