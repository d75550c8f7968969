"""The queue's door: wake-ups that say "look now"."""

from core.due import due_work
from oncall import handoffs, imports, inspection, swaps


@due_work("handoffs", oldest=handoffs.oldest_due)
def tell_handoffs():
    handoffs.run()


@due_work("coverage", oldest=inspection.oldest_due)
def inspect_coverage():
    inspection.run()


@due_work("calendars", oldest=imports.oldest_due)
def read_calendars():
    imports.run()


@due_work("shift requests", oldest=swaps.oldest_due)
def expire_shift_requests():
    swaps.run()
