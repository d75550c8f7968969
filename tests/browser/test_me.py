"""A person's own page in a real browser: what is next for them, and the picture of how they are paged."""

import datetime as dt

import pytest
from django.utils import timezone

from notifications.models import NotificationRule
from oncall.models import Availability
from tests import factories
from tests.browser.stage import expect

PATH = "/settings"


@pytest.fixture
def dora(house, team):
    """Dora is on call from yesterday on; she has a mail address and a browser, and one rule."""
    dora = factories.UserFactory(name="Dora", email="dora@example.com", time_zone="Europe/Berlin")
    factories.MembershipFactory(team=team, user=dora)
    mail = factories.ContactMethodFactory(user=dora)
    factories.ContactMethodFactory(
        user=dora, channel="webpush", address="https://push.example.com/1", label="Firefox on Android"
    )
    factories.NotificationRuleFactory(user=dora, contact_method=mail)
    schedule = factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[dora])
    schedule.layers.update(start_date=timezone.now().date() - dt.timedelta(days=1))
    return dora


def test_what_is_next_arrives_by_itself_and_availability_is_one_press(open_page, dora):
    page = open_page(PATH, dora)
    card = page.get_by_role("region", name="On call", exact=True)
    expect(card).to_contain_text("Shop on call")
    expect(card).to_contain_text("You are called when it is your turn.")
    card.get_by_role("button", name="I am busy").click()
    expect(card).to_contain_text("You are skipped while anybody else can be called.")
    assert Availability.objects.get().status == Availability.Status.BUSY
    card.get_by_role("button", name="I am available").click()
    expect(card).to_contain_text("You are called when it is your turn.")
    card.get_by_role("button", name="Make an address of my shifts").click()
    address = page.get_by_label("Secret address").input_value()
    assert "BEGIN:VCALENDAR" in page.request.get(address).text()
    page.goto(PATH)
    expect(card.get_by_role("link", name="Revoke")).to_be_visible()


def test_the_picture_follows_the_rules(open_page, dora):
    page = open_page(PATH, dora)
    high = page.locator("#rules-high")
    expect(high.locator(".picture-steps > li")).to_have_count(2)  # at once, and what comes then
    expect(high).to_contain_text("Only one address is used")
    high.get_by_text("Add a rule").click()
    high.get_by_label("Minutes after the page").fill("5")
    high.locator("select").select_option(str(dora.contact_methods.get(channel="webpush").pk))
    high.get_by_role("button", name="Add the rule").click()
    expect(high.locator(".picture-steps > li")).to_have_count(3)
    expect(high.locator(".picture-steps > li").nth(1)).to_contain_text("After 5 min")
    expect(high).not_to_contain_text("Only one address is used")
    assert NotificationRule.objects.filter(user=dora, delay_minutes=5).exists()


def test_the_zone_of_this_device_is_offered_and_the_list_knows_every_zone(open_page, dora):
    page = open_page(PATH, dora, timezone_id="Asia/Tokyo")
    zone = page.get_by_label("Time zone")
    assert page.locator("#zones option[value='America/New_York']").count() == 1
    page.get_by_role("button", name="Use the zone of this device: Asia/Tokyo").click()
    expect(zone).to_have_value("Asia/Tokyo")
    page.get_by_role("button", name="Save the profile").click()
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    dora.refresh_from_db()
    assert dora.time_zone == "Asia/Tokyo"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_with_all_its_parts(open_page, dora, scheme):
    page = open_page(PATH, dora, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    expect(page.get_by_role("link", name="Remove push to Firefox on Android")).to_be_visible()
    expect(page.get_by_role("region", name="On call", exact=True)).to_contain_text("All my shifts")
    for fold in page.locator("details").all():
        fold.evaluate("one => one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
