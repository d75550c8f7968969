import re

import pytest
from django.conf import settings
from django.urls import resolve

from config import docs
from config.templatetags.documents import ABOUT
from core import markdown


def test_every_document_can_be_read_inside_the_product(client, bob):
    client.force_login(bob)
    listed = client.get("/docs/").content.decode()
    written = [*docs.FOLDER.glob("*.md"), *docs.FOLDER.glob("decisions/*.md")]
    files = {path.relative_to(docs.FOLDER).with_suffix("").as_posix() for path in written}
    assert files == set(docs._files())
    for name in files:
        assert f'href="/docs/{name}"' in listed
        page = client.get(f"/docs/{name}")
        assert page.status_code == 200
        assert page.content.decode().count("<h1") == 1


def test_every_link_between_documents_leads_somewhere():
    for name in docs._files():
        _, html = docs.read(name)
        for href in re.findall(r'href="([^"]+)"', html):
            if href.startswith(("http", "mailto")):
                continue
            target, _, part = href.partition("#")
            other = resolve(target).kwargs["name"] if target else name
            assert other in docs._files(), f"{name} links to {href}"
            if part:
                assert f'id="{part}"' in docs.read(other)[1], f"{name} links to {href}"


@pytest.mark.parametrize(
    "name",
    [
        "../README",
        "..%2f..%2fetc/passwd",
        "decisions/../../config/settings",
        "channels.md",
        "none",
        "/etc/passwd",
        "%00",
    ],
)
def test_nothing_else_is_served(client, bob, name):
    client.force_login(bob)
    assert client.get(f"/docs/{name}").status_code == 404


def test_a_stranger_signs_in_first(client, db):
    for path in ("/docs/", "/docs/channels", "/docs/none"):
        assert client.get(path).status_code == 302


def test_a_document_can_hold_no_script():
    _, html = markdown.page('# A\n<script>x</script> [a](javascript:x) ![b](http://x/y.png) <b onclick="x">', str)
    assert (
        "<script" not in html
        and "<img" not in html
        and "<b" not in html
        and "javascript:x)" not in html.split("href")[-1]
    )


def test_a_heading_has_the_id_that_links_expect():
    title, html = markdown.page("# Ways out\n\n## Mail that comes back, `twice`\n", str)
    assert title == "Ways out"
    assert '<h2 id="mail-that-comes-back-twice">' in html


def test_each_page_leads_to_a_document_about_it(client, bob):
    client.force_login(bob)
    for path, document in {"/silences": "quiet", "/schedules": "schedules", "/settings/tokens": "api"}.items():
        assert f'class="bar-help" href="/docs/{document}"' in client.get(path).content.decode()


def test_the_documents_that_pages_name_are_there():
    named = {*ABOUT.values(), *(name for _, names in docs.GROUPS for name in names)}
    assert named <= set(docs._files())
    assert (settings.BASE_DIR / "docs").is_dir()
