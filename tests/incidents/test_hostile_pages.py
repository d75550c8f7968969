"""A title and a text that try everything: the page goes out on every channel all the same."""

import contextlib
import json

import pytest

from incidents import lifecycle
from notifications import outbox
from notifications.models import Notification, channels
from tests import factories
from tests.fakes.discord import FakeDiscord
from tests.fakes.pagerduty import KEY as PAGERDUTY_KEY
from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.server import running
from tests.fakes.sink import Sink
from tests.fakes.slack import FakeSlack
from tests.fakes.teams import FakeTeams
from tests.fakes.telegram import FakeTelegram
from tests.fakes.twilio import FakeTwilio

pytestmark = pytest.mark.django_db

HOSTILE = {
    "markup": "<script>alert(1)</script> </Say><Dial>+1900</Dial> *bold* <!channel> <@U1> [x](javascript:x) @everyone",
    "templates": "{{ 7|add:7 }} {% include 'x' %} {% load x %} %s %(x)s {0} ${x} `id`",
    "lines": "one\r\nBcc: eve@example.com\r\n\r\n<b>two</b>\x0b\x0c\x85\u2028\u2029",
    "zeros and halves": "a\x00b\ud800c\udfffd",
    "directions": "\u202eneercs eht si siht\u2066\u200f\ufeff",
    "emoji": "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿" * 200,
    "long": "word " * 200_000,
    "one long word": "x" * 1_000_000,
    "only marks": "\u200b ‌ ‍ .",
    "backslashes": "\\" * 3000 + "\"'`|~#",
}


@pytest.fixture
def world(settings):
    """Every service outside; `addresses` are `{channel: address}` of somebody who uses them all."""
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with contextlib.ExitStack() as stack:
        fakes = {
            name: stack.enter_context(running(make()))
            for name, make in {
                "slack": FakeSlack,
                "twilio": FakeTwilio,
                "telegram": FakeTelegram,
                "teams": FakeTeams,
                "discord": FakeDiscord,
                "pagerduty": FakePagerDuty,
                "sink": Sink,
            }.items()
        }
        settings.PROVIDERS = {}
        for vendor in ("slack", "twilio", "telegram"):
            factories.ProviderFactory(vendor=vendor, name="fake", config=fakes[vendor].config)
        yield fakes


def addresses(fakes):
    return {
        "email": ("alice@example.com", {}),
        "webhook": (fakes["sink"].url("/hook"), {}),
        "slack": ("C024BE91L", {}),
        "slack_webhook": (fakes["slack"].url("/services/T0/B0/x"), {}),
        "sms": ("+14155550123", {}),
        "voice": ("+14155550123", {}),
        "telegram": ("-1001234567890", {}),
        "teams": (fakes["teams"].url("/workflows/x"), {}),
        "discord": (fakes["discord"].url("/api/webhooks/1/token"), {}),
        "pagerduty": (PAGERDUTY_KEY, {"url": fakes["pagerduty"].url("/v2/enqueue")}),
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_goes_out_on_every_channel(name, world, team, alice, now, mailoutbox):
    reached = addresses(world)
    alice.contact_methods.all().delete()
    for channel, (address, options) in reached.items():
        factories.ContactMethodFactory(user=alice, channel=channel, address=address, options=options)
    policy = factories.EscalationPolicyFactory(team=team, calls=[alice])
    service = factories.ServiceFactory(name="Checkout", team=team, policy=policy)
    text = HOSTILE[name]
    incident = lifecycle.trigger(service, title=f"A {text}", severity="critical", description=text, now=now)
    outbox.deliver(now=now)
    rows = {row.channel: (row.state, row.reason) for row in Notification.objects.filter(topic=incident.topic)}
    assert set(rows) == set(reached)
    assert {channel for channel, (state, _) in rows.items() if state not in ("sent", "delivered")} == set(), rows
    (mail,) = mailoutbox
    assert mail.recipients() == ["alice@example.com"]
    assert mail.message()["Bcc"] is None
    (request,) = world["sink"].requests
    json.loads(request.body)


def test_every_channel_that_can_be_tried_here_is_tried():
    """Browser push needs a browser's keys and apprise a service of its own; both have such a test beside them."""
    assert set(channels.classes()) - {"webpush", "apprise"} == set(addresses(_Anywhere()))


class _Anywhere(dict):
    def __missing__(self, key):
        return self

    def url(self, path):
        return path
