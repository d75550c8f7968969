"""Calendars of others: fetched over real HTTP, matched to people, applied, and kept when something goes wrong."""

import contextlib
import datetime as dt
import gzip
import http.server
import threading

import pytest
from django.db import connection

from core.due import kinds
from notifications.models import Alarm
from oncall import feeds, ical, imports, inspection, lookup, shifts, tasks
from oncall.models import CalendarImport, FixedShift, Holiday
from tests import factories

DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
BOB = "ATTENDEE;CN=Bob:mailto:BOB@Example.com"


def stamp(at):
    return f"{at:%Y%m%dT%H%M%SZ}"


def event(uid, start, end, *lines, who=BOB):
    return "\n".join(
        ["BEGIN:VEVENT", f"UID:{uid}", f"DTSTART:{stamp(start)}", f"DTEND:{stamp(end)}", *lines, who, "END:VEVENT"]
    )


def calendar(*events):
    return "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *events, "END:VCALENDAR", ""])


def rows():
    """(name, start, end) of the fixed shifts."""
    return [(str(one.user), one.start_at, one.end_at) for one in FixedShift.objects.order_by("start_at", "user__name")]


def fresh(row):
    return CalendarImport.objects.get(pk=row.pk)


@pytest.fixture
def schedule(team):
    return factories.ScheduleFactory(name="Shop on call", team=team, time_zone="Europe/Berlin")


@pytest.fixture
def upload(schedule):
    """A calendar from a file."""
    return factories.CalendarImportFactory(name="Rota", schedule=schedule, url="")


class Server:
    """A web server on a free port of 127.0.0.1 that answers with what stands in `answer`, and notes what it got."""

    def __init__(self):
        self.answer, self.headers, self.body = 200, {}, b""
        self.requests = []
        self.may_end = threading.Event()
        self.may_end.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers)))
                status, headers, body = outer.answer, outer.headers, outer.body
                if headers.get("ETag") and self.headers.get("If-None-Match") == headers["ETag"]:
                    status, body = 304, b""
                if self.path == "/moved":
                    status, headers, body = 302, {"Location": "/rota.ics"}, b""
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    if "Content-Length" not in headers and status != 304:
                        self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    self.wfile.flush()
                    outer.may_end.wait(10)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path="/rota.ics"):
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def gives(self, text, **headers):
        self.answer, self.body, self.headers = 200, text.encode(), headers

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def remote(server, schedule):
    """A calendar at an address."""
    return factories.CalendarImportFactory(name="Rota", schedule=schedule, url=server.url())


# --- fetching -------------------------------------------------------------------------------------------------
def test_a_calendar_is_fetched_and_becomes_fixed_shifts(server, remote, bob, now):
    server.gives(calendar(event("a", now + DAY, now + 2 * DAY, "SUMMARY:Nights")), ETag='"one"')
    row = imports.read(remote.pk, now=now)
    assert (row.error, row.warnings, row.read_at) == ("", [], now) and row.etag.endswith(' "one"')
    assert row.due_at == now + HOUR
    assert rows() == [("Bob", now + DAY, now + 2 * DAY)]
    shift = FixedShift.objects.get()
    assert (shift.calendar, shift.calendar_uid, shift.note, shift.role) == (remote, "a", "Nights", "PRIMARY")
    remote.schedule.refresh_from_db()
    assert remote.schedule.handoffs_due_at == now
    assert [one.user_id for one in lookup.who(remote.schedule, at=now + DAY)] == [bob.pk]


def test_an_unchanged_calendar_is_not_sent_again_and_its_days_move_on(server, remote, bob, now):
    daily = event("a", now, now + HOUR, "RRULE:FREQ=DAILY")
    server.gives(calendar(daily), ETag='"one"')
    imports.read(remote.pk, now=now)
    last = rows()[-1][1]
    row = imports.read(remote.pk, now=now + 10 * DAY)
    assert server.requests[1][1]["If-None-Match"] == '"one"'
    assert (row.error, row.read_at) == ("", now + 10 * DAY)
    assert rows()[-1][1] == last + 10 * DAY


def test_a_redirect_is_followed_and_another_scheme_too(server, remote, bob, now):
    server.gives(calendar(event("a", now + DAY, now + 2 * DAY)))
    CalendarImport.objects.filter(pk=remote.pk).update(url=server.url("/moved"))
    assert imports.read(remote.pk, now=now).error == ""
    assert [path for path, _ in server.requests] == ["/moved", "/rota.ics"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (404, {}, b"", "answered 404: there is no calendar there"),
        (403, {}, b"", "wants a sign-in"),
        (500, {}, b"", "answered 500"),
        (418, {}, b"", "answered 418, and not with a calendar"),
        (302, {"Location": "/again"}, b"", "sends us on more than 3 times"),
        (302, {"Location": "http://[broken"}, b"", "what is no address"),
        (302, {"Location": "http://10.1.2.3/"}, b"", "private address"),
        (200, {}, b"<html>Sign in</html>", "a web page, not a calendar"),
        (200, {}, gzip.compress(b"BEGIN:VCALENDAR", mtime=0), "compressed"),
        (200, {}, b"\x00\xff\xfe", "not a calendar"),
        (200, {}, b"", "not a calendar"),
        (200, {}, b"BEGIN:VCALENDAR\nX:" + b"a" * 1_100_000, "larger than 1 MiB"),
        (200, {"Content-Length": str(10**9)}, b"BEGIN:VCALENDAR\nX:" + b"a" * 1_100_000, "larger than 1 MiB"),
        (200, {"Content-Length": "5000"}, b"BEGIN:VCALENDAR\nEND:VCALENDAR", "could not be reached"),
    ],
)
def test_a_fetch_that_fails_keeps_the_last_good_copy_and_says_why(
    server, remote, bob, now, status, headers, body, words
):
    server.gives(calendar(event("a", now + DAY, now + 2 * DAY)))
    good = imports.read(remote.pk, now=now)
    server.answer, server.headers, server.body = status, headers, body
    row = imports.read(remote.pk, now=now + HOUR)
    assert words in row.error
    assert row.error.endswith((".", "”."))
    assert (row.content, row.read_at, row.due_at) == (good.content, now, now + 2 * HOUR)
    assert rows() == [("Bob", now + DAY, now + 2 * DAY)]
    server.gives(calendar())
    assert imports.read(remote.pk, now=now + 2 * HOUR).error == ""
    assert rows() == []


def test_a_server_that_is_not_there_or_private_is_an_error(remote, settings, now):
    CalendarImport.objects.filter(pk=remote.pk).update(url="http://127.0.0.1:9/rota.ics")
    assert "could not be reached" in imports.read(remote.pk, now=now).error
    settings.HTTP_ALLOW_PRIVATE = []
    assert "private address" in imports.read(remote.pk, now=now).error


@pytest.mark.parametrize("url", ["ftp://example.com/x", "nonsense", "http://[", "https://", "file:///etc/passwd"])
def test_what_is_no_address_is_an_error(remote, url, now):
    CalendarImport.objects.filter(pk=remote.pk).update(url=url)
    assert "is not a web address" in imports.read(remote.pk, now=now).error


def test_a_slow_server_does_not_hold_the_others_up(server, remote, now):
    server.headers, server.body = {"Content-Length": "100"}, b"BEGIN:VCALENDAR\n"  # and then nothing
    server.may_end.clear()
    error = imports.read(remote.pk, now=now, seconds=1).error
    server.may_end.set()
    assert "did not answer within 1 s" in error


def test_the_admins_are_told_once_when_the_copy_is_older_than_a_day(server, remote, alice, now):
    server.gives(calendar())
    imports.read(remote.pk, now=now)
    server.answer = 404
    imports.read(remote.pk, now=now + DAY)
    assert not Alarm.objects.exists()
    for hours in (25, 26, 27):
        imports.read(remote.pk, now=now + hours * HOUR)
    alarm = Alarm.objects.get()
    assert (alarm.count, alarm.cleared_at) == (3, None)
    assert "The calendar Rota could not be read since 2026-06-01 12:00 UTC. 127.0.0.1 answered 404" in alarm.text
    server.answer = 200
    imports.read(remote.pk, now=now + 2 * DAY)
    alarm.refresh_from_db()
    assert alarm.cleared_at == now + 2 * DAY


# --- due work -------------------------------------------------------------------------------------------------
def test_due_calendars_are_read_and_the_others_left_alone(server, remote, schedule, now):
    server.gives(calendar())
    CalendarImport.objects.filter(pk=remote.pk).update(due_at=now)
    later = factories.CalendarImportFactory(schedule=schedule, url=server.url("/later"), due_at=now + HOUR)
    factories.CalendarImportFactory(schedule=schedule, url=server.url("/off"), due_at=now, is_enabled=False)
    assert imports.oldest_due(now) == now
    imports.run(now)
    assert [path for path, _ in server.requests] == ["/rota.ics"]
    assert imports.oldest_due(now) is None
    assert imports.oldest_due(now + HOUR) == now + HOUR
    assert fresh(later).read_at is None
    assert "calendars" in kinds()


def test_a_calendar_is_set_back_before_it_is_fetched(remote, now):
    CalendarImport.objects.filter(pk=remote.pk).update(due_at=now)
    assert imports._claim(now) == remote.pk
    assert fresh(remote).due_at == now + imports.CLAIM  # a worker that dies now costs five minutes
    assert imports._claim(now) is None


def test_a_calendar_that_is_gone_is_no_error(remote, now):
    remote.delete()
    assert imports.read(remote.pk, now=now) is None


def test_without_address_and_file_it_says_what_to_do(upload, now):
    assert "upload its .ics file" in imports.read(upload.pk, now=now).error


# --- applying -------------------------------------------------------------------------------------------------
def test_an_uploaded_file_is_applied_and_moves_on_by_itself(upload, bob, now):
    row = imports.apply(upload, calendar(event("a", now, now + HOUR, "RRULE:FREQ=DAILY")), now=now)
    last = rows()[-1][1]
    assert (row.read_at, row.due_at) == (now, now + HOUR)
    row = imports.read(upload.pk, now=now + 5 * DAY)
    assert (row.error, row.read_at) == ("", now)
    assert rows()[-1][1] == last + 5 * DAY


def test_a_broken_upload_is_refused_and_changes_nothing(upload, bob, now):
    imports.apply(upload, calendar(event("a", now + DAY, now + 2 * DAY)), now=now)
    with pytest.raises(imports.BadCalendar, match="a web page"):
        imports.apply(upload, "<html>", now=now)
    assert rows() == [("Bob", now + DAY, now + 2 * DAY)]
    assert fresh(upload).error == ""


def test_the_past_stays_the_present_is_kept_in_step_and_the_future_is_replaced(upload, bob, charlie, now):
    charlies = "ATTENDEE:mailto:charlie@example.com"
    imports.apply(
        upload,
        calendar(
            event("past", now - 2 * DAY, now - DAY),
            event("running", now - DAY, now + DAY),
            event("ends", now - DAY, now + DAY, who=charlies),
            event("moves", now + DAY, now + 2 * DAY),
            event("goes", now + 3 * DAY, now + 4 * DAY),
            event("stays", now + 5 * DAY, now + 6 * DAY),
        ),
        now=now,
    )
    # What was over before we knew of it never counted, and what runs counts from now on.
    assert rows()[:2] == [("Bob", now, now + DAY), ("Charlie", now, now + DAY)]
    kept = {one.calendar_uid: one.pk for one in FixedShift.objects.all()}
    later = now + HOUR
    imports.apply(
        upload,
        calendar(
            event("running", now - DAY, now + 3 * HOUR),
            event("moves", now + 2 * DAY, now + 3 * DAY),
            event("stays", now + 5 * DAY, now + 6 * DAY),
            event("new", now + 7 * DAY, now + 8 * DAY, who=charlies),
        ),
        now=later,
    )
    assert rows() == [
        ("Bob", now, now + 3 * HOUR),
        ("Charlie", now, later),
        ("Bob", now + 2 * DAY, now + 3 * DAY),
        ("Bob", now + 5 * DAY, now + 6 * DAY),
        ("Charlie", now + 7 * DAY, now + 8 * DAY),
    ]
    # Rows that only change keep their number: nobody is told twice of the same shift.
    same = {one.calendar_uid: one.pk for one in FixedShift.objects.all()}
    assert all(same[uid] == kept[uid] for uid in ("running", "moves", "stays"))
    imports.apply(upload, calendar(), now=now + 4 * HOUR)
    assert rows() == [("Bob", now, now + 3 * HOUR), ("Charlie", now, later)]


def test_a_running_shift_that_goes_to_another_person_or_time_ends_now(upload, bob, charlie, now):
    imports.apply(upload, calendar(event("a", now, now + DAY), event("b", now, now + DAY)), now=now)
    later = now + HOUR
    taken = event("a", now, now + DAY, who="ATTENDEE:mailto:charlie@example.com")
    imports.apply(upload, calendar(taken, event("b", now + 2 * DAY, now + 3 * DAY)), now=later)
    assert sorted(rows()) == [
        ("Bob", now, later),
        ("Bob", now, later),
        ("Bob", now + 2 * DAY, now + 3 * DAY),
        ("Charlie", later, now + DAY),
    ]


def test_another_role_holds_from_now_on(upload, bob, now):
    text = calendar(event("a", now - HOUR, now + DAY), event("b", now + DAY, now + 2 * DAY))
    imports.apply(upload, text, now=now)
    upload.role = "SECONDARY"
    upload.save()
    imports.apply(upload, text, now=now + HOUR)
    found = FixedShift.objects.order_by("start_at", "pk").values_list("role", "start_at", "end_at")
    assert list(found) == [
        ("PRIMARY", now, now + HOUR),
        ("SECONDARY", now + HOUR, now + DAY),
        ("SECONDARY", now + DAY, now + 2 * DAY),
    ]


def test_nothing_changes_when_nothing_changed(upload, bob, now):
    text = calendar(event("a", now - HOUR, now + DAY), event("b", now + DAY, now + 2 * DAY))
    imports.apply(upload, text, now=now)
    before = list(FixedShift.objects.order_by("pk").values())
    imports.apply(upload, text, now=now + HOUR)
    assert list(FixedShift.objects.order_by("pk").values()) == before
    upload.schedule.refresh_from_db()
    assert upload.schedule.handoffs_due_at == now  # nobody looks at handoffs for nothing


def test_local_and_whole_days_are_those_of_the_schedule(upload, bob, now):
    floating = "BEGIN:VEVENT\nUID:a\nDTSTART:20261025T000000\nDTEND:20261026T000000\n" + BOB + "\nEND:VEVENT"
    day = "BEGIN:VEVENT\nUID:b\nDTSTART;VALUE=DATE:20261025\n" + BOB + "\nEND:VEVENT"
    imports.apply(upload, calendar(floating, day), now=now)
    of_25_hours = dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC), dt.datetime(2026, 10, 25, 23, tzinfo=dt.UTC)
    assert [one[1:] for one in rows()] == [of_25_hours, of_25_hours]


# --- people ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("who", "names"),
    [
        ("ATTENDEE:mailto:Bob@EXAMPLE.com", ["Bob"]),
        ("ATTENDEE:mailto:bob@example.com\nATTENDEE:mailto:charlie@example.com", ["Bob", "Charlie"]),
        ("ATTENDEE:mailto:nobody@example.org\nORGANIZER:mailto:charlie@example.com", ["Charlie"]),
        ("ATTENDEE:mailto:bob@example.com\nORGANIZER:mailto:charlie@example.com", ["Bob"]),
        ("SUMMARY:Nights bob@example.com\nDESCRIPTION:charlie@example.com", ["Bob"]),
        ("SUMMARY:Nights\nDESCRIPTION:Call nobody@example.org or Charlie <charlie@example.com>.", ["Charlie"]),
        ("SUMMARY:  bOb ", ["Bob"]),
        ("SUMMARY:Bob at night", []),
        ("SUMMARY:x\nATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.com", []),
    ],
)
def test_people_are_matched_by_address_and_then_by_name(upload, bob, charlie, now, who, names):
    row = imports.apply(upload, calendar(event("a", now + DAY, now + 2 * DAY, who=who)), now=now)
    assert sorted(name for name, *_ in rows()) == names
    assert bool(row.warnings) != bool(names)


def test_what_is_nobodys_is_listed_with_a_sentence(upload, bob, charlie, now):
    factories.UserFactory(name="Sam")
    factories.UserFactory(name="sam")
    bob.is_active = False
    bob.save()
    at = now + DAY, now + 2 * DAY
    row = imports.apply(
        upload,
        calendar(
            event("a", *at, "SUMMARY:Nights"),
            event("b", *at, "SUMMARY:Team meeting", "ORGANIZER:mailto:charlie@example.com"),
            event("c", *at, "SUMMARY:Sam", who="X-NOTE:1"),
            event("d", *at, "SUMMARY:Lunch", who="X-NOTE:1"),
            event("e", *at, "SUMMARY:Guest", who="ATTENDEE:mailto:eve@example.org"),
            event("f", now + DAY, now, "SUMMARY:Backwards"),
            event("g", now - 2 * DAY, now - DAY, "SUMMARY:Over"),
        ),
        now=now,
    )
    day = "of 2026-06-02 12:00 UTC was left out"
    assert sorted(row.warnings) == [
        "“Backwards” of 2026-06-02 was left out: it ends before it starts, or lasts no time.",
        f"“Guest” {day}: nobody here has the address eve@example.org. Invite the person by their own.",
        f"“Lunch” {day}: it names nobody. Invite the person on call, or write their email address into its name.",
        f"“Nights” {day}: Bob is deactivated. Choose somebody else.",
        f"“Sam” {day}: several people have this name. Invite the right one by email address.",
        f"“Team meeting” {day}: Bob is deactivated. Choose somebody else.",
    ]
    assert rows() == []


def test_an_observer_gets_no_shift_from_a_calendar(upload, bob, now):
    bob.role = "observer"
    bob.save()
    bob.memberships.update(role="observer")
    row = imports.apply(upload, calendar(event("a", now + DAY, now + 2 * DAY, "SUMMARY:Nights")), now=now)
    (warning,) = row.warnings
    assert "Bob is an observer and cannot answer a page." in warning
    assert rows() == []


def test_many_warnings_are_cut_with_a_count(upload, now):
    events = [event(str(n), now + n * HOUR, now + (n + 1) * HOUR, who="X-NOTE:1") for n in range(80)]
    row = imports.apply(upload, calendar(*events), now=now)
    assert len(row.warnings) == 51
    assert row.warnings[-1] == "And 30 more."


# --- bad input ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "lines",
    [
        "SUMMARY:zero \x00 and half \ud83d",
        "SUMMARY:" + "x" * 100_000,
        "RRULE:FREQ=SECONDLY",
        "RRULE:FREQ=DAILY;UNTIL=99991231T235959Z",
        "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "UID:" + "u" * 100_000,
        "DESCRIPTION:" + "a@" * 50_000,
        "ATTENDEE:mailto:" + "%00" * 50,
        "RECURRENCE-ID:20260603T120000Z",
    ],
)
def test_hostile_events_never_raise(upload, bob, now, lines):
    upload.content = calendar(event("a", now + DAY, now + 2 * DAY, lines), event("good", now + DAY, now + 2 * DAY))
    content = upload.content.encode("utf-8", "replace").decode()
    row = imports.apply(upload, content, now=now)
    assert row.error == ""
    assert ("Bob", now + DAY, now + 2 * DAY) in rows()


# --- holidays -------------------------------------------------------------------------------------------------
def test_holidays_are_the_whole_days_and_those_of_the_past_stay(team, now):
    row = factories.CalendarImportFactory(kind="holidays", schedule=None, team=team, url="")
    factories.HolidayFactory(day=dt.date(2026, 10, 3), name="Unity Day", team=team)
    text = calendar(
        "BEGIN:VEVENT\nUID:a\nSUMMARY:Unity Day\nDTSTART;VALUE=DATE:20261003\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:b\nSUMMARY:Whit Monday\nDTSTART;VALUE=DATE:19700525\nRDATE;VALUE=DATE:20260525\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:c\nSUMMARY:Closed\nDTSTART;VALUE=DATE:20260803\nDTEND;VALUE=DATE:20260805\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:d\nSUMMARY:Party\nDTSTART:20260803T180000Z\nDURATION:PT4H\nEND:VEVENT",
        "BEGIN:VEVENT\nUID:e\nSUMMARY:New Year\nDTSTART;VALUE=DATE:19700101\nRRULE:FREQ=YEARLY\nEND:VEVENT",
    )
    row = imports.apply(row, text, now=now)
    assert row.warnings == ["“Party” was left out: it is not an all-day event."]
    found = Holiday.objects.filter(calendar=row).order_by("day")
    assert [(f"{one.day:%m-%d}", one.name, one.team) for one in found] == [
        ("05-25", "Whit Monday", team),
        ("08-03", "Closed", team),
        ("08-04", "Closed", team),
    ]
    imports.apply(row, calendar(), now=now)
    assert [one.name for one in Holiday.objects.order_by("day")] == ["Whit Monday", "Unity Day"]


def test_what_a_calendar_gave_goes_when_its_kind_is_changed(upload, bob, now):
    text = calendar(event("a", now + DAY, now + 2 * DAY))
    imports.apply(upload, text, now=now)
    upload.kind, upload.schedule = "holidays", None
    upload.save()
    imports.apply(upload, text, now=now)
    assert rows() == []


# --- round trip -----------------------------------------------------------------------------------------------
def test_our_own_feed_gives_the_same_schedule_in_another(server, team, alice, bob, charlie, now):
    source = factories.ScheduleFactory(name="Source", team=team, time_zone="America/New_York", people=[alice, bob])
    factories.OverrideFactory(schedule=source, user=charlie, start_at=now + DAY, end_at=now + 2 * DAY)
    _, secret = feeds.issue(alice, schedule=source)
    server.gives(feeds.render(secret, now=now).content.decode())
    copy = factories.CalendarImportFactory(schedule=factories.ScheduleFactory(team=team), url=server.url())
    row = imports.read(copy.pk, now=now)
    assert (row.error, row.warnings) == ("", [])

    def who(schedule):
        spans = lookup.final(schedule, start=now, end=now + 170 * DAY)
        return [(one.start_at, one.end_at, one.user_id) for one in shifts.shifts(spans)]

    assert who(copy.schedule) == who(source)
    assert len(who(source)) > 24


def test_the_largest_calendar_is_read(upload, bob, now):
    events = [event(str(n), now + n * HOUR, now + (n + 1) * HOUR) for n in range(2500)]
    row = imports.apply(upload, calendar(*events), now=now)
    assert FixedShift.objects.count() == ical.MOST_EVENTS
    assert "more than 2000 events" in row.warnings[-1]


# --- what changes meanwhile, and the end ----------------------------------------------------------------------
def test_an_etag_counts_only_for_the_address_it_came_from(server, remote, bob, now):
    server.gives(calendar(event("a", now + DAY, now + 2 * DAY)), ETag='"one"')
    imports.read(remote.pk, now=now)
    CalendarImport.objects.update(url=server.url("/other.ics"))
    server.gives(calendar(event("b", now + 3 * DAY, now + 4 * DAY)), ETag='"one"')
    imports.read(remote.pk, now=now + HOUR)
    assert "If-None-Match" not in server.requests[-1][1]
    assert rows() == [("Bob", now + 3 * DAY, now + 4 * DAY)]


def test_an_address_that_is_changed_while_it_is_fetched_is_read_next(remote, bob, now):
    old = fresh(remote)
    CalendarImport.objects.update(url="https://calendar.example.com/other.ics", due_at=now)
    imports.apply(old, calendar(event("a", now + DAY, now + 2 * DAY)), now=now)
    assert (rows(), fresh(remote).content, fresh(remote).due_at) == ([], "", now)


def test_a_redirect_to_webcal_is_followed_as_https(server, remote, now):
    server.answer, server.headers = 302, {"Location": server.url().replace("http://", "webcal://")}
    error = imports.read(remote.pk, now=now).error
    assert server.requests and "is not a web address" not in error


def test_events_that_share_a_uid_all_count(upload, bob, now):
    events = [event("same", now + number * DAY, now + number * DAY + HOUR) for number in (1, 2, 3)]
    imports.apply(upload, calendar(*events), now=now)
    before = list(FixedShift.objects.order_by("pk").values_list("pk", "start_at"))
    assert [start for _, start in before] == [now + DAY, now + 2 * DAY, now + 3 * DAY]
    imports.apply(upload, calendar(*reversed(events)), now=now)
    assert list(FixedShift.objects.order_by("pk").values_list("pk", "start_at")) == before


def test_a_calendar_that_is_removed_leaves_the_past_and_ends_what_runs(upload, alice, bob, now):
    spans = [
        (now - 3 * DAY, now - DAY),
        (now - 2 * DAY, now - HOUR),
        (now - HOUR, now + HOUR),
        (now + DAY, now + 2 * DAY),
    ]
    for number, (start, end) in enumerate(spans):  # two of the past overlap, as a calendar may
        factories.FixedShiftFactory(
            schedule=upload.schedule, user=bob, start_at=start, end_at=end, calendar=upload, calendar_uid=str(number)
        )
    factories.FixedShiftFactory(schedule=upload.schedule, user=bob, start_at=now - 4 * DAY, end_at=now - 2 * DAY)
    imports.remove(upload.pk, now=now)
    assert not CalendarImport.objects.exists()
    assert rows() == [
        ("Bob", now - 4 * DAY, now - 2 * DAY),
        ("Bob", now - 3 * DAY, now - DAY),
        ("Bob", now - 2 * DAY, now - HOUR),
        ("Bob", now - HOUR, now),
    ]
    upload.schedule.refresh_from_db()
    assert upload.schedule.handoffs_due_at == now
    imports.remove(upload.pk, now=now)  # twice is harmless


def test_the_holidays_of_the_past_stay_when_their_calendar_is_removed(team, now):
    row = factories.CalendarImportFactory(kind="holidays", schedule=None, team=team, url="")
    for days in (-2, 2):
        Holiday.objects.create(day=(now + days * DAY).date(), name="A day", team=team, calendar=row)
    imports.remove(row.pk, now=now)
    assert [(one.day, one.calendar) for one in Holiday.objects.all()] == [((now - 2 * DAY).date(), None)]


@pytest.mark.parametrize("how", ["removed", "switched off", "gone with its schedule"])
def test_the_alarm_about_a_calendar_ends_with_it(server, remote, alice, now, how):
    server.gives(calendar())
    imports.read(remote.pk, now=now)
    server.answer = 404
    imports.read(remote.pk, now=now + 2 * DAY)
    assert Alarm.objects.get().cleared_at is None
    if how == "removed":
        imports.remove(remote.pk, now=now + 2 * DAY)
    elif how == "switched off":
        CalendarImport.objects.update(is_enabled=False)
        imports.changed(fresh(remote), now=now + 2 * DAY)
        imports.read(remote.pk, now=now + 2 * DAY)  # by hand: it fails, and that is no alarm
    else:
        remote.schedule.delete()
        inspection.clear_orphans(now=now + 2 * DAY)
    assert Alarm.objects.get().cleared_at == now + 2 * DAY


@pytest.mark.django_db(transaction=True)
def test_only_one_worker_is_busy_with_calendars_and_notices(server, remote, upload):
    """The others stay free for pages, however slow somebody's calendar is."""
    begun, may_end, ran = threading.Event(), threading.Event(), []

    @tasks.one_at_a_time
    def slow():
        begun.set()
        may_end.wait(10)

    def in_another_process():
        slow()
        connection.close()

    thread = threading.Thread(target=in_another_process)
    thread.start()
    begun.wait(10)
    tasks.one_at_a_time(lambda: ran.append("beside"))()
    may_end.set()
    thread.join()
    tasks.one_at_a_time(lambda: ran.append("after"))()
    assert ran == ["after"]
