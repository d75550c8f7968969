"""Writing a postmortem in a real browser: it saves itself, alone, offline, and beside somebody else."""

import io

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from PIL import Image as Picture

from incidents import lifecycle
from postmortems import drafting, reviewing, sharing, writing
from postmortems.models import Image, Section
from tests import factories
from tests.browser.conftest import sign_in
from tests.browser.policy import strict
from tests.browser.stage import expect
from tests.browser.test_accessibility import DEVICES, complaints, listed, use
from tests.house import wait_until

SAVED = "Saved"


@pytest.fixture
def postmortem(house, service, alice):
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())
    lifecycle.acknowledge(incident.pk, by=alice, now=timezone.now())
    lifecycle.resolve(incident.pk, by=alice, now=timezone.now())
    return drafting.start([incident.pk], by=alice, now=timezone.now())


@pytest.fixture
def section(postmortem):
    return postmortem.sections.first()


@pytest.fixture
def editor(open_page, postmortem, bob):
    return open_page(f"/postmortems/{postmortem.number}/edit", bob)


def field(page, section):
    return page.locator(f"#body-{section.uuid}")


def state(page):
    return page.locator("#save-state")


def stored(section):
    return Section.objects.get(pk=section.pk).body


def picture():
    out = io.BytesIO()
    Picture.new("RGB", (60, 30), "teal").save(out, "PNG")
    return out.getvalue()


def test_a_text_saves_itself_after_a_pause_and_says_so(editor, section, bob):
    field(editor, section).fill("The certificate expired.")
    expect(state(editor)).to_have_text("Not saved yet")
    expect(state(editor)).to_have_text(SAVED)
    assert stored(section) == "The certificate expired."
    assert section.revisions.first().by == bob
    editor.reload()  # without a question, and with nothing left to bring back
    expect(field(editor, section)).to_have_value("The certificate expired.")
    assert not editor.evaluate("Object.keys(localStorage).some((key) => key.startsWith('watchbill-text'))")


def test_without_a_network_the_text_waits_in_the_browser_and_is_saved_when_it_is_back(editor, section):
    field(editor, section).fill("Written in a tunnel.")
    editor.context.set_offline(True)
    expect(state(editor)).to_contain_text("there is no connection", timeout=15_000)
    assert stored(section) == ""
    field(editor, section).press_sequentially(" And after it.")
    editor.context.set_offline(False)
    expect(state(editor)).to_have_text(SAVED, timeout=15_000)
    assert stored(section) == "Written in a tunnel. And after it."


def test_a_text_that_was_never_stored_is_there_again_when_the_page_is_opened_anew(editor, section):
    editor.on("dialog", lambda dialog: dialog.accept())
    editor.context.set_offline(True)
    field(editor, section).fill("Closed by accident.")
    editor.close(run_before_unload=False)
    page = editor.context.new_page()
    editor.context.set_offline(False)
    page.goto(editor.url)
    expect(field(page, section)).to_have_value("Closed by accident.")
    expect(state(page)).to_have_text(SAVED, timeout=15_000)
    assert stored(section) == "Closed by accident."


def signed_out(page):
    """End the session of the browser; returns a function that signs somebody in again, as another tab would."""
    Session.objects.all().delete()

    def sign_in_again(user, house):
        page.context.clear_cookies()  # with the token that the forms of the page have
        sign_in(page.context, user, house)

    return sign_in_again


def test_a_session_that_ended_keeps_the_text_until_one_is_signed_in_elsewhere(editor, section, alice, bob, house):
    sign_in_again = signed_out(editor)
    field(editor, section).fill("Written while signed out.")
    expect(state(editor)).to_contain_text("Not saved: you are signed out")
    assert stored(section) == ""
    sign_in_again(alice, house)
    expect(state(editor)).to_contain_text("Not saved: somebody else is signed in here now")
    assert stored(section) == ""
    sign_in_again(bob, house)  # the forms of this page have an old token now
    expect(state(editor)).to_have_text(SAVED)
    assert stored(section) == "Written while signed out." and section.revisions.first().by == bob


def test_who_may_write_no_more_is_told_so_and_keeps_the_text(editor, postmortem, section, bob):
    bob.memberships.all().delete()
    field(editor, section).fill("Too late.")
    expect(state(editor)).to_contain_text("Not saved: you may not change this any more")
    expect(field(editor, section)).to_have_value("Too late.")
    assert stored(section) == ""


KEPT = "Object.keys(localStorage).filter((key) => key.startsWith('watchbill-text')).length"


def test_signing_out_leaves_no_text_behind_on_a_machine_that_others_use(editor, section):
    editor.set_viewport_size({"width": 1440, "height": 900})
    editor.on("dialog", lambda dialog: dialog.accept())
    editor.route("**/sections/*", lambda route: route.abort())
    field(editor, section).fill("Nobody else is to read this.")
    editor.locator("#edit-head summary").click()
    editor.get_by_label("Title", exact=True).fill("Nor this")
    assert editor.evaluate(KEPT) == 2
    editor.locator(".side-bar form[action='/logout'] button").click()
    editor.wait_for_url("**/login**")
    assert editor.evaluate(KEPT) == 0


def test_what_one_person_left_is_gone_when_another_signs_in(editor, section, alice, house):
    editor.on("dialog", lambda dialog: dialog.accept())
    sign_in_again = signed_out(editor)
    field(editor, section).fill("Left behind.")
    expect(state(editor)).to_contain_text("you are signed out")
    editor.goto("/login")
    assert editor.evaluate(KEPT) == 1  # they may come back
    sign_in_again(alice, house)
    editor.goto("/postmortems")
    assert editor.evaluate(KEPT) == 0


def test_a_title_that_was_not_saved_is_there_again(editor, postmortem):
    editor.on("dialog", lambda dialog: dialog.accept())
    editor.locator("#edit-head summary").click()
    editor.get_by_label("Title", exact=True).fill("Half a title")
    editor.reload()
    expect(editor.get_by_label("Title", exact=True)).to_have_value("Half a title")
    expect(editor.locator("#messages")).to_contain_text("above the sections")
    editor.get_by_role("button", name="Save", exact=True).click()
    expect(editor.locator("#messages")).to_contain_text("Everything is saved")
    postmortem.refresh_from_db()
    assert postmortem.title == "Half a title"
    editor.reload()
    assert editor.evaluate(KEPT) == 0


def test_leaving_asks_while_something_is_not_stored(editor, section):
    asked = []
    editor.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    editor.locator("#edit-head summary").click()
    editor.get_by_label("Title", exact=True).fill("Half a title")
    editor.get_by_role("link", name="Read", exact=True).click()
    wait_until(lambda: editor.evaluate("true") and asked, 5, "the browser asks")
    assert asked == ["beforeunload"] and editor.url.endswith("/edit")


def test_two_people_see_both_texts_and_lose_nothing(editor, open_page, postmortem, section, alice):
    hers = open_page(f"/postmortems/{postmortem.number}/edit", alice)
    field(hers, section).fill("Hers was first.\nBoth know this.\n")
    expect(state(hers)).to_have_text(SAVED)
    field(editor, section).fill("His was slower.\nBoth know this.\n")
    conflict = editor.locator(".pm-conflict")
    expect(conflict).to_contain_text("Alice saved this section while you wrote")
    expect(conflict.get_by_role("group", name="Your text")).to_contain_text("His was slower.")
    expect(conflict.get_by_role("group", name="Their text")).to_contain_text("Hers was first.")
    expect(state(editor)).to_contain_text("Not saved: somebody else changed a section")
    assert stored(section).startswith("Hers")
    conflict.get_by_role("button", name="Put both into the field").click()
    expect(field(editor, section)).to_have_value("His was slower.\nHers was first.\nBoth know this.\n")
    expect(state(editor)).to_have_text(SAVED)
    # Now she is late, and takes his.
    field(hers, section).fill("Hers again.")
    conflict = hers.locator(".pm-conflict")
    conflict.get_by_role("button", name="Take theirs").click()
    expect(conflict).to_have_count(0)
    expect(field(hers, section)).to_have_value("His was slower.\nHers was first.\nBoth know this.\n")
    bodies = list(section.revisions.values_list("body", flat=True))
    assert "Hers was first.\nBoth know this.\n" in bodies and "Hers again." in bodies


def test_an_image_that_is_dropped_stands_in_the_text_and_in_the_preview(editor, section):
    field(editor, section).fill("Look:\n")
    element = editor.locator(f"#edit-{section.uuid} [data-image]")
    element.set_input_files({"name": "graph.png", "mimeType": "image/png", "buffer": picture()})
    wait_until(lambda: Image.objects.exists(), 10, "the image is stored")
    image = Image.objects.get()
    expect(state(editor)).to_have_text(SAVED, timeout=15_000)
    assert f"/images/{image.uuid})" in stored(section) and "Uploading" not in stored(section)
    editor.locator(f"#edit-{section.uuid}").get_by_role("button", name="Preview").click()
    shown = editor.locator(f"#preview-{section.uuid} img")
    wait_until(lambda: shown.count() and shown.evaluate("(one) => one.naturalWidth") == 60, 10, "it is shown")
    # What is no image is refused with a sentence, and leaves no trace in the text.
    element.set_input_files({"name": "virus.png", "mimeType": "image/png", "buffer": b"MZ nothing"})
    expect(editor.locator("#messages")).to_contain_text("This is no picture that can be read")
    expect(field(editor, section)).not_to_have_value("Uploading")
    assert Image.objects.count() == 1


def test_an_action_item_moves_over_the_board_without_a_new_page(open_page, postmortem, bob):
    item = factories.ActionItemFactory(postmortem=postmortem, owner=bob, text="Renew by machine")
    page = open_page("/postmortems/items", bob)
    page.evaluate("window.same = true")
    page.locator("#column-open ~ ul").get_by_role("button", name="Start").click()
    column = page.get_by_role("region", name="In progress")
    expect(column).to_contain_text("Renew by machine")
    assert page.evaluate("window.same")
    item.refresh_from_db()
    assert item.status == "in_progress"


# --- for everybody ------------------------------------------------------------------------------------------------


@pytest.fixture
def paths(postmortem, section, alice, bob):
    """Every page of postmortems, with something on it."""
    now = timezone.now()
    by_whom = {"by": alice, "now": now}
    writing.save_section(section.uuid, body="# One\n\n- two\n\n`three`", seen_version=1, **by_whom)
    writing.save_section(section.uuid, body="# One\n\n- four\n\n`three`", seen_version=2, **by_whom)
    number = postmortem.number
    factors = [factories.FactorFactory(postmortem=postmortem, cause="Expired certificate", text="Nobody looked.")]
    other = factories.PostmortemFactory(team=postmortem.team, impact_began_at=now, impact_ended_at=now)
    factories.FactorFactory(postmortem=other, cause=factors[0].cause)
    for status in ("open", "in_progress", "completed", "cancelled"):
        item = factories.ActionItemFactory(postmortem=postmortem, owner=bob, status=status, due_on=now.date())
    reviewing.ask(number, [bob], **by_whom)
    reviewing.comment(number, text="How many?", section=section.uuid, **by_whom)
    factories.ShareLinkFactory(postmortem=postmortem)
    wanted = factories.IncidentFactory(service__team=postmortem.team, status="resolved", priority="P1")
    factories.WantedFactory(incident=wanted)
    published = drafting.start([wanted.pk], by=alice, now=now)
    reviewing.publish(published.number, **by_whom)
    _, token = sharing.make(published.number, days=3, **by_whom)
    return [
        "/postmortems",
        f"/postmortems/new?incident={wanted.pk}",
        f"/postmortems/wanted/{wanted.pk}",
        f"/postmortems/{number}",
        f"/postmortems/{number}/edit",
        f"/postmortems/{number}/timeline",
        f"/postmortems/{number}/factors",
        f"/postmortems/{number}/links",
        f"/postmortems/{number}/do/publish",
        f"/postmortems/{number}/sections/{section.uuid}/versions",
        "/postmortems/items",
        f"/postmortems/items/{item.uuid}",
        "/postmortems/figures",
        f"/incidents/{wanted.pk}/postmortem",
        f"/postmortems/shared/{token}",
        "/postmortems/shared/nothing",
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_everybody_can_use_every_page(open_page, paths, bob, axe, device):
    page = open_page("/postmortems", bob)
    use(page, device)
    found = {}
    for path in paths:
        page.goto(path)
        for said in complaints(page, axe):
            found.setdefault(said, []).append(path)
        if page.evaluate("document.documentElement.scrollWidth") > DEVICES[device]["size"]["width"]:
            found.setdefault("The page is too wide.", []).append(path)
    assert not found, listed(found)


def test_a_conflict_can_be_read_by_everybody(editor, postmortem, section, alice, axe):
    writing.save_section(section.uuid, body="Hers", seen_version=1, by=alice, now=timezone.now())
    field(editor, section).fill("His")
    expect(editor.locator(".pm-conflict")).to_be_visible()
    for device in DEVICES:
        use(editor, device)
        assert not complaints(editor, axe)


def test_a_strict_content_security_policy_breaks_nothing(open_page, paths, bob):
    page = open_page("/postmortems", bob)
    with strict(page):
        for path in paths:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
