"""Calendars out and in, and holidays."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts import keys
from accounts.models import Role
from core.models import IdempotencyKey
from oncall import feeds
from oncall.models import CalendarFeed, CalendarImport, FixedShift, Holiday
from tests.factories import (
    CalendarFeedFactory,
    CalendarImportFactory,
    FixedShiftFactory,
    HolidayFactory,
    ScheduleFactory,
    UserFactory,
)

DAY = dt.timedelta(days=1)
FEEDS, IMPORTS, HOLIDAYS = "/api/v1/calendar-feeds", "/api/v1/calendar-imports", "/api/v1/holidays"


def calendar(email="bob@example.com", uid="1"):
    """A calendar with a shift of this person, tomorrow for twelve hours."""
    start = timezone.now().replace(microsecond=0) + dt.timedelta(days=1)
    return "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//Rota//EN",
            "BEGIN:VEVENT",
            f"UID:{uid}",
            f"DTSTAMP:{start:%Y%m%dT%H%M%SZ}",
            f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
            f"DTEND:{start + dt.timedelta(hours=12):%Y%m%dT%H%M%SZ}",
            f"SUMMARY:On call {email}",
            f"ATTENDEE:mailto:{email}",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )


@pytest.fixture
def schedule(team, bob):
    return ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[bob])


def refusal(answer, status=400):
    assert answer.status_code == status, answer.data
    return answer.data["detail"]


# --- feeds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, shown",
    [
        ({}, ("Bob", None, None)),
        ({"person": "alice@example.com"}, ("Alice", None, None)),
        ({"schedule": "shop-on-call"}, (None, "shop-on-call", None)),
        ({"team": "shop"}, (None, None, "shop")),
    ],
)
def test_an_address_is_shown_once_and_works(calls, client, schedule, alice, bob, given, shown):
    api = calls(bob)
    made = api.post(FEEDS, {"name": "phone", **given})
    assert made.status_code == 201, made.data
    address = made.data["address"]
    person = made.data["person"]
    assert (person and person["name"], made.data["schedule"], made.data["team"]) == shown
    assert feeds.find(address.rsplit("/", 1)[1].removesuffix(".ics")).name == "phone"
    one = f"{FEEDS}/{made.data['id']}"
    assert api.get(one).data == {**made.data, "address": None}
    assert [each["address"] for each in api.get(FEEDS).data["results"]] == [None]


def test_an_address_stops_when_it_is_revoked(calls, schedule, bob):
    api = calls(bob)
    made = api.post(FEEDS, {}).data
    assert api.delete(f"{FEEDS}/{made['id']}").status_code == 204
    assert feeds.find(made["address"].rsplit("/", 1)[1].removesuffix(".ics")) is None
    assert api.get(FEEDS).data["results"] == []
    assert api.delete(f"{FEEDS}/{made['id']}").status_code == 404


def test_addresses_of_others_are_not_there(calls, bob, alice):
    feed = CalendarFeedFactory(owner=alice)
    assert calls(bob).get(FEEDS).data["results"] == []
    assert calls(bob).delete(f"{FEEDS}/{feed.uuid}").status_code == 404
    assert CalendarFeed.objects.get().revoked_at is None


def test_through_the_key_of_a_team_a_feed_shows_no_other_team(through, schedule, team, alice, bob):
    _, text = keys.issue_key(bob, name="x", scopes=["oncall:write"], team=team)
    for given in ({}, {"person": "bob@example.com"}):
        assert "shifts may be in others too" in refusal(through(text).post(FEEDS, given), 403)
    assert through(text).post(FEEDS, {"team": "shop"}).status_code == 201


def test_a_feed_of_two_things_is_400(api, schedule):
    assert "Choose one" in refusal(api.post(FEEDS, {"team": "shop", "schedule": "shop-on-call"}))


def test_a_remembered_answer_does_not_hold_the_secret(api, alice):
    first, second = (api.post(FEEDS, {}, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.data["address"].startswith("http")
    assert (second["Idempotency-Replayed"], second.data["address"]) == ("true", None)
    assert CalendarFeed.objects.count() == 1
    assert IdempotencyKey.objects.get().response["address"] is None


def test_an_observer_may_have_a_calendar_too(calls, db):
    assert calls(UserFactory(role=Role.OBSERVER)).post(FEEDS, {}).status_code == 201


# --- imports --------------------------------------------------------------------------------------------------


def test_a_calendar_that_is_sent_makes_shifts_at_once(api, schedule, bob):
    body = {"name": "Rota", "schedule": "shop-on-call", "role": "SECONDARY", "content": calendar()}
    made = api.post(IMPORTS, body)
    assert made.status_code == 201, made.data
    assert (made.data["kind"], made.data["url"], made.data["error"], made.data["warnings"]) == ("shifts", "", "", [])
    assert made.data["read_at"] and "content" not in made.data
    shift = FixedShift.objects.get()
    assert (shift.user, shift.role, shift.calendar.created_by.name) == (bob, "SECONDARY", "Alice")
    (shown,) = api.get("/api/v1/on-call").data["results"]
    assert shown["calendar"] == made.data["id"]
    one = f"{IMPORTS}/{made.data['id']}"
    assert api.put(one, made.data).status_code == 200
    left_out = api.patch(one, {"content": calendar("eve@example.com", "2")}).data
    assert "eve@example.com" in left_out["warnings"][0]
    assert not FixedShift.objects.exists()


def test_what_is_no_calendar_is_400_and_nothing_is_made(api, schedule):
    answer = api.post(IMPORTS, {"name": "Rota", "schedule": "shop-on-call", "content": "hello"})
    assert (answer.status_code, answer.data["code"]) == (400, "bad_calendar")
    assert not CalendarImport.objects.exists()


def test_an_address_is_read_soon_and_on_demand_and_says_what_went_wrong(api, schedule):
    made = api.post(IMPORTS, {"name": "Rota", "schedule": "shop-on-call", "url": "http://127.0.0.1:1/secret.ics"})
    assert made.status_code == 201, made.data
    assert (made.data["read_at"], made.data["error"]) == (None, "")
    assert made.data["due_at"]
    answer = api.post(f"{IMPORTS}/{made.data['id']}/refresh")
    assert answer.status_code == 200
    assert answer.data["error"] and "secret" not in answer.data["error"]


def test_the_secret_of_an_address_is_for_admins(api, calls, bob, schedule):
    row = CalendarImportFactory(schedule=schedule, url="https://calendar.example.com/secret.ics")
    assert api.get(f"{IMPORTS}/{row.uuid}").data["url"] == "https://calendar.example.com/secret.ics"
    assert calls(bob).get(f"{IMPORTS}/{row.uuid}").data["url"] == "https://calendar.example.com/…"
    assert "secret" not in calls(bob).get(IMPORTS).content.decode()


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"url": ""}, "Give the address of the calendar, or the calendar itself."),
        ({"url": "ftp://example.com/a.ics"}, "Give a web address that begins with https://."),
        ({"url": "https://[secret/a.ics"}, "is not a web address"),
        ({"url": "webcal://"}, "is not a web address"),
        ({"content": calendar()}, "the next reading of the address would win."),
        ({"schedule": None}, "Name the schedule that the shifts go to."),
        ({"kind": "holidays"}, "Holidays go to no schedule. Leave it out."),
        ({"kind": "birthdays"}, "is not a valid choice."),
        ({"refresh_minutes": 1}, "greater than or equal to 5"),
        ({"team": "nope"}, "There is no team “nope”."),
    ],
)
def test_an_import_that_cannot_work_is_400(api, schedule, fields, sentence):
    body = {"name": "Rota", "schedule": "shop-on-call", "url": "https://calendar.example.com/a.ics"}
    assert sentence in refusal(api.post(IMPORTS, body | fields))
    row = CalendarImportFactory(schedule=schedule)
    assert sentence in refusal(api.patch(f"{IMPORTS}/{row.uuid}", fields))


def test_imports_and_holidays_are_configuration(calls, bob, schedule):
    row = CalendarImportFactory(schedule=schedule)
    api = calls(bob)
    assert api.get(IMPORTS).status_code == api.get(HOLIDAYS).status_code == 200
    assert api.post(IMPORTS, {}).status_code == api.post(HOLIDAYS, {}).status_code == 403
    assert api.post(f"{IMPORTS}/{row.uuid}/refresh").status_code == 403


def test_imports_are_found_and_deleted(api, schedule):
    row = CalendarImportFactory(schedule=schedule)
    CalendarImportFactory(schedule=None, kind="holidays")
    for query, count in {"": 2, "kind=holidays": 1, "schedule=shop-on-call": 1}.items():
        assert len(api.get(f"{IMPORTS}?{query}").data["results"]) == count, query
    values = {"schedule": schedule, "calendar": row, "calendar_uid": "a"}
    FixedShiftFactory(start_at=timezone.now() - 2 * DAY, end_at=timezone.now() - DAY, **values)
    assert api.delete(f"{IMPORTS}/{row.uuid}").status_code == 204
    assert FixedShift.objects.get().calendar is None


def test_an_address_that_is_none_breaks_no_page(calls, bob, schedule):
    row = CalendarImportFactory(schedule=schedule, url="https://[secret/a.ics")
    assert calls(bob).get(f"{IMPORTS}/{row.uuid}").data["url"] == "…"


# --- holidays -------------------------------------------------------------------------------------------------


def test_holidays_are_made_changed_found_and_deleted(api, team):
    made = api.post(HOLIDAYS, {"day": "2026-12-25", "name": "Christmas"})
    assert made.status_code == 201, made.data
    assert (made.data["team"], made.data["calendar"]) == (None, None)
    one = f"{HOLIDAYS}/{made.data['id']}"
    assert api.put(one, {**made.data, "team": "shop"}).data["team"] == "shop"
    HolidayFactory(day=dt.date(2027, 1, 1))
    for query, count in {"team=shop": 1, "since=2026-12-26": 1, "until=2026-12-26": 1, "": 2}.items():
        assert len(api.get(f"{HOLIDAYS}?{query}").data["results"]) == count, query
    assert api.delete(one).status_code == 204


def test_a_holiday_twice_is_400(api, team):
    for given in ({}, {"team": "shop"}):
        body = {"day": "2026-12-25", "name": "Christmas", **given}
        assert api.post(HOLIDAYS, body).status_code == 201
        assert "This holiday is there already." in refusal(api.post(HOLIDAYS, body))
    assert "Use a day between 1990 and 2100." in refusal(api.post(HOLIDAYS, {**body, "day": "9999-12-25"}))


def test_a_holiday_of_an_imported_calendar_is_changed_there(api, db):
    imported = CalendarImportFactory(name="Bavaria", kind="holidays", schedule=None)
    row = HolidayFactory(calendar=imported)
    for answer in (api.patch(f"{HOLIDAYS}/{row.pk}", {"name": "x"}), api.delete(f"{HOLIDAYS}/{row.pk}")):
        assert refusal(answer, 409) == "This holiday comes from the calendar Bavaria. Change it there."
    assert Holiday.objects.exists()
