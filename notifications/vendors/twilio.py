"""Twilio: text messages and calls. The account, its client, what its error codes mean, and who signed a request."""

import base64
import ipaddress
import logging
import re
import threading
from urllib.parse import urlencode, urlsplit

import twilio.base.exceptions
import twilio.rest
from django.conf import settings
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator

from core import http
from core.errors import SendError
from notifications.channels.base import AdminNeeded, DeadAddress, ProviderBroken
from notifications.vendors.base import Setting, Vendor

TIMEOUT_SECONDS = 10
BASE_URL = "https://api.twilio.com"
# The numbers and the messages of people do not belong into a log, and the client would write some of both.
logger = logging.getLogger("notifications.vendors.twilio.client")
logger.setLevel(logging.WARNING)

NUMBER = re.compile(r"\+?\d{5,}")
YES_OR_NO = (("yes", "Yes"), ("no", "No"))
_clients = threading.local()


class Twilio(Vendor):
    kind, label = "twilio", "Twilio"
    help = (
        "Sends text messages and makes calls. Take the Account SID and the auth token from the console of "
        "twilio.com, and a number that can do both. For answers by text message enter PUBLIC_URL/twilio/sms as the "
        "number's webhook for incoming messages."
    )
    settings = (
        Setting("account_sid", "Account SID", help="Starts with AC."),
        Setting(
            "auth_token",
            "Auth token",
            help="The account's own token, not an API key: Twilio signs its requests to us with it.",
            is_secret=True,
        ),
        Setting(
            "old_auth_token",
            "Other auth token",
            help="While you change the token: the second one. Requests signed with either are believed.",
            is_secret=True,
            is_required=False,
        ),
        Setting("from_number", "From number", help="For example +15005550006. Calls need it.", is_required=False),
        Setting(
            "messaging_service_sid",
            "Messaging service SID",
            help="Starts with MG. Sends the text messages instead of the number.",
            is_required=False,
        ),
        Setting(
            "receipts",
            "Twilio can reach PUBLIC_URL",
            help="Without it there are no delivery reports, no answers by text message and no keys in calls.",
            is_required=False,
            default="yes",
            choices=YES_OR_NO,
        ),
        Setting(
            "machine_detection",
            "Detect answering machines",
            help="A call that a machine answers then counts as failed. Costs extra, and some seconds at the start.",
            is_required=False,
            default="no",
            choices=YES_OR_NO,
        ),
        Setting("base_url", "Address of the API", is_required=False, default=BASE_URL),
    )

    def problems_with(self, config):
        problems = {}
        if config.get("account_sid") and not config["account_sid"].startswith("AC"):
            problems["account_sid"] = "An Account SID starts with AC. API keys (SK…) do not sign requests."
        if not config.get("from_number") and not config.get("messaging_service_sid"):
            problems["from_number"] = "Enter a number or a messaging service: one of them has to send."
        elif config.get("from_number") and not re.fullmatch(r"\+[1-9]\d{6,14}", config["from_number"]):
            problems["from_number"] = "Write the number with its country code and without spaces, like +15005550006."
        service = config.get("messaging_service_sid")
        if service and not service.startswith("MG"):
            problems["messaging_service_sid"] = "The SID of a messaging service starts with MG."
        for name in ("receipts", "machine_detection"):
            if config.get(name) not in (None, "", "yes", "no"):
                problems[name] = "Answer yes or no."
        if problem := http.problem_with(config.get("base_url") or BASE_URL):
            problems["base_url"] = problem
        return problems


def can_call_back(config):
    """Whether Twilio can reach us: with reports, text messages and keys. It refuses messages that ask for a report at
    an address that only exists in our own network, so without this the first steps of everybody would fail."""
    if config.get("receipts") == "no":
        return False
    is_real = (config.get("base_url") or BASE_URL).rstrip("/") == BASE_URL
    return not is_real or not _is_private(urlsplit(settings.PUBLIC_URL).hostname or "")


def _is_private(host):
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan", ".test"))


class _Transport(HttpClient):
    """The SDK's calls, made by `core.http`: a limit on the whole call, and no private address that nobody allowed.

    What `core.http` raises comes out as it is.
    """

    def request(self, method, url, params=None, data=None, headers=None, auth=None, timeout=None, **_):
        headers = dict(headers or {})
        if auth:
            headers["Authorization"] = f"Basic {base64.b64encode(':'.join(auth).encode()).decode()}"
        if params:
            url = f"{url}?{urlencode(params, doseq=True)}"
        body = urlencode(data or {}, doseq=True).encode()
        reply = http.call(method, url, data=body, headers=headers, timeout=self.timeout)
        return Response(reply.status, reply.text, reply.headers)


def client(config):
    """The SDK's client for an account: one for each thread, as the SDK keeps its last answer in the client."""
    base_url = (config.get("base_url") or BASE_URL).rstrip("/")
    if problem := http.problem_with(base_url):
        raise ProviderBroken(problem)
    key = config["account_sid"], config["auth_token"], base_url
    known = _clients.__dict__.setdefault("known", {})
    if key not in known:
        transport = _Transport(logger, is_async=False, timeout=TIMEOUT_SECONDS)
        known[key] = twilio.rest.Client(config["account_sid"], config["auth_token"], http_client=transport)
        known[key].api.base_url = base_url
    return known[key]


def create(resource, **fields):
    """Create a message or a call and return it. Every way in which that goes wrong is a SendError."""
    try:
        made = resource.create(**fields)
    except twilio.base.exceptions.TwilioException as error:
        text = getattr(error, "msg", "") or getattr(error, "title", "")
        raise error_of(getattr(error, "code", None), text, status=getattr(error, "status", None)) from None
    except http.Refused as refused:  # 429 and 5xx: Twilio's code says more, and the header when to come back
        code, text = _said(refused.reply)
        error = error_of(code, text, status=refused.status)
        error.retry_after = refused.retry_after
        raise error from None
    except (ValueError, AttributeError, TypeError):
        raise SendError("Twilio's answer was not what its API says. Look at status.twilio.com.") from None
    if not made.sid:
        raise SendError("Twilio's answer names no message, so it may not have been taken.")
    return made


def _said(reply):
    """(code, text) of an error of Twilio's, or of a proxy that says neither."""
    try:
        answer = reply.json
    except SendError:
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    return answer.get("code"), str(answer.get("message") or "")


def cost_of(made):
    """What a message or call cost, in words; "" while Twilio does not know yet."""
    price, unit = getattr(made, "price", None), getattr(made, "price_unit", None)
    return f"{str(price).lstrip('-')} {unit or ''}".strip() if price else ""


# What the codes mean: https://www.twilio.com/docs/api/errors
LATER = {
    20429: "Twilio takes no more requests at the moment",
    30001: "Twilio's queue for the number is full",
    30003: "The phone is switched off or out of reach",
    30008: "The carrier did not deliver the message and does not say why",
    30017: "The carrier's network is congested",
    30022: "The sender's rate is exceeded",
}
DEAD = {
    21211: "This is not a valid phone number",
    21214: "This phone number cannot be reached",
    21217: "This is not a valid phone number",
    21612: "Twilio has no route to this phone number",
    21614: "This is not the number of a mobile phone",
    30004: "The phone or its carrier blocks our messages",
    30005: "This phone number does not exist",
    30006: "This is a landline, or its carrier takes no text messages",
}
STOPPED = "Somebody replied STOP from this number"
OURS = {  # the account is fine, and so is the address: an administrator has to change something at Twilio
    21215: "The Twilio account may not call this country: allow it in Twilio's geographic permissions",
    21216: "The Twilio account may not call this number: allow it in Twilio's console",
    21408: "The Twilio account may not send to this country: allow it in Twilio's geographic permissions",
    21609: "Twilio cannot call PUBLIC_URL: correct it, or say in the Twilio account that Twilio cannot reach it",
    21606: "The from number of the Twilio account cannot send to this phone: choose another one",
    21608: "The Twilio account is a trial and sends to verified numbers only: upgrade it, or verify the number there",
    30007: "The carrier filtered the message as unwanted: look at the sender's registration in Twilio's console",
    30034: "The from number is not registered for messages to the United States: register it with Twilio (A2P 10DLC)",
}
BROKEN = {
    20003: "Twilio refuses the Account SID or the auth token",
    20005: "The Twilio account is not active",
    20404: "Twilio does not know this account",
    21212: "The from number of the Twilio account is not one of its numbers",
    30002: "The Twilio account is suspended",
}


def error_of(code, text="", *, status=None):
    """What an error of Twilio means, as a SendError: of an answer with its HTTP status, or of a report without one."""
    try:
        code = int(code or 0)
    except (ValueError, TypeError, OverflowError):
        code = 0
    if code in LATER:
        return SendError(f"{LATER[code]} ({code}).", status=status)
    if code in DEAD:
        return DeadAddress(f"{DEAD[code]} ({code}).", status=status)
    if code == 21610:
        return DeadAddress(f"{STOPPED} (21610). Reply START from it to get messages again.", status=status)
    if code in OURS:
        return AdminNeeded(f"{OURS[code]} ({code}).", status=status)
    if code in BROKEN or status == 401:
        return ProviderBroken(f"{BROKEN.get(code) or BROKEN[20003]} ({code or status}).", status=status)
    # Codes are split and added over time. What is unknown: 21xxx is about the request, 30xxx about the carrier.
    said = f": {NUMBER.sub('…', text).rstrip('.')}" if text else ""
    is_final = not 30000 <= code < 31000 and status is not None and 400 <= status < 500 and status not in (408, 429)
    what = f"Twilio answered {status}" if status else "Twilio could not deliver"
    return SendError(
        f"{what}{said}{f' ({code})' if code else ''}.", permanent=is_final or 21000 <= code < 22000, status=status
    )


def is_signed(config, url, parameters, signature):
    """Whether the account signed a request for this full address with these form fields (a dict or QueryDict)."""
    tokens = [config.get("auth_token"), config.get("old_auth_token")]
    return any([RequestValidator(token).validate(url, parameters, signature) for token in tokens if token])
