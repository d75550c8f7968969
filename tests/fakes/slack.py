"""Slack: its Web API, incoming webhooks, response addresses, and the presses and commands of people.

Checks tokens, channels and Block Kit's limits as Slack does, and keeps what it was told. See docs.slack.dev.
"""

import asyncio
import collections
import hashlib
import hmac
import itertools
import json
import re
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode

from aiohttp import web

from tests.fakes.server import Server, running

TOKEN = "xoxb-1234567890-abcdefghijkl"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TEAM = "T024BE7LD"
BOT = "U0BOT0001"
MEMBER = re.compile(r"[UW][A-Z0-9]+")
TYPES = {"header", "section", "divider", "image", "actions", "context"}


class FakeSlack(Server):
    """`messages` are dicts: channel, ts, thread_ts, text, blocks, edits (older text and blocks), is_webhook.

    `channels` are `{id: {name, topic, members, is_archived, is_joined}}`; one that nobody made is made on demand, and
    `unknown` names ids that do not exist. `next_answer` makes a method fail; `calls` are all (method, arguments).
    """

    def __init__(self, *, port=0, token=TOKEN, signing_secret=SIGNING_SECRET):
        self.token, self.signing_secret = token, signing_secret
        self.calls, self.messages, self.ephemerals, self.responses = [], [], [], []
        self.channels, self.unknown = {}, set()
        self.emails = {}  # email -> member
        self.answers = collections.defaultdict(collections.deque)
        self._numbers = itertools.count(1)
        super().__init__(port=port)

    def routes(self, app):
        app.router.add_post("/api/{method}", self._api)
        app.router.add_post("/services/{path:.*}", self._webhook)
        app.router.add_post("/response/{path:.*}", self._response)

    @property
    def config(self):
        """The settings of an account that talks to this server."""
        return {"bot_token": self.token, "signing_secret": self.signing_secret, "base_url": self.url("/api/")}

    def next_answer(self, method, *, status=200, json=None, headers=None, text=None, seconds=0, times=1):
        """The next call of a method (or of "webhook", "response") gets this answer and does nothing."""
        for _ in range(times):
            self.answers[method].append((status, json, headers or {}, text, seconds))

    def message(self, ts):
        return next(one for one in self.messages if one["ts"] == ts)

    # what people do

    def signed(self, body, *, now=None, secret=""):
        """The headers with which Slack proves that this body is its own."""
        timestamp = str(int(time.time() if now is None else now.timestamp()))
        mac = hmac.new((secret or self.signing_secret).encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={mac.hexdigest()}"}

    def press_body(self, ts, action_id, user, *, name="oncall1", team=TEAM):
        """The body that Slack posts when somebody presses a button of a message."""
        message = self.message(ts)
        elements = [one for block in message["blocks"] for one in block.get("elements", ()) if "action_id" in one]
        element = next(one for one in elements if one["action_id"] == action_id)
        action = {"type": "button", "action_id": action_id, "block_id": "watchbill", "text": element["text"]}
        action |= {"action_ts": self._ts()} | {key: element[key] for key in ("value", "style") if key in element}
        payload = {
            "type": "block_actions",
            "team": {"id": team, "domain": "example"},
            "user": {"id": user, "username": name, "name": name, "team_id": team},
            "api_app_id": "A02",
            "token": "deprecated-verification-token",
            "container": {
                "type": "message",
                "message_ts": ts,
                "channel_id": message["channel"],
                "is_ephemeral": False,
            },
            "trigger_id": f"12466734323.1395872398.{next(self._numbers)}",
            "channel": {"id": message["channel"], "name": "somewhere"},
            "message": {"type": "message", "ts": ts, "text": message["text"], "bot_id": "B02"},
            "response_url": self.url(f"/response/{TEAM}/{ts}"),
            "state": {"values": {}},
            "actions": [action],
        }
        return urlencode({"payload": json.dumps(payload)})

    def command_body(self, command, text, user, *, name="oncall1", channel="C024BE91L", team=TEAM):
        """The body that Slack posts for a slash command."""
        return urlencode(
            {
                "token": "deprecated-verification-token",
                "team_id": team,
                "team_domain": "example",
                "channel_id": channel,
                "channel_name": "general",
                "user_id": user,
                "user_name": name,
                "command": command,
                "text": text,
                "api_app_id": "A02",
                "is_enterprise_install": "false",
                "response_url": self.url(f"/response/{TEAM}/command"),
                "trigger_id": f"12466734323.1395872398.{next(self._numbers)}",
            }
        )

    def press(self, ts, action_id, user, app_url, signing_secret=""):
        """Press a button: post the signed action to the product at `app_url`. Returns (status, text)."""
        return self._post(f"{app_url}/slack/interactive", self.press_body(ts, action_id, user), signing_secret)

    def command(self, command, text, user, app_url, signing_secret=""):
        """Type a slash command. Returns (status, text)."""
        return self._post(f"{app_url}/slack/commands", self.command_body(command, text, user), signing_secret)

    def _post(self, url, body, secret):
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self.signed(body, secret=secret)}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    # the server

    async def _told(self, method):
        """The answer that a test asked for, or None."""
        if not self.answers[method]:
            return None
        status, answer, headers, text, seconds = self.answers[method].popleft()
        await asyncio.sleep(seconds)
        if text is not None:
            return web.Response(status=status, text=text, headers=headers)
        return web.json_response(
            answer if answer is not None else {"ok": status == 200}, status=status, headers=headers
        )

    async def _api(self, request):
        method = request.match_info["method"]
        given = dict(request.query)
        if request.content_type == "application/json":
            given |= await request.json()
        else:
            given |= dict(await request.post())
        self.calls.append((method, given))
        if (told := await self._told(method)) is not None:
            return told
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != self.token:
            return web.json_response({"ok": False, "error": "invalid_auth" if token else "not_authed"})
        handler = getattr(self, "_" + re.sub(r"[.]|(?<=[a-z])(?=[A-Z])", "_", method).lower(), None)
        answer = handler(given) if handler else {"error": "unknown_method"}
        return web.json_response({"ok": "error" not in answer, **answer})

    def _auth_test(self, given):
        return {
            "url": "https://example.slack.com/",
            "team": "Example",
            "team_id": TEAM,
            "user_id": BOT,
            "bot_id": "B02",
        }

    def _chat_post_message(self, given, *, is_ephemeral=False):
        channel = self._channel_to_write(given.get("channel", ""))
        if "error" in channel:
            return channel
        if problem := problem_with_message(given):
            return {"error": problem}
        thread = given.get("thread_ts")
        if thread and not any(one["ts"] == thread and one["channel"] == channel["id"] for one in self.messages):
            return {"error": "thread_not_found"}
        kept = {
            "channel": channel["id"],
            "ts": self._ts(),
            "thread_ts": thread,
            "text": given.get("text", ""),
            "blocks": given.get("blocks") or [],
            "edits": [],
            "is_webhook": False,
        }
        if is_ephemeral:
            self.ephemerals.append({**kept, "user": given.get("user")})
            return {"message_ts": kept["ts"]}
        self.messages.append(kept)
        shown = {"type": "message", "user": BOT, "ts": kept["ts"], "text": kept["text"], "blocks": kept["blocks"]}
        return {"channel": channel["id"], "ts": kept["ts"], "message": shown}

    def _chat_post_ephemeral(self, given):
        return self._chat_post_message(given, is_ephemeral=True)

    def _chat_update(self, given):
        if problem := problem_with_message(given):
            return {"error": problem}
        for one in self.messages:
            if one["channel"] == given.get("channel") and one["ts"] == given.get("ts"):
                if one["is_webhook"]:
                    return {"error": "cant_update_message"}
                one["edits"].append({"text": one["text"], "blocks": one["blocks"]})
                one["text"] = given.get("text", one["text"])
                one["blocks"] = given.get("blocks", one["blocks"])
                return {"channel": one["channel"], "ts": one["ts"], "text": one["text"]}
        return {"error": "message_not_found"}

    def _conversations_open(self, given):
        user = given.get("users", "")
        if not MEMBER.fullmatch(user) or user in self.unknown:
            return {"error": "user_not_found"}
        return {"channel": {"id": f"D{user[1:]}"}}

    def _conversations_create(self, given):
        name = given.get("name", "")
        if not name or len(name) > 80 or not re.fullmatch(r"[a-z0-9_-]+", name):
            return {"error": "invalid_name_specials" if name else "invalid_name_required"}
        if any(one["name"] == name for one in self.channels.values()):
            return {"error": "name_taken"}
        channel = self._made(f"C{next(self._numbers):08d}", name=name)
        return {"channel": {"id": channel["id"], "name": name}}

    def _conversations_set_topic(self, given):
        channel = self._channel_to_write(given.get("channel", ""))
        if "error" in channel:
            return channel
        if len(given.get("topic", "")) > 250:
            return {"error": "too_long"}
        channel["topic"] = given["topic"]
        return {"channel": {"id": channel["id"]}}

    def _conversations_invite(self, given):
        channel = self._channel_to_write(given.get("channel", ""))
        if "error" in channel:
            return channel
        members = given.get("users", "").split(",")
        wrong = [one for one in members if not MEMBER.fullmatch(one) or one in self.unknown]
        if wrong and str(given.get("force")).lower() not in ("1", "true"):
            return {"error": "user_not_found"}
        channel["members"] += [one for one in members if one not in wrong]
        return {"channel": {"id": channel["id"]}}

    def _conversations_join(self, given):
        channel = self._known(given.get("channel", ""))
        if channel is None or channel["is_archived"]:
            return {"error": "channel_not_found" if channel is None else "is_archived"}
        channel["is_joined"] = True
        return {"channel": {"id": channel["id"]}}

    def _conversations_archive(self, given):
        channel = self._channel_to_write(given.get("channel", ""))
        if "error" in channel:
            return {"error": "already_archived"} if channel["error"] == "is_archived" else channel
        channel["is_archived"] = True
        return {}

    def _users_lookup_by_email(self, given):
        user = self.emails.get(given.get("email", ""))
        return {"user": {"id": user, "team_id": TEAM}} if user else {"error": "users_not_found"}

    async def _webhook(self, request):
        body = await request.json()
        self.calls.append(("webhook", body))
        if (told := await self._told("webhook")) is not None:
            return told
        if problem := problem_with_message(body):
            return web.Response(status=400, text=problem)
        kept = {"channel": request.path, "ts": self._ts(), "thread_ts": None, "text": body.get("text", "")}
        self.messages.append({**kept, "blocks": body.get("blocks") or [], "edits": [], "is_webhook": True})
        return web.Response(text="ok")

    async def _response(self, request):
        body = await request.json()
        if (told := await self._told("response")) is not None:
            return told
        self.responses.append(body)
        return web.Response(text="ok")

    def _known(self, name):
        if name in self.unknown or not re.fullmatch(r"[CGD][A-Z0-9]{3,}", name):
            return None
        return self.channels.get(name) or self._made(name, name=name.lower())

    def _made(self, pk, *, name):
        self.channels[pk] = {
            "id": pk,
            "name": name,
            "topic": "",
            "members": [],
            "is_archived": False,
            "is_joined": True,
        }
        return self.channels[pk]

    def _channel_to_write(self, name):
        channel = self._known(name)
        if channel is None:
            return {"error": "channel_not_found"}
        if channel["is_archived"]:
            return {"error": "is_archived"}
        return channel if channel["is_joined"] else {"error": "not_in_channel"}

    def _ts(self):
        return f"1777889701.{next(self._numbers):06d}"


def problem_with_message(given):
    """The error that Slack answers for a message that breaks its limits, or ""."""
    blocks = given.get("blocks") or []
    if not blocks and not given.get("text"):
        return "no_text"
    if len(given.get("text") or "") > 40_000:
        return "msg_too_long"
    if not isinstance(blocks, list) or len(blocks) > 50 or not all(map(_is_good, blocks)):
        return "invalid_blocks"
    ids = [one.get("block_id") for one in blocks if one.get("block_id")]
    actions = [one["action_id"] for block in blocks for one in block.get("elements", ()) if "action_id" in one]
    if len(ids) != len(set(ids)) or len(actions) != len(set(actions)):
        return "invalid_blocks"
    return "msg_blocks_too_long" if length(blocks) > 13_000 else ""


def length(value):
    """How many characters of text blocks hold."""
    if isinstance(value, dict):
        return sum(len(one) if key == "text" and isinstance(one, str) else length(one) for key, one in value.items())
    return sum(map(length, value)) if isinstance(value, list) else 0


def _is_good(block):
    kind = block.get("type")
    if kind not in TYPES or len(block.get("block_id", "")) > 255:
        return False
    if kind == "header":
        return _is_text(block.get("text"), 150, kinds=("plain_text",))
    if kind == "section":
        fields = block.get("fields", [])
        if "text" not in block and not fields:
            return False
        has_text = "text" not in block or _is_text(block["text"], 3000)
        return has_text and len(fields) <= 10 and all(_is_text(one, 2000) for one in fields)
    elements = block.get("elements", [])
    if kind == "actions":
        return 1 <= len(elements) <= 25 and all(map(_is_button, elements))
    if kind == "context":
        return 1 <= len(elements) <= 10 and all(_is_text(one, 3000) for one in elements)
    return True


def _is_text(value, limit, *, kinds=("plain_text", "mrkdwn")):
    return isinstance(value, dict) and value.get("type") in kinds and 1 <= len(value.get("text", "")) <= limit


def _is_button(one):
    confirm = one.get("confirm")
    return (
        one.get("type") == "button"
        and _is_text(one.get("text"), 75, kinds=("plain_text",))
        and len(one.get("action_id", "")) <= 255
        and len(one.get("value", "")) <= 2000
        and len(one.get("url", "")) <= 3000
        and one.get("style", "primary") in ("primary", "danger")
        and (
            confirm is None
            or _is_text(confirm["title"], 100, kinds=("plain_text",))
            and _is_text(confirm["text"], 300)
            and _is_text(confirm["confirm"], 30, kinds=("plain_text",))
            and _is_text(confirm["deny"], 30, kinds=("plain_text",))
        )
    )


def slack(**more):
    """Run a Slack for the length of a block."""
    return running(FakeSlack(**more))
