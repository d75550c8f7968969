"""Text that people wrote in Markdown, as HTML that is safe to show to others.

markdown-it-py reads it without HTML, and nh3 then lets through what is listed here and nothing else: two nets, of
which each would be enough. There are no images, since one tells a stranger who reads an incident and when.
"""

import re

import nh3
from django.utils.safestring import mark_safe
from markdown_it import MarkdownIt

LONGEST = 50_000  # characters; what is longer is shown as plain text
TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto", "tel"}
# A page has one h1 and its sections an h2: what somebody writes stands below both.
LOWER = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}

_parser = MarkdownIt("js-default", {"html": False, "linkify": True, "typographer": False, "breaks": True})
_parser.disable("image")


# What we wrote ourselves and show as a page: it keeps its headings, each with an id to link to.
PAGE_TAGS = {*TAGS, "h1", "h2"}
PAGE_ATTRIBUTES = {**ATTRIBUTES, **{f"h{level}": {"id"} for level in range(1, 7)}}
_page_parser = MarkdownIt("js-default", {"html": False, "linkify": False, "typographer": False})
_page_parser.disable("image")


def anchor(title):
    """The id of a heading, as GitHub makes it: `Mail that comes back` is `mail-that-comes-back`."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def page(text, link):
    """A document of ours as HTML, and its title. `link(href)` says where a link of it leads, None for nowhere."""
    tokens, title = _page_parser.parse(text), ""
    for before, token in zip(tokens, tokens[1:], strict=False):
        if before.type == "heading_open":
            said = "".join(part.content for part in token.children)
            title = title or said
            before.attrSet("id", anchor(said))
        for part in token.children or ():
            if part.type == "link_open":
                href = link(part.attrGet("href"))
                part.attrs = {"href": href} if href else {}
    found = _page_parser.renderer.render(tokens, _page_parser.options, {})
    clean = nh3.clean(found, tags=PAGE_TAGS, attributes=PAGE_ATTRIBUTES, url_schemes=SCHEMES, link_rel="noopener")
    return title, mark_safe(clean)


def _lower(tokens):
    for token in tokens:
        token.tag = LOWER.get(token.tag, token.tag) if token.type.startswith("heading") else token.tag
    return tokens


def render(text):
    """The HTML of a Markdown text, safe to put into a page. Links lead away without saying where from."""
    text = text.replace("\0", "")
    if len(text) > LONGEST:
        found = f"<pre>{nh3.clean_text(text)}</pre>"
    else:
        found = _parser.renderer.render(_lower(_parser.parse(text)), _parser.options, {})
    return mark_safe(
        nh3.clean(
            found,
            tags=TAGS,
            attributes=ATTRIBUTES,
            url_schemes=SCHEMES,
            link_rel="noopener noreferrer nofollow",
            url_relative="deny",
        )
    )
