"""The window through which the public sees the pages: their files from memory, before Django.

A thousand readers a second cost the pager nothing, because they ask this process only. At most once a second it looks
into the database for newer versions, once for all who ask meanwhile. While the database is away it shows what it has.
Pages that are not public, and all that is no file of a page, go on to Django.
"""

import asyncio
import dataclasses
import gzip
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from django.db import DatabaseError, InterfaceError, close_old_connections
from prometheus_client import Counter

from core.headers import hsts
from statuspages import showing
from statuspages.models import Audience, Copy, Logo

logger = logging.getLogger(__name__)

PREFIX = "/status/"
LOOK_SECONDS = 1.0
# While requests come all the time they are not kept waiting for the look: it may be this late.
LATE_SECONDS = 0.5
PATIENCE_SECONDS = 1.0  # with a database that does not answer; then there is what there was
# But not for ever: a page may have become one that not everybody may read, and this process would not know.
KEEP_SECONDS = 24 * 60 * 60
SMALLEST_ZIPPED = 300
STYLE = "status.css"  # the one file whose address changes with its content
# Made small at once when they change, since everybody asks for them next.
FIRST_ASKED = ("", STYLE, "api/v2/summary.json", "api/v2/status.json")
_ANSWERS = Counter("status_page_answers", "Answers to readers of public status pages, from memory.", ["status"])
_COUNTS = {status: _ANSWERS.labels(str(status)) for status in (200, 304)}


class File:
    """One file of a page, ready to be sent."""

    __slots__ = ("body", "type", "etag", "version", "path", "_zipped", "_heads")

    def __init__(self, path, content_type, body):
        self.body, self.type, self.path = body, content_type, path
        self.etag = showing.etag(body).encode()
        self.version = showing.version(body).encode()
        self._zipped = None
        self._heads = {}

    def zipped(self):
        """The body made small, or None when that is not worth it."""
        if self._zipped is None:
            is_text = not self.type.startswith("image/png") and len(self.body) >= SMALLEST_ZIPPED
            self._zipped = gzip.compress(self.body, 6, mtime=0) if is_text else b""
        return self._zipped or None

    def answer(self, *, accepts_gzip, is_versioned):
        """`(headers, body)` as ASGI sends them."""
        body = self.zipped() if accepts_gzip else None
        key = (body is not None, is_versioned, hsts())
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = self._head(body, is_versioned)
        return head, self.body if body is None else body

    def _head(self, zipped, is_versioned):
        said = showing.headers(self.path, self.type, is_public=True, is_versioned=is_versioned)
        if strict_transport := hsts():
            said["Strict-Transport-Security"] = strict_transport
        found = [(name.lower().encode(), value.encode()) for name, value in said.items()]
        found.append((b"vary", b"Accept-Encoding"))
        if zipped is None:
            return [*found, (b"etag", self.etag), (b"content-length", b"%d" % len(self.body))]
        # The same thing in another form has a validator of its own (RFC 9110, section 8.8.3.3).
        etag = self.etag[:-1] + b'-gzip"'
        length = (b"content-length", b"%d" % len(zipped))
        return [*found, (b"etag", etag), (b"content-encoding", b"gzip"), length]

    def is_known(self, wanted):
        """Whether a value of If-None-Match names this file, in either form."""
        names = {one.strip().removeprefix(b"W/") for one in wanted.split(b",")}
        return b"*" in names or self.etag in names or self.etag[:-1] + b'-gzip"' in names


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """A public page as this process has it. `key` is another one after each change, and in another database."""

    key: tuple
    files: dict


# Numbers begin anew when a database is filled again, and go back with a backup; the time tells them apart.
KEY = ("pk", "version", "made_at")


def read(known):
    """The public pages, `{slug: Page}`; what did not change is taken over from those that are known."""
    try:
        shown = Copy.objects.filter(page__is_enabled=True, page__audience=Audience.PUBLIC)
        keys = {slug: tuple(key) for slug, *key in shown.values_list("page__slug", *KEY)}
        if keys == {slug: page.key for slug, page in known.items()}:
            return known
        changed = [slug for slug, key in keys.items() if slug not in known or known[slug].key != key]
        rows = shown.filter(page__slug__in=changed).values_list("page__slug", "page_id", "files", *KEY)
        found = {slug: page for slug, page in known.items() if slug in keys and slug not in changed}
        logos = {one.page_id: one for one in Logo.objects.filter(page__slug__in=changed)}
        for slug, page_id, files, *key in rows:
            found[slug] = _page(tuple(key), files, logos.get(page_id), known.get(slug))
        return found
    finally:
        close_old_connections()


def _page(key, files, logo, before):
    old = before.files if before else {}
    found = {}
    given = [(path, content_type, text.encode()) for path, (content_type, text) in files.items()]
    if logo is not None:
        given.append((showing.LOGO, logo.content_type, bytes(logo.body)))
    for path, content_type, body in given:
        same = old.get(path)
        found[path] = (
            same if same and same.body == body and same.type == content_type else File(path, content_type, body)
        )
        if path in FIRST_ASKED:
            found[path].zipped()
    return Page(key, found)


class Shelf:
    """The public pages, and the look for newer ones. Belongs to one event loop."""

    def __init__(self, look):
        self._pages = {}
        self._seen_at = 0.0
        self._read = look
        self._next_look = 0.0
        self._looking = None
        self._is_away = False
        # A thread of its own: requests of people that fill the others do not hold it up.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="status-pages")

    def page(self, slug):
        """The public page of this name, or None; nothing is known any more of what was seen too long ago."""
        is_known = time.monotonic() - self._seen_at < KEEP_SECONDS
        return self._pages.get(slug) if is_known else None

    async def be_fresh(self):
        """Return when the pages are as they were in the database a moment ago, or when that takes too long."""
        late = time.monotonic() - self._next_look
        if late < 0:
            return
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())
        if late > LATE_SECONDS and not self._is_away:
            await asyncio.wait([self._looking], timeout=PATIENCE_SECONDS)
            # The look goes on, and whoever comes now does not wait for it.
            self._is_away = self._is_away or self._looking is not None

    async def _look(self):
        began = time.monotonic()
        try:
            self._pages = await asyncio.get_running_loop().run_in_executor(self._thread, self._read, self._pages)
            self._seen_at = began
            if self._is_away:
                logger.info("Status pages can be looked for in the database again.")
            self._is_away = False
        except (DatabaseError, InterfaceError) as error:
            if not self._is_away:
                logger.warning("Status pages are shown as they were: the database does not answer (%s).", error)
            self._is_away = True
        finally:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._looking = None


class Window:
    """The ASGI application around the others."""

    def __init__(self, app, look=read):
        self.app = app
        self.shelf = Shelf(look)

    async def __call__(self, scope, receive, send):
        is_ours = scope["type"] == "http" and scope["path"].startswith(PREFIX) and scope["method"] in ("GET", "HEAD")
        file = None
        if is_ours:
            await self.shelf.be_fresh()
            slug, _, path = scope["path"][len(PREFIX) :].partition("/")
            page = self.shelf.page(slug)
            file = page and page.files.get(path)
        if file is None:
            await self.app(scope, receive, send)
            return
        await _answer(file, scope, send)


async def _answer(file, scope, send):
    accepted, wanted = b"", b""
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            accepted = value
        elif name == b"if-none-match":
            wanted = value
    # The page names its style sheet by what is in it.
    is_versioned = file.path == STYLE and scope["query_string"] == b"v=" + file.version
    head, body = file.answer(accepts_gzip=_accepts_gzip(accepted), is_versioned=is_versioned)
    status = 200
    if wanted and file.is_known(wanted):
        head = [one for one in head if one[0] not in (b"content-length", b"content-encoding", b"content-type")]
        status, body = 304, b""
    _COUNTS[status].inc()
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _accepts_gzip(value):
    """Whether Accept-Encoding has gzip, and not at a weight of nothing."""
    for one in value.split(b","):
        name, _, weight = one.partition(b";")
        if name.strip().lower() == b"gzip":
            return weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False
