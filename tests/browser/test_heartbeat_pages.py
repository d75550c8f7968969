"""The pages of heartbeats in a real browser: on a phone, in both themes, under a strict policy, without scripts."""

import datetime as dt
import os
from pathlib import Path

import pytest
from django.utils import timezone

from alerts import heartbeats
from alerts.models import Heartbeat
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect

PHONE = {"width": 390, "height": 800}


@pytest.fixture
def several(house, service):
    now = timezone.now()
    factories.HeartbeatFactory(name="nightly-backup-of-the-database-db-02-to-the-other-site", service=service)
    factories.HeartbeatFactory(name="cron", service=service, is_enabled=False)
    one = factories.HeartbeatFactory(name="watchdog", service=service, description="Look at Prometheus first.")
    heartbeats.arm(one, now=now)
    Heartbeat.objects.filter(pk=one.pk).update(missed_at=now - dt.timedelta(minutes=3), due_at=None)
    factories.AlertFactory(scope=heartbeats.scope_of(one), service=service, title="Heartbeat watchdog is missing")
    return one


def picture(page, name):
    """For a look by eye: WATCHBILL_PICTURES names a folder."""
    if folder := os.environ.get("WATCHBILL_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_keep_a_strict_policy(open_page, several, alice, scheme):
    page = open_page("/health", alice, viewport=PHONE, color_scheme=scheme)
    with strict(page):
        for path in ("", "/new", f"/{several.uuid}", f"/{several.uuid}/edit", f"/{several.uuid}/delete"):
            page.goto(f"/heartbeats{path}")
            picture(page, f"heartbeats{path.replace('/', '-')[:8]}{path[-6:].replace('/', '-')}-{scheme}")
            assert fits(page), path


@pytest.mark.parametrize("javascript", [True, False])
def test_a_heartbeat_is_made_and_its_address_pings_it(open_page, house, service, alice, javascript):
    page = open_page("/heartbeats", alice, java_script_enabled=javascript)
    page.get_by_role("link", name="Make the first heartbeat").click()
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("Service", exact=True).select_option(label=str(service))
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("This is the only time that the key is shown.")).to_be_visible()
    picture(page, f"made-{javascript}")
    address = page.get_by_label("Address with the key").input_value()
    assert page.request.get(address).json() == {"status": "ok", "heartbeat": "nightly"}
    page.goto(f"/heartbeats/{Heartbeat.objects.get().uuid}")
    expect(page.get_by_text("Up", exact=True)).to_be_visible()
    picture(page, "up")
