"""The services of apprise: what reaches them, which of them may be used, and that nothing gets past the guard."""

import base64
import contextlib
import dataclasses
import json
import logging
import sys
import types
import uuid

import pytest

from core.errors import SendError
from notifications.channels import apprise as module
from notifications.channels.apprise import SCHEMAS, Apprise
from notifications.channels.base import Outgoing
from notifications.message import Kind
from tests.notifications.conftest import NOW, make_message

OUTGOING = Outgoing(
    message=make_message(severity="critical"),
    uuid=uuid.UUID("5b0a6f0e-0000-4000-8000-000000000001"),
    topic="incident:42",
    person="Alice",
    at=NOW,
    links=(("Acknowledge", "https://oncall.example.com/l/abc"),),
    notes=("This page is 2 min late.",),
)


def ntfy(sink, path="pages", **query):
    tail = "&".join(f"{name}={value}" for name, value in query.items())
    return f"ntfy://bob:s3cret@127.0.0.1:{sink.port}/{path}{'?' if tail else ''}{tail}"


def gotify(sink, path=""):
    return f"gotify://127.0.0.1:{sink.port}{path}/s3cret-token"


def test_a_page_reaches_ntfy_with_all_that_it_says(sink):
    accepted = Apprise().send(ntfy(sink), OUTGOING)
    assert (accepted.is_delivered, accepted.answer) == (False, "200")
    (got,) = sink.requests
    said = json.loads(got.body)
    assert (said["topic"], said["title"]) == ("pages", "Checkout errors")
    for text in ("This page is 2 min late.", "5 % of orders fail.", "Acknowledge: https://oncall.example.com/l/abc"):
        assert text in said["message"]
    assert "Service: Checkout" in said["message"]
    assert "https://oncall.example.com/incidents/42" in said["message"]
    assert got.headers["Authorization"] == f"Basic {base64.b64encode(b'bob:s3cret').decode()}"
    assert got.headers["User-Agent"].startswith("Watchbill")


def test_a_page_reaches_gotify(sink):
    Apprise().send(gotify(sink), OUTGOING)
    (got,) = sink.requests
    assert got.path.startswith("/message")
    assert json.loads(got.body)["title"] == "Checkout errors"
    assert "s3cret-token" in f"{got.path} {got.headers}"


@pytest.mark.parametrize(
    "fields, kind",
    [
        ({"severity": "critical"}, "failure"),
        ({"severity": "medium"}, "warning"),
        ({"severity": "info"}, "info"),
        ({"severity": "", "urgency": "high"}, "failure"),
        ({"severity": "", "urgency": "low"}, "info"),
        ({"severity": "critical", "kind": Kind.RESOLVED}, "success"),
        ({"severity": "critical", "kind": Kind.ACKNOWLEDGED}, "info"),
    ],
)
def test_how_bad_it_is_becomes_a_type_of_apprise(fields, kind):
    assert module.notify_type(make_message(**fields)) == kind


@pytest.mark.parametrize(
    "status, is_permanent", [(401, True), (404, True), (307, True), (408, False), (429, False), (503, False)]
)
def test_what_a_service_refuses_is_said_without_the_address(sink, status, is_permanent):
    with pytest.raises(SendError, match=str(status)) as error:
        Apprise().send(gotify(sink, f"/{status}"), OUTGOING)
    assert error.value.permanent is is_permanent
    assert error.value.status == status
    assert "s3cret" not in error.value.message
    assert len(sink.requests) == 1  # a redirect is not followed


def test_a_service_that_cannot_be_reached_is_tried_again(sink):
    with pytest.raises(SendError, match="could not be reached") as error:
        Apprise().send("ntfy://127.0.0.1:9/pages", OUTGOING)
    assert not error.value.permanent


def test_a_private_address_is_refused_when_typed(sink, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    assert "HTTP_ALLOW_PRIVATE" in Apprise().problem_with(ntfy(sink))
    with pytest.raises(SendError, match="HTTP_ALLOW_PRIVATE") as error:
        Apprise().send(ntfy(sink), OUTGOING)
    assert (error.value.permanent, sink.requests) == (True, [])


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_a_private_address_behind_a_name_is_refused_when_called(sink, settings, host):
    settings.HTTP_ALLOW_PRIVATE = []
    with pytest.raises(SendError) as error:
        Apprise().send(f"ntfy://{host}:{sink.port}/pages", OUTGOING)
    assert sink.requests == []
    assert error.value.message


def test_no_plugin_holds_a_way_out_of_its_own():
    module._apprise()
    for name, one in list(sys.modules.items()):
        if name.startswith("apprise."):
            assert getattr(one, "requests", None) is not module.requests, name
    stand_in = sys.modules["apprise.plugins.ntfy"].requests
    for name in ("Session", "session", "sessions", "api", "adapters", "head"):
        with pytest.raises(AttributeError):
            getattr(stand_in, name)


def test_every_schema_is_one_of_apprise_that_calls_with_requests():
    apprise = module._apprise()
    plugins = {}
    for plugin in sys.modules["apprise.manager_plugins"].NotificationManager().plugins():
        for names in (plugin.protocol, plugin.secure_protocol):
            for name in [names] if isinstance(names, str) else names or ():
                plugins[name] = plugin
    assert apprise
    for schema in SCHEMAS:
        modules = {one.__module__ for one in plugins[schema].__mro__ if one.__module__.startswith("apprise.plugins.")}
        assert any(getattr(sys.modules[one], "requests", None) for one in modules), schema
        for one in modules - {"apprise.plugins.base"}:
            held = {value.__name__ for value in vars(sys.modules[one]).values() if isinstance(value, types.ModuleType)}
            assert not held & {"socket", "smtplib", "urllib3", "http.client", "urllib.request", "subprocess"}, schema


@pytest.mark.parametrize(
    "address",
    [
        "json://example.com/hook",
        "xmls://example.com/hook",
        "form://example.com/hook",
        "syslog://",
        "rsyslog://10.0.0.1",
        "kodi://10.0.0.1",
        "xbmc://10.0.0.1",
        "dbus://",
        "gnome://",
        "windows://",
        "macosx://",
        "blink1://x",
        "mailto://user:pass@example.com",
        "mqtt://example.com/topic",
        "irc://example.com/channel",
        "xmpp://user:pass@example.com",
        "fcm://project@key/?keyfile=/etc/passwd",
        "discord://1/2",
        "slack://a/b/c",
        "tgram://1:a/2",
        "twilio://a:b@c/d",
        "pagerduty://a@b",
        "file:///etc/passwd",
        "http://example.com/apprise.yml",
        "https://example.com/apprise.yml",
        "ntfy://",
        "ntfy",
        "?!",
        "",
        "pover://",
        "ntfy://[::1/x",
    ],
)
def test_other_addresses_are_refused(address):
    problem = Apprise().problem_with(address)
    assert problem.endswith((".", "services.")), problem
    with pytest.raises(SendError) as error:
        Apprise().send(address, OUTGOING)
    assert error.value.permanent


@pytest.mark.parametrize("name", ["attach", "retry", "wait", "template", "RETRY"])
def test_an_address_cannot_name_files_or_try_again_by_itself(sink, name):
    assert "out of the address" in Apprise().problem_with(ntfy(sink, **{name: "1"}))


@pytest.mark.parametrize(
    "address",
    ["ntfys://ntfy.sh/my-topic", "pover://user@" + "t" * 30, "gotifys://push.example.com/token", "ntfy://topic"],
)
def test_usual_addresses_are_fine(address):
    assert Apprise().problem_with(address) == ""


def test_one_address_is_one_service(sink):
    with contextlib.suppress(SendError):
        Apprise().send(f"{ntfy(sink)} {gotify(sink)}", OUTGOING)
    assert not any("s3cret-token" in str(got.headers) for got in sink.requests)


def test_an_answer_can_be_read_as_those_of_requests_are(sink):
    module._apprise()
    found = sys.modules["apprise.plugins.matrix.base"]
    answer = found.requests.get(sink.url(), params={"a": "1"}, timeout=(1, 1), verify=False, stream=True)
    assert (answer.ok, answer.json(), sink.requests[0].path) == (True, {"ok": True}, "/?a=1")
    assert json.loads(found.read_bounded_response(answer, 1000)) == {"ok": True}
    assert found.requests.put(sink.url("/404"), data={"b": "2"}).status_code == found.requests.codes.not_found
    assert sink.requests[1].body == b"b=2"
    answer.close()


def test_an_address_is_shown_by_its_service_only():
    assert Apprise().shown("ntfys://bob:s3cret@ntfy.sh/topic") == "ntfys://…"
    assert Apprise().shown("s3cret") == "apprise://…"
    assert Apprise().lane("ntfys://a/b") == "apprise ntfys"


def test_nothing_of_an_address_is_logged(sink, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(SendError):
        Apprise().send(gotify(sink, "/500"), dataclasses.replace(OUTGOING, notes=()))
    assert "s3cret" not in caplog.text
