"""The list of incidents in a browser: filters, search, saved views, many at once, and by keyboard."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from incidents import lifecycle
from incidents.models import SavedView
from tests import factories
from tests.browser.stage import mark, was_not_reloaded


@pytest.fixture
def four(house, service):
    now = timezone.now()
    found = [lifecycle.trigger(service, title=f"Trouble {n}", severity="high", now=now) for n in range(3)]
    return [*found, lifecycle.trigger(service, title="Disk is full", severity="critical", now=now)]


def live(page):
    expect(page.locator("#connection")).to_have_text("Live")
    mark(page)


def rows(page):
    return page.locator("#listed tr")


def test_filters_and_words_change_the_rows_and_the_address_without_a_reload(open_page, four, bob):
    page = open_page("/incidents", bob)
    live(page)
    page.locator("#finder-menu summary").click()
    page.get_by_label("Critical", exact=True).check()
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/incidents\?severity=critical$"))
    page.get_by_label("High", exact=True).check()
    expect(rows(page)).to_have_count(4)
    expect(page.locator("#finder-menu")).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(page.locator("#finder-menu summary")).to_be_focused()
    page.get_by_role("searchbox", name="Search", exact=True).fill("dis")
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first).to_contain_text("Disk is full")
    expect(page).to_have_url(re.compile("q=dis"))
    assert was_not_reloaded(page)
    page.get_by_role("link", name="Remove the filter Search: dis").click()
    expect(rows(page)).to_have_count(4)
    page.get_by_role("link", name="Clear").click()
    expect(page).to_have_url(re.compile("/incidents$"))


def test_a_view_is_saved_used_and_deleted(open_page, four, bob, team):
    page = open_page("/incidents?severity=critical", bob)
    page.get_by_text("Save this view").click()
    page.get_by_label("Name", exact=True).fill("Worst")
    page.get_by_role("combobox", name="For").select_option(label="Everybody in Shop")
    page.get_by_role("button", name="Save the view").click()
    tab = page.get_by_role("link", name="Worst")
    expect(tab).to_have_attribute("aria-current", "page")
    assert SavedView.objects.get().team == team
    page.get_by_role("link", name="All", exact=True).click()
    expect(rows(page)).to_have_count(4)
    tab.click()
    expect(rows(page)).to_have_count(1)
    page.locator("#view-menu > summary").click()
    page.get_by_text("Delete the view").click()
    page.get_by_role("button", name="Delete it").click()
    expect(tab).to_have_count(0)
    assert not SavedView.objects.exists()


def test_many_are_acknowledged_at_once_and_each_says_what_came_of_it(open_page, four, alice, bob):
    page = open_page("/incidents", bob)
    live(page)
    bar = page.locator("#bulk")
    expect(bar).to_be_hidden()
    boxes = page.locator("#listed input[name=number]")
    boxes.nth(0).check()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.locator("#bulk-count")).to_have_text("3 selected")
    first = four[-1]
    lifecycle.resolve(first.pk, by=alice, now=timezone.now())
    expect(page.locator(f"#incident-{first.pk}")).to_contain_text("by Alice; matches no more")
    expect(page.locator("#bulk-count")).to_have_text("2 selected")
    bar.get_by_role("button", name="Acknowledge").click()
    message = page.locator("#messages")
    expect(message).to_contain_text("2 incidents acknowledged.")
    expect(message.locator(".results li")).to_have_count(2)
    expect(page.locator("#listed .chip-acknowledged")).to_have_count(2)
    expect(bar).to_be_hidden()
    assert was_not_reloaded(page)


def test_many_are_resolved_with_a_note_and_merged_into_one(open_page, four, bob):
    page = open_page("/incidents", bob)
    live(page)
    page.get_by_label("Select all shown").check()
    expect(page.locator("#bulk-count")).to_have_text("4 selected")
    page.locator("#bulk-merge summary").click()
    page.get_by_label("Merge the others into").select_option(value=str(four[0].pk))
    page.get_by_role("button", name="Merge them").click()
    expect(page.locator("#messages")).to_contain_text(f"#{four[1].pk} merged into #{four[0].pk}.")
    four[1].refresh_from_db()
    assert four[1].merged_into_id == four[0].pk
    page.get_by_label(f"Select incident {four[0].pk}").check()
    page.locator("#bulk-resolve summary").click()
    page.get_by_label("What was it?").fill("The switch was off.")
    page.get_by_role("button", name="Resolve them").click()
    expect(page.locator("#messages")).to_contain_text("1 incident resolved.")
    four[0].refresh_from_db()
    assert (four[0].status, four[0].resolution_note) == ("resolved", "The switch was off.")


def test_selected_rows_stay_selected_when_news_come(open_page, four, service, bob):
    page = open_page("/incidents", bob)
    live(page)
    page.get_by_label(f"Select incident {four[0].pk}").check()
    opened = lifecycle.trigger(service, title="One more", severity="low", now=timezone.now())
    expect(page.locator(f"#incident-{opened.pk}")).to_be_visible()
    expect(page.get_by_label(f"Select incident {four[0].pk}")).to_be_checked()
    expect(page.locator("#bulk-count")).to_have_text("1 selected")


def test_what_could_not_be_sent_stays_selected(open_page, four, service, bob):
    page = open_page("/incidents", bob, service_workers="block")
    live(page)
    page.route("**/incidents/bulk", lambda route: route.abort())
    page.get_by_label(f"Select incident {four[0].pk}").check()
    page.locator("#bulk").get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#messages")).to_contain_text("The server could not be reached.")
    opened = lifecycle.trigger(service, title="One more", severity="low", now=timezone.now())
    expect(page.locator(f"#incident-{opened.pk}")).to_be_visible()
    expect(page.locator("#bulk-count")).to_have_text("1 selected")


def test_the_row_with_the_focus_is_selected_by_a_key_also_after_news(open_page, four, service, bob):
    page = open_page("/incidents", bob)
    live(page)
    expect(page.locator("html[data-keys]")).to_have_count(1)
    page.keyboard.press("j")
    opened = lifecycle.trigger(service, title="One more", severity="low", now=timezone.now())
    expect(page.locator(f"#incident-{opened.pk}")).to_be_visible()
    page.keyboard.press("x")
    expect(page.locator("#bulk-count")).to_have_text("1 selected")


def test_rows_are_walked_selected_and_opened_by_keyboard(open_page, four, bob):
    page = open_page("/incidents", bob)
    live(page)
    expect(page.locator("html[data-keys]")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#bulk-count")).to_have_text("2 selected")
    expect(page.get_by_label(f"Select incident {four[2].pk}")).to_be_checked()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/incidents/{four[2].pk}$"))


def test_without_scripts_filters_and_many_at_once_work_by_their_forms(open_page, four, bob):
    page = open_page("/incidents", bob, java_script_enabled=False)
    page.locator("#finder-menu summary").click()
    page.get_by_label("Critical", exact=True).check()
    page.get_by_role("button", name="Show the incidents").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_label(f"Select incident {four[3].pk}").check()
    page.locator("#bulk").get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#messages")).to_contain_text(f"#{four[3].pk} acknowledged.")
    expect(rows(page).first).to_contain_text("Acknowledged")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_fits_a_phone(open_page, four, bob, scheme):
    factories.SavedViewFactory(owner=bob, name="A view with a rather long name")
    page = open_page("/incidents?severity=critical", bob, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#finder-menu summary").click()
    expect(page.get_by_role("button", name="Show the incidents")).to_be_in_viewport()
    page.get_by_role("button", name="Show the incidents").click()
    expect(page.locator("#finder-menu")).not_to_have_attribute("open", "")
    page.locator("#listed input[name=number]").first.check()
    expect(page.locator("#bulk")).to_be_in_viewport()
