"""Alerts, integrations and snooze in a real browser: on a phone, in both themes, under a strict policy, with and
without scripts.
"""

import pytest
from django.utils import timezone

from alerts import ingest
from alerts.models import InboundEvent
from incidents.models import Incident
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect

PHONE = {"width": 390, "height": 844}
LONG = "averyveryverylongvaluewithoutanyspaces" * 5


@pytest.fixture
def door(house, service):
    """An integration through which one event came and was decided, and another that was given up."""
    now = timezone.now()
    door = factories.IntegrationFactory(service=service, name="Scripts", source="generic", last_event_at=now)
    fields = {
        "source": "generic",
        "scope": f"integration:{door.pk}",
        "integration": door,
        "service": service,
        "received_at": now,
    }
    body = f'{{"title": "Disk full", "dedup_key": "{LONG}", "labels": {{"env": "prod", "path": "{LONG}"}}}}'
    event = InboundEvent.objects.create(body=body.encode(), due_at=now, **fields)
    ingest.decide_ids([event.pk], now=now)
    InboundEvent.objects.create(body=b"{}", state="poison", attempts=8, error=f"DataError: {LONG}", **fields)
    return door


@pytest.fixture
def paths(door):
    alert = door.alerts.get()
    return [
        "/alerts",
        "/alerts?q=nothing-like-it",
        f"/alerts/{alert.pk}",
        "/integrations",
        f"/integrations/{door.uuid}",
        f"/incidents/{alert.incident_id}",
        f"/incidents/{alert.incident_id}/alerts",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_keep_a_strict_policy(open_page, paths, alice, scheme):
    page = open_page("/health", alice, viewport=PHONE, color_scheme=scheme)
    with strict(page):
        for path in paths:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            for fold in page.locator("details:not(.verb)").all():
                fold.evaluate("fold => (fold.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path


def test_the_address_and_each_step_are_copied_by_a_button(open_page, door, alice):
    page = open_page(f"/integrations/{door.uuid}", alice, permissions=["clipboard-read", "clipboard-write"])
    buttons = page.locator("[data-copy]")
    expect(buttons).to_have_count(2)
    address, command = buttons.first, buttons.last
    address.click()
    expect(address).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/in/generic/KEY")
    command.click()
    expect(command).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -X POST") and "\n  -d '{" in copied and copied.endswith("}'")


def test_without_scripts_alerts_are_found_and_what_failed_is_tried_again(open_page, door, bob):
    page = open_page("/alerts", bob, java_script_enabled=False)
    page.get_by_label("Search", exact=True).fill("env=prod")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Disk full").click()
    expect(page.get_by_role("heading", name="What was decided, and why")).to_be_visible()
    expect(page.get_by_text("was opened.")).to_be_visible()
    page.get_by_role("link", name="Scripts").click()
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    page.get_by_role("button", name="Try again", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("tried again")
    assert not InboundEvent.objects.filter(state="poison").exists()


@pytest.mark.parametrize("scripts", [True, False])
def test_snoozing_says_until_when_nobody_is_called(open_page, incident, bob, scripts):
    page = open_page(f"/incidents/{incident.pk}", bob, viewport=PHONE, java_script_enabled=scripts)
    if scripts:  # on a phone it is under More
        page.locator("#verb-more > summary").click()
        page.get_by_role("link", name="Snooze").click()
    else:
        page.locator("#verb-snooze > summary").click()
    page.locator("#snooze-minutes").select_option("60")
    page.locator("#verb-snooze").get_by_role("button", name="Snooze").click()
    expect(page.get_by_text("Snoozed: nobody is called.")).to_be_visible()
    assert Incident.objects.get(pk=incident.pk).snoozed_until > timezone.now()
    assert not scripts or page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_an_observer_gets_no_controls(open_page, paths):
    observer = factories.UserFactory(role="observer", name="Olga")
    for path in paths:
        page = open_page(path, observer)
        buttons = page.locator("main button:visible").all_inner_texts()
        assert set(buttons) <= {"Search", "Copy", "Follow"}, path
        page.context.close()
