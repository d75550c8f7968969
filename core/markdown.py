"""Text that people wrote in Markdown, as HTML that is safe to show to others.

markdown-it-py reads it without HTML, and nh3 then lets through what is listed here and nothing else: two nets, of
which each would be enough. There are no images, since one tells a stranger who reads an incident and when.
"""

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
