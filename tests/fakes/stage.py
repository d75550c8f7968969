"""The stage: a page that shows what the fakes of Slack, Twilio and Teams were sent as it would look, with its buttons.

A press on the page is a real one: the fake posts it to the product, signed, as the outside service would.
"""

import asyncio
import html
import pathlib
import re
import urllib.parse

from aiohttp import web

from tests.fakes.server import Server

PAGE = pathlib.Path(__file__).with_name("stage.html").read_text()
SHOWN = 30  # messages of each kind, newest first
LINK = re.compile(r"&lt;(https?://[^|&]+(?:&amp;[^|&]+)*)(?:\|([^&]*))?&gt;")
DATE = re.compile(r"&lt;!date\^[^|]*\|([^&]*)&gt;")
BOLD = re.compile(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])")
KEYS = "1234567890*"


class Stage(Server):
    """`slack`, `twilio` and `teams` are the fakes; `names` are `{member or number: name}` of the people."""

    def __init__(self, *, port, slack, twilio, teams, names, app_url):
        self.slack, self.twilio, self.teams = slack, twilio, teams
        self.names, self.app_url = names, app_url
        self.replies = []  # (number, what they wrote, what came back)
        super().__init__(port=port)

    def routes(self, app):
        app.router.add_get("/", self._page)
        app.router.add_get("/messages", self._messages)
        app.router.add_post("/do/{what}", self._do)

    async def _page(self, request):
        return web.Response(text=PAGE.replace("{messages}", self._shown()), content_type="text/html")

    async def _messages(self, request):
        return web.Response(text=self._shown(), content_type="text/html")

    async def _do(self, request):
        given = dict(await request.post())
        act = {"press": self._press, "reply": self._reply, "call": self._call}.get(request.match_info["what"])
        if act is None:
            raise web.HTTPNotFound
        # The product answers while it calls us in turn, so the loop must stay free.
        said = await asyncio.get_running_loop().run_in_executor(None, act, given)
        return web.Response(text=str(said))

    # --- what people do -------------------------------------------------------------------------------------------
    def _press(self, given):
        status, text = self.slack.press(given["ts"], given["action"], given["user"], self.app_url)
        return f"{status} {text}".strip()

    def _reply(self, given):
        answers = self.twilio.reply(given["number"], given["body"])
        self.replies.append((given["number"], given["body"], answers))
        return " ".join(answers)

    def _call(self, given):
        key, sid = given["key"], given["sid"]
        if key == "answer":
            return self.twilio.answer(sid, "human")
        if key in ("no-answer", "completed"):
            return self.twilio.status(sid, key)
        return self.twilio.press(sid, key)

    # --- how it looks ---------------------------------------------------------------------------------------------
    def _shown(self):
        columns = (
            ("Phones", [*self._calls(), *self._texts()], "No call and no text message yet."),
            ("Slack", self._slack(), "No Slack message yet."),
            ("Teams", self._teams(), "No card yet."),
        )
        return "".join(
            f"<section><h2>{title}</h2>{''.join(parts) or f'<p class=empty>{nothing}</p>'}</section>"
            for title, parts, nothing in columns
        )

    def _name(self, key):
        name = self.names.get(key, "")
        return html.escape(f"{name} ({key})" if name else key)

    def _calls(self):
        for call in reversed(self.twilio.calls[-SHOWN:]):
            said, buttons = "", ""
            if call.status in ("queued", "ringing"):
                buttons = button("call", "Answer", sid=call.sid, key="answer")
                buttons += button("call", "Let it ring", sid=call.sid, key="no-answer")
            elif call.status != "no-answer":
                said = "".join(f"<p>{html.escape(text)}</p>" for text in call.spoken)
            if call.status == "in-progress":
                if call.action:
                    buttons = "".join(button("call", key, sid=call.sid, key=key) for key in KEYS)
                buttons += button("call", "Hang up", sid=call.sid, key="completed")
            head = f"<header>Call to {self._name(call.to)} <em>{html.escape(call.status)}</em></header>"
            yield f"<article class=call>{head}{said}<footer>{buttons}</footer></article>"

    def _texts(self):
        for number, wrote, answers in reversed(self.replies[-SHOWN:]):
            back = "".join(f"<p class=in>{html.escape(text or '')}</p>" for text in answers)
            yield (
                f"<article class=sms><header>{self._name(number)}</header>"
                f"<p class=out>{html.escape(wrote)}</p>{back}</article>"
            )
        for message in reversed(self.twilio.messages[-SHOWN:]):
            number = html.escape(message.to, quote=True)
            yield (
                f"<article class=sms><header>SMS to {self._name(message.to)} <em>{html.escape(message.status)}</em>"
                f"</header><p class=in>{linked(message.body)}</p>"
                f'<form data-do="reply"><input type=hidden name=number value="{number}">'
                '<input name=body placeholder="Reply" required autocomplete=off><button>Send</button></form></article>'
            )

    def _slack(self):
        for message in reversed(self.slack.messages[-SHOWN:]):
            channel = message["channel"]
            reader = f"U{channel[1:]}" if channel.startswith("D") else ""  # of a direct message
            where = f"To {self._name(reader)}" if reader else f"#{html.escape(channel.lower())}"
            if message["thread_ts"]:
                where += " · in a thread"
            edited = " <em>edited</em>" if message["edits"] else ""
            readers = [reader] if reader else [one for one in self.names if one[0] in "UW"]
            blocks = "".join(self._block(block, message, readers) for block in message["blocks"])
            body = blocks or f"<p>{marked(message['text'])}</p>"
            yield f"<article class=slack><header>{where}{edited}</header>{body}</article>"

    def _block(self, block, message, readers):
        kind = block["type"]
        if kind == "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        if kind == "divider":
            return "<hr>"
        if kind == "section":
            text = f"<p>{marked(block['text']['text'])}</p>" if "text" in block else ""
            fields = "".join(f"<li>{marked(one['text'])}</li>" for one in block.get("fields", ()))
            return text + (f"<ul>{fields}</ul>" if fields else "")
        if kind == "context":
            return "".join(f"<p class=soft>{marked(one.get('text', ''))}</p>" for one in block["elements"])
        if kind != "actions":
            return ""
        parts = []
        for one in block["elements"]:
            label = one["text"]["text"]
            if one.get("url"):
                url = html.escape(one["url"], quote=True)
                parts.append(f'<a target=_blank rel=noreferrer href="{url}">{html.escape(label)}</a>')
            else:
                parts.append(button("press", label, ts=message["ts"], action=one["action_id"], user=readers[0]))
        if len(readers) > 1 and any("url" not in one for one in block["elements"]):
            options = "".join(f'<option value="{html.escape(one)}">{self._name(one)}</option>' for one in readers)
            parts.append(f"<select data-user aria-label='as whom'>{options}</select>")
        return f"<footer>{''.join(parts)}</footer>"

    def _teams(self):
        for card in reversed(self.teams.cards[-SHOWN:]):
            body = "".join(element(one) for one in card["body"])
            links = "".join(
                f'<a target=_blank rel=noreferrer href="{html.escape(one["url"], quote=True)}">'
                f"{html.escape(one['title'])}</a>"
                for one in card.get("actions", ())
            )
            yield f"<article class=teams>{body}<footer>{links}</footer></article>"


def element(one):
    """One element of an Adaptive Card."""
    kind = one["type"]
    if kind == "TextBlock":
        tone = {"Attention": "bad", "Warning": "warn", "Good": "good"}.get(one.get("color"), "")
        tag = "h3" if one.get("style") == "heading" or one.get("size") in ("Large", "ExtraLarge") else "p"
        return f'<{tag} class="{tone}">{html.escape(one["text"]).replace(chr(92), "")}</{tag}>'
    if kind == "FactSet":
        facts = (f"<li><b>{html.escape(f['title'])}</b> {html.escape(f['value'])}</li>" for f in one["facts"])
        return f"<ul>{''.join(facts)}</ul>"
    inner = [*one.get("items", ()), *(part for column in one.get("columns", ()) for part in column.get("items", ()))]
    return "".join(element(part) for part in inner)


def button(what, label, **values):
    fields = "".join(f'<input type=hidden name={name} value="{html.escape(v)}">' for name, v in values.items())
    return f'<form data-do="{what}">{fields}<button>{html.escape(label)}</button></form>'


def linked(text):
    """Text with its web addresses as links."""
    parts = re.split(r"(https?://\S+)", text)
    for number, one in enumerate(parts):
        parts[number] = html.escape(one).replace("\n", "<br>")
        if number % 2:
            host = html.escape(urllib.parse.urlsplit(one).netloc)
            parts[number] = f'<a target=_blank rel=noreferrer href="{html.escape(one)}">{host}/…</a>'
    return "".join(parts)


def marked(text):
    """Slack's mrkdwn: bold, links and line breaks. Its text comes with & < > escaped."""
    text = html.escape(html.unescape(text) if "&amp;" in text and "<" not in text else text, quote=False)
    text = text.replace("&amp;lt;", "&lt;").replace("&amp;gt;", "&gt;").replace("&amp;amp;", "&amp;")
    text = DATE.sub(r"\1", text)
    text = LINK.sub(lambda m: f'<a target=_blank rel=noreferrer href="{m[1]}">{m[2] or m[1]}</a>', text)
    return BOLD.sub(r"<b>\1</b>", text).replace("\n", "<br>")
