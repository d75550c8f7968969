"""Proof that an address belongs to the person: a code is sent to it, and they type it in.

Of a code only its keyed hash is kept for comparing. The message that carries it is planned with the code encrypted and
out of sight; only the copy that goes out shows it. See `reveal`.
"""

import dataclasses
import datetime
import secrets

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import User
from core.errors import DomainError, NotFound, TooMany
from core.secrets import decrypt, encrypt, fingerprint
from notifications import planning
from notifications.message import Kind, Message
from notifications.models import ContactMethod, Notification, channels

SALT = "notifications.verification"
FIELDS = ("verified_at", "code_hash", "code_expires_at", "code_tries")  # what `forget` changes
HIDDEN = "••• •••"  # stands in the message where the code will be
VALID = datetime.timedelta(minutes=10)
MOST_TRIES = 5
# Codes may not become a way to flood somebody: of one address, whoever asks, and of one person, whatever the address.
PER_ADDRESS, ADDRESS_WINDOW = 3, datetime.timedelta(minutes=10)
PER_PERSON, PERSON_WINDOW = 10, datetime.timedelta(hours=1)


@transaction.atomic
def send_code(method_id, *, by, now):
    """Send a new code to an address that is not verified; it replaces the one before. Returns the Notification.

    Raises DomainError when it cannot be verified by a code, TooMany when too many were sent.
    """
    method = _locked(method_id)
    if method.verified_at:
        raise DomainError("This address is verified already.", code="already_verified")
    if method.disabled_reason:
        raise DomainError(f"This address is not used: {method.disabled_reason}", code="disabled")
    if method.channel not in channels or not channels.get(method.channel).is_typed:
        raise DomainError("This address is not verified by a code. Connect it again instead.", code="no_code")
    topic = _topic(method)
    with connection.cursor() as cursor:
        # Two people may have the same address: they must not both be the third.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [topic])
    sent = Notification.objects.filter(kind=Kind.VERIFICATION.value)
    _check(sent.filter(topic=topic), PER_ADDRESS, ADDRESS_WINDOW, "address", now)
    _check(sent.filter(user=method.user_id), PER_PERSON, PERSON_WINDOW, "person", now)
    code = f"{secrets.randbelow(1_000_000):06}"
    ContactMethod.objects.filter(pk=method.pk).update(
        code_hash=_hash(method, code), code_expires_at=now + VALID, code_tries=0
    )
    message = Message(
        title=f"Your {settings.SITE_NAME} code is {HIDDEN}",
        body=f"Type {HIDDEN} into your settings to verify this address. The code is valid for 10 minutes. "
        "If you did not ask for it, you need not do anything.",
        url=f"{settings.PUBLIC_URL}/settings",
        kind=Kind.VERIFICATION,
        data={"sealed_code": encrypt(code)},
    )
    return planning.write_probe(method, message, topic=topic, by=by, now=now)


def confirm(method_id, code, *, by, now):
    """Verify the address with the code that was sent to it. Returns the ContactMethod.

    Raises DomainError with a sentence that says how to go on: a wrong code, too many tries, or no valid code.
    """
    method = ContactMethod.objects.filter(pk=method_id).first()
    if method is None:
        raise NotFound("This contact method was removed.")
    if method.verified_at:
        return method
    # Every guess is counted before it is looked at, so that a hundred at once are five as well.
    is_counted = (
        ContactMethod.objects.filter(pk=method_id, code_tries__lt=MOST_TRIES, code_expires_at__gt=now)
        .exclude(code_hash="")
        .update(code_tries=F("code_tries") + 1)
    )
    method.refresh_from_db()
    if not is_counted:
        raise DomainError(_why_not(method, now), code="no_valid_code")
    digits = "".join(each for each in code if each.isdigit())
    if not constant_time_compare(_hash(method, digits), method.code_hash):
        left = MOST_TRIES - method.code_tries
        if left <= 0:
            raise DomainError("That is not the code, and it was the last try. Send a new one.", code="wrong_code")
        tries = "1 try is" if left == 1 else f"{left} tries are"
        raise DomainError(
            f"That is not the code. Look at the newest message; {tries} left.",
            code="wrong_code",
        )
    # Only while the code is still this one: a newer one, or a changed address, makes it void.
    ContactMethod.objects.filter(pk=method_id, code_hash=method.code_hash).update(
        verified_at=now, code_hash="", code_expires_at=None, code_tries=0
    )
    method.refresh_from_db()
    if not method.verified_at:
        raise DomainError("A newer code was sent meanwhile. Type that one.", code="wrong_code")
    return method


def forget(method):
    """Take back what was proved, on the row in memory: its address was changed, or has to be proved anew."""
    method.verified_at = method.code_expires_at = None
    method.code_hash, method.code_tries = "", 0


def reveal(message):
    """The message as it goes out: the code in the place that was kept for it. Other messages stay as they are."""
    sealed = message.data.get("sealed_code") if message.kind == Kind.VERIFICATION else None
    if not sealed:
        return message
    code = decrypt(sealed)
    words = f"{code[:3]} {code[3:]}"
    return dataclasses.replace(
        message,
        title=message.title.replace(HIDDEN, words),
        body=message.body.replace(HIDDEN, words),
        data={"code": words},
    )


def _locked(method_id):
    """The row, with its person's row locked before: whoever counts a person's codes comes one after the other."""
    user_id = ContactMethod.objects.filter(pk=method_id).values_list("user_id", flat=True).first()
    User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    method = ContactMethod.objects.select_for_update(no_key=True).filter(pk=method_id).first()
    if method is None:
        raise NotFound("This contact method was removed.")
    return method


def _topic(method):
    """Names the address without giving it away."""
    return f"verification:{fingerprint(f'{method.channel}:{method.address}')[:32]}"


def _check(rows, most, window, whose, now):
    if rows.filter(created_at__gt=now - window).count() < most:
        return
    # The oldest of the last ones makes room when it leaves the window.
    oldest = list(rows.order_by("-created_at").values_list("created_at", flat=True)[:most])[-1]
    minutes = max(1, -(-int((oldest + window - now).total_seconds()) // 60))
    spans = "10 minutes" if window == ADDRESS_WINDOW else "one hour"
    what = "to this address" if whose == "address" else "to you"
    raise TooMany(
        f"{most} codes were sent {what} within {spans}. "
        f"Wait {minutes} {'minute' if minutes == 1 else 'minutes'}, then send another one."
    )


def _hash(method, code):
    # The address is part of it: a code proves the address that it was sent to and no other.
    return salted_hmac(SALT, f"{method.pk}:{method.address}:{code}", algorithm="sha256").hexdigest()


def _why_not(method, now):
    if not method.code_hash or method.code_expires_at is None:
        return "No code was sent to this address yet. Send one."
    if method.code_expires_at <= now:
        return "This code has expired: it was valid for 10 minutes. Send a new one."
    return f"This code was tried {MOST_TRIES} times and is void. Send a new one."
