"""Recurring maintenance: each time is announced once, in time, and by the clock of its zone."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError

from core.errors import NotFound
from notifications.models import Alarm
from statuspages import maintenance, publishing, recurring
from statuspages.models import Post, PostUpdate, Series
from tests import factories

pytestmark = pytest.mark.django_db
MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (60, 3600, 86400))


def at(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.fixture
def repeat(page, shop, now):
    """A function that makes recurring maintenance which is looked at from `now` on."""

    def create(first, rrule, due_at=now, **values):
        values = {"time_zone": "Europe/Berlin", "announced_days": 7, **values}
        series = factories.SeriesFactory(
            page=page, starts_at=first, ends_at=first + HOUR, rrule=rrule, components=[shop], **values
        )
        assert Series.objects.get(pk=series.pk).due_at is not None
        Series.objects.filter(pk=series.pk).update(due_at=due_at)
        return series

    return create


def walk(start, end, step=HOUR):
    """Let time go by; the times at which something was announced."""
    told = {}
    while start <= end:
        before = set(Post.objects.values_list("pk", flat=True))
        if maintenance.oldest_due(start) is not None:
            maintenance.go_on(start)
        for post in Post.objects.exclude(pk__in=before).order_by("starts_at"):
            told[post.starts_at] = start
        start += step
    return told


def test_each_time_is_announced_so_many_days_before(repeat, shop, now):
    repeat(at("2026-06-07 02:00"), "FREQ=MONTHLY;BYDAY=1SU", announced_days=5)
    told = walk(now, now + 70 * DAY)
    assert told == {
        at("2026-06-07 02:00"): at("2026-06-02 02:00"),
        at("2026-07-05 02:00"): at("2026-06-30 02:00"),
        at("2026-08-02 02:00"): at("2026-07-28 02:00"),
    }
    post = Post.objects.get(starts_at=at("2026-07-05 02:00"))
    assert (post.stage, post.ends_at) == ("completed", at("2026-07-05 03:00"))  # and it went by itself
    assert list(post.components.all()) == [shop]
    assert post.updates.order_by("pk").first().body == "The shop is read-only for a moment."
    assert PostUpdate.objects.filter(post=post, tell_due_at__isnull=False).count() == 3


@pytest.mark.parametrize(
    ("first", "times"),
    [
        # The clock goes forward on 28 March 2027 at 2:00: 02:30 is not shown that night.
        ("2027-03-21 01:30", ["2027-03-21 01:30", "2027-03-28 01:00", "2027-04-04 00:30"]),
        # It goes back on 25 October 2026 at 3:00: 02:30 comes twice, and the first counts.
        ("2026-10-18 00:30", ["2026-10-18 00:30", "2026-10-25 00:30", "2026-11-01 01:30"]),
    ],
)
def test_it_repeats_by_the_clock_of_its_zone(repeat, first, times):
    start = at(first) - 2 * DAY
    repeat(at(first), "FREQ=WEEKLY;COUNT=3", due_at=start, announced_days=1)
    walk(start, start + 25 * DAY)
    found = list(Post.objects.order_by("starts_at").values_list("starts_at", "ends_at"))
    assert found == [(at(time), at(time) + HOUR) for time in times]


def test_looking_twice_announces_nothing_twice(repeat, now):
    series = repeat(now + DAY, "FREQ=DAILY", announced_days=3)
    maintenance.go_on(now)
    assert Post.objects.count() == 3
    Series.objects.filter(pk=series.pk).update(due_at=now, announced_until=None)  # as if it were not known any more
    maintenance.go_on(now)
    assert Post.objects.count() == 3


def test_a_time_that_somebody_took_off_the_page_does_not_come_back(repeat, alice, now):
    series = repeat(now + DAY, "FREQ=WEEKLY")
    maintenance.go_on(now)
    publishing.remove(Post.objects.get().uuid, by=alice, now=now)
    series.refresh_from_db()
    series.title = "Other words"
    series.save()  # looked at again
    Series.objects.update(due_at=now)
    maintenance.go_on(now)
    assert not Post.objects.filter(starts_at=now + DAY).exists()


def test_times_that_nobody_looked_at_are_not_announced_afterwards(repeat, now):
    repeat(now + DAY, "FREQ=WEEKLY")
    maintenance.go_on(now)
    later = now + 30 * DAY
    maintenance.go_on(later)
    assert list(Post.objects.order_by("starts_at").values_list("starts_at", flat=True)) == [
        now + DAY,
        now + 36 * DAY,
    ]


def test_disabled_or_deleted_it_comes_no_more_and_what_stands_there_stays(repeat, now):
    series = repeat(now + DAY, "FREQ=WEEKLY")
    maintenance.go_on(now)
    series.refresh_from_db()
    series.is_enabled = False
    series.save()
    assert Series.objects.get().due_at is None
    series.delete()
    assert Post.objects.get().series is None


def test_two_people_who_delete_it_at_once_both_have_their_way(repeat, page, now):
    series = repeat(at("2026-06-02 01:00"), "FREQ=DAILY")
    recurring.remove(series.uuid)
    recurring.remove(series.uuid)
    with pytest.raises(NotFound, match="Somebody has deleted"):
        recurring.save(page.pk, series=series.uuid, title="Work", now=now)
    page.delete()
    with pytest.raises(NotFound, match="Somebody has deleted"):
        recurring.save(page.pk or 0, title="Work", now=now)


def test_the_last_time_is_the_last(repeat, now):
    repeat(now + DAY, "FREQ=DAILY;COUNT=2")
    maintenance.go_on(now)
    assert Post.objects.count() == 2
    assert walk(now + 3 * DAY, now + 400 * DAY, step=5 * DAY) == {}


def test_many_times_at_once_come_in_several_rounds(repeat, now):
    repeat(now + HOUR, "FREQ=HOURLY;INTERVAL=4", announced_days=7)
    rounds = 0
    while maintenance.oldest_due(now) is not None:
        assert maintenance.go_on(now) == 1
        rounds += 1
    assert Post.objects.count() == 42 and rounds == 3


def test_a_rule_that_cannot_be_read_is_refused_with_a_sentence(page, now):
    series = factories.SeriesFactory(page=page)
    series.rrule = "FREQ=SOMETIMES"
    with pytest.raises(ValidationError, match="cannot be used"):
        series.clean()


def test_a_rule_that_cannot_be_read_stops_nothing_else_and_is_told_to_the_admins(repeat, now):
    broken = repeat(now + DAY, "FREQ=WEEKLY")
    repeat(now + 2 * DAY, "FREQ=WEEKLY")
    Series.objects.filter(pk=broken.pk).update(rrule="FREQ=SOMETIMES")
    maintenance.go_on(now)
    assert [post.starts_at for post in Post.objects.all()] == [now + 2 * DAY]
    assert maintenance.oldest_due(now) is None
    alarm = Alarm.objects.get(key=f"status-series-stuck:{broken.pk}", cleared_at=None)
    assert "Correct when it repeats." in alarm.text
    Series.objects.filter(pk=broken.pk).update(rrule="FREQ=WEEKLY")
    maintenance.go_on(now + DAY)
    assert Post.objects.filter(series=broken).exists()
    assert not Alarm.objects.filter(cleared_at=None).exists()
