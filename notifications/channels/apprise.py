"""The services that apprise knows, more than a hundred, by one address each: `ntfy://…`, `pover://…`, `mmost://…`.

Apprise calls out with `requests`, follows redirects and looks at no address. So its modules get a stand-in for
`requests` that makes the same calls through `core.http`, with its guard, its time limits and its errors. Only services
that work this way are allowed; those that open connections of their own, use this machine, read files or post to any
address in any form are not, and neither are those that have a channel of their own here.
"""

import contextvars
import dataclasses
import functools
import importlib
import ipaddress
import logging
import sys
import time
import types
from urllib.parse import parse_qsl, urlsplit

import requests  # noqa: TID251 - apprise speaks its language; nothing is called with it, see _StandIn

from core import http
from core.errors import SendError
from notifications.channels.base import Accepted, Channel, Limit
from notifications.message import Kind

SCHEMAS = frozenset(
    """
    46elks apprise apprises atalk azure bark barks betterstack bluesky brevo bsky bulksms bulkvs burstsms chanify
    clickatell clicksend cliq cm d7sms dapnet dingtalk dot eight00com elks emby embys enigma2 enigma2s evolution
    evolutions exotel feishu firehydrant flock flowtriq flowtriqs fluxer fluxers freemobile gchat github goalert
    goalerts gorush gorushs gotify gotifys groundmail groupme guilded gupshup hassio hassios httpsms humhub humhubs
    ifttt ilert incidentio infobip jellyfin jellyfins jira join kakao kakaotalk kaleyra kavenegar klr kook kudosity
    kumulos lametric lametrics lark lauther lfg line mailersend mailgun mastodon mastodons matrix matrixs misskey
    misskeys mmost mmosts mobilemessage mobilemsg msg91 msgbird ncloud nclouds nctalk nctalks nexmo notica noticas
    notifiarr notifico notificos notifyre ntfy ntfys o365 octopush onebot onebots onesignal opsgenie pagertree
    parsep parseps pbul pinglet pinglets pingram pjet pjets plivo postmark pover prowl psafer psafers push pushdeer
    pushdeers pushed pushme pushplus pushward pushy qq reddit resend revolt ringc rocket rockets ryver schan
    sendgrid sendpulse serwersms ses session sessions seven sfr signal signalgrid signals signl4 simplepush sinch
    smsc smseagle smseagles smsmanager smsmgr smstunnel smtp2go sns sogs sparkpost spike splunk spugpush spush
    squadcast stackfield strmlabs synology synologys telesign telnyx threema toot toots trigv trigvs tweet twist
    twitter viber victorops voipms vonage webex wechat wecom wecombot whapi whatsapp wpush wxpusher wxteams x
    xmatters youlmk zalo zcliq zohocliq zoom zulip
    """.split()  # noqa: SIM905 - two hundred words
)
# What an address may not ask for: to wait and try again by itself, as the queue does that, and local or remote files.
REFUSED = frozenset({"attach", "attach-as", "attach_as", "file", "retry", "template", "wait"})
CALL_SECONDS, SEND_SECONDS = 15, 30  # of one call, and of all for one message: its lease also covers the wait before
MAY_PASS = frozenset({408, 409, 425})

logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses, and an address is a password


class Apprise(Channel):
    kind, label = "apprise", "Other services (Apprise)"
    address_help = "An address of Apprise, for example ntfys://ntfy.sh/my-topic. Its wiki lists all services."
    is_for_teams = True
    is_address_secret = True
    per_address = Limit(30, 60)  # the free plans of most of these services take less than one a second

    def problem_with(self, address):
        schema = _schema(address)
        if not schema:
            return f"That is not an address of Apprise. {self.address_help}"
        if schema not in SCHEMAS:
            return (
                f"{schema}:// cannot be used here. Use its own channel if there is one, "
                "or one of the services that docs/channels.md names."
            )
        try:
            query = {name.lower() for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
        except ValueError:
            return f"The address after {schema}:// cannot be read. Check it against the wiki of Apprise."
        if refused := sorted(query & REFUSED):
            return f"Take {', '.join(refused)} out of the address: that is not supported here."
        plugin = _plugin(address)
        if plugin is None:
            return f"The address after {schema}:// is incomplete. Check it against the wiki of Apprise."
        return _problem_with_host(plugin)

    def shown(self, address):
        return f"{_schema(address) or 'apprise'}://…"

    def lane(self, address):
        return f"{self.kind} {_schema(address)}"

    def preview(self, outgoing):
        return {"Title": outgoing.message.title, "Text": text(outgoing)}

    def send(self, address, outgoing):
        if problem := self.problem_with(address):
            raise SendError(problem, permanent=True)
        apprise = _apprise()
        plugin = _plugin(address)
        plugin.overflow_mode = apprise.OverflowMode.TRUNCATE  # one message, not many: the links stand before the facts
        plugin.request_rate_per_sec = 0  # it would sleep between calls; the limits of this channel do not
        send = apprise.Apprise(asset=plugin.asset)
        send.add(plugin)
        calls = _Calls(time.monotonic() + SEND_SECONDS)
        before = _calls.set(calls)
        try:
            is_sent = send.notify(
                text(outgoing),
                title=outgoing.message.title,
                notify_type=notify_type(outgoing.message),
                body_format=apprise.NotifyFormat.TEXT,
            )
        finally:
            _calls.reset(before)
        if is_sent:
            return Accepted(answer=str(calls.status or ""))
        raise _why(calls, plugin)


def text(outgoing):
    """What is wrong, and what can be done about it, without any formatting."""
    message = outgoing.message
    lines = [*outgoing.notes, message.body]
    lines += [f"{label}: {url}" for label, url in outgoing.links]
    lines += [message.url] if message.url else []
    facts = "\n".join(f"{name}: {value}" for name, value in message.fields)
    return "\n\n".join(filter(None, [*lines, facts]))


def notify_type(message):
    """How bad it is, in apprise's four words: it picks colours, pictures and priorities by them."""
    if message.kind == Kind.RESOLVED:
        return "success"
    if message.kind == Kind.ACKNOWLEDGED:
        return "info"
    known = {"critical": "failure", "high": "failure", "medium": "warning", "low": "info", "info": "info"}
    return known.get(message.severity) or ("failure" if message.urgency == "high" else "info")


def _why(calls, plugin):
    if calls.error is not None:
        return calls.error
    if calls.status is None or calls.status < 300:
        return SendError(f"{plugin.service_name} did not take the message, and Apprise does not say why.")
    return SendError(
        f"{plugin.service_name} answered {calls.status}. Check the address and what it may do there.",
        permanent=300 <= calls.status < 500 and calls.status not in MAY_PASS,
        status=calls.status,
    )


def _schema(address):
    schema, mark, rest = address.strip().partition("://")
    return schema.lower() if mark and rest and schema.isalnum() else ""


def _problem_with_host(plugin):
    """A private address that somebody typed is refused at once; a name is judged by `core.http` when it is called."""
    try:
        is_allowed = http.is_allowed(ipaddress.ip_address(str(getattr(plugin, "host", "")).strip("[]")))
    except ValueError:
        return ""
    if is_allowed:
        return ""
    return (
        f"{plugin.host} is a private address, and calls to those are refused. "
        "If it is meant, an administrator adds the address to the setting HTTP_ALLOW_PRIVATE."
    )


def _plugin(address):
    """Apprise's object for one address, or None when it makes nothing of it."""
    apprise = _apprise()
    # No files: nothing is kept on disk, no plugin is loaded from it, and no address can name a configuration.
    asset = apprise.AppriseAsset(
        async_mode=False,
        plugin_paths=[],
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        allow_templates=False,
        http_redirects=False,
        secure_logging=True,
        app_id="Watchbill",
        app_desc="Watchbill",
        app_url="",
    )
    plugin = apprise.Apprise.instantiate(address.strip(), asset=asset)
    return plugin if isinstance(plugin, apprise.NotifyBase) else None


@functools.cache
def _apprise():
    """The library, with its plugins loaded and led to `core.http`. Loaded when first used: it takes two seconds."""
    apprise = importlib.import_module("apprise")
    importlib.import_module("apprise.manager_plugins").NotificationManager().load_modules()
    stand_in = _StandIn()
    for name, module in list(sys.modules.items()):
        if name.startswith("apprise.") and isinstance(getattr(module, "requests", None), types.ModuleType):
            module.requests = stand_in
    return apprise


# --- the stand-in for requests ------------------------------------------------------------------------------------
@dataclasses.dataclass
class _Calls:
    """What became of the calls of one message: the last status, and the error that ended it."""

    until: float
    status: int | None = None
    error: SendError | None = None


_calls = contextvars.ContextVar("apprise calls")


class _StandIn:
    """What apprise's plugins find under the name `requests`: its calls, made by `core.http`, and its other words."""

    OTHER = frozenset({"auth", "codes", "exceptions", "status_codes", "structures", "utils", "Response"})

    def __getattr__(self, name):
        found = getattr(requests, name)
        if name in self.OTHER or isinstance(found, type) and issubclass(found, Exception):
            return found
        raise AttributeError(
            f"requests.{name} is not for plugins here"
        )  # sessions and adapters would call by themselves

    def request(
        self, method, url, *, params=None, data=None, json=None, headers=None, auth=None, files=None, cookies=None, **_
    ):
        """Make one call. Time limits, redirects, proxies and checks of certificates are not the plugin's to choose."""
        calls = _calls.get(None) or _Calls(time.monotonic() + CALL_SECONDS)
        left = calls.until - time.monotonic()
        if left <= 0:
            calls.error = calls.error or SendError(f"The service did not answer within {SEND_SECONDS} s.")
            raise requests.Timeout
        made = requests.Request(
            method, url, headers=headers, files=files, data=data, json=json, params=params, auth=auth, cookies=cookies
        ).prepare()
        kept = {name: value for name, value in made.headers.items() if name.lower() != "content-length"}
        try:
            reply = http.call(made.method, made.url, data=made.body, headers=kept, timeout=min(left, CALL_SECONDS))
        except SendError as error:
            calls.error = error
            raise requests.ConnectionError from None
        calls.status, calls.error = reply.status, None
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = reply.status, made.url, made
        answer.headers = requests.structures.CaseInsensitiveDict(reply.headers)
        answer.encoding = requests.utils.get_encoding_from_headers(answer.headers)
        answer._content, answer._content_consumed = reply.body, True
        return answer

    def get(self, url, params=None, **more):
        return self.request("GET", url, params=params, **more)

    def post(self, url, data=None, json=None, **more):
        return self.request("POST", url, data=data, json=json, **more)

    def put(self, url, data=None, **more):
        return self.request("PUT", url, data=data, **more)

    def patch(self, url, data=None, **more):
        return self.request("PATCH", url, data=data, **more)

    def delete(self, url, **more):
        return self.request("DELETE", url, **more)
