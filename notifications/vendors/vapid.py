"""The key pair by which push services know this installation (RFC 8292). The product makes it; nobody signs up."""

import base64
import email.utils
import functools

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from py_vapid import Vapid, VapidException

from notifications.vendors.base import Setting, Vendor

KEY_BYTES = 32


class VAPID(Vendor):
    kind, label = "vapid", "Web push keys"
    help = (
        "Made by the product when the first browser signs up, so there is nothing to do. Another key makes every "
        "browser that signed up useless: its owner has to turn push on again. Have one pair only."
    )
    settings = (
        Setting("private_key", "Private key", "32 bytes in base64url.", is_secret=True),
        Setting(
            "subject",
            "Contact",
            "Whom a push service may write to about misuse, for example mailto:oncall@example.com. Apple refuses "
            "addresses of domains that do not exist.",
        ),
    )

    def problems_with(self, config):
        problems = {}
        try:
            public_key(config.get("private_key", ""))
        except ValueError:
            problems["private_key"] = "This is no private key. Write 32 bytes in base64url, 43 characters."
        if not config.get("subject", "").startswith(("mailto:", "https://")):
            problems["subject"] = "Write it like mailto:oncall@example.com or https://example.com/contact."
        return problems

    def complete(self, config):
        """The settings, and beside them `public_key`, which a browser needs to sign up."""
        config = super().complete(config)
        try:
            return {**config, "public_key": public_key(config["private_key"])}
        except ValueError:
            return {**config, "public_key": ""}

    def new_config(self):
        number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        address = email.utils.parseaddr(settings.DEFAULT_FROM_EMAIL)[1] or "watchbill@localhost"
        return {"private_key": encoded(number.to_bytes(KEY_BYTES, "big")), "subject": f"mailto:{address}"}


def encoded(raw):
    """Bytes as base64url without padding, as all of web push writes them."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text):
    """The bytes of base64url, padded or not. Raises ValueError."""
    raw = text.rstrip("=").encode("ascii")
    return base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)


@functools.lru_cache(maxsize=8)
def public_key(private_key):
    """The public half as browsers take it: an uncompressed point, 65 bytes, in base64url. Raises ValueError."""
    point = _key(private_key).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return encoded(point)


@functools.lru_cache(maxsize=8)
def _key(private_key):
    raw = decoded(private_key)
    if len(raw) != KEY_BYTES:
        raise ValueError("not 32 bytes")
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())


def headers(config, origin, *, at, seconds):
    """The headers that prove to the push service at this origin who is calling, good for so many seconds.

    Raises ValueError when the key or the contact in the settings cannot be used.
    """
    signer = Vapid(_key(config["private_key"]))
    try:
        return signer.sign({"aud": origin, "sub": config["subject"], "exp": int(at.timestamp()) + seconds})
    except VapidException as error:
        raise ValueError(str(error)) from None
