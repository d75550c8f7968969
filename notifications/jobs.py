"""From claimed rows to jobs of plain values, ready for a thread: the address, the account to send through, the words.

Rows that cannot be sent end here, with the reason.
"""

import collections
import dataclasses
import datetime
import functools
import logging

from accounts.models import User
from core.secrets import UNREADABLE
from notifications import circuits, codes, providers, sending, verification, wording
from notifications.message import PROBES, Message
from notifications.models import Attempt, ContactMethod, Destination, Notification, channels, vendors
from notifications.results import Ending, refused

logger = logging.getLogger(__name__)

State = Notification.State


def make(rows, now):
    """Return `(jobs, endings)` for these claimed rows: what to send, and what becomes of the others."""
    if not rows:
        return [], []
    methods = ContactMethod.objects.in_bulk({row.contact_method_id for row in rows} - {None})
    places = Destination.objects.in_bulk({row.destination_id for row in rows} - {None})
    people = User.objects.in_bulk({row.user_id for row in rows} - {None})
    earlier = {
        pk: (provider, data)
        for pk, provider, data in Notification.objects.filter(
            pk__in={row.changes_id for row in rows} - {None}
        ).values_list("pk", "provider", "provider_data")
    }
    accounts = providers.all_accounts()
    ready, endings = [], []
    for row in rows:
        address = methods.get(row.contact_method_id) if row.user_id else places.get(row.destination_id)
        person = people.get(row.user_id)
        is_outside = address is not None and not row.user_id and address.is_outside
        name = "" if is_outside else str(person or address or "")
        state, trouble = _trouble(row, person, address)
        if trouble:
            endings.append(Ending.of_row(row, state, now, reason=trouble, person=name))
            continue
        channel = channels.get(row.channel)
        own = accounts.get(channel.vendor, []) if channel.vendor else [None]
        if not own:
            trouble = f"No account of {vendors.get(channel.vendor).label} is set up. Add one in the admin."
            endings.append(Ending.of_row(row, State.FAILED, now, reason=trouble, person=name))
            continue
        # What changes a message goes out through the account that sent it, as no other knows it.
        by, _ = earlier.get(row.changes_id, ("", None))
        own = sorted(own, key=lambda account, by=by: account is not None and account.key != by)
        one = _Ready(row, channel, address, name, own, is_outside)
        try:
            one.circuits  # noqa: B018 - an address without sense may have none
        except Exception as error:  # one broken message must not stop the others of its batch
            endings.append(_broken(one, error, now))
        else:
            ready.append(one)
    routed, more = _routes(ready, now)
    endings += more
    codes.give([one.row for one, _ in routed], now=now)
    words = wording.load()
    jobs = []
    for one, route in routed:
        try:
            jobs.append(_job(one, route, earlier, words))
        except Exception as error:  # see above
            endings.append(_broken(one, error, now))
    words.note_troubles(now=now)
    return jobs, endings


@dataclasses.dataclass(frozen=True)
class _Ready:
    """A claimed row that may be sent, with what it needs. `accounts` are those of its channel, or [None]."""

    row: Notification
    channel: object
    address: object
    person: str
    accounts: list
    is_outside: bool = False

    @functools.cached_property
    def circuits(self):
        return [
            circuits.name_of(self.channel, account, self.address.address, is_outside=self.is_outside)
            for account in self.accounts
        ]


def _broken(one, error, now):
    logger.error("Message %s on %s could not be made ready", one.row.pk, one.row.channel, exc_info=error)
    reason = f"It could not be made ready to be sent: {type(error).__name__}. The log has the details."
    return Ending.of_row(one.row, State.FAILED, now, reason=reason, person=one.person)


def _routes(ready, now):
    """`([(ready, route)], endings)`: the account of each, and what becomes of those that find none to call."""
    board = circuits.Board({name for one in ready for name in one.circuits}, now)
    tries, refusals = _tries([one.row for one in ready])
    routed, endings = [], []
    for one in ready:
        pk = one.row.pk
        route = providers.route(
            one.channel,
            one.address.address,
            one.accounts,
            tries[pk],
            refusals[pk],
            board,
            is_outside=one.is_outside,
        )
        if route.hold is not None:
            endings.append(_held(one, route, now))
        elif route.refusal:
            endings.append(refused(one.row, route, now, person=one.person))
        elif route.is_spent:
            reason = one.row.reason or "Every account was tried as often as it may be."
            endings.append(Ending.of_row(one.row, State.FAILED, now, reason=reason, person=one.person))
        else:
            if board.take(route.circuit):
                route = dataclasses.replace(route, is_probe=True)
            routed.append((one, route))
    ours = board.claim_probes()
    late = [(one, route) for one, route in routed if route.is_probe and route.circuit not in ours]
    endings += [_held(one, route, now) for one, route in late]
    lost = {one.row.pk for one, _ in late}
    return [(one, route) for one, route in routed if one.row.pk not in lost], endings


def _held(one, route, now):
    """Wait for the message that finds out whether the way works again; this counts as no try."""
    due_at = now + datetime.timedelta(seconds=route.hold or providers.HOLD_SECONDS)
    return Ending.of_row(one.row, State.PENDING, now, due_at=due_at, is_untried=True, person=one.person)


def _tries(rows):
    """`{pk: {account key: tries}}` and `{pk: tries that found no account to call}`, in at most one query."""
    tries, refusals = collections.defaultdict(collections.Counter), collections.Counter()
    if again := [row.pk for row in rows if row.attempts > 1]:
        # A try without an end was that of a worker that stopped: nobody knows how it went, so it is made again.
        for pk, provider, called_at in Attempt.objects.filter(
            notification__in=again, finished_at__isnull=False
        ).values_list("notification_id", "provider", "called_at"):
            if called_at is None:
                refusals[pk] += 1
            else:
                tries[pk][provider] += 1
    return tries, refusals


def _job(one, route, earlier, words):
    row, address = one.row, one.address
    message = verification.reveal(Message.from_json(row.message))
    message, _ = words.apply(message, row.channel, person=one.person)
    by, previous = earlier.get(row.changes_id, ("", None))
    if route.account and route.account.key != by:
        previous = None  # another account cannot change it, so it is said anew
    return sending.Job(
        pk=row.pk,
        lease_token=row.lease_token,
        uuid=row.uuid,
        topic=row.topic,
        plan_key=row.plan_key,
        user_id=row.user_id,
        channel=one.channel,
        contact_method_id=row.contact_method_id,
        destination_id=row.destination_id,
        address=address.address,
        shown=address.shown,
        secret=address.secret,
        options=address.options or {},
        person=one.person,
        message=message,
        attempt=row.attempts,
        planned_at=row.planned_at,
        is_possible_repeat=row.is_possible_repeat,
        account=route.account,
        route=route,
        previous=previous or None,
        reply_code=str(row.reply_code or ""),
        last_error=row.reason,
        is_outside=one.is_outside,
    )


def _trouble(row, person, address):
    """(state, why) when the row may not be sent, else (None, "")."""
    if person is not None and not person.is_active:
        return State.CANCELLED, f"{person}'s account is not active any more."
    if address is None:
        return State.FAILED, (
            "The contact method was deleted before the message was sent."
            if row.user_id
            else "The destination was deleted before the message was sent."
        )
    if address.address == UNREADABLE:
        return State.FAILED, (
            "The address cannot be read: it was encrypted with a key that is not in ENCRYPTION_KEYS. "
            "Put that key back, or enter the address anew."
        )
    is_probe = row.kind in PROBES and not address.disabled_reason
    if not address.is_usable and not is_probe:
        why = address.disabled_reason or ("it is not verified" if row.user_id else "it is not enabled")
        return State.FAILED, f"The {'contact method' if row.user_id else 'destination'} is not usable: {why}."
    if row.channel not in channels:
        return State.FAILED, f"There is no channel “{row.channel}” any more. Choose another for this contact method."
    return None, ""
