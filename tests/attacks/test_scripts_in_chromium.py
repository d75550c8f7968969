"""The texts of test_scripts.py in a real browser that is told to forget the content security policy: nothing runs."""

import pytest
from django.test import Client
from playwright.sync_api import Error

from tests.attacks import planted
from tests.browser.conftest import CHROMIUM, chromium  # noqa: F401
from tests.house import House

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="There is no chromium here: apt-get install chromium."),
]
FILES = (".csv", ".ics", ".js", ".webmanifest", "/schema", "/metrics")


@pytest.fixture
def house(transactional_db, tmp_path, settings):
    tmp_path.chmod(0o755)
    house = House(tmp_path)
    settings.SECRET_KEY, settings.PUBLIC_URL = house.environment["SECRET_KEY"], house.base_url
    yield house
    house.stop()


@pytest.fixture
def page(chromium, house):  # noqa: F811
    """A page without our second net, so that a hole in the first one shows."""
    context = chromium.new_context(base_url=house.base_url, bypass_csp=True, user_agent=f"Chrome {planted.TEXTS[1]}")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.ran = []
    page.on("dialog", lambda dialog: (page.ran.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()


def opened(page, path):
    """The answer at this address. None: the browser saves it as a file, so nothing of it can run."""
    try:
        return page.goto(path)
    except Error as error:
        if "Download is starting" not in error.message:
            raise
        return None


def what_ran(page, paths):
    found = {}
    for path in paths:
        page.ran.clear()
        answer = opened(page, path)
        if answer is None or "text/html" not in answer.headers.get("content-type", ""):
            continue
        page.wait_for_load_state("load")
        if page.evaluate(f"window.{planted.MARK}") or page.ran or page.locator(planted.MARK).count():
            found[path] = [answer.status, *page.ran]
    return found


def test_nothing_stored_runs_in_chromium(house, page, service, alice):
    company = planted.company(service, alice)
    client = Client()
    client.force_login(alice)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": house.base_url}
    house.start("web")
    page.context.add_cookies([cookie])
    paths = [path for path in planted.paths_of(company) if not path.endswith(FILES)]
    assert what_ran(page, paths) == {}
    assert what_ran(page, [path for path in planted.admin_paths() if "/change/" in path]) == {}
    # Else this would prove nothing: without the policy, what is not escaped does run.
    page.goto("/")
    page.set_content(planted.TEXTS[0] + planted.TEXTS[1])
    page.wait_for_function(f"window.{planted.MARK} === 1")
