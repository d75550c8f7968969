"""What people see in a real browser, with the real web process behind it."""

import re

import pytest
from django.utils import timezone

from incidents import lifecycle
from notifications import links
from notifications.models import Notification
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect, mark, was_not_reloaded
from tests.house import wait_until


def test_acknowledging_in_one_browser_changes_the_other_without_a_reload(open_page, incident, alice, bob):
    hers, his = open_page("/", alice), open_page("/", bob)
    row = his.locator(f"#incident-{incident.pk}")
    expect(row).to_contain_text("Triggered")
    expect(row).to_contain_text("Bob is called in")
    expect(his).to_have_title(re.compile(r"^\(1\) Overview"))
    expect(his.locator("#connection")).to_have_text("Live")
    mark(his)
    hers.get_by_role("button", name=f"Acknowledge incident {incident.pk}").click()
    expect(hers.get_by_text("Nobody else is called.")).to_be_visible()
    expect(row).to_contain_text("Acknowledged")
    expect(row).to_contain_text("Alice")
    expect(row.get_by_role("button")).to_have_count(0)
    expect(his).to_have_title(re.compile("^Overview"))
    expect(his.locator("#announcer")).to_have_text(f"Incident {incident.pk}: acknowledged.")
    assert was_not_reloaded(his)


def test_a_new_incident_appears_and_is_found_by_its_own_page(open_page, incident, service, bob):
    page = open_page("/", bob)
    expect(page.locator("#connection")).to_have_text("Live")
    mark(page)
    opened = lifecycle.trigger(service, title="Search is slow", severity="high", now=timezone.now())
    expect(page.locator(f"#incident-{opened.pk}")).to_contain_text("Search is slow")
    expect(page.locator(".job").last).to_have_id(f"incident-{opened.pk}")  # P2 stands below P1
    assert was_not_reloaded(page)


def test_what_somebody_types_and_opened_survives_the_news(open_page, incident, alice, bob):
    page = open_page(f"/incidents/{incident.pk}", bob)
    expect(page.locator("#connection")).to_have_text("Live")
    mark(page)
    why = page.locator("details", has_text="Why").first
    why.locator("summary").click()
    page.locator("#verb-resolve summary").click()
    page.locator("#resolve-note").fill("It was the")
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    expect(page.locator("[data-fragment=head]")).to_contain_text("Acknowledged")
    expect(page.locator("[data-fragment=timeline]")).to_contain_text("Acknowledged by Alice")
    expect(page.get_by_role("button", name="Start investigating")).to_be_visible()
    expect(page.locator("#resolve-note")).to_be_focused()
    page.keyboard.type(" cache.")
    expect(page.locator("#resolve-note")).to_have_value("It was the cache.")
    expect(why).to_have_attribute("open", "")
    assert was_not_reloaded(page)
    page.get_by_role("button", name="Resolve the incident").click()
    expect(page.locator("[data-fragment=head]")).to_contain_text("It was the cache.")


def test_a_page_says_that_it_is_not_live_and_catches_up(open_page, house, incident, alice, bob):
    page = open_page("/", bob)
    expect(page.locator("#connection")).to_have_text("Live")
    mark(page)
    house.running.pop("web").kill()
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    house.start("web")
    expect(page.locator("#connection")).to_have_text("Live", timeout=20_000)
    expect(page.locator(f"#incident-{incident.pk}")).to_contain_text("Acknowledged")
    assert was_not_reloaded(page)


def test_signing_in_and_out_by_the_form(open_page, house, settings, db):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    factories.UserFactory(email="dora@example.com", name="Dora", password="long and winding")
    page = open_page("/oncall")
    page.get_by_label("Email address").fill("dora@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("did not work")
    page.get_by_label("Password").fill("long and winding")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{house.base_url}/oncall")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()


def path_of(incident):
    return f"/l/{links.token(Notification.objects.get(topic=incident.topic).uuid, 'acknowledge')}"


def test_the_mailed_link_acknowledges_by_itself_when_somebody_looks(open_page, incident, alice, bob):
    board = open_page("/", bob)
    expect(board.locator("#connection")).to_have_text("Live")
    page = open_page(path_of(incident))
    expect(page.locator("#countdown-text")).to_contain_text("Acknowledging")
    expect(page.get_by_role("heading", level=1)).to_have_text("You have it")
    incident.refresh_from_db()
    assert (incident.acknowledged_by, incident.timeline.last().via) == (alice, "link")
    expect(board.locator(f"#incident-{incident.pk}")).to_contain_text("Acknowledged")


def test_not_now_leaves_the_incident_to_the_others(open_page, incident):
    page = open_page(path_of(incident))
    page.get_by_role("button", name="Not now").click()
    expect(page.locator("#stopped")).to_be_visible()
    page.wait_for_timeout(1500)
    incident.refresh_from_db()
    assert incident.status == "triggered"
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You have it")


def test_a_page_that_nobody_sees_acknowledges_nothing(open_page, chromium, house, incident):
    context = chromium.new_context(base_url=house.base_url)
    context.add_init_script("Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'})")
    page = context.new_page()
    page.goto(path_of(incident))
    page.wait_for_timeout(2000)
    context.close()
    incident.refresh_from_db()
    assert incident.status == "triggered"


def test_without_scripts_the_link_and_the_pages_work_by_their_buttons(open_page, incident, alice, bob):
    page = open_page(path_of(incident), java_script_enabled=False)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You have it")
    page = open_page(f"/incidents/{incident.pk}", bob, java_script_enabled=False)
    page.get_by_role("button", name="Start investigating").click()
    expect(page.locator("[data-fragment=head]")).to_contain_text("Investigating")
    page.get_by_role("link", name="Show the alerts of this incident").click()
    expect(page.get_by_role("heading", name=f"Alerts of #{incident.pk}")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(open_page, incident, bob, scheme):
    for path in ("/", f"/incidents/{incident.pk}", "/incidents/new", "/oncall", path_of(incident)):
        page = open_page(path, bob, viewport={"width": 390, "height": 844}, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path
        page.context.close()


def test_a_strict_content_security_policy_breaks_nothing(open_page, house, incident, bob):
    page = open_page("/", bob)
    with strict(page):
        for path in ("/", f"/incidents/{incident.pk}"):
            page.goto(path)
            expect(page.locator("#connection")).to_be_visible()  # the scripts run
        expect(page.locator("#alerts")).to_have_text("None: this incident was opened by hand.")
        assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius") != "0px"


def test_the_board_follows_many_changes(open_page, incident, service, alice, bob):
    """A storm ends in the right picture, whatever was skipped on the way."""
    page = open_page("/", bob)
    expect(page.locator("#connection")).to_have_text("Live")
    now = timezone.now()
    opened = [lifecycle.trigger(service, title=f"Storm {n}", severity="high", now=now) for n in range(20)]
    for one in opened:
        lifecycle.acknowledge(one.pk, by=alice, now=now)
    for one in opened[:10]:
        lifecycle.resolve(one.pk, by=alice, now=now)
    expect(page.locator(".job")).to_have_count(11)
    expect(page.locator(".verdict")).to_contain_text("11 open")
    wait_until(lambda: page.locator(".chip-acknowledged").count() == 10, 5, "ten incidents are shown as acknowledged")
