"""What machines propose, on the page of an incident and behind the link of a message, in a real browser."""

import re

import pytest
from django.utils import timezone

from automation import proposals
from automation.models import Hypothesis, RecommendedAction
from incidents import lifecycle
from notifications import links
from notifications.models import Notification
from tests.browser.stage import expect, mark, was_not_reloaded
from tests.house import wait_until


@pytest.fixture
def hypothesis(incident):
    given = {"source": "Root cause agent", "by": None, "now": timezone.now()}
    evidence = [{"text": "df says 100 %.", "url": "https://grafana.example/d/1"}]
    return proposals.propose(
        Hypothesis, incident.pk, text="The **disk** is full.", confidence=0.8, evidence=evidence, **given
    )


@pytest.fixture
def action(incident):
    given = {"source": "Root cause agent", "by": None, "now": timezone.now()}
    return proposals.propose(RecommendedAction, incident.pk, text="Delete the old logs.", risk="low", **given)


@pytest.fixture
def token(incident, alice):
    """Of the mail that paged Alice."""
    page = Notification.objects.filter(topic=incident.topic, user=alice).earliest("id")
    return links.token(page.uuid, "escalate")


def review_both(page, hypothesis, action):
    """Approve the one and reject the other, without leaving the page."""
    mark(page)
    first, second = (page.locator(f"#proposal-{one.uuid}") for one in (hypothesis, action))
    expect(first.locator("strong")).to_have_text("disk")
    first.get_by_label("Feedback").fill("I see it too.")
    first.get_by_role("button", name="Approve").click()
    expect(first.locator(".chip")).to_have_text("Approved")
    expect(first).to_contain_text("I see it too.")
    expect(page.locator("#messages")).to_contain_text("The hypothesis is approved.")
    second.get_by_role("button", name="Reject").click()
    expect(second.locator(".chip")).to_have_text("Rejected")
    expect(page.locator("#proposals #messages")).to_have_count(0)
    assert was_not_reloaded(page)
    hypothesis.refresh_from_db()
    action.refresh_from_db()
    assert (hypothesis.verdict, hypothesis.feedback, action.verdict) == ("approved", "I see it too.", "rejected")


def test_a_responder_reviews_on_the_page_of_the_incident(open_page, incident, hypothesis, action, bob):
    page = open_page(f"/incidents/{incident.pk}", bob)
    review_both(page, hypothesis, action)
    expect(page).to_have_url(re.compile(rf"/incidents/{incident.pk}$"))
    expect(page.locator("#timeline, [data-fragment='timeline']").first).to_contain_text("Bob approved the hypothesis")
    page.reload()
    expect(page.locator(f"#proposal-{hypothesis.uuid} .chip")).to_have_text("Approved")


def test_a_panel_that_was_asked_for_before_a_press_in_it_does_not_undo_it(open_page, incident, action, alice, bob):
    page = open_page(f"/incidents/{incident.pk}", bob, service_workers="block")
    row = page.locator(f"#proposal-{action.uuid}")
    expect(page.locator("#connection")).to_have_text("Live")
    approve = row.get_by_role("button", name="Approve")
    expect(approve).to_be_visible()
    held = []
    address = f"**/incidents/{incident.pk}/proposals"
    page.route(address, lambda route: route.fallback() if held else held.append(route))
    with page.expect_request(address) as asked:
        lifecycle.add_note(incident.pk, text="I look at it.", by=alice, now=timezone.now())
    old = page.request.get(asked.value.url, headers=asked.value.headers).body()
    approve.click()
    expect(row.locator(".chip")).to_have_text("Approved")
    with page.expect_request(address):
        held[0].fulfill(body=old, content_type="text/html")
    page.wait_for_timeout(300)  # so that it could have been merged
    assert row.locator(".chip").inner_text() == "Approved"


def test_news_that_come_before_the_answer_leave_the_panel_as_it_is(open_page, incident, action, bob):
    page = open_page(f"/incidents/{incident.pk}", bob, service_workers="block")
    row = page.locator(f"#proposal-{action.uuid}")
    expect(page.locator("#connection")).to_have_text("Live")
    late = []
    page.route("**/proposals/action/**", lambda route: late.append((route, route.fetch())))
    with page.expect_response(f"**/incidents/{incident.pk}/proposals", timeout=20_000) as news:  # of the approval
        row.get_by_role("button", name="Approve").click()
    news.value.finished()
    wait_until(lambda: page.wait_for_timeout(300) or late, 20, "the server answers the press")
    expect(row.get_by_role("button", name="Approve")).to_be_visible()
    route, answer = late[0]
    route.fulfill(response=answer)
    expect(row.locator(".chip")).to_have_text("Approved")
    expect(page.locator("#messages")).to_contain_text("is approved.")
    expect(page.locator("#proposals #messages")).to_have_count(0)


def test_whoever_was_paged_reviews_behind_the_link_of_the_message(open_page, token, hypothesis, action, alice):
    page = open_page(f"/l/{token}")
    expect(page.get_by_role("heading", name="What the machine proposes")).to_be_visible()
    review_both(page, hypothesis, action)
    assert hypothesis.reviewed_by == alice
    expect(page).to_have_url(re.compile(rf"/l/{re.escape(token)}$"))
    expect(page.get_by_role("button", name="Call the next level now")).to_be_visible()


def test_behind_the_link_a_machine_that_says_nothing_takes_no_place(open_page, token):
    page = open_page(f"/l/{token}")
    expect(page.locator("#proposals")).to_contain_text("No machine proposes anything.")
    expect(page.get_by_role("heading", name="What the machine proposes")).to_be_hidden()


def test_without_script_the_link_leads_to_the_proposals(open_page, token, hypothesis, action, alice):
    page = open_page(f"/l/{token}", java_script_enabled=False)
    page.get_by_role("link", name="Show what the machine proposes").click()
    page.locator(f"#proposal-{action.uuid}").get_by_role("button", name="Approve").click()
    expect(page.locator(f"#proposal-{action.uuid} .chip")).to_have_text("Approved")
    expect(page.locator("#messages")).to_contain_text("do it by hand")
    page.get_by_role("link", name="Back to incident").click()
    expect(page.get_by_role("button", name="Call the next level now")).to_be_visible()


def test_the_link_still_acknowledges_by_itself_and_shows_the_proposals(open_page, incident, hypothesis, alice):
    her_page = Notification.objects.filter(topic=incident.topic, user=alice).earliest("id")
    link = f"/l/{links.token(her_page.uuid, 'acknowledge')}"
    page = open_page(link)
    expect(page.get_by_role("heading", name="You have it")).to_be_visible()
    expect(page.locator(f"#proposal-{hypothesis.uuid}")).to_contain_text("80 %")
    page.locator(f"#proposal-{hypothesis.uuid}").get_by_role("button", name="Reject").click()
    expect(page.locator(f"#proposal-{hypothesis.uuid} .chip")).to_have_text("Rejected")
    lifecycle.resolve(incident.pk, by=alice, now=timezone.now())
    page.goto(link)
    expect(page.get_by_text("is over")).to_be_visible()
    expect(page.locator("#proposals")).to_have_count(0)  # nothing is left to do
