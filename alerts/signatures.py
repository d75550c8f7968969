"""Signatures over the raw body: is this request from who holds the secret, and is it fresh? Pure.

Our own three forms, each an HMAC-SHA256: `X-Signature: t=<seconds>,v1=<hex>` over `<t>.<body>` (preferred), Standard
Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), and `X-Signature-256: sha256=<hex>` over the body
alone, which cannot tell a replay from the original. Then those of senders who have one of their own.

While a secret changes, two of them may stand in the field, separated by a space: either is good.
"""

import base64
import binascii
import dataclasses
import hashlib
import hmac

TOLERANCE_SECONDS = 300
SECRET_LENGTH = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is a sentence for the sender. A `replay_token` may be used once within ten minutes."""

    ok: bool
    reason: str = ""
    replay_token: str = ""
    # Not refused, but it could not be checked just now: the sender is asked to try again.
    is_later: bool = False


def verify(secret, headers, body, now):
    """Check the signature that `headers` (names in lower case) carry over the raw `body`."""
    if "webhook-signature" in headers:
        return _standard(secret, headers, body, now)
    if "x-signature" in headers:
        return _timestamped(secret, headers["x-signature"], body, now)
    if "x-signature-256" in headers:
        return _body_only(secret, headers["x-signature-256"], body, "X-Signature-256", "sha256=")
    return Verdict(
        False,
        "This integration asks for a signature. Send X-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "
        "“<t>.<body>”>, or X-Signature-256, or the headers of Standard Webhooks.",
    )


def github(secret, headers, body):
    """Check `X-Hub-Signature-256: sha256=<hex>`. GitHub's X-GitHub-Delivery tells a repeat from a new delivery."""
    return _hex(secret, headers, body, "X-Hub-Signature-256", "sha256=", "Enter the secret in the webhook's settings.")


def sentry(secret, headers, body):
    """Check `Sentry-Hook-Signature`, without a prefix. The time beside it is not signed; Request-ID tells a repeat."""
    advice = "Put the client secret of the internal integration in Sentry into the integration here."
    return _hex(secret, headers, body, "Sentry-Hook-Signature", "", advice)


def grafana(secret, headers, body, now, *, header="X-Grafana-Alerting-Signature", timestamp_header=""):
    """Check Grafana's signature in `header`: hex over the body, or over `<time>:<body>` with a `timestamp_header`."""
    advice = f"In Grafana's contact point, set the secret of the HMAC signature and its header “{header}”."
    if not timestamp_header:
        return _hex(secret, headers, body, header, "", advice)
    stamp = headers.get(timestamp_header.lower(), "").strip()
    stale = _stale(stamp, now, timestamp_header)
    if stale:
        return stale
    verdict = _hex(secret, headers, f"{stamp}:".encode() + body, header, "", advice)
    if not verdict.ok:
        return verdict
    return dataclasses.replace(verdict, replay_token=headers[header.lower()].strip().lower())


def _hex(secret, headers, body, header, prefix, advice):
    value = headers.get(header.lower(), "")
    if not value:
        return Verdict(False, f"This integration asks for a signature, and there is no {header}. {advice}")
    return _body_only(secret, value, body, header, prefix)


def _body_only(secret, value, body, header, prefix):
    given = value.strip().lower()
    expected = [prefix + _hmac(one.encode(), body).hexdigest() for one in _secrets(secret)]
    if any([_same(one, given) for one in expected]):
        return Verdict(True)
    return Verdict(False, _mismatch(header))


def _timestamped(secret, value, body, now):
    parts = [part.strip().partition("=")[::2] for part in value.split(",")]
    stamp = next((text for name, text in parts if name == "t"), "")
    stale = _stale(stamp, now, "t in X-Signature")
    if stale:
        return stale
    for one in _secrets(secret):
        expected = _hmac(one.encode(), f"{stamp}.".encode() + body).hexdigest()
        # During a rotation of the secret there are several v1; names that we do not know are ignored.
        if any([_same(expected, text.lower()) for name, text in parts if name == "v1"]):
            return Verdict(True, replay_token=expected)
    return Verdict(False, _mismatch("X-Signature"))


def _standard(secret, headers, body, now):
    stamp = headers.get("webhook-timestamp", "").strip()
    stale = _stale(stamp, now, "webhook-timestamp")
    if stale:
        return stale
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode("utf-8", "replace") + body
    parts = [part.partition(",")[::2] for part in headers["webhook-signature"].split()]
    for one in _secrets(secret):
        try:
            key = base64.b64decode(one[6:], validate=True) if one.startswith("whsec_") else one.encode()
        except (binascii.Error, ValueError):
            if len(_secrets(secret)) > 1:
                continue
            return Verdict(
                False,
                "The signing secret of this integration is not base64 after whsec_. Correct it in the integration.",
            )
        expected = base64.b64encode(_hmac(key, signed).digest()).decode()
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


def _secrets(secret):
    """The secret as it is, and what it is made of if these are two or more whole secrets."""
    parts = secret.split()
    # Shorter words are a secret with spaces in it.
    return [secret, *parts] if len(parts) > 1 and min(map(len, parts)) >= SECRET_LENGTH else [secret]


def _mismatch(header):
    return (
        f"{header} does not match the body. Sign the bytes that are sent, unchanged, with this integration's secret; "
        "a proxy that rewrites the body breaks it."
    )


def _hmac(key, data):
    return hmac.new(key, data, hashlib.sha256)


def _same(expected, given):
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
