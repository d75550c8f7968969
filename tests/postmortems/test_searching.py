"""Finding postmortems by words and filters."""

import datetime as dt

import pytest
from django.core.paginator import Paginator

from postmortems import searching
from postmortems.models import Postmortem
from tests import factories

NOW = factories.NOW


@pytest.fixture
def three(team, bob):
    """Three published ones: a certificate in the title, in a section, and only as the word of an action item."""
    made = {}
    for name, title in (("title", "Certificate ran out"), ("section", "Checkout was down"), ("item", "Mail was late")):
        made[name] = factories.PostmortemFactory(team=team, status="published", title=title, owner=bob)
    factories.SectionFactory(
        postmortem=made["section"], title="What happened", body="The *certificate* of <checkout> ran out at noon."
    )
    factories.ActionItemFactory(postmortem=made["item"], text="Renew certificates by machine")
    factories.FactorFactory(postmortem=made["item"], cause="Full disk", text="On mail-7.")
    return made


def titles(user, text="", **filters):
    return [one.title for one in searching.found(user, text, filters)[:50]]


def test_words_are_found_everywhere_and_the_title_counts_most(three, charlie):
    assert titles(charlie, "certificate")[0] == "Certificate ran out"
    assert set(titles(charlie, "certif")) == {"Certificate ran out", "Checkout was down", "Mail was late"}
    assert titles(charlie, "disk") == titles(charlie, "mail-7") == ["Mail was late"]
    assert titles(charlie, "checkout certificate") == ["Checkout was down"]  # one word in the title, one in a section
    assert titles(charlie, '"ran out at"') == ["Checkout was down"]
    assert set(titles(charlie, "certificate -disk")) == {"Certificate ran out", "Checkout was down"}
    number = three["item"].number
    assert titles(charlie, f"PM-{number}") == titles(charlie, f"#{number}") == ["Mail was late"]
    assert titles(charlie) == ["Mail was late", "Checkout was down", "Certificate ran out"]
    assert titles(charlie, "nothing of it") == []


def test_removed_sections_and_what_may_not_be_seen_are_not_found(three, team, alice, bob, charlie):
    draft = factories.PostmortemFactory(team=team, title="Certificate of a draft")
    factories.SectionFactory(postmortem=three["item"], body="Certificate gone", removed_at=NOW)
    factories.PostmortemFactory(team__is_private=True, status="published", title="Certificate of others")
    assert titles(charlie, "gone") == []
    assert "Certificate of a draft" not in titles(charlie, "certificate")
    assert draft.title in titles(bob, "certificate") and "Certificate of others" not in titles(bob, "certificate")
    assert "Certificate of others" in titles(alice, "certificate")


def test_the_place_of_a_word_is_shown_marked_and_harmless(three, charlie):
    [hit] = searching.found(charlie, "checkout noon")[:5]
    [(where, html)] = hit.excerpts
    assert where == "What happened"
    assert html == "The certificate of &lt;<mark>checkout</mark> ran out at <mark>noon</mark>."
    assert "<checkout>" not in html and html.count("<mark>") == 2
    three["section"].sections.update(body="x" * 300 + " <script>alert(1)</script> noon " + "y" * 300)
    [hit] = searching.found(charlie, "noon")[:5]
    assert "<script" not in hit.excerpts[0][1] and hit.excerpts[0][1].startswith("…")


def test_without_words_the_beginning_of_the_summary_is_shown(three, charlie):
    Postmortem.objects.filter(pk=three["item"].pk).update(summary="**Mail** <b>came</b> " + "late " * 100)
    hit = searching.found(charlie)[:5][0]
    [(where, html)] = hit.excerpts
    assert where == "Summary" and html.startswith("Mail &lt;b") and html.endswith("…") and len(html) < 200


def test_filters_narrow_and_the_archive_is_asked_for(three, team, bob, charlie):
    other = factories.PostmortemFactory(
        status="published",
        title="Old",
        severity="low",
        impact_began_at=NOW - dt.timedelta(days=300),
        impact_ended_at=None,
        incidents=[],
    )
    factories.PostmortemFactory(team=team, status="archived", title="Away", published_at=NOW)
    assert titles(charlie, team=other.team.slug) == titles(charlie, severity="low") == ["Old"]
    assert titles(bob, status="archived") == ["Away"] and "Away" not in titles(bob)
    assert "Away" in titles(bob, status="archived,published") and "Away" in titles(bob, status="all")
    for owner in ("bob@example.com", str(bob.uuid)):
        assert set(titles(charlie, owner=owner)) == {"Certificate ran out", "Checkout was down", "Mail was late"}
    assert titles(charlie, owner="me") == [] and len(titles(bob, owner="me")) == 3
    assert titles(charlie, cause="full DISK ") == ["Mail was late"]
    assert titles(charlie, until="2026-05-30") == ["Old"]
    assert "Old" not in titles(charlie, since="2026-05-31") and len(titles(charlie, since="2026-05-31")) == 3
    assert titles(charlie, "certificate", team=other.team.slug) == []


def test_what_is_found_is_cut_into_pages(team, charlie):
    for number in range(7):
        factories.PostmortemFactory(team=team, status="published", title=f"Certificate {number}", incidents=[])
    pages = Paginator(searching.found(charlie, "certificate"), 5)
    assert (pages.count, pages.num_pages) == (7, 2)
    seen = [one.pk for number in (1, 2) for one in pages.get_page(number)]
    assert len(set(seen)) == len(seen) == 7


def test_a_word_that_stands_nearly_everywhere_finds_the_newest_first(team, charlie):
    first = factories.PostmortemFactory(team=team, status="published", title="Disk disk disk")
    values = {one.attname: getattr(first, one.attname) for one in Postmortem._meta.concrete_fields}
    values.pop("number")
    Postmortem.objects.bulk_create(
        Postmortem(**values | {"title": f"Disk {number}"}) for number in range(searching.MOST_RANKED)
    )
    found = searching.found(charlie, "disk")
    assert len(found) == searching.MOST_RANKED + 1
    assert found[:1][0].title == f"Disk {searching.MOST_RANKED - 1}"
    Postmortem.objects.latest("number").delete()
    assert searching.found(charlie, "disk")[:1][0] == first  # it says it most often


@pytest.mark.parametrize(
    "text", ["'", "'':*", "a' | 'b", "\\", "a\\'b:*&!", "\0", "((", "&", '"', '"unclosed', "%_", "🙂 x", "-", "-x"]
)
def test_no_search_breaks_the_query(three, charlie, text):
    found = searching.found(charlie, text)
    assert found[:5] or found.problems in (
        [],
        ["A search needs a letter or a digit. Write a word of the title, or a number."],
    )


def test_what_cannot_be_read_is_said_and_nothing_is_found_by_mistake(three, charlie):
    wrong = {
        "status": "done",
        "severity": "P1",
        "team": "nobody",
        "owner": "x@example.com",
        "since": "yesterday",
        "until": "0001-01-01",
    }
    for name, value in wrong.items():
        found = searching.found(charlie, "certificate", {name: value})
        assert found.count() == 0 and len(found.problems) == 1 and value[:60] in found.problems[0]
    for text in ("x" * 201, "a b c d e f g h i j k"):
        found = searching.found(charlie, text)
        assert found[:5] == [] and "at most" in found.problems[0]
    found = searching.found(charlie, filters={"since": "2026-05-02", "until": "2026-05-01"})
    assert found.problems == ["The end of the time is before its beginning. Choose a later end."]
