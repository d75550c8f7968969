"""Calendar feeds: what they show, who may read them, and that nothing changes from fetch to fetch."""

import datetime as dt
import re
import uuid
from email.utils import format_datetime, parsedate_to_datetime

import pytest
import vobject
from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.models import Role
from core.errors import NotAllowed, NotFound
from oncall import feeds, lookup, shifts
from oncall.models import CalendarFeed, Layer
from tests import factories

DAY = dt.timedelta(days=1)


@pytest.fixture
def schedule(team, alice, bob):
    """Alice and Bob in turns by the week, from Monday 09:00 in Berlin."""
    return factories.ScheduleFactory(
        name="Shop on call", slug="shop", team=team, time_zone="Europe/Berlin", people=[alice, bob]
    )


def events(secret, now):
    """The events of a feed as a second library reads them."""
    return vobject.readOne(feeds.render(secret, now=now).content.decode()).contents.get("vevent", [])


def spans(found):
    return sorted((one.dtstart.value, one.dtend.value, one.summary.value) for one in found)


def by_uid(found):
    return {one.uid.value: (one.dtstart.value, one.dtend.value) for one in found}


def expected(schedule, now, people):
    """The shifts of the final schedule that touch the span of a feed."""
    today = now.replace(hour=0, minute=0)
    start, end = today - 30 * DAY, today + 180 * DAY
    wanted = []
    for role, spans in lookup.finals([schedule.pk], start=start - 60 * DAY, end=end + 60 * DAY)[schedule.pk].items():
        for one in shifts.shifts(spans):
            if one.start_at < end and one.end_at > start:
                name = people[one.user_id]
                wanted.append((one.start_at, one.end_at, f"{name} on call: {schedule.name} ({role.lower()})"))
    return sorted(wanted)


# --- what it shows --------------------------------------------------------------------------------------------
def test_a_feed_is_the_final_schedule_across_a_clock_change_with_overrides(schedule, alice, bob, charlie, now):
    secondary = factories.LayerFactory(schedule=schedule, role="SECONDARY", unit=Layer.Unit.DAY, people=[bob, charlie])
    factories.RestrictionFactory(layer=secondary)
    night = dt.datetime(2026, 10, 24, 20, 0, tzinfo=dt.UTC)  # the clock goes back on the 25th
    factories.OverrideFactory(schedule=schedule, user=charlie, start_at=night, end_at=night + dt.timedelta(hours=10))
    factories.OverrideFactory(schedule=schedule, user=alice, start_at=now, end_at=now + 2 * DAY, replaces=bob)
    factories.FixedShiftFactory(schedule=schedule, user=charlie, start_at=now + 9 * DAY, end_at=now + 11 * DAY)
    _, secret = feeds.issue(alice, schedule=schedule)
    found = spans(events(secret, now))
    wanted = expected(schedule, now, {alice.pk: "Alice", bob.pk: "Bob", charlie.pk: "Charlie"})
    assert found == wanted
    assert len(found) > 100
    lengths = {finish - begin for begin, finish, name in found if "primary" in name}
    assert dt.timedelta(days=7) in lengths
    before = dt.datetime(2026, 10, 25, 6, 0, tzinfo=dt.UTC)
    assert (before, dt.datetime(2026, 10, 26, 8, 0, tzinfo=dt.UTC), "Bob on call: Shop on call (primary)") in found
    assert (now, now + 2 * DAY, "Alice on call: Shop on call (primary)") in found


def test_my_shifts_are_those_of_the_person_in_all_schedules_and_roles(schedule, team, alice, bob, now):
    other = factories.ScheduleFactory(name="Search", team=team)
    factories.LayerFactory(schedule=other, role="SHADOW", people=[bob])
    factories.ScheduleFactory(name="Not mine", people=[alice])
    _, secret = feeds.issue(bob, person=bob)
    found = events(secret, now)
    assert {one.summary.value for one in found} == {
        "On call: Shop on call (primary)",
        "On call: Search (shadow, not called)",
    }
    assert not any("contact" in one.contents for one in found)
    content = feeds.render(secret, now=now).content.decode()
    assert "X-WR-CALNAME:On call: Bob" in content
    assert "example.com" not in content.replace("oncall.example.com", "")


def test_a_team_feed_has_all_its_schedules_and_says_how_to_reach_people(schedule, team, alice, bob, now):
    factories.ScheduleFactory(name="Search", team=team, people=[bob])
    factories.ScheduleFactory(name="Not ours", people=[alice])
    _, secret = feeds.issue(alice, team=team)
    found = events(secret, now)
    assert {one.summary.value for one in found} == {
        "Alice on call: Shop on call (primary)",
        "Bob on call: Shop on call (primary)",
        "Bob on call: Search (primary)",
    }
    assert {one.contact.value for one in found} == {"Alice, alice@example.com", "Bob, bob@example.com"}
    # A published calendar must not have attendees (RFC 5545, 3.8.4.1): programs take them for invitations.
    assert not any("attendee" in one.contents for one in found)


def test_an_event_says_why_and_where(schedule, alice, now):
    factories.OverrideFactory(schedule=schedule, user=alice, start_at=now, end_at=now + DAY)
    _, secret = feeds.issue(alice, person=alice)
    [event] = [one for one in events(secret, now) if one.dtstart.value == now]
    assert event.description.value == (
        "Alice is on call for Shop on call of the team Shop: override in Shop on call.\nInstead of Bob.\n"
        "Mon 2026-06-01 14:00 to Tue 2026-06-02 14:00, Europe/Berlin."
    )
    assert event.url.value.endswith(reverse("schedule", args=["shop"]))
    assert event.status.value == "CONFIRMED"
    assert event.transp.value == "TRANSPARENT"


def test_a_shift_that_is_cut_off_says_so(team, alice, now):
    schedule = factories.ScheduleFactory(team=team)
    factories.FixedShiftFactory(schedule=schedule, user=alice, start_at=now - 99 * DAY, end_at=now + 999 * DAY)
    _, secret = feeds.issue(alice, schedule=schedule)
    [event] = events(secret, now)
    today = now.replace(hour=0)
    assert (event.dtstart.value, event.dtend.value) == (today - 30 * DAY, today + 180 * DAY)
    assert "The shift began before 2026-05-02 00:00 UTC" in event.description.value
    assert "The shift goes on after 2026-11-28 00:00 UTC; this calendar ends there." in event.description.value


def test_a_shift_at_the_edge_has_its_true_times(schedule, alice, now):
    _, secret = feeds.issue(alice, schedule=schedule)
    found = events(secret, now)
    assert {one.dtend.value - one.dtstart.value for one in found} == {7 * DAY, 7 * DAY + dt.timedelta(hours=1)}
    assert not any("this calendar" in one.description.value for one in found)


def test_time_off_in_a_shift_is_said(schedule, alice, now):
    factories.TimeOffFactory(user=alice)
    _, secret = feeds.issue(alice, person=alice)
    assert any("has time off then" in one.description.value for one in events(secret, now))


def test_hostile_names_do_no_harm(team, bob, now):
    name = "Shop; nights, weekends\nEND:VEVENT 🔥" + "é" * 60
    schedule = factories.ScheduleFactory(name=name, team=team, people=[bob])
    _, secret = feeds.issue(bob, schedule=schedule)
    content = feeds.render(secret, now=now).content
    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    assert {one.summary.value for one in events(secret, now)} == {f"Bob on call: {name} (primary)"}


# --- what stays the same --------------------------------------------------------------------------------------
def test_the_same_day_gives_the_same_bytes(schedule, alice, now):
    _, secret = feeds.issue(alice, schedule=schedule)
    one, two = feeds.render(secret, now=now), feeds.render(secret, now=now + dt.timedelta(hours=11))
    assert one == two
    assert re.fullmatch('"[0-9a-f]{32}"', one.etag)


def test_a_change_gives_another_version_with_a_later_stamp(schedule, alice, bob, now):
    _, secret = feeds.issue(alice, schedule=schedule)
    before = feeds.render(secret, now=now)
    old = {one.uid.value: one for one in events(secret, now)}
    made_at = now + dt.timedelta(minutes=5)
    factories.OverrideFactory(
        schedule=schedule, user=bob, start_at=now + DAY, end_at=now + 2 * DAY, created_at=made_at
    )
    later = now + dt.timedelta(minutes=6)
    after = feeds.render(secret, now=later)
    assert after.etag != before.etag
    assert after.last_modified > before.last_modified
    new = {one.uid.value: one for one in events(secret, later)}
    [touched] = [uid for uid in old if old[uid].dtend.value != new[uid].dtend.value]
    assert new[touched].dtstamp.value == new[touched].last_modified.value == made_at
    assert int(new[touched].sequence.value) > int(old[touched].sequence.value)
    [untouched] = [uid for uid in old if old[uid].dtstart.value == dt.datetime(2026, 10, 5, 7, tzinfo=dt.UTC)]
    assert new[untouched].serialize() == old[untouched].serialize()


def test_what_is_taken_back_has_a_later_version_on_the_next_day(schedule, alice, bob, now):
    _, secret = feeds.issue(alice, schedule=schedule)
    override = factories.OverrideFactory(
        schedule=schedule, user=bob, start_at=now + DAY, end_at=now + 2 * DAY, created_at=now
    )
    before = {one.uid.value: int(one.sequence.value) for one in events(secret, now)}
    override.delete()
    after = {one.uid.value: int(one.sequence.value) for one in events(secret, now + DAY)}
    assert all(after[uid] > before[uid] for uid in before if uid in after)


def test_the_names_of_events_stay_when_an_override_is_made_longer(schedule, alice, bob, charlie, now):
    override = factories.OverrideFactory(schedule=schedule, user=charlie, start_at=now + DAY, end_at=now + 2 * DAY)
    _, secret = feeds.issue(alice, schedule=schedule)
    before = by_uid(events(secret, now))
    override.end_at = now + 3 * DAY
    override.save()
    after = by_uid(events(secret, now))
    assert before.keys() == after.keys()
    changed = {uid: (before[uid], after[uid]) for uid in before if before[uid] != after[uid]}
    sunday = dt.datetime(2026, 6, 8, 7, tzinfo=dt.UTC)
    assert sorted(changed.values()) == [
        ((now + DAY, now + 2 * DAY), (now + DAY, now + 3 * DAY)),
        ((now + 2 * DAY, sunday), (now + 3 * DAY, sunday)),
    ]


def test_the_names_of_events_are_unique_and_stay_as_the_days_go_by(schedule, alice, bob, charlie, now):
    layer = factories.LayerFactory(schedule=schedule, position=2, people=[bob, charlie], unit=Layer.Unit.MONTH)
    factories.RestrictionFactory(layer=layer)
    factories.OverrideFactory(schedule=schedule, user=charlie, start_at=now, end_at=now + 9 * DAY, replaces=alice)
    _, secret = feeds.issue(alice, schedule=schedule)
    found = events(secret, now)
    assert len(by_uid(found)) == len(found) > 300
    assert all(uuid.UUID(uid) for uid in by_uid(found))
    for days in (1, 9, 40, 100):
        later = by_uid(events(secret, now + days * DAY))
        same = by_uid(found).keys() & later.keys()
        assert len(same) >= len(found) - 3 * days
        assert all(by_uid(found)[uid] == later[uid] for uid in same)


# --- who may read it ------------------------------------------------------------------------------------------
def test_only_the_hash_of_a_secret_is_kept(schedule, alice):
    row, secret = feeds.issue(alice, person=alice, name="phone")
    assert len(secret) == 43
    assert secret not in str(CalendarFeed.objects.filter(pk=row.pk).values().get())
    assert feeds.address(secret).endswith(f"/ical/{secret}.ics")


@pytest.mark.parametrize("subjects", [{}, {"person", "team"}])
def test_a_feed_is_of_one_subject(team, alice, subjects):
    with pytest.raises(ValidationError, match="Choose one: a person, a schedule or a team"):
        feeds.issue(alice, **{name: {"person": alice, "team": team}[name] for name in subjects})


def test_a_revoked_feed_is_gone(client, alice, bob, charlie, now):
    row, secret = feeds.issue(bob, person=bob)
    with pytest.raises(NotAllowed, match="Only its owner or an admin"):
        feeds.revoke(row.pk, by=charlie, now=now)
    assert client.get(f"/ical/{secret}.ics").status_code == 200
    feeds.revoke(row.pk, by=alice, now=now)
    feeds.revoke(row.pk, by=bob, now=now + DAY)  # once more does no harm
    row.refresh_from_db()
    assert row.revoked_at == now
    response = client.get(f"/ical/{secret}.ics")
    assert response.status_code == 404
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "it was revoked" in response.text


def test_an_admin_of_the_team_revokes_a_feed_of_the_team(team, bob, charlie, now):
    row, _ = feeds.issue(bob, team=team)
    factories.MembershipFactory(team=team, user=charlie, role=Role.ADMIN)
    feeds.revoke(row.pk, by=charlie, now=now)
    row.refresh_from_db()
    assert row.revoked_at == now


def test_revoking_what_is_not_there_says_so(alice, now):
    with pytest.raises(NotFound, match="does not exist"):
        feeds.revoke(4711, by=alice, now=now)


def test_a_feed_stops_with_its_owner(client, bob):
    _, secret = feeds.issue(bob, person=bob)
    bob.is_active = False
    bob.save()
    assert client.get(f"/ical/{secret}.ics").status_code == 404
    with pytest.raises(NotAllowed, match="deactivated"):
        feeds.issue(bob, person=bob)
    bob.is_active, bob.role = True, Role.OBSERVER
    bob.save()
    assert client.get(f"/ical/{secret}.ics").status_code == 200


@pytest.mark.parametrize(
    "secret", ["x", "a" * 43, "a" * 5000, "%00" * 43, "é" * 43, "%ff%fe", "a" * 42 + "%0a", "..", "'"]
)
@pytest.mark.parametrize("method", ["get", "head"])
def test_garbage_is_not_found(client, db, secret, method):
    assert getattr(client, method)(f"/ical/{secret}.ics").status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_a_feed_can_only_be_read(client, bob, method):
    _, secret = feeds.issue(bob, person=bob)
    assert getattr(client, method)(f"/ical/{secret}.ics").status_code == 405


# --- over HTTP ------------------------------------------------------------------------------------------------
def test_calendar_programs_get_what_they_need(client, schedule, bob):
    _, secret = feeds.issue(bob, person=bob)
    response = client.get(f"/ical/{secret}.ics")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    assert response["Cache-Control"] == "private, no-cache"
    assert "noindex" in response["X-Robots-Tag"]
    assert not response.cookies
    assert vobject.readOne(response.content.decode()).contents["vevent"]
    head = client.head(f"/ical/{secret}.ics")
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", response["ETag"])


def test_a_program_that_has_the_latest_version_gets_nothing(client, schedule, bob):
    _, secret = feeds.issue(bob, person=bob)
    address = f"/ical/{secret}.ics"
    first = client.get(address)
    same = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    assert same["Cache-Control"] == "private, no-cache"
    assert client.get(address, headers={"If-Modified-Since": first["Last-Modified"]}).status_code == 304
    earlier = parsedate_to_datetime(first["Last-Modified"]) - dt.timedelta(minutes=1)
    assert client.get(address, headers={"If-Modified-Since": format_datetime(earlier, usegmt=True)}).status_code == 200
    assert client.get(address, headers={"If-Modified-Since": "nonsense"}).status_code == 200
    # Even what changes within the second in which it was fetched is seen by programs that go by the time.
    Layer.objects.all().delete()
    assert client.get(address, headers={"If-Modified-Since": first["Last-Modified"]}).status_code == 200
    assert client.get(address, headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_use_is_noted_at_most_once_a_minute(bob, now):
    row, secret = feeds.issue(bob, person=bob)
    used = []
    for seconds in (0, 30, 59, 60, 90):
        feeds.render(secret, now=now + dt.timedelta(seconds=seconds))
        row.refresh_from_db()
        used.append((row.last_used_at - now).total_seconds())
    assert used == [0, 0, 0, 60, 60]


def test_a_shift_of_less_than_a_second_is_no_event(schedule, bob, now):
    """Calendars know seconds, and refuse an event whose end is not after its start."""
    factories.OverrideFactory(
        schedule=schedule,
        user=bob,
        start_at=now + dt.timedelta(microseconds=100),
        end_at=now + dt.timedelta(microseconds=900),
    )
    _, secret = feeds.issue(bob, schedule=schedule)
    found = events(secret, now)
    assert found and all(one.dtend.value > one.dtstart.value for one in found)
