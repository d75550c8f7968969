"""Messages of Amazon SNS: who signed them, and what stands in them.

Every address in a message is text that anybody may have written, so nothing is fetched before its host is known to be
Amazon's. The rules are those of the SNS developer guide, "Verifying the signatures of Amazon SNS messages".
"""

import asyncio
import base64
import binascii
import datetime as dt
import logging
import re
import time
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from alerts.event import parse_time
from core import http
from core.errors import SendError

logger = logging.getLogger(__name__)

NOTIFICATION, SUBSCRIPTION, UNSUBSCRIPTION = "Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"
_CONTROL = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
# What is signed, in byte order.
SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _CONTROL,
    UNSUBSCRIPTION: _CONTROL,
}
OPTIONAL = ("Subject",)
ALGORITHMS = {"1": hashes.SHA1, "2": hashes.SHA256}
# A delivery policy tries for an hour at most.
OLDEST = dt.timedelta(hours=2)
FETCH_SECONDS = 5
ARN_LIMIT = 300

_HOST = re.compile(r"sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?")
_PLAIN = re.compile(r"[!-~]+")  # neither space nor control character, and ASCII
_CERTIFICATES, _FETCHES = 32, 4
_FAILED_SECONDS = 10


class Unverifiable(Exception):
    """The certificate cannot be had just now; the text is a sentence."""


def problem_with_address(url):
    """What is wrong with an address that should be one of SNS itself, in a sentence, or ""."""
    wrong = "is not an address of Amazon SNS (https://sns.<region>.amazonaws.com)."
    if not isinstance(url, str) or len(url) > 2000 or not _PLAIN.fullmatch(url) or "\\" in url:
        return f"It {wrong}"
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme == "https"
            and "@" not in parts.netloc
            and parts.port in (None, 443)
            and bool(_HOST.fullmatch(parts.hostname or ""))
        )
    except ValueError:
        is_good = False
    return "" if is_good else f"“{url[:100]}” {wrong}"


def problem_with_certificate_address(url):
    """What is wrong with the address of a signing certificate, in a sentence, or ""."""
    problem = problem_with_address(url)
    if problem:
        return problem
    parts = urlsplit(url)
    # A query could make another page of that host answer with text of somebody's choice.
    if not parts.path.endswith(".pem") or parts.query or parts.fragment:
        return "The address of the certificate does not end in .pem."
    return ""


def problem_with(message, *, now):
    """What is wrong with a message before its signature is looked at, in a sentence, or ""."""
    if not isinstance(message, dict) or not isinstance(message.get("Signature"), str):
        return (
            "This is no message of Amazon SNS with its signature. Turn raw message delivery off in the subscription: "
            "with it nothing says who sent the message."
        )
    kind = message.get("Type")
    names = SIGNED.get(kind) if isinstance(kind, str) else None
    if names is None:
        return f"“{str(kind)[:40]}” is not a type of message of Amazon SNS."
    for name in names:
        if not isinstance(message.get(name), str) and (name not in OPTIONAL or message.get(name) is not None):
            return f"The message has no {name}, or it is no text."
    if len(message["TopicArn"]) > ARN_LIMIT or not message["TopicArn"] or not message["MessageId"]:
        return "The message does not name its topic and itself."
    if message.get("SignatureVersion") not in tuple(ALGORITHMS):
        return "SignatureVersion is neither 1 nor 2."
    problem = problem_with_certificate_address(message.get("SigningCertURL"))
    if not problem and kind != NOTIFICATION:
        problem = problem_with_address(message["SubscribeURL"])
    if problem:
        return problem
    at = parse_time(message["Timestamp"])
    if at is None:
        return "The Timestamp of the message is no time."
    if now - at > OLDEST:
        return "The message is older than 2 hours. If it was sent just now, check the clock of this server."
    return ""


def signed_text(message):
    """What the signature of a message is over."""
    names = [name for name in SIGNED[message["Type"]] if message.get(name) is not None]
    return "".join(f"{name}\n{message[name]}\n" for name in names).encode("utf-8", "surrogatepass")


def problem_with_signature(message, certificate, *, now):
    """Why the signature of a message does not hold, in a sentence, or ""."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return "The certificate of the signature is not valid today."
    try:
        signature = base64.b64decode(message["Signature"], validate=True)
        certificate.public_key().verify(
            signature, signed_text(message), padding.PKCS1v15(), ALGORITHMS[message["SignatureVersion"]]()
        )
    except (InvalidSignature, binascii.Error, ValueError):
        return "The signature of the message does not hold: it was not sent by Amazon SNS, or changed on its way."
    return ""


class Certificates:
    """Signing certificates by their address, fetched once. Each is at an address of its own, so none changes."""

    def __init__(self):
        self._kept = {}
        self._asking = {}
        self._failed = {}

    def keep(self, url, pem):
        """Take this certificate for this address."""
        certificate = x509.load_pem_x509_certificate(pem)
        if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
            raise ValueError("not RSA")
        while len(self._kept) >= _CERTIFICATES:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[url] = certificate
        return certificate

    def forget(self):
        self._kept.clear()
        self._failed.clear()

    async def get(self, url):
        """The certificate at an address that was checked, or None if none is there. Raises Unverifiable."""
        if url in self._kept:
            return self._kept[url]
        failed_at, why = self._failed.get(url, (-_FAILED_SECONDS, ""))
        if failed_at > time.monotonic() - _FAILED_SECONDS:
            raise Unverifiable(why)
        asking = self._asking.get(url)
        if asking is None:
            if len(self._asking) >= _FETCHES:
                raise Unverifiable("Too many certificates are being fetched.")
            asking = asyncio.run_coroutine_threadsafe(self._fetch(url), http.loop())
            self._asking[url] = asking
            asking.add_done_callback(lambda _: self._asking.pop(url, None))
        # Shielded: one sender who hangs up must not take the answer from the others.
        return await asyncio.shield(asyncio.wrap_future(asking))

    async def _fetch(self, url):
        try:
            reply = await http.aget(url, timeout=FETCH_SECONDS)
        except SendError as error:
            while len(self._failed) >= _CERTIFICATES:
                self._failed.pop(next(iter(self._failed)), None)
            why = f"The certificate that signed it could not be fetched: {error.message}"
            self._failed[url] = (time.monotonic(), why)
            raise Unverifiable(why) from None
        if reply.status != 200:
            return None
        try:
            return self.keep(url, reply.body)
        except ValueError:
            return None


certificates = Certificates()
