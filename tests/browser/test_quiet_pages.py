"""Silences, maintenance and what is held, in a real browser."""

import datetime as dt

import pytest
from django.utils import timezone

from alerts import maintenance, silences
from alerts.models import Silence
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect

HOUR = dt.timedelta(hours=1)
LABELS = {
    "alertname": "DiskWillFillWithinFourHours",
    "env": "staging",
    "instance": "db1.eu-central-1.example.com:9100",
}


@pytest.fixture
def alert(house, service):
    return factories.AlertFactory(title="Disk full", service=service, labels=LABELS, last_at=timezone.now())


@pytest.fixture
def paths(alert, alice, service):
    """Every page, with something on it."""
    now = timezone.now()
    span = {"starts_at": now, "ends_at": now + HOUR, "by": alice, "now": now}
    silence = silences.create(condition='env = "staging"', reason="Disk work " * 20, **span)
    window = maintenance.create(name="Database upgrade", services=[service], rrule="FREQ=WEEKLY", **span)
    for by in (silences.by_of(silence), maintenance.by_of(window)):
        factories.AlertFactory(service=service, held_by=by, held_why="Silence by Alice: " + "x" * 80, held_at=now)
    return [
        "/silences",
        f"/silences/{silence.uuid}",
        f"/silences/{silence.uuid}/end",
        f"/silences/new?alert={alert.pk}",
        "/maintenance",
        "/maintenance/new",
        f"/maintenance/{window.uuid}",
        "/held",
    ]


def test_a_silence_is_made_from_an_alert_and_the_preview_follows_what_is_typed(open_page, alert, bob):
    page = open_page(f"/alerts/{alert.pk}", bob)
    page.get_by_role("link", name="Silence alerts like this").click()
    preview = page.locator("#preview")
    expect(preview.get_by_role("link", name="Disk full")).to_be_visible()  # without a press
    page.get_by_label("Condition").fill('env = "prod"')
    expect(preview).to_contain_text("Nothing of the last 7 days matches")
    page.get_by_label("Condition").fill("env = (")
    expect(preview).to_contain_text("cannot be read")
    page.get_by_label("Condition").fill('env = "staging"')
    expect(preview.get_by_role("link", name="Disk full")).to_be_visible()
    page.get_by_label("Reason").fill("Disk work")
    page.get_by_role("button", name="Silence", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The silence is made")
    assert Silence.objects.get().owner == bob


def test_without_scripts_the_buttons_preview_and_save(open_page, alert, bob):
    page = open_page(f"/silences/new?alert={alert.pk}", bob, java_script_enabled=False)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview").get_by_role("link", name="Disk full")).to_be_visible()
    page.get_by_label("Reason").fill("Disk work")
    page.get_by_role("button", name="Silence", exact=True).click()
    page.get_by_role("link", name="End now").click()
    page.get_by_role("button", name="End the silence").click()
    expect(page.get_by_role("status")).to_contain_text("The silence is over")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(open_page, paths, bob, scheme):
    for path in paths:
        page = open_page(path, bob, viewport={"width": 390, "height": 844}, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path
        page.context.close()


def test_a_strict_content_security_policy_breaks_nothing(open_page, paths, bob):
    page = open_page("/silences", bob)
    with strict(page):
        for path in paths:
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
