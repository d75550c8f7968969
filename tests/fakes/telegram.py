"""Telegram's Bot API: chats that keep their messages, and buttons that somebody presses."""

import html
import itertools
import re

from aiohttp import web

from tests.fakes.server import Server

TOKEN = "123456:" + "A" * 35
BOT = {"id": 123456, "is_bot": True, "first_name": "Watchbill", "username": "watchbill_bot"}
NAMES = re.compile(r"</?(b|i|u|s|code|pre|a)(\s[^>]*)?>")


class FakeTelegram(Server):
    """`messages` are what stands in the chats: {(chat, message id): values}. `calls` are (method, values), in order.

    `refuse(text, code=400, **parameters)` makes the next call fail; `moved[old] = new` moves a group; `press` and
    `write` give the update that Telegram would post, and `take` runs what our answer to it says.
    """

    def __init__(self, token=TOKEN, *, port=0):
        self.token = token
        self.messages, self.calls, self.refusals, self.moved = {}, [], [], {}
        self.webhook = None
        self._ids, self._updates = itertools.count(365), itertools.count(10000)
        super().__init__(port=port)

    def routes(self, app):
        app.router.add_post("/bot{token}/{method}", self._answer)

    @property
    def config(self):
        """The settings of an account that leads here."""
        return {"bot_token": self.token, "bot_name": BOT["username"], "base_url": self.url("").rstrip("/")}

    def refuse(self, text, code=400, **parameters):
        self.refusals.append((code, text, parameters))

    def press(self, chat_id, message_id, label, sender):
        """The update of a press on a button, which must be there."""
        rows = self.messages[chat_id, message_id]["reply_markup"]["inline_keyboard"]
        (data,) = (one["callback_data"] for row in rows for one in row if one["text"] == label)
        message = {"message_id": message_id, "chat": _chat(chat_id), "text": "…"}
        query = {"id": "4382bfdwdsb323b2d9", "from": _sender(sender), "message": message, "data": data}
        return {"update_id": next(self._updates), "callback_query": query}

    def write(self, chat_id, text, sender, **more):
        """The update of a message that somebody wrote."""
        message = {"message_id": next(self._ids), "chat": _chat(chat_id), "from": _sender(sender), "text": text}
        return {"update_id": next(self._updates), "message": {**message, **more}}

    def take(self, values):
        """Run the method that stands in the answer to an update. Returns what Telegram makes of it."""
        values = dict(values)
        return self._run_method(values.pop("method"), values)[1]

    async def _answer(self, request):
        if request.match_info["token"] != self.token:
            return _error(401, "Unauthorized")
        method, values = request.match_info["method"], await request.json()
        if self.refusals:
            code, text, parameters = self.refusals.pop(0)
            self.calls.append((method, values))
            return _error(code, text, parameters)
        code, answer = self._run_method(method, values)
        return web.json_response(answer, status=code)

    def _run_method(self, method, values):
        self.calls.append((method, values))
        run = getattr(self, f"_{method}", None)
        if run is None:
            return 404, {"ok": False, "error_code": 404, "description": "Not Found: method not found"}
        try:
            return 200, {"ok": True, "result": run(values)}
        except _Refused as error:
            return 400, {"ok": False, "error_code": 400, "description": error.text, "parameters": error.parameters}

    def _getMe(self, values):
        return BOT

    def _setWebhook(self, values):
        if not values["url"].startswith("https://"):
            raise _Refused("Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        self.webhook = values
        return True

    def _setMyCommands(self, values):
        for one in values["commands"]:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", one["command"]) or not 1 <= len(one["description"]) <= 256:
                raise _Refused("Bad Request: BOT_COMMAND_INVALID")
        return True

    def _answerCallbackQuery(self, values):
        if len(values.get("text", "")) > 200:
            raise _Refused("Bad Request: MESSAGE_TOO_LONG")
        return True

    def _sendMessage(self, values):
        if new := self.moved.get(values["chat_id"]):
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            raise _Refused(text, {"migrate_to_chat_id": new})
        self._check(values)
        message_id = next(self._ids)
        self.messages[values["chat_id"], message_id] = values
        return {"message_id": message_id, "chat": _chat(values["chat_id"])}

    def _editMessageText(self, values):
        self._check(values)
        key = values["chat_id"], values["message_id"]
        if key not in self.messages:
            raise _Refused("Bad Request: message to edit not found")
        before = self.messages[key]
        if all(before.get(name) == values.get(name) for name in ("text", "reply_markup")):
            raise _Refused(
                "Bad Request: message is not modified: specified new message content and reply markup are exactly "
                "the same as a current content and reply markup of the message"
            )
        self.messages[key] = values
        return {"message_id": values["message_id"], "chat": _chat(values["chat_id"])}

    def _check(self, values):
        """What the Bot API asks of a text and of its buttons."""
        text = values["text"]
        if values.get("parse_mode") == "HTML":
            if re.search(r"[<>]|&(?!lt;|gt;|amp;|quot;)", NAMES.sub("", text)):
                raise _Refused("Bad Request: can't parse entities: Unsupported start tag")
            text = html.unescape(NAMES.sub("", text))
        if not text.strip():
            raise _Refused("Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            raise _Refused("Bad Request: message is too long")
        for row in values.get("reply_markup", {}).get("inline_keyboard", []):
            for button in row:
                if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
                    raise _Refused("Bad Request: BUTTON_DATA_INVALID")
                if "//localhost" in button.get("url", "") or "//127.0.0.1" in button.get("url", ""):
                    raise _Refused(
                        f"Bad Request: inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL"
                    )


class _Refused(Exception):
    def __init__(self, text, parameters=None):
        super().__init__(text)
        self.text, self.parameters = text, parameters or {}


def _error(code, text, parameters=None):
    answer = {"ok": False, "error_code": code, "description": text}
    return web.json_response({**answer, **({"parameters": parameters} if parameters else {})}, status=code)


def _chat(chat_id):
    if isinstance(chat_id, int) and chat_id > 0:
        return {"id": chat_id, "type": "private", "first_name": "On-call"}
    return {"id": chat_id, "type": "supergroup", "title": "On-call"}


def _sender(sender):
    return {"id": sender, "is_bot": False, "first_name": "On-call"}
