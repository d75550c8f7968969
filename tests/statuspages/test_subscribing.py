"""Subscribers: asked before anything is sent, told once of what they want, and gone when they say so or are lost."""

import datetime as dt
import re
import threading

import pytest
from django.db import OperationalError, connection

from accounts.models import AuditEntry
from core import due
from core.errors import DomainError, Gone, NotFound, TooMany
from notifications import outbox
from notifications.models import Alarm, Destination, Notification
from notifications.results import Ending, record
from statuspages import publishing, subscribing
from statuspages.models import PostUpdate, Subscriber
from tests import factories
from tests.house import wait_until

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def free_way(settings):
    settings.SUBSCRIBER_ALLOW_PRIVATE = ["127.0.0.1"]


def ask(page, now, address="reader@elsewhere.example", channel="email", client="198.51.100.7", **more):
    subscribing.ask(page, channel=channel, address=address, now=now, address_of_client=client, **more)


def token_of(row):
    """What stands in the last link that was sent to confirm."""
    message = Notification.objects.filter(destination=row.destination).latest("pk").message
    return re.search(r"/subscribe/confirm/([\w-]+)", message["url"])[1]


def key_of(row):
    return subscribing.links(row).manage.rsplit("/", 1)[1]


def post(page, now, *, components=None, alice=None, **more):
    return publishing.open_incident(
        page.pk, title="Payments fail", body="We **look** into it.", components=components, by=alice, now=now, **more
    )


def notices():
    return Notification.objects.filter(topic__startswith="status-post:")


def told():
    """`[(reader's address, title)]` of all notices."""
    rows = notices().select_related("destination").order_by("pk")
    return [(row.destination.address, row.message["title"]) for row in rows]


# --- asking ---------------------------------------------------------------------------------------------------------
def test_whoever_asks_is_sent_a_question_and_nothing_else(page, now):
    ask(page, now)
    (row,) = Subscriber.objects.all()
    assert (row.confirmed_at, row.destination.is_outside) == (None, True)
    post(page, now)
    subscribing.tell_due(now)
    assert not notices().exists()
    (question,) = Notification.objects.all()
    assert question.message["title"] == "Confirm your subscription: Example Shop"
    assert (question.state, question.urgency, question.is_repeat) == ("pending", "bulk", False)


def test_confirming_begins_it_and_twice_is_harmless(page, now):
    ask(page, now)
    (row,) = Subscriber.objects.all()
    token = token_of(row)
    assert subscribing.confirm(token, now=now + HOUR).confirmed_at == now + HOUR
    assert subscribing.confirm(token, now=now + 2 * HOUR).confirmed_at == now + HOUR
    post(page, now + 2 * HOUR)
    subscribing.tell_due(now + 2 * HOUR)
    assert told() == [("reader@elsewhere.example", "Investigating: Payments fail")]


def test_a_link_of_a_question_ends_after_a_week_and_only_the_last_one_works(page, now):
    ask(page, now)
    (row,) = Subscriber.objects.all()
    old = token_of(row)
    ask(page, now + HOUR)
    new = token_of(row)
    with pytest.raises(NotFound):
        subscribing.confirm(old, now=now + HOUR)
    with pytest.raises(Gone, match="Subscribe once more"):
        subscribing.confirm(new, now=now + HOUR + dt.timedelta(days=7, seconds=1))
    with pytest.raises(NotFound):
        subscribing.confirm("guessed", now=now)


def test_somebody_who_is_subscribed_is_told_so_and_nothing_is_changed(page, shop, now):
    row = factories.SubscriberFactory(page=page, address="reader@elsewhere.example", components=[shop])
    ask(page, now)
    ask(page, now + dt.timedelta(minutes=1))
    (message,) = Notification.objects.all()
    assert "subscribed already" in message.message["body"]
    assert "/confirm/" not in str(message.message)
    row.refresh_from_db()
    assert (row.confirmed_at, list(row.components.all())) == (factories.NOW - dt.timedelta(days=2), [shop])


def test_the_same_address_asked_for_again_and_again_gets_few_questions(page, now):
    for number in range(12):
        ask(page, now + number * dt.timedelta(minutes=10), client=f"198.51.100.{number}")
    assert Notification.objects.count() == subscribing.ADDRESSES.quota
    assert Subscriber.objects.count() == 1


def test_one_client_cannot_ask_for_everybody(page, now):
    for number in range(subscribing.CLIENTS.quota):
        ask(page, now, f"reader{number}@elsewhere.example")
    with pytest.raises(TooMany, match="Wait"):
        ask(page, now, "one-more@elsewhere.example")


@pytest.mark.parametrize(
    "channel, address, says",
    [
        ("email", "reader", "not an email address"),
        ("email", "a@b.example\r\nBcc: x@y.example", "not an email address"),
        ("webhook", "ftp://elsewhere.example/", "not a web address"),
        ("webhook", "http://10.0.0.8/hook", "not a web address"),
        ("webhook", "http://[::ffff:10.0.0.8]/hook", "not a web address"),
        ("slack_webhook", "hooks", "not a web address"),
        ("sms", "+4915112345678", "no subscribers"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_a_sentence(page, now, channel, address, says):
    with pytest.raises(DomainError, match=says):
        ask(page, now, address, channel)
    assert not Subscriber.objects.exists()
    assert not Destination.objects.exists()


def test_the_sentence_is_in_the_language_of_the_page(page, now):
    page.language = "de"
    with pytest.raises(DomainError, match="ist keine E-Mail-Adresse"):
        ask(page, now, "reader")


def test_components_of_another_page_are_refused(page, now):
    with pytest.raises(DomainError):
        ask(page, now, components=[str(factories.ComponentFactory().uuid)])


def test_a_page_that_takes_no_subscribers_takes_none(page, now):
    page.accepts_subscribers = False
    with pytest.raises(DomainError, match="no subscribers"):
        ask(page, now)


def test_what_readers_do_is_no_change_of_the_configuration(page, now):
    before = AuditEntry.objects.count()
    ask(page, now)
    subscribing.leave(key_of(Subscriber.objects.get()), now=now)
    assert AuditEntry.objects.count() == before


# --- pages that not everybody reads ---------------------------------------------------------------------------------
def test_of_a_page_that_not_everybody_reads_only_those_are_told_who_may(page, alice, now):
    page.audience = "partners"
    page.save()
    partner = factories.PartnerFactory(pages=[page], email="Pat@partner.example")
    for number, address in enumerate([alice.email, "pat@partner.example", "stranger@elsewhere.example"]):
        ask(page, now, address, client=f"198.51.100.{number}")
    rows = Subscriber.objects.all()
    assert {row.destination.address for row in rows} == {alice.email, "pat@partner.example"}
    for row in rows:
        subscribing.confirm(token_of(row), now=now)
    partner.is_enabled = False
    partner.save()
    post(page, now)
    subscribing.tell_due(now)
    assert [address for address, _ in told()] == [alice.email]


def test_a_webhook_says_of_nobody_who_they_are_so_it_is_for_public_pages(page, now):
    factories.SubscriberFactory(page=page, channel="webhook", address="https://elsewhere.example/hook")
    page.audience = "private"
    page.save()
    with pytest.raises(DomainError):
        ask(page, now, "https://elsewhere.example/other", "webhook")
    post(page, now)
    subscribing.tell_due(now)
    assert told() == []


def test_of_a_page_of_a_private_team_only_its_members_are_told(alice, bob, team, now):
    team.is_private = True
    team.save()
    page = factories.StatusPageFactory(team=team, audience="private")
    stranger = factories.UserFactory()
    for number, person in enumerate((alice, bob, stranger)):
        ask(page, now, person.email, client=f"198.51.100.{number}")
    rows = Subscriber.objects.order_by("pk")
    assert [row.destination.address for row in rows] == [alice.email, bob.email]
    rows.update(confirmed_at=now)
    bob.memberships.all().delete()
    post(page, now)
    subscribing.tell_due(now)
    assert [address for address, _ in told()] == [alice.email]


# --- telling --------------------------------------------------------------------------------------------------------
def test_each_is_told_of_what_they_chose(page, shop, search, now):
    factories.SubscriberFactory(page=page, address="all@elsewhere.example")
    factories.SubscriberFactory(page=page, address="shop@elsewhere.example", components=[shop])
    factories.SubscriberFactory(page=page, address="search@elsewhere.example", components=[search])
    factories.SubscriberFactory(page=page, address="new@elsewhere.example", confirmed_at=None)
    factories.SubscriberFactory(page=page, address="gone@elsewhere.example", ended_at=now)
    factories.SubscriberFactory(address="other@elsewhere.example")
    post(page, now, components={str(shop.uuid): "partial_outage"})
    subscribing.tell_due(now)
    assert [address for address, _ in told()] == ["all@elsewhere.example", "shop@elsewhere.example"]


def test_what_is_not_to_be_told_is_not_told(page, now):
    factories.SubscriberFactory(page=page)
    post(page, now, is_told=False)
    subscribing.tell_due(now)
    assert told() == []


def test_each_update_is_told_once_in_batches(page, now):
    for number in range(7):
        factories.SubscriberFactory(page=page, address=f"r{number}@elsewhere.example")
    post(page, now)
    assert subscribing.oldest_due(now) == now
    subscribing.tell_due(now, batch=3)
    subscribing.tell_due(now, batch=3)
    assert [address for address, _ in told()] == [f"r{number}@elsewhere.example" for number in range(7)]
    assert subscribing.oldest_due(now) is None
    update = PostUpdate.objects.get()
    publishing.add_update(update.post.uuid, stage="resolved", body="Fixed.", by=None, now=now + HOUR)
    subscribing.tell_due(now + HOUR)
    assert notices().count() == 14


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_between_batches_leaves_the_rest_to_the_next_and_nobody_hears_twice(now):
    page = factories.StatusPageFactory(audience="public")
    rows = [factories.SubscriberFactory(page=page, address=f"r{number}@elsewhere.example") for number in range(7)]
    update = factories.PostUpdateFactory(post=factories.PostFactory(page=page), tell_due_at=now)
    other = connection.copy()
    try:
        # Somebody else writes a notice of the second batch just now: the worker waits, and loses its connection there.
        other.set_autocommit(False)
        with other.cursor() as cursor:
            message = factories.NotificationFactory.build(
                plan_key=f"status:{update.uuid}:d{rows[4].destination_id}:d0"
            )
            names = [one for one in Notification._meta.local_concrete_fields if one.attname not in ("id", "user_id")]
            values = [one.get_db_prep_save(getattr(message, one.attname), other) for one in names]
            cursor.execute(
                f"INSERT INTO notifications_notification ({', '.join(one.column for one in names)}) "
                f"VALUES ({', '.join(['%s'] * len(names))})",
                values,
            )
        worker = Worker(now)
        worker.start()
        wait_until(lambda: notices().count() == 3, 20, "the first batch is told")
        wait_until(terminated, 20, "the worker waits in the second batch, and is stopped")
        worker.join(20)
        assert isinstance(worker.error, OperationalError)
        other.rollback()
    finally:
        other.close()
    assert notices().count() == 3
    update.refresh_from_db()
    assert (update.tell_due_at, update.told_up_to) == (now, rows[2].pk)
    subscribing.tell_due(now, batch=3)
    assert [address for address, _ in told()] == [f"r{number}@elsewhere.example" for number in range(7)]
    assert subscribing.oldest_due(now) is None


class Worker(threading.Thread):
    """Tells three at a time, on a connection of its own."""

    def __init__(self, now):
        super().__init__()
        self.now, self.error = now, None

    def run(self):
        try:
            subscribing.tell_due(self.now, batch=3)
        except OperationalError as error:
            self.error = error
        finally:
            connection.close()


def terminated():
    """End the session that waits for a lock, if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO notif%'"
        )
        return bool(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_nobody_twice(now):
    page = factories.StatusPageFactory(audience="public")
    factories.SubscriberFactory(page=page)
    factories.PostUpdateFactory(post=factories.PostFactory(page=page), tell_due_at=now)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM statuspages_postupdate FOR UPDATE")
        subscribing.tell_due(now)  # the other one has it, and nobody waits for them
        assert told() == []
        other.rollback()
    finally:
        other.close()
    subscribing.tell_due(now)
    subscribing.tell_due(now)
    assert len(told()) == 1


@pytest.mark.logs_errors
def test_an_update_that_cannot_be_told_holds_up_no_other(page, now, caplog):
    factories.SubscriberFactory(page=page)
    broken = factories.PostUpdateFactory(
        post=factories.PostFactory(page=page), tell_due_at=now - HOUR, affected=[["not a component"]]
    )
    post(page, now)
    subscribing.tell_due(now)
    assert [title for _, title in told()] == ["Investigating: Payments fail"]
    assert f"told of the update {broken.pk}" in caplog.text
    broken.refresh_from_db()
    assert broken.tell_due_at == now + subscribing.PUT_OFF
    alarm = Alarm.objects.get(key=f"status-update-untold:{broken.pk}", cleared_at=None)
    assert f"cannot be told of “{broken.post}”" in alarm.text
    type(broken).objects.filter(pk=broken.pk).update(affected=[])
    subscribing.tell_due(now + subscribing.PUT_OFF)
    alarm.refresh_from_db()
    assert alarm.cleared_at and len(told()) == 2


def test_what_a_removed_post_said_is_not_sent_any_more(page, now):
    factories.SubscriberFactory(page=page)
    found = post(page, now)
    subscribing.tell_due(now)
    publishing.remove(found.uuid, by=None, now=now)
    assert {row.state for row in notices()} == {"cancelled"}
    assert outbox.claim(now, is_outside=True) == []


def test_a_page_that_is_turned_off_tells_nobody(page, now):
    factories.SubscriberFactory(page=page)
    post(page, now)
    page.is_enabled = False
    page.save()
    subscribing.tell_due(now)
    assert told() == []
    assert subscribing.oldest_due(now) is None


def test_a_notice_holds_nothing_of_ours(page, shop, service, now, alice):
    incident = factories.IncidentFactory(service=service, title="Replica 7 lags")
    factories.SubscriberFactory(page=page)
    factories.SubscriberFactory(page=page, channel="webhook", address="http://127.0.0.1:9/hook")
    factories.ComponentFactory(page=page, name="Elsewhere")
    post(page, now, components={str(shop.uuid): "major_outage"}, incident=incident, alice=alice)
    subscribing.tell_due(now)
    said = str([row.message for row in notices()]).replace(page.accent_colour, "")  # it may begin like a number
    assert "Shop: Major outage" in said
    for secret in (
        str(incident.title),
        incident.service.name,
        str(alice),
        alice.email,
        f"#{incident.pk}",
        "acknowledge",
    ):
        assert secret not in said
    assert all(row.message["actions"] == [] for row in notices())


# --- leaving, and being lost ----------------------------------------------------------------------------------------
def test_whoever_leaves_hears_nothing_more_not_even_what_waits(page, now):
    row, stays = factories.SubscriberFactory.create_batch(2, page=page)
    post(page, now)
    subscribing.tell_due(now)
    subscribing.leave(key_of(row), now=now)
    subscribing.leave(key_of(row), now=now + HOUR)
    row.refresh_from_db()
    assert (row.ended_at, row.end_reason) == (now, "They unsubscribed.")
    states = {one.destination_id: one.state for one in notices()}
    assert states == {row.destination_id: "cancelled", stays.destination_id: "pending"}
    post(page, now + HOUR)
    subscribing.tell_due(now + HOUR)
    assert notices().filter(destination=row.destination).count() == 1


def test_whoever_is_ended_hears_nothing_more_and_the_audit_says_by_whom(page, alice, now):
    row = factories.SubscriberFactory(page=page)
    post(page, now)
    subscribing.tell_due(now)
    subscribing.stop(row.uuid, by=alice, now=now)
    subscribing.stop(row.uuid, by=None, now=now + HOUR)
    row.refresh_from_db()
    assert (row.ended_at, row.end_reason) == (now, f"Ended by {alice}.")
    assert [one.state for one in notices()] == ["cancelled"]
    assert outbox.claim(now, is_outside=True) == []
    entry = AuditEntry.objects.get(text__startswith="Ended a subscription")
    assert entry.actor == alice and row.destination.address not in entry.text


@pytest.mark.parametrize("what", ["the page", "the page, among others", "one of them", "both at once"])
def test_who_is_deleted_leaves_no_address_and_nothing_that_waits(page, now, what):
    rows = factories.SubscriberFactory.create_batch(2, page=page)
    stays, team = factories.SubscriberFactory(), factories.DestinationFactory()
    for each in (page, stays.page):
        post(each, now)
    subscribing.tell_due(now)
    if what == "the page":
        page.delete()
    elif what == "the page, among others":
        type(page).objects.filter(slug=page.slug).delete()
    elif what == "both at once":
        Subscriber.objects.filter(page=page).delete()
    else:
        rows[0].delete()
        assert Destination.objects.filter(pk=rows[1].destination_id).exists()
        assert [one.state for one in notices().order_by("pk")] == ["cancelled", "pending", "pending"]
        return
    assert set(Destination.objects.all()) == {stays.destination, team}
    assert [one.state for one in notices().order_by("pk")] == ["cancelled", "cancelled", "pending"]
    assert [one.destination for one in outbox.claim(now, is_outside=True)] == [stays.destination]
    assert not AuditEntry.objects.filter(kind="notifications.destination", verb="deleted").exists()


def test_whoever_chose_components_that_are_gone_does_not_hear_of_everything_instead(page, shop, search, now):
    both, one, waits, all_of_it = (
        factories.SubscriberFactory(page=page, components=[shop, search]),
        factories.SubscriberFactory(page=page, components=[shop]),
        factories.SubscriberFactory(page=page, components=[shop], confirmed_at=None, asked_at=now, token="t"),
        factories.SubscriberFactory(page=page),
    )
    shop.delete()
    for row in (both, one, waits, all_of_it):
        row.refresh_from_db()
    assert (both.ended_at, all_of_it.ended_at) == (None, None)
    assert one.ended_at and "no longer on the page" in one.end_reason
    with pytest.raises(Gone):
        subscribing.confirm("t", now=now)
    post(page, now)
    subscribing.tell_due(now)
    assert [address for address, _ in told()] == [all_of_it.destination.address]
    type(search).objects.filter(page=page).delete()
    both.refresh_from_db()
    assert both.ended_at


def test_one_mailbox_is_one_subscriber_however_it_is_typed(page, now):
    ask(page, now, "Reader@Elsewhere.example")
    ask(page, now + HOUR, "reader@elsewhere.example")
    assert Subscriber.objects.get().destination.address == "reader@elsewhere.example"


def test_whoever_left_may_come_back(page, now):
    row = factories.SubscriberFactory(page=page, address="reader@elsewhere.example", ended_at=now)
    Destination.objects.filter(pk=row.destination_id).update(disabled_reason="It was dead.")
    ask(page, now)
    subscribing.confirm(token_of(row), now=now)
    row.refresh_from_db()
    assert (row.ended_at, row.confirmed_at, row.destination.is_usable) == (None, now, True)
    assert Subscriber.objects.count() == 1


def test_the_links_of_others_cannot_be_made(page, now):
    row = factories.SubscriberFactory(page=page)
    for key in (row.uuid.hex, f"{row.uuid.hex}:forged", "x" * 300, "☃"):
        with pytest.raises(NotFound):
            subscribing.leave(key, now=now)


def test_components_are_changed_by_the_link(page, shop, search, now):
    row = factories.SubscriberFactory(page=page, components=[shop])
    subscribing.change_components(key_of(row), [str(search.uuid)], now=now)
    assert list(row.components.all()) == [search]
    subscribing.change_components(key_of(row), [], now=now)
    assert not row.components.exists()
    with pytest.raises(DomainError):
        subscribing.change_components(key_of(row), ["x"], now=now)


def test_a_dead_address_ends_it_with_its_reason_and_pages_no_admin(page, now, settings):
    row = factories.SubscriberFactory(page=page)
    factories.ContactMethodFactory(user=factories.UserFactory(role="admin"))
    post(page, now)
    subscribing.tell_due(now)
    (notice,) = outbox.claim(now, is_outside=True)
    fail(notice, now, "550 5.1.1 No such person here", dead=True)
    row.refresh_from_db()
    assert row.ended_at == now
    assert "No such person" in row.end_reason
    assert not Alarm.objects.exists()
    assert not Notification.objects.filter(user__isnull=False).exists()


def test_a_failure_ends_nothing_and_five_in_a_row_do(page, now):
    row = factories.SubscriberFactory(page=page, channel="webhook", address="http://127.0.0.1:9/hook")
    for number in range(subscribing.FAILED_IN_A_ROW):
        row.refresh_from_db()
        assert row.ended_at is None
        at = now + number * HOUR
        post(page, at)
        subscribing.tell_due(at)
        (notice,) = outbox.claim(at, is_outside=True)
        fail(notice, at, "It answered 404.")
    row.refresh_from_db()
    assert "The last 5 messages did not arrive" in row.end_reason
    assert not Alarm.objects.exists()


def fail(row, now, reason, *, dead=False):
    record(
        [Ending.of_row(row, Notification.State.FAILED, now, reason=reason, dead_reason=reason if dead else "")],
        now=now,
    )


def test_who_never_confirmed_and_who_left_long_ago_is_forgotten(page, now):
    stays = factories.SubscriberFactory(page=page)
    waits = factories.SubscriberFactory(page=page, confirmed_at=None, asked_at=now - dt.timedelta(days=6))
    left = factories.SubscriberFactory(page=page, ended_at=now - dt.timedelta(days=29))
    factories.SubscriberFactory(page=page, confirmed_at=None, asked_at=now - dt.timedelta(days=7, hours=1))
    factories.SubscriberFactory(page=page, ended_at=now - dt.timedelta(days=31))
    team = factories.DestinationFactory()
    for work in due.housekeepers():
        if work.__module__ == "statuspages.tasks":
            work(now=now)
    assert set(Subscriber.objects.all()) == {stays, waits, left}
    assert set(Destination.objects.all()) == {team, *(one.destination for one in (stays, waits, left))}
