"""A browser for each file of tests, and a web process that serves all of its tests."""

import os
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from core.packages import FOLDER
from incidents import lifecycle
from tests.house import House, wait_until

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BUSY = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND state <> 'idle' AND backend_type = 'client backend'
"""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM:
        pytest.skip("There is no chromium here: apt-get install chromium.")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is missing: see requirements-dev.txt.")
    # Playwright keeps an event loop in this thread, and Django refuses the database beside one.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def web_house(django_db_setup, tmp_path_factory):
    """The house of all tests of a file: its web process takes seconds to start."""
    home = tmp_path_factory.mktemp("house")
    home.chmod(0o755)
    house = House(home)
    yield house
    house.stop()


@pytest.fixture
def house(transactional_db, web_house, settings):
    """A house in which the web process runs; a test may kill it."""
    settings.SECRET_KEY = web_house.environment["SECRET_KEY"]  # sessions and links made here are valid there
    settings.PUBLIC_URL = web_house.base_url
    if web_house.runs("web"):
        web_house.resume("web")
    else:
        web_house.start("web")
    yield web_house
    # The tables are emptied next, and a request that is still answered would stand in the way.
    wait_until(lambda: not web_house.runs("web") or _stands_still(web_house), 60, "the web process is done")


def _stands_still(house):
    """Stop the web process between two requests; False if it was in one."""
    if _is_busy():
        return False
    house.pause("web")
    if _is_busy():
        house.resume("web")
        return False
    return True


def _is_busy():
    with connection.cursor() as cursor:
        cursor.execute(BUSY)
        return cursor.fetchone()[0] > 0


def sign_in(context, user, house):
    """Give the browser the session of somebody, without the form."""
    client = Client()
    client.force_login(user)
    key = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": key, "url": house.base_url}])


@pytest.fixture
def open_page(chromium, house):
    """A function that opens a path in a browser of its own, signed in as somebody; a script error fails the test."""
    contexts, problems = [], []

    def open_page(path, user=None, **options):
        context = chromium.new_context(base_url=house.base_url, **options)
        contexts.append(context)
        if user:
            sign_in(context, user, house)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if house.base_url not in request.url else None)
        with connection.cursor() as cursor:
            # Figures that are kept for a minute are of another test, of which a last request may have come late.
            cursor.execute("DELETE FROM watchbill_cache")
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def incident(house, service):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())


# --- the demo company -----------------------------------------------------------------------------------------

WATCH = """
    window.broken = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.broken.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@pytest.fixture
def demo_house(transactional_db, tmp_path, settings):
    tmp_path.chmod(0o755)
    house = House(tmp_path)
    settings.SECRET_KEY = house.environment["SECRET_KEY"]
    settings.PUBLIC_URL, settings.WATCHBILL_HOME = house.base_url, tmp_path
    call_command("demo", base_url=house.base_url)
    house.start("web")
    yield house
    house.stop()


@pytest.fixture
def boss(demo_house):
    return User.objects.filter(role=Role.ADMIN).earliest("pk")


@pytest.fixture
def visit(chromium, demo_house):
    """A function that opens a path as somebody and returns what broke there; a script error counts too."""
    contexts = []

    def visitor(user=None):
        context = chromium.new_context(base_url=demo_house.base_url)
        contexts.append(context)
        context.add_init_script(WATCH)
        if user:
            sign_in(context, user, demo_house)
        page = context.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text) if "Security Policy" in message.text else None)
        page.on("pageerror", lambda error: said.append(f"script error: {error}"))

        def visit(path):
            said.clear()
            answer = page.goto(path)
            assert answer.headers.get("content-security-policy"), f"{path} has no policy"
            # Without a worker and a ticker the site is not ready, which is a page too.
            assert answer.status in (200, 503), f"{path} answers {answer.status}"
            page.wait_for_load_state("load")
            return [*said, *page.evaluate("window.broken")]

        visit.page = page
        return visit

    yield visitor
    for context in contexts:
        context.close()


# --- who cannot see it ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe():
    return (FOLDER / "axe-core" / "axe.min.js").read_text()
