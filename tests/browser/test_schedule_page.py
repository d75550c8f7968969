"""The schedule page in a real browser: an override is drawn with the pointer, and the final shifts change."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from oncall import lookup
from oncall.models import Override
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect, mark, was_not_reloaded

HOUR = dt.timedelta(hours=1)
LAPTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def tomorrow():
    """The day after tomorrow at midnight, UTC: all of it is to come, whenever the test runs."""
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + dt.timedelta(days=2)


@pytest.fixture
def schedule(house, team, alice, bob):
    return factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])


@pytest.fixture
def path(tomorrow):
    return f"/schedules/shop-on-call?view=day&date={tomorrow:%Y-%m-%d}"


def place(page, day, at):
    """The point of the final row that stands for a time of a day."""
    box = page.locator(".lane[data-role=PRIMARY]").bounding_box()
    return box["x"] + box["width"] * ((at - day) / dt.timedelta(days=1)), box["y"] + box["height"] / 2


def draw(page, day, start, end):
    page.mouse.move(*place(page, day, start))
    page.mouse.down()
    x, y = place(page, day, end)
    page.mouse.move(x, y, steps=8)


def bar(page, name):
    """The bar of a person in the final row."""
    return page.locator(".lane[data-role=PRIMARY] .stint", has_text=name)


def people(schedule, start, end):
    return [{one.user_id for one in span.people} for span in lookup.final(schedule, start=start, end=end)]


def test_an_override_is_made_by_dragging_and_the_final_row_changes(
    open_page,
    schedule,
    charlie,
    alice,
    tomorrow,
    path,
):
    page = open_page(path, alice, viewport=LAPTOP)
    start, end = tomorrow + 10 * HOUR, tomorrow + 14 * HOUR + dt.timedelta(minutes=30)
    # Drawn a little beside the quarter of the hour, it snaps.
    draw(page, tomorrow, start + dt.timedelta(minutes=4), end - dt.timedelta(minutes=3))
    expect(page.locator(".choice")).to_be_visible()
    expect(page.locator(".choice-note")).to_contain_text("14:30 (UTC)")
    page.mouse.up()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("From (UTC)")).to_have_value(f"{start:%Y-%m-%dT%H:%M}")
    expect(dialog.get_by_label("Until (UTC)")).to_have_value(f"{end:%Y-%m-%dT%H:%M}")
    dialog.get_by_label("Who takes over").select_option("Charlie")
    dialog.get_by_label("Reason").fill("Dentist")
    dialog.get_by_role("button", name="Make the override").click()
    expect(page.locator(".message-success")).to_contain_text("Charlie is on call for Shop on call")
    expect(bar(page, "Charlie")).to_have_count(1)
    span = bar(page, "Charlie").bounding_box()
    assert span["x"] == pytest.approx(place(page, tomorrow, start)[0], abs=2)
    assert span["x"] + span["width"] == pytest.approx(place(page, tomorrow, end)[0], abs=2)
    assert people(schedule, start, end) == [{charlie.pk}]
    assert charlie.pk not in people(schedule, start - HOUR, start)[0] | people(schedule, end, end + HOUR)[0]
    assert Override.objects.get().reason == "Dentist"


def test_what_is_drawn_means_the_zone_of_the_page_and_not_that_of_the_browser(
    open_page,
    schedule,
    charlie,
    alice,
    tomorrow,
    path,
):
    """Known elsewhere as: the page read times in the browser's zone instead of the schedule's."""
    page = open_page(path, alice, viewport=LAPTOP, timezone_id="Asia/Tokyo")
    draw(page, tomorrow, tomorrow + 10 * HOUR, tomorrow + 12 * HOUR)
    page.mouse.up()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("From (UTC)")).to_have_value(f"{tomorrow:%Y-%m-%d}T10:00")
    dialog.get_by_label("Until (UTC)").fill(f"{tomorrow:%Y-%m-%d}T13:00")
    dialog.get_by_label("Who takes over").select_option("Charlie")
    dialog.get_by_role("button", name="Make the override").click()
    expect(bar(page, "Charlie")).to_have_count(1)
    made = Override.objects.get()
    assert (made.start_at, made.end_at) == (tomorrow + 10 * HOUR, tomorrow + 13 * HOUR)


def test_escape_cancels_what_is_being_drawn(open_page, schedule, alice, tomorrow, path):
    page = open_page(path, alice, viewport=LAPTOP)
    draw(page, tomorrow, tomorrow + 10 * HOUR, tomorrow + 12 * HOUR)
    expect(page.locator(".choice")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".choice")).to_have_count(0)
    page.mouse.up()
    page.wait_for_timeout(200)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_finger_that_stays_draws(open_page, schedule, alice, tomorrow, path):
    page = open_page(path, alice, viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator(".plan-scroll").evaluate("element => { element.scrollLeft = 0; }")
    page.locator(".lane[data-role=PRIMARY]").scroll_into_view_if_needed()
    x, y = place(page, tomorrow, tomorrow + 2 * HOUR)
    further, _ = place(page, tomorrow, tomorrow + 5 * HOUR)
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    touch("touchStart", (x, y))
    page.wait_for_timeout(600)
    expect(page.locator(".choice")).to_be_visible()
    for step in range(1, 6):
        touch("touchMove", (x + (further - x) * step / 5, y))
    touch("touchEnd")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("From (UTC)")).to_have_value(f"{tomorrow:%Y-%m-%d}T02:00")
    expect(dialog.get_by_label("Until (UTC)")).to_have_value(f"{tomorrow:%Y-%m-%d}T05:00")


def test_everything_works_by_the_keyboard(open_page, schedule, alice, charlie, tomorrow, path):
    page = open_page(path, alice, viewport=LAPTOP)
    mark(page)
    opener = page.locator(".page-head").get_by_role("link", name="New override")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Who takes over")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    dialog.get_by_label("Reason").fill("Dentist")
    page.keyboard.press("Enter")  # nobody is chosen yet
    expect(dialog.get_by_text("Choose who takes over.")).to_be_visible()
    expect(dialog.get_by_label("Reason")).to_have_value("Dentist")
    assert was_not_reloaded(page)
    dialog.get_by_label("Who takes over").focus()
    page.keyboard.type("Charlie")
    dialog.get_by_label("From (UTC)").fill(f"{tomorrow:%Y-%m-%d}T08:00")
    dialog.get_by_label("Until (UTC)").fill(f"{tomorrow:%Y-%m-%d}T12:00")
    dialog.get_by_label("Reason").focus()
    with page.expect_navigation():  # the page comes anew, and its scripts with it
        page.keyboard.press("Enter")
    bar(page, "Charlie").focus()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("heading", name="Charlie")).to_be_visible()
    dialog.get_by_role("link", name="Show the override").press("Enter")
    dialog.get_by_text("Take it back", exact=True).press("Enter")
    dialog.get_by_role("button", name="Yes, take it back").press("Enter")
    expect(page.locator(".message-success")).to_contain_text("is taken back")
    expect(bar(page, "Charlie")).to_have_count(0)
    assert not Override.objects.exists()


def test_one_asks_for_cover_and_another_takes_a_part(open_page, schedule, alice, bob, tomorrow, path):
    (there,) = people(schedule, tomorrow + 12 * HOUR, tomorrow + 13 * HOUR)
    has, has_not = (alice, bob) if there == {alice.pk} else (bob, alice)
    hers, his = open_page(path, has, viewport=LAPTOP), open_page(path, has_not, viewport=LAPTOP)
    bar(hers, has.name).last.click()
    dialog = hers.get_by_role("dialog")
    dialog.get_by_text("Ask for cover or a swap").click()
    dialog.get_by_label("Note").fill("School play")
    dialog.get_by_role("button", name="Ask", exact=True).click()
    expect(hers.locator(".message-success")).to_contain_text("You asked the team Shop for a cover")
    bar(his, has.name).last.click()
    dialog = his.get_by_role("dialog")
    expect(dialog.get_by_text("School play")).to_be_visible()
    dialog.get_by_text("Take this shift").click()
    dialog.get_by_label("From (UTC)").fill(f"{tomorrow:%Y-%m-%d}T15:00")
    dialog.get_by_label("Until (UTC)").fill(f"{tomorrow:%Y-%m-%d}T18:00")
    dialog.get_by_role("button", name="Take it").click()
    expect(his.locator(".message-success")).to_contain_text("You are on call for Shop on call")
    assert people(schedule, tomorrow + 15 * HOUR, tomorrow + 18 * HOUR) == [{has_not.pk}]


def test_without_scripts_the_pages_work_by_their_links(
    open_page,
    schedule,
    alice,
    bob,
    charlie,
    tomorrow,
    path,
):
    page = open_page(path, alice, viewport=LAPTOP, java_script_enabled=False)
    expect(page.locator(".lane[data-role=PRIMARY] .stint").first).to_be_visible()
    page.locator(".page-head").get_by_role("link", name="New override").click()
    page.get_by_label("Who takes over").select_option("Charlie")
    page.get_by_label("From (UTC)").fill(f"{tomorrow:%Y-%m-%d}T08:00")
    page.get_by_label("Until (UTC)").fill(f"{tomorrow:%Y-%m-%d}T12:00")
    page.get_by_role("button", name="Make the override").click()
    expect(page.locator(".message-success")).to_contain_text("Charlie is on call")
    page.locator('.lane[data-role=PRIMARY] [title^="Charlie"]').click()
    expect(page.get_by_role("heading", name="Charlie")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(open_page, schedule, alice, bob, tomorrow, scheme):
    factories.ScheduleFactory(name="Empty", slug="empty", team=schedule.team)
    override = factories.OverrideFactory(
        schedule=schedule, user=bob, start_at=tomorrow, end_at=tomorrow + HOUR, reason="A long reason " * 10
    )
    here = "/schedules/shop-on-call"
    paths = ["/schedules", "/schedules/empty", f"{here}/overrides/new", f"{here}/overrides/{override.pk}"]
    paths += [
        f"{here}?view={view}&shape={shape}"
        for view in ("day", "2weeks", "month")
        for shape in ("timeline", "calendar")
    ]
    page = open_page("/schedules", alice, viewport=PHONE, color_scheme=scheme)
    for each in paths:
        page.goto(each)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, each


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_of_people_can_be_read(open_page, schedule, alice, bob, scheme):
    """WCAG 2.2, 1.4.3: text has a contrast of 4.5 to what it stands on; for every colour, past or to come."""
    page = open_page("/schedules/shop-on-call", alice, viewport=LAPTOP, color_scheme=scheme)
    worst = page.evaluate(
        """() => {
          const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
          const light = (colour) => {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((one) => {
              one /= 255;
              return one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const place = document.querySelector(".lane[data-role] foreignObject");
          let worst = 99;
          const kinds = ["bar-gap", "bar-gap is-past", "bar-many", ...Array(12).fill().flatMap(
            (_, number) => [`person-${number}`, `person-${number} is-past`])];
          for (const kind of kinds) {
            const bar = document.createElement("a");
            bar.className = `stint ${kind}`;
            place.append(bar);
            const style = getComputedStyle(bar);
            const [one, other] = [light(style.color), light(style.backgroundColor)].sort((a, b) => b - a);
            worst = Math.min(worst, kind === "bar-many" ? 99 : (one + 0.05) / (other + 0.05));
            bar.remove();
          }
          return worst;
        }"""
    )
    assert worst >= 4.5


def test_a_strict_content_security_policy_breaks_nothing(open_page, schedule, alice, tomorrow, path):
    page = open_page("/schedules", alice, viewport=LAPTOP)
    with strict(page, re.compile(r"/(schedules|static)\b")):
        page.goto(path)
        draw(page, tomorrow, tomorrow + 10 * HOUR, tomorrow + 12 * HOUR)
        expect(page.locator(".choice")).to_be_visible()
        page.mouse.up()
        expect(page.get_by_role("dialog").get_by_label("Who takes over")).to_be_visible()
        assert page.locator(".lane[data-role=PRIMARY] .stint").first.bounding_box()["width"] > 100
