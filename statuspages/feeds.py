"""What was posted on a page as feeds: Atom 1.0 (RFC 4287) and RSS 2.0 (rssboard.org/rss-specification). Pure."""

import email.utils
import functools
import xml.etree.ElementTree as ET
from html import escape

from core import markdown
from statuspages import summary, words
from statuspages.badges import clean

ATOM_TYPE, RSS_TYPE = "application/atom+xml; charset=utf-8", "application/rss+xml; charset=utf-8"
LIMIT = 50
_ATOM = "http://www.w3.org/2005/Atom"
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
# Both feeds say the same, each time that the page changes.
_text = functools.lru_cache(maxsize=4096)(markdown.render)


def atom(content, posts, said):
    """Posts, the newest first, as an Atom feed. An entry is a post, and changes with each update of it."""
    page = content["page"]
    feed = ET.Element("feed", {"xmlns": _ATOM, "xml:lang": said.language})
    _add(feed, "id", f"{page['address']}/history.atom")
    _add(feed, "title", _title(page, said))
    _add(feed, "updated", summary.changed_at(content))
    _add(feed, "link", rel="self", type="application/atom+xml", href=f"{page['address']}/history.atom")
    _add(feed, "link", rel="alternate", type="text/html", hreflang=said.language, href=page["address"])
    author = _add(feed, "author")
    _add(author, "name", page["name"])
    _add(author, "uri", page["address"])
    for post in posts[:LIMIT]:
        entry = _add(feed, "entry")
        _add(entry, "id", f"urn:uuid:{post['uuid']}")
        _add(entry, "title", _headline(post, said))
        _add(entry, "published", post["created_at"])
        _add(entry, "updated", post["changed_at"])
        _add(entry, "link", rel="alternate", type="text/html", href=f"{page['address']}/incidents/{post['uuid']}")
        for one in post["components"]:
            _add(entry, "category", term=one["name"])
        _add(entry, "content", _body(post, said), type="html")
    return _DECLARATION + ET.tostring(feed, encoding="unicode")


def rss(content, posts, said):
    """The same posts as an RSS channel."""
    page = content["page"]
    root = ET.Element("rss", {"version": "2.0", "xmlns:atom": _ATOM})
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", _title(page, said))
    _add(channel, "link", page["address"])
    _add(channel, "description", page["description"] or _title(page, said))
    _add(channel, "language", said.language)
    _add(channel, "lastBuildDate", _mail_date(summary.changed_at(content)))
    _add(channel, "atom:link", rel="self", type="application/rss+xml", href=f"{page['address']}/history.rss")
    for post in posts[:LIMIT]:
        item = ET.SubElement(channel, "item")
        _add(item, "title", _headline(post, said))
        _add(item, "link", f"{page['address']}/incidents/{post['uuid']}")
        _add(item, "guid", f"urn:uuid:{post['uuid']}", isPermaLink="false")
        _add(item, "pubDate", _mail_date(post["created_at"]))
        for one in post["components"]:
            _add(item, "category", one["name"])
        _add(item, "description", _body(post, said))
    return _DECLARATION + ET.tostring(root, encoding="unicode")


def _title(page, said):
    return f"{page['name']}: {said['history']}"


def _headline(post, said):
    return f"{post['title']}: {said[post['stage']]}"


def _body(post, said):
    """The updates of a post as HTML, the newest first."""
    parts = []
    if post["kind"] == "maintenance":
        when = said.span(words.read(post["starts_at"]), words.read(post["ends_at"]))
        parts.append(f"<p><strong>{escape(when)}</strong></p>")
    for update in post["updates"]:
        head = f"{said[update['stage']]}, {said.moment(words.read(update['at']))}"
        parts.append(f"<p><strong>{escape(head)}</strong></p>{_text(update['body'])}")
    return "\n".join(parts)


def _mail_date(text):
    return email.utils.format_datetime(words.read(text))


def _add(parent, name, text=None, **attributes):
    element = ET.SubElement(parent, name, {key: clean(value) for key, value in attributes.items()})
    element.text = None if text is None else clean(str(text))
    return element
