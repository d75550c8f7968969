"""How services are now. The floors above know it, and say at start who answers: `@answers(OPEN_INCIDENTS)`.

A service has the word of the worst of its open incidents; without any, it is worked on, or it is fine. At risk is
what is fine and needs, directly or through others, a service with an incident of some weight.
"""

import dataclasses

FINE, MAINTENANCE = "fine", "maintenance"
# The worst first. The words of incidents are their severities.
LABELS = {
    "critical": "Critical",
    "high": "High",
    "medium": "Medium",
    "low": "Low",
    "info": "Info",
    MAINTENANCE: "Maintenance",
    FINE: "Fine",
}
CHOICES = list(LABELS.items())
RISK = "risk"
# How a service is marked, the worst first: by its own state, or that it is at risk.
MARKS = {**{word: label for word, label in LABELS.items() if word != FINE}, RISK: "At risk", FINE: LABELS[FINE]}
RANK = {word: place for place, word in enumerate(LABELS)}
HEAVY = {"critical", "high", "medium"}  # what needs a service in such a state is at risk

# What is asked of the floors above.
OPEN_INCIDENTS = "open incidents"  # (user, service ids or None) -> {service id: (severity, how many, how many wait)}
IN_MAINTENANCE = "in maintenance"  # (user, now) -> set of service ids
NEWEST = "newest"  # () -> the number from which a page begins to listen for news
_answers = {}


def answers(question):
    """Decorate the function of a floor above that answers the question."""

    def keep(function):
        _answers[question] = function
        return function

    return keep


@dataclasses.dataclass(frozen=True)
class State:
    word: str = FINE
    open_count: int = 0
    waiting_count: int = 0  # open incidents that nobody has acknowledged
    in_maintenance: bool = False

    @property
    def label(self):
        return LABELS[self.word]

    @property
    def rank(self):
        return RANK[self.word]

    @property
    def is_trouble(self):
        return self.open_count > 0


def of(user, *, now, service_ids=None):
    """A function `service id -> State`, as far as the person may know, in a constant number of queries."""
    troubles = _answers[OPEN_INCIDENTS](user, service_ids)
    worked_on = _answers[IN_MAINTENANCE](user, now)

    def state(service_id):
        severity, count, waiting = troubles.get(service_id, ("", 0, 0))
        is_worked_on = service_id in worked_on
        return State(severity or (MAINTENANCE if is_worked_on else FINE), count, waiting, is_worked_on)

    return state


def newest():
    """The number from which a page that is rendered now begins to listen for news."""
    return _answers[NEWEST]()
