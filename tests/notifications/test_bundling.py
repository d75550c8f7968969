"""Bundles: a storm is a handful of messages, and every page in them keeps its own fate."""

import pytest

from incidents.replies import answers
from notifications import bundling, outbox, receipts
from notifications.models import Alarm, Attempt, Notification
from tests.notifications.conftest import NOW, after, make_message, make_method, page

pytestmark = pytest.mark.django_db


def storm(person, count, *, now=NOW, start=0, **fields):
    """Page a person about so many incidents."""
    return [
        page(person, topic=f"incident:{number}", now=now, message=make_message(title=f"Incident {number}", **fields))[
            0
        ]
        for number in range(start, start + count)
    ]


def members():
    return Notification.objects.exclude(topic__startswith="bundle:").order_by("pk")


def test_three_pages_go_out_one_by_one(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 3)
    outbox.deliver(now=NOW)
    assert len(mailoutbox) == 3
    assert not Notification.objects.filter(kind="bundle").exists()


def test_four_pages_that_wait_for_one_address_become_one_message(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 3)
    storm(bob, 1, start=3, severity="critical")
    outbox.deliver(now=NOW)
    assert len(mailoutbox) == 1
    text = mailoutbox[0].body
    assert all(f"Incident {number}" in text for number in range(4))
    bundle = Notification.objects.get(kind="bundle")
    assert (bundle.state, bundle.user, bundle.urgency, bundle.is_repeat) == ("sent", bob, "high", False)
    assert bundle.message["severity"] == "critical"
    assert [action["verb"] for action in bundle.message["actions"]] == ["acknowledge"]
    assert {(row.bundle_id, row.state, row.sent_at, row.due_at) for row in members()} == {
        (bundle.pk, "sent", NOW, None)
    }
    assert Attempt.objects.get().notification == bundle
    assert answers.numbers_of(bundle) == [0, 1, 2, 3]


def test_pages_for_different_people_are_not_mixed(alice, bob, mailoutbox):
    for person, name in ((alice, "alice"), (bob, "bob")):
        make_method(person, "email", f"{name}@example.com")
        storm(person, 4)
    outbox.deliver(now=NOW)
    assert sorted(mail.to[0] for mail in mailoutbox) == ["alice@example.com", "bob@example.com"]


def test_a_program_gets_every_event_on_its_own(bob, sink):
    make_method(bob, address=sink.url())
    storm(bob, 5)
    outbox.deliver(now=NOW)
    assert len(sink.requests) == 5


def test_a_bundle_takes_along_what_the_claim_left(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 30)
    (bundle,) = outbox.claim(NOW, 5)
    assert bundle.members.count() == 30


def test_a_long_bundle_counts_the_rest(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 25)
    outbox.deliver(now=NOW)
    (mail,) = mailoutbox
    assert "… and 5 more." in mail.body
    assert "Incident 19" in mail.body and "Incident 20" not in mail.body


def test_a_storm_of_a_thousand_incidents_in_a_minute_is_a_handful_of_messages(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    for second in range(0, 60, 2):
        storm(bob, 33, start=second * 20, now=after(seconds=second))
        outbox.deliver(now=after(seconds=second))
    outbox.deliver(now=after(seconds=60))
    assert 1 <= len(mailoutbox) <= 10
    assert set(members().values_list("state", flat=True)) == {"sent"}
    longest = max(row.sent_at - row.planned_at for row in members())
    assert longest.total_seconds() <= 12


def test_one_incident_that_is_settled_leaves_the_others_in_the_bundle(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 4)
    claimed = outbox.claim(NOW)
    outbox._give_back(outbox._prepare(claimed, NOW), NOW)
    outbox.settle(["incident:2"], reason="Resolved.", now=NOW)
    outbox.deliver(now=after(seconds=2))
    assert [row.state for row in members()] == ["sent", "sent", "cancelled", "sent"]
    (mail,) = mailoutbox
    assert "Incident 2" not in mail.body and "Incident 3" in mail.body


def test_a_bundle_whose_incidents_are_all_settled_is_not_sent(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 4)
    outbox._give_back(outbox._prepare(outbox.claim(NOW), NOW), NOW)
    outbox.settle([f"incident:{number}" for number in range(4)], reason="Resolved.", now=NOW)
    outbox.deliver(now=after(seconds=2))
    bundle = Notification.objects.get(kind="bundle")
    assert (bundle.state, bundle.reason) == ("cancelled", "Everything in it was settled before it was sent.")
    assert set(members().values_list("state", "reason")) == {("cancelled", "Resolved.")}
    assert mailoutbox == []


def test_a_retried_bundle_says_only_what_is_still_open(bob, smtp):
    make_method(bob, "email", "bob@example.com")
    smtp.answer = "451 4.3.0 Later, please"
    storm(bob, 4)
    bundle = outbox.claim(NOW)[0]
    Notification.objects.filter(pk=bundle.pk).update(state="pending", due_at=NOW, lease_token=None, lease_until=None)
    outbox.settle(["incident:0"], reason="Resolved.", now=NOW)
    (again,) = outbox.claim(NOW)
    assert again.pk == bundle.pk
    assert "Incident 0" not in again.message["body"] and "Incident 3" in again.message["body"]
    assert again.message["title"].startswith("3 pages")


def test_when_a_bundle_fails_its_pages_fail_and_the_admins_hear_of_each(bob):
    make_method(bob, "email", "not an address")
    storm(bob, 4)
    outbox.deliver(now=NOW)
    assert set(members().values_list("state", flat=True)) == {"failed"}
    assert sorted(Alarm.objects.values_list("key", flat=True)) == [
        f"unreachable:incident:{number}:{bob.pk}" for number in range(4)
    ]


def test_acknowledging_one_incident_of_a_sent_bundle_leaves_the_others(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 4)
    outbox.deliver(now=NOW)
    outbox.settle(["incident:1"], by=bob, reason="Bob acknowledged.", now=after(minutes=1))
    assert [row.state for row in members()] == ["sent", "acknowledged", "sent", "sent"]


def test_members_follow_a_receipt_of_their_bundle(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 4)
    outbox.deliver(now=NOW)
    bundle = Notification.objects.get(kind="bundle")
    Notification.objects.filter(pk=bundle.pk).update(state="delivered", delivered_at=after(seconds=3))
    bundling.follow([bundle.pk])
    assert set(members().values_list("state", "delivered_at")) == {("delivered", after(seconds=3))}


def test_changes_are_bundled_too_and_ask_for_no_answer(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 5, kind="resolved", urgency="low")
    outbox.deliver(now=NOW)
    (mail,) = mailoutbox
    bundle = Notification.objects.get(topic__startswith="bundle:")
    assert (bundle.kind, bundle.message["actions"]) == ("update", [])
    assert "5 changes" in mail.subject + mail.body


def test_a_missing_receipt_of_a_bundle_is_no_loss_when_everything_in_it_was_answered(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 4)
    outbox.deliver(now=NOW)
    Notification.objects.filter(kind="bundle").update(receipt_due_at=after(minutes=1))
    topics = [f"incident:{number}" for number in range(4)]
    outbox.settle(topics[:3], by=bob, reason="Bob acknowledged.", now=after(seconds=20))
    receipts.note_missing(after(seconds=50))
    outbox.settle(topics[3:], by=bob, reason="Bob acknowledged.", now=after(seconds=55))
    receipts.note_missing(after(minutes=2))
    assert not Alarm.objects.exists()


def test_a_bundle_of_changes_that_was_handed_back_does_not_become_part_of_another(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 4, kind="resolved", urgency="low")
    outbox._give_back(outbox._prepare(outbox.claim(NOW), NOW), NOW)
    storm(bob, 4, start=4, kind="resolved", urgency="low", now=after(seconds=2))
    outbox.deliver(now=after(seconds=2))
    outbox.deliver(now=after(seconds=30))
    assert set(members().values_list("state", flat=True)) == {"sent"}
    assert len(mailoutbox) == 2


def test_a_first_urgent_page_does_not_wait_behind_quiet_ones_to_the_same_address(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 3, urgency="low")
    outbox.deliver(now=NOW)
    storm(bob, 1, start=3, now=after(seconds=1))
    outbox.deliver(now=after(seconds=1))
    assert "Incident 3" in mailoutbox[-1].body and len(mailoutbox) == 4


def test_first_urgent_pages_take_along_what_was_gathered(bob, mailoutbox):
    make_method(bob, "email", "bob@example.com")
    storm(bob, 4, urgency="low")
    storm(bob, 8, start=4, urgency="low", now=after(seconds=1))
    for second in range(3):
        outbox.deliver(now=after(seconds=second))
    storm(bob, 1, start=12, now=after(seconds=4))
    outbox.deliver(now=after(seconds=4))
    assert set(members().values_list("state", flat=True)) == {"sent"}
    assert "Incident 12" in mailoutbox[-1].body
