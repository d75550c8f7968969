"""The page of one incident in a real browser: pressed at once, taken back when refused, and nothing typed is lost."""

import re

import pytest
from django.utils import timezone

from incidents import checklist, lifecycle
from tests.browser.stage import expect, mark, was_not_reloaded
from tests.house import wait_until

PHONE = {"width": 390, "height": 844}


def live(page):
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    mark(page)
    return page


def chip(page):
    return page.locator("#status-chip")


def test_a_page_is_acknowledged_seen_by_another_and_resolved(open_page, incident, alice, bob):
    hers = live(open_page(f"/incidents/{incident.pk}", alice))
    his = live(open_page(f"/incidents/{incident.pk}", bob))
    hers.get_by_role("button", name="Acknowledge").click()
    expect(hers.get_by_role("button", name="Start investigating")).to_be_visible()
    expect(hers.locator("[data-fragment=head]")).to_contain_text("Alice")
    expect(chip(his)).to_have_text("Acknowledged")
    expect(his.locator("[data-fragment=timeline]")).to_contain_text("Acknowledged by Alice")
    his.locator("#verb-resolve > summary").click()
    expect(his.locator("#resolve-note")).to_be_focused()
    his.keyboard.type("It was the cache.")
    his.get_by_role("button", name="Resolve the incident").click()
    expect(chip(his)).to_have_text("Resolved")
    expect(chip(hers)).to_have_text("Resolved")
    expect(hers.locator("[data-fragment=head]")).to_contain_text("It was the cache.")
    assert was_not_reloaded(hers) and was_not_reloaded(his)


def test_what_is_pressed_shows_before_the_server_answers(open_page, incident, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob, service_workers="block"))
    waiting = []
    page.route("**/do/acknowledge", lambda route: waiting.append(route))
    with page.expect_request("**/do/acknowledge"):
        page.get_by_role("button", name="Acknowledge").click()
    expect(chip(page)).to_have_text("Acknowledged")
    expect(page.get_by_role("button", name="You have it")).to_be_disabled()
    incident.refresh_from_db()
    assert incident.status == "triggered"
    waiting[0].continue_()
    expect(page.get_by_role("button", name="Start investigating")).to_be_visible()


def test_news_that_come_before_the_answer_take_nothing_back(open_page, incident, alice, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob, service_workers="block"))
    waiting = []
    page.route("**/do/acknowledge", lambda route: waiting.append(route))
    with page.expect_request("**/do/acknowledge"):
        page.get_by_role("button", name="Acknowledge").click()
    with page.expect_response(lambda answer: "x-news" in answer.request.headers) as news:
        lifecycle.add_note(incident.pk, text="I look at the bank.", by=alice, now=timezone.now())
    news.value.finished()
    page.wait_for_timeout(300)  # so that it could have been merged
    assert chip(page).inner_text() == "Acknowledged"
    waiting[0].continue_()
    expect(page.get_by_role("button", name="Start investigating")).to_be_visible()
    expect(page.locator(".timeline .entry-note")).to_contain_text("I look at the bank.")


def test_a_press_that_does_not_arrive_is_taken_back_and_said(open_page, incident, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob, service_workers="block"))
    page.route("**/do/acknowledge", lambda route: route.abort())
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#messages")).to_contain_text("The server could not be reached.")
    expect(chip(page)).to_have_text("Triggered")
    expect(page.get_by_role("button", name="Acknowledge")).to_be_enabled()


def test_a_press_that_comes_too_late_says_what_happened_meanwhile(open_page, incident, alice, bob):
    page = open_page(f"/incidents/{incident.pk}", bob, service_workers="block")
    page.route("**/do/acknowledge", lambda route: resolve_first(route, incident.pk, alice))
    page.route(f"**/incidents/{incident.pk}", lambda route: route.abort())  # the news cannot correct it
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#messages")).to_contain_text(re.compile("Alice resolved it"))
    expect(chip(page)).to_have_text("Resolved")
    expect(page.locator(".head")).to_have_class(re.compile("head-resolved"))
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)


def resolve_first(route, number, by):
    lifecycle.resolve(number, by=by, now=timezone.now())
    route.continue_()


def test_the_keys_press_the_buttons(open_page, incident, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob, service_workers="block"))
    expect(page.locator("html[data-keys]")).to_have_count(1)  # the page may be live before it listens for keys
    for key, field in (("s", "#snooze-minutes"), ("r", "#resolve-note"), ("n", "#note-text")):
        page.keyboard.press(key)
        expect(page.locator(field)).to_be_focused()
        page.keyboard.press("Escape")
        page.locator("h1").click()
        page.evaluate("document.activeElement.blur()")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Start investigating")).to_be_visible()


def test_the_whole_way_by_keyboard_alone(open_page, incident, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob, service_workers="block"))
    page.get_by_role("button", name="Acknowledge").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Start investigating")).to_be_visible()
    page.locator("#verb-more > summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#verb-more .menu-item").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#verb-more")).not_to_have_attribute("open", "")
    expect(page.locator("#verb-more > summary")).to_be_focused()
    page.locator("#verb-resolve > summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#resolve-note")).to_be_focused()
    page.keyboard.type("Done.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(chip(page)).to_have_text("Resolved")


def test_a_note_has_a_toolbar_and_a_preview(open_page, incident, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob))
    note = page.locator("#note-text")
    note.fill("broken")
    note.select_text()
    page.get_by_role("button", name="Bold").click()
    expect(note).to_have_value("**broken**")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#note-preview strong")).to_have_text("broken")
    page.get_by_role("button", name="Add to the timeline").click()
    expect(page.locator(".timeline .entry-note strong")).to_have_text("broken")
    expect(note).to_have_value("")
    expect(page.locator("#note-preview")).to_be_hidden()


def test_what_is_typed_anywhere_survives_the_news(open_page, incident, alice, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob))
    page.locator("#note-text").fill("half a note")
    page.locator("#update-text").fill("half an update")
    page.locator("#task-new").fill("half a task")
    page.locator("#verb-snooze > summary").click()
    page.locator("#snooze-minutes").select_option("240")
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    expect(chip(page)).to_have_text("Acknowledged")
    expect(page.locator("#note-text")).to_have_value("half a note")
    expect(page.locator("#update-text")).to_have_value("half an update")
    expect(page.locator("#task-new")).to_have_value("half a task")
    expect(page.locator("#snooze-minutes")).to_have_value("240")
    expect(page.locator("#verb-snooze")).to_have_attribute("open", "")


def test_tasks_are_added_by_enter_and_ticked(open_page, incident, alice, bob):
    hers = live(open_page(f"/incidents/{incident.pk}", alice))
    his = live(open_page(f"/incidents/{incident.pk}", bob))
    his.locator("#task-new").fill("Call the bank")
    his.keyboard.press("Enter")
    expect(hers.locator(".task")).to_contain_text("Call the bank")
    expect(his.locator("#task-new")).to_have_value("")
    hers.get_by_role("button", name="Done: Call the bank").click()
    expect(his.locator(".task.is-done")).to_contain_text("done by Alice")
    assert checklist.Task.objects.get().done_by == alice


def test_the_answer_to_a_press_whose_form_is_gone_by_then_breaks_nothing(open_page, incident, bob):
    for text in ("Call the bank", "Tell the shop"):
        checklist.add(incident.pk, text=text, by=bob, now=timezone.now())
    page = live(open_page(f"/incidents/{incident.pk}", bob, service_workers="block"))
    page.route("**/*", lambda route: route.abort() if "x-news" in route.request.headers else route.fallback())
    late = []
    page.route("**/do/remove-task", lambda route: route.fallback() if late else late.append((route, route.fetch())))
    for text in ("Tell the shop", "Call the bank"):
        page.get_by_label(f"Change the task {text}").click()
        page.locator(".task").filter(has_text=text).get_by_role("button", name="Remove the task").click()
        wait_until(lambda: page.wait_for_timeout(50) or late, 20, "the server answers the first press")
    expect(page.locator(".task")).to_have_count(0)
    page.evaluate("document.getElementById('messages').replaceChildren()")
    route, answer = late[0]
    route.fulfill(response=answer)
    expect(page.locator("#messages")).to_contain_text("The task is off the list.")
    expect(page.locator("#proposals")).to_have_count(1)  # what is no fragment is still there
    assert was_not_reloaded(page)


def test_merging_by_search_and_taking_out_again(open_page, incident, service, bob):
    other = lifecycle.trigger(service, title="Payments time out", severity="high", now=timezone.now())
    page = live(open_page(f"/incidents/{incident.pk}", bob))
    page.locator("#verb-more > summary").click()
    page.locator("#verb-merge > summary").click()
    page.locator("#merge-q").fill("payments")
    page.get_by_label(re.compile("Payments time out")).check()
    page.get_by_role("button", name=f"Merge #{incident.pk} into it").click()
    expect(page.locator(".merged-note")).to_contain_text(f"Merged into #{other.pk}")
    page.get_by_role("button", name="Take it out again").click()
    expect(chip(page)).to_have_text("Triggered")
    assert was_not_reloaded(page)


def test_on_a_phone_the_head_and_the_button_are_on_the_first_screen(open_page, incident, bob):
    page = open_page(f"/incidents/{incident.pk}", bob, viewport=PHONE)
    head, button = page.locator(".head").bounding_box(), page.get_by_role("button", name="Acknowledge").bounding_box()
    bar = page.locator(".bottom-bar").bounding_box()
    assert head["y"] + head["height"] < button["y"] and button["y"] + button["height"] <= bar["y"]
    for one in page.locator(".actions .button:visible").all():
        box = one.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] and box["height"] >= 44
    page.locator("#verb-more > summary").click()
    drop = page.locator("#verb-more > .drop").bounding_box()
    assert drop["x"] == 0 and drop["width"] == PHONE["width"] and drop["y"] + drop["height"] == PHONE["height"]


def test_news_that_were_asked_for_before_another_kind_was_chosen_do_not_undo_it(open_page, incident, alice, bob):
    page = live(open_page(f"/incidents/{incident.pk}", bob, service_workers="block"))
    asked = []
    page.route(f"**/incidents/{incident.pk}", lambda route: asked.append(route))
    with page.expect_request(f"**/incidents/{incident.pk}"):
        lifecycle.add_note(incident.pk, text="I look at the bank.", by=alice, now=timezone.now())
    page.get_by_role("link", name="Notes", exact=True).click()
    expect(page.locator(".entry-triggered")).to_have_count(0)
    with page.expect_response(lambda answer: "show=" in answer.url and "x-news" in answer.request.headers) as again:
        asked[0].continue_()
    again.value.finished()
    expect(page.locator(".show[aria-current]")).to_have_text("Notes")
    expect(page.locator(".timeline .entry-note")).to_contain_text("I look at the bank.")
    expect(page.locator(".entry-triggered")).to_have_count(0)
    assert len(asked) == 1 and was_not_reloaded(page)


@pytest.mark.parametrize("show", ["Notes", "Pages"])
def test_the_timeline_shows_one_kind_and_goes_on_doing_so(open_page, incident, bob, show):
    page = live(open_page(f"/incidents/{incident.pk}", bob))
    page.get_by_role("link", name=show, exact=True).click()
    expect(page.locator(".show[aria-current]")).to_have_text(show)
    expect(page.locator(".entry-triggered")).to_have_count(0)
    lifecycle.add_note(incident.pk, text="Written meanwhile", by=bob, now=timezone.now())
    lifecycle.escalate(incident.pk, by=bob, now=timezone.now())
    expect(page.locator(".entry-note" if show == "Notes" else ".entry-escalated")).to_have_count(1)
    expect(page.locator(".entry-triggered")).to_have_count(0)
    assert was_not_reloaded(page)
