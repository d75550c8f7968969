"""Slack: the app of a workspace, which posts as a bot and tells us what people press and type."""

import hashlib
import hmac
import logging
import time

from slack_sdk import WebClient

from core import http
from core.errors import SendError
from notifications.vendors.base import Setting, Vendor

TIMEOUT_SECONDS = 10
SEND_SECONDS = 25  # of all calls of one message: with the wait before them they must end within its lease
ANSWER_BYTES = 1024 * 1024  # Slack answers with the whole message that it has posted, escaped
CLOCK_SECONDS = 300  # a request that is older was kept by somebody, and is refused

_silent = logging.getLogger("notifications.slack_sdk")
_silent.setLevel(logging.CRITICAL + 1)  # the SDK would log texts of messages; what goes wrong is raised and noted


class _Client(WebClient):
    """The SDK's client with its calls going out through `core.http`: a limit on the whole call, connections that are
    kept, and no private address that nobody allowed. What `core.http` raises comes out as it is."""

    def __init__(self, *, within, **more):
        super().__init__(**more)
        self._within, self._until = within, time.monotonic() + within

    def _perform_urllib_http_request_internal(self, url, req):
        left = self._until - time.monotonic()
        if left <= 0:
            raise SendError(f"Slack did not answer within {self._within} s.")
        reply = http.post(
            url,
            data=req.data or b"",
            headers=dict(req.header_items()),
            timeout=min(left, self.timeout),
            body_bytes=ANSWER_BYTES,
        )
        return {"status": reply.status, "headers": reply.headers, "body": reply.text}


def client(config, *, timeout=TIMEOUT_SECONDS, within=SEND_SECONDS):
    """The SDK's client for an account: `timeout` seconds for a call, and `within` from now for all of them.

    It never sleeps to try again: that is the queue's work.
    """
    return _Client(
        within=within,
        token=config["bot_token"],
        base_url=config["base_url"],
        timeout=timeout,
        retry_handlers=[],
        logger=_silent,
    )


def is_genuine(config, *, timestamp, signature, body, now):
    """Whether Slack signed this request for this account, within the last five minutes."""
    secret = config.get("signing_secret", "")
    if not secret or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    expected = "v0=" + hmac.digest(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hex()
    is_ours = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
    return is_ours and abs(now.timestamp() - int(timestamp)) <= CLOCK_SECONDS


class Slack(Vendor):
    kind, label = "slack", "Slack"
    help = (
        "Make an app at api.slack.com/apps, install it into your workspace and copy two texts from it. "
        "docs/channels.md lists the scopes and addresses that it needs."
    )
    settings = (
        Setting(
            "bot_token",
            "Bot token",
            "Under “OAuth & Permissions”: the Bot User OAuth Token, which begins with xoxb-.",
            is_secret=True,
        ),
        Setting(
            "signing_secret",
            "Signing secret",
            "Under “Basic Information”, App Credentials. It proves that buttons and commands come from Slack.",
            is_secret=True,
        ),
        Setting(
            "base_url",
            "Address of the API",
            "Only for a proxy or another Slack.",
            is_required=False,
            default="https://slack.com/api/",
        ),
    )

    def problems_with(self, config):
        problems = {}
        if not config.get("bot_token", "").startswith("xoxb-"):
            problems["bot_token"] = "This is not a bot token. Copy the one that begins with xoxb-."
        if config.get("base_url") and (problem := http.problem_with(config["base_url"])):
            problems["base_url"] = problem
        return problems
