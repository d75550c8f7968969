"""Handoff notices: before, at the start and at the end of a shift, each once, and who hands over to whom."""

import datetime as dt
import threading

import pytest
from django.db import connection, transaction

from core.models import Counter
from notifications.models import Alarm, ContactMethod, Notification
from oncall import handoffs, scheduling
from oncall.models import FixedShift, Override, Schedule
from tests import factories

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture
def schedule(team, now):
    """Nobody is on call yet; its handoffs are told up to now."""
    one = factories.ScheduleFactory(name="Shop on call", slug="shop", team=team, time_zone="Europe/Berlin")
    look(one, now)
    return one


def shift(schedule, user, start, end, **more):
    return factories.FixedShiftFactory(
        schedule=schedule, user=user, start_at=start, end_at=end, created_at=start, **more
    )


def look(schedule, at):
    """Look at the handoffs of a schedule at a time, due or not."""
    Schedule.objects.filter(pk=schedule.pk).update(handoffs_due_at=at)
    handoffs.run(now=at)
    schedule.refresh_from_db()


def look_as_due(schedule, until):
    """Look at the schedule whenever it is due, as the ticker does."""
    while schedule.handoffs_due_at <= until:
        handoffs.run(now=schedule.handoffs_due_at)
        schedule.refresh_from_db()


def told():
    """`[(name, body)]` of the notices, in the order they were written."""
    rows = Notification.objects.filter(topic__startswith="handoff:").order_by("pk").select_related("user")
    return [(one.user.name, one.message["body"]) for one in rows]


def test_a_shift_is_told_before_at_its_start_and_at_its_end_with_who_hands_over_to_whom(
    schedule, alice, bob, charlie, now
):
    shift(schedule, bob, now, now + 4 * HOUR)
    shift(schedule, alice, now + 4 * HOUR, now + 8 * HOUR)
    shift(schedule, charlie, now + 8 * HOUR, now + 30 * DAY)
    look(schedule, now + MINUTE)
    Notification.objects.all().delete()
    look_as_due(schedule, now + 10 * HOUR)
    assert told() == [
        (
            "Alice",
            "Your shift in Shop on call begins at Mon 1 June, 16:00 UTC. It lasts until Mon 1 June, 20:00 UTC. "
            "You take over from Bob.",
        ),
        (
            "Alice",
            "Your shift in Shop on call has begun. It lasts until Mon 1 June, 20:00 UTC. You took over from Bob.",
        ),
        ("Bob", "Your shift in Shop on call has ended. Alice took over."),
        ("Charlie", "Your shift in Shop on call begins at Mon 1 June, 20:00 UTC. You take over from Alice."),
        ("Charlie", "Your shift in Shop on call has begun. You took over from Alice."),
        ("Alice", "Your shift in Shop on call has ended. Charlie took over."),
    ]
    rows = Notification.objects.order_by("pk")
    moments = [(one.planned_at - now) / HOUR for one in rows]
    assert moments == [3, 4, 4, 7, 8, 8]
    assert {(one.urgency, one.is_repeat) for one in rows} == {("low", True)}
    assert all(one.message["url"].endswith("/schedules/shop") for one in rows)


def test_times_are_in_the_readers_zone(schedule, alice, now):
    alice.time_zone = "America/Sao_Paulo"
    alice.save()
    shift(schedule, alice, now + HOUR, now + 2 * HOUR)
    look(schedule, now)
    ((_, body),) = told()
    assert body.startswith("Your shift in Shop on call begins at Mon 1 June, 10:00 UTC-03. It lasts until")


def test_nobody_who_takes_over_is_said_loudly(schedule, bob, now):
    shift(schedule, bob, now, now + HOUR)
    look(schedule, now + HOUR)
    row = Notification.objects.latest("pk")
    assert row.message["title"] == "Nobody took over from you in Shop on call"
    assert row.message["body"] == (
        "Your shift in Shop on call has ended. Nobody took over: nobody is on call as primary now. "
        "Tell your team, or add an override."
    )


def test_who_begins_after_a_gap_learns_that_nobody_was_there(schedule, bob, now):
    shift(schedule, bob, now + HOUR, now + 2 * HOUR)
    look(schedule, now)
    look(schedule, now + HOUR)
    assert [body.rpartition("UTC. ")[2] for _, body in told()] == [
        "Nobody is on call as primary before you.",
        "Nobody was on call as primary before you.",
    ]


def test_a_handoff_to_oneself_is_none_whatever_the_reason(schedule, bob, now):
    shift(schedule, bob, now, now + 2 * HOUR)
    shift(schedule, bob, now + 2 * HOUR, now + 4 * HOUR)
    factories.LayerFactory(schedule=schedule, people=[bob], starts_at=now + 4 * HOUR)
    factories.TimeOffFactory(user=bob, start_at=now + HOUR, end_at=now + 3 * HOUR)
    look(schedule, now + MINUTE)
    Notification.objects.all().delete()
    look_as_due(schedule, now + 6 * HOUR)
    assert told() == []


def test_people_who_share_a_slot_are_on_call_together(schedule, alice, bob, now):
    shift(schedule, alice, now, now + 3 * HOUR)
    shift(schedule, bob, now + HOUR, now + 2 * HOUR)
    look(schedule, now + MINUTE)
    Notification.objects.all().delete()
    look_as_due(schedule, now + 2 * HOUR)
    assert [(name, body.rpartition(". ")[2]) for name, body in told()] == [
        ("Bob", "You are on call together with Alice."),
        ("Bob", "Alice stays on call."),
    ]


def test_roles_are_told_apart_and_a_shadow_is_told_too(schedule, alice, bob, charlie, now):
    shift(schedule, alice, now + HOUR, now + 2 * HOUR, role="SHADOW")
    shift(schedule, charlie, now + HOUR, now + 2 * HOUR, role="SECONDARY")
    look(schedule, now)
    look(schedule, now + 2 * HOUR)
    bodies = sorted(told())
    assert bodies[0] == (
        "Alice",
        "Your shift as shadow in Shop on call begins at Mon 1 June, 13:00 UTC. It lasts until Mon 1 June, 14:00 UTC.",
    )
    assert bodies[1] == ("Alice", "Your shift as shadow in Shop on call has ended.")
    assert bodies[3][1].endswith("Nobody took over: nobody is on call as secondary now.")


def test_looking_again_writes_nothing_again_not_even_to_an_address_that_was_added_since(schedule, bob, now):
    shift(schedule, bob, now + 30 * MINUTE, now + HOUR)
    look(schedule, now)
    factories.ContactMethodFactory(user=bob, address="bob@phone.example.com")
    for at in (now, now + MINUTE, now + 30 * MINUTE, now + 31 * MINUTE, now + HOUR, now + 61 * MINUTE):
        look(schedule, at)
    rows = Notification.objects.order_by("pk").values_list("plan_key", "address")
    kinds = [(plan_key.split(":")[-3], address.partition("@")[2]) for plan_key, address in rows]
    assert kinds == [
        ("before", "example.com"),
        ("begun", "example.com"),
        ("begun", "phone.example.com"),
        ("ended", "example.com"),
        ("ended", "phone.example.com"),
    ]


def test_of_a_new_schedule_nothing_is_told_about_the_past(team, alice, bob, now):
    schedule = factories.ScheduleFactory(team=team)
    shift(schedule, alice, now - HOUR, now - MINUTE)
    shift(schedule, bob, now - MINUTE, now + DAY)
    look(schedule, now)
    assert told() == [] and schedule.handoffs_seen_at == now


def test_a_schedule_that_does_not_tell_moves_on(schedule, bob, now):
    Schedule.objects.filter(pk=schedule.pk).update(sends_handoff_notices=False)
    shift(schedule, bob, now + HOUR, now + 2 * HOUR)
    look(schedule, now)
    assert told() == [] and schedule.handoffs_due_at == now + HOUR
    handoffs.run(now=now + HOUR)
    schedule.refresh_from_db()
    assert told() == [] and (schedule.handoffs_seen_at, schedule.handoffs_due_at) == (now + HOUR, now + 2 * HOUR)


def test_the_next_look_is_at_the_next_notice_and_a_day_ahead_at_most(schedule, bob, now):
    assert schedule.handoffs_due_at == now + DAY
    shift(schedule, bob, now + 5 * HOUR, now + 6 * HOUR)
    look(schedule, now)
    assert schedule.handoffs_due_at == now + 4 * HOUR
    assert handoffs.oldest_due(now) is None and handoffs.oldest_due(now + 4 * HOUR) == now + 4 * HOUR


def test_a_notice_time_of_zero_tells_only_when_the_shift_starts(schedule, bob, now):
    Schedule.objects.filter(pk=schedule.pk).update(notice_minutes=0)
    shift(schedule, bob, now + HOUR, now + 2 * HOUR)
    look(schedule, now)
    assert told() == [] and schedule.handoffs_due_at == now + HOUR
    look(schedule, now + HOUR)
    assert len(told()) == 1


# --- changes at short notice ----------------------------------------------------------------------------------
def test_who_is_put_on_call_after_the_notice_went_out_is_told_at_once(schedule, alice, bob, charlie, now):
    shift(schedule, bob, now - HOUR, now + 30 * MINUTE)
    shift(schedule, alice, now + 30 * MINUTE, now + 5 * HOUR)
    look(schedule, now)
    assert [name for name, _ in told()] == ["Alice"]
    scheduling.add_override(
        schedule.pk, user=charlie, start_at=now + 30 * MINUTE, end_at=now + 2 * HOUR, by=alice, now=now + 5 * MINUTE
    )
    handoffs.run(now=now + 5 * MINUTE)
    assert told()[1:] == [
        (
            "Charlie",
            "Your shift in Shop on call begins at Mon 1 June, 12:30 UTC. It lasts until Mon 1 June, 14:00 UTC. "
            "You take over from Bob.",
        )
    ]
    handoffs.run(now=now + 30 * MINUTE)
    assert [name for name, _ in told()[2:]] == ["Charlie", "Bob"]


def test_an_override_that_begins_now_is_told_to_both_at_once(schedule, alice, bob, charlie, now):
    shift(schedule, bob, now - HOUR, now + 5 * HOUR)
    look(schedule, now)
    # The verb read the clock before the look, and was committed after it.
    scheduling.add_override(
        schedule.pk, user=charlie, start_at=now, end_at=now + 3 * HOUR, by=alice, now=now - dt.timedelta(seconds=2)
    )
    Override.objects.update(created_at=now - HOUR)
    look(schedule, now + MINUTE / 2)
    assert [(name, body.rpartition(". ")[2]) for name, body in told()] == [
        ("Charlie", "You took over from Bob."),
        ("Bob", "Charlie took over."),
    ]


def test_a_shift_written_down_after_it_began_is_told_with_since_when(schedule, alice, bob, now):
    shift(schedule, bob, now - HOUR, now + 5 * HOUR)
    calendar = factories.CalendarImportFactory(schedule=schedule)
    look(schedule, now + 3 * HOUR)
    late = shift(schedule, alice, now, now + 9 * HOUR, role="SECONDARY", calendar=calendar)
    FixedShift.objects.filter(pk=late.pk).update(created_at=now + 3 * HOUR)
    look(schedule, now + 3 * HOUR + MINUTE)
    assert told() == [
        (
            "Alice",
            "Your shift as secondary in Shop on call has begun: you are on call since Mon 1 June, 12:00 UTC. "
            "It lasts until Mon 1 June, 21:00 UTC. Nobody was on call as secondary before you.",
        )
    ]


def test_a_change_makes_the_schedule_due_and_its_removal_tells_who_is_back(schedule, alice, bob, charlie, now):
    shift(schedule, bob, now - HOUR, now + 5 * HOUR)
    override = scheduling.add_override(
        schedule.pk, user=charlie, start_at=now, end_at=now + 3 * HOUR, by=alice, now=now
    )
    handoffs.run(now=now)
    scheduling.remove_override(override.pk, by=alice, now=now + HOUR)
    handoffs.run(now=now + HOUR)
    assert [name for name, _ in told()] == ["Charlie", "Bob", "Bob", "Charlie"]
    assert told()[-1] == ("Charlie", "Your shift in Shop on call has ended. Bob took over.")


# --- trouble --------------------------------------------------------------------------------------------------
def test_after_an_outage_a_shift_that_still_runs_is_told_with_since_when_and_an_old_end_is_not(
    schedule, alice, bob, charlie, now
):
    shift(schedule, alice, now - HOUR, now + HOUR)
    shift(schedule, bob, now + HOUR, now + 2 * HOUR)
    shift(schedule, charlie, now + 2 * HOUR, now + 12 * HOUR)
    handoffs.run(now=now + 5 * HOUR)  # due since one hour before Bob's shift
    look(schedule, now + 5 * HOUR)
    assert told() == [
        (
            "Charlie",
            "Your shift in Shop on call has begun: you are on call since Mon 1 June, 14:00 UTC. "
            "It lasts until Tue 2 June, 00:00 UTC. You took over from Bob.",
        )
    ]


def test_an_end_within_the_last_two_hours_is_still_told(schedule, bob, now):
    shift(schedule, bob, now - HOUR, now + HOUR)
    look(schedule, now + 2 * HOUR)
    assert told()[0][1].startswith("Your shift in Shop on call has ended, at Mon 1 June, 13:00 UTC. Nobody took over")


def test_who_is_on_call_again_is_not_told_of_an_end_in_between(schedule, alice, bob, now):
    shift(schedule, bob, now - HOUR, now + 9 * HOUR)
    factories.OverrideFactory(
        schedule=schedule, user=alice, start_at=now + HOUR, end_at=now + 2 * HOUR, created_at=now
    )
    look(schedule, now + 150 * MINUTE)
    assert [(name, "ended" in body) for name, body in told()] == [("Bob", False), ("Alice", True)]


def test_a_late_notice_gives_way_only_to_a_later_one_of_the_same_start(schedule, alice, bob, now):
    shift(schedule, bob, now - HOUR, now + HOUR)
    shift(schedule, alice, now + HOUR, now + 2 * HOUR)
    shift(schedule, bob, now + 2 * HOUR, now + 3 * HOUR)
    look(schedule, now)
    look_as_due(schedule, now + 3 * HOUR)
    topics = {}
    for plan_key, topic in Notification.objects.order_by("pk").values_list("plan_key", "topic"):
        topics.setdefault(topic, []).append(plan_key.split(":")[-3])
    assert sorted(topics.values()) == [["before", "begun"], ["before", "begun"], ["ended"], ["ended"], ["ended"]]


def test_one_broken_schedule_stops_no_other_and_the_admins_are_told(team, alice, bob, now):
    broken, sound = (factories.ScheduleFactory(name=name, team=team, time_zone="UTC") for name in ("Broken", "Sound"))
    Schedule.objects.update(handoffs_due_at=now, handoffs_seen_at=now - HOUR)
    factories.LayerFactory(schedule=broken, people=[bob], time_zone="Nowhere/Land")
    shift(sound, bob, now - MINUTE, now + HOUR)
    handoffs.run(now=now)
    assert [name for name, _ in told()] == ["Bob"]
    broken.refresh_from_db()
    assert broken.handoffs_due_at == now + handoffs.TROUBLE_DELAY and broken.handoffs_seen_at == now - HOUR
    alarm = Alarm.objects.get(key=f"handoffs-failed:{broken.pk}")
    assert "Nowhere/Land" in alarm.text and alarm.cleared_at is None

    broken.layers.update(time_zone="")
    handoffs.run(now=now + handoffs.TROUBLE_DELAY)
    alarm.refresh_from_db()
    assert alarm.cleared_at == now + handoffs.TROUBLE_DELAY


def test_somebody_without_a_contact_method_stops_no_other(schedule, alice, bob, now):
    ContactMethod.objects.filter(user=bob).delete()
    shift(schedule, bob, now + HOUR, now + 2 * HOUR)
    shift(schedule, alice, now + 2 * HOUR, now + 3 * HOUR)
    look(schedule, now)
    look_as_due(schedule, now + 3 * HOUR)
    assert {name for name, _ in told()} == {"Alice"}


def test_the_alarm_about_a_notice_that_failed_is_over_at_the_next_look(schedule, now):
    Alarm.objects.create(key=f"unreachable:handoff:{schedule.pk}:PRIMARY:x:1", text="-", raised_at=now, last_at=now)
    other = Alarm.objects.create(
        key=f"unreachable:handoff:{schedule.pk}1:PRIMARY", text="-", raised_at=now, last_at=now
    )
    look(schedule, now)
    assert list(Alarm.objects.filter(cleared_at=None)) == [other]


@pytest.mark.django_db(transaction=True)
def test_a_schedule_that_somebody_changes_right_now_is_left_for_the_next_look(now):
    schedule = factories.ScheduleFactory()
    Schedule.objects.update(handoffs_due_at=now)
    holding, done = threading.Event(), threading.Event()

    def change():
        try:
            with transaction.atomic():
                scheduling.changed([schedule.pk], now=now)
                holding.set()
                done.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=change)
    thread.start()
    holding.wait(10)
    handoffs.run(now=now)
    done.set()
    thread.join()
    assert Schedule.objects.get().handoffs_seen_at is None
    handoffs.run(now=now)
    assert Schedule.objects.get().handoffs_seen_at == now


def test_a_look_at_many_schedules_takes_as_many_queries_as_at_one_apart_from_their_alarms(
    team, alice, bob, now, django_assert_max_num_queries
):
    for _ in range(10):
        shift(factories.ScheduleFactory(team=team), bob, now + HOUR, now + 2 * HOUR)
    Schedule.objects.update(handoffs_due_at=now, handoffs_seen_at=now)
    with django_assert_max_num_queries(30 + 3 * 10):
        handoffs.run(now=now)
    assert len(told()) == 10 and not Counter.objects.exists()


def test_short_shifts_that_are_told_long_before_are_no_flood(team, alice, bob, now):
    schedule = factories.ScheduleFactory(team=team, notice_minutes=7 * 24 * 60)
    layer = factories.LayerFactory(schedule=schedule, people=[alice, bob], unit="hour", every=1)
    look(schedule, now)
    assert sorted(name for name, _ in told()) == ["Alice"] * 10 + ["Bob"] * 10
    layer.first_slot = 1
    layer.save()
    look(schedule, now + MINUTE)
    assert sorted(name for name, _ in told()[20:]) == ["Alice", "Bob"]  # who takes over now, and from whom
    look(schedule, now + HOUR)
    assert len(told()[22:]) == 2 + 20
    assert sorted(name for name, body in told()[22:] if " has " in body) == ["Alice", "Bob"]
