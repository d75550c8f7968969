"""A push service and the browser behind it: checks what RFC 8030, 8291 and 8292 ask for, and decrypts as a browser."""

import base64
import dataclasses
import itertools
import json
import os
import time
from urllib.parse import urlsplit

import http_ece
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from tests.fakes.server import Server


@dataclasses.dataclass
class Pushed:
    """A message that arrived, decrypted."""

    name: str
    headers: dict
    plain: bytes
    size: int
    claims: dict

    @property
    def json(self):
        return json.loads(self.plain)


class Browser:
    """One browser that signed up: its keys, and the subscription it gives to the page."""

    def __init__(self, endpoint, application_key):
        self.endpoint, self.application_key = endpoint, application_key
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        self.auth = os.urandom(16)

    @property
    def subscription(self):
        point = self.private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": encoded(point), "auth": encoded(self.auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def read(self, body):
        return http_ece.decrypt(body, private_key=self.private_key, auth_secret=self.auth, version="aes128gcm")


class FakePushService(Server):
    """`subscribe` makes a browser, `pushed` are the messages that arrived. `answers[name] = (status, headers)` is what
    a browser's endpoint answers instead of taking it."""

    def __init__(self, *, port=0):
        self.browsers, self.pushed, self.answers = {}, [], {}
        self._numbers = itertools.count(1)
        super().__init__(port=port)

    def routes(self, app):
        app.router.add_post("/wpush/v2/{name}", self._answer)

    def subscribe(self, application_key):
        """A browser that allows pushes of whoever has this public key."""
        name = f"browser-{next(self._numbers)}"
        self.browsers[name] = Browser(self.url(f"/wpush/v2/{name}"), application_key)
        return self.browsers[name]

    async def _answer(self, request):
        name, body = request.match_info["name"], await request.read()
        if name in self.answers:
            status, headers = self.answers[name]
            return web.Response(status=status, headers=headers)
        browser = self.browsers.get(name)
        if browser is None:
            return web.json_response({"errno": 106, "message": "subscription expired"}, status=410)
        headers = request.headers
        ttl, topic = headers.get("TTL", ""), headers.get("Topic", "")
        if not ttl.isdigit() or headers.get("Urgency") not in ("very-low", "low", "normal", "high"):
            return web.Response(status=400, text="TTL or Urgency")
        if len(topic) > 32 or not topic.replace("-", "").replace("_", "").isalnum():
            return web.Response(status=400, text="Topic")
        if headers.get("Content-Encoding") != "aes128gcm":
            return web.Response(status=415, text="Content-Encoding")
        if len(body) > 4096:
            return web.Response(status=413, text="too much")
        claims = self._claims(headers.get("Authorization", ""), browser)
        if claims is None:
            return web.Response(status=403, text="the keys do not belong to the subscription")
        self.pushed.append(Pushed(name, dict(headers), browser.read(body), len(body), claims))
        return web.Response(status=201, headers={"Location": self.url(f"/message/{len(self.pushed)}")})

    def _claims(self, authorization, browser):
        """The claims of a good signature by the key that the browser signed up with, else None."""
        if not authorization.startswith("vapid ") or not Vapid02.verify(authorization):
            return None
        parts = dict(part.split("=", 1) for part in authorization.removeprefix("vapid ").split(","))
        claims = json.loads(decoded(parts["t"].split(".")[1]))
        endpoint = urlsplit(browser.endpoint)
        is_good = (
            parts["k"] == browser.application_key
            and claims["aud"] == f"{endpoint.scheme}://{endpoint.netloc}"
            and time.time() < claims["exp"] <= time.time() + 24 * 3600
            and claims["sub"].startswith(("mailto:", "https:"))
        )
        return claims if is_good else None


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
