"""My shifts, who is on call and the coverage in a real browser."""

import datetime as dt

import pytest
from django.utils import timezone

from oncall import lookup, swaps
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
PATHS = ("/oncall", "/shifts", "/coverage")


@pytest.fixture
def midnight():
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def schedule(house, team, alice, bob, midnight):
    """Alice and Bob by turns, a day each in UTC; today Bob, tomorrow Alice. Checkout calls them."""
    found = factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])
    found.layers.update(unit="day", start_date=midnight.date() - DAY, handoff_time=dt.time(0, 0))
    policy = factories.EscalationPolicyFactory(name="Shop", slug="shop", team=team, calls=[found, alice])
    factories.ServiceFactory(name="Checkout", slug="checkout", team=team, policy=policy)
    return found


@pytest.fixture
def wish(schedule, alice, midnight):
    """Alice asks for cover of tomorrow."""
    span = {"start_at": midnight + DAY, "end_at": midnight + 2 * DAY}
    return swaps.ask(schedule.pk, requester=alice, note="Dentist", now=timezone.now(), **span)


def test_taking_a_part_of_a_shift_that_somebody_asks_cover_for(open_page, wish, schedule, bob, midnight):
    page = open_page("/shifts", bob)
    row = page.locator(f"#request-{wish.uuid}")
    expect(row).to_contain_text("Dentist")
    row.get_by_text("Take a part").click()
    until = row.get_by_label("Until (UTC)").first
    until.fill(f"{midnight + DAY - HOUR:%Y-%m-%dT%H:%M}")
    row.get_by_role("button", name="Take this part").click()
    expect(page.get_by_text("Choose a later end")).to_be_visible()  # and the form is still open, with what was typed
    expect(until).to_have_value(f"{midnight + DAY - HOUR:%Y-%m-%dT%H:%M}")
    until.fill(f"{midnight + DAY + 8 * HOUR:%Y-%m-%dT%H:%M}")
    row.get_by_role("button", name="Take this part").click()
    expect(page.get_by_text("The shift is yours.")).to_be_visible()
    expect(row).to_contain_text("Still open")
    assert [one.user_id for one in lookup.who(schedule, at=midnight + DAY + HOUR)] == [bob.pk]


def test_asking_for_cover_of_a_shift_of_mine(open_page, schedule, alice, bob):
    page = open_page("/shifts", alice)
    page.get_by_role("link", name="Ask for cover").first.click()
    page.get_by_text("Ask for cover or a swap").click()
    page.get_by_label("Note").fill("Dentist")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("My shifts")
    expect(page.get_by_text("You ask the team Shop for cover")).to_be_visible()
    expect(open_page("/shifts", bob).get_by_text("Dentist")).to_be_visible()


def test_a_feed_is_made_copied_and_revoked_after_a_question(open_page, schedule, bob):
    page = open_page("/shifts", bob, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("Make a feed").click()
    page.get_by_label("Name").fill("phone")
    page.get_by_role("button", name="Make the address").click()
    address = page.get_by_label("Secret address").input_value()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == address
    assert "BEGIN:VEVENT" in page.request.get(address).text()
    page.get_by_role("link", name="I have it").click()
    page.get_by_role("link", name="Revoke phone").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("its address shows nothing any more")).to_be_visible()
    assert page.request.get(address).status == 404


def test_without_scripts_i_say_that_i_am_away_and_back(open_page, schedule, bob, midnight):
    page = open_page("/oncall", bob, java_script_enabled=False)
    page.get_by_text("I am busy, offline or away").click()
    page.get_by_label("I am", exact=True).select_option("away")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Say until when you are away.")).to_be_visible()
    page.get_by_label("Until (UTC)").fill(f"{midnight + 2 * DAY:%Y-%m-%dT%H:%M}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("You are skipped while anybody else can be called.").first).to_be_visible()
    expect(page.locator(".on-call", has_text="Bob").first).to_contain_text("Away")
    page.get_by_role("button", name="I am available").click()
    expect(page.get_by_role("status")).to_have_text("You are available: you are called when it is your turn.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(open_page, wish, alice, bob, scheme):
    alice.is_staff = True  # so that the bar has all its links
    alice.save()
    swaps.offer(wish.pk, user=bob, now=timezone.now())
    for user in (alice, bob):
        for path in PATHS:
            page = open_page(path, user, viewport={"width": 390, "height": 844}, color_scheme=scheme)
            for fold in page.locator("details").all():
                fold.evaluate("one => one.open = true")
            assert page.evaluate("document.documentElement.scrollWidth") == 390, path
            tops = page.locator(".nav a").evaluate_all("links => links.map((one) => one.offsetTop)")
            assert len(set(tops)) == 1, "the bar is one line"
            page.context.close()


def test_a_strict_content_security_policy_breaks_nothing(open_page, house, wish, bob):
    page = open_page("/oncall", bob)
    with strict(page):
        for path in PATHS:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
