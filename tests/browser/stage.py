"""What the tests in a real browser share: what to expect, and how a page shows that it was not loaded anew."""

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: see requirements-dev.txt.")
expect = sync_api.expect
expect.set_options(timeout=20_000)  # a busy machine is slow, and that is no failure


def mark(page):
    """Leave a mark that a reload would wipe out."""
    page.evaluate("window.wasNotReloaded = true")


def was_not_reloaded(page):
    return page.evaluate("window.wasNotReloaded === true")
