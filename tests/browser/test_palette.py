"""The command palette, single keys, and how the pages look: in a real browser, by the keyboard alone."""

import re

from tests.browser.stage import expect, mark, was_not_reloaded


def press(page, *keys):
    """Press keys on a page whose scripts have come."""
    expect(page.locator("html[data-keys]")).to_have_count(1)
    for key in keys:
        page.keyboard.press(key)


def chosen(page):
    """The line of the palette that Enter would take."""
    return page.locator('#palette-list [aria-selected="true"]')


def test_a_page_is_reached_by_a_few_letters(open_page, incident, bob):
    page = open_page("/", bob)
    press(page, "Control+k")
    field = page.get_by_role("combobox", name="Page, incident, service, schedule or action")
    expect(field).to_be_focused()
    page.keyboard.type("my sh")
    expect(chosen(page)).to_contain_text("My shifts")
    expect(field).to_have_attribute("aria-activedescendant", chosen(page).get_attribute("id"))
    press(page, "Enter")
    expect(page).to_have_url(re.compile("/shifts$"))


def test_an_incident_is_reached_by_its_number_and_by_its_words(open_page, incident, bob):
    page = open_page("/services", bob)
    for words in (str(incident.pk), "checkout down"):
        press(page, "Control+k")
        page.keyboard.type(words)
        expect(chosen(page)).to_contain_text("Checkout is down")
        press(page, "Enter")
        expect(page).to_have_url(re.compile(f"/incidents/{incident.pk}$"))


def test_enter_pressed_before_the_answer_leads_to_what_was_typed(open_page, incident, bob):
    page = open_page("/services", bob)
    press(page, "Control+k")
    expect(chosen(page)).to_have_count(1)  # of no words yet
    page.keyboard.insert_text(str(incident.pk))
    press(page, "Enter")
    expect(page).to_have_url(re.compile(f"/incidents/{incident.pk}$"))


def test_arrows_move_escape_closes_and_the_focus_goes_back(open_page, incident, bob):
    page = open_page("/", bob)
    opener = page.get_by_role("button", name="Go to a page, incident, service or action")
    opener.focus()
    press(page, "Enter")
    expect(page.locator("#palette")).to_be_visible()
    expect(chosen(page)).to_have_count(1)
    first = chosen(page).get_attribute("id")
    press(page, "ArrowDown")
    assert chosen(page).get_attribute("id") != first
    press(page, "ArrowUp")
    assert chosen(page).get_attribute("id") == first
    press(page, "ArrowUp")  # from the first to the last
    expect(chosen(page)).to_be_in_viewport()
    press(page, "Escape")
    expect(page.locator("#palette")).to_be_hidden()
    expect(opener).to_be_focused()


def test_words_that_nothing_has_are_said(open_page, house, bob):
    page = open_page("/", bob)
    press(page, "Control+k")
    page.keyboard.type("zzzz")
    expect(page.locator(".palette-none")).to_contain_text("Nothing has these words.")
    press(page, "Enter")
    expect(page.locator("#palette")).to_be_visible()


def test_without_a_connection_the_palette_says_so(open_page, house, bob):
    page = open_page("/services", bob)
    expect(page.locator("html[data-keys]")).to_have_count(1)
    page.context.set_offline(True)
    press(page, "Control+k")
    expect(page.locator(".palette-none")).to_contain_text("could not be reached")


def test_single_keys_go_to_pages(open_page, incident, bob):
    page = open_page("/", bob)
    for key, path in {"i": "/incidents", "o": "/oncall", "s": "/services", "d": "/"}.items():
        press(page, "g", key)
        expect(page).to_have_url(re.compile(re.escape(path) + r"$"))
    press(page, "c")
    expect(page).to_have_url(re.compile("/incidents/new"))


def test_no_key_does_anything_while_somebody_types_or_with_a_modifier(open_page, incident, bob):
    page = open_page("/incidents/new", bob)
    mark(page)
    title = page.get_by_label("Title")
    title.fill("")
    page.keyboard.type("cg?/i")
    expect(title).to_have_value("cg?/i")
    page.locator("main").focus()
    for combination in ("Control+Shift+c", "Alt+c", "Alt+g"):
        press(page, combination)
    assert was_not_reloaded(page)
    expect(page.locator("#shortcuts")).to_be_hidden()


def test_the_list_of_keys_turns_them_off_and_on(open_page, incident, bob):
    page = open_page("/", bob)
    press(page, "?")
    sheet = page.get_by_role("dialog", name="Keys")
    expect(sheet).to_be_visible()
    sheet.get_by_label("Single keys do something").uncheck()
    press(page, "Escape")
    mark(page)
    press(page, "c")
    assert was_not_reloaded(page)
    page.reload()
    press(page, "?")
    expect(sheet).to_be_hidden()
    press(page, "Control+k")  # has a modifier, so it stays
    page.keyboard.type("all keys")
    expect(chosen(page)).to_contain_text("Show all keys")
    press(page, "Enter")
    sheet.get_by_label("Single keys do something").check()
    press(page, "Escape")
    press(page, "/")
    expect(page.get_by_role("searchbox", name="Search incidents")).to_be_focused()


def test_the_look_changes_at_once_and_stays(open_page, house, bob):
    page = open_page("/services", bob, color_scheme="light")
    mark(page)
    with page.expect_response("**/settings/theme") as answered:
        page.get_by_role("button", name="Dark").first.click()
    assert answered.value.status == 204
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(11, 14, 19)"
    assert page.locator('meta[name="theme-color"]').first.get_attribute("content") == "#12161d"
    expect(page.get_by_role("button", name="Dark").first).to_have_attribute("aria-pressed", "true")
    assert was_not_reloaded(page)
    assert page.evaluate("localStorage.getItem('_x_adminTheme')") == '"dark"'
    page.reload()
    expect(root).to_have_attribute("data-theme", "dark")


def test_the_look_changes_without_script_too(open_page, house, bob):
    page = open_page("/services", bob, java_script_enabled=False)
    page.get_by_role("button", name="Dark").first.click()
    expect(page).to_have_url(re.compile("/services$"))
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("button", name="Go to a page, incident, service or action")).to_be_hidden()


def test_exact_times_come_by_a_key_and_by_a_tap(open_page, incident, bob):
    page = open_page(f"/incidents/{incident.pk}", bob)
    time = page.locator("time[data-relative]").first
    exact = time.get_attribute("title")
    expect(time).not_to_have_text(exact)
    press(page, "t")
    expect(time).to_have_text(exact)
    page.reload()
    expect(time).to_have_text(exact)
    press(page, "t")
    expect(time).not_to_have_text(exact)


def test_somebody_without_a_mouse_opens_an_incident_of_the_list_and_answers_it(open_page, incident, bob):
    page = open_page("/incidents", bob)
    press(page, "j")
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("href", re.compile(f"/incidents/{incident.pk}"))
    press(page, "Enter")
    expect(page).to_have_url(re.compile(f"/incidents/{incident.pk}"))
    press(page, "a")
    expect(page.locator("[data-fragment=head]")).to_contain_text("Acknowledged")


def test_the_skip_link_comes_first_and_leads_past_the_frame(open_page, house, bob):
    page = open_page("/services", bob)
    press(page, "Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    press(page, "Enter")
    expect(page.locator("main")).to_be_focused()


def test_nothing_is_wider_than_a_narrow_window(open_page, incident, bob):
    page = open_page("/", bob, viewport={"width": 320, "height": 640})
    for path in ("/", "/docs/", "/docs/channels", "/start", "/go", "/services", f"/incidents/{incident.pk}"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
