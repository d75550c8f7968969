"""The engine against a brute force: random schedules, compared minute by minute with `oracle.py`."""

import datetime as dt
import itertools
import random

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from oncall.shifts import ROLES, final, gaps, on_call, roster, shifts
from tests.oncall.oracle import Oracle
from tests.oncall.strategies import MINUTE, situations

# The same examples each time, so that a red test is never a matter of luck; `--long` takes new ones.
USUAL = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def seen(people):
    """What the oracle says of people, from what the engine says."""
    return tuple((one.user_id, one.is_off, one.source if one.via == "layer" else None) for one in people)


def by_minute(spans, start, end, shown=tuple):
    """The people of each minute, as `shown` shows them; the spans must fill the time without holes and overlaps."""
    found, at = [], start
    for span in spans:
        assert span.start_at == at, f"A hole or an overlap at {at}: {span}"
        assert span.start_at < span.end_at, f"A span without a length: {span}"
        minutes, rest = divmod(span.end_at - span.start_at, MINUTE)
        assert not rest
        found += [shown(span.people)] * minutes
        at = span.end_at
    assert at == end
    return found


def check_final(situation):
    """Compare the final schedule of every role with the oracle at every minute."""
    oracle = Oracle(situation.schedule, situation.start, situation.end)
    for role in {layer.role for layer in situation.schedule.layers} | {
        one.role for one in (*situation.schedule.overrides, *situation.schedule.fixed)
    }:
        spans = final(situation.schedule, situation.start, situation.end, role)
        ours, theirs = by_minute(spans, situation.start, situation.end, seen), oracle.answers(role)
        for one, other in itertools.pairwise(spans):
            assert one.people != other.people, f"Nothing changes at {other.start_at}"
        if ours != theirs:
            place = next(place for place in range(len(theirs)) if ours[place] != theirs[place])
            at = situation.start + place * MINUTE
            raise AssertionError(f"{role} at {at}: the engine says {ours[place]}, the oracle {theirs[place]}")


@settings(USUAL, max_examples=1500)
@given(situations())
def test_the_final_schedule_is_what_a_brute_force_finds_at_every_minute(situation):
    check_final(situation)


@pytest.mark.parametrize("batch", range(20))
def test_a_hundred_thousand_random_schedules_are_what_a_brute_force_finds(batch, request):
    """5,000 new ones in each batch. A red one prints the seed that repeats it."""
    if not request.config.getoption("--long"):
        pytest.skip("only with --long")
    seed = random.SystemRandom().randrange(10**9)
    print(f"batch {batch}, hypothesis.seed({seed})")

    @hypothesis.seed(seed)
    @settings(USUAL, max_examples=5_000, derandomize=False)
    @given(situations())
    def compare(situation):
        check_final(situation)

    compare()


@settings(USUAL, max_examples=300)
@given(situations(), st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5))
def test_who_is_on_call_at_a_moment_is_who_the_final_schedule_names(situation, places):
    schedule, start, end = situation.schedule, situation.start, situation.end
    oracle = Oracle(schedule, start, end)
    for role in ROLES:
        spans, answers = final(schedule, start, end, role), oracle.answers(role)
        minutes = by_minute(spans, start, end)
        edges = [int((span.start_at - start) / MINUTE) for span in spans[:20]]
        chosen = {int(each * len(answers)) for each in places} | set(edges) | {edge - 1 for edge in edges if edge}
        for place in chosen:
            at = start + place * MINUTE
            people = roster(schedule, at)[role]
            assert people == on_call(schedule, at, role) == minutes[place]
            assert seen(people) == answers[place]
            # A reason holds as long as it says, or until something else wins.
            assert all(one.until is None or one.until > at for one in people)


@settings(USUAL, max_examples=250)
@given(situations(), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_the_answer_does_not_depend_on_where_the_span_starts_or_ends(situation, place):
    schedule, start, end = situation.schedule, situation.start, situation.end
    middle = start + max(1, int(place * situation.minutes)) * MINUTE
    for role in ROLES:
        whole = by_minute(final(schedule, start, end, role), start, end)
        first = by_minute(final(schedule, start, middle, role), start, middle)
        second = by_minute(final(schedule, middle, end, role), middle, end)
        assert first + second == whole


@settings(USUAL, max_examples=250)
@given(situations())
def test_shifts_and_gaps_add_up_to_the_final_schedule(situation):
    schedule, start, end = situation.schedule, situation.start, situation.end
    for role in ROLES:
        spans = final(schedule, start, end, role)
        holes = gaps(spans)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(holes)), "gaps that touch are one"
        assert total(holes) == total((each.start_at, each.end_at) for each in spans if not each.people)
        for span in spans:
            is_hole = any(begin <= span.start_at and span.end_at <= finish for begin, finish in holes)
            assert is_hole == (not span.people)
        found = shifts(spans)
        assert [each.start_at for each in found] == sorted(each.start_at for each in found)
        for span in spans:
            meant = {
                reason(each.person) for each in found if each.start_at < span.end_at and span.start_at < each.end_at
            }
            assert {reason(each) for each in span.people} == meant
        for one, other in itertools.permutations(found, 2):
            if reason(one.person) == reason(other.person):
                assert one.end_at != other.start_at, "one person, one reason: never two shifts that touch"


def reason(person):
    return person.user_id, person.source, person.is_off


def total(spans):
    return sum((finish - begin for begin, finish in spans), dt.timedelta())
