"""What the floor below has to say to the admins."""

from django.dispatch import receiver

from accounts.signals import account_mail_failed, break_glass_used
from core.signals import limits_blind, limits_seeing
from notifications import alarms

LIMITS = "limits"


@receiver(limits_blind)
def say_that_limits_are_not_shared(now, **kwargs):
    text = (
        "The limits cannot be counted together: the store that all processes share does not answer. Alerts and "
        "answers to pages pass without limits; the rest is counted by each process alone. See to Redis, or to "
        "PostgreSQL where there is no REDIS_URL; the log of the web process says what is wrong."
    )
    alarms.raise_alarm(LIMITS, text, now=now)


@receiver(limits_seeing)
def say_that_limits_are_shared_again(now, **kwargs):
    alarms.clear_alarm(LIMITS, now=now)


@receiver(break_glass_used)
def ring_for_break_glass(user, address, now, **kwargs):
    """Each use opens an alarm of its own: a second one within the hour is news, too."""
    where = f" from {address}" if address else ""
    text = (
        f"The break-glass account {user} signed in{where} at {now:%Y-%m-%d %H:%M} UTC, without single sign-on. "
        "If none of the admins did, deactivate the account and change its password."
    )
    alarms.raise_alarm(f"break-glass:{user.pk}:{now:%Y%m%d%H%M%S}", text, now=now)


@receiver(account_mail_failed)
def say_that_an_account_mail_failed(mail, reason, now, **kwargs):
    """Somebody waits for it, perhaps locked out. A mail to an address that was typed wrongly tells who typed it."""
    text = (
        f"The mail “{mail.kind}” to {mail.address} could not be delivered and was given up: {reason} "
        "It is listed in the admin under Account mails; send it again when the cause is gone."
    )
    alarms.raise_alarm(f"account-mail:{mail.kind}", text, now=now)
