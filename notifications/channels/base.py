"""What every channel is: one file of this folder, one class with a `kind`."""

import dataclasses
import datetime
import uuid
from urllib.parse import urlsplit

from core.errors import SendError
from notifications.message import Message


class DeadAddress(SendError):
    """The address does not exist or wants nothing from us: the contact method is disabled until somebody looks."""

    def __init__(self, message, *, status=None):
        super().__init__(message, permanent=True, status=status)


@dataclasses.dataclass(frozen=True)
class Outgoing:
    """One try of one message, with all that a channel may need: plain values, for a thread without database.

    `uuid` is the same for every try, so that a provider can drop doubles. `links` are (label, url) pairs made from the
    message's actions. `notes` say that the message is late, or may be a repeat; they go in front of the body.
    """

    message: Message
    uuid: uuid.UUID
    topic: str = ""
    person: str = ""
    at: datetime.datetime | None = None
    attempt: int = 1
    links: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    secret: str = ""

    @property
    def thread(self):
        return self.message.thread


class Channel:
    """A way to reach people. `send` is a plain blocking call; many threads call it at once."""

    kind = ""
    label = ""
    address_help = ""

    def problem_with(self, address):
        """What is wrong with an address that somebody typed, in a sentence, or ""."""
        return ""

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

    def send(self, address, outgoing):
        """Send, and return the provider's id of the message ("" if it has none).

        Raises SendError with a sentence for the reader: temporary by default, `permanent=True` when trying again
        cannot help, DeadAddress when the address should not be used again.
        """
        raise NotImplementedError
