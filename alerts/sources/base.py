"""What every source has in common: a body in, events out, and answers that its sender understands."""

import dataclasses
import json
from collections.abc import Callable
from email import message_from_bytes
from email.policy import HTTP
from urllib.parse import parse_qsl

import msgspec

from alerts import signatures
from alerts.event import clean_line

KIBIBYTE = 1024


class BadEvent(Exception):
    """A body that no event can be made of. `errors` is `[{field, message}]`; each message says what to change."""

    def __init__(self, errors):
        super().__init__("; ".join(error["message"] for error in errors))
        self.errors = errors

    @classmethod
    def about(cls, field, message):
        return cls([{"field": field, "message": message}])


def read_json(body):
    """The JSON value of a body, read as forgivingly as can be done without guessing. Raises BadEvent.

    What is not strict JSON gets a second chance: invalid UTF-8 is replaced, and a byte order mark, NaN, half
    surrogates and raw line breaks in strings are accepted. A crippled message still wakes somebody.
    """
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    text = body.decode("utf-8", "replace").lstrip("\ufeff")
    if not text.strip():
        raise BadEvent.about("", "The body is empty. Send a JSON object.")
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise too_deep() from None
    except json.JSONDecodeError as error:
        raise BadEvent.about(
            "",
            f"The body is not JSON: {error.msg} in line {error.lineno}, column {error.colno}. "
            "Send a JSON object, with text in double quotes.",
        ) from None
    except ValueError:
        raise BadEvent.about("", "The body has a number of thousands of digits. Send it as text.") from None


def read_form(body, content_type):
    """`{name: text}` of a form, urlencoded or multipart; of a name that comes twice the first counts. No files."""
    if not content_type.lower().startswith("multipart/"):
        return dict(reversed(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)))
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    fields = {}
    for part in message_from_bytes(head + body, policy=HTTP).iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and part.get_filename() is None:
            fields.setdefault(name, (part.get_payload(decode=True) or b"").decode("utf-8", "replace"))
    return fields


def too_deep():
    return BadEvent.about("", "The body is nested too deeply to be read. Send a flatter JSON object.")


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """Something that an integration of this kind can be told, in `Integration.options` under `name`.

    `check(value)` returns the value to keep or raises ValueError with a sentence that says what to change.
    """

    name: str
    label: str
    help_text: str = ""
    default: object = ""
    choices: tuple = ()  # (value, label) pairs
    is_switch: bool = False
    is_long: bool = False
    check: Callable | None = None


class Source:
    """A kind of sender. A subclass is one file with a `kind`, a `label` and `read`."""

    kind = ""
    label = ""
    # How to set the sender up, shown in the admin; {url} stands for the address with its key, {key} and {server} for
    # its parts.
    setup_help = ""
    max_body = 512 * KIBIBYTE
    # Request headers, in lower case, that `parse` needs and that are therefore kept with the body.
    keep_headers = ()
    # Nearly every sender tries again after 503; Alertmanager takes 429 as final.
    overloaded_status = 503
    # When a key or an address sends more than its limit. Alertmanager and its kin must be told 503 here too.
    limited_status = 429
    methods = ("POST", "PUT")
    # No door of its own and nobody can choose it: its events are written by us, or come by a drop-in API.
    is_internal = False
    # Other kinds of integrations whose keys may be used here.
    also_keys_of = ()
    options = ()

    def parse(self, body, headers, options=None):
        """The events of a request body. Raises BadEvent when there is none to make.

        `headers` have names in lower case; what stands in `keep_headers` is there when an event is decided again, and
        so are ":method", ":path" and ":query" if they stand in it. `options` are those of the integration.
        """
        try:
            return self.read(read_json(body), headers, options or {})
        except RecursionError:
            raise too_deep() from None

    def read(self, data, headers, options):
        """The events of a decoded JSON value. Raises BadEvent."""
        raise NotImplementedError

    def accepted(self, events, event_id):
        """`(status, answer)` once the event is stored; an answer of None is an empty body."""
        answer = {"status": "accepted", "dedup_key": events[0].dedup_key if events else "", "event_id": event_id}
        if len(events) > 1:
            answer["dedup_keys"] = [event.dedup_key for event in events]
        return 202, answer

    def refused(self, errors):
        """`(status, answer)` for a body that raised BadEvent."""
        return 400, {"status": "invalid", "errors": errors}

    async def check(self, secret, headers, body, *, now):
        """Whether the request is from who it says it is: a signatures.Verdict. Without a secret nothing is checked."""
        return signatures.verify(secret, headers, body, now) if secret else signatures.Verdict(True)

    async def admit(self, target, headers, body, *, now, fetch):
        """Whether this request may come in through the key's `target`: a signatures.Verdict.

        For sources whose proof needs more than a secret: the options, or rows, read with `fetch(sql, params)`.
        """
        return await self.check(target.signing_secret, headers, body, now=now)

    def delivery_id(self, headers, body):
        """What the sender calls this delivery, the same in each of its tries; "" when it has no such name.

        A delivery is stored once, and a repeat gets the answer of the first. Asked after the request was admitted.
        """
        return ""

    # Whether `note` is to be called.
    takes_notes = False

    def note(self, rows, *, now):
        """Write down what these events (InboundEvent, just decided) say beside alerts, such as a new subscription.

        Called once per batch, in the transaction that decides it, so it only writes rows. An event may come twice.
        """

    def overloaded(self):
        """`(status, answer)` when nothing can be stored right now."""
        return self.overloaded_status, {
            "status": "overloaded",
            "message": "Nothing was stored. Send the same event again after the time in Retry-After.",
        }

    def limited(self, sentence):
        """`(status, answer)` when this key or this address sent more than its limit."""
        return self.limited_status, {"status": "too_many_requests", "message": sentence}

    def unknown_key(self, where):
        """`(status, answer)` for a key that opens nothing. `where` it stood is "path", "header" or "body"."""
        return 404 if where == "path" else 401, {
            "status": "unknown_key",
            "message": "No enabled integration has this key. Copy the address or the key from the integration again, "
            "or issue a new key there.",
        }

    def wrong_door(self, kind, where):
        """`(status, answer)` for the key of an integration of another kind. `where` as in unknown_key."""
        return 404, {
            "status": "unknown_key",
            "message": f"This key belongs to an integration of the source “{kind}”. Send to /in/{kind}/<key>, "
            "or make an integration for this source and use its key.",
        }

    def key_of(self, body, headers):
        """The key where the body names it. Raises BadEvent without one."""
        raise NotImplementedError

    def bad_signature(self, reason):
        """`(status, answer)` when the integration asks for a signature and the request's is not good."""
        return 401, {"status": "bad_signature", "message": reason}

    def too_large(self, limit):
        """`(status, answer)` for a body over `limit` bytes."""
        return 413, {
            "status": "too_large",
            "message": f"The body is larger than {limit // KIBIBYTE} KiB. Send fewer alerts in one request, "
            "or leave long texts out.",
        }


def text_of(data, *names, limit):
    """The first of these fields that holds text, on one line, or ""."""
    for name in names:
        text = clean_line(data.get(name), limit)
        if text:
            return text
    return ""
