"""Signatures over the raw body: is this request from who holds the secret, and is it fresh? Pure.

Three forms, each an HMAC-SHA256: `X-Signature: t=<seconds>,v1=<hex>` over `<t>.<body>` (preferred), Standard Webhooks
(`webhook-id`, `webhook-timestamp`, `webhook-signature`), and `X-Signature-256: sha256=<hex>` over the body alone,
which cannot tell a replay from the original.
"""

import base64
import binascii
import dataclasses
import hashlib
import hmac

TOLERANCE_SECONDS = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is a sentence for the sender. A `replay_token` may be used once within ten minutes."""

    ok: bool
    reason: str = ""
    replay_token: str = ""


def verify(secret, headers, body, now):
    """Check the signature that `headers` (names in lower case) carry over the raw `body`."""
    if "webhook-signature" in headers:
        return _standard(secret, headers, body, now)
    if "x-signature" in headers:
        return _timestamped(secret, headers["x-signature"], body, now)
    if "x-signature-256" in headers:
        return _body_only(secret, headers["x-signature-256"], body)
    return Verdict(
        False,
        "This integration asks for a signature. Send X-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "
        "“<t>.<body>”>, or X-Signature-256, or the headers of Standard Webhooks.",
    )


def _body_only(secret, value, body):
    expected = _hmac(secret.encode(), body).hexdigest()
    algorithm, _, given = value.strip().partition("=")
    if algorithm.lower() == "sha256" and _same(expected, given.lower()):
        return Verdict(True)
    return Verdict(False, _mismatch("X-Signature-256"))


def _timestamped(secret, value, body, now):
    parts = [part.strip().partition("=")[::2] for part in value.split(",")]
    stamp = next((text for name, text in parts if name == "t"), "")
    stale = _stale(stamp, now, "t in X-Signature")
    if stale:
        return stale
    expected = _hmac(secret.encode(), f"{stamp}.".encode() + body).hexdigest()
    # During a rotation of the secret there are several v1; names that we do not know are ignored.
    if any([_same(expected, text.lower()) for name, text in parts if name == "v1"]):
        return Verdict(True, replay_token=expected)
    return Verdict(False, _mismatch("X-Signature"))


def _standard(secret, headers, body, now):
    stamp = headers.get("webhook-timestamp", "").strip()
    stale = _stale(stamp, now, "webhook-timestamp")
    if stale:
        return stale
    try:
        key = base64.b64decode(secret[6:], validate=True) if secret.startswith("whsec_") else secret.encode()
    except (binascii.Error, ValueError):
        return Verdict(
            False, "The signing secret of this integration is not base64 after whsec_. Correct it in the integration."
        )
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode("utf-8", "replace") + body
    expected = base64.b64encode(_hmac(key, signed).digest()).decode()
    parts = [part.partition(",")[::2] for part in headers["webhook-signature"].split()]
    if any([_same(expected, text) for name, text in parts if name == "v1"]):
        return Verdict(True, replay_token=expected)
    return Verdict(False, _mismatch("webhook-signature"))


def _stale(stamp, now, where):
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
        return Verdict(False, f"There is no time in the signature. Put the unix time in seconds into {where}.")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        return Verdict(
            False,
            f"The signature is older or newer than {TOLERANCE_SECONDS // 60} minutes. Sign each attempt anew, "
            "and check the clock of the sender.",
        )
    return None


def _mismatch(header):
    return (
        f"{header} does not match the body. Sign the bytes that are sent, unchanged, with this integration's secret; "
        "a proxy that rewrites the body breaks it."
    )


def _hmac(key, data):
    return hmac.new(key, data, hashlib.sha256)


def _same(expected, given):
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
