"""Readers outside: a class, a lane, a circuit and a limit of their own, and no admin is paged about them."""

import datetime as dt
import json
import threading
import time

import pytest
from django.db import connection
from django.utils import timezone

from core import due, http
from core.errors import SendError
from notifications import circuits, limits, outbox, sending
from notifications.message import Kind, Message
from notifications.models import Alarm, Circuit, Destination, Notification
from notifications.signals import outside_unreached
from tests.notifications.conftest import NOW, after, make_method, page

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def free_way(settings):
    settings.SUBSCRIBER_MESSAGES_PER_MINUTE = 600
    settings.SUBSCRIBER_ALLOW_PRIVATE = ["127.0.0.1"]


def make_reader(address="http://127.0.0.1:9/", channel="webhook", **fields):
    number = Destination.objects.count()
    return Destination.objects.create(
        name=f"subscriber {number}", channel=channel, address=address, is_outside=True, **fields
    )


def letter(**fields):
    given = {"title": "Payments fail", "body": "We look.", "urgency": "low", "kind": Kind.STATUS, **fields}
    return Message(**{"data": {"body": {"page": {"id": "shop"}}}, **given})


def tell(*readers, now=NOW, number=1, is_repeat=True, message=None):
    """Plan a notice to each of these readers."""
    message = message or letter()
    key = f"status:{number}"
    outbox.plan_many(
        [
            outbox.Page(
                key, "status-post:1", None, message, is_repeat=is_repeat, destination_id=one.pk, share="status:1"
            )
            for one in readers
        ],
        now=now,
    )
    return list(Notification.objects.filter(plan_key__startswith=f"{key}:d").order_by("pk"))


@pytest.fixture
def news():
    heard = []

    def listen(signal, sender, **said):
        heard.append(said)

    outside_unreached.connect(listen)
    yield heard
    outside_unreached.disconnect(listen)


def test_what_pages_people_is_claimed_apart_from_what_readers_outside_are_told(alice):
    make_method(alice)
    (notice,) = tell(make_reader(), now=after(seconds=-30))
    (first,) = page(alice)
    assert [row.pk for row in outbox.claim(NOW)] == [first.pk]
    assert outbox.oldest_due(NOW) is None
    assert outbox.oldest_outside(NOW) == after(seconds=-30)
    assert [row.pk for row in outbox.claim(NOW, is_outside=True)] == [notice.pk]


def test_questions_go_out_before_notices():
    tell(*[make_reader() for _ in range(3)])
    (question,) = tell(make_reader(), number=2, is_repeat=False)
    assert outbox.claim(NOW, 1, is_outside=True)[0].pk == question.pk


def test_readers_outside_get_so_many_messages_a_minute_and_the_rest_stays_due(settings):
    settings.SUBSCRIBER_MESSAGES_PER_MINUTE = 5
    tell(*[make_reader() for _ in range(12)])
    assert len(outbox.claim(NOW, is_outside=True)) == 5
    assert outbox.claim(NOW, is_outside=True) == []
    assert outbox.oldest_outside(NOW) is None  # nothing may go out now, so nothing is late
    assert outbox.oldest_outside(after(seconds=12)) == NOW  # since the last of them went out
    assert len(outbox.claim(after(seconds=12), is_outside=True)) == 1
    assert len(outbox.claim(after(seconds=36), is_outside=True)) == 2
    assert Notification.objects.filter(state="pending", attempts=0).count() == 4


def test_a_reader_outside_uses_up_nothing_of_the_same_address_of_a_person(alice):
    make_method(alice, channel="email", address="alice@example.com")
    tell(*[make_reader("alice@example.com", "email") for _ in range(40)])
    sent = outbox.claim(NOW, is_outside=True)
    assert len(sent) == 30  # what a mailbox takes in a minute
    (row,) = page(alice)
    assert [one.pk for one in outbox.claim(NOW)] == [row.pk]


def test_a_notice_is_signed_and_says_what_was_made_for_machines(sink):
    reader = make_reader(sink.url("/status"), secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    tell(reader)
    outbox.deliver(now=NOW, is_outside=True)
    (request,) = sink.requests
    assert json.loads(request.body) == {"page": {"id": "shop"}}
    assert request.headers["webhook-signature"].startswith("v1,")
    assert Notification.objects.get().state == "delivered"


def test_an_ordinary_run_leaves_them_alone_and_theirs_takes_pages_too(alice, sink):
    make_method(alice, address=sink.url("/alice"))
    tell(make_reader(sink.url("/reader")))
    page(alice)
    outbox.deliver(now=NOW)
    assert [request.path for request in sink.requests] == ["/alice"]
    page(alice, number=2)
    outbox.deliver(now=NOW, is_outside=True)
    assert sorted(request.path for request in sink.requests) == ["/alice", "/alice", "/reader"]


def test_what_our_teams_may_reach_is_not_for_a_stranger_to_post_to(alice, sink, settings, news):
    settings.SUBSCRIBER_ALLOW_PRIVATE = []  # while HTTP_ALLOW_PRIVATE lets our own webhooks through
    make_method(alice, address=sink.url("/alice"))
    page(alice)
    tell(make_reader(sink.url("/reader")), make_reader(sink.url("/slack"), "slack_webhook"))
    outbox.deliver(now=NOW, is_outside=True)
    assert [request.path for request in sink.requests] == ["/alice"]
    assert {row.state for row in Notification.objects.filter(kind="status")} == {"failed"}
    assert all("private address" in said["reason"] for said in news)
    # A connection that is open to one of ours is not theirs either.
    port = sink.url("").rsplit(":", 1)[1].strip("/")
    with pytest.raises(SendError, match="SUBSCRIBER_ALLOW_PRIVATE"):
        http.post(f"http://localhost:{port}/", json={}, guard=http.STRANGERS)


@pytest.mark.parametrize("channel, path", [("webhook", "/410"), ("slack_webhook", "/404")])
def test_a_dead_address_is_not_used_any_more_and_no_admin_is_paged(admin, sink, news, channel, path):
    make_method(admin, address=sink.url("/admin"))
    reader = make_reader(sink.url(path), channel)
    (row,) = tell(reader)
    outbox.deliver(now=NOW, is_outside=True)
    reader.refresh_from_db()
    assert reader.disabled_reason
    assert [(said["destination_id"], said["notification_id"], said["is_dead"]) for said in news] == [
        (reader.pk, row.pk, True)
    ]
    assert not Alarm.objects.exists()
    assert not Notification.objects.filter(user=admin).exists()


def test_a_host_that_fails_is_left_alone_for_readers_outside_only_and_no_admin_is_paged(alice, admin, sink, settings):
    settings.RETRY_DELAYS_SECONDS = [1000]
    make_method(admin, address=sink.url("/admin"))
    make_method(alice, address=sink.url("/alice"))
    tell(*[make_reader(sink.url("/503")) for _ in range(circuits.FAILURES)])
    outbox.deliver(now=NOW, is_outside=True)
    (circuit,) = Circuit.objects.all()
    assert circuit.name.startswith("outside:webhook 127.0.0.1")
    assert circuit.opened_until > NOW
    assert not Alarm.objects.exists()
    (row,) = page(alice)
    outbox.deliver(now=NOW)
    row.refresh_from_db()
    assert row.state == "delivered"


def test_a_notice_that_comes_too_late_is_cancelled_and_no_admin_is_paged(admin):
    make_method(admin)
    (row,) = tell(make_reader())
    assert outbox.claim(after(hours=13), is_outside=True) == []
    row.refresh_from_db()
    assert (row.state, "12 hours" in row.reason) == ("cancelled", True)
    assert not Alarm.objects.exists()


def test_no_other_work_makes_room_for_readers_outside():
    tell(make_reader(), now=timezone.now() - dt.timedelta(minutes=5))
    assert outbox.oldest_outside(timezone.now()) is not None
    assert not due.others_wait("deliveries", now=timezone.now())


def test_readers_outside_share_a_lane_of_each_channel():
    jobs = [
        sending.Job(
            pk=pk,
            lease_token=None,
            uuid=None,
            topic="",
            plan_key="",
            user_id=None,
            channel=outbox.jobs.channels.get("webhook"),
            contact_method_id=None,
            address=f"https://host{pk}.example.com/",
            shown="",
            secret="",
            person="",
            message=letter(),
            attempt=1,
            planned_at=NOW,
            is_possible_repeat=False,
            is_outside=is_outside,
        )
        for pk, is_outside in ((1, True), (2, True), (3, False))
    ]
    assert [job.lane for job in jobs] == ["outside:webhook", "outside:webhook", "webhook host3.example.com"]


@pytest.mark.django_db(transaction=True)
def test_a_page_goes_out_while_every_reader_outside_hangs(alice, sink):
    """The one worker there is tells readers whose server takes three seconds for each."""
    make_method(alice, address=sink.url("/alice"))
    now = timezone.now()
    tell(*[make_reader(sink.url("/slow?seconds=3")) for _ in range(outbox.OUTSIDE_AT_ONCE)], now=now)
    worker = threading.Thread(target=run_outside)
    worker.start()
    time.sleep(0.7)
    began = time.monotonic()
    page(alice, now=timezone.now())
    while "/alice" not in [request.path for request in sink.requests] and time.monotonic() - began < 10:
        time.sleep(0.02)
    took = time.monotonic() - began
    worker.join(30)
    assert took < 1
    assert Notification.objects.filter(kind="status", state="delivered").count() == outbox.OUTSIDE_AT_ONCE


def run_outside():
    try:
        outbox.deliver(is_outside=True)
    finally:
        connection.close()


def test_the_limit_of_readers_outside_is_in_the_settings(settings):
    settings.SUBSCRIBER_MESSAGES_PER_MINUTE = 7
    assert limits.outside(NOW).left(limits.OUTSIDE) == 7
