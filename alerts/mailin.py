"""The SMTP listener: mail to `<key>@domain` or `<key>+<dedup key>@domain` becomes an event, or pings a heartbeat.

It has the door's own way in: the answer 250 comes after the commit, and whatever cannot be stored is answered so that
the sender keeps the mail and tries again. It delivers to nobody else, so it is no relay.
"""

import asyncio
import collections
import contextlib
import dataclasses
import logging
import time
from datetime import UTC, datetime

from aiosmtpd.smtp import SMTP

from alerts import heartbeats
from alerts.batch import Unavailable, Unstorable
from alerts.door import Door, Refused
from alerts.event import clean_key
from alerts.keys import Target
from alerts.line import UNREACHABLE
from alerts.sources.base import BadEvent
from alerts.sources.email import NOBODY, PLUS_HEADER, SENDER_HEADER, EmailSource

logger = logging.getLogger(__name__)

CONNECTIONS, CONNECTIONS_OF_ONE = 50, 20
SESSION_SECONDS, IDLE_SECONDS = 600, 60
RECIPIENTS = 50
LINE_BYTES = 64 * 1024  # programs that write mail seldom know that a line may have 998 characters
# For one address. A mail over it waits with its sender; what is worth a page comes again with the first of them.
MAILS_PER_MINUTE = 120
REMEMBERED = 10_000

LATER = "451 4.3.0 It could not be stored. Please send it again later."


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """Where the mail to one address goes: to the target of an integration's key, or to a heartbeat (no target)."""

    key: str
    plus: str
    target: Target | None = dataclasses.field(compare=False)


class Allowance:
    """At most so many in a minute for each name, after a burst of as many."""

    def __init__(self, per_minute, clock=time.monotonic):
        self._most, self._clock = per_minute, clock
        self._left = collections.OrderedDict()

    def take(self, name):
        """Whether one more is allowed."""
        now = self._clock()
        left, since = self._left.pop(name, (self._most, now))
        left = min(self._most, left + (now - since) * self._most / 60)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return left >= 1


class Office:
    """What the listener answers. `door` stores; `domain` is the only one that it takes mail for, or "" for any."""

    def __init__(self, door, domain, allowance=None):
        self.door, self.domain = door, domain.lower()
        self.allowance = allowance or Allowance(MAILS_PER_MINUTE)
        self.source = EmailSource()
        self.peers = collections.Counter()

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        local, _, domain = address.strip("<>").rpartition("@")
        if self.domain and domain.lower() != self.domain:
            return f"550 5.7.1 Mail for {domain[:100] or 'this address'} is not taken here."
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return "452 4.5.3 Too many recipients. Send the rest with another mail."
        key, _, plus = local.strip('"').partition("+")
        try:
            box = await self._box(key, plus) or await self._box(key.lower(), plus)
        except UNREACHABLE as error:
            logger.warning("Mail is put off: the database cannot be asked: %s", error)
            return "451 4.3.0 The recipient cannot be looked up just now. Please send it again later."
        if box is None:
            return "550 5.1.1 No enabled integration for email and no heartbeat has this key. Copy its address again."
        if not self.allowance.take(box.key):
            return f"450 4.7.1 More than {MAILS_PER_MINUTE} mails a minute for this address. Please try again later."
        envelope.rcpt_tos.append(address)
        envelope.boxes = [*getattr(envelope, "boxes", ()), box]
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        boxes = list(dict.fromkeys(envelope.boxes))
        outcomes = await asyncio.gather(
            *(self._deliver(box, bytes(envelope.content), envelope.mail_from) for box in boxes), return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if outcome is not None]
        for failure in failures:
            if isinstance(failure, (Unavailable, Unstorable, *UNREACHABLE)):
                logger.warning("A mail could not be stored, its sender keeps it: %r", failure)
            elif not isinstance(failure, BadEvent):
                logger.error("A mail could not be taken, its sender keeps it.", exc_info=failure)
        if failures and all(isinstance(failure, BadEvent) for failure in failures):
            return "554 5.6.0 This mail cannot be read."
        return LATER if failures else "250 2.0.0 Stored"

    async def handle_exception(self, error):
        """aiosmtpd would answer 500, and the sender would give the mail up."""
        logger.error("A mail session failed.", exc_info=error)
        return LATER

    async def _box(self, key, plus):
        try:
            return Box(key, plus, await self.door.target(self.source, key, "path"))
        except Refused:
            return Box(key, plus, None) if await heartbeats.is_key(self.door, key) else None

    async def _deliver(self, box, body, sender):
        if box.target is None:
            await heartbeats.ping_by_key(self.door, box.key, "mail", now=datetime.now(UTC))
            return
        headers = {
            "content-type": "message/rfc822",
            PLUS_HEADER: clean_key(box.plus),
            SENDER_HEADER: (sender or "")[:400] or NOBODY,
        }
        await self.door.submit(box.target, self.source, body, headers)


class Session(SMTP):
    """One connection, within bounds: of how many there are, and of how long it may take."""

    line_length_limit = LINE_BYTES

    def __init__(self, office, **options):
        super().__init__(
            office,
            data_size_limit=office.source.max_body,
            enable_SMTPUTF8=True,
            ident="Watchbill",
            timeout=IDLE_SECONDS,
            **options,
        )
        self._office, self._peer, self._end = office, None, None

    def connection_made(self, transport):
        peers, peer = self._office.peers, (transport.get_extra_info("peername") or ("",))[0]
        if peers.total() >= CONNECTIONS or peers[peer] >= CONNECTIONS_OF_ONE:
            transport.write(b"421 4.3.2 Too many connections. Please try again later.\r\n")
            transport.close()
            return
        self._peer = peer
        peers[peer] += 1
        self._end = self.loop.call_later(SESSION_SECONDS, transport.abort)
        super().connection_made(transport)

    def connection_lost(self, error):
        if self._peer is None:
            return
        self._end.cancel()
        self._office.peers[self._peer] -= 1
        self._office.peers += collections.Counter()  # without those that have none left
        super().connection_lost(error)


@contextlib.asynccontextmanager
async def listening(host, port, *, domain, allowance=None):
    """While inside, mail is taken; gives the port."""
    loop = asyncio.get_running_loop()
    door = Door(None)
    office = Office(door, domain, allowance)
    server = await loop.create_server(lambda: Session(office, loop=loop), host or None, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await door.close()
