"""How readers subscribe to a status page and partners come in, in a browser, with axe looking."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from notifications.models import Notification
from statuspages import copying
from statuspages.models import Audience, Subscriber
from tests import factories
from tests.browser.stage import expect
from tests.browser.test_accessibility import complaints

SCREENS = {
    "desk, light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "phone, dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def shop(house, service):
    """A page that everybody may read."""
    page = factories.StatusPageFactory(slug="shop", name="Example Shop", audience=Audience.PUBLIC)
    factories.ComponentFactory(page=page, name="Checkout", services=[service])
    factories.ComponentFactory(page=page, name="Search")
    copying.refresh(page.pk, now=timezone.now())
    return page


@pytest.fixture
def look(axe):
    """Whether axe complains of what is shown now, or whether it is wider than the screen."""

    def look(page):
        assert complaints(page, axe) == [], page.url
        wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1], page.url

    return look


def path_of(link):
    return re.sub(r"^https?://[^/]+", "", link)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_reader_subscribes_changes_their_mind_and_leaves(open_page, shop, look, screen):
    page = open_page("/status/shop/subscribe", **SCREENS[screen])
    look(page)
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page)
    page.get_by_label("Address").fill("reader@elsewhere.example")
    page.get_by_label("Only these").check()
    page.get_by_label("Search").check()
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("heading", name="Look for our message")).to_be_visible()
    look(page)
    (row,) = Subscriber.objects.all()
    page.goto(path_of(Notification.objects.get().message["url"]))
    look(page)
    assert not Subscriber.objects.told().exists()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="You are subscribed")).to_be_visible()
    look(page)
    page.locator("main").get_by_role("link", name=re.compile("Change|Manage|subscription", re.IGNORECASE)).click()
    expect(page.get_by_label("Search")).to_be_checked()
    look(page)
    page.get_by_label("Checkout").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    look(page)
    assert {one.name for one in row.components.all()} == {"Checkout", "Search"}
    page.get_by_role("link", name="Unsubscribe").click()
    look(page)
    assert Subscriber.objects.told().exists()
    page.get_by_role("button", name="Unsubscribe").click()
    page.wait_for_load_state()
    look(page)
    assert not Subscriber.objects.told().exists()
    page.goto("/status/shop/subscribe/none")
    look(page)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_partner_comes_in_reads_and_goes(open_page, house, look, screen):
    now = timezone.now()
    trade = factories.StatusPageFactory(slug="trade", name="For traders", audience=Audience.PARTNERS)
    copying.refresh(trade.pk, now=now)
    dana = factories.PartnerFactory(name="Dana", email="dana@elsewhere.example", pages=[trade])
    factories.PartnerSessionFactory(partner=dana, created_at=now)
    factories.MagicLinkFactory(partner=dana, token="a-link", created_at=now, expires_at=now + 15 * MINUTE)
    page = open_page("/status/partner", **SCREENS[screen])
    look(page)
    page.get_by_label("Email").fill("dana@elsewhere.example")
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_role("status")).to_contain_text("a mail with a link is on its way")
    look(page)
    assert page.goto("/status/trade").status == 404
    page.goto("/status/link/a-link")
    look(page)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("For traders")
    page.goto("/status/partner")
    expect(page.get_by_role("link", name="For traders")).to_be_visible()
    look(page)
    page.get_by_role("button", name=re.compile("^End the session of")).click()
    expect(page.get_by_role("button", name=re.compile("^End the session of"))).to_have_count(0)
    page.get_by_role("button", name="Sign out").last.click()
    expect(page.get_by_role("button", name="Send me a link")).to_be_visible()
    assert page.goto("/status/link/a-link").status == 410
    look(page)
