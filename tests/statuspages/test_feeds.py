"""Feeds are what their specifications say, whatever people wrote."""

import datetime as dt
import email.utils
import xml.etree.ElementTree as ET

import pytest

from statuspages import drawing
from tests.statuspages import content as made

ATOM = "{http://www.w3.org/2005/Atom}"
EVIL = "Über <b>alles</b> & ]]> \x0b\x1f \U0001f525"


@pytest.fixture
def content():
    return made.content(
        open=[made.post(EVIL, updates=[made.update(body=f"{EVIL}\n\n[link](https://example.com)")])],
        planned=[made.maintenance()],
        history=[made.resolved(back=back) for back in range(1, 70)],
        page_changes={"language": "de", "name": EVIL},
    )


def feed(content, path):
    return ET.fromstring(drawing.draw(content, base="/status/shop")[path][1].encode())


def test_atom_has_what_rfc_4287_asks_for(content):
    root = feed(content, "history.atom")
    assert root.tag == f"{ATOM}feed"
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "de"
    for name in ("id", "title", "updated", "author"):
        assert len(root.findall(f"{ATOM}{name}")) == 1, name
    links = {one.get("rel"): one.get("href") for one in root.findall(f"{ATOM}link")}
    assert links["self"] == "https://oncall.example.com/status/shop/history.atom"
    entries = root.findall(f"{ATOM}entry")
    assert len(entries) == 50
    ids = [one.findtext(f"{ATOM}id") for one in entries]
    assert len(set(ids)) == 50 and all(one.startswith("urn:uuid:") for one in ids)
    for entry in entries:
        for name in ("title", "updated", "published", "content"):
            assert entry.findtext(f"{ATOM}{name}"), name
        assert dt.datetime.fromisoformat(entry.findtext(f"{ATOM}updated")).tzinfo
        assert entry.find(f"{ATOM}link").get("href").startswith("https://oncall.example.com/status/shop/incidents/")


def test_rss_has_what_its_specification_asks_for(content):
    root = feed(content, "history.rss")
    assert (root.tag, root.get("version")) == ("rss", "2.0")
    channel = root.find("channel")
    for name in ("title", "link", "description", "language", "lastBuildDate"):
        assert channel.findtext(name), name
    own = channel.find(f"{ATOM}link")
    assert (own.get("rel"), own.get("type")) == ("self", "application/rss+xml")
    items = channel.findall("item")
    assert len(items) == 50
    for item in items:
        assert (
            item.findtext("title") and item.findtext("description") and item.find("guid").get("isPermaLink") == "false"
        )
        assert email.utils.parsedate_to_datetime(item.findtext("pubDate")).tzinfo


def test_what_people_wrote_arrives_as_text(content):
    title = "Über <b>alles</b> & ]]>  \U0001f525: Wird untersucht"
    entries = {one.findtext(f"{ATOM}title"): one for one in feed(content, "history.atom").findall(f"{ATOM}entry")}
    items = {one.findtext("title"): one for one in feed(content, "history.rss").findall("channel/item")}
    for said in (entries[title].findtext(f"{ATOM}content"), items[title].findtext("description")):
        assert '<a href="https://example.com"' in said and "<b>" not in said


def test_the_newest_stands_first(content):
    times = [one.findtext(f"{ATOM}published") for one in feed(content, "history.atom").findall(f"{ATOM}entry")]
    assert times == sorted(times, reverse=True)


def test_an_update_changes_the_entry_and_not_its_id():
    post = made.post()
    later = {**post, "changed_at": made.ago(minutes=1), "updates": [made.update("monitoring"), *post["updates"]]}
    before, after = (feed(made.content(open=[one]), "history.atom").find(f"{ATOM}entry") for one in (post, later))
    assert before.findtext(f"{ATOM}id") == after.findtext(f"{ATOM}id")
    assert before.findtext(f"{ATOM}updated") < after.findtext(f"{ATOM}updated")
    assert before.findtext(f"{ATOM}published") == after.findtext(f"{ATOM}published")
