"""The public gets its pages from memory: fresh, small, with the right headers, and also while the database is away."""

import asyncio
import datetime as dt
import gzip
import time

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import DatabaseError
from django.utils import timezone
from prometheus_client import REGISTRY

from statuspages import copying, window
from statuspages.models import Audience, Copy, StatusPage
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


async def behind(scope, receive, send):
    """What is asked when the window has nothing: here it only says so."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"asked further"})


class Reader:
    """Asks one window, as browsers do, from one event loop. `trouble()` is called before each look."""

    def __init__(self):
        self.window = window.Window(behind, look=self.look)
        self.loop = asyncio.new_event_loop()
        self.looks, self.trouble = 0, lambda: None

    def look(self, known):
        self.looks += 1
        self.trouble()
        return window.read(known)

    def get(self, path, method="GET", query=b"", **headers):
        return self.loop.run_until_complete(self.ask(path, method, query, headers))

    async def ask(self, path, method="GET", query=b"", headers=None):
        lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": lines}
        asked = ApplicationCommunicator(self.window, scope)
        start = await asked.receive_output(20)
        body = await asked.receive_output(20)
        await asked.wait()
        return start["status"], dict(start["headers"]), body["body"]

    def wait_a_second(self):
        """As if a second had gone by."""
        self.window.shelf._next_look = 0.0


@pytest.fixture
def reader():
    one = Reader()
    yield one
    if one.window.shelf._looking is not None:
        one.loop.run_until_complete(one.window.shelf._looking)
    one.loop.close()


@pytest.fixture
def shop():
    page = factories.StatusPageFactory(slug="shop", name="Example Shop", audience=Audience.PUBLIC)
    factories.ComponentFactory(page=page, name="Checkout")
    copying.refresh(page.pk, now=timezone.now())
    return page


def hang_up():
    raise DatabaseError("connection refused")


def change(page, **changes):
    for name, value in changes.items():
        setattr(page, name, value)
    page.save()
    copying.refresh(page.pk, now=timezone.now())


def test_a_public_page_and_all_its_files_are_answered_here(reader, shop):
    for path, kind in (
        ("", b"text/html; charset=utf-8"),
        ("/", b"text/html; charset=utf-8"),
        ("/history", b"text/html; charset=utf-8"),
        ("/history.atom", b"application/atom+xml; charset=utf-8"),
        ("/history.rss", b"application/rss+xml; charset=utf-8"),
        ("/api/v2/summary.json", b"application/json"),
        ("/badge.svg", b"image/svg+xml"),
        ("/status.css", b"text/css; charset=utf-8"),
    ):
        status, headers, body = reader.get(f"/status/shop{path}")
        assert (status, headers[b"content-type"]) == (200, kind), path
        assert int(headers[b"content-length"]) == len(body) > 0


def test_what_is_not_a_file_of_a_public_page_is_asked_further(reader, shop):
    factories.StatusPageFactory(slug="inside", audience=Audience.PRIVATE)
    copying.refresh(StatusPage.objects.get(slug="inside").pk, now=timezone.now())
    for path in ("/status", "/status/inside", "/status/none", "/status/shop/subscribe", "/status-pages/shop", "/"):
        assert reader.get(path)[0] == 418, path
    assert reader.get("/status/shop", method="POST")[0] == 418


def test_nothing_may_run_on_a_page_and_badges_are_for_everybody(reader, shop):
    _, page, _ = reader.get("/status/shop")
    assert page[b"content-security-policy"].startswith(b"default-src 'none'; style-src 'self'; img-src 'self';")
    assert page[b"x-content-type-options"] == b"nosniff" and page[b"x-frame-options"] == b"DENY"
    assert b"access-control-allow-origin" not in page
    _, badge, _ = reader.get("/status/shop/badge.svg")
    assert badge[b"access-control-allow-origin"] == b"*"
    assert badge[b"cross-origin-resource-policy"] == b"cross-origin"


def test_a_page_is_sent_small_to_whoever_can_read_it(reader, shop):
    _, plain_headers, plain = reader.get("/status/shop")
    status, headers, small = reader.get("/status/shop", accept_encoding="br, gzip;q=0.8")
    assert (status, headers[b"content-encoding"], headers[b"vary"]) == (200, b"gzip", b"Accept-Encoding")
    assert gzip.decompress(small) == plain and len(small) < len(plain) / 3
    assert headers[b"etag"] != plain_headers[b"etag"]
    assert b"content-encoding" not in reader.get("/status/shop", accept_encoding="gzip;q=0")[1]


def test_what_a_browser_has_is_not_sent_again(reader, shop):
    for accepted in ("", "gzip"):
        _, headers, _ = reader.get("/status/shop", accept_encoding=accepted)
        tag = headers[b"etag"].decode()
        status, again, body = reader.get("/status/shop", accept_encoding=accepted, if_none_match=f'"x", W/{tag}')
        assert (status, body, again[b"etag"]) == (304, b"", headers[b"etag"])
    assert reader.get("/status/shop", if_none_match='"x"')[0] == 200


def test_head_says_the_same_without_a_body(reader, shop):
    _, headers, body = reader.get("/status/shop")
    assert reader.get("/status/shop", method="HEAD") == (200, headers, b"")
    assert int(headers[b"content-length"]) == len(body)


def test_only_the_style_sheet_of_this_version_is_kept_for_ever(reader, shop):
    _, _, page = reader.get("/status/shop")
    version = page.decode().partition("status.css?v=")[2].partition('"')[0]
    long = reader.get("/status/shop/status.css", query=f"v={version}".encode())[1][b"cache-control"]
    assert b"immutable" in long
    page_itself = b"v=" + reader.window.shelf.page("shop").files[""].version
    for path, query in (("/status.css", b"v=0"), ("", b"v=0"), ("", b""), ("", page_itself)):
        assert reader.get(f"/status/shop{path}", query=query)[1][b"cache-control"].startswith(b"public, max-age=1,")


def test_a_change_is_seen_at_the_next_look_and_the_rest_is_kept(reader, shop):
    _, before, _ = reader.get("/status/shop")
    style = reader.window.shelf.page("shop").files["status.css"]
    change(shop, name="Other Shop")
    assert reader.get("/status/shop")[1][b"etag"] == before[b"etag"]  # not yet a second
    reader.wait_a_second()
    assert b"Other Shop" in reader.get("/status/shop")[2]
    assert reader.window.shelf.page("shop").files["status.css"] is style


def test_a_page_that_is_no_longer_public_is_gone_at_the_next_look(reader, shop):
    assert reader.get("/status/shop")[0] == 200
    StatusPage.objects.update(audience=Audience.PRIVATE)
    reader.wait_a_second()
    assert reader.get("/status/shop")[0] == 418
    StatusPage.objects.update(audience=Audience.PUBLIC, is_enabled=False)
    reader.wait_a_second()
    assert reader.get("/status/shop")[0] == 418


def test_a_page_of_another_database_is_not_taken_for_the_one_before(reader, shop):
    """Emptied, or put back from a backup: page and version have the same numbers again."""
    reader.get("/status/shop")
    before = Copy.objects.values_list("pk", "page_id", "version").get()
    shop.delete()
    other = factories.StatusPageFactory(pk=before[1], slug="shop", name="Another", audience=Audience.PUBLIC)
    copy = copying.refresh(other.pk, now=timezone.now())
    Copy.objects.filter(pk=copy.pk).update(id=before[0])
    assert Copy.objects.values_list("pk", "page_id", "version").get() == before
    reader.wait_a_second()
    assert b"Another" in reader.get("/status/shop")[2]


def test_a_page_of_another_address_leaves_the_old_one(reader, shop):
    reader.get("/status/shop")
    change(shop, slug="store")
    reader.wait_a_second()
    assert reader.get("/status/shop")[0] == 418
    assert b'href="/status/store/history"' in reader.get("/status/store")[2]


def test_answers_are_counted(reader, shop):
    def counted(status):
        return REGISTRY.get_sample_value("status_page_answers_total", {"status": status})

    before = counted("200"), counted("304")
    tag = reader.get("/status/shop")[1][b"etag"].decode()
    reader.get("/status/shop", if_none_match=tag)
    assert (counted("200"), counted("304")) == (before[0] + 1, before[1] + 1)


def test_a_thousand_who_ask_at_once_cost_one_look(reader, shop):
    async def crowd():
        return await asyncio.gather(*(reader.ask("/status/shop") for _ in range(1000)))

    answers = reader.loop.run_until_complete(crowd())
    assert {status for status, _, _ in answers} == {200}
    assert reader.looks == 1


def test_the_page_is_shown_while_the_database_is_away(reader, shop, caplog):
    _, headers, body = reader.get("/status/shop")

    reader.trouble = hang_up
    for _ in range(3):
        reader.wait_a_second()
        assert reader.get("/status/shop") == (200, headers, body)
        reader.loop.run_until_complete(asyncio.sleep(0.05))
    assert caplog.text.count("Status pages are shown as they were") == 1
    reader.trouble = lambda: None
    change(shop, name="Back again")
    reader.wait_a_second()
    reader.get("/status/shop")
    reader.loop.run_until_complete(asyncio.sleep(0.3))  # nobody waits for a database that was away
    assert b"Back again" in reader.get("/status/shop")[2]


def test_after_a_day_without_the_database_nothing_is_shown_any_more(reader, shop):
    """It may have become a page that not everybody may read."""
    assert reader.get("/status/shop")[0] == 200
    reader.trouble = hang_up
    reader.window.shelf._seen_at -= window.KEEP_SECONDS - 60
    reader.wait_a_second()
    assert reader.get("/status/shop")[0] == 200
    reader.window.shelf._seen_at -= 120
    assert reader.get("/status/shop")[0] == 418


def test_a_database_that_hangs_keeps_nobody_waiting_twice(reader, shop):
    reader.get("/status/shop")
    reader.trouble = lambda: time.sleep(2)
    reader.wait_a_second()
    began = timezone.now()
    assert reader.get("/status/shop")[0] == 200
    assert timezone.now() - began >= dt.timedelta(seconds=0.9)
    began = timezone.now()
    assert reader.get("/status/shop")[0] == 200
    assert timezone.now() - began < dt.timedelta(seconds=0.3)


def test_the_logo_is_a_file_of_the_page(reader, shop):
    factories.LogoFactory(page=shop, body=b"\x89PNG...")
    change(shop)
    status, headers, body = reader.get("/status/shop/logo", accept_encoding="gzip")
    assert (status, headers[b"content-type"], body) == (200, b"image/png", b"\x89PNG...")
    assert b'src="/status/shop/logo?v=' in reader.get("/status/shop")[2]
