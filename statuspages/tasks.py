"""The queue's door to status pages."""

from django.utils import timezone

from core.due import alone, due_work, housekeeping
from notifications.tasks import OUTSIDE_LOCK
from statuspages import copying, exporting, maintenance, partners, subscribing

EXPORT_LOCK = 7_230_420


@due_work("status pages", oldest=copying.oldest_due)
def compute_pages():
    copying.run(now_of=timezone.now)


@due_work("status exports", oldest=exporting.oldest_due, is_patient=True)
def write_exports():
    """One worker at a time: a disk that hangs must not hold up those that page people."""
    with alone(EXPORT_LOCK) as is_ours:
        if is_ours:
            exporting.run(now_of=timezone.now)


@due_work("status posts", oldest=maintenance.oldest_due)
def move_posts():
    maintenance.run(now_of=timezone.now)


@due_work("status notices", oldest=subscribing.oldest_due, is_patient=True)
def tell_subscribers():
    """One worker at a time is busy with readers outside, whatever they need; the others are free for pages."""
    with alone(OUTSIDE_LOCK) as is_ours:
        if is_ours:
            subscribing.tell_due(timezone.now())


@housekeeping
def forget_old_subscribers(now):
    subscribing.forget_old(now=now)


housekeeping(partners.forget_old)
