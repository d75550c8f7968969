"""A person's settings in a real browser: an address is added and verified, and a test tells what became of it."""

import re

import pytest
from django.core import mail
from django.utils import timezone

from notifications import outbox
from notifications.models import ContactMethod, Notification
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect

PATH = "/settings"


@pytest.fixture
def dora(house):
    """Dora has two addresses of which one is verified, rules and quiet hours."""
    dora = factories.UserFactory(name="Dora", email="dora@example.com", time_zone="Europe/Berlin")
    work = factories.ContactMethodFactory(user=dora, label="work")
    factories.ContactMethodFactory(user=dora, address="dora@home.example", verified_at=None)
    factories.ContactMethodFactory(user=dora, address="old@example.com", disabled_reason="550 5.1.1 No such mailbox.")
    factories.NotificationRuleFactory(user=dora, contact_method=work)
    factories.NotificationRuleFactory(user=dora, contact_method=work, delay_minutes=10)
    factories.QuietHoursFactory(user=dora)
    return dora


def test_an_address_is_added_and_verified_with_the_code_that_arrives(open_page, house):
    page = open_page(PATH, factories.UserFactory(name="Eve", email="eve@example.com"))
    expect(page.get_by_role("alert")).to_contain_text("Nobody can reach you")
    page.get_by_role("link", name="Add a contact method").click()
    page.get_by_role("link", name="Email").click()
    page.get_by_label("Address").fill("eve")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("“eve” is not an email address.")).to_be_visible()
    page.get_by_label("Address").fill("eve@example.com")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("A code is on its way to eve@example.com.")).to_be_visible()
    outbox.deliver(now=timezone.now())
    code = re.search(r"\d{3} \d{3}", mail.outbox[0].subject).group()
    page.get_by_label("Code from the message").fill(code)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("is verified: you can be reached there.")).to_be_visible()
    expect(page.get_by_text("Nobody can reach you")).to_have_count(0)
    assert ContactMethod.objects.get().is_usable


def test_a_test_is_followed_until_it_has_ended_without_a_reload(open_page, house, dora):
    page = open_page(PATH, dora)
    page.get_by_role("button", name="Send me a test to Email dora@example.com").click()
    place = page.locator("[data-test]")
    expect(place).to_contain_text("It waits for its turn to be sent.")
    page.evaluate("window.wasNotReloaded = true")
    outbox.deliver(now=timezone.now())
    expect(place).to_contain_text("accepted it at")
    expect(place).not_to_have_attribute("data-poll", re.compile(""))
    assert page.evaluate("window.wasNotReloaded") is True
    assert Notification.objects.get().state == "sent"


def test_without_scripts_everything_works_by_forms_and_links(open_page, dora):
    page = open_page(PATH, dora, java_script_enabled=False)
    page.get_by_role("button", name="Send me a test to Email dora@example.com").click()
    page.get_by_role("link", name="Look again").click()
    expect(page.locator("[data-test]")).to_contain_text("Test: waiting")
    page.get_by_text("Add a rule for low urgency").click()
    form = page.locator("#rules-low")
    form.get_by_label("Minutes after the page").fill("5")
    form.get_by_role("button", name="Add the rule").click()
    expect(page.locator("#rules-low")).to_contain_text("After 5 min: Email dora@example.com (work)")
    page.get_by_text("Add quiet hours").first.click()
    page.get_by_role("button", name="Add quiet hours").click()
    expect(page.locator("#quiet-hours .entries li")).to_have_count(2)
    page.get_by_role("link", name="Remove Email dora@example.com").click()
    expect(page.get_by_role("alert")).to_contain_text("without it nobody can reach you")
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("alert")).to_contain_text("Nobody can reach you")


def test_the_keyboard_reaches_what_was_refused(open_page, dora):
    page = open_page(PATH, dora)
    page.get_by_label("Name", exact=True).fill(" ")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Write your name")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()


PATHS = (PATH, "/settings/contacts/new", "/settings/contacts/new/email")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(open_page, dora, scheme):
    method = dora.contact_methods.first()
    dora.is_staff = True  # so that the bar has all its links
    dora.save()
    message = factories.NotificationFactory(user=dora, contact_method=method, topic="incident:1")
    mine = f"/settings/contacts/{method.pk}"
    for path in (*PATHS, mine, f"{mine}/remove", "/notifications", f"/notifications/{message.uuid}"):
        page = open_page(path, dora, viewport={"width": 390, "height": 844}, color_scheme=scheme)
        for fold in page.locator("details").all():
            fold.evaluate("one => one.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path
        page.context.close()


def test_a_strict_content_security_policy_breaks_nothing(open_page, house, dora):
    page = open_page(PATH, dora)
    with strict(page):
        for path in PATHS:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
