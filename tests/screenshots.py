"""Take the pictures of docs/screenshots: `bin/screenshots [name ...]`. Without names, all of them.

Starts Watchbill as `bin/up --fakes` does, on a home and a port of its own, tells the demo company a story of alerts,
and looks at the pages as Alice: at a desk and on a phone, light and dark. Stops it by its process id.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "screenshots"
DEVICES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
PAGES = {
    "overview": "/",
    "incidents": "/incidents?status=all",
    "incident": "/incidents/{incident}",
    "services": "/services",
    "service": "/services/checkout-api",
    "graph": "/services/graph",
    "oncall": "/oncall",
    "schedule": "/schedules/{schedule}",
    "me": "/settings",
    "notifications": "/notifications",
    "alerts": "/alerts",
    "status": "/status/shop",
    "status-pages": "/status-pages/shop",
    "postmortem": "/postmortems/1",
    "items": "/postmortems/items",
}
STORY = [
    {"title": "Checkout answers with 502 in eu-west", "severity": "critical", "dedup_key": "checkout-502"},
    {"title": "Payments: queue older than 5 minutes", "severity": "high", "dedup_key": "payments-queue"},
    {"title": "Disk of db-3 is 91 % full", "severity": "medium", "dedup_key": "disk-db3"},
]


def main(names):
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)  # the account of the database reads in it
        port = free_port()
        environment = {**os.environ, "WATCHBILL_HOME": str(home), "PYTHONPYCACHEPREFIX": str(home / "pycache")}
        environment.pop("DATABASE_URL", None)
        command = [sys.executable, "manage.py", "up", "--fakes", "--port", str(port)]
        with (home / "up.log").open("wb") as log:
            house = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            demo = wait_for(home, house)
            take(f"http://127.0.0.1:{port}", demo, names)
        finally:
            house.send_signal(signal.SIGINT)
            house.wait(timeout=60)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(home, house, seconds=180):
    """The demo company's names and keys, once the site answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if house.poll() is not None or "Sign in there" in (home / "up.log").read_text(errors="replace"):
            break
        time.sleep(0.5)
    if not (home / "demo.json").is_file():
        sys.exit(f"Watchbill did not start:\n{(home / 'up.log').read_text(errors='replace')}")
    return json.loads((home / "demo.json").read_text())


def take(base_url, demo, names):
    tell(demo)
    email, password = "alice@example.com", password_of(demo, "alice@example.com")
    TARGET.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
        )
        for device, size in DEVICES.items():
            for scheme in SCHEMES:
                context = browser.new_context(
                    base_url=base_url, viewport=size, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
                )
                page = context.new_page()
                page.goto("/login")
                page.fill("[name=username]", email)
                page.fill("[name=password]", password)
                page.click("main button[type=submit], main button")
                page.wait_for_url(lambda url: "/login" not in url)
                for name, path in filled(page).items():
                    if names and name not in names:
                        continue
                    page.goto(path)
                    page.wait_for_timeout(900)  # panels, plots and the connection
                    page.screenshot(path=TARGET / f"{name}-{device}-{scheme}.png")
                    print(f"docs/screenshots/{name}-{device}-{scheme}.png")
                context.close()
        browser.close()


def filled(page):
    """The paths of the pages, with the newest incident and the first schedule of the demo company in them."""
    page.goto("/incidents")
    incident = page.locator("a[href^='/incidents/']").evaluate_all(
        "links => links.map((one) => one.getAttribute('href').match(/^\\/incidents\\/(\\d+)$/)).filter(Boolean)"
        ".map((one) => Number(one[1])).sort((a, b) => a - b)[0]"
    )
    page.goto("/schedules")
    schedule = page.locator("main a[href^='/schedules/']").first.get_attribute("href").rsplit("/", 1)[1]
    return {name: path.format(incident=incident, schedule=schedule) for name, path in PAGES.items()}


def tell(demo):
    """Send the alerts of the story, as a monitoring tool would, and wait until their first pages are out."""
    address = demo["integrations"]["generic"]
    for event in STORY:
        body = json.dumps(event).encode()
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202, answer.status
    time.sleep(6)


def password_of(demo, email):
    return next(person["password"] for person in demo["responders"] if person["email"] == email)


if __name__ == "__main__":
    main(sys.argv[1:])
