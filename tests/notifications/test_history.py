"""The history: what was sent to whom, with every try; sending again and stopping."""

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role, User
from core.errors import DomainError, IllegalMove, NotAllowed
from notifications import outbox, resending
from notifications.models import ContactMethod, Notification
from tests.factories import (
    AttemptFactory,
    ContactMethodFactory,
    DestinationFactory,
    NotificationFactory,
    ProviderFactory,
    UserFactory,
)

State = Notification.State


@pytest.fixture
def bob(db):
    return ContactMethodFactory(user=UserFactory(name="Bob", email="bob@example.com")).user


@pytest.fixture
def browser(client, bob):
    client.force_login(bob)
    return client


def to_bob(bob, **fields):
    return NotificationFactory(user=bob, contact_method=bob.contact_methods.get(), **fields)


def shown(browser, query=""):
    return [row.title for row in browser.get(f"/notifications?{query}").context["page"].object_list]


def test_the_history_needs_a_login(client, db):
    assert client.get("/notifications").url.startswith("/login")
    assert client.get(f"/notifications/{NotificationFactory().uuid}").url.startswith("/login")


def test_an_empty_history_says_what_to_do(browser):
    assert "Nothing was sent yet" in browser.get("/notifications").content.decode()
    assert "No notification matches" in browser.get("/notifications?state=failed").content.decode()


def test_each_filter_finds_its_own(browser, bob, now):
    mine = to_bob(bob, topic="incident:42", message={"title": "Mine"}, created_at=now)
    place = DestinationFactory(name="Shop channel")
    other = NotificationFactory(
        user=None,
        contact_method=None,
        destination=place,
        channel="webhook",
        address=place.shown,
        kind="resolved",
        state=State.FAILED,
        reason="It answered 404.",
        message={"title": "Other"},
        created_at=now - dt.timedelta(days=3),
    )
    assert shown(browser) == ["Other", "Mine"]
    for query, wanted in {
        "state=failed": other,
        "state=pending": mine,
        "kind=resolved": other,
        "channel=email": mine,
        "reader=mine": mine,
        "q=%2342": mine,
        "q=incident:42": mine,
        "q=shop": other,
        "q=404": other,
        "q=bob": mine,
        f"day={now:%Y-%m-%d}": mine,
    }.items():
        assert shown(browser, query) == [wanted.message["title"]], query


def test_nonsense_in_the_filter_shows_everything_or_nothing_and_never_fails(browser, bob):
    to_bob(bob)
    for query in (
        "state=x",
        "day=2026-02-30",
        "day=9999-99-99",
        "day=0001-01-01",
        "page=x",
        "page=-4",
        "q=%00",
        "channel=",
    ):
        assert browser.get(f"/notifications?{query}").status_code == 200
    assert browser.get("/notifications/00000000-0000-0000-0000-000000000000").status_code == 404


def test_the_list_costs_the_same_however_long_it_is(browser, bob):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            browser.get("/notifications")
        return len(queries)

    to_bob(bob)
    cost()
    few = cost()
    for _ in range(20):
        to_bob(bob)
        NotificationFactory(
            user=None, contact_method=None, destination=DestinationFactory(), channel="webhook", address=""
        )
    assert cost() == few


def test_a_message_is_shown_with_every_try(browser, bob, now):
    row = to_bob(bob, state=State.SENT, sent_at=now + dt.timedelta(seconds=7), attempts=2, provider="twilio:1")
    AttemptFactory(notification=row, number=1, ok=False, error="It answered 500.", provider="twilio:1")
    AttemptFactory(notification=row, number=2, ok=None, finished_at=None, provider="twilio:2")
    page = browser.get(f"/notifications/{row.uuid}").content.decode()
    for text in (
        "Nobody can pay.",
        "It answered 500.",
        "through twilio:1",
        "through twilio:2",
        "No result",
        "after 7 s",
    ):
        assert text in page


def test_an_account_is_shown_by_its_name(browser, bob):
    account = ProviderFactory(name="backup")
    row = to_bob(bob, state=State.SENT, sent_at=timezone.now(), provider=account.key)
    AttemptFactory(notification=row, number=1, ok=True, provider=account.key)
    page = browser.get(f"/notifications/{row.uuid}").content.decode()
    assert page.count("Twilio (backup)") == 2 and account.key not in page


def test_sending_again_writes_a_message_of_its_own(browser, bob):
    row = to_bob(bob, state=State.FAILED, due_at=None, reason="The mail server was busy.")
    answer = browser.post(f"/notifications/{row.uuid}/resend")
    again = Notification.objects.get(pk__gt=row.pk)
    assert answer.url == f"/notifications/{again.uuid}"
    assert (again.state, again.user, again.address, again.topic) == (State.PENDING, bob, row.address, row.topic)
    assert (again.message, again.reason) == (row.message, "")
    row.refresh_from_db()
    assert row.state == State.FAILED, "what happened stays told"
    outbox.deliver(now=timezone.now())
    again.refresh_from_db()
    assert again.state == State.SENT


def test_what_waits_is_not_sent_again(bob, now):
    with pytest.raises(IllegalMove, match="still waits"):
        resending.send_again(to_bob(bob).uuid, by=bob, now=now)


@pytest.mark.parametrize("kind", ["verification", "test", "bundle"])
def test_codes_tests_and_bundles_are_not_sent_again(bob, now, kind):
    with pytest.raises(DomainError, match="Ask for a new one"):
        resending.send_again(to_bob(bob, kind=kind, state=State.SENT).uuid, by=bob, now=now)


def test_an_address_that_is_gone_or_dead_is_not_sent_to_again(browser, bob, now):
    row = to_bob(bob, state=State.FAILED)
    ContactMethod.objects.update(disabled_reason="No such mailbox.")
    with pytest.raises(DomainError, match="is not used: No such mailbox."):
        resending.send_again(row.uuid, by=bob, now=now)
    ContactMethod.objects.all().delete()
    page = browser.post(f"/notifications/{row.uuid}/resend", follow=True).content.decode()
    assert "was deleted" in page
    assert Notification.objects.count() == 1


def test_nothing_is_sent_again_to_a_deactivated_person(bob, now):
    row = to_bob(bob, state=State.FAILED)
    User.objects.update(is_active=False)
    with pytest.raises(DomainError, match="Bob is deactivated"):
        resending.send_again(row.uuid, by=bob, now=now)


def test_a_destination_that_is_turned_off_is_not_sent_to_again(bob, now):
    place = DestinationFactory(is_enabled=False)
    row = NotificationFactory(
        user=None, contact_method=None, destination=place, channel="webhook", address="", state=State.FAILED
    )
    with pytest.raises(DomainError, match="is not used: it is not enabled. Correct"):
        resending.send_again(row.uuid, by=bob, now=now)


def test_a_waiting_message_is_stopped(browser, bob, now):
    row = to_bob(bob)
    browser.post(f"/notifications/{row.uuid}/stop")
    row.refresh_from_db()
    assert (row.state, row.due_at, row.reason) == (State.CANCELLED, None, "Stopped by Bob.")
    assert outbox.claim(now) == []
    assert (
        "only one that waits can be stopped"
        in browser.post(f"/notifications/{row.uuid}/stop", follow=True).content.decode()
    )


def test_an_observer_looks_and_changes_nothing(client, bob):
    client.force_login(UserFactory(role=Role.OBSERVER))
    row = to_bob(bob, state=State.FAILED, due_at=None)
    assert "Send it again" not in client.get(f"/notifications/{row.uuid}").content.decode()
    assert client.post(f"/notifications/{row.uuid}/resend").status_code == 403
    assert client.post(f"/notifications/{row.uuid}/stop").status_code == 403
    assert Notification.objects.count() == 1


def test_verbs_that_are_none_are_not_found(browser, bob):
    assert browser.post(f"/notifications/{to_bob(bob).uuid}/explode").status_code == 404
    assert browser.get(f"/notifications/{to_bob(bob).uuid}/stop").status_code == 405


def test_only_its_reader_marks_a_message_as_read(bob, now):
    row = to_bob(bob, state=State.SENT)
    with pytest.raises(NotAllowed):
        resending.mark_read(row.uuid, by=UserFactory(), now=now)
    row = resending.mark_read(row.uuid, by=bob, now=now)
    assert (row.state, row.read_at) == (State.READ, now)
    assert resending.mark_read(row.uuid, by=bob, now=now + dt.timedelta(hours=1)).read_at == now
    with pytest.raises(IllegalMove, match="nobody can have read it"):
        resending.mark_read(to_bob(bob).uuid, by=bob, now=now)


def test_an_acknowledged_message_stays_acknowledged(bob, now):
    row = to_bob(bob, state=State.ACKNOWLEDGED)
    assert resending.mark_read(row.uuid, by=bob, now=now).state == State.ACKNOWLEDGED
