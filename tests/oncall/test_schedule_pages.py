"""The pages of schedules, by the requests that a browser makes."""

import datetime as dt
import html
import re
import zoneinfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role
from oncall import lookup
from oncall.models import Availability, Override, ShiftRequest
from tests import factories

# A week that is to come for long; Alice and Bob take turns on Mondays at 09:00 of the schedule's zone.
MONDAY = dt.date(2040, 6, 4)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def utc(day, hour=0, minute=0, month=6):
    return dt.datetime(2040, month, day, hour, minute, tzinfo=dt.UTC)


@pytest.fixture
def schedule(team, alice, bob):
    return factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])


@pytest.fixture
def browser(alice):
    return browser_of(alice)


def browser_of(user):
    client = Client()
    client.force_login(user)
    return client


def words(response):
    """What stands on the page, without tags and in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def on_call(schedule, at, role="PRIMARY"):
    return {one.user_id for one in lookup.who(schedule, at=at) if one.role == role}


# --- the list -------------------------------------------------------------------------------------------------
def test_the_list_says_who_is_on_call_and_when_the_next_handoff_is(browser, schedule, alice, bob):
    found = words(browser.get("/schedules"))
    (now,) = lookup.who(schedule, at=timezone.now())
    other = {alice.pk: bob, bob.pk: alice}[now.user_id]
    assert re.search(rf"On call now {alice if now.user_id == alice.pk else bob}( you)? Next handoff Mon", found)
    assert f"to {other}" in found
    assert "No gap in 35 days" in found


def test_the_list_is_searched_by_name_and_by_team(browser, schedule):
    factories.ScheduleFactory(name="Payments", team=factories.TeamFactory(name="Money", slug="money"))
    assert "Payments" in words(browser.get("/schedules"))
    assert "Payments" not in words(browser.get("/schedules?q=SHOP"))
    assert "Shop on call" not in words(browser.get("/schedules?team=money"))
    assert "No schedule fits" in words(browser.get("/schedules?q=zebra"))


def test_an_empty_list_says_what_to_do(browser, team):
    assert "No schedule yet" in words(browser.get("/schedules"))


def test_the_list_says_that_nobody_is_on_call(browser, team):
    factories.ScheduleFactory(name="Empty", team=team)
    found = words(browser.get("/schedules"))
    assert "Nobody" in found and "It has no layers yet" in found


def test_the_list_costs_the_same_for_many_schedules(browser, schedule, team, alice):
    browser.get("/schedules")
    with CaptureQueriesContext(connection) as few:
        browser.get("/schedules")
    for _ in range(5):
        factories.ScheduleFactory(team=team, people=[alice])
    with CaptureQueriesContext(connection) as many:
        browser.get("/schedules")
    assert len(few) == len(many)


@pytest.mark.parametrize("path", ["/schedules", "/schedules/shop-on-call", "/schedules/shop-on-call/overrides/new"])
def test_strangers_sign_in_first(client, schedule, path):
    assert client.get(path).status_code == 302


# --- one schedule ---------------------------------------------------------------------------------------------
def test_the_page_says_who_is_on_call_until_when_and_how_they_can_be_reached(browser, schedule):
    (now,) = lookup.who(schedule, at=timezone.now())
    factories.AvailabilityFactory(user_id=now.user_id, since_at=timezone.now() - HOUR, status=Availability.Status.BUSY)
    found = words(browser.get("/schedules/shop-on-call"))
    assert "On call now" in found and "is busy, so others are called first" in found


@pytest.mark.parametrize("shape", ["timeline", "calendar"])
@pytest.mark.parametrize("view", ["day", "week", "2weeks", "month"])
def test_every_view_shows_the_final_shifts(browser, schedule, alice, bob, view, shape):
    answer = browser.get(f"/schedules/shop-on-call?view={view}&shape={shape}&date=2040-06-04")
    assert answer.status_code == 200
    found = words(answer)
    assert "Alice" in found and "Bob" in found


def test_the_timeline_shows_layers_overrides_fixed_shifts_time_off_holidays_and_every_role(
    browser, schedule, team, alice, bob, charlie
):
    factories.LayerFactory(schedule=schedule, name="Nights", position=2, people=[bob])
    factories.LayerFactory(schedule=schedule, name="Backup", role="SECONDARY", people=[charlie])
    factories.OverrideFactory(schedule=schedule, user=charlie, replaces=bob, start_at=utc(5), end_at=utc(6))
    factories.FixedShiftFactory(schedule=schedule, user=alice, start_at=utc(6), end_at=utc(7))
    factories.TimeOffFactory(user=bob, start_at=utc(7), end_at=utc(8))
    factories.HolidayFactory(day=dt.date(2040, 6, 7), name="Founders' day", team=team)
    factories.HolidayFactory(day=dt.date(2040, 6, 7), name="Of others", team=factories.TeamFactory())
    answer = browser.get("/schedules/shop-on-call?date=2040-06-04")
    found, page = words(answer), answer.content.decode()
    for word in ("Primary", "Secondary", "Overrides", "Fixed shifts", "Nights", "Layer 1", "Backup", "Time off"):
        assert word in found
    assert "Founders&#x27; day" in page and "Of others" not in page
    assert "Override: Charlie instead of Bob" in page
    assert "bar-off" in page and "has time off" in page
    assert page.index(">Nights") < page.index(">Layer 1")  # the higher one wins, and stands higher


def test_a_gap_is_loud_and_leads_to_the_form(browser, team):
    empty = factories.ScheduleFactory(slug="empty", team=team)
    page = browser.get(f"/schedules/{empty.slug}?date=2040-06-04").content.decode()
    assert 'class="stint bar-gap' in page
    assert "overrides/new?start=2040-06-0" in page and "This schedule has no layers" in page


def test_problems_of_coverage_are_shown_with_links(browser, team):
    factories.ScheduleFactory(slug="empty", name="Empty", team=team)
    page = browser.get("/schedules/empty?date=2040-06-04").content.decode()
    assert "problem-gap" in page
    assert "view=day&amp;date=2040-06-04" in page


def test_a_day_of_another_length_says_so(browser, team, alice):
    factories.ScheduleFactory(slug="berlin", team=team, time_zone="Europe/Berlin", people=[alice])
    page = browser.get("/schedules/berlin?date=2040-10-28&zone=schedule").content.decode()
    assert "25 h" in page and "the clock changes" in page


def test_a_layer_that_was_changed_and_its_follower_are_one_row(browser, schedule, alice, bob):
    layer = schedule.layers.get()
    layer.ends_at = utc(6)
    layer.save()
    factories.LayerFactory(schedule=schedule, starts_at=utc(6), follows=layer, people=[bob])
    page = browser.get("/schedules/shop-on-call?date=2040-06-04").content.decode()
    assert page.count("plan-layer") == 1


def test_both_zones_can_be_chosen_and_are_named(schedule, alice):
    schedule.time_zone = "America/New_York"
    schedule.save()
    alice.time_zone = "Europe/Berlin"
    alice.save()
    client = browser_of(alice)
    mine, theirs = (
        client.get(f"/schedules/shop-on-call?date=2040-06-04&zone={zone}") for zone in ("mine", "schedule")
    )
    assert 'data-zone="Europe/Berlin"' in mine.content.decode() and "until Mon 11 Jun 15:00" not in words(mine)
    assert "Mon 4 Jun 15:00" in mine.content.decode()  # 09:00 in New York
    assert 'data-zone="America/New_York"' in theirs.content.decode()
    assert "Mon 4 Jun 09:00" in theirs.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "view=foo",
        "date=9999-99-99",
        "date=9999-12-31",
        "date=1989-12-31",
        "date=2101-01-01",
        "date=%00",
        "date=2040-06-04T09:00",
        "zone=Mars/Olympus",
        "zone=",
        "shape=%F0%9F%92%A5",
        "view=month&date=1990-01-01",
        "view=2weeks&date=2100-12-31",
        "view=month&date=2100-12-31&shape=calendar",
        "view=week&date=1990-01-01&shape=calendar",
    ],
)
def test_an_address_that_makes_no_sense_shows_something_that_does(browser, schedule, query):
    assert browser.get(f"/schedules/shop-on-call?{query}").status_code == 200


def test_a_day_that_we_cannot_show_is_named(browser, schedule):
    assert "There is no day “9999-99-99” from 1990 to 2100" in words(
        browser.get("/schedules/shop-on-call?date=9999-99-99")
    )


def test_a_schedule_that_is_not_there_is_not_found(browser, db):
    assert browser.get("/schedules/zebra").status_code == 404


@pytest.mark.parametrize("shape", ["timeline", "calendar"])
def test_the_page_costs_as_many_queries_with_twenty_layers_as_with_two(browser, schedule, alice, bob, charlie, shape):
    def count():
        with CaptureQueriesContext(connection) as queries:
            browser.get(f"/schedules/shop-on-call?view=month&shape={shape}&date=2040-06-04")
        return len(queries)

    add = {"schedule": schedule, "people": [alice, bob, charlie], "unit": "day"}
    factories.RestrictionFactory(layer=factories.LayerFactory(position=2, **add))
    factories.OverrideFactory(schedule=schedule, user=charlie, start_at=utc(5), end_at=utc(6))
    count()
    few = count()
    for number in range(18):
        factories.RestrictionFactory(layer=factories.LayerFactory(position=number + 3, **add))
        factories.OverrideFactory(schedule=schedule, user=charlie, start_at=utc(5), end_at=utc(6))
    assert count() == few


def test_nothing_on_the_page_needs_inline_scripts_or_styles(browser, schedule):
    for path in ("/schedules", "/schedules/shop-on-call", "/schedules/shop-on-call?shape=calendar"):
        page = browser.get(path).content.decode()
        assert " style=" not in page and "<style" not in page
        assert not re.search(r"<script(?![^>]*\bsrc=)", page) and not re.search(r"\son[a-z]+=", page)


# --- overrides ------------------------------------------------------------------------------------------------
def override_form(**changes):
    return {
        "start_at": "2040-06-05T10:00",
        "end_at": "2040-06-05T12:00",
        "zone": "UTC",
        "user": "",
        "role": "PRIMARY",
        "replaces": "",
        "reason": "Dentist",
        **changes,
    }


def test_an_override_is_made_by_the_form_and_the_final_shift_changes(browser, schedule, alice, charlie):
    answer = browser.post("/schedules/shop-on-call/overrides", override_form(user=charlie.pk), follow=True)
    assert "Charlie is on call for Shop on call from Tue 5 Jun, 10:00 until Tue 5 Jun, 12:00 UTC." in words(answer)
    assert on_call(schedule, utc(5, 11)) == {charlie.pk}
    made = Override.objects.get()
    assert (made.created_by, made.reason) == (alice, "Dentist")
    page = browser.get("/schedules/shop-on-call?date=2040-06-05&view=day").content.decode()
    assert "Charlie, primary, Tue 5 Jun 10:00 – Tue 5 Jun 12:00" in page


@pytest.mark.parametrize(("zone", "start"), [("America/New_York", utc(5, 14)), ("Europe/Berlin", utc(5, 8))])
def test_times_are_those_of_the_zone_that_the_page_shows_and_never_of_the_browser(
    schedule, alice, charlie, zone, start
):
    """Known elsewhere as: the page read times in the browser's zone instead of the schedule's."""
    schedule.time_zone = "America/New_York"
    schedule.save()
    alice.time_zone = "Europe/Berlin"
    alice.save()
    name = "schedule" if zone == schedule.time_zone else "mine"
    client = browser_of(alice)
    form = client.get(f"/schedules/shop-on-call/overrides/new?zone={name}&start=2040-06-05T14:00Z").content.decode()
    assert f"From ({zone})" in form and f'name="zone" value="{zone}"' in form
    shown = start.replace(hour=14).astimezone(zoneinfo.ZoneInfo(zone))
    assert f'value="{shown:%Y-%m-%dT%H:%M}"' in form
    client.post("/schedules/shop-on-call/overrides", override_form(user=charlie.pk, zone=zone))
    assert Override.objects.get().start_at == start


def test_a_zone_that_changes_while_somebody_types_changes_nothing(browser, schedule, charlie):
    typed = override_form(user=charlie.pk, zone="America/New_York")
    schedule.time_zone = "Asia/Tokyo"
    schedule.save()
    browser.post("/schedules/shop-on-call/overrides", typed)
    assert Override.objects.get().start_at == utc(5, 14)


def test_an_hour_that_comes_twice_is_the_one_that_was_drawn_or_else_the_first(browser, schedule, charlie):
    # On 28 October 2040 the clock of Berlin shows 02:00 to 03:00 twice: from 00:00 and from 01:00 UTC.
    typed = override_form(
        user=charlie.pk, zone="Europe/Berlin", start_at="2040-10-28T02:30", end_at="2040-10-28T09:00"
    )
    browser.post("/schedules/shop-on-call/overrides", {**typed, "start_exact": "2040-10-28T01:30:00Z"})
    assert Override.objects.latest("pk").start_at == utc(28, 1, 30, month=10)
    browser.post("/schedules/shop-on-call/overrides", typed)
    assert Override.objects.latest("pk").start_at == utc(28, 0, 30, month=10)


def test_a_time_that_was_typed_over_a_drawn_one_counts(browser, schedule, charlie):
    typed = override_form(user=charlie.pk, start_exact="2040-06-04T10:00:00Z")
    browser.post("/schedules/shop-on-call/overrides", typed)
    assert Override.objects.get().start_at == utc(5, 10)


def test_a_time_that_the_clock_skips_is_the_moment_of_the_jump(browser, schedule, charlie):
    typed = override_form(
        user=charlie.pk, zone="Europe/Berlin", start_at="2040-03-25T02:30", end_at="2040-03-25T09:00"
    )
    browser.post("/schedules/shop-on-call/overrides", typed)
    assert Override.objects.get().start_at == utc(25, 1, month=3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"user": ""}, "Choose who takes over."),
        ({"user": "999999"}, "999999"),
        ({"start_at": ""}, "Choose a date and a time."),
        ({"start_at": "soon"}, "for example 2026-06-01 09:00"),
        ({"start_at": "9999-99-99T00:00"}, "for example 2026-06-01 09:00"),
        ({"end_at": "2040-06-05T09:00"}, "The override ends before it starts."),
        ({"start_at": "2020-01-01T00:00", "end_at": "2020-01-02T00:00"}, "This time is over"),
        ({"role": "BOSS"}, "BOSS"),
        ({"zone": "Mars/Olympus"}, "We do not know in which zone these times are."),
        ({"reason": "x" * 201}, "200"),
    ],
)
def test_what_is_wrong_is_said_in_the_form_and_nothing_that_was_typed_is_lost(
    browser, schedule, charlie, changes, sentence
):
    typed = override_form(
        user=str(charlie.pk), **{"reason": "To the dentist", **changes} if "user" not in changes else {}
    )
    typed |= changes
    answer = browser.post("/schedules/shop-on-call/overrides", typed)
    assert answer.status_code == 400
    assert sentence in words(answer)
    page = answer.content.decode()
    if "reason" not in changes:
        assert f'value="{typed["reason"]}"' in page
    if "start_at" not in changes:
        assert 'value="2040-06-05T10:00"' in page
    if typed["user"] == str(charlie.pk):
        assert f'value="{charlie.pk}" selected' in page
    assert not Override.objects.exists()


def test_somebody_who_is_not_on_call_then_cannot_be_replaced(browser, schedule, alice, bob, charlie):
    (there,) = on_call(schedule, utc(5, 11))
    absent = bob if there == alice.pk else alice
    answer = browser.post("/schedules/shop-on-call/overrides", override_form(user=charlie.pk, replaces=absent.pk))
    assert answer.status_code == 400
    assert f"{absent} is not on call in Shop on call then." in words(answer)


def test_a_dialog_gets_the_form_alone_and_a_browser_without_scripts_the_page(browser, schedule):
    path = "/schedules/shop-on-call/overrides/new"
    alone = browser.get(path, headers={"X-Fragment": "part"}).content.decode()
    assert "<form" in alone and "<html" not in alone
    assert "<html" in browser.get(path).content.decode()


def test_people_of_the_team_are_offered_first(browser, schedule, bob, charlie):
    factories.UserFactory(name="Olga", role=Role.OBSERVER)
    page = browser.get("/schedules/shop-on-call/overrides/new").content.decode()
    people = page[: page.index('name="role"')]
    assert people.index("Bob") < people.index("Everybody else") < people.index("Charlie")
    assert "Olga" not in people


def test_after_the_change_one_is_where_one_was_and_never_elsewhere(browser, schedule, charlie):
    here = "/schedules/shop-on-call?view=month"
    path = "/schedules/shop-on-call/overrides"
    assert browser.post(path, override_form(user=charlie.pk, next=here)).url == here
    for foreign in ("https://evil.example.com/", "//evil.example.com", "javascript:alert(1)"):
        assert browser.post(path, override_form(user=charlie.pk, next=foreign)).url.startswith(
            "/schedules/shop-on-call"
        )


def test_an_override_is_taken_back_after_a_question(browser, schedule, charlie):
    made = factories.OverrideFactory(schedule=schedule, user=charlie, start_at=utc(5, 10), end_at=utc(5, 12))
    path = f"/schedules/shop-on-call/overrides/{made.pk}"
    assert "Yes, take it back" in words(browser.get(path))
    assert browser.get(f"{path}/remove").status_code == 405
    assert "is taken back" in words(browser.post(f"{path}/remove", follow=True))
    assert not Override.objects.exists()
    assert browser.post(f"{path}/remove").status_code == 404


def test_an_override_that_is_over_stays(browser, schedule, charlie):
    past = timezone.now() - DAY
    made = factories.OverrideFactory(schedule=schedule, user=charlie, start_at=past - HOUR, end_at=past)
    path = f"/schedules/shop-on-call/overrides/{made.pk}"
    assert "history stays as it was" in words(browser.get(path))
    assert "history does not change" in words(browser.post(f"{path}/remove", follow=True))
    assert Override.objects.exists()


def test_an_override_of_another_schedule_is_not_found_here(browser, schedule):
    other = factories.OverrideFactory()
    assert browser.get(f"/schedules/shop-on-call/overrides/{other.pk}").status_code == 404
    assert browser.post(f"/schedules/shop-on-call/overrides/{other.pk}/remove").status_code == 404


# --- a shift --------------------------------------------------------------------------------------------------
def shift_path(user, at, **more):
    query = "&".join(f"{name}={value}" for name, value in {"role": "PRIMARY", **more}.items())
    return f"/schedules/shop-on-call/shift?user={user.pk}&at={at:%Y-%m-%dT%H:%M}Z&{query}"


@pytest.fixture
def turn(schedule, alice, bob):
    """Who has the week of MONDAY, and who has not."""
    (there,) = on_call(schedule, utc(5))
    return (alice, bob) if there == alice.pk else (bob, alice)


def test_a_shift_says_who_why_and_until_when(browser, schedule, turn):
    found = words(browser.get(shift_path(turn[0], utc(5))))
    assert f"{turn[0]}" in found
    assert "From Mon 04 Jun, 09:00 UTC" in found and "Until Mon 11 Jun, 09:00 UTC" in found
    assert "Why Shop on call, Layer 1" in found


def test_a_shift_by_an_override_says_instead_of_whom_and_leads_to_the_override(browser, schedule, turn, charlie):
    made = factories.OverrideFactory(
        schedule=schedule, user=charlie, replaces=turn[0], start_at=utc(5), end_at=utc(6), reason="Dentist"
    )
    answer = browser.get(shift_path(charlie, utc(5)))
    assert f"Instead of {turn[0]}" in words(answer) and "Dentist" in words(answer)
    assert f"/overrides/{made.pk}" in answer.content.decode()


def test_one_asks_for_cover_of_a_part_of_ones_own_shift(schedule, turn):
    client = browser_of(turn[0])
    assert "Ask for cover or a swap" in words(client.get(shift_path(turn[0], utc(5))))
    typed = override_form(kind="swap", asked=turn[1].pk, note="School play", at="2040-06-05T10:00Z")
    answer = client.post("/schedules/shop-on-call/requests", typed, follow=True)
    assert f"You asked {turn[1]} for a swap from Tue 5 Jun, 10:00" in words(answer)
    made = ShiftRequest.objects.get()
    assert (made.requester, made.asked, made.wants_return) == (turn[0], turn[1], True)
    assert (made.start_at, made.end_at, made.note) == (utc(5, 10), utc(5, 12), "School play")
    page = client.get("/schedules/shop-on-call?date=2040-06-05").content.decode()
    assert "asks for cover" in page


def test_what_is_wrong_with_a_request_is_said_beside_the_shift(schedule, turn):
    client = browser_of(turn[0])
    typed = override_form(
        kind="cover", asked="", note="School play", at="2040-06-05T10:00Z", end_at="2040-06-20T12:00"
    )
    answer = client.post("/schedules/shop-on-call/requests", typed)
    assert answer.status_code in (400, 409)
    page = answer.content.decode()
    assert '<details class="fold" open>' in page and 'value="School play"' in page
    assert not ShiftRequest.objects.exists()


def test_somebody_elses_shift_is_taken_in_part(schedule, turn):
    client = browser_of(turn[1])
    assert "Take this shift" in words(client.get(shift_path(turn[0], utc(5))))
    typed = override_form(user=turn[0].pk, at="2040-06-05T10:00Z")
    answer = client.post("/schedules/shop-on-call/shift/take", typed, follow=True)
    assert "You are on call for Shop on call" in words(answer)
    assert on_call(schedule, utc(5, 11)) == {turn[1].pk}
    assert on_call(schedule, utc(5, 12)) == {turn[0].pk}
    assert Override.objects.get().replaces == turn[0]


def test_what_is_wrong_with_taking_is_said_beside_the_shift(schedule, turn):
    typed = override_form(user=turn[0].pk, at="2040-06-05T10:00Z", end_at="2040-06-05T09:00")
    answer = browser_of(turn[1]).post("/schedules/shop-on-call/shift/take", typed)
    assert answer.status_code == 400
    assert "ends before it starts" in words(answer) and 'value="Dentist"' in answer.content.decode()


@pytest.mark.parametrize("role", ["", "BOSS"])
@pytest.mark.parametrize(("verb", "whose"), [("shift/take", 1), ("requests", 0)])
def test_a_role_that_is_none_is_never_taken_for_another(schedule, turn, verb, whose, role):
    typed = override_form(user=turn[0].pk, at="2040-06-05T10:00Z", role=role, kind="cover", asked="", note="")
    answer = browser_of(turn[whose]).post(f"/schedules/shop-on-call/{verb}", typed)
    assert answer.status_code == 404 and "This shift changed meanwhile" in words(answer)
    assert not Override.objects.exists() and not ShiftRequest.objects.exists()


@pytest.mark.parametrize(
    "query", ["", "?user=1", "?user=x&at=y&role=z", "?user=1&at=9999-12-31T23:59:59Z&role=PRIMARY"]
)
def test_a_shift_that_is_not_there_any_more_says_so(browser, schedule, query):
    answer = browser.get(f"/schedules/shop-on-call/shift{query}")
    assert answer.status_code == 404
    assert "changed meanwhile" in words(answer)


def test_observers_see_everything_and_change_nothing(schedule, turn, charlie):
    charlie.role = Role.OBSERVER
    charlie.save()
    client = browser_of(charlie)
    made = factories.OverrideFactory(schedule=schedule, user=turn[1], start_at=utc(5, 10), end_at=utc(5, 12))
    page = client.get("/schedules/shop-on-call?date=2040-06-05").content.decode()
    assert turn[0].name in page and "New override" not in page and "data-new" not in page
    shift = words(client.get(shift_path(turn[0], utc(6))))
    assert "Take this shift" not in shift and "Give it to somebody" not in shift
    assert "Take it back" not in words(client.get(f"/schedules/shop-on-call/overrides/{made.pk}"))
    assert client.get("/schedules/shop-on-call/overrides/new").status_code == 403
    for path in ("overrides", f"overrides/{made.pk}/remove", "requests", "shift/take"):
        assert client.post(f"/schedules/shop-on-call/{path}", override_form(user=charlie.pk)).status_code == 403
    assert Override.objects.count() == 1
