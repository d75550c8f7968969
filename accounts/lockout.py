"""Guessing: who has failed too often, from where, and the way back.

django-axes counts failures in the database, so all processes share them, by name and address: LOCKOUT_FAILURES from
one address close that address for that name, for LOCKOUT_MINUTES. Whoever guesses elsewhere closes nothing for the
person at their own desk.

Guessing from many addresses at once meets a wait that grows with the failures of all of them together. It does not
hold where the person has signed in before, so it cannot be used to keep anybody out of their own house.
"""

import datetime as dt
import math

from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.db.models import Max, Sum

from accounts import signals
from core.announce import announce
from core.limits import client_address

FREE_FAILURES = 10  # from all addresses together, before anybody has to wait
LONGEST_WAIT = dt.timedelta(minutes=1)  # one guess a minute is none, and a person can bear it
KNOWN_DAYS = 90


def name_of(request, credentials):
    """The name that was typed, as failures are counted by it. For django-axes."""
    credentials = credentials or {}
    return str(credentials.get("email") or credentials.get("username") or "").strip().lower()[:255]


def address_of(request):
    """The client's address, or None where there is none. For django-axes."""
    return client_address(request) or None


def respond(request, original_response, credentials):
    """Leave the answer as our page wrote it. For django-axes."""
    return original_response


def refusal(request, email, *, now):
    """Why nobody may try this name from here now, in a sentence, or "". The same for names that nobody has."""
    name, address = name_of(request, {"email": email}), address_of(request)
    rows = AccessAttempt.objects.filter(username=name, attempt_time__gt=now - settings.AXES_COOLOFF_TIME)
    here = rows.filter(ip_address=address).aggregate(count=Sum("failures_since_start"), last=Max("attempt_time"))
    if (here["count"] or 0) >= settings.AXES_FAILURE_LIMIT:
        return _sentence(here["last"] + settings.AXES_COOLOFF_TIME - now)
    known = AccessLog.objects.filter(username__iexact=name, attempt_time__gt=now - dt.timedelta(days=KNOWN_DAYS))
    everywhere = rows.exclude(ip_address__in=known.values("ip_address")).aggregate(
        count=Sum("failures_since_start"), last=Max("attempt_time")
    )
    left = _wait(everywhere["count"] or 0) - (now - everywhere["last"]) if everywhere["last"] else dt.timedelta(0)
    if left <= dt.timedelta(0) or known.filter(ip_address=address).exists():
        return ""
    return _sentence(left)


def failed(request, email):
    """Count a failure of this name at this address, for what is guessed beside passwords: codes."""
    user_login_failed.send(sender=__name__, credentials={"email": email}, request=request)


@transaction.atomic
def unlock(user, *, by, now):
    """Forget the failures for the person's name from everywhere. Returns how many addresses had some."""
    rows = AccessAttempt.objects.filter(username=name_of(None, {"email": user.email}))
    count = rows.values("ip_address").distinct().count()
    rows.delete()
    announce(signals.account_unlocked, user=user, by=by, now=now)
    return count


def forget_old(*, now):
    """Delete what neither locks anybody out nor makes an address known any more."""
    AccessAttempt.objects.filter(attempt_time__lt=now - settings.AXES_COOLOFF_TIME).delete()
    AccessLog.objects.filter(attempt_time__lt=now - dt.timedelta(days=KNOWN_DAYS)).delete()


def _wait(failures):
    """How long everybody at an unknown address waits after so many failures: 1, 2, 4 … seconds."""
    over = failures - FREE_FAILURES
    return dt.timedelta(0) if over < 0 else min(dt.timedelta(seconds=2 ** min(over, 10)), LONGEST_WAIT)


def _sentence(left):
    seconds = max(1, math.ceil(left.total_seconds()))
    wait = f"{seconds} second{'s' * (seconds > 1)}" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
    return (
        f"Too many attempts for this address failed. Wait {wait}, then try again; "
        "if it cannot wait, an admin can unlock the account."
    )
