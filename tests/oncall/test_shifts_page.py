"""My shifts: what I have, what others ask of me and I of them, time off and calendar feeds."""

import datetime as dt
import re
import zoneinfo

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from oncall import lookup, rotation, swaps
from oncall.models import CalendarFeed, Offer, ShiftRequest, TimeOff
from tests import factories

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def text_of(answer):
    content = answer.content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content[content.index("<main") :]))


@pytest.fixture
def sign_in(db):
    def sign_in(user):
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def midnight():
    """Today at midnight in UTC; handoffs are then."""
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def schedule(team, alice, bob, midnight):
    """Alice and Bob by turns, a day each in UTC; today Bob, tomorrow Alice."""
    found = factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])
    found.layers.update(unit="day", start_date=midnight.date() - DAY, handoff_time=dt.time(0, 0))
    return found


@pytest.fixture
def ask(schedule, alice, midnight):
    """Alice asks for cover of tomorrow."""

    def ask(**fields):
        span = {"start_at": midnight + DAY, "end_at": midnight + 2 * DAY}
        return swaps.ask(schedule.pk, requester=alice, now=timezone.now(), **span | fields)

    return ask


def who(schedule, at):
    return [one.user_id for one in lookup.who(schedule, at=at)]


def local(at):
    return f"{at:%Y-%m-%dT%H:%M}"


# --- what I have ----------------------------------------------------------------------------------------------
def test_it_says_that_i_am_on_call_until_when_and_who_is_next(schedule, sign_in, bob, midnight):
    text = text_of(sign_in(bob).get("/shifts"))
    tomorrow = f"{midnight + DAY:%a %d %b}, 00:00 UTC"
    assert re.search(rf"You are on call now Shop on call Primary until {tomorrow} \( in .*? \) , then Alice", text)
    assert re.search(rf"Your next shift: Shop on call Primary from {midnight + 2 * DAY:%a %d %b}, 00:00 UTC", text)
    assert text.count("Ask for cover") == 31  # today, and every second day


def test_it_says_when_my_next_and_my_last_shift_are(schedule, sign_in, alice, midnight):
    text = text_of(sign_in(alice).get("/shifts"))
    assert "You are not on call now" in text
    assert f"Your last shift: Shop on call, it ended {midnight:%a %d %b}, 00:00 UTC" in text


def test_times_are_in_my_zone(schedule, sign_in, bob, midnight):
    bob.time_zone = "Asia/Kathmandu"
    bob.save()
    assert ", 05:45 +0545" in text_of(sign_in(bob).get("/shifts"))


def test_a_long_shift_is_shown_whole(team, sign_in, charlie, midnight):
    found = factories.ScheduleFactory(team=team)
    factories.FixedShiftFactory(schedule=found, user=charlie, start_at=midnight - 9 * DAY, end_at=midnight + 70 * DAY)
    text = text_of(sign_in(charlie).get("/shifts"))
    assert f"{midnight - 9 * DAY:%a %d %b}, 00:00 UTC to {midnight + 70 * DAY:%a %d %b}" in text
    assert "then nobody" in text


def test_a_shift_without_an_end_in_sight(team, sign_in, charlie):
    factories.ScheduleFactory(team=team, people=[charlie]).layers.update(unit="month", every=12)
    assert "no end in sight" in text_of(sign_in(charlie).get("/shifts"))


def test_a_shadow_is_told_that_they_are_not_called(team, sign_in, charlie):
    factories.LayerFactory(schedule=factories.ScheduleFactory(team=team), role="SHADOW", people=[charlie])
    assert "you watch and learn, and are not called" in text_of(sign_in(charlie).get("/shifts"))


def test_who_cannot_be_reached_is_told_loudly(schedule, sign_in, bob):
    bob.contact_methods.all().delete()
    assert "you have no verified contact method" in text_of(sign_in(bob).get("/shifts"))


def test_who_has_no_shift_is_told_so(sign_in, charlie):
    assert "No shift in the next 60 days" in text_of(sign_in(charlie).get("/shifts"))


def test_very_many_shifts_are_cut(team, sign_in, charlie):
    factories.ScheduleFactory(team=team, people=[charlie]).layers.update(unit="hour", every=12)
    text = text_of(sign_in(charlie).get("/shifts"))
    assert text.count("Ask for cover") == 100 and "And 21 more." in text


def test_each_shift_leads_to_where_one_asks_for_cover(schedule, sign_in, bob):
    client = sign_in(bob)
    url = re.search(r'href="(/schedules/shop-on-call/shift\?[^"]+)"', client.get("/shifts").content.decode())
    answer = client.get(url[1].replace("&amp;", "&"))
    assert answer.status_code == 200 and b"Ask for cover" in answer.content


# --- what others ask of me ------------------------------------------------------------------------------------
def test_taking_all_of_it(schedule, ask, sign_in, bob, midnight):
    wish = ask(note="Dentist")
    client = sign_in(bob)
    text = text_of(client.get("/shifts"))
    assert "Alice asks the team Shop: Shop on call" in text and "Dentist" in text
    answer = client.post(f"/shifts/requests/{wish.uuid}/take", follow=True)
    assert "The shift is yours." in text_of(answer)
    assert who(schedule, midnight + DAY + HOUR) == [bob.pk]


def test_taking_a_part_in_my_own_zone(schedule, ask, sign_in, bob, midnight):
    bob.time_zone = "Asia/Tokyo"
    bob.save()
    wish, client = ask(), sign_in(bob)
    assert "From (Asia/Tokyo)" in text_of(client.get("/shifts"))
    part = {"start_at": local(midnight + DAY + 9 * HOUR), "end_at": local(midnight + DAY + 13 * HOUR)}
    assert "The shift is yours." in text_of(client.post(f"/shifts/requests/{wish.uuid}/take", part, follow=True))
    offer = wish.offers.get()
    assert (offer.start_at, offer.end_at) == (midnight + DAY, midnight + DAY + 4 * HOUR)
    text = text_of(client.get("/shifts"))
    assert "Still open:" in text and "Take what is left" in text


@pytest.mark.parametrize(
    ("hours", "sentence"),
    [
        ((30, 26), "Choose a later end"),
        ((10, 26), "within the one that is asked for"),
        ((26, 60), "within the one that is asked for"),
    ],
)
def test_a_part_that_is_wrong_is_refused_and_stays_typed(ask, sign_in, bob, midnight, hours, sentence):
    wish = ask()
    part = dict(zip(("start_at", "end_at"), (local(midnight + one * HOUR) for one in hours), strict=True))
    answer = sign_in(bob).post(f"/shifts/requests/{wish.uuid}/take", part)
    content = answer.content.decode()
    assert answer.status_code == 400 and sentence in content
    assert f'value="{part["start_at"]}"' in content and f'value="{part["end_at"]}"' in content
    assert f'<details class="fold" id="take-{wish.uuid}" open>' in content
    assert not Offer.objects.exists()


def test_a_time_that_is_none_is_said_at_the_field(ask, sign_in, bob):
    wish = ask()
    answer = sign_in(bob).post(f"/shifts/requests/{wish.uuid}/take", {"start_at": "soon", "end_at": ""})
    assert answer.status_code == 400
    assert b"Write a date and a time" in answer.content and b"Choose a date and a time." in answer.content


def test_who_is_too_late_is_told_who_was_faster(ask, sign_in, bob, charlie):
    wish = ask()
    swaps.take(wish.pk, user=charlie, now=timezone.now())
    answer = sign_in(bob).post(f"/shifts/requests/{wish.uuid}/take", follow=True)
    assert "Charlie has taken this already." in text_of(answer)


@pytest.mark.parametrize("verb", ["take", "offer"])
def test_who_is_too_late_with_a_form_is_told_why_where_the_form_is_gone(ask, sign_in, bob, charlie, midnight, verb):
    """Somebody has taken it while the form was open."""
    wish, his = ask(), sign_in(bob)
    form = re.search(r'value="([^"|]+\|[^"]+)"', his.get("/shifts").content.decode())
    part = {"start_at": local(midnight + DAY), "end_at": local(midnight + DAY + HOUR), "returned": form[1]}
    swaps.take(wish.pk, user=charlie, now=timezone.now())
    answer = his.post(f"/shifts/requests/{wish.uuid}/{verb}", part)
    assert answer.status_code == 400
    assert "Charlie has taken this already." in text_of(answer)


def test_offering_a_shift_in_return(schedule, ask, sign_in, alice, bob, midnight):
    wish, client = ask(wants_return=True), sign_in(bob)
    content = client.get("/shifts").content.decode()
    assert "wants a shift in return" in content and "Take all of it" not in content
    (value,) = re.findall(rf'value="([^"]+)">{midnight + 2 * DAY:%a %d %b} 00:00 to', content)
    span = {"start_at": local(midnight + DAY), "end_at": local(midnight + 2 * DAY)}
    form = {"returned": value, "note": "Deal?", **span}
    assert "Alice is told" in text_of(client.post(f"/shifts/requests/{wish.uuid}/offer", form, follow=True))
    text = text_of(client.get("/shifts"))
    assert "Alice has not answered yet" in text and "In return Alice takes Shop on call from you" in text
    offer = wish.offers.get()
    text = text_of(sign_in(alice).get("/shifts"))
    assert "Bob would take" in text and "In return you take Shop on call from Bob" in text and "Deal?" in text
    assert "Done: Bob takes the shift." in text_of(
        sign_in(alice).post(f"/shifts/offers/{offer.uuid}/accept", follow=True)
    )
    assert who(schedule, midnight + DAY + HOUR) == [bob.pk]
    assert who(schedule, midnight + 2 * DAY + HOUR) == [alice.pk]
    text = text_of(sign_in(alice).get("/shifts"))
    assert "by a swap with Bob" in text


def test_a_swap_needs_a_shift_of_mine(ask, sign_in, bob, midnight):
    wish, client = ask(wants_return=True), sign_in(bob)
    form = {"start_at": local(midnight + DAY), "end_at": local(midnight + 2 * DAY), "note": "Deal?"}
    answer = client.post(f"/shifts/requests/{wish.uuid}/offer", form)
    assert answer.status_code == 400 and b"Choose a shift of yours." in answer.content
    assert b'value="Deal?"' in answer.content
    answer = client.post(f"/shifts/requests/{wish.uuid}/offer", {**form, "returned": "1|PRIMARY|x|y"})
    assert answer.status_code == 400 and b"Select a valid choice" in answer.content


def test_a_request_to_one_person_is_shown_to_that_one_only(ask, sign_in, bob, charlie, team):
    ask(asked=charlie)
    assert "Others ask for cover" not in text_of(sign_in(bob).get("/shifts"))
    text = text_of(sign_in(charlie).get("/shifts"))
    assert "Alice asks you : Shop on call" in text


def test_strangers_are_not_asked(ask, sign_in, charlie):
    ask()
    assert "Others ask for cover" not in text_of(sign_in(charlie).get("/shifts"))


def test_withdrawing_an_offer(ask, sign_in, bob, charlie):
    wish = ask()
    mine, other = (swaps.offer(wish.pk, user=user, now=timezone.now()) for user in (bob, charlie))
    assert "Withdraw" in text_of(sign_in(charlie).get("/shifts"))  # no longer asked, and still an offer of theirs
    client = sign_in(bob)
    assert "withdrawn" in text_of(client.post(f"/shifts/offers/{mine.uuid}/withdraw", follow=True))
    assert "Only Charlie can withdraw" in text_of(client.post(f"/shifts/offers/{other.uuid}/withdraw", follow=True))


def test_saying_no_to_somebody_who_asks_me_by_name(ask, sign_in, alice, bob, charlie):
    wish = ask(asked=bob)
    path = f"/shifts/requests/{wish.uuid}/decline"
    assert path not in sign_in(charlie).get("/shifts").content.decode()
    assert "Only who is asked by name can say no" in text_of(sign_in(charlie).post(path, follow=True))
    client = sign_in(bob)
    assert path in client.get("/shifts").content.decode()
    assert "Alice is told that you cannot take it." in text_of(client.post(path, follow=True))
    assert path not in client.get("/shifts").content.decode()
    assert "Declined" in text_of(sign_in(alice).get("/shifts"))


# --- what I ask -----------------------------------------------------------------------------------------------
def test_declining_and_cancelling(ask, sign_in, alice, bob):
    wish = ask()
    offer = swaps.offer(wish.pk, user=bob, now=timezone.now())
    client = sign_in(alice)
    assert "is declined" in text_of(client.post(f"/shifts/offers/{offer.uuid}/decline", follow=True))
    assert "is cancelled" in text_of(client.post(f"/shifts/requests/{wish.uuid}/cancel", follow=True))
    text = text_of(client.get("/shifts"))
    assert "Cancelled" in text and "Cancel the request" not in text


def test_only_the_requester_cancels(ask, sign_in, bob):
    wish = ask()
    assert "Only Alice can cancel" in text_of(sign_in(bob).post(f"/shifts/requests/{wish.uuid}/cancel", follow=True))
    wish.refresh_from_db()
    assert wish.state == ShiftRequest.State.OPEN


def test_an_admin_of_the_team_approves(schedule, team, ask, sign_in, bob, midnight):
    schedule.swaps_need_approval = True
    schedule.save()
    lead = factories.MembershipFactory(team=team, user__name="Dora", role=Role.ADMIN).user
    wish = ask()
    answer = sign_in(bob).post(f"/shifts/requests/{wish.uuid}/take", follow=True)
    assert "It counts when an admin of the team has approved it." in text_of(answer)
    assert "Waiting for your approval" not in text_of(sign_in(bob).get("/shifts"))
    client = sign_in(lead)
    text = text_of(client.get("/shifts"))
    assert "Waiting for your approval Bob takes a shift of Alice in Shop on call" in text
    offer = wish.offers.get()
    assert "Done: Bob takes the shift." in text_of(client.post(f"/shifts/offers/{offer.uuid}/approve", follow=True))
    assert who(schedule, midnight + DAY + HOUR) == [bob.pk]


# --- time off -------------------------------------------------------------------------------------------------
def test_time_off_is_typed_in_my_zone_across_a_clock_change(sign_in, bob):
    bob.time_zone = "Europe/Berlin"
    bob.save()
    client = sign_in(bob)
    year = timezone.now().year + 1
    form = {"start_at": f"{year}-01-15T09:00", "end_at": f"{year}-07-15T09:00", "reason": "Sabbatical"}
    assert "Your time off is noted." in text_of(client.post("/shifts/time-off", form, follow=True))
    made = TimeOff.objects.get()
    assert (made.start_at.hour, made.end_at.hour, made.created_by) == (8, 7, bob)
    assert "Sabbatical" in text_of(client.get("/shifts"))
    assert "is removed" in text_of(client.post(f"/shifts/time-off/{made.uuid}/remove", follow=True))
    assert not TimeOff.objects.exists()


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Choose a date and a time."),
        ({"start_at": "2099-01-02T00:00", "end_at": "2099-01-01T00:00"}, "Choose a later end."),
        ({"start_at": "2020-01-02T00:00", "end_at": "2020-01-03T00:00"}, "This time is over"),
        ({"start_at": "\0", "end_at": "0001-01-01T00:00"}, "Write a date and a time"),
        ({"start_at": "2099-01-02T00:00+02:00", "end_at": "99999-01-01T00:00"}, "Write a date and a time"),
    ],
)
def test_time_off_that_is_wrong_is_refused_and_stays_typed(sign_in, bob, form, sentence):
    answer = sign_in(bob).post("/shifts/time-off", {**form, "reason": "<Sabbatical>"})
    assert answer.status_code == 400 and sentence in answer.content.decode()
    assert b'value="&lt;Sabbatical&gt;"' in answer.content and not TimeOff.objects.exists()


def test_nobody_removes_the_time_off_of_others(sign_in, alice, bob):
    soon = timezone.now() + DAY
    other = factories.TimeOffFactory(user=alice, start_at=soon, end_at=soon + DAY)
    assert sign_in(bob).post(f"/shifts/time-off/{other.uuid}/remove").status_code == 404
    assert TimeOff.objects.exists()


def test_a_shift_in_my_time_off_says_so(schedule, sign_in, bob, midnight):
    factories.TimeOffFactory(user=bob, start_at=midnight + 2 * DAY, end_at=midnight + 3 * DAY)
    assert "you have time off then: ask for cover" in text_of(sign_in(bob).get("/shifts"))


# --- feeds ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("subject", "shown"), [("mine", "your shifts"), ("team:shop", "Shop"), ("schedule:shop-on-call", "Shop on call")]
)
def test_a_feed_shows_its_address_once_and_works(schedule, sign_in, bob, client, subject, shown):
    his = sign_in(bob)
    answer = his.post("/shifts/feeds", {"subject": subject, "name": "phone"})
    assert answer.status_code == 201 and shown in text_of(answer)
    assert "no-store" in answer.headers["Cache-Control"]
    address = re.search(r'value="([^"]+)" readonly', answer.content.decode())[1]
    path = "/" + address.split("/", 3)[3]
    assert b"BEGIN:VEVENT" in client.get(path).content
    page = his.get("/shifts").content.decode()
    assert "phone" in page and path.rsplit("/", 1)[-1].removesuffix(".ics") not in page


def test_revoking_a_feed_asks_first(schedule, sign_in, bob, alice):
    client = sign_in(bob)
    client.post("/shifts/feeds", {"subject": "mine", "name": "phone"})
    feed = CalendarFeed.objects.get()
    path = f"/shifts/feeds/{feed.uuid}/revoke"
    assert f'href="{path}"' in client.get("/shifts").content.decode()
    assert "Revoke this calendar feed?" in text_of(client.get(path))
    assert sign_in(alice).post(path).status_code == 404
    feed.refresh_from_db()
    assert feed.revoked_at is None
    assert "The feed is revoked" in text_of(client.post(path, follow=True))
    feed.refresh_from_db()
    assert feed.revoked_at and client.get(path).status_code == 404


def test_a_feed_of_something_unknown_is_refused(sign_in, bob):
    answer = sign_in(bob).post("/shifts/feeds", {"subject": "team:nonsense", "name": "my phone"})
    assert answer.status_code == 400 and b"Select a valid choice" in answer.content and b"my phone" in answer.content


# --- what is next, as a part of my settings -------------------------------------------------------------------
def part(client):
    answer = client.get("/shifts/next", headers={"X-Fragment": "panel"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_part_says_what_is_next_and_that_i_am_available(schedule, sign_in, bob):
    page = part(sign_in(bob))
    assert "<html" not in page and page.count("<li") == 3
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert text.startswith("Available You are called when it is your turn.")
    assert re.search(r"Shop on call Primary Now until .*?, then Alice Shop on call Primary", text)
    assert re.search(r"All my shifts \( \d+ more\)|All my shifts \(\d+ more\)", text)
    assert "Your shifts are in no calendar yet." in text


def test_the_part_changes_availability_and_leads_back_to_the_settings(sign_in, bob):
    client = sign_in(bob)
    assert "No shift in the next 60 days." in part(client)
    answer = client.post("/oncall/availability", {"status": "busy", "back": "settings"})
    assert answer.status_code == 302 and answer.headers["Location"] == "/settings"
    page = part(client)
    assert "You are skipped while anybody else can be called." in page and "I am available" in page


def test_the_part_lists_my_calendar_feeds_without_their_addresses(schedule, sign_in, bob, alice):
    client = sign_in(bob)
    made = client.post("/shifts/feeds", {"subject": "mine"}).content.decode()
    secret = re.search(r"/ical/([^\"]+)\.ics", made)[1]
    page = part(client)
    assert f'href="/shifts/feeds/{CalendarFeed.objects.get().uuid}/revoke"' in page and "never read" in page
    assert secret not in page
    assert "/revoke" not in part(sign_in(alice))


def test_without_scripts_the_part_is_the_page_of_my_shifts(sign_in, bob, client):
    answer = sign_in(bob).get("/shifts/next")
    assert answer.status_code == 302 and answer.headers["Location"] == "/shifts"
    assert "/login" in client.get("/shifts/next").headers["Location"]


# --- the edges ------------------------------------------------------------------------------------------------
def paths(wish, offer):
    return [
        f"/shifts/requests/{wish.uuid}/take",
        f"/shifts/requests/{wish.uuid}/offer",
        f"/shifts/requests/{wish.uuid}/cancel",
        f"/shifts/requests/{wish.uuid}/decline",
        f"/shifts/offers/{offer.uuid}/accept",
        "/shifts/time-off",
        "/shifts/feeds",
    ]


def test_observers_change_nothing_and_may_have_a_feed_of_what_they_read(ask, team, sign_in, bob):
    wish = ask()
    offer = swaps.offer(wish.pk, user=bob, now=timezone.now())
    olga = factories.MembershipFactory(team=team, user__role=Role.OBSERVER, role=Role.OBSERVER).user
    client = sign_in(olga)
    content = client.get("/shifts").content.decode()
    assert "Others ask for cover" in content
    assert set(re.findall(r'action="(/shifts[^"]*)"', content)) == {"/shifts/feeds"}
    for path in set(paths(wish, offer)) - {"/shifts/feeds"}:
        assert client.post(path).status_code == 403, path
    assert client.post("/shifts/feeds", {"subject": "mine"}).status_code == 201
    feed = CalendarFeed.objects.get(owner=olga)
    assert client.post(f"/shifts/feeds/{feed.uuid}/revoke").status_code == 302


def test_verbs_need_a_post_and_the_token_of_their_form(ask, bob):
    wish = ask()
    offer = swaps.offer(wish.pk, user=bob, now=timezone.now())
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(bob)
    for path in paths(wish, offer):
        assert strict.get(path).status_code == 405, path
        assert strict.post(path).status_code == 403, path


def test_what_is_not_there_is_not_found(ask, sign_in, bob):
    wish = ask()
    offer = swaps.offer(wish.pk, user=bob, now=timezone.now())
    client = sign_in(bob)
    assert client.post(f"/shifts/offers/{offer.uuid}/steal").status_code == 404
    assert client.post(f"/shifts/offers/{wish.uuid}/accept").status_code == 404
    assert client.post(f"/shifts/requests/{offer.uuid}/take").status_code == 404


def test_it_asks_who_you_are(client, db):
    assert client.get("/shifts").headers["Location"] == "/login?next=/shifts"
    assert client.post("/shifts/time-off").headers["Location"].startswith("/login")


def test_what_people_write_is_shown_as_text(ask, sign_in, bob):
    ask(note="<script>alert(1)</script>")
    content = sign_in(bob).get("/shifts").content
    assert b"<script>alert" not in content and b"&lt;script&gt;" in content


def test_it_needs_no_inline_scripts_or_foreign_addresses(schedule, ask, sign_in, bob):
    ask()
    client = sign_in(bob)
    made = client.post("/shifts/feeds", {"subject": "mine"}).content.decode()
    for content in (client.get("/shifts").content.decode(), made):
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", content)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", content)


def test_it_costs_the_same_for_one_request_and_for_many(
    schedule, ask, alice, bob, sign_in, midnight, django_assert_max_num_queries
):
    def add(days):
        for number in days:
            wish = ask(start_at=midnight + number * DAY, end_at=midnight + (number + 1) * DAY)
            swaps.offer(wish.pk, user=bob, now=timezone.now())

    client = sign_in(bob)
    add([1])
    with django_assert_max_num_queries(40) as few:
        client.get("/shifts")
    add([3, 5, 7])
    with django_assert_max_num_queries(len(few)):
        assert client.get("/shifts").status_code == 200


def test_a_field_that_is_left_alone_means_the_very_moment(ask, schedule, sign_in, alice, bob):
    """An hour that the clock shows twice: the second one is not the first."""
    tz = zoneinfo.ZoneInfo("Europe/Berlin")
    bob.time_zone = tz.key
    bob.save()
    year = timezone.now().year + 1
    # The last Sunday of October; at 01:00 UTC it is 02:00 for the second time.
    second = dt.datetime(year, 10, 31, 1, tzinfo=dt.UTC)
    second -= dt.timedelta(days=(second.weekday() + 1) % 7)
    assert rotation.moment(rotation.wall_clock(second, tz).replace(fold=0), tz) == second - HOUR
    factories.FixedShiftFactory(schedule=schedule, user=alice, start_at=second, end_at=second + 9 * HOUR)
    wish = ask(start_at=second, end_at=second + 9 * HOUR)
    shown = {"start_at": local(second.astimezone(tz)), "end_at": local((second + 9 * HOUR).astimezone(tz))}
    sign_in(bob).post(f"/shifts/requests/{wish.uuid}/take", shown)
    assert wish.offers.get().start_at == second
