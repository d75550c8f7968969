"""Without a connection: what was seen stays readable, and what is pressed is kept and sent once."""

import re

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from core.models import IdempotencyKey
from incidents import lifecycle
from incidents.models import Incident
from tests.browser.stage import expect, mark, was_not_reloaded
from tests.browser.test_accessibility import complaints
from tests.house import wait_until

CONTROLLED = "navigator.serviceWorker.ready.then(() => true)"
PAGES = "caches.open('pages').then((cache) => cache.keys()).then((all) => all.map((one) => new URL(one.url).pathname))"
QUEUE = """new Promise((done) => {
  const asked = indexedDB.open("watchbill", 1);
  asked.onsuccess = () => {
    const all = asked.result.transaction("queue").objectStore("queue").getAll();
    all.onsuccess = () => { asked.result.close(); done(all.result); };
  };
})"""
AGE = """(hours) => new Promise((done) => {
  const asked = indexedDB.open("watchbill", 1);
  asked.onsuccess = () => {
    const change = asked.result.transaction("queue", "readwrite");
    const queue = change.objectStore("queue");
    queue.getAll().onsuccess = (event) => event.target.result.forEach((one) =>
      queue.put({ ...one, at: one.at - hours * 3600e3 }));
    change.oncomplete = () => { asked.result.close(); done(); };
  };
})"""
FILL = """caches.open("pages").then((cache) => Promise.all(
  [...Array(60).keys()].map((number) => cache.put(`/incidents/${1000 + number}`, new Response("x")))))"""
HOLDS = """(words) => caches.open("pages").then((cache) => cache.matchAll())
  .then((all) => Promise.all(all.map((one) => one.text())))
  .then((texts) => texts.some((text) => text.includes(words)))"""
OF_INCIDENT = re.compile(r"^/incidents/\d+$")


@pytest.fixture
def open_kept(open_page):
    """A function that opens a page whose service worker is in place and keeps a copy of it."""

    def open_kept(path, user, **options):
        page = open_page(path, user, **options)
        settle(page)
        page.reload()  # the first visit was before there was a service worker
        is_kept = lambda: page.evaluate(PAGES)  # noqa: E731
        wait_until(lambda: path in is_kept() and page.evaluate(FILES_THERE), 60, f"a copy of {path} is kept")
        return page

    return open_kept


FILES = "caches.open('files').then((files) => files.keys()).then((all) => all.map((one) => one.url))"
FILES_THERE = "caches.open('files').then((files) => files.keys()).then((all) => all.length > 5)"


def settle(page):
    page.evaluate(CONTROLLED)
    wait_until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"), 60, "the worker has taken over")
    wait_until(lambda: page.evaluate(FILES_THERE), 60, "the files are kept")


def cut(page):
    page.context.set_offline(True)
    for worker in page.context.service_workers:
        assert not worker.evaluate("fetch('/health').then(() => true, () => false)"), "the worker is offline too"


def mend(page):
    page.context.set_offline(False)


def acknowledge(page, incident):
    page.locator(f"form[action='/incidents/{incident.pk}/do/acknowledge'] button").first.click()


def queue(page):
    return page.evaluate(QUEUE)


def entries(incident, kind):
    return incident.timeline.filter(kind=kind).count()


def is_acknowledged(incident):
    return lambda: Incident.objects.filter(pk=incident.pk, status="acknowledged").exists()


def test_a_page_that_was_seen_can_be_read_offline_and_says_how_old_it_is(open_kept, incident, alice):
    page = open_kept(f"/incidents/{incident.pk}", alice)
    cut(page)
    page.reload()
    expect(page.locator("#copy-bar")).to_contain_text("Offline: as of")
    expect(page.locator("#copy-bar")).to_be_in_viewport(ratio=1)
    expect(page.locator("h1")).to_contain_text("Checkout is down")
    assert page.evaluate("getComputedStyle(document.body).getPropertyValue('--surface')")  # with its styles
    page.goto("/services")
    expect(page.get_by_role("heading", name="You are offline")).to_be_visible()
    expect(page.locator("[data-saved] a")).to_contain_text("Checkout is down")
    mend(page)
    expect(page.get_by_role("heading", name="Services", exact=True)).to_be_visible(timeout=60_000)  # by itself
    page.goto(f"/incidents/{incident.pk}")
    expect(page.locator("h1")).to_contain_text("Checkout is down")
    expect(page.locator("#copy-bar")).to_have_count(0)


def test_an_acknowledgement_waits_for_the_connection_and_is_sent_once(open_kept, incident, alice):
    page = open_kept("/", alice)
    cut(page)
    acknowledge(page, incident)
    expect(page.locator("#waiting")).to_contain_text("It will be sent when you are back online")
    expect(page.locator(f"#incident-{incident.pk} .chip-waiting")).to_be_visible()
    acknowledge(page, incident)  # pressed twice
    page.wait_for_timeout(300)
    assert len(queue(page)) == 1
    assert not is_acknowledged(incident)()
    mend(page)
    wait_until(is_acknowledged(incident), 60, "the acknowledgement arrives")
    expect(page.locator("#messages")).to_contain_text(f"You have #{incident.pk}: sent now.")
    expect(page.locator("#waiting")).to_have_count(0)
    wait_until(lambda: page.wait_for_timeout(100) or not queue(page), 60, "the queue is empty")
    assert entries(incident, "acknowledged") == 1
    assert entries(incident, "note") == 0  # it came a moment later
    assert IdempotencyKey.objects.count() == 1


def test_what_waits_outlives_the_page_and_is_sent_when_the_product_is_opened_again(
    open_kept,
    incident,
    alice,
):
    page = open_kept(f"/incidents/{incident.pk}", alice)
    context = page.context
    cut(page)
    acknowledge(page, incident)
    expect(page.locator("#waiting")).to_be_visible()
    expect(page.locator("#status-chip")).to_have_text("Triggered")  # nothing is shown that is not so
    page.close(run_before_unload=False)
    context.set_offline(False)
    page = context.new_page()
    page.goto("/oncall")
    wait_until(is_acknowledged(incident), 60, "the acknowledgement arrives")
    expect(page.locator("#messages")).to_contain_text(f"You have #{incident.pk}")
    assert entries(incident, "acknowledged") == 1


def test_resolving_waits_too_and_keeps_its_note(open_kept, incident, alice):
    page = open_kept(f"/incidents/{incident.pk}", alice)
    cut(page)
    page.locator("#verb-resolve > summary").click()
    page.locator("#resolve-note").fill("The disk was full.")
    page.get_by_role("button", name="Resolve the incident").click()
    expect(page.locator("#waiting")).to_contain_text(f"Resolve #{incident.pk}")
    mend(page)
    resolved = Incident.objects.filter(pk=incident.pk, status="resolved", resolution_note="The disk was full.")
    wait_until(resolved.exists, 60, "it is resolved")


def test_what_is_pressed_again_with_a_note_keeps_the_note(open_kept, incident, alice):
    page = open_kept(f"/incidents/{incident.pk}", alice)
    cut(page)
    page.locator("#verb-resolve > summary").click()
    for note in ("", "The disk was full."):  # what did not arrive is there to be pressed again
        page.locator("#resolve-note").fill(note)
        page.get_by_role("button", name="Resolve the incident").click()
        wait_until(lambda: [one["note"] for one in queue(page)] == [note], 60, "one waits")  # noqa: B023
    mend(page)
    resolved = Incident.objects.filter(pk=incident.pk, status="resolved", resolution_note="The disk was full.")
    wait_until(resolved.exists, 60, "it is resolved")


BREAKS = """(path) => {
  const real = self.fetch;
  self.fetch = (url, ...more) =>
    String(url).endsWith(path) ? Promise.resolve(new Response("", { status: 500 })) : real(url, ...more);
}"""


def test_what_cannot_be_sent_does_not_hold_up_the_rest(open_kept, incident, service, alice):
    other = lifecycle.trigger(service, title="Search is slow", severity="high", now=timezone.now())
    page = open_kept("/", alice)
    (worker,) = page.context.service_workers
    worker.evaluate(BREAKS, f"/api/v1/incidents/{incident.pk}/acknowledge")
    cut(page)
    acknowledge(page, incident)
    expect(page.locator("#waiting li")).to_have_count(1)
    acknowledge(page, other)
    expect(page.locator("#waiting li")).to_have_count(2)
    mend(page)
    wait_until(is_acknowledged(other), 60, "the other one arrives")
    expect(page.locator("#waiting")).to_contain_text(f"#{incident.pk} is not sent yet")


def test_a_browser_that_can_keep_nothing_shows_the_pages_all_the_same(open_kept, incident, alice):
    page = open_kept("/", alice)
    (worker,) = page.context.service_workers
    worker.evaluate(
        "() => { Cache.prototype.put = caches.match = caches.open = async () => { throw new Error('full'); }; }"
    )
    for path in ("/incidents", f"/incidents/{incident.pk}"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("Checkout is down")
        assert page.evaluate("getComputedStyle(document.body).getPropertyValue('--surface')")  # with its styles
    expect(page.locator("#alerts")).to_contain_text("opened by hand")


OLD = """async () => {
  const [pages, files] = [await caches.open("pages"), await caches.open("files")];
  const headers = { "Content-Type": "text/html" };
  await pages.put("/incidents/999", new Response('<script src="/static/js/old.0123456789ab.js">', { headers }));
  await files.put("/static/js/old.0123456789ab.js", new Response('import { a } from "./used.0123456789ab.js";'));
  for (const name of ["used", "unused"]) await files.put(`/static/js/${name}.0123456789ab.js`, new Response(""));
}"""


def test_a_newer_version_keeps_the_scripts_of_the_copies_and_drops_the_others(open_kept, incident, alice):
    page = open_kept("/", alice)
    (worker,) = page.context.service_workers
    page.evaluate(OLD)
    worker.evaluate("tidy()")
    names = page.evaluate(FILES)
    old = {name.split("/")[-1].split(".")[0] for name in names if "0123456789ab" in name}
    assert old == {"old", "used"}


def test_the_page_that_says_one_is_offline_is_not_left_for_the_error_of_a_proxy(open_kept, incident, alice):
    page = open_kept("/", alice)
    cut(page)
    page.goto("/services")
    expect(page.get_by_role("heading", name="You are offline")).to_be_visible()
    mark(page)
    page.route("**/push/session", lambda route: route.fulfill(status=502, body="Bad gateway"))
    with page.expect_response("**/push/session"):
        page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(500)
    assert was_not_reloaded(page)


def test_who_had_it_meanwhile_is_said(open_kept, incident, service, alice, bob):
    other = lifecycle.trigger(service, title="Search is slow", severity="high", now=timezone.now())
    page = open_kept("/", alice)
    cut(page)
    acknowledge(page, incident)
    acknowledge(page, other)
    expect(page.locator("#waiting li")).to_have_count(2)
    lifecycle.acknowledge(incident.pk, by=bob, now=timezone.now())
    lifecycle.resolve(other.pk, by=bob, now=timezone.now())
    mend(page)
    messages = page.locator("#messages")
    expect(messages).to_contain_text(f"#{incident.pk} was acknowledged by Bob", timeout=60_000)
    expect(messages).to_contain_text(f"#{other.pk} was resolved by Bob")
    assert entries(incident, "acknowledged") == 1


def test_an_ended_session_keeps_it_and_asks_to_sign_in(open_kept, incident, alice):
    page = open_kept("/", alice)
    cut(page)
    acknowledge(page, incident)
    expect(page.locator("#waiting")).to_be_visible()
    Session.objects.all().delete()
    mend(page)
    page.wait_for_url(re.compile("/login"), timeout=60_000)  # an open page notices by itself
    expect(page.locator("#waiting")).to_contain_text("Sign in to send it", timeout=60_000)
    assert not is_acknowledged(incident)()
    assert page.evaluate(PAGES) == []  # nobody is signed in: nothing stays readable
    client = Client()
    client.force_login(alice)
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": page.url}])
    page.goto("/incidents")
    wait_until(is_acknowledged(incident), 60, "the acknowledgement arrives")


def test_what_was_pressed_long_ago_is_asked_about_first(open_kept, incident, alice):
    page = open_kept("/", alice)
    cut(page)
    acknowledge(page, incident)
    expect(page.locator("#waiting")).to_be_visible()
    page.evaluate(AGE, 13)
    mend(page)
    expect(page.locator("#waiting")).to_contain_text("was pressed 13 h ago", timeout=60_000)
    assert not is_acknowledged(incident)()
    page.get_by_role("button", name="Send it now").click()
    wait_until(is_acknowledged(incident), 60, "the acknowledgement arrives")
    late = "Acknowledge was pressed 13 h before it could be sent."  # the timeline has the time at which it arrived
    wait_until(incident.timeline.filter(kind="note", by=alice, text__startswith=late).exists, 60, "it says so")


def test_nobody_sends_in_the_name_of_another(open_kept, open_page, incident, alice, bob):
    page = open_kept("/", alice)
    cut(page)
    acknowledge(page, incident)
    expect(page.locator("#waiting")).to_be_visible()
    assert page.evaluate(HOLDS, f'content="{alice.uuid}"')
    client = Client()
    client.force_login(bob)
    page.context.clear_cookies()
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": page.url}])
    mend(page)
    page.goto("/settings")
    wait_until(lambda: queue(page)[0]["state"] == "signed-out", 60, "it is known that Alice is not here")
    expect(page.locator("#waiting")).to_have_count(0)  # it is no business of Bob's
    hers = f'content="{alice.uuid}"'
    wait_until(lambda: not page.evaluate(HOLDS, hers), 60, "nothing is kept of what she read")
    assert not is_acknowledged(incident)()


def test_signing_out_wipes_what_was_kept(open_kept, incident, alice):
    page = open_kept(f"/incidents/{incident.pk}", alice)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator(".side-bar form[action='/logout'] button").click()
    page.wait_for_url(re.compile("/login"))
    wait_until(lambda: page.evaluate(PAGES) == [], 60, "nothing is kept")
    cut(page)
    page.goto(f"/incidents/{incident.pk}")
    expect(page.get_by_role("heading", name="You are offline")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("Checkout is down")


def test_only_pages_of_incidents_and_duty_are_kept_and_only_the_last_fifty(open_kept, incident, alice):
    page = open_kept("/", alice)
    for path in ("/settings", "/notifications", "/incidents/new", f"/incidents/{incident.pk}?all", "/login"):
        page.goto(path)
    page.goto("/")
    wait_until(lambda: "/" in page.evaluate(PAGES), 60, "the page is kept")
    assert set(page.evaluate(PAGES)) <= {"/", "/incidents"}
    page.evaluate(FILL)
    page.goto(f"/incidents/{incident.pk}")
    path = f"/incidents/{incident.pk}"
    wait_until(lambda: path in page.evaluate(PAGES), 60, "the page is kept")

    def kept():
        return [one for one in page.evaluate(PAGES) if OF_INCIDENT.match(one)]

    wait_until(lambda: len(kept()) == 50, 60, "older ones are dropped")
    assert path in kept()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_shown_without_a_connection_can_be_used_by_everybody(
    open_kept,
    incident,
    alice,
    axe,
    scheme,
):
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme, "reduced_motion": "reduce"}
    page = open_kept("/", alice, **phone)
    cut(page)
    acknowledge(page, incident)
    for path, sign in (("/services", "[data-saved] a"), ("/", "#copy-bar")):
        page.goto(path)
        expect(page.locator(sign).first).to_be_visible()
        expect(page.locator("#waiting")).to_be_visible()
        assert complaints(page, axe) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_server_that_is_down_looks_like_no_connection(open_kept, house, incident, alice):
    page = open_kept(f"/incidents/{incident.pk}", alice)
    house.kill("web")
    acknowledge(page, incident)
    expect(page.locator("#waiting")).to_be_visible()
    page.reload()
    expect(page.locator("#copy-bar")).to_be_visible()
    expect(page.locator("#waiting")).to_be_visible()
    house.start("web")
    wait_until(is_acknowledged(incident), 60, "the acknowledgement arrives")


def test_the_token_for_the_queue_is_given_to_nobody_else(client, alice):
    assert client.get("/push/session").json() == {"person": ""}
    client.force_login(alice)
    answer = client.get("/push/session")
    assert answer.json()["person"] == str(alice.uuid)
    assert "no-store" in answer["Cache-Control"]
