"""Calendars written and parsed back by a second library, and calendars of others, good and bad."""

import datetime as dt
import re

import pytest
import vobject

from oncall import ical

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
HOSTILE = [
    "Nights, weekends; and more",
    "two\nlines\r\nand three",
    "C:\\New \\Nights\\n",
    "пейджер 📟🔥 " * 12,
    "END:VEVENT\r\nBEGIN:VEVENT",
    "quote \" and ' and : and =",
    "tab\tand bell\x07",
]


def utc(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC)


def entry(**fields):
    fields = {"uid": "one", "start_at": NOW, "end_at": NOW + dt.timedelta(hours=8), "summary": "On call", **fields}
    return ical.Entry(**{"changed_at": NOW, **fields})


def calendar(*events, head=""):
    lines = [f"BEGIN:VEVENT\r\n{event.strip()}\r\nEND:VEVENT\r\n" for event in events]
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{head}{''.join(lines)}END:VCALENDAR\r\n".replace("\r\n", "\n")


def read(*events, head="", zone="Europe/Berlin", start=NOW - dt.timedelta(days=30), end=NOW + dt.timedelta(days=180)):
    return ical.read(calendar(*events, head=head), zone=zone, start=start, end=end)


def spans(reading):
    return [(f"{one.start_at:%m-%d %H:%M}", f"{one.end_at:%m-%d %H:%M}") for one in reading.events]


# --- writing --------------------------------------------------------------------------------------------------
def test_a_calendar_says_all_that_programs_ask_for():
    content = ical.write(
        "Shop on call", [entry(url="https://oncall.example.com/schedules/shop", contact="Bob, b@x.org")]
    )
    lines = content.decode().split("\r\n")
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-2:] == ["END:VCALENDAR", ""]
    for line in (
        "VERSION:2.0",
        "PRODID:-//Watchbill//1//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        "NAME:Shop on call",
        "X-WR-CALNAME:Shop on call",
        "X-WR-TIMEZONE:UTC",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        "X-PUBLISHED-TTL:PT1H",
        "UID:one",
        "DTSTAMP:20260601T120000Z",
        "DTSTART:20260601T120000Z",
        "DTEND:20260601T200000Z",
        "SUMMARY:On call",
        "CONTACT:Bob\\, b@x.org",
        "URL:https://oncall.example.com/schedules/shop",
        "SEQUENCE:3374640",
        "LAST-MODIFIED:20260601T120000Z",
        "STATUS:CONFIRMED",
        "TRANSP:TRANSPARENT",
    ):
        assert line in lines, line


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_back_as_it_was(text):
    content = ical.write(text, [entry(summary=text, description=text * 3)])
    back = vobject.readOne(content.decode())
    clean = text.replace("\r\n", "\n").replace("\x07", "")
    assert back.vevent.summary.value == clean
    assert back.vevent.description.value == clean * 3
    assert back.contents["x-wr-calname"][0].value == clean
    assert len(back.contents["vevent"]) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_no_line_is_longer_than_75_octets_and_each_ends_with_both_signs(text):
    content = ical.write(text * 5, [entry(summary=text * 5, description=text * 40)])
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    for line in content.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()  # no letter is torn apart


def test_the_same_entries_give_the_same_bytes_in_any_order():
    one, two = entry(), entry(uid="two", start_at=NOW - dt.timedelta(hours=1))
    assert ical.write("x", [one, two]) == ical.write("x", [two, one])


# --- reading: times -------------------------------------------------------------------------------------------
def test_utc_zoned_floating_and_whole_days_are_read():
    reading = read(
        "UID:a\nDTSTART:20260602T080000Z\nDTEND:20260602T160000Z",
        "UID:b\nDTSTART;TZID=America/New_York:20260603T080000\nDURATION:PT8H",
        "UID:c\nDTSTART:20260604T080000\nDTEND:20260604T160000",
        "UID:d\nDTSTART;VALUE=DATE:20260605\nDTEND;VALUE=DATE:20260607",
        "UID:e\nDTSTART;VALUE=DATE:20260608",
    )
    assert reading.problems == ()
    assert spans(reading) == [
        ("06-02 08:00", "06-02 16:00"),
        ("06-03 12:00", "06-03 20:00"),
        ("06-04 06:00", "06-04 14:00"),
        ("06-04 22:00", "06-06 22:00"),
        ("06-07 22:00", "06-08 22:00"),
    ]
    assert reading.events[3].days == (dt.date(2026, 6, 5), dt.date(2026, 6, 6))


def test_whole_days_are_in_the_zone_that_the_calendar_names():
    reading = read("UID:a\nDTSTART;VALUE=DATE:20260605", head="X-WR-TIMEZONE:Asia/Tokyo\n")
    assert spans(reading) == [("06-04 15:00", "06-05 15:00")]


@pytest.mark.parametrize("name", ["W. Europe Standard Time", "/vendor.example.com/Europe/Berlin", '"Europe/Berlin"'])
def test_zones_are_known_by_other_names(name):
    reading = read(f"UID:a\nDTSTART;TZID={name}:20260602T080000\nDURATION:PT1H", zone="UTC")
    assert spans(reading) == [("06-02 06:00", "06-02 07:00")]


OFFICE = """BEGIN:VTIMEZONE
TZID:Our office
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


def test_a_zone_that_the_calendar_describes_is_the_same_as_the_one_of_its_rules():
    event = "UID:a\nDTSTART;TZID={}:20260101T023000\nDTEND;TZID={}:20260101T103000\nRRULE:FREQ=DAILY"
    year = {"start": utc(2026, 1, 2), "end": utc(2027, 1, 1), "zone": "UTC"}
    ours = read(event.format("Our office", "Our office"), head=OFFICE, **year)
    theirs = read(event.format("Europe/Berlin", "Europe/Berlin"), **year)
    assert len(ours.events) > 360
    assert spans(ours) == spans(theirs)


def test_an_unknown_zone_is_left_out_with_a_sentence():
    reading = read("UID:a\nSUMMARY:Nights\nDTSTART;TZID=Mars/Base:20260602T080000\nDURATION:PT1H")
    assert reading.events == ()
    assert reading.problems == (
        "“Nights” of 2026-06-02 was left out: nobody knows its time zone “Mars/Base”. Use one like Europe/Berlin.",
    )


@pytest.mark.parametrize(
    "rule",
    ["FREQ=SECONDLY", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY", "nonsense", "FREQ=YEARLY;COUNT=999999"],
)
def test_a_zone_with_a_hostile_rule_is_quick_and_harmless(rule):
    head = OFFICE.replace("FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3", rule)
    read("UID:a\nDTSTART;TZID=Our office:20260602T080000\nDURATION:PT1H", head=head)


def test_a_zone_of_one_calendar_is_not_known_to_the_next():
    read("UID:a\nDTSTART;TZID=Our office:20260602T080000\nDURATION:PT1H", head=OFFICE)
    reading = read("UID:a\nDTSTART;TZID=Our office:20260602T080000\nDURATION:PT1H")
    assert len(reading.problems) == 1


# --- reading: what repeats ------------------------------------------------------------------------------------
def test_a_weekly_shift_keeps_its_wall_clock_time_when_the_clock_changes():
    reading = read(
        "UID:a\nDTSTART;TZID=Europe/Berlin:20261005T090000\nDTEND;TZID=Europe/Berlin:20261012T090000\n"
        "RRULE:FREQ=WEEKLY;UNTIL=20261102T080000Z"
    )
    assert spans(reading) == [
        ("10-05 07:00", "10-12 07:00"),
        ("10-12 07:00", "10-19 07:00"),
        ("10-19 07:00", "10-26 08:00"),
        ("10-26 08:00", "11-02 08:00"),
        ("11-02 08:00", "11-09 08:00"),
    ]


def test_days_are_added_taken_out_moved_and_cancelled():
    reading = read(
        "UID:a\nDTSTART;TZID=Europe/Berlin:20260601T200000\nDURATION:PT2H\nRRULE:FREQ=DAILY;COUNT=6\n"
        "RDATE;TZID=Europe/Berlin:20260620T200000\nEXDATE:20260602T180000Z",
        "UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20260603T200000\nDTSTART:20260603T210000Z\nDURATION:PT1H\nSUMMARY:moved",
        "UID:a\nRECURRENCE-ID:20260604T180000Z\nDTSTART:20260604T180000Z\nDURATION:PT1H\nSTATUS:CANCELLED",
    )
    assert spans(reading) == [
        ("06-01 18:00", "06-01 20:00"),
        ("06-03 21:00", "06-03 22:00"),
        ("06-05 18:00", "06-05 20:00"),
        ("06-06 18:00", "06-06 20:00"),
        ("06-20 18:00", "06-20 20:00"),
    ]
    assert reading.events[1].summary == "moved"
    assert reading.events[1].uid == "a/20260603T180000"
    assert len({one.uid for one in reading.events}) == 5


def test_a_whole_day_is_taken_out_by_its_day():
    reading = read(
        "UID:a\nDTSTART;VALUE=DATE:20260601\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20260602",
    )
    assert [one.days[0].day for one in reading.events] == [1, 3]


def test_a_cancelled_event_is_left_out_and_the_newest_version_counts():
    reading = read(
        "UID:a\nDTSTART:20260602T080000Z\nDURATION:PT1H\nSTATUS:CANCELLED",
        "UID:b\nDTSTART:20260603T080000Z\nDURATION:PT1H\nSEQUENCE:2",
        "UID:b\nDTSTART:20260602T080000Z\nDURATION:PT1H\nSEQUENCE:1",
    )
    assert spans(reading) == [("06-03 08:00", "06-03 09:00")]


def test_only_what_touches_the_window_is_read():
    reading = read(
        "UID:old\nDTSTART:20200101T080000Z\nDURATION:PT1H",
        "UID:far\nDTSTART:20290101T080000Z\nDURATION:PT1H",
        "UID:long\nDTSTART:20260401T080000Z\nDTEND:20260701T080000Z",
        "UID:endless\nDTSTART:19700101T080000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY;BYMONTH=7",
    )
    assert [one.uid.split("/")[0] for one in reading.events] == ["long", "endless"]
    assert reading.problems == ()


# --- reading: people ------------------------------------------------------------------------------------------
def test_addresses_are_found_where_calendars_put_them():
    [event] = read(
        "UID:a\nDTSTART:20260602T080000Z\nDURATION:PT1H\nSUMMARY:Night shift\\, call <Zoe@Example.com>\n"
        'ATTENDEE;CN="Bob; the one";PARTSTAT=ACCEPTED:mailto:Bob@Example.COM\n'
        "ATTENDEE;PARTSTAT=DECLINED:mailto:carl@example.com\n"
        "ATTENDEE;CUTYPE=ROOM:mailto:room@example.com\n"
        "ATTENDEE;EMAIL=dora@example.com:invalid:nomail\n"
        "ORGANIZER;CN=Eve:MAILTO:eve%2Bcal@example.com\n"
        "DESCRIPTION:Questions to fred@example.com.\\nThanks"
    ).events
    assert event.attendees == ("bob@example.com", "dora@example.com")
    assert event.organizer == "eve+cal@example.com"
    assert event.mentioned == ("zoe@example.com", "fred@example.com")
    assert event.summary == "Night shift, call <Zoe@Example.com>"


# --- reading: bad input ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "does not start with BEGIN:VCALENDAR"),
        ("<!DOCTYPE html><html><body>Sign in</body></html>", "a web page, not a calendar"),
        ("\x1f\x8b\x08\x00garbage", "compressed"),
        (b"\x1f\x8b\x08\x00\xff\xfe".decode("utf-8", "replace"), "compressed"),
        ("/etc/passwd", "does not start with BEGIN:VCALENDAR"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260601T0800", "cut off"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", "do not match"),
        ("BEGIN:VCALENDAR\nBEGIN:VCALENDAR\nEND:VCALENDAR", "no END line"),
        ("BEGIN:VCALENDAR\n" + "BEGIN:VEVENT\nEND:VEVENT\n" * 5001 + "END:VCALENDAR", "more than 5000 parts"),
        ("BEGIN:VCALENDAR\n" + "BEGIN:X\n" * 20000 + "END:VCALENDAR", "more than 5000 parts"),
        ("BEGIN:VCALENDAR\nX-A:" + "é" * 600_000 + "\nEND:VCALENDAR", "larger than 1 MiB"),
    ],
)
def test_what_is_no_calendar_is_refused_with_the_way_to_mend_it(content, words):
    with pytest.raises(ical.BadCalendar, match=words):
        ical.read(content, zone="UTC", start=NOW, end=NOW + dt.timedelta(days=1))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("SUMMARY:x", "no start"),
        ("DTSTART:tomorrow\nDURATION:PT1H", "is not a time"),
        ("DTSTART:20260631T080000Z\nDURATION:PT1H", "no time of the calendar"),
        ("DTSTART:99991231T235959Z\nDURATION:P9999W", "year 9999 is out of reach"),
        ("DTSTART:20260601T080000Z\nDTEND:99991231T235959Z", "year 9999 is out of reach"),
        ("DTSTART:00010101T000000Z\nDURATION:PT1H", "year 1 is out of reach"),
        ("DTSTART:20260602T080000Z\nDTEND:20260602T070000Z", "ends before it starts"),
        ("DTSTART:20260602T080000Z\nDTEND:20260602T080000Z", "lasts no time"),
        ("DTSTART:20260602T080000Z", "lasts no time"),
        ("DTSTART:20260602T080000Z\nDURATION:-PT1H", "ends before it starts"),
        ("DTSTART:20260602T080000Z\nDURATION:P", "DURATION cannot be read"),
        ("DTSTART:20260602T080000Z\nDURATION:P99999999999D", "DURATION cannot be read"),
        ("DTSTART:20260602T080000Z\nDURATION:P99999D", "longer than 366 days"),
        ("DTSTART;VALUE=DATE:20260602\nDTEND:20260602T080000Z", "one of its start and end is a day"),
        ("DTSTART:20260602T080000Z\nDURATION:PT1H\nRRULE:FREQ=SECONDLY", "each second"),
        ("DTSTART:20260602T080000Z\nDURATION:PT1H\nRRULE:" + "FREQ=DAILY;" * 999, "too long"),
        ("DTSTART:20260602T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=never", "is not a time"),
        ("DTSTART:20260602T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY", "EXRULE"),
        ("DTSTART:20260602T080000Z\nDURATION:PT1H\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260602T080000Z", "all later"),
        ("DTSTART;TZID=../../etc/passwd:20260602T080000\nDURATION:PT1H", "time zone"),
    ],
)
def test_an_event_that_makes_no_sense_is_left_out_and_the_others_stay(event, words):
    good = "UID:good\nDTSTART:20260605T080000Z\nDURATION:PT1H"
    reading = read(f"UID:bad\n{event}", good)
    assert [one.uid for one in reading.events] == ["good"]
    assert len(reading.problems) == 1
    assert words in reading.problems[0]
    assert reading.problems[0].endswith(".")


def test_an_event_in_the_hour_that_the_clock_skips_has_no_length():
    event = "UID:a\nDTSTART;TZID=Europe/Berlin:20260329T021000\nDTEND;TZID=Europe/Berlin:20260329T025000"
    assert read(event, start=utc(2026, 3, 1)).events == ()


def test_endless_recurrences_stop_at_the_limit_of_events():
    events = [f"UID:{n}\nDTSTART:19700101T{n:02d}0000Z\nDURATION:PT1H\nRRULE:FREQ=HOURLY" for n in range(24)]
    reading = read(*events)
    assert len(reading.events) == ical.MOST_EVENTS
    assert "more than 2000 events" in reading.problems[-1]


def test_thousands_of_rules_that_never_fire_use_up_the_fuel_of_the_calendar():
    events = [f"UID:{n}\nDTSTART:19000101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=9;BYMONTHDAY=31;BYMONTH=2"
              for n in range(3000)]  # fmt: skip
    reading = read("UID:good\nDTSTART:20260605T080000Z\nDURATION:PT1H", *events)
    assert [one.uid for one in reading.events] == ["good"]
    assert "too often or from too long ago" in reading.problems[-1]


@pytest.mark.parametrize(
    "line",
    [
        "no colon",
        ":",
        ";;;:::",
        'X;A="unclosed:1',
        "\\",
        "DTSTART;=:1",
        "BEGIN",
        "É:1",
        "X:" + "a" * 100_000,
        " \t",
        "\x00:\x00",
    ],
)
def test_a_line_without_a_meaning_is_skipped(line):
    reading = read(f"UID:a\n{line}\nDTSTART:20260605T080000Z\nDURATION:PT1H")
    assert len(reading.events) == 1
