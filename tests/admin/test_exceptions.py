"""Overrides, fixed shifts, time off and availability: the rules are those of the pages and the API."""

import datetime as dt
import zoneinfo

import pytest
from django.urls import reverse
from django.utils import timezone

from oncall.models import Availability, FixedShift, Holiday, Override, TimeOff
from tests import factories


def url(model, page, *args):
    return reverse(f"admin:oncall_{model._meta.model_name}_{page}", args=args)


def span(start="10:00", end="12:00", days=2):
    """A span of a day to come, as it is typed."""
    day = str(timezone.now().date() + dt.timedelta(days=days))
    return {"start_at_0": day, "start_at_1": start, "end_at_0": day, "end_at_1": end}


def typed(data, zone):
    """The start that was typed, read in a zone."""
    start = dt.datetime.fromisoformat(f"{data['start_at_0']} {data['start_at_1']}")
    return start.replace(tzinfo=zoneinfo.ZoneInfo(zone))


def errors_of(response):
    assert response.status_code == 200, response
    return response.context["adminform"].form.errors


def now_and(**fields):
    """A span around this moment."""
    now = timezone.now()
    return {"start_at": now - dt.timedelta(hours=1), "end_at": now + dt.timedelta(hours=1), **fields}


@pytest.fixture
def schedule(alice, bob):
    return factories.ScheduleFactory(name="Nights", people=[alice, bob], time_zone="Asia/Tokyo")


# --- overrides ----------------------------------------------------------------------------------------------------
def an_override(schedule, user, **fields):
    return {"schedule": schedule.pk, "user": user.pk, "role": "PRIMARY", "reason": "", **span(), **fields}


def test_an_override_is_typed_in_the_zone_of_its_schedule(browser, ada, schedule, charlie):
    data = an_override(schedule, charlie)
    response = browser.post(url(Override, "add"), data)
    assert response.status_code == 302, errors_of(response)
    override = Override.objects.get()
    assert (override.user, override.created_by) == (charlie, ada)
    assert override.start_at == typed(data, "Asia/Tokyo")
    page = browser.get(url(Override, "change", override.pk)).content.decode()
    assert "10:00 JST" in page


def test_the_page_names_the_zone_of_the_chosen_schedule(browser, schedule):
    assert "Time zone: that of the schedule." in browser.get(url(Override, "add")).content.decode()
    page = browser.get(url(Override, "add"), {"schedule": schedule.pk}).content.decode()
    assert "Time zone: Asia/Tokyo." in page


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        (span("12:00", "11:00"), "end_at", "The override ends before it starts. Choose a later end."),
        (span(days=-2), "end_at", "This time is over, and history does not change. Choose a later end."),
        (
            span() | {"end_at_0": "2099-01-01"},
            "end_at",
            "The override lasts longer than 400 days. Choose an earlier end.",
        ),
        ({"user": ""}, "user", "This field is required."),
        (
            {"schedule": "999999"},
            "schedule",
            "Select a valid choice. That choice is not one of the available choices.",
        ),
    ],
)
def test_a_wrong_override_is_a_field_error(browser, schedule, charlie, fields, field, sentence):
    response = browser.post(url(Override, "add"), an_override(schedule, charlie) | fields)
    assert errors_of(response)[field] == [sentence]
    assert not Override.objects.exists()


def test_somebody_who_is_not_on_call_cannot_be_replaced(browser, schedule, ada, charlie):
    response = browser.post(url(Override, "add"), an_override(schedule, charlie, replaces=ada.pk))
    assert "is not on call in Nights then" in errors_of(response)["replaces"][0]


def test_a_deactivated_person_takes_no_override(browser, schedule, charlie):
    charlie.is_active = False
    charlie.save()
    assert errors_of(browser.post(url(Override, "add"), an_override(schedule, charlie)))["user"]


def test_an_override_is_not_changed_but_made_anew(browser, schedule, charlie):
    override = factories.OverrideFactory(schedule=schedule, user=charlie, **now_and())
    assert browser.post(url(Override, "change", override.pk), {"reason": "x"}).status_code == 403


def test_a_running_override_ends_when_it_is_deleted(browser, schedule, charlie):
    override = factories.OverrideFactory(schedule=schedule, user=charlie, **now_and())
    browser.post(url(Override, "delete", override.pk), {"post": "yes"})
    override.refresh_from_db()
    assert override.end_at <= timezone.now()


def test_an_override_to_come_is_deleted(browser, schedule, charlie):
    later = timezone.now() + dt.timedelta(days=1)
    override = factories.OverrideFactory(schedule=schedule, start_at=later, end_at=later + dt.timedelta(hours=1))
    assert "Are you sure" in browser.get(url(Override, "delete", override.pk)).content.decode()
    browser.post(url(Override, "delete", override.pk), {"post": "yes"})
    assert not Override.objects.exists()


def test_history_is_not_deleted_one_by_one_or_from_the_list(browser, said, schedule):
    override = factories.OverrideFactory(schedule=schedule)
    response = browser.post(url(Override, "delete", override.pk), {"post": "yes"})
    assert "history does not change" in said(response)
    data = {"action": "delete_selected", "_selected_action": [override.pk], "post": "yes"}
    assert "history does not change" in said(browser.post(url(Override, "changelist"), data))
    assert Override.objects.filter(pk=override.pk, end_at=override.end_at).exists()


@pytest.mark.parametrize(("when", "found"), [("now", 1), ("later", 0), ("over", 1), ("x", 2)])
def test_overrides_are_filtered_by_when(browser, schedule, when, found):
    factories.OverrideFactory(schedule=schedule, **now_and())
    factories.OverrideFactory(schedule=schedule)
    listed = browser.get(url(Override, "changelist"), {"when": when})
    assert listed.context["cl"].result_count == found


# --- fixed shifts -------------------------------------------------------------------------------------------------
def a_shift(schedule, user, **fields):
    return {"schedule": schedule.pk, "user": user.pk, "role": "PRIMARY", "note": "", **span(), **fields}


def test_a_fixed_shift_is_made_and_changed(browser, fields_of, ada, schedule, charlie):
    data = a_shift(schedule, charlie)
    response = browser.post(url(FixedShift, "add"), data)
    assert response.status_code == 302, errors_of(response)
    shift = FixedShift.objects.get()
    assert (shift.start_at, shift.created_by) == (typed(data, "Asia/Tokyo"), ada)
    page = url(FixedShift, "change", shift.pk)
    response = browser.post(page, fields_of(page) | {"note": "Release", "end_at_1": "13:00"})
    assert response.status_code == 302, errors_of(response)
    changed = FixedShift.objects.get()
    assert (changed.note, changed.start_at) == ("Release", shift.start_at)
    assert changed.end_at == shift.end_at + dt.timedelta(hours=1)


def test_two_fixed_shifts_of_one_person_at_a_time_are_refused(browser, schedule, charlie):
    browser.post(url(FixedShift, "add"), a_shift(schedule, charlie))
    response = browser.post(url(FixedShift, "add"), a_shift(schedule, charlie, **span("11:00", "14:00")))
    assert "already has a fixed shift in this schedule at that time" in str(errors_of(response))
    assert FixedShift.objects.count() == 1


def test_a_running_shift_changes_its_end_and_note_only(browser, fields_of, schedule, charlie, bob):
    shift = factories.FixedShiftFactory(schedule=schedule, user=charlie, **now_and())
    page = url(FixedShift, "change", shift.pk)
    assert browser.post(page, fields_of(page) | {"note": "Release"}).status_code == 302
    response = browser.post(page, fields_of(page) | {"user": bob.pk})
    assert "only its end and its note can change" in str(errors_of(response))
    shift.refresh_from_db()
    assert (shift.user, shift.note) == (charlie, "Release")


def test_a_shift_that_is_over_or_of_a_calendar_is_looked_at(browser, said, schedule):
    over = factories.FixedShiftFactory(schedule=schedule)
    theirs = factories.FixedShiftFactory(
        schedule=schedule, calendar=factories.CalendarImportFactory(schedule=schedule), **now_and()
    )
    for shift in (over, theirs):
        assert browser.post(url(FixedShift, "change", shift.pk), {"note": "x"}).status_code == 403
        browser.post(url(FixedShift, "delete", shift.pk), {"post": "yes"})
    assert set(FixedShift.objects.values_list("pk", "end_at")) == {(one.pk, one.end_at) for one in (over, theirs)}


# --- people -------------------------------------------------------------------------------------------------------
def test_time_off_is_typed_in_the_zone_of_its_person(browser, ada, bob):
    bob.time_zone = "America/New_York"
    bob.save()
    data = {"user": bob.pk, "reason": "Holiday", **span()}
    response = browser.post(url(TimeOff, "add"), data)
    assert response.status_code == 302, errors_of(response)
    off = TimeOff.objects.get()
    assert (off.start_at, off.created_by) == (typed(data, "America/New_York"), ada)
    browser.post(url(TimeOff, "delete", off.pk), {"post": "yes"})
    assert not TimeOff.objects.exists()


def test_time_off_that_ends_before_it_starts_is_refused(browser, bob):
    response = browser.post(url(TimeOff, "add"), {"user": bob.pk, "reason": "", **span("12:00", "11:00")})
    assert errors_of(response)["end_at"] == ["The time off ends before it starts. Choose a later end."]


def test_availability_is_set(browser, fields_of, bob):
    data = {"user": bob.pk, "status": "busy", "until_at_0": "", "until_at_1": "", "note": "Exam"}
    response = browser.post(url(Availability, "add"), data)
    assert response.status_code == 302, errors_of(response)
    availability = Availability.objects.get()
    assert (availability.user, availability.status) == (bob, "busy")
    page = url(Availability, "change", availability.pk)
    assert errors_of(browser.post(page, fields_of(page) | {"status": "away"}))["until_at"]
    assert browser.post(page, fields_of(page) | {"status": "available"}).status_code == 302
    assert Availability.objects.get().status == "available"


def test_a_holiday_of_a_calendar_is_looked_at(browser, team):
    ours = factories.HolidayFactory(team=team)
    kind = {"kind": "holidays", "schedule": None}
    theirs = factories.HolidayFactory(calendar=factories.CalendarImportFactory(**kind))
    data = {"day": "2026-12-24", "name": "Eve", "team": ""}
    assert browser.post(url(Holiday, "change", theirs.pk), data).status_code == 403
    assert browser.post(url(Holiday, "change", ours.pk), data).status_code == 302
    ours.refresh_from_db()
    assert (ours.name, ours.team) == ("Eve", None)
