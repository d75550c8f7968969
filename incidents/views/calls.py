"""What several pages say: whom the escalation calls next."""

import logging

from incidents import escalation

logger = logging.getLogger(__name__)
LONGEST_NUMBER = 18  # so many digits fit a bigint; int() refuses thousands of them


def next_calls(incidents, *, now):
    """`{number: Step}`: whom the escalation calls next, as it would decide now; in a constant number of queries."""
    waiting = [one for one in incidents if one.next_escalation_at]
    if not waiting:
        return {}
    try:
        callers = escalation.Callers([one.policy for one in waiting], now=now)
        return {one.pk: callers.step(one) for one in waiting}
    except (AttributeError, KeyError, TypeError, ValueError):  # a broken copy of a policy must not hide the incidents
        logger.warning("Whom the escalation calls next cannot be shown.", exc_info=True)
        return {}


def number_of(text):
    """The number that somebody typed or picked, or None when nothing can have it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None
