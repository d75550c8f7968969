"""The status page in a browser: what a reader sees, on any screen, without script, and with axe looking."""

import contextlib
import datetime as dt
import http.server
import threading
import urllib.error
import urllib.request

import pytest
from django.utils import timezone

from core.models import WorkerBeat
from incidents import lifecycle
from statuspages import copying, exporting, publishing
from statuspages.models import Audience
from tests import factories
from tests.browser.stage import expect
from tests.browser.test_accessibility import complaints
from tests.house import wait_until

SCREENS = {
    "desk": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 700}, "color_scheme": "dark"},
}


@pytest.fixture
def shop(house, service):
    """A public page on which much is going on."""
    page = factories.StatusPageFactory(
        slug="shop",
        name="Example Shop",
        audience=Audience.PUBLIC,
        language="de",
        accent_colour="#ffd400",
        description="Was läuft, und **was nicht**.",
        support_url="https://help.example.com",
    )
    group = factories.ComponentGroupFactory(page=page, name="Laden")
    checkout = factories.ComponentFactory(page=page, name="Kasse", group=group, services=[service])
    factories.ComponentFactory(page=page, name="Suche", group=group)
    factories.ComponentFactory(page=page, name="Post")
    now = timezone.now()
    for days in (3, 40):
        began = now - dt.timedelta(days=days)
        factories.SpanFactory(component=checkout, began_at=began, ended_at=began + dt.timedelta(hours=1))
    publishing.open_incident(page.pk, title="Zahlungen", body="Es klemmt.\n\n- hier\n- dort", by=None, now=now)
    publishing.plan_maintenance(
        page.pk,
        title="Neue Datenbank",
        body="Der Laden ist zu.",
        starts_at=now + dt.timedelta(days=1),
        ends_at=now + dt.timedelta(days=1, hours=1),
        components=(str(checkout.uuid),),
        by=None,
        now=now,
    )
    copying.refresh(page.pk, now=now)
    # The web process looks for newer copies once a second, and may still have the shop of the test before.
    copy = page.copy.files[""][1]
    wait_until(lambda: _answer_of(f"{house.base_url}/status/shop") == copy, 20, "the shop of this test is shown")
    return page


def _answer_of(address):
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("screen", SCREENS)
def test_everybody_can_use_it(open_page, shop, axe, screen):
    post = shop.posts.get(kind="incident")
    page = open_page("/status/shop", **SCREENS[screen])
    found = {}
    for path in ("", "/history", f"/incidents/{post.uuid}"):
        page.goto(f"/status/shop{path}")
        for details in page.locator("details").all():
            details.evaluate("(one) => one.open = true")
        found[path] = complaints(page, axe)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= SCREENS[screen]["viewport"]["width"], path
    for path in ("/status", "/status/none"):
        page.goto(path)
        found[path] = complaints(page, axe)
    assert not any(found.values()), found


def test_it_works_without_script_and_breaks_no_policy(open_page, shop):
    page = open_page("/status/shop", java_script_enabled=False)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Example Shop")
    expect(page.get_by_role("heading", name="Alle Systeme in Betrieb")).to_be_visible()
    expect(page.get_by_role("img", name="Kasse, letzte 90 Tage")).to_be_visible()
    page.get_by_text("2 Tage mit Störungen").click()
    expect(page.get_by_role("listitem").filter(has_text="98,75 %, Teilausfall 1 Std.").last).to_be_visible()
    page.get_by_role("link", name="Zahlungen").click()
    expect(page).to_have_title("Zahlungen: Wird untersucht · Example Shop")
    page.get_by_role("link", name="Verlauf").click()
    expect(page.get_by_role("heading", name="Verlauf")).to_be_visible()
    assert said == []


def test_a_keyboard_reaches_everything_and_the_focus_is_seen(open_page, shop):
    page = open_page("/status/shop")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Zum Inhalt")).to_be_focused()
    seen = []
    for _ in range(8):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        seen.append((page.evaluate("document.activeElement.innerText"), outline))
    assert "Abonnieren" in [text for text, _ in seen]
    assert {outline for _, outline in seen} == {"solid"}


def test_an_incident_is_on_the_page_within_two_seconds(open_page, house, shop, service):
    for name in ("worker", "ticker"):
        house.start(name)
    page = open_page("/status/shop")
    expect(page.locator(".banner")).to_have_class("banner operational")
    wait_until(WorkerBeat.objects.exists, 60, "the worker works")
    lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())
    committed = timezone.now()
    while page.locator(".banner.major_outage").count() == 0:
        assert timezone.now() - committed < dt.timedelta(seconds=15), "the page still says that all is well"
        page.wait_for_timeout(100)
        page.reload()
    assert "Checkout is down" not in page.content()  # what is ours stays ours
    expect(page).to_have_title("Schwerer Ausfall · Example Shop")


def test_a_copy_in_a_folder_is_the_same_page_at_another_server(chromium, shop, tmp_path):
    exporting.export(shop.pk, tmp_path / "out", now=timezone.now())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=tmp_path / "out", **kwargs)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = chromium.new_page()
        failed = []
        page.on("response", lambda one: failed.append(one.url) if one.status >= 400 else None)
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        assert page.evaluate("getComputedStyle(document.querySelector('.head')).backgroundColor") == "rgb(255, 212, 0)"
        page.get_by_role("link", name="Zahlungen").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Zahlungen")
        page.get_by_role("link", name="Example Shop").click()
        expect(page.get_by_role("heading", name="Alle Systeme in Betrieb")).to_be_visible()
        page.close()
        assert failed == []
    finally:
        server.shutdown()
        server.server_close()
