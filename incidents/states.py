"""Which move is legal. Forward only; `resolved` from any open state.

The only exception is a merge that is taken back: the incident stands again where it stood before. See merging.py.
"""

from core.errors import IllegalMove

TRIGGERED = "triggered"
ACKNOWLEDGED = "acknowledged"
INVESTIGATING = "investigating"
REMEDIATING = "remediating"
RESOLVED = "resolved"
CLOSED = "closed"

CHOICES = [
    (TRIGGERED, "Triggered"),
    (ACKNOWLEDGED, "Acknowledged"),
    (INVESTIGATING, "Investigating"),
    (REMEDIATING, "Remediating"),
    (RESOLVED, "Resolved"),
    (CLOSED, "Closed"),
]
OPEN = (TRIGGERED, ACKNOWLEDGED, INVESTIGATING, REMEDIATING)

# (state, verb) -> state. What is not here is refused.
MOVES = {
    (TRIGGERED, "acknowledge"): ACKNOWLEDGED,
    (ACKNOWLEDGED, "start"): INVESTIGATING,
    (ACKNOWLEDGED, "remediate"): REMEDIATING,
    (INVESTIGATING, "remediate"): REMEDIATING,
    (TRIGGERED, "resolve"): RESOLVED,
    (ACKNOWLEDGED, "resolve"): RESOLVED,
    (INVESTIGATING, "resolve"): RESOLVED,
    (REMEDIATING, "resolve"): RESOLVED,
    (RESOLVED, "close"): CLOSED,
}

NEXT_STEP = {
    TRIGGERED: "Acknowledge it first.",
    ACKNOWLEDGED: "Start, remediate or resolve it.",
    INVESTIGATING: "Remediate or resolve it.",
    REMEDIATING: "Resolve it.",
    RESOLVED: "It is over: close it, or trigger a new incident if the trouble is back.",
    CLOSED: "Nothing can change any more: trigger a new incident if the trouble is back.",
}

PAST = {
    "acknowledge": "acknowledged",
    "start": "started",
    "remediate": "moved to remediation",
    "resolve": "resolved",
    "close": "closed",
    "escalate": "escalated",
    "reassign": "reassigned",
    "edit": "edited",
    "snooze": "snoozed",
    "unsnooze": "woken",
    "merge": "merged",
    "respond": "given more people",
    "list": "given tasks",
    "update": "reported on",
}


def after(verb, state):
    """The state that `verb` leads to from `state`. Raises IllegalMove with the next step when it leads nowhere."""
    try:
        return MOVES[state, verb]
    except KeyError:
        raise refused(verb, state) from None


def refused(verb, state, *, happened="", next_step=""):
    """The error for a verb that this state does not allow. `happened` is a sentence: who brought it there, when."""
    sentence = f"{happened} This incident is {state}, so it cannot be {PAST[verb]}. {next_step or NEXT_STEP[state]}"
    return IllegalMove(sentence.strip())


def verbs(state):
    """The verbs that are legal now, in the order people use them."""
    order = ["acknowledge", "start", "remediate", "resolve", "close"]
    found = [verb for verb in order if (state, verb) in MOVES]
    if state in OPEN:
        found += ["escalate", "reassign", "snooze"]
    return found
