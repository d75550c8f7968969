"""No address that somebody types leads a call of ours into the private network, however it is written."""

import base64
import dataclasses
import json
import socket
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core import http
from core.errors import SendError
from notifications.channels.apprise import Apprise
from notifications.channels.discord import Discord
from notifications.channels.pagerduty import PagerDuty
from notifications.channels.slack_webhook import SlackWebhook
from notifications.channels.teams import Teams
from notifications.channels.webhook import Webhook
from notifications.channels.webpush import WebPush
from notifications.models import vendors
from notifications.vendors import slack as slack_vendor
from notifications.vendors import telegram as telegram_vendor
from oncall import imports
from tests import factories
from tests.fakes.sink import sink as run_sink
from tests.notifications.test_apprise import OUTGOING

# How this machine, or a neighbour of it, can be written as a host.
HOSTS = """
    127.0.0.1 127.1 127.0.1 127.255.255.254 0 0.0.0.0 2130706433 0x7f000001 0x7f.0.0.1 0x7F.1 0177.0.0.1 017700000001
    00000177.0.0.1 127.0.0.1. localhost LOCALHOST
    [::1] [::] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::ffff:127.0.0.1] [::ffff:7f00:1]
    [::ffff:0:127.0.0.1] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::]
    [2002:7f00:0001::1] [2001::1] [fe80::1] [fc00::1] [fd00:ec2::254] [::1%25lo]
    169.254.169.254 2852039166 0xa9fea9fe 100.100.100.200 10.0.0.1 192.168.0.1 172.16.0.1
    ①②⑦.⓪.⓪.① 127。0。0。1 127．0．0．1 ｌｏｃａｌｈｏｓｔ 127.0.0.①
    user@127.0.0.1 user:word@127.0.0.1 example.com@127.0.0.1 example.com%40127.0.0.1@127.0.0.1
""".split()  # noqa: SIM905
# What only looks like one host and is another, or none.
CONFUSED = [
    "http://localhost.:{port}/",
    "http://example.invalid\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.invalid/",
    "http://127.0.0.1:{port}#@example.invalid/",
    "http://127.0.0.1:{port}?@example.invalid/",
    "http://127.0.0.1%00.example.invalid:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r\nHost: example.com:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:0/",
    "//127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_x",
    "file:///etc/passwd",
    "dict://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
]


@pytest.fixture
def sink(settings):
    """A server of the private network, which nobody may reach."""
    settings.HTTP_ALLOW_PRIVATE = []
    with run_sink() as server:
        yield server


@pytest.mark.parametrize("host", HOSTS)
def test_the_one_way_out_refuses_every_way_to_write_a_private_host(sink, host):
    with pytest.raises(SendError) as refused:
        http.get(f"http://{host}:{sink.port}/", timeout=5)
    said = refused.value.message
    assert "HTTP_ALLOW_PRIVATE" in said or "not a web address" in said, said
    assert refused.value.permanent and sink.requests == []


@pytest.mark.parametrize("url", CONFUSED)
def test_the_one_way_out_is_not_confused(sink, url):
    with pytest.raises(SendError):
        http.get(url.format(port=sink.port), timeout=5)
    assert sink.requests == []


# --- names --------------------------------------------------------------------------------------------------------
@pytest.fixture
def names(monkeypatch):
    """What the resolver of this machine says, in turn: {name: [addresses, addresses the next time, …]}."""
    real, table = socket.getaddrinfo, {}

    def getaddrinfo(host, port, *args, **kwargs):
        if host not in table:
            return real(host, port, *args, **kwargs)
        answers = table[host].pop(0) if len(table[host]) > 1 else table[host][0]
        families = {False: socket.AF_INET, True: socket.AF_INET6}
        ends = {False: (), True: (0, 0)}
        return [
            (families[":" in one], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one, port, *ends[":" in one]))
            for one in answers
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254", "0.0.0.0"])
def test_a_name_of_a_private_address_is_refused(sink, names, address):
    names["internal.example.com"] = [[address]]
    with pytest.raises(SendError, match="HTTP_ALLOW_PRIVATE"):
        http.post(f"http://internal.example.com:{sink.port}/", json={}, timeout=5)
    assert sink.requests == []


def test_a_name_that_changes_its_address_gains_nothing(sink, names):
    """Public when it is looked at, private when it is called: what counts is the address of the connection."""
    names["rebind.example.com"] = [["192.0.2.1"], ["127.0.0.1"], ["192.0.2.1"], ["127.0.0.1"]]
    url = f"http://rebind.example.com:{sink.port}/"
    assert http.problem_with(url) == ""
    for _ in range(4):
        with pytest.raises(SendError, match="HTTP_ALLOW_PRIVATE"):
            http.get(url, timeout=5)
    assert sink.requests == []


def test_a_name_with_a_public_and_a_private_address_is_not_called_at_the_private_one(sink, names, settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.2/32"]  # stands for a public one: nothing listens there
    names["both.example.com"] = [["127.0.0.2", "127.0.0.1"]]
    with pytest.raises(SendError):
        http.get(f"http://both.example.com:{sink.port}/", timeout=5)
    assert sink.requests == []


# --- every field --------------------------------------------------------------------------------------------------
def subscription(endpoint):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    p256dh, auth = (base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in (point, b"0" * 16))
    return json.dumps({"endpoint": endpoint, "keys": {"p256dh": p256dh, "auth": auth}})


def send(channel, address, **fields):
    channel.send(address, dataclasses.replace(OUTGOING, **fields))


def push(endpoint):
    vendor = vendors.get("vapid")
    send(WebPush(), subscription(endpoint), config=vendor.complete(vendor.new_config()))


def read_calendar(url):
    row = factories.CalendarImportFactory(url=url)
    error = imports.read(row.pk, now=factories.NOW).error
    if error:
        raise SendError(error, permanent=True)


# field: what makes a call to the address in it
FIELDS = {
    "webhook": lambda url: send(Webhook(), url),
    "Slack's webhook": lambda url: send(SlackWebhook(), url),
    "Teams": lambda url: send(Teams(), url),
    "Discord": lambda url: send(Discord(), f"{url}api/webhooks/1234567890/token"),
    "PagerDuty's address": lambda url: send(PagerDuty(), "0" * 32, options={"url": url}),
    "browser push": push,
    "ntfy by apprise": lambda url: send(Apprise(), f"{url.replace('http://', 'ntfy://')}topic"),
    "gotify by apprise": lambda url: send(Apprise(), f"{url.replace('http://', 'gotify://')}token"),
    "calendar": read_calendar,
    "a provider's address: Slack": lambda url: slack_vendor.client({"bot_token": "x", "base_url": url}).api_test(),
    "a provider's address: Telegram": lambda url: telegram_vendor.call(
        {"bot_token": "1:x", "base_url": url.rstrip("/")}, "getMe", {}
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "internal.example.com"])
@pytest.mark.parametrize("field", FIELDS)
def test_no_field_with_an_address_leads_inside(sink, names, field, host):
    names["internal.example.com"] = [["127.0.0.1"]]
    with pytest.raises(SendError):
        FIELDS[field](f"http://{host}:{sink.port}/")
    assert sink.requests == []


@pytest.mark.django_db
def test_no_redirect_of_a_calendar_leads_inside(settings, names):
    """The server that sends us on may be called; where it sends us may not."""
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.3/32"]
    names["inside.example.com"] = [["127.0.0.1"]]
    with run_sink() as inside, socket.create_server(("127.0.0.3", 0)) as outside:

        def redirect():
            connection, _ = outside.accept()
            with connection:
                connection.recv(4000)
                target = f"http://inside.example.com:{inside.port}/"
                connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())

        thread = threading.Thread(target=redirect)
        thread.start()
        with pytest.raises(SendError, match="HTTP_ALLOW_PRIVATE"):
            read_calendar(f"http://127.0.0.3:{outside.getsockname()[1]}/")
        thread.join(timeout=10)
        assert inside.requests == []
