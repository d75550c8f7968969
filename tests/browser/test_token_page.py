"""A person's tokens in a real browser: one is made, copied by hand, and revoked."""

from django.utils import timezone

from accounts import keys
from tests import factories
from tests.browser.stage import expect

PATH = "/settings/tokens"


def test_a_token_is_made_shown_once_and_revoked(open_page, house):
    page = open_page(PATH, factories.UserFactory(name="Eve", email="eve@example.com"))
    expect(page.get_by_text("No token yet")).to_be_visible()
    page.get_by_label("Name").fill("laptop")
    page.get_by_label("Incidents: read and write").check()
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_text("It is shown only now.")).to_be_visible()
    text = page.locator("#token").inner_text()
    assert keys.find_key(text, now=timezone.now()).user.name == "Eve"
    page.get_by_role("link", name="I have it").click()
    expect(page.get_by_text(text)).to_have_count(0)
    page.get_by_role("link", name="Revoke laptop").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("laptop is revoked.")).to_be_visible()
    assert keys.find_key(text, now=timezone.now()) is None


def test_the_page_fits_a_phone_and_its_policy(open_page, house):
    eve = factories.UserFactory(name="Eve", email="eve@example.com")
    soon = timezone.now() + keys.DAY
    keys.issue_key(eve, name="A name that is long " * 4, scopes=["*:read"], is_personal=True, expires_at=soon)
    page = open_page(PATH, eve)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_text("stops working")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
