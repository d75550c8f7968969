"""What is of low urgency waits until the quiet hours end, also where the clock is put forward or back."""

import datetime as dt

import pytest

from notifications.rules import LONGEST_HOLD, Method, Quiet, Reach, Rule, plan, quiet_until
from tests.factories import QuietHoursFactory
from tests.notifications.conftest import make_message, make_method, make_person, page

BERLIN = "Europe/Berlin"
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
NIGHT = Quiet(EVERY_DAY, dt.time(22), dt.time(7))
EMAIL = Method(1, "email", shown="bob@example.com")
SMS = Method(2, "sms", shown="+49301234567")


def utc(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def bob(*quiet, rules=(), zone=BERLIN):
    return Reach(5, "Bob", methods=(EMAIL, SMS), rules=tuple(rules), zone=zone, quiet=quiet)


@pytest.mark.parametrize(
    ("at", "end"),
    [
        ("2026-06-01T19:59", "2026-06-01T19:59"),  # 21:59 in Berlin: not yet
        ("2026-06-01T20:00", "2026-06-02T05:00"),  # the first moment
        ("2026-06-02T01:00", "2026-06-02T05:00"),  # after midnight
        ("2026-06-02T04:59", "2026-06-02T05:00"),
        ("2026-06-02T05:00", "2026-06-02T05:00"),  # the end does not belong to it
    ],
)
def test_a_window_over_midnight(at, end):
    assert quiet_until([NIGHT], BERLIN, utc(at)) == utc(end)


def test_a_window_belongs_to_the_day_on_which_it_begins():
    friday = Quiet((4,), dt.time(22), dt.time(7))
    assert quiet_until([friday], "UTC", utc("2026-06-06T03:00")) == utc("2026-06-06T07:00")  # a Saturday
    assert quiet_until([friday], "UTC", utc("2026-06-05T03:00")) == utc("2026-06-05T03:00")


def test_an_end_that_the_clock_skips_is_the_moment_of_the_jump():
    early = Quiet(EVERY_DAY, dt.time(0), dt.time(2, 30))
    # Berlin, 29 March 2026: after 01:59 comes 03:00.
    assert quiet_until([early], BERLIN, utc("2026-03-29T00:30")) == utc("2026-03-29T01:00")


def test_a_window_that_the_clock_skips_as_a_whole_holds_nothing():
    gone = Quiet(EVERY_DAY, dt.time(2, 15), dt.time(2, 45))
    for at in (utc("2026-03-29T00:59"), utc("2026-03-29T01:00"), utc("2026-03-29T01:30")):
        assert quiet_until([gone], BERLIN, at) == at


def test_an_end_that_comes_twice_is_the_first_of_the_two():
    early = Quiet(EVERY_DAY, dt.time(0), dt.time(2, 30))
    # Berlin, 25 October 2026: after 02:59 comes 02:00 again.
    assert quiet_until([early], BERLIN, utc("2026-10-25T00:15")) == utc("2026-10-25T00:30")
    again = utc("2026-10-25T01:15")  # 02:15 for the second time
    assert quiet_until([early], BERLIN, again) == again


def test_the_night_of_a_clock_change_ends_by_the_clock_on_the_wall():
    assert quiet_until([NIGHT], BERLIN, utc("2026-03-28T23:00")) == utc("2026-03-29T05:00")
    assert quiet_until([NIGHT], BERLIN, utc("2026-10-24T23:00")) == utc("2026-10-25T06:00")


def test_windows_that_touch_or_overlap_are_one():
    evening = Quiet(EVERY_DAY, dt.time(18), dt.time(22))
    morning = Quiet(EVERY_DAY, dt.time(6), dt.time(9))
    assert quiet_until([evening, NIGHT, morning], "UTC", utc("2026-06-01T19:00")) == utc("2026-06-02T09:00")


def test_the_same_time_twice_is_a_whole_day():
    sunday = Quiet((6,), dt.time(0), dt.time(0))
    assert quiet_until([sunday], "UTC", utc("2026-06-07T00:00")) == utc("2026-06-08T00:00")
    assert quiet_until([sunday], "UTC", utc("2026-06-07T23:59")) == utc("2026-06-08T00:00")
    assert quiet_until([sunday], "UTC", utc("2026-06-06T23:59")) == utc("2026-06-06T23:59")


def test_nothing_is_held_for_more_than_a_day_whatever_somebody_configures():
    always = Quiet(EVERY_DAY, dt.time(9), dt.time(9))
    at = utc("2026-06-03T11:11")
    assert quiet_until([always, NIGHT], BERLIN, at) == at + LONGEST_HOLD


def test_what_is_of_low_urgency_is_held_with_the_reason():
    planned, reasons = plan(bob(NIGHT, rules=[Rule(1, "low")]), urgency="low", now=utc("2026-06-01T22:30"))
    assert [each.due_at for each in planned] == [utc("2026-06-02T05:00")]
    assert reasons == ["email bob@example.com of Bob is held until 07:00 Europe/Berlin: quiet hours."]


def test_the_reason_names_the_day_when_it_is_another_one():
    _, reasons = plan(bob(NIGHT, rules=[Rule(1, "low")]), urgency="low", now=utc("2026-06-01T20:30"))
    assert reasons == ["email bob@example.com of Bob is held until 07:00 Europe/Berlin on Tuesday: quiet hours."]


def test_high_urgency_is_never_held():
    now = utc("2026-06-01T22:30")
    planned, reasons = plan(bob(NIGHT), urgency="high", now=now)
    assert [each.due_at for each in planned] == [now, now]
    assert reasons == []


def test_what_falls_due_in_quiet_hours_waits_although_it_was_planned_before():
    now = utc("2026-06-01T19:50")
    rules = [Rule(1, "low", 0), Rule(2, "low", 30)]
    planned, _ = plan(bob(NIGHT, rules=rules), urgency="low", now=now)
    assert [each.due_at for each in planned] == [now, utc("2026-06-02T05:00")]


def test_what_is_held_keeps_its_distances():
    rules = [Rule(1, "low", 0), Rule(2, "low", 5), Rule(1, "low", 600)]
    planned, _ = plan(bob(NIGHT, rules=rules), urgency="low", now=utc("2026-06-01T22:30"))
    assert [each.due_at for each in planned] == [
        utc("2026-06-02T05:00"),
        utc("2026-06-02T05:05"),
        utc("2026-06-02T08:30"),
    ]


@pytest.mark.django_db
def test_rows_of_low_urgency_become_due_when_the_quiet_hours_of_their_person_end():
    bob = make_person("Bob", time_zone=BERLIN)
    make_method(bob)
    QuietHoursFactory(user=bob)
    QuietHoursFactory()  # of somebody else
    now = utc("2026-06-01T22:30")
    (loud,) = page(bob, now=now)
    (quiet,) = page(bob, now=now, number=2, message=make_message(urgency="low"))
    assert loud.due_at == now
    assert quiet.due_at == quiet.planned_at == utc("2026-06-02T05:00")
