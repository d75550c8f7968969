"""Tasks of the house itself."""

import datetime as dt

from django.utils import timezone
from django_q.models import Failure

from core import buckets, due, idempotency
from core.models import WorkerBeat


def canary():
    """Prove that this cluster runs tasks."""
    due.beat()


def housekeep():
    """Run what every app registered with `@due.housekeeping`; forget clusters that are gone, and old failures."""
    now = timezone.now()
    due.beat()
    WorkerBeat.objects.filter(beat_at__lt=now - dt.timedelta(days=1)).delete()
    Failure.objects.filter(stopped__lt=now - dt.timedelta(days=7)).delete()
    for function in due.housekeepers():
        function(now=now)


due.housekeeping(idempotency.forget_old_keys)
due.housekeeping(buckets.forget_full_buckets)
