"""What several pages say: whom the escalation calls next."""

import logging

from incidents import escalation

logger = logging.getLogger(__name__)
LONGEST_NUMBER = 18  # so many digits fit a bigint; int() refuses thousands of them


def next_calls(incidents, *, now):
    """`{number: Step}`: whom the escalation calls next, as it would decide now; in a constant number of queries."""
    return _steps([one for one in incidents if one.next_escalation_at], now=now)


def step_of(incident, *, now):
    """The next Step of an incident, also while its escalation rests: whom “Call the next level” calls; or None."""
    return _steps([incident], now=now).get(incident.pk)


def _steps(incidents, *, now):
    if not incidents:
        return {}
    try:
        callers = escalation.Callers([one.policy for one in incidents], now=now)
        return {one.pk: callers.step(one) for one in incidents}
    except (AttributeError, KeyError, TypeError, ValueError):  # a broken copy of a policy must not hide the incidents
        logger.warning("Whom the escalation calls next cannot be shown.", exc_info=True)
        return {}


def number_of(text):
    """The number that somebody typed or picked, or None when nothing can have it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None
