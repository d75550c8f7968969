"""The table of docs/integrations.md, which is kept complete by this."""

import re
from pathlib import Path

import pytest

from alerts.models import sources

DOCS = Path(__file__).parent.parent.parent / "docs"
COLUMNS = ["source", "address", "answers", "dedup key", "severity", "resolved by", "signature", "notes"]


def table():
    """`[{column: text}]` of the first table."""
    lines = (DOCS / "integrations.md").read_text().split("\n\n| source |")[1].split("\n\n")[0].splitlines()
    return [dict(zip(COLUMNS, map(str.strip, line.strip("|").split(" | ")), strict=True)) for line in lines[2:]]


def name_of(row):
    return re.sub(r"\[(.*)\]\(.*\)", r"\1", row["source"])


@pytest.mark.parametrize("kind", sorted(sources.classes()))
def test_every_source_has_one_complete_row(kind):
    source = sources.classes()[kind]
    rows = [row for row in table() if name_of(row) == source.label]
    assert len(rows) == 1, f"docs/integrations.md needs one row for “{source.label}”"
    assert all(rows[0].values())
    if not source.is_internal:
        assert f"`/in/{kind}/<key>`" in rows[0]["address"]


def test_every_row_is_about_something_that_exists():
    known = {source.label for source in sources.classes().values()} | {"REST API"}
    assert {name_of(row) for row in table()} <= known


def test_the_answers_are_those_that_senders_get():
    for kind, source in sources.classes().items():
        if source.is_internal:
            continue
        row = next(row for row in table() if name_of(row) == source.label)
        stored, *_, busy = row["answers"].split(";")
        assert stored.startswith(str(sources.get(kind).accepted([], "id")[0])), kind
        assert str(sources.get(kind).overloaded()[0]) in row["answers"], busy


@pytest.mark.parametrize("kind", sorted(sources.classes()))
def test_every_setup_text_names_the_address(kind):
    source = sources.classes()[kind]
    assert source.is_internal or "{url}" in source.setup_help


def test_every_link_in_the_table_leads_to_a_heading():
    text = (DOCS / "integrations.md").read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in re.findall(r"^##.*", text, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
