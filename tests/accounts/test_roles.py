"""The table of roles, as the code has it and as people read it."""

from pathlib import Path

import pytest
from django.conf import settings

from accounts.roles import ADMIN, OBSERVER, PLATFORM_ONLY, RANKS, RESPONDER, TABLE, Access, within

OWN, OTHER, PRIVATE = 1, 2, 3


def test_the_table_in_the_docs_is_the_one_in_the_code():
    text = (Path(settings.BASE_DIR) / "docs" / "access.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    written = {verb: (*roles, what) for verb, *roles, what in rows if verb in TABLE}
    assert set(written) == set(TABLE)
    for verb, (least, what) in TABLE.items():
        *roles, said = written[verb]
        assert said == what
        for role, cell in zip((OBSERVER, RESPONDER, ADMIN), roles, strict=True):
            wanted = "of the platform" if verb in PLATFORM_ONLY else "yes"
            assert cell == (wanted if RANKS[role] >= RANKS[least] else "")


@pytest.mark.parametrize("platform", [None, OBSERVER, RESPONDER, ADMIN])
@pytest.mark.parametrize("in_team", [None, OBSERVER, RESPONDER, ADMIN])
def test_in_a_team_the_stronger_role_counts_and_elsewhere_that_of_the_platform(platform, in_team):
    access = Access(platform, {OWN: in_team} if in_team else {}, frozenset({PRIVATE}))
    for verb, (least, _) in TABLE.items():
        enough = [role for role in RANKS if RANKS[role] >= RANKS[least]]
        anywhere = platform in enough
        in_own = anywhere or (in_team in enough and verb not in PLATFORM_ONLY)
        assert access.allows(verb) == anywhere
        assert access.allows(verb, {OWN}) == in_own
        assert access.allows(verb, {OTHER}) == anywhere
        assert access.allows(verb, {OWN, OTHER}) == anywhere
        assert access.allows_somewhere(verb) == in_own
        if verb not in PLATFORM_ONLY:
            assert not access.allows(verb, {PRIVATE})
            assert not access.allows(verb, {OWN, PRIVATE})


def test_a_key_of_a_team_has_the_role_there_and_none_elsewhere():
    access = within(Access(RESPONDER, {OWN: ADMIN}), OWN, [OWN, OTHER, PRIVATE])
    assert access.allows("configure", {OWN})
    assert not access.allows("read", {OTHER})
    assert not access.allows("read")
    assert access.hidden == {OTHER, PRIVATE}
