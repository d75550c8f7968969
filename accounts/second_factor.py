"""The second factor: who needs one, whether this session has proved one, and the way back for who lost theirs.

A session that was asked for a code or a passkey remembers whose it was, so a page asks the database nothing.
"""

import time

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.conf import settings
from django.db import transaction
from django.utils.crypto import constant_time_compare

from accounts import sessions, signals
from accounts.models import Role
from core import secrets
from core.announce import announce

NOBODY, ADMINS, EVERYBODY = "nobody", "admins", "everybody"
PROVED = "second_factor"  # in the session: the number of the person who proved it
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def is_required(user):
    """Whether the person may not work here without a second factor."""
    rule = settings.REQUIRE_SECOND_FACTOR
    return rule == EVERYBODY or (rule == ADMINS and user.role == Role.ADMIN)


def factors(user):
    """The rows of a person's second factors, without the recovery codes."""
    return Authenticator.objects.filter(user=user, type__in=FACTORS)


def prove(session, user):
    """Note in the session that this person proved a second factor."""
    session[PROVED] = str(user.pk)


def forget(session):
    """Take back what `prove` noted."""
    session.pop(PROVED, None)


def is_lacking(user, session):
    """Whether a person who is signed in must prove a second factor before anything else."""
    return user.is_authenticated and is_required(user) and session.get(PROVED) != str(user.pk)


def may_remove(authenticator):
    """Whether the person may do without this one: not when one is required and it is the last."""
    if not is_required(authenticator.user):
        return True
    return factors(authenticator.user).exclude(pk=authenticator.pk).exists()


@transaction.atomic
def reset(user, *, by, now):
    """Take every second factor of a person away and end their sessions, for who lost the phone. Returns how many."""
    count = factors(user).count()
    Authenticator.objects.filter(user=user).delete()
    sessions.end_all(user)
    announce(signals.second_factor_reset, user=user, by=by, count=count, now=now)
    return count


def matching_counter(secret, code):
    """The time step whose code this is, or None."""
    digits = "".join(code.split())
    for counter in yield_hotp_counters_from_time():
        if constant_time_compare(format_hotp_value(hotp_value(secret, counter)), digits):
            return counter
    return None


@transaction.atomic
def accept_totp(authenticator, code):
    """Whether the code is right and later than any code accepted before, which a stolen one is not (RFC 6238, 5.2)."""
    row = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
    counter = matching_counter(secrets.decrypt(row.data["secret"]), code)
    if counter is None or counter <= row.data.get("last_counter", 0):
        return False
    row.data["last_counter"] = counter
    row.save(update_fields=["data"])
    return True


def remember_first_code(authenticator, code, *, at=None):
    """Count the code that activated an authenticator as used. `at` are seconds since 1970."""
    counter = matching_counter(secrets.decrypt(authenticator.data["secret"]), code)
    authenticator.data["last_counter"] = counter or int(at or time.time()) // 30
    authenticator.save(update_fields=["data"])
