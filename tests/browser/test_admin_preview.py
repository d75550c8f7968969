"""The live preview of a schedule in a real browser: it follows what one edits, and nothing is saved."""

import re

import pytest

from accounts.models import User
from oncall import layers
from oncall.models import Layer
from tests import factories
from tests.browser.stage import expect


@pytest.fixture
def ada(house):
    return User.objects.create_superuser("ada@example.com", "correct horse", name="Ada")


@pytest.fixture
def schedule(house, team, alice, bob, charlie):
    people = [alice, bob, charlie]
    return factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=people)


def people_of(schedule):
    """The layers as they are saved: each with its people in order."""
    rows = Layer.objects.filter(schedule=schedule).order_by("pk")
    return [(row.pk, [[user.name for user in slot] for slot in layers.draft_of(row).slots]) for row in rows]


def turns(page):
    """The names in the table of the preview, in order of time."""
    return page.locator("#preview .wb-table tbody td:nth-child(3)").all_text_contents()


def test_the_preview_follows_a_place_that_is_moved_and_nothing_is_saved(open_page, schedule, ada):
    page = open_page(f"/admin/oncall/schedule/{schedule.pk}/change/", ada)
    preview, saved = page.locator("#preview"), people_of(schedule)
    expect(preview).not_to_contain_text("Nothing is saved yet")
    before = turns(page)
    assert len(before) >= 4 and set(before) == {"Alice", "Bob", "Charlie"}
    places = page.locator(".field-slots .wb-in-order").first
    expect(places.locator("li").first).to_contain_text("Alice")
    places.locator("li").first.get_by_role("button", name="Move down").click()
    expect(places.locator("li").first).to_contain_text("Bob")
    expect(preview).to_contain_text("As it would be. Nothing is saved yet.")
    expect(preview).not_to_have_attribute("aria-busy", "true")
    after = turns(page)
    assert after[0] == before[0]  # whoever is on call keeps the turn
    assert after[1] != before[1]  # Alice, Bob, Charlie is now Bob, Alice, Charlie
    assert people_of(schedule) == saved


def test_the_preview_says_what_is_wrong_while_one_types_and_goes_on_when_it_is_mended(open_page, schedule, ada):
    page = open_page(f"/admin/oncall/schedule/{schedule.pk}/change/", ada)
    preview, saved = page.locator("#preview"), people_of(schedule)
    every = page.locator("#id_layers-0-every")
    every.fill("0")
    expect(preview.get_by_role("alert")).to_contain_text("Choose a number from 1 to 365.")
    every.fill("2")
    expect(preview.get_by_role("alert")).to_have_count(0)
    expect(preview.locator("h3")).to_have_text(re.compile("^Primary"))
    page.get_by_role("button", name="Remove this place").first.click()
    expect(preview.locator(".wb-table tbody")).not_to_contain_text("Alice")
    expect(preview.locator(".wb-table tbody")).to_contain_text("Bob")
    assert people_of(schedule) == saved
