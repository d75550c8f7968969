"""What readers find on a page, in each language and zone, served and as files."""

import re
from xml.etree import ElementTree

import pytest

from statuspages import colours, drawing, states, words
from tests.statuspages import content as made

BASE = "/status/shop"


def drawn(content, path="", base=BASE):
    return drawing.draw(content, base=base)[path][1]


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_title_says_the_state():
    broken = made.content(components=[made.component(state=states.MAJOR)])
    assert "<title>All systems operational · Example Shop</title>" in drawn(made.content())
    assert "<title>Major outage · Example Shop</title>" in drawn(broken)


def test_the_same_content_gives_the_same_files():
    content = made.content(open=[made.post()], history=[made.resolved()])
    assert drawing.draw(content, base=BASE) == drawing.draw(content, base=BASE)


def test_open_posts_stand_above_the_components_and_ended_ones_below():
    content = made.content(
        open=[made.post("Payments fail")],
        going_on=[made.maintenance("Mail moves", stage="in_progress")],
        planned=[made.maintenance("New database")],
        history=[made.resolved("Slow search")],
    )
    page = drawn(content)
    main = page[page.index("<main") :]
    wanted = ("Payments fail", "Mail moves", "Systems", "Planned maintenance", "Slow search")
    places = [main.index(one) for one in wanted]
    assert places == sorted(places)


def test_components_stand_in_their_groups_with_their_state():
    content = made.content(
        components=[
            made.component(group=made.SHOP, state=states.PARTIAL),
            made.component(made.SEARCH, "Search", group=made.SHOP),
            made.component(made.MAIL, "Mail", state=states.MAINTENANCE),
        ]
    )
    page = text(drawn(content))
    assert re.search(r"Shop Partial outage .*Checkout Partial outage .*Search Operational .*Mail Under mainten", page)
    assert page.index("Search Operational") < page.index("Other systems")


def test_a_bar_for_each_day_and_its_words_for_those_who_cannot_see_it():
    bad = {3: (99.2, states.PARTIAL, {states.PARTIAL: 7500, states.DEGRADED: 300}), 89: None}
    component = made.component(uptime=99.987, days=made.days(bad=bad))
    page = drawn(made.content(components=[component]))
    bars = re.search(r'<svg class="bars".*?</svg>', page).group()
    assert bars.count("<rect ") == bars.count("<title>") == 90
    assert bars.count('class="p"') == bars.count('class="n"') == 1
    assert (
        "<title>27 March 2026: 99.20%, Partial outage 2\u00a0h 5\u00a0min, Degraded performance 5\u00a0min</title>"
        in bars
    )
    assert 'role="img" aria-label="Checkout, the last 90 days: 99.98% uptime. 1 day with trouble."' in bars
    assert "<li>27 March 2026: 99.20%, Partial outage" in page


def test_uptime_is_cut_and_never_says_100_when_something_was_away():
    said = words.of("en")
    assert said.percent(99.9999) == "99.99%"
    assert said.percent(100) == "100%"
    assert words.of("de").percent(99.9) == "99,90\u00a0%"


def test_a_page_that_hides_uptime_has_no_bars():
    page = drawn(made.content(page_changes={"shows_uptime": False}))
    assert "bars" not in page and "uptime" not in page


@pytest.mark.parametrize(
    ("language", "headline", "day"),
    [
        ("en", "All systems operational", "1 March 2026, 01:30 CET"),
        ("de", "Alle Systeme in Betrieb", "1. März 2026, 01:30 CET"),
        ("fr", "Tous les systèmes sont opérationnels", "1er mars 2026, 01:30 CET"),
        ("es", "Todos los sistemas operativos", "1 de marzo de 2026, 01:30 CET"),
        ("it", "Tutti i sistemi sono operativi", "1º marzo 2026, 01:30 CET"),
    ],
)
def test_a_page_speaks_its_language_in_its_zone(language, headline, day):
    post = made.resolved(updates=[made.update("resolved", "Done.", "2026-03-01T00:30:00Z")])
    content = made.content(history=[post], page_changes={"language": language})
    page = drawn(content)
    assert f'<html lang="{language}">' in page
    assert headline in page
    assert day in page.replace("\u00a0", " ")


def test_every_word_is_there_in_every_language():
    for name, forms in words._TABLE.items():
        assert len(forms) == len(words.LANGUAGES), name
        assert all(forms), name


def test_a_zone_without_letters_is_said_by_its_distance():
    said = words.of("en", "America/Sao_Paulo")
    assert said.clock(made.NOW).replace("\u00a0", " ") == "07:00 UTC-3"
    assert words.of("en", "Asia/Kathmandu").clock(made.NOW).replace("\u00a0", " ") == "15:45 UTC+5:45"


def test_a_zone_that_is_no_more_is_utc():
    assert words.of("en", "Nowhere/Gone").clock(made.NOW) == "10:00\u00a0UTC"


def test_nothing_that_people_wrote_gets_out_of_its_place():
    evil = "</title></script><script>x</script>\"'&<b>"
    component = made.component(name=evil, description=evil, state=states.MAJOR)
    body = f"{evil} [a](javascript:x) ![i](https://evil.example/i.png) <img src=x onerror=x>"
    update = made.update(body=body, affected=[[made.CHECKOUT, evil, states.OPERATIONAL, states.MAJOR]])
    post = made.post(evil, components=[{"uuid": made.CHECKOUT, "name": evil, "state": ""}], updates=[update])
    changes = {"name": evil, "description": body}
    files = drawing.draw(made.content(components=[component], open=[post], page_changes=changes), base=BASE)
    for path, (kind, said) in files.items():
        if kind == drawing.JSON:
            continue  # told as JSON, which no browser reads as a page
        for wrong in ("<script", "<img src", 'href="javascript', "<b>"):
            assert wrong not in said, (path, wrong)
        if kind != drawing.CSS and kind != drawing.HTML:
            ElementTree.fromstring(said)


def test_history_is_by_month_of_the_pages_zone():
    late = made.resolved("Late", starts_at="2026-02-28T23:30:00Z")  # in Berlin it is March
    page = drawn(made.content(history=[late]), "history")
    assert "March 2026" in page and "February" not in page.split("</h2>")[0]


def test_what_people_write_cannot_become_markup():
    evil = "<script>alert(1)</script>\"'&"
    content = made.content(
        components=[made.component(name=evil, description=evil)],
        open=[
            made.post(evil, updates=[made.update(body=f"{evil} [x](javascript:alert(1)) ![y](https://e.example/p)")])
        ],
        page_changes={"name": evil, "description": evil},
    )
    for path, (_, file) in drawing.draw(content, base=BASE).items():
        if not path.startswith("api/"):
            assert "<script" not in file, path
            assert 'href="javascript' not in file, path
    assert "<img" not in drawn(content)


def test_links_of_a_page_on_its_own_are_relative_and_lead_to_its_files():
    content = made.content(open=[made.post()], history=[made.resolved()])
    files = drawing.draw(content, base=None)
    names = {drawing.filename(path) for path in files}
    for path, (kind, html) in files.items():
        if not kind.startswith("text/html"):
            continue
        depth = path.count("/")
        for address in re.findall(r'(?:href|src)="([^"#]+)"', html):
            if address.startswith("https://"):
                continue
            assert address.count("../") == depth, (path, address)
            assert address.replace("../", "").partition("?")[0] in names, (path, address)
    assert 'href="https://oncall.example.com/status/shop/subscribe"' in files[""][1]


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs():
    content = made.content(open=[made.post()], page_changes={"support_url": "https://help.example.com"})
    for path, (kind, html) in drawing.draw(content, base=BASE).items():
        if kind.startswith("text/html"):
            loaded = re.findall(r'<(?:link[^>]*rel="(?:stylesheet|icon)"|img|script)[^>]*(?:href|src)="([^"]+)"', html)
            assert loaded and all(one.startswith(BASE) for one in loaded), path
            assert not re.search(r"<script|\son[a-z]+=|style=", html), path


def test_pages_that_are_not_public_say_so_and_stay_out_of_search_engines():
    page = drawn(made.content(page_changes={"audience": "partners", "language": "de"}))
    assert "Diese Seite ist nur für Partner." in page
    assert '<meta name="robots" content="noindex, nofollow">' in page
    assert "robots" not in drawn(made.content())


def test_a_post_has_a_page_of_its_own_with_all_updates():
    updates = [
        made.update(
            "identified", "A *host*.", affected=[[made.CHECKOUT, "Checkout", "operational", "partial_outage"]]
        ),
        made.update("investigating", "We look.", edited_at=made.ago(minutes=1)),
    ]
    post = made.post("Payments fail", stage="identified", updates=updates)
    page = drawn(made.content(open=[post]), f"incidents/{post['uuid']}")
    assert "<title>Payments fail: Identified · Example Shop</title>" in page
    assert "<em>host</em>" in page and "We look." in page
    assert "edited 30 March 2026, 11:59" in page and "Checkout: Partial outage" in page


@pytest.mark.parametrize("accent", ["#ffffff", "#000000", "#1f6feb", "#ffff00", "#777777", "#00ff88", "#d4237a"])
def test_any_colour_is_readable(accent):
    assert colours.contrast(accent, colours.on(accent)) >= 4.5
    for ground in (colours.LIGHT_GROUND, colours.DARK_GROUND):
        assert colours.contrast(colours.readable(accent, ground), ground) >= 4.5
    assert f"--head: {accent}" in drawn(made.content(page_changes={"accent_colour": accent}), "status.css")


def test_contrast_is_that_of_wcag():
    assert colours.contrast("#000000", "#ffffff") == 21
    assert round(colours.contrast("#777777", "#ffffff"), 2) == 4.48  # the well-known grey that just fails


def test_the_badge_says_the_state_in_the_language_asked_for():
    content = made.content(components=[made.component(state=states.DEGRADED)], page_changes={"language": "de"})
    assert "Example Shop: Eingeschränkte Leistung" in drawn(content, "badge.svg")
    assert "Example Shop: Degraded performance" in drawn(content, "badge.en.svg")


def test_a_page_with_nothing_on_it_says_so():
    page = text(drawn(made.content(components=[], groups=[])))
    assert "No systems are listed here yet." in page and "Nothing in the last 90 days." in page
