"""Text that people wrote in Markdown, as HTML that is safe to show to others.

markdown-it-py reads it without HTML, and nh3 then lets through what is listed here and nothing else: two nets, of
which each would be enough. There are no images, since one tells a stranger who reads an incident and when; only
those of our own that the caller knows are shown.
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

_picture_parser = MarkdownIt("js-default", {"html": False, "linkify": True, "typographer": False, "breaks": True})
PICTURE_TAGS = {*TAGS, "img"}
PICTURE_ATTRIBUTES = {**ATTRIBUTES, "img": {"src", "alt", "width", "height", "loading"}}
_ABSOLUTE = re.compile(rf"(?:{'|'.join(sorted(SCHEMES))}):", re.IGNORECASE)


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


def render(text, picture=None):
    """The HTML of a Markdown text, safe to put into a page. Links lead away without saying where from.

    `picture(address)` gives `{"src", "width", "height"}` of an image of our own, or None for any other: of that its
    description is shown. Without it there are no images at all.
    """
    text = text.replace("\0", "")
    if len(text) > LONGEST:
        return mark_safe(_clean(f"<pre>{nh3.clean_text(text)}</pre>"))
    if picture is None:
        return mark_safe(_clean(_parser.renderer.render(_lower(_parser.parse(text)), _parser.options, {})))
    tokens = _lower(_picture_parser.parse(text))
    shown = _show(tokens, picture)
    found = _picture_parser.renderer.render(tokens, _picture_parser.options, {})
    return mark_safe(_clean_with_pictures(found, shown))


def _clean(html):
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
        url_relative="deny",
    )


def _show(tokens, picture):
    """Give each image that is ours its address and size, and put the description in place of any other.

    Returns the addresses that are shown.
    """
    shown = set()
    for token in tokens:
        for part in token.children or ():
            if part.type != "image":
                continue
            known = picture(part.attrGet("src") or "")
            if known is None:
                part.type, part.tag, part.children = "text", "", None
                continue
            shown.add(known["src"])
            part.attrs |= {name: known[name] for name in ("src", "width", "height")} | {"loading": "lazy"}
    return shown


def _clean_with_pictures(html, shown):
    """As `_clean`, and an image may have one of the addresses `shown`, which are relative as no link may be."""

    def checked(tag, name, value):
        if tag == "img" and name == "src":
            return value if value in shown else None
        if name == "href":
            return value if _ABSOLUTE.match(value) else None
        return value

    return nh3.clean(
        html,
        tags=PICTURE_TAGS,
        attributes=PICTURE_ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
        url_relative="pass_through",
        attribute_filter=checked,
    )
