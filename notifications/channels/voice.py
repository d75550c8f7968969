"""Calls, through Twilio: a voice reads the page, and keys answer it; see incidents/replies/twilio.py."""

import re

from django.conf import settings
from twilio.twiml.voice_response import Gather, VoiceResponse

from notifications import numbers
from notifications.channels.base import Accepted, AdminNeeded, Channel, Limit
from notifications.message import CALLS, Kind
from notifications.vendors import twilio

PATH = "/twilio/status/voice"
MENU_PATH = "/twilio/voice/menu/"
RING_SECONDS = 45  # long enough to wake up and reach for the phone, shorter than `receipt_seconds`
DETECTION_SECONDS = 30  # what listening for an answering machine takes at most
EVENTS = ["initiated", "ringing", "answered", "completed"]
LONGEST_TITLE, LONGEST_BODY = 200, 400  # letters; nobody listens longer
LONGEST = 3000  # of all that is said, with each “%” as a word: Twilio takes 4000 with the markup

KEYS = {"4": "acknowledge", "6": "resolve", "5": "escalate"}
REPEAT = "*"

URL = re.compile(r"https?://\S+")
LONG_NUMBER = re.compile(r"\d{5,}")
NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
CODE = re.compile(r"\b(?:\d{3} \d{3}|\d{4,10})\b")


class Voice(Channel):
    kind, label = "voice", "Voice call"
    vendor = "twilio"
    address_label = "Phone number"
    address_help = "A phone number with its country code, for example +14155550123"
    tells_changes = False  # nobody is rung up to hear that it is over
    receipt_seconds = 90
    per_provider = Limit(1, 1)  # calls that an account starts in a second, unless Twilio raises it
    per_address = Limit(3, 60)

    def problem_with(self, address):
        return numbers.problem_with(self.normal(address))

    def normal(self, address):
        return numbers.normal(address)

    def shown(self, address):
        return numbers.shown(address)

    def receipt_wait(self, config):
        if not twilio.can_call_back(config):
            return None
        return self.receipt_seconds + (DETECTION_SECONDS if config.get("machine_detection") == "yes" else 0)

    def send(self, address, outgoing):
        config = outgoing.config
        if not config.get("from_number"):
            raise AdminNeeded("The Twilio account has no from number, and calls need one. Enter it in the admin.")
        can_answer = twilio.can_call_back(config)
        token = next((token for _, verb, token in outgoing.tokens if verb == "acknowledge"), "")
        action = f"{settings.PUBLIC_URL}{MENU_PATH}{token}" if token and can_answer else ""
        fields = {
            "to": self.normal(address),
            "from_": config["from_number"],
            "twiml": twiml(outgoing.message, action, notes=outgoing.notes),
            "timeout": RING_SECONDS,
        }
        if can_answer:
            fields |= {"status_callback": settings.PUBLIC_URL + PATH, "status_callback_event": EVENTS}
        if config.get("machine_detection") == "yes":
            fields["machine_detection"] = "Enable"
        made = twilio.create(twilio.client(config).calls, **fields)
        return Accepted(made.sid, cost=twilio.cost_of(made), answer=made.status or "")


def twiml(message, action="", *, notes=()):
    """What the call says. With an `action`, the address that takes the keys, it then waits for one."""
    response = VoiceResponse()
    words = said(message, notes)
    if action and message.kind in CALLS:
        gather = Gather(
            input="dtmf",
            num_digits=1,
            timeout=10,
            finish_on_key="",  # otherwise the # key counts as no answer at all
            action_on_empty_result=True,
            action=action,
            method="POST",
        )
        gather.say(f"{words} {menu(message)}", loop=2)
        response.append(gather)
        response.say("No key was pressed. Goodbye.")
    else:
        response.say(words, loop=2)
    response.hangup()
    return str(response)


def sentence(text):
    """TwiML that says one thing and hangs up."""
    response = VoiceResponse()
    response.say(spoken(text))
    response.hangup()
    return str(response)


def menu(message):
    what = " all" if message.kind == Kind.BUNDLE else ""
    return f"Press 4 to acknowledge{what}, 6 to resolve, 5 to escalate, star to repeat."


def said(message, notes=()):
    """The message in words for the ear: what the reader must know first, then how bad, what, where, since when."""
    parts = [f"This is {settings.SITE_NAME}.", *notes]
    if message.kind == Kind.VERIFICATION and (code := CODE.search(message.title) or CODE.search(message.body)):
        return f"{spoken(parts[0])} Your code is {digits(code[0])}."  # `twiml` has everything said twice
    if message.kind in CALLS and message.severity:
        parts.append(f"Severity {message.severity}.")
    parts.append(_ended(message.title[:LONGEST_TITLE]))
    fields = dict(message.fields)
    if message.kind == Kind.PAGE:
        if fields.get("Service"):
            parts.append(f"Service {_ended(str(fields['Service']))}")
        if since := re.search(r"\d{1,2}:\d\d", str(fields.get("Since", ""))):
            parts.append(f"Since {since[0]} UTC.")
    elif message.body:
        parts.append(_ended(message.body[:LONGEST_BODY]))
    return spoken(" ".join(parts))[:LONGEST]


def spoken(text):
    """The text as a voice can say it: no addresses and signs, long numbers digit by digit."""
    text = URL.sub("", NOT_XML.sub(" ", text))
    text = text.replace("%", " percent").replace("&", " and ").replace("#", "number ")
    text = re.sub(r"\b[Pp]([1-5])\b", r"P \1", text)
    text = re.sub(r"[“”\"<>{}\[\]()|*_/\\~^`=+]", " ", text)
    text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
    text = LONG_NUMBER.sub(lambda found: digits(found[0]), text)
    text = text.replace("UTC", "U T C")
    return re.sub(r"\s+([.,!?])", r"\1", " ".join(text.split()))


def digits(number):
    """A number to be said digit by digit."""
    return ", ".join(number.replace(" ", ""))


def _ended(text):
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
