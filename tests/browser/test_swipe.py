"""Swiping an incident on a phone: right acknowledges, left resolves, and for a moment it can be undone."""

import pytest
from django.utils import timezone

from incidents import lifecycle
from incidents.models import Incident
from tests import factories
from tests.browser.stage import expect
from tests.house import wait_until

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PAGES = ["/", "/incidents"]


def swipe(page, row, right, down=0):
    """A finger that goes so many pixels, in steps, as the browser itself would see it."""
    tools = page.context.new_cdp_session(page)
    box = row.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 12
    tools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 11):
        point = {"x": x + right * step / 10, "y": y + down * step / 10}
        tools.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    tools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tools.detach()


def has(incident, **values):
    return Incident.objects.filter(pk=incident.pk, **values).exists


def row_of(page, incident):
    return page.locator(f"#incident-{incident.pk}")


@pytest.mark.parametrize("path", PAGES)
def test_a_swipe_to_the_right_acknowledges(open_page, incident, alice, path):
    page = open_page(path, alice, **PHONE)
    swipe(page, row_of(page, incident), 180)
    expect(page.locator(".message-undo")).to_contain_text(f"Acknowledging #{incident.pk}")
    wait_until(has(incident, status="acknowledged", acknowledged_by=alice), 60, "it is acknowledged")
    expect(row_of(page, incident)).to_contain_text("Acknowledged")
    assert page.url.endswith(path)  # no link was opened


@pytest.mark.parametrize("path", PAGES)
def test_a_swipe_to_the_left_resolves(open_page, incident, alice, path):
    page = open_page(path, alice, **PHONE)
    swipe(page, row_of(page, incident), -180)
    wait_until(has(incident, status="resolved", resolved_by=alice), 60, "it is resolved")


def test_undone_in_time_nothing_is_sent(open_page, incident, alice):
    page = open_page("/", alice, **PHONE)
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    swipe(page, row_of(page, incident), 180)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".message-undo")).to_have_count(0)
    page.wait_for_timeout(4500)  # longer than it would have waited
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.wait_for_timeout(200)
    assert sent == []
    assert has(incident, status="triggered")()


def test_many_swipes_on_a_slow_line_all_arrive(open_page, incident, service, alice):
    others = [lifecycle.trigger(service, title=f"Search {n}", severity="high", now=timezone.now()) for n in range(2)]
    page = open_page("/", alice, service_workers="block", **PHONE)
    held = []
    page.route("**/do/acknowledge", lambda route: held.append(route))
    page.clock.install()
    for one in (incident, *others):
        swipe(page, row_of(page, one), 180)
    expect(page.locator(".message-undo")).to_have_count(3)
    page.clock.run_for(5000)  # the time of each is up while the first is still under way
    for _ in range(3):
        wait_until(lambda: page.wait_for_timeout(50) or held, 60, "the next one is sent")
        held.pop().continue_()
    for one in (incident, *others):
        wait_until(has(one, status="acknowledged"), 60, "it is acknowledged")


def test_a_page_that_is_put_away_sends_at_once(open_page, incident, alice):
    page = open_page("/", alice, **PHONE)
    page.clock.install()  # its own moment never comes
    swipe(page, row_of(page, incident), 180)
    expect(page.locator(".message-undo")).to_be_visible()
    page.goto("/oncall")
    wait_until(has(incident, status="acknowledged"), 60, "it is acknowledged")


def test_what_came_of_a_swipe_on_a_page_that_was_put_away_is_said_on_the_next(open_page, incident, alice, bob):
    page = open_page("/incidents", alice, service_workers="block", **PHONE)
    swipe(page, row_of(page, incident), 180)
    expect(page.locator(".message-undo")).to_be_visible()
    lifecycle.resolve(incident.pk, by=bob, now=timezone.now())
    with page.expect_response("**/incidents"):  # where the form leads
        page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.goto("/oncall")
    expect(page.locator("#messages")).to_contain_text("Bob resolved it")


def test_a_short_swipe_and_scrolling_change_nothing(open_page, incident, service, alice):
    for number in range(12):
        lifecycle.trigger(service, title=f"Search {number} is slow", severity="high", now=timezone.now())
    page = open_page("/", alice, **PHONE)
    row = row_of(page, incident)
    swipe(page, row, 60)
    swipe(page, row, 40, down=-200)
    wait_until(lambda: page.evaluate("scrollY > 50"), 60, "the page is scrolled")
    assert page.locator(".message-undo").count() == 0
    assert page.url.endswith("/")


def test_what_is_acknowledged_cannot_be_acknowledged_by_a_swipe(open_page, incident, alice):
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    page = open_page("/", alice, **PHONE)
    swipe(page, row_of(page, incident), 180)
    assert page.locator(".message-undo").count() == 0


@pytest.mark.parametrize("path", PAGES)
def test_who_may_not_act_has_nothing_to_swipe(open_page, incident, path):
    page = open_page(path, factories.UserFactory(role="observer"), **PHONE)
    expect(row_of(page, incident)).to_be_visible()
    swipe(page, row_of(page, incident), 180)
    assert page.locator("[data-swipe], .message-undo").count() == 0


def test_a_wide_screen_and_a_mouse_do_not_swipe(open_page, incident, alice):
    page = open_page("/", alice, viewport={"width": 1440, "height": 900})
    box = row_of(page, incident).bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 10, steps=8)
    page.mouse.up()
    assert page.locator(".message-undo").count() == 0
