"""Calendars, swap requests and coverage checks: looked at, and decided, in the admin."""

import datetime as dt

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from oncall.models import CalendarFeed, CalendarImport, CoverageCheck, FixedShift, Offer, Override, ShiftRequest
from tests import factories


def url(model, page, *args):
    return reverse(f"admin:oncall_{model._meta.model_name}_{page}", args=args)


# --- feeds --------------------------------------------------------------------------------------------------------
def test_a_feed_never_shows_its_secret(browser):
    feed = factories.CalendarFeedFactory(secret_hash="f" * 64)
    for page in (url(CalendarFeed, "change", feed.pk), url(CalendarFeed, "changelist")):
        assert "f" * 64 not in browser.get(page).content.decode()


def test_a_feed_is_revoked(browser, said, bob):
    feed = factories.CalendarFeedFactory(owner=bob)
    do = url(CalendarFeed, "do", feed.pk, "revoke")
    assert "stops working at once" in browser.get(do).content.decode()
    assert "The calendar of Bob is revoked." in said(browser.post(do))
    feed.refresh_from_db()
    assert feed.revoked_at
    assert do not in browser.get(url(CalendarFeed, "change", feed.pk)).content.decode()


# --- imports ------------------------------------------------------------------------------------------------------
@pytest.fixture
def new_import(alice, bob):
    schedule = factories.ScheduleFactory(people=[alice, bob])
    data = {"name": "Duty", "kind": "shifts", "schedule": schedule.pk, "team": "", "role": "PRIMARY", "url": ""}
    return data | {"refresh_minutes": 60, "is_enabled": "on"}


def a_file(user, text=None):
    day = timezone.now() + dt.timedelta(days=3)
    text = text or "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//tests//EN",
            "BEGIN:VEVENT",
            "UID:1@tests",
            f"DTSTAMP:{day:%Y%m%d}T000000Z",
            f"DTSTART:{day:%Y%m%d}T100000Z",
            f"DTEND:{day:%Y%m%d}T120000Z",
            f"SUMMARY:{user.email}",
            f"ATTENDEE:mailto:{user.email}",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )
    return SimpleUploadedFile("duty.ics", text.encode() if isinstance(text, str) else text)


def errors_of(response):
    assert response.status_code == 200, response
    return response.context["adminform"].form.errors


def test_a_calendar_is_read_from_a_file(browser, ada, new_import, charlie):
    response = browser.post(url(CalendarImport, "add"), new_import | {"file": a_file(charlie)})
    assert response.status_code == 302, errors_of(response)
    made = CalendarImport.objects.get()
    assert (made.created_by, made.error) == (ada, "")
    assert made.read_at
    shift = FixedShift.objects.get()
    assert (shift.user, shift.calendar) == (charlie, made)


@pytest.mark.parametrize("text", ["This is no calendar.", b"\xff\xfe\x00", "BEGIN:VCALENDAR"])
def test_a_file_that_is_no_calendar_is_a_field_error(browser, new_import, charlie, text):
    response = browser.post(url(CalendarImport, "add"), new_import | {"file": a_file(charlie, text)})
    assert errors_of(response)["file"]
    assert not CalendarImport.objects.exists()


def test_a_calendar_needs_an_address_or_a_file(browser, new_import, charlie):
    assert errors_of(browser.post(url(CalendarImport, "add"), new_import)) == {
        "url": ["Give the address of the calendar, or upload its file."]
    }
    both = new_import | {"url": "https://calendar.example.com/a.ics", "file": a_file(charlie)}
    assert errors_of(browser.post(url(CalendarImport, "add"), both))["file"]


def test_shifts_go_to_a_schedule_and_holidays_do_not(browser, new_import):
    data = new_import | {"kind": "holidays", "url": "https://calendar.example.com/a.ics"}
    response = browser.post(url(CalendarImport, "add"), data)
    assert "Choose a schedule for shifts, and none for holidays." in str(errors_of(response))


def test_a_calendar_with_an_address_is_due_at_once(browser, new_import):
    before = timezone.now()
    data = new_import | {"url": "https://calendar.example.com/a.ics"}
    response = browser.post(url(CalendarImport, "add"), data)
    assert response.status_code == 302, errors_of(response)
    assert CalendarImport.objects.get().due_at >= before


def test_a_list_of_calendars_keeps_secret_addresses(browser):
    factories.CalendarImportFactory(url="https://calendar.example.com/private-123/basic.ics")
    page = browser.get(url(CalendarImport, "changelist")).content.decode()
    assert "calendar.example.com" in page
    assert "private-123" not in page


@pytest.mark.parametrize("text", ["ftp://example.com/a.ics", "https://[example", "rota.ics"])
def test_an_address_that_is_none_is_a_field_error(browser, new_import, text):
    assert errors_of(browser.post(url(CalendarImport, "add"), new_import | {"url": text}))["url"]


def test_a_list_of_calendars_survives_an_address_that_is_none(browser):
    factories.CalendarImportFactory(url="http://[private-123")
    page = browser.get(url(CalendarImport, "changelist"))
    assert page.status_code == 200 and "private-123" not in page.content.decode()


@pytest.mark.parametrize("by_list", [True, False])
def test_a_deleted_calendar_leaves_the_shifts_of_the_past(browser, charlie, by_list):
    calendar = factories.CalendarImportFactory(url="", content="")
    day, now = dt.timedelta(days=1), timezone.now()
    for number in (-2, 2):
        factories.FixedShiftFactory(
            schedule=calendar.schedule,
            user=charlie,
            start_at=now + number * day,
            end_at=now + (number + 1) * day,
            calendar=calendar,
            calendar_uid=str(number),
        )
    if by_list:
        data = {"action": "delete_selected", "_selected_action": [calendar.pk], "post": "yes"}
        browser.post(url(CalendarImport, "changelist"), data)
    else:
        browser.post(url(CalendarImport, "delete", calendar.pk), {"post": "yes"})
    assert not CalendarImport.objects.exists()
    assert [(one.calendar_uid, one.calendar) for one in FixedShift.objects.all()] == [("-2", None)]


def test_a_calendar_is_read_by_the_button(browser, said, charlie):
    content = a_file(charlie).read().decode()
    calendar = factories.CalendarImportFactory(url="", content=content)
    assert "is read" in said(browser.post(url(CalendarImport, "do", calendar.pk, "read_now")))
    assert FixedShift.objects.get().user == charlie


def test_a_calendar_that_cannot_be_read_says_why(browser, said):
    calendar = factories.CalendarImportFactory(url="")
    text = said(browser.post(url(CalendarImport, "do", calendar.pk, "read_now")))
    assert "could not be read" in text
    assert "What was read before still counts." in text
    calendar.refresh_from_db()
    assert calendar.error
    page = browser.get(url(CalendarImport, "change", calendar.pk)).content.decode()
    assert calendar.error in page


# --- swaps --------------------------------------------------------------------------------------------------------
@pytest.fixture
def an_offer(team, alice, bob):
    """Bob asks for cover of an hour of his shift, and Alice offers to take it."""
    schedule = factories.ScheduleFactory(name="Days", team=team, people=[bob], swaps_need_approval=True)
    start = timezone.now() + dt.timedelta(days=1)
    fields = {"start_at": start, "end_at": start + dt.timedelta(hours=1)}
    request = factories.ShiftRequestFactory(schedule=schedule, requester=bob, created_at=timezone.now(), **fields)
    return factories.OfferFactory(request=request, user=alice)


def test_an_offer_is_accepted_and_approved(browser, said, an_offer):
    page = url(Offer, "change", an_offer.pk)
    shown = browser.get(page).content.decode()
    assert url(Offer, "do", an_offer.pk, "accept") in shown
    assert url(Offer, "do", an_offer.pk, "approve") not in shown
    assert "it waits for approval" in said(browser.post(url(Offer, "do", an_offer.pk, "accept")))
    assert url(Offer, "do", an_offer.pk, "approve") in browser.get(page).content.decode()
    assert "Approved" in said(browser.post(url(Offer, "do", an_offer.pk, "approve")))
    assert Override.objects.get().user == an_offer.user
    assert "do/decline" not in browser.get(page).content.decode()


def test_an_offer_is_declined(browser, said, an_offer):
    assert "Declined" in said(browser.post(url(Offer, "do", an_offer.pk, "decline")))
    an_offer.refresh_from_db()
    assert an_offer.state == Offer.State.DECLINED
    assert not Override.objects.exists()


def test_what_is_decided_is_a_sentence(browser, said, an_offer):
    browser.post(url(Offer, "do", an_offer.pk, "decline"))
    assert said(browser.post(url(Offer, "do", an_offer.pk, "approve")))
    an_offer.refresh_from_db()
    assert an_offer.state == Offer.State.DECLINED


def test_a_request_shows_its_offers_and_is_cancelled_by_who_asked(browser, ada, an_offer):
    page = url(ShiftRequest, "change", an_offer.request_id)
    shown = browser.get(page).content.decode()
    assert url(Offer, "change", an_offer.pk) in shown
    assert "do/cancel" not in shown
    ShiftRequest.objects.update(requester=ada)
    assert "do/cancel" in browser.get(page).content.decode()
    browser.post(url(ShiftRequest, "do", an_offer.request_id, "cancel"))
    assert ShiftRequest.objects.get().state == ShiftRequest.State.CANCELLED


# --- coverage -----------------------------------------------------------------------------------------------------
def test_a_coverage_check_shows_its_problems(browser, team):
    problems = [{"kind": "gap", "text": "Nobody is on call in <Nights>."}]
    check = CoverageCheck.objects.create(team=team, checked_at=timezone.now(), problems=problems)
    page = browser.get(url(CoverageCheck, "change", check.pk)).content.decode()
    assert "<li>Nobody is on call in &lt;Nights&gt;.</li>" in page
