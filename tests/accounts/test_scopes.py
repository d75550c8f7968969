"""Scopes as values: what includes what, and how a list is read."""

import pytest

from accounts import scopes


@pytest.mark.parametrize(
    ("held", "resource", "reads", "writes"),
    [
        (["incidents:read"], "incidents", True, False),
        (["incidents:write"], "incidents", True, True),
        (["incidents:write"], "alerts", False, False),
        (["*:read"], "audit", True, False),
        (["*:write"], "config", True, True),
        ([], "alerts", False, False),
        (["incidents:write", "*:read"], "catalog", True, False),
        (["*:write"], "", True, True),  # a view that forgot to say its resource opens to nothing less
        (["incidents:write", "alerts:write"], "", False, False),
    ],
)
def test_what_is_allowed(held, resource, reads, writes):
    assert scopes.allows(held, resource, False) is reads
    assert scopes.allows(held, resource, True) is writes


def test_no_name_is_part_of_another():
    assert not scopes.allows(["incidents:writer", "incident:write", "oncall"], "incidents", False)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("incidents:read", ["incidents:read"]),
        ("incidents:write, incidents:read", ["incidents:write"]),
        ("incidents:read alerts:write", ["alerts:write", "incidents:read"]),
        (["*:read", "incidents:read", "incidents:write"], ["*:read", "incidents:write"]),
        (["*:write", *scopes.ALL], ["*:write"]),
    ],
)
def test_a_list_is_read_in_order_and_without_what_another_includes(given, read):
    assert scopes.parse(given) == read


@pytest.mark.parametrize(
    "given", ["incidents:delete", "incidents", "audit:write", "incidents:read;", ["x" * 5000], [7]]
)
def test_an_unknown_scope_is_refused_with_those_there_are(given):
    with pytest.raises(ValueError, match="The scopes are .*incidents:write") as refused:
        scopes.parse(given)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("given", ["", " ,", []])
def test_at_least_one_scope_is_needed(given):
    with pytest.raises(ValueError, match="at least one"):
        scopes.parse(given)


def test_what_goes_beyond_a_key():
    assert scopes.beyond(["incidents:read", "alerts:write"], ["incidents:write"]) == ["alerts:write"]
    assert scopes.beyond(["*:read"], ["incidents:write"]) == ["*:read"]
    assert scopes.beyond(list(scopes.ALL), ["*:write"]) == []
    assert scopes.beyond(["incidents:write"], ["*:read"]) == ["incidents:write"]


def test_the_refusal_names_what_is_missing_and_what_is_there():
    said = scopes.missing(["incidents:read"], "incidents", True)
    assert "no scope incidents:write" in said and "It has incidents:read." in said


def test_every_scope_has_a_label():
    assert [value for value, _ in scopes.choices()] == list(scopes.ALL)
    assert dict(scopes.choices())["oncall:write"] == "On call: read and write"
