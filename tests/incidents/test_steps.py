"""The pure decision of an escalation step."""

import pytest

from incidents.steps import Candidate, next_step

ALICE = Candidate(1, "Alice", "on call")
BOB = Candidate(2, "Bob", "named in the policy")
SILENT = Candidate(3, "Charlie", "on call", problem="Charlie has no verified contact method")
NOBODY = Candidate(None, "", "", problem="nobody is on call in Nights")


def policy(*, repeats=0, nobody_action="next_level", levels=2):
    return {
        "name": "Default",
        "repeats": repeats,
        "nobody_action": nobody_action,
        "levels": [{"number": number, "delay_minutes": 5 * number, "targets": []} for number in range(1, levels + 1)],
    }


def step(people, *, round=0, level=0, fallback=None, **changes):
    copy = policy(levels=len(people), **changes)
    return next_step(
        copy,
        round=round,
        level=level,
        candidates=lambda one: people[one["number"] - 1],
        fallback=lambda: fallback,
    )


def test_the_first_step_calls_level_one_and_waits_its_delay():
    found = step([[ALICE], [BOB]])
    assert (found.round, found.level, found.pages, found.wait_minutes) == (0, 1, (ALICE,), 5)
    assert "Level 1: Alice, on call." in found.reasons


def test_the_next_step_calls_the_next_level():
    found = step([[ALICE], [BOB]], level=1)
    assert (found.level, found.pages, found.wait_minutes) == (2, (BOB,), 10)


def test_repeat_one_time_calls_everybody_twice():
    places, round, level = [], 0, 0
    while not (found := step([[ALICE], [BOB]], round=round, level=level, repeats=1)).is_over:
        round, level = found.round, found.level
        places.append((round, level))
    assert places == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert found.wait_minutes is None and "2 times" in found.alarm


def test_two_targets_that_mean_one_person_page_them_once():
    assert step([[ALICE, BOB, ALICE]]).pages == (ALICE, BOB)


def test_a_level_without_anybody_calls_the_next_level_at_once():
    found = step([[NOBODY], [BOB]])
    assert (found.level, found.pages) == (2, (BOB,))
    assert "Level 1: nobody is on call in Nights." in found.reasons


def test_a_person_who_cannot_be_reached_is_named_and_passed_over():
    found = step([[SILENT, ALICE]])
    assert found.pages == (ALICE,)
    assert "Level 1: Charlie has no verified contact method." in found.reasons


def test_nobody_at_any_level_is_loud_and_tried_again_while_rounds_remain():
    found = step([[NOBODY], [SILENT]], repeats=1)
    assert not found.pages and found.alarm and found.wait_minutes == 10 and not found.is_over


def test_the_fallback_person_is_paged_when_the_policy_says_so():
    found = step([[NOBODY], [BOB]], nobody_action="fallback", fallback=ALICE)
    assert (found.level, found.pages) == (1, (ALICE,))


def test_a_fallback_that_cannot_be_paged_goes_on_to_the_next_level():
    found = step([[NOBODY], [BOB]], nobody_action="fallback", fallback=SILENT)
    assert (found.level, found.pages) == (2, (BOB,))


def test_the_alarm_choice_raises_it_and_keeps_the_delay():
    found = step([[NOBODY], [BOB]], nobody_action="alarm")
    assert (found.level, found.pages, found.wait_minutes) == (1, (), 5) and found.alarm


@pytest.mark.parametrize("copy", [{}, {"name": "Empty", "levels": []}])
def test_no_policy_or_an_empty_one_is_an_alarm(copy):
    found = next_step(copy, round=0, level=0, candidates=lambda level: [])
    assert found.is_over and found.alarm and found.wait_minutes is None


@pytest.mark.parametrize("action", ["next_level", "fallback", "alarm"])
@pytest.mark.parametrize("repeats", [0, 1, 20])
def test_every_escalation_ends(action, repeats):
    round = level = 0
    for _ in range(3 * (repeats + 1) + 1):
        found = step([[NOBODY], [SILENT], []], round=round, level=level, repeats=repeats, nobody_action=action)
        round, level = found.round, found.level
        if found.is_over:
            break
    assert found.is_over and found.alarm


BUSY = Candidate(4, "Dora", "on call", problem="Dora is busy until 14:00", is_spare=True)


def test_who_is_busy_is_skipped_and_the_next_level_called_at_once():
    found = step([[BUSY], [BOB]])
    assert (found.level, found.pages) == (2, (BOB,))
    assert "Level 1: Dora is busy until 14:00." in found.reasons


def test_who_is_busy_is_skipped_beside_somebody_who_is_not():
    assert step([[BUSY, ALICE], [BOB]]).pages == (ALICE,)


@pytest.mark.parametrize("nobody_action", ["next_level", "fallback", "alarm"])
def test_who_is_busy_is_paged_all_the_same_when_nobody_else_is_left(nobody_action):
    found = step([[BUSY], [SILENT]], nobody_action=nobody_action)
    assert found.pages == (BUSY,)
    assert found.alarm == "" and not found.is_over
    assert found.reasons[-1] == "Paged all the same, since nobody else is left: Dora."


def test_who_is_busy_at_the_last_level_is_paged_before_the_escalation_ends():
    found = step([[ALICE], [BUSY]], level=1)
    assert (found.level, found.pages, found.is_over) == (2, (BUSY,), False)
    assert step([[ALICE], [BUSY]], level=2).is_over


def test_the_fallback_person_goes_before_who_is_busy():
    found = step([[BUSY]], nobody_action="fallback", fallback=ALICE)
    assert found.pages == (ALICE,)
