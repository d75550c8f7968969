"""The pages on which responders keep a status page, in a real browser."""

import datetime as dt

import pytest
from django.utils import timezone

from statuspages import publishing, recurring
from statuspages.models import Post
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect
from tests.browser.test_accessibility import complaints

HOUR = dt.timedelta(hours=1)
DEVICES = {
    "desk, light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "desk, dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone, light": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "phone, dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


@pytest.fixture
def page_row(house, team):
    return factories.StatusPageFactory(name="Shop status", slug="shop", team=team, time_zone="Europe/Berlin")


@pytest.fixture
def payments(page_row, service):
    group = factories.ComponentGroupFactory(page=page_row, name="Money")
    return factories.ComponentFactory(page=page_row, name="Payments", group=group, services=[service])


@pytest.fixture
def paths(page_row, payments, incident, alice):
    """Every page, with something on it."""
    now = timezone.now()
    factories.ComponentFactory(page=page_row, name="Search")
    factories.PostTemplateFactory(page=page_row)
    publishing.set_state(payments.uuid, state="major_outage", until=now + HOUR, reason="Bank", by=alice, now=now)
    post = publishing.open_incident(
        page_row.pk,
        title="Payments fail for some cards " * 3,
        body="We **look** into it.",
        components={str(payments.uuid): "partial_outage"},
        incident=incident,
        by=alice,
        now=now,
    )
    span = {"starts_at": now + 24 * HOUR, "ends_at": now + 25 * HOUR}
    publishing.plan_maintenance(page_row.pk, title="Upgrade", body="Read-only.", **span, by=alice, now=now)
    series = recurring.save(
        page_row.pk,
        title="Weekly work",
        body="Short breaks.",
        rrule="FREQ=WEEKLY",
        time_zone="Europe/Berlin",
        announced_days=7,
        is_enabled=True,
        components=[str(payments.uuid)],
        now=now,
        **span,
    )
    factories.SubscriberFactory(page=page_row)
    place = "/status-pages/shop"
    return [
        "/status-pages",
        place,
        f"{place}/posts/new?incident={incident.pk}",
        f"{place}/posts/{post.uuid}",
        f"{place}/posts/{post.uuid}/edit",
        f"{place}/posts/{post.uuid}/delete",
        f"{place}/posts/{post.uuid}/updates/{post.updates.get().uuid}",
        f"{place}/components/{payments.uuid}/state",
        f"{place}/maintenance/new",
        f"{place}/recurring",
        f"{place}/recurring/{series.uuid}",
        f"{place}/history",
        f"{place}/subscribers",
        f"/incidents/{incident.pk}/status-pages",
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_every_page_can_be_used_by_everybody(open_page, paths, alice, axe, device):
    page = open_page(paths[0], alice, **DEVICES[device])
    found = []
    for path in paths:
        page.goto(path)
        found += [f"{path}: {one}" for one in complaints(page, axe)]
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > DEVICES[device]["viewport"]["width"]:
            found.append(f"{path} is {width} px wide")
    assert not found, "\n".join(found)


def test_an_incident_is_posted_from_its_page_and_only_what_is_typed(open_page, payments, incident, bob):
    page = open_page(f"/incidents/{incident.pk}", bob)
    panel = page.locator("#status-pages")
    panel.get_by_role("link", name="Post to a status page: Shop status").click()
    expect(page.get_by_label("Our incident")).to_have_value(str(incident.pk))
    expect(page.get_by_label("Payments")).to_have_value("computed")
    page.get_by_label("Title").fill("Payments fail")
    page.get_by_label("What readers are told").fill("We **look** into it.")
    expect(page.locator("#preview strong")).to_have_text("look")  # without a press
    page.get_by_role("button", name="Post it").click()
    expect(page.get_by_role("status")).to_contain_text("is posted")
    post = Post.objects.get()
    assert (post.title, post.incident_id, post.updates.get().body) == (
        "Payments fail",
        incident.pk,
        "We **look** into it.",
    )
    page.goto(f"/incidents/{incident.pk}")
    panel.get_by_role("link", name="Add an update to the post on Shop status").click()
    expect(page.get_by_role("heading", name="Next update")).to_be_visible()


def test_without_scripts_a_template_fills_the_form_and_the_post_is_made(open_page, page_row, payments, bob):
    factories.PostTemplateFactory(page=page_row, name="Bank", title="The bank is slow", body="We wait.")
    page = open_page("/status-pages/shop/posts/new", bob, java_script_enabled=False)
    page.get_by_label("Payments").select_option("partial_outage")
    page.get_by_label("Template").select_option("Bank")
    page.get_by_role("button", name="Fill in").click()
    expect(page.get_by_label("Title")).to_have_value("The bank is slow")
    expect(page.get_by_label("Payments")).to_have_value("partial_outage")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("We wait.")
    page.get_by_label("Title").press("Enter")  # it posts, and fills nothing in
    expect(page.get_by_role("status")).to_contain_text("is posted")
    assert Post.objects.get().impact == "major"


def test_a_strict_content_security_policy_breaks_nothing(open_page, paths, bob):
    page = open_page("/status-pages", bob)
    with strict(page):
        for path in paths:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
