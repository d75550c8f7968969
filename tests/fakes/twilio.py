"""Twilio on this machine: takes messages and calls, and calls back with its signature as the real one does."""

import asyncio
import base64
import dataclasses
import itertools
import threading
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

from aiohttp import web
from twilio.request_validator import RequestValidator

from tests.fakes.server import Server

ACCOUNT_SID, AUTH_TOKEN = "AC" + "a" * 32, "12345"
OUR_NUMBER = "+15005550006"


@dataclasses.dataclass
class Made:
    """A message or a call that was asked for. `fields` is the form as it came, with lists for what came twice."""

    sid: str
    fields: dict
    status: str = "queued"
    spoken: list = dataclasses.field(default_factory=list)  # what a call said, answer by answer
    action: str = ""  # where the keys of a call go; "" when it hung up

    @property
    def to(self):
        return self.fields["To"][0]

    @property
    def body(self):
        return self.fields["Body"][0]

    def __getitem__(self, name):
        return self.fields[name][0]


class FakeTwilio(Server):
    """Keeps `messages` and `calls`. `next_answer` makes the next request fail.

    `status`, `reply`, `answer` and `press` call the application back, signed with the token. `app_url` is where it
    takes text messages; the other addresses it gave itself. `deliver(url, fields, signature) -> (status, type, body)`
    may replace the HTTP call, for a test client. With `is_automatic` every message is reported as delivered at once.
    """

    def __init__(self, *, port=0, account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, app_url="", deliver=None, **more):
        self.is_automatic = more.pop("is_automatic", False)
        self.account_sid, self.auth_token = account_sid, auth_token
        self.app_url, self.deliver = app_url.rstrip("/"), deliver or post
        self.messages, self.calls = [], []
        self.refused = 0  # requests with the wrong password
        self.post_errors = []  # answers to automatic reports that were no success
        self._numbers = itertools.count(1)
        self._answers = []
        self._lock = threading.Lock()
        super().__init__(port=port, **more)

    @property
    def config(self):
        """The settings of an account that talks to this server."""
        return {
            "account_sid": self.account_sid,
            "auth_token": self.auth_token,
            "from_number": OUR_NUMBER,
            "base_url": self.url("").rstrip("/"),
        }

    def routes(self, app):
        app.router.add_post("/2010-04-01/Accounts/{account}/{what:Messages|Calls}.json", self._create)

    def next_answer(self, status, *, code=None, message="Something is wrong", body=None, seconds=0, headers=None):
        """Answer the next request with an error of Twilio's, or with this body as it is, after so many seconds."""
        if body is None:
            more_info = f"https://www.twilio.com/docs/errors/{code}"
            body = {"code": code, "message": message, "more_info": more_info, "status": status}
        self._answers.append((status, body, seconds, headers))

    async def _create(self, request):
        form = await request.post()
        password = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {password}":
            self.refused += 1
            return self._error(401, 20003, "Authenticate")
        if request.match_info["account"] != self.account_sid:
            return self._error(404, 20404, "The requested resource was not found")
        if self._answers:
            status, body, seconds, headers = self._answers.pop(0)
            await asyncio.sleep(seconds)
            if isinstance(body, str):
                return web.Response(status=status, text=body, content_type="text/html", headers=headers)
            return web.json_response(body, status=status, headers=headers)
        is_call = request.match_info["what"] == "Calls"
        with self._lock:
            sid = f"{'CA' if is_call else 'SM'}{next(self._numbers):032x}"
            made = Made(sid, {name: form.getall(name) for name in form})
            (self.calls if is_call else self.messages).append(made)
        if problem := self._problem(made, is_call):
            (self.calls if is_call else self.messages).remove(made)
            return self._error(400, *problem)
        if is_call:
            self._read(made, made["Twiml"])
        if self.is_automatic and "StatusCallback" in made.fields:
            words = ["ringing"] if is_call else ["sent", "delivered"]
            asyncio.get_running_loop().run_in_executor(None, self._report, made.sid, words)
        return web.json_response(self._call(made) if is_call else self._message(made), status=201)

    def _problem(self, made, is_call):
        """What the real one refuses: (code, text), or None."""
        to = made.fields.get("To", [""])[0]
        if not (to.startswith("+") and to[1:].isdigit() and 8 <= len(to) <= 16):
            return 21211, f"The 'To' number {to} is not a valid phone number."
        if "From" not in made.fields and "MessagingServiceSid" not in made.fields:
            return 21603, "A 'From' phone number is required."
        text = made.fields.get("Twiml" if is_call else "Body", [""])[0]
        if not text:
            return (21205, "Url parameter is required.") if is_call else (21602, "Message body is required.")
        if is_call:
            return (21203, "TwiML is longer than 4000 characters.") if len(text) > 4000 else None
        return (21617, "The concatenated message body exceeds the 1600 character limit.") if len(text) > 1600 else None

    def _error(self, status, code, message):
        more_info = f"https://www.twilio.com/docs/errors/{code}"
        body = {"code": code, "message": message, "more_info": more_info, "status": status}
        return web.json_response(body, status=status)

    def _message(self, made):
        return {
            "sid": made.sid,
            "account_sid": self.account_sid,
            "to": made.to,
            "from": made.fields.get("From", [None])[0],
            "messaging_service_sid": made.fields.get("MessagingServiceSid", [None])[0],
            "body": made.body,
            "status": "queued",
            "num_segments": "1",
            "num_media": "0",
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "error_message": None,
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Messages/{made.sid}.json",
            "date_created": "Mon, 04 May 2026 10:15:05 +0000",
            "date_updated": "Mon, 04 May 2026 10:15:05 +0000",
            "date_sent": None,
            "subresource_uris": {},
        }

    def _call(self, made):
        return {
            "sid": made.sid,
            "account_sid": self.account_sid,
            "to": made.to,
            "from": made["From"],
            "status": "queued",
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "price": None,
            "price_unit": "USD",
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Calls/{made.sid}.json",
            "date_created": "Mon, 04 May 2026 10:15:05 +0000",
            "subresource_uris": {},
        }

    def made(self, sid):
        return next(each for each in [*self.messages, *self.calls] if each.sid == sid)

    def status(self, sid, word, **fields):
        """Report the status of a message or a call; more fields as Twilio names them. Returns the answer's status."""
        made = self.made(sid)
        made.status = word
        if sid.startswith("CA"):
            if word == "completed":
                made.action = ""
            fields = {"CallSid": sid, "CallStatus": word, "Direction": "outbound-api", **fields}
        else:
            fields = {"MessageSid": sid, "SmsSid": sid, "MessageStatus": word, "SmsStatus": word, **fields}
        fields |= {"To": made.to, "From": made.fields.get("From", [OUR_NUMBER])[0]}
        return self.send(made["StatusCallback"], fields)[0]

    def reply(self, sender, body, *, to=OUR_NUMBER, sid=None):
        """Somebody writes to us: the texts of the answer, which would be sent back."""
        sid = sid or f"SM{next(self._numbers):032x}"
        fields = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "SmsStatus": "received"}
        fields |= {"From": sender, "To": to, "Body": body, "NumMedia": "0", "NumSegments": "1"}
        status, kind, text = self.send(f"{self.app_url}/twilio/sms", fields)
        if status != 200:
            raise AssertionError(f"The answer to a text message was {status}.")
        if "xml" not in kind:
            raise AssertionError(f"TwiML has the type text/xml, not {kind}.")
        return [each.text for each in ElementTree.fromstring(text).iter("Message")]

    def answer(self, sid, by=""):
        """Somebody, or a machine, takes the call. Returns what it says."""
        self.status(sid, "in-progress", **({"AnsweredBy": by} if by else {}))
        return self.made(sid).spoken[-1]

    def press(self, sid, key):
        """Press a key, or none (""), and return what the call says then."""
        made = self.made(sid)
        if not made.action:
            raise AssertionError("The call does not wait for a key.")
        fields = {"CallSid": sid, "CallStatus": "in-progress", "Digits": key, "msg": "Gather End"}
        fields |= {"To": made.to, "Called": made.to, "From": made["From"], "Caller": made["From"]}
        status, kind, text = self.send(made.action, {**fields, "FinishedOnKey": "", "Direction": "outbound-api"})
        if status != 200:
            raise AssertionError(f"The answer to a key was {status}.")
        if "xml" not in kind:
            raise AssertionError(f"TwiML has the type text/xml, not {kind}.")
        self._read(made, text)
        return made.spoken[-1]

    def send(self, url, fields, *, signature=None):
        """Post fields to the application, signed: (status, type, body)."""
        fields = {"AccountSid": self.account_sid, "ApiVersion": "2010-04-01", **fields}
        if signature is None:
            signature = RequestValidator(self.auth_token).compute_signature(url, fields)
        return self.deliver(url, fields, signature)

    def _report(self, sid, words):
        for word in words:
            try:
                answer = self.status(sid, word)
            except OSError as error:
                answer = error
            if answer != 204:
                self.post_errors.append((sid, word, answer))

    def _read(self, made, twiml):
        tree = ElementTree.fromstring(twiml)
        gather = tree.find("Gather")
        made.action = gather.get("action") if gather is not None else ""
        made.spoken.append(" ".join(each.text or "" for each in tree.iter("Say")))


def post(url, fields, signature):
    """Post a signed form by HTTP: (status, type, body)."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not a web address.")
    data = urllib.parse.urlencode(fields).encode()
    request = urllib.request.Request(url, data=data, headers={"X-Twilio-Signature": signature})
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), error.read().decode()


def through(client):
    """A `deliver` that posts through Django's test client."""

    def deliver(url, fields, signature):
        parts = urllib.parse.urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = client.post(
            path,
            urllib.parse.urlencode(fields),
            content_type="application/x-www-form-urlencoded",
            headers={"X-Twilio-Signature": signature},
        )
        return answer.status_code, answer.headers.get("Content-Type", ""), answer.content.decode()

    return deliver
