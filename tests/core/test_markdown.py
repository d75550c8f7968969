"""Markdown becomes HTML that is safe to show, whatever somebody writes."""

import re
from html.parser import HTMLParser

import pytest

from core.markdown import ATTRIBUTES, LONGEST, TAGS, render

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](%6aavascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.example)",
    "[x](/logout)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    '[x](https://a.example "onmouseover=alert(1) x=\\"")',
    '[x](https://a.example" onmouseover="alert(1))',
    "[a]: javascript:alert(1)\n\n[a]",
    "<a href='javascript:alert(1)'>x</a>",
    "<svg/onload=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>@import 'https://evil.example';</style>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><input name=password>",
    "<div style='position:fixed;inset:0'>",
    "```<script>\nalert(1)\n```",
    '```js" onload="alert(1)\nx\n```',
    "`<script>alert(1)</script>`",
    "| a | b |\n|--|--|\n| <script>alert(1)</script> | [x](javascript:alert(1)) |",
    "<!--<img src=--><img src=x onerror=alert(1)//>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "\0<scr\0ipt>alert(1)</scr\0ipt>",
    "[x](\x01javascript:alert(1))",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "[" * 5000 + "](x)" * 5000,
    ">" * 5000,
    "*" * 20_000,
    "- " * 2000 + "x",
    "<" * LONGEST,
]


class _Reader(HTMLParser):
    """Reads HTML as a browser would, and keeps what stands in it."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_runs_and_nothing_is_fetched(text):
    html = render(text)
    for tag, attributes in _Reader(html).found:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set())
        if "href" in attributes:
            assert re.match(r"(https?|mailto|tel):", attributes["href"])


def test_a_link_leads_away_without_saying_where_from():
    assert render("[Runbook](https://wiki.example/x)") == (
        '<p><a href="https://wiki.example/x" rel="noopener noreferrer nofollow">Runbook</a></p>\n'
    )


def test_what_people_write_is_formatted():
    html = render("# Steps\n\n1. **Stop** the *queue*\n2. run `kubectl get pods`\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    assert "<h3>Steps</h3>" in html and "<strong>Stop</strong>" in html and "<code>kubectl get pods</code>" in html
    assert "<td>1</td>" in html and "<ol>" in html


def test_a_line_stays_a_line():
    assert render("one\ntwo") == "<p>one<br>\ntwo</p>\n"


@pytest.mark.parametrize(
    "name",
    [
        "kube-system/coredns-5d78c9869d-abcde",
        "'; DROP TABLE incidents_incident; --",
        "1 OR 1=1",
        "{{ labels.pod }}",
        "a < b && c > d",
    ],
)
def test_names_are_shown_as_they_are(name):
    reader = HTMLParser()
    said = []
    reader.handle_data = said.append
    reader.feed(render(name))
    assert "".join(said).strip() == name


def test_a_text_that_is_too_long_to_read_is_shown_as_it_is():
    assert render("**x**" + " y" * LONGEST).startswith("<pre>**x**")


def test_a_bare_address_becomes_a_link_and_a_script_does_not():
    found = render("See https://wiki.example.com/disk, not javascript:alert(1)")
    assert found.count("<a ") == 1
    assert 'href="https://wiki.example.com/disk"' in found
    assert "nofollow" in found


# --- images of our own --------------------------------------------------------------------------------------------
OURS = "/postmortems/3/images/0b0f6a4e-3c55-4a6a-9d55-0f2f6f7f9a10"


def ours(address):
    return {"src": address, "width": 20, "height": 10} if address == OURS else None


def test_an_image_of_our_own_is_shown_where_the_caller_knows_it():
    html = render(f'See ![a "graph" <b>]({OURS} "title").', picture=ours)
    (image,) = [attributes for tag, attributes in _Reader(html).found if tag == "img"]
    assert image == {
        "src": OURS,
        "alt": 'a "graph" <b>',
        "width": "20",
        "height": "10",
        "loading": "lazy",
        "title": "title",
    }
    assert "<img" not in render(f"![x]({OURS})")


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/pixel.png", "//evil.example/p.png", "data:image/png;base64,aaaa", "/logout", OURS + "0"],
)
def test_of_any_other_image_its_description_stands(address):
    html = render(f"![what it [showed](https://a.example)]({address}) [x](/logout) [y]({OURS})", picture=ours)
    assert "<img" not in html and "what it" in html
    assert all(attributes.get("href", "https://").startswith("https://") for _, attributes in _Reader(html).found)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_runs_beside_images_of_our_own(text):
    for tag, attributes in _Reader(render(text, picture=ours)).found:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set())
        if "href" in attributes:
            assert re.match(r"(https?|mailto|tel):", attributes["href"])
