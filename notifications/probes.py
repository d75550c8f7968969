"""Test messages: one real message to one address, by the way that pages go, and the truth about what became of it."""

import datetime

from django.conf import settings
from django.db import transaction

from core.errors import DomainError, TooMany
from core.zones import zone_of
from notifications import planning
from notifications.message import Kind, Message
from notifications.models import ContactMethod, Destination, Notification, channels, vendors

State = Notification.State

PER_ADDRESS, WINDOW = 5, datetime.timedelta(minutes=1)
# An address need not be verified, and removing one forgets its tests: nobody may flood a stranger, or the bill.
PER_PERSON, PERSON_WINDOW = 30, datetime.timedelta(hours=1)
STUCK = datetime.timedelta(seconds=10)  # what is due goes out within a second when the workers run

WAITING, SENDING, ACCEPTED = "waiting", "sending", "accepted"
DELIVERED, FAILED, NO_RECEIPT = "delivered", "failed", "no receipt"


@transaction.atomic
def send_test(address, *, by, now):
    """Send a test to a ContactMethod or a Destination, verified or not. Returns its Notification.

    Raises DomainError when the address is disabled or its channel is gone, TooMany after too many.
    """
    model = type(address)
    address = model.objects.select_for_update(no_key=True).get(pk=address.pk)
    if address.disabled_reason:
        raise DomainError(f"This address is not used: {address.disabled_reason}", code="disabled")
    if address.channel not in channels:
        raise DomainError(
            f"There is no channel “{address.channel}” any more. Remove this address and add another one.",
            code="no_channel",
        )
    recent = Notification.objects.filter(
        kind=Kind.TEST.value, created_at__gt=now - WINDOW, **{_relation(address): address}
    )
    if recent.count() >= PER_ADDRESS:
        raise TooMany(f"{PER_ADDRESS} tests were sent to this address within a minute. Wait a minute, then try again.")
    if isinstance(address, ContactMethod):
        tests = Notification.objects.filter(user=address.user_id, kind=Kind.TEST.value)
        if tests.filter(created_at__gt=now - PERSON_WINDOW).count() >= PER_PERSON:
            raise TooMany(f"{PER_PERSON} tests were sent to {address.user} within an hour. Try again later.")
    asked_at = now.astimezone(zone_of(by.time_zone if by else ""))
    who = f"{by} asked for it" if by else "It was asked for"
    message = Message(
        title=f"Test from {settings.SITE_NAME}",
        body=f"Messages reach this address. {who} on {asked_at:%d %B at %H:%M:%S %Z}. Nothing is wrong, "
        "and there is nothing to do.",
        url=f"{settings.PUBLIC_URL}/settings" if isinstance(address, ContactMethod) else f"{settings.PUBLIC_URL}/",
        kind=Kind.TEST,
    )
    topic = f"test:{_relation(address)}:{address.pk}"
    return planning.write_probe(address, message, topic=topic, by=by, now=now)


def outcome(notification, *, now=None, tz=datetime.UTC):
    """What became of a message: `(state word, sentence)`, without promising more than is known.

    With `now` it also says when nobody takes it up. Times are written in `tz`.
    """
    row = notification

    def clock(at):
        return f"{at.astimezone(tz):%H:%M:%S}" if at else "an unknown time"

    state = row.state
    if state == State.PENDING:
        if row.attempts and row.reason:
            again = f" It is tried again at {clock(row.due_at)}." if row.due_at else ""
            return WAITING, f"Try {row.attempts} did not work: {row.reason}{again}"
        if now and row.due_at and now - row.due_at > STUCK:
            seconds = int((now - row.due_at).total_seconds())
            return WAITING, (
                f"It has waited for {seconds} s and no worker has taken it up. "
                "Ask an admin whether the worker and the ticker run."
            )
        return WAITING, "It waits for its turn to be sent."
    if state == State.SENDING:
        return SENDING, "It is being sent now."
    if state == State.SENT:
        accepted = f"{_receiver(row)} accepted it at {clock(row.sent_at)}"
        if row.receipt_missed_at:
            return NO_RECEIPT, f"{accepted}, but no receipt came: it counts as not delivered."
        if row.receipt_due_at:
            return ACCEPTED, f"{accepted}. Waiting for the receipt, until {clock(row.receipt_due_at)}."
        return ACCEPTED, f"{accepted}. No receipts come from there: look whether the message is there."
    if state == State.DELIVERED:
        return DELIVERED, f"Delivered at {clock(row.delivered_at or row.sent_at)}."
    if state == State.READ:
        return DELIVERED, f"Delivered, and read at {clock(row.read_at)}."
    if state == State.ACKNOWLEDGED:
        return DELIVERED, f"Delivered, and answered at {clock(row.acknowledged_at)}."
    if row.receipt_missed_at and state == State.FAILED:
        return NO_RECEIPT, f"No receipt came in time: it counts as not delivered. {row.reason}".strip()
    words = {State.FAILED: "It failed", State.CANCELLED: "It was cancelled"}
    return FAILED, f"{words.get(state, 'It was not sent')}: {row.reason or 'no reason is known.'}"


def is_over(notification):
    """Whether nothing more is going to be known about it."""
    if notification.state in (State.PENDING, State.SENDING):
        return False
    return not (notification.state == State.SENT and notification.receipt_due_at)


def _relation(address):
    return "destination" if isinstance(address, Destination) else "contact_method"


def _receiver(row):
    vendor = row.provider.partition(":")[0]
    if vendor in vendors:
        return vendors.get(vendor).label
    return "The other side"
