"""Action items: owners, moves, reminders and links."""

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DomainError, IllegalMove
from notifications.models import Notification
from postmortems import items, reviewing
from tests import factories

TODAY = factories.NOW.date()
MINUTE = dt.timedelta(minutes=1)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.fixture
def postmortem(team, alice, bob):
    return factories.PostmortemFactory(team=team)


def told(user):
    return list(Notification.objects.filter(user=user).order_by("pk").values_list("message__title", flat=True))


def test_an_item_is_given_to_somebody_who_is_told_and_reminded(postmortem, alice, bob, now):
    item = items.add(
        postmortem.pk,
        text=" Renew   certificates\nby machine ",
        owner=bob,
        due_on=TODAY + dt.timedelta(days=10),
        link="https://shop.atlassian.net/browse/SHOP-12",
        by=alice,
        now=now,
    )
    item.refresh_from_db()
    assert (item.text, item.status, item.priority) == ("Renew certificates by machine", "open", "medium")
    assert told(bob) == ["An action item is yours: Renew certificates by machine"]
    assert item.due_at == dt.datetime(2026, 6, 4, 9, tzinfo=dt.UTC)  # a week before the 11th
    assert items.change(item.uuid, status="completed", by=bob, now=now).due_at is None
    assert items.change(item.uuid, status="open", by=bob, now=now).due_at == item.due_at
    # To oneself and without a change nothing is said.
    items.change(item.uuid, owner=alice, by=alice, now=now + MINUTE)
    items.change(item.uuid, owner=alice, by=bob, now=now + MINUTE)
    assert told(alice) == [] and len(told(bob)) == 1


def test_what_is_over_is_opened_again_before_it_ends_otherwise(postmortem, bob, now):
    item = items.add(postmortem.pk, text="Look", by=bob, now=now)
    for status in ("in_progress", "open", "in_progress", "completed"):
        item = items.change(item.uuid, status=status, by=bob, now=now)
        assert item.status == status and (item.ended_at is None) == (status != "completed")
    with pytest.raises(IllegalMove, match="It is completed, so it cannot become cancelled. Open it again first."):
        items.change(item.uuid, status="cancelled", text="Changed", by=bob, now=now)
    item.refresh_from_db()
    assert (item.text, item.status) == ("Look", "completed")
    items.change(item.uuid, status="in_progress", by=bob, now=now)
    assert items.change(item.uuid, status="cancelled", by=bob, now=now + MINUTE).ended_at == now + MINUTE


def test_the_owner_is_somebody_who_may_see_it_or_will(postmortem, team, alice, bob, charlie, now):
    assert items.add(postmortem.pk, text="Look", owner=charlie, by=bob, now=now).owner == charlie  # once published
    kept = factories.PostmortemFactory(team=team, visibility="team")
    with pytest.raises(DomainError, match="Charlie may not see PM-"):
        items.add(kept.pk, text="Look", owner=charlie, by=bob, now=now)
    gone = factories.UserFactory(is_active=False)
    with pytest.raises(DomainError, match="whose account is active"):
        items.add(postmortem.pk, text="Look", owner=gone, by=bob, now=now)
    assert not kept.items.exists()


def test_items_of_hidden_postmortems_are_in_no_list(postmortem, team, alice, bob, charlie, now):
    items.add(postmortem.pk, text="Of a draft", by=bob, now=now)
    open_to_all = factories.PostmortemFactory(team=team, status="published")
    items.add(open_to_all.pk, text="Of a published one", by=bob, now=now)
    assert [one.text for one in items.seen_by(charlie)] == ["Of a published one"]
    assert items.seen_by(bob).count() == items.seen_by(alice).count() == 2


def test_items_go_on_after_the_archive_and_none_is_added_there(postmortem, bob, now):
    item = items.add(postmortem.pk, text="Look", by=bob, now=now)
    reviewing.archive(postmortem.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="Restore it first"):
        items.add(postmortem.pk, text="More", by=bob, now=now)
    assert items.change(item.uuid, status="completed", by=bob, now=now).status == "completed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": "x" * 501},
        {"priority": "urgent"},
        {"status": "done"},
        {"due_on": dt.date(1, 1, 1)},
        {"link": "http://shop.atlassian.net/browse/SHOP-12"},
        {"link": "javascript:alert(1)"},
        {"link": "https://"},
        {"link": "https://bob:secret@example.com/browse/SHOP-12"},
        {"link": "https://[::1"},
        {"link": "https://example.com/" + "x" * 500},
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_changes(postmortem, bob, now, wrong):
    item = items.add(postmortem.pk, text="Look", by=bob, now=now)
    with pytest.raises(DomainError):
        items.change(item.uuid, by=bob, now=now, **wrong)
    item.refresh_from_db()
    assert (item.text, item.priority, item.status, item.link) == ("Look", "medium", "open", "")


@pytest.mark.parametrize(
    ("link", "label"),
    [
        ("https://shop.atlassian.net/browse/SHOP-12", "SHOP-12"),
        ("https://shop.atlassian.net/browse/SHOP-12?focusedId=3#x", "SHOP-12"),
        ("https://jira.example.com/secure/RapidBoard.jspa?rapidView=1&selectedIssue=OPS_2-7", "OPS_2-7"),
        ("https://linear.app/shop/issue/ENG-5/renew-certificates", "ENG-5"),
        ("https://github.com/shop/web.site/issues/7", "shop/web.site#7"),
        ("https://gitlab.example.com/shop/web/-/issues/9", "shop/web#9"),
        ("https://tickets.example.com/t/17", "tickets.example.com"),
        ("https://example.com/browse/shop-12", "example.com"),
    ],
)
def test_a_link_is_called_by_the_key_of_its_issue(link, label):
    assert items.checked_link(link) == link
    assert items.link_label(link) == label


def test_reminders_come_a_week_and_a_day_before_on_the_day_and_then_weekly():
    due_on, at, found = dt.date(2026, 3, 31), dt.datetime(2026, 3, 1, tzinfo=dt.UTC), []
    for _ in range(5):
        at = items.reminder_after(at, due_on, BERLIN)
        found.append(at.astimezone(BERLIN).strftime("%d.%m. %H:%M"))
    # The clock goes forward on the 29th: it stays nine o'clock.
    assert found == ["24.03. 09:00", "30.03. 09:00", "31.03. 09:00", "07.04. 09:00", "14.04. 09:00"]


@given(st.dates(dt.date(2000, 1, 1), dt.date(2050, 1, 1)), st.integers(-400, 4000), st.integers(0, 86399))
def test_the_next_reminder_is_later_than_now_and_at_most_a_week_away_once_it_is_due(due_on, days, second):
    now = dt.datetime.combine(due_on, dt.time(), dt.UTC) + dt.timedelta(days=days, seconds=second)
    at = items.reminder_after(now, due_on, BERLIN)
    assert at > now
    assert at - now <= dt.timedelta(days=7, hours=1) or days < -7
