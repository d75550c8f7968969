"""The overview in a real browser: what changes appears by itself, and what one reads stays where it is."""

import re

import pytest
from django.utils import timezone

from incidents import lifecycle
from tests.browser.stage import expect, mark, was_not_reloaded
from tests.house import wait_until

LIVE = {"timeout": 20_000}


@pytest.fixture
def overview(open_page, bob):
    """A function that opens the overview as Bob and waits until it is live."""

    def overview(user=bob, **options):
        page = open_page("/", user, **options)
        expect(page.locator("#connection")).to_have_text("Live", **LIVE)
        mark(page)
        return page

    return overview


def opened(service, title="Search is slow", severity="high"):
    return lifecycle.trigger(service, title=title, severity=severity, now=timezone.now())


def row_of(page, one):
    return page.locator(f"#incident-{one.pk}")


def top_of(locator):
    return locator.evaluate("element => element.getBoundingClientRect().top")


def test_a_new_incident_appears_by_itself_and_in_the_title_of_the_tab(incident, overview, service):
    page = overview()
    expect(page).to_have_title(re.compile(r"^\(1\) Overview"))
    one = opened(service)
    expect(row_of(page, one)).to_contain_text("Search is slow", **LIVE)
    expect(page.locator("#verdict")).to_have_text("2 incidents wait for somebody")
    expect(page).to_have_title(re.compile(r"^\(2\) Overview"))
    assert "favicon-alert" in page.locator("link[rel=icon]").get_attribute("href")
    expect(page.locator("#announcer")).to_contain_text(f"Incident {one.pk}")
    assert was_not_reloaded(page)


def test_acknowledging_here_is_seen_there_and_nobody_reloads(incident, overview, alice, bob):
    hers, his = overview(alice), overview(bob)
    hers.get_by_role("button", name=f"Acknowledge incident {incident.pk}").click()
    expect(hers.get_by_text("Nobody else is called.")).to_be_visible(**LIVE)
    expect(hers.locator("#group-mine").locator(f"#incident-{incident.pk}")).to_contain_text("Acknowledged")
    expect(row_of(his, incident)).to_contain_text("Acknowledged", **LIVE)
    expect(row_of(his, incident)).to_contain_text("Alice")
    expect(row_of(his, incident).get_by_role("button")).to_have_count(0)
    expect(his).to_have_title(re.compile("^Overview"))
    assert "favicon.svg" in his.locator("link[rel=icon]").get_attribute("href")
    assert was_not_reloaded(hers) and was_not_reloaded(his)


def test_the_wait_for_the_next_call_runs_down_before_ones_eyes(incident, overview, charlie):
    page = overview(charlie)
    fuse = row_of(page, incident).locator(".fuse")
    before = fuse.evaluate("element => element.value")
    wait_until(lambda: fuse.evaluate("element => element.value") < before - 1, 60, "the fuse is shorter")


# --- what one reads, points at and types ----------------------------------------------------------------------


def test_what_one_reads_does_not_move_and_says_that_there_is_more_above(overview, service):
    now = [opened(service, f"Trouble {number}", "low") for number in range(30)]
    page = overview()
    read = row_of(page, now[10])
    read.evaluate("element => scrollTo(0, scrollY + element.getBoundingClientRect().top - 300)")
    before = top_of(read)
    one = opened(service, "The worst of all", "critical")
    expect(row_of(page, one)).to_have_count(1, **LIVE)
    assert abs(top_of(read) - before) < 2
    pill = page.locator("#news-pill")
    expect(pill).to_have_text("1 new incident above")
    pill.click()
    expect(row_of(page, one)).to_be_in_viewport()
    expect(pill).to_be_hidden()
    assert was_not_reloaded(page)


def test_what_one_points_at_does_not_move_even_at_the_top_of_the_page(overview, service):
    ones = [opened(service, f"Trouble {number}", "low") for number in range(20)]
    page = overview()
    target = row_of(page, ones[-1])
    target.hover()
    before = top_of(target)
    one = opened(service, "The worst of all", "critical")
    expect(row_of(page, one)).to_have_count(1, **LIVE)
    assert page.evaluate("scrollY") > 0  # the page went on by what came above
    assert abs(top_of(target) - before) < 2
    # So little came that it can be seen: nothing needs to be announced.
    expect(row_of(page, one)).to_be_in_viewport()
    expect(page.locator("#news-pill")).to_be_hidden()


def test_the_focus_and_what_somebody_typed_stay(incident, overview, service):
    page = overview()
    button = page.get_by_role("button", name=f"Acknowledge incident {incident.pk}")
    button.focus()
    one = opened(service, "The worst of all", "critical")
    expect(row_of(page, one)).to_have_count(1, **LIVE)
    expect(button).to_be_focused()
    page.locator("#bar-q").fill("chec")
    table = page.locator(".trend-table")
    table.locator("summary").click()
    page.locator("#bar-q").focus()
    lifecycle.resolve(one.pk, by=None, now=timezone.now())
    expect(row_of(page, one)).to_have_count(0, **LIVE)
    expect(page.locator("#bar-q")).to_be_focused()
    page.keyboard.type("kout")
    expect(page.locator("#bar-q")).to_have_value("checkout")
    expect(table).to_have_attribute("open", "")


# --- a connection that is lost --------------------------------------------------------------------------------


def test_a_lost_server_is_said_and_nothing_is_missed_when_it_is_back(house, incident, overview, service, alice):
    page = overview()
    house.kill("web")
    expect(page.locator("#connection")).to_have_text("Reconnecting", **LIVE)
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    one = opened(service)
    house.start("web")
    expect(page.locator("#connection")).to_have_text("Live", **LIVE)
    expect(row_of(page, one)).to_contain_text("Search is slow", **LIVE)
    expect(row_of(page, incident)).to_contain_text("Acknowledged")
    assert was_not_reloaded(page)


def test_a_lost_network_is_said_at_once_and_heals_at_once(incident, overview, service):
    page = overview()
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("Offline since")
    one = opened(service)
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_text("Live", **LIVE)
    expect(row_of(page, one)).to_contain_text("Search is slow", **LIVE)
    assert was_not_reloaded(page)


def test_a_device_that_slept_does_not_take_its_old_connection_for_a_live_one(incident, overview):
    page = overview()
    made = []
    page.on("websocket", lambda socket: made.append(socket))
    page.clock.install()
    page.clock.fast_forward("02:00")
    wait_until(lambda: page.wait_for_timeout(50) or made, 60, "a new connection is made")
    expect(page.locator("#connection")).to_have_text("Live", **LIVE)
    assert was_not_reloaded(page)


CUT = """() => {
  const real = fetch;
  window.fetch = async () => {
    window.fetch = real;
    return new Response(new ReadableStream({ start: (body) => body.error(new TypeError("cut")) }));
  };
}"""


def test_an_answer_that_is_cut_off_in_the_middle_is_fetched_again(incident, overview, service):
    page = overview()
    page.evaluate(CUT)
    one = opened(service)
    expect(row_of(page, one)).to_contain_text("Search is slow", **LIVE)
    assert was_not_reloaded(page)


def test_whoever_is_signed_out_meanwhile_is_asked_to_sign_in_and_comes_back_here(
    house,
    incident,
    overview,
    service,
):
    page = overview()
    page.context.clear_cookies()
    opened(service)
    expect(page).to_have_url(f"{house.base_url}/login?next=/", **LIVE)


def test_acknowledging_when_signed_out_leads_to_the_sign_in_page(house, incident, overview):
    page = overview()
    page.context.clear_cookies()
    page.get_by_role("button", name=f"Acknowledge incident {incident.pk}").click()
    # The form is refused in words, or the socket was first to notice; then the page asks who one is.
    expect(page.locator(".message-error").or_(page.get_by_label("Password"))).to_have_count(1, **LIVE)
    page.reload()
    expect(page).to_have_url(f"{house.base_url}/login?next=/")


def test_a_refused_press_is_said_in_words_and_loads_nothing_anew(house, incident, overview, bob):
    page = overview(service_workers="block")
    # News of the incident that come now would take the button away before it is pressed.
    page.route("**/*", lambda route: route.abort() if "x-news" in route.request.headers else route.fallback())
    bob.memberships.all().delete()
    bob.role = "observer"
    bob.save()
    page.get_by_role("button", name=f"Acknowledge incident {incident.pk}").click()
    expect(page.locator(".message-error")).to_contain_text("Responders of the team Shop do this.", **LIVE)
    assert was_not_reloaded(page)


# --- the sound ------------------------------------------------------------------------------------------------


def test_the_sound_is_off_until_somebody_wants_it_and_is_remembered(incident, overview, service):
    page = overview()
    switch = page.get_by_role("switch", name="Sound when an incident begins")
    expect(switch).not_to_be_checked()
    one = opened(service)
    expect(row_of(page, one)).to_have_count(1, **LIVE)
    assert page.evaluate("document.documentElement.dataset.beeps") is None
    switch.click()  # makes the sound once, so that one knows it
    expect(page.locator("html")).to_have_attribute("data-beeps", "1")
    two = opened(service, "Another one")
    expect(row_of(page, two)).to_have_count(1, **LIVE)
    expect(page.locator("html")).to_have_attribute("data-beeps", "2")
    page.reload()
    expect(switch).to_be_checked()


# --- plots, and without script --------------------------------------------------------------------------------


def test_the_plots_say_the_day_that_one_points_at(incident, overview, alice):
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    page = overview()
    plot = page.locator("[data-plot=mtta]")
    expect(plot.locator("canvas")).to_have_count(1)
    box = plot.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 20)
    day = f"{timezone.localtime():%a} {timezone.localtime().day} {timezone.localtime():%b}"
    expect(page.locator(".trend-now").first).to_contain_text(day)


def test_without_script_one_reads_everything_and_acknowledges(open_page, incident, bob):
    page = open_page("/", bob, java_script_enabled=False)
    expect(page.locator("#verdict")).to_have_text("1 incident waits for somebody")
    page.locator(".trend-table summary").click()
    expect(page.locator("#trend-days tbody tr")).to_have_count(14)
    page.get_by_role("button", name=f"Acknowledge incident {incident.pk}").click()
    expect(page.get_by_text("Nobody else is called.")).to_be_visible()
    expect(page.locator("#verdict")).to_have_text("1 open incident, and somebody has it")
    page.get_by_role("link", name="Is everything running?").click()
    expect(page.get_by_text("Messages are sent")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(incident, overview, scheme):
    page = overview(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    button = page.get_by_role("button", name=f"Acknowledge incident {incident.pk}")
    expect(button).to_be_in_viewport()
