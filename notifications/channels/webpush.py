"""A notification of the browser, by web push (RFC 8030, 8291, 8292). The address is what the browser gave us.

Encryption and keys are pywebpush's; the call goes through `core.http`, since the browser chooses the address: so the
guard against private addresses, the time limits and the ban on redirects hold here too.
"""

import hashlib
import json
import uuid
from urllib.parse import urlsplit

import yarl
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from pywebpush import WebPusher

from core import http
from core.errors import NotFound, SendError
from notifications.channels.base import Accepted, AdminNeeded, Channel, DeadAddress, ProviderBroken
from notifications.message import CALLS, PROBES
from notifications.vendors import vapid

# Push services must take 4096 bytes of one record; the encryption needs 103 of them (RFC 8291).
MOST_BYTES = 3993
AIM_BYTES = 2000  # some services take less
TITLE, ADDRESS = 250, 1000  # characters
# How long the push service keeps it for a device that is off. A page is worth showing for an hour: when the
# incident was answered meanwhile, that news has the same topic and takes its place.
SECONDS = {"high": 3600, "low": 600}
VISIT_SECONDS = 12 * 3600  # a signature may be good for 24 hours at most
MAY_PASS = frozenset({408, 409, 425})  # a client error that can be over the next time
SALT = "notifications.webpush.receipt"
MAC_BYTES = 16
AGAIN = "Turn push on again in that browser, on the settings page."


class WebPush(Channel):
    kind, label = "webpush", "Browser push"
    address_label = "Browser"
    address_help = "Made by the browser: open the settings page on the device and turn push on there."
    vendor = "vapid"
    is_typed = False
    is_address_secret = True
    can_update = True  # the same tag: a newer notification takes the place of the older one
    receipt_seconds = 60

    def problem_with(self, address):
        try:
            subscription = json.loads(address)
            endpoint, keys = subscription["endpoint"], subscription["keys"]
            point, auth = vapid.decoded(keys["p256dh"]), vapid.decoded(keys["auth"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return "This is not what a browser gives for push. Turn push on with the button on the settings page."
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            is_point = len(point) == 65
        except ValueError:
            is_point = False
        if not is_point or len(auth) != 16:
            return "The browser's keys for push are broken. Turn push off and on again in that browser."
        return _problem_with_endpoint(endpoint)

    def normal(self, address):
        try:
            subscription = json.loads(address)
            keys = {name: subscription["keys"][name].rstrip("=") for name in ("auth", "p256dh")}
            kept = {"endpoint": subscription["endpoint"], "keys": keys}
        except (ValueError, KeyError, TypeError, AttributeError):
            return address.strip()
        return json.dumps(kept, separators=(",", ":"), sort_keys=True)

    def shown(self, address):
        return host_of(address) or "…"

    def lane(self, address):
        return f"{self.kind} {host_of(address)}"

    def preview(self, outgoing):
        shown = json.loads(payload(outgoing))
        return {"Title": shown["title"], "Text": shown["body"]}

    def send(self, address, outgoing):
        config, subscription = outgoing.config, json.loads(address)
        endpoint, message = subscription["endpoint"], outgoing.message
        if not config["public_key"]:
            raise ProviderBroken("The web push keys of this installation cannot be read. An admin corrects them.")
        made_for = outgoing.options.get("key")
        if made_for and made_for != config["public_key"]:
            raise DeadAddress(f"The browser signed up with an older key of this installation. {AGAIN}")
        body = WebPusher(subscription).encode(payload(outgoing))["body"]
        try:
            headers = vapid.headers(config, origin(endpoint), at=outgoing.at, seconds=VISIT_SECONDS)
        except ValueError as error:
            raise SendError(f"The push message could not be signed: {error}.", permanent=True) from None
        reply = http.post(
            endpoint,
            data=body,
            headers={
                **headers,
                "Content-Type": "application/octet-stream",
                "Content-Encoding": "aes128gcm",
                "TTL": str(SECONDS[message.urgency]),
                "Urgency": "high" if message.urgency == "high" else "normal",
                "Topic": topic(outgoing),
            },
        )
        host = host_of(address)
        if reply.is_success:
            return Accepted(str(outgoing.uuid), data={"tag": tag(outgoing)}, answer=f"{host} answered {reply.status}.")
        if reply.status in (404, 410):
            raise DeadAddress(f"The browser has turned push off, or is gone. {AGAIN}", status=reply.status)
        if reply.status in (401, 403):
            # Not ProviderBroken: each browser tells us the key it signed up with, so a changed key was found above.
            # What is left may be one person's odd endpoint, which must not stop push for everybody.
            raise AdminNeeded(
                f"{host} refused the keys of this installation ({reply.status}). Check the clock of this server, and "
                "the contact of “Web push keys”: it must be a real address.",
                status=reply.status,
            )
        raise SendError(
            f"{host} did not take the message: it answered {reply.status}. {AGAIN}",
            permanent=reply.status not in MAY_PASS,
            status=reply.status,
        )


def payload(outgoing):
    """What the service worker gets, as bytes: what to show, and the tokens to report and to answer with."""
    message = outgoing.message
    values = {
        "v": 1,
        "kind": str(message.kind),
        "title": message.title[:TITLE],
        "body": "\n".join([*outgoing.notes, message.body]),
        "url": message.url[:ADDRESS],
        "tag": tag(outgoing),
        "urgency": message.urgency,
        "again": message.kind in CALLS | PROBES,  # sound, even where it takes the place of an older one
        "actions": [
            {"title": label, "verb": verb, "token": token}
            for label, verb, token in outgoing.tokens[:1]  # browsers show two, and the other one opens the page
            if message.kind in CALLS
        ],
        "receipt": receipt_token(outgoing.uuid),
        "at": int(outgoing.at.timestamp() * 1000),
    }
    while len(data := json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()) > AIM_BYTES:
        if len(values["body"]) > 1:
            # Cut in one go by the bytes that are too many; JSON writes some characters longer than they are.
            room = max(1, len(values["body"]) - max(1, (len(data) - AIM_BYTES) // 4) - 1)
            values["body"] = values["body"][:room].rstrip() + "…" if room > 1 else "…"
        elif len(data) <= MOST_BYTES:
            break
        else:
            raise SendError("The message is too long for push, even without its text.", permanent=True)
    return data


def tag(outgoing):
    """Notifications with the same one take each other's place on the screen."""
    return outgoing.thread[:100] or str(outgoing.uuid)


def topic(outgoing):
    """Undelivered messages with the same one take each other's place: 32 characters, the most there may be."""
    return vapid.encoded(hashlib.sha256(tag(outgoing).encode()).digest()[:24])


def host_of(address):
    """The host of the push service, or ""."""
    try:
        return urlsplit(json.loads(address)["endpoint"]).hostname or ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def origin(endpoint):
    """Scheme, host and port, as a signature names whom it is for."""
    return str(yarl.URL(endpoint).origin())


def receipt_token(notification_uuid):
    """The signed text by which the service worker reports about this message."""
    return vapid.encoded(_mac(notification_uuid.bytes, settings.SECRET_KEY) + notification_uuid.bytes)


def read_receipt(token):
    """The uuid of the message that a receipt is about. Raises NotFound when we did not sign it."""
    try:
        data = vapid.decoded(token)
    except ValueError:
        data = b""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    mac, raw = data[:MAC_BYTES], data[MAC_BYTES:]
    genuine = [constant_time_compare(mac, _mac(raw, key)) for key in keys]
    if len(raw) != 16 or not any(genuine):
        raise NotFound("This receipt is not one of ours.", code="forged_receipt")
    return uuid.UUID(bytes=raw)


def _mac(raw, key):
    return salted_hmac(SALT, raw, secret=key, algorithm="sha256").digest()[:MAC_BYTES]


def _problem_with_endpoint(endpoint):
    if problem := http.problem_with(endpoint):
        return problem
    parsed = yarl.URL(endpoint)
    # Plain http is for a push service of one's own, on a private address that an administrator allows.
    if parsed.scheme == "https" or parsed.host in ("localhost", "127.0.0.1", "::1"):
        return ""
    return "A push service is called by https:// only. Turn push off and on again in that browser."
