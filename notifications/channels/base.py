"""What every channel is: one file of this folder, one class with a `kind`."""

import dataclasses
import datetime
import uuid
from urllib.parse import urlsplit

from core.errors import SendError
from notifications.message import Message


class DeadAddress(SendError):
    """The address does not exist or wants nothing from us: it is disabled until somebody looks, its owner is told."""

    def __init__(self, message, *, status=None):
        super().__init__(message, permanent=True, status=status)


class ProviderBroken(SendError):
    """Our account at the provider cannot be used (wrong key, suspended): its circuit stays open, the admins are told.

    The message goes out through the next provider at once; the address is not to blame.
    """


class AdminNeeded(SendError):
    """An administrator has to change something at the provider before this address can get this: they are told.

    Neither the address nor the whole account is to blame, so both are used on. Trying again cannot help.
    """

    def __init__(self, message, *, status=None):
        super().__init__(message, permanent=True, status=status)


@dataclasses.dataclass(frozen=True)
class Limit:
    """At most so many messages in so many seconds, in bursts up to `count`."""

    count: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Accepted:
    """What the provider said. `is_delivered`: it stands before the reader now, no receipt has to come.

    `data` is what a later message needs to change this one in place (plain JSON). `cost` is in words, "0.0079 USD".
    """

    provider_id: str = ""
    is_delivered: bool = False
    data: dict = dataclasses.field(default_factory=dict)
    cost: str = ""
    answer: str = ""


@dataclasses.dataclass(frozen=True)
class Outgoing:
    """One try of one message, with all that a channel may need: plain values, for a thread without database.

    `uuid` is the same for every try, so that a provider can drop doubles. `links` are (label, url) pairs made from the
    message's actions, `tokens` are (label, verb, token) of the same, for buttons that come back to us. `notes` say
    that the message is late, or may be a repeat; they go in front of the body. `config` are the settings of the
    provider's account, `options` those of the address. `previous` is the `Accepted.data` of the message that
    this one changes, or None. `reply_code` is the number by which a text reply names this message, or "".
    `is_outside`: the reader is none of ours, so a web address gets the guard for those.
    """

    message: Message
    uuid: uuid.UUID
    topic: str = ""
    person: str = ""
    at: datetime.datetime | None = None
    attempt: int = 1
    links: tuple[tuple[str, str], ...] = ()
    tokens: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    secret: str = ""
    config: dict = dataclasses.field(default_factory=dict)
    options: dict = dataclasses.field(default_factory=dict)
    previous: dict | None = None
    reply_code: str = ""
    is_outside: bool = False

    @property
    def thread(self):
        return self.message.thread


class Channel:
    """A way to reach people. `send` is a plain blocking call; many threads call it at once."""

    kind = ""
    label = ""
    address_help = ""
    address_label = "Address"
    vendor = ""  # the kind of the vendor whose account it needs, or ""
    is_for_people = True  # offered for a person's contact methods
    is_for_teams = False  # offered for destinations of teams and services
    is_typed = (
        True  # the address is typed by somebody; else a page of ours makes it (a browser, a chat that was linked)
    )
    is_address_secret = False  # the address is a credential: only `shown` is ever shown
    is_bundled = True  # several pages that wait for one address become one message
    can_update = False  # `send` with `outgoing.previous` changes the earlier message in place
    tells_changes = True  # also says that an incident was acknowledged or resolved
    tells_updates = True  # and whatever else changes: who has it, its priority, a note
    takes_replies = False  # the reader answers in words, so the message carries a `reply_code`
    receipt_seconds = None  # a message without a receipt for so long counts as not delivered
    per_provider: Limit | None = None  # of one account
    per_address: Limit | None = None
    options = ()  # `vendors.base.Setting`s of an address
    send_async = None  # `send` as a coroutine with `http.apost`: for channels that carry many messages

    def problem_with(self, address):
        """What is wrong with an address that somebody typed, in a sentence, or ""."""
        return ""

    def problems_with_options(self, options):
        """What is wrong with the options of an address: `{name: sentence}`."""
        return {}

    def normal(self, address):
        """The address in the one form in which it is stored and compared."""
        return address.strip()

    def new_secret(self):
        """A secret for a new contact method of this channel, or "" if it needs none."""
        return ""

    def shown(self, address):
        """The address as others may read it: of a web address only the host, as the rest is often its password."""
        try:
            parts = urlsplit(address)
            if not parts.netloc and "://" not in address:
                return address
            return f"{parts.scheme}://{parts.hostname}/…" if parts.hostname else "…"
        except ValueError:
            return "…"

    def lane(self, address):
        """A name for what may get stuck together, for example a host. A slow lane does not hold up the others."""
        return self.kind

    def receipt_wait(self, config):
        """Seconds after which a message through this account counts as not delivered; None: no receipt comes."""
        return self.receipt_seconds

    def preview(self, outgoing):
        """How a message reads here, for whoever words it: `{part: text}`, for example {"Text": "…"}."""
        return {}

    def send(self, address, outgoing):
        """Send, and return what the provider said: an `Accepted`, or just its id of the message ("" if it has none).

        Raises SendError with a sentence for the reader: temporary by default, `permanent=True` when trying again
        cannot help, DeadAddress when the address should not be used again, ProviderBroken when our account cannot,
        AdminNeeded when somebody has to change something at the provider.
        """
        raise NotImplementedError
