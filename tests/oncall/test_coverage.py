"""What is wrong in final schedules, who carries how much, and the proof: against a check of every minute."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from oncall import coverage, shifts
from oncall.coverage import Facts, Person
from oncall.rotation import Rotation
from oncall.shifts import CALLED, PRIMARY, ROLES, SECONDARY, SHADOW, FixedSpec, LayerSpec, OnCall, ScheduleSpec, Span
from tests.oncall.strategies import ZONES, clock_changes

ALICE, BOB, CHARLIE = 1, 2, 3
NAMES = {ALICE: "Alice", BOB: "Bob", CHARLIE: "Charlie"}
SHOP, INFRA = 10, 20
# A Monday, 00:00 UTC.
START = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
PEOPLE = {pk: Person(pk, name) for pk, name in NAMES.items()}
# The same examples each time, and no limit that depends on the speed of the machine.
USUAL = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def on_call(user_id, role=PRIMARY, via=shifts.LAYER, source="layer:1:0", is_off=False):
    return OnCall(user_id, "because", role, via, source, is_off=is_off)


def span(begin, finish, *people, role=PRIMARY, **more):
    """A Span from hour to hour; people are ids."""
    return Span(START + begin * HOUR, START + finish * HOUR, tuple(on_call(one, role, **more) for one in people))


def report(finals, *, hours=48, facts=None, people=PEOPLE, ids=None, now=None):
    facts = facts or {SHOP: Facts(SHOP, "Shop", "Europe/Berlin"), INFRA: Facts(INFRA, "Infra")}
    full, end = complete(finals, hours), START + hours * HOUR
    return coverage.report(ids or list(finals), full, facts, people, start=START, end=end, now=now)


def complete(finals, hours):
    """With nobody in the roles that are not given."""
    nobody = [span(0, hours)]
    return {pk: {role: roles.get(role, nobody) for role in ROLES} for pk, roles in finals.items()}


def problems(finals, kind, **more):
    return [one for one in report(finals, **more).problems if one.kind == kind]


def hours_of(problem):
    return (problem.start_at - START) / HOUR, (problem.end_at - START) / HOUR


# --- problems -------------------------------------------------------------------------------------------------
def test_a_gap_is_where_nobody_is_primary_even_when_a_secondary_is_there():
    finals = {
        SHOP: {
            PRIMARY: [span(0, 9, ALICE), span(9, 12), span(12, 14), span(14, 48, BOB)],
            SECONDARY: [span(0, 48, CHARLIE, role=SECONDARY)],
        }
    }
    (gap,) = problems(finals, "gap")
    assert hours_of(gap) == (9, 14) and gap.schedule_id == SHOP and gap.role == PRIMARY
    assert gap.text == ("Nobody is on call as primary in Shop from Mon 1 June, 11:00 until Mon 1 June, 16:00 CEST.")


def test_people_of_one_slot_are_no_overlap_and_people_with_different_fixed_shifts_are():
    both = [span(0, 48, ALICE, BOB)]
    assert not problems({SHOP: {PRIMARY: both}}, "overlap")
    fixed = (
        on_call(ALICE, via=shifts.FIXED, source="fixed:1"),
        on_call(BOB, via=shifts.FIXED, source="fixed:2"),
    )
    replaced = (fixed[0], on_call(BOB, via=shifts.OVERRIDE, source="override:9"))
    spans = [
        Span(START, START + HOUR, fixed),
        Span(START + HOUR, START + 2 * HOUR, replaced),
        span(2, 48, ALICE, via=shifts.FIXED, source="fixed:1"),
    ]
    (overlap,) = problems({SHOP: {PRIMARY: spans}}, "overlap")
    assert hours_of(overlap) == (0, 2)
    assert overlap.text.startswith(
        "Alice and Bob have overlapping fixed shifts as primary in Shop from Mon 1 June, 02"
    )


def test_one_person_in_two_schedules_or_two_roles_at_once_is_a_double_booking_but_not_as_a_shadow():
    finals = {
        SHOP: {
            PRIMARY: [span(0, 10, BOB), span(10, 48, ALICE)],
            SECONDARY: [span(0, 4, CHARLIE, role=SECONDARY), span(4, 48, BOB, role=SECONDARY)],
        },
        INFRA: {
            PRIMARY: [span(0, 20, CHARLIE), span(20, 24, BOB), span(24, 48, CHARLIE)],
            SHADOW: [span(0, 48, ALICE, role=SHADOW)],
        },
    }
    found = problems(finals, "double booking")
    assert [(one.user_id, *hours_of(one)) for one in found] == [(CHARLIE, 0, 4), (BOB, 4, 10), (BOB, 20, 24)]
    assert found[0].text.startswith("Charlie is on call in Shop as secondary and in Infra at once from")
    assert found[1].text.startswith("Bob is on call as primary and as secondary in Shop at once from")


def test_a_double_booking_with_a_schedule_that_was_not_asked_about_is_found_and_its_own_gaps_are_not():
    finals = {SHOP: {PRIMARY: [span(0, 48, BOB)]}, INFRA: {PRIMARY: [span(0, 4, BOB), span(4, 48)]}}
    found = report(finals, ids=[SHOP])
    assert [one.kind for one in found.problems] == ["double booking"]
    assert [(one.user_id, one.hours) for one in found.loads] == [(BOB, 48)]


def test_time_off_of_somebody_on_call_must_be_covered():
    spans = [span(0, 4, BOB), span(4, 8, BOB, is_off=True), span(8, 10, BOB, is_off=True, source="layer:1:1")]
    (one,) = problems({SHOP: {PRIMARY: [*spans, span(10, 48, BOB)]}}, "time off")
    assert hours_of(one) == (4, 10) and one.user_id == BOB
    assert one.text == (
        "Bob has time off but is on call in Shop from Mon 1 June, 06:00 until Mon 1 June, 12:00 CEST. "
        "Somebody must cover it."
    )


def test_a_turn_that_falls_on_an_empty_slot_is_reported_whatever_the_layers_below_hold():
    layer = LayerSpec(1, "Nights", 1, Rotation("day", 1, START.date(), dt.time(0), "UTC"), ((ALICE,), (), ()))
    facts = {SHOP: Facts(SHOP, "Shop", "UTC", layers=(layer,))}
    found = problems({SHOP: {PRIMARY: [span(0, 96, BOB)]}}, "empty slot", facts=facts, hours=96)
    assert [hours_of(one) for one in found] == [(24, 72)]
    assert found[0].text.startswith("The turn of layer Nights in Shop from Tue 2 June, 00:00 until Thu 4 June, 00:00")


def test_people_who_cannot_be_called_are_named_once_with_their_first_shift_to_come():
    people = {
        **PEOPLE,
        ALICE: Person(ALICE, "Alice", is_active=False),
        BOB: Person(BOB, "Bob", is_reachable=False),
    }
    spans = [span(0, 6, ALICE), span(6, 12, BOB), span(12, 18, CHARLIE), span(18, 24, BOB), span(24, 48, CHARLIE)]
    finals = {SHOP: {PRIMARY: spans, SHADOW: [span(0, 48, ALICE, role=SHADOW)]}}
    found = report(finals, people=people).problems
    assert [(one.kind, one.user_id, *hours_of(one)) for one in found] == [
        ("deactivated", ALICE, 0, 6),
        ("unreachable", BOB, 6, 12),
    ]
    assert found[1].text == (
        "Bob has no verified contact method but is on call in Shop "
        "from Mon 1 June, 08:00 until Mon 1 June, 14:00 CEST."
    )
    later = report(finals, people=people, now=START + 12 * HOUR).problems
    assert [(one.kind, *hours_of(one)) for one in later] == [("unreachable", 18, 24)]


def weekly(*slots, **more):
    return LayerSpec(1, "Weekly", 1, Rotation("week", 1, START.date(), dt.time(9), "UTC"), slots, **more)


def of_layers(*layers, weeks, offset=0, **more):
    """The report of a schedule with these layers."""
    start = START + offset * DAY
    spec = ScheduleSpec("Shop", layers, **more)
    finals = {SHOP: {role: shifts.final(spec, start, start + weeks * 7 * DAY, role) for role in ROLES}}
    facts = {SHOP: Facts(SHOP, "Shop", "UTC", layers)}
    return coverage.report([SHOP], finals, facts, PEOPLE, start=start, end=start + weeks * 7 * DAY)


def test_a_fair_rotation_is_never_uneven_however_short_the_span():
    for weeks in (1, 2, 3, 4, 8):
        for offset in range(8):
            found = of_layers(weekly((ALICE,), (BOB,), (CHARLIE,)), weeks=weeks, offset=offset)
            assert not [one for one in found.problems if one.kind == "uneven"]


def test_who_carries_far_more_than_the_mean_is_named():
    fixed = (FixedSpec(1, ALICE, START + 7 * DAY, START + 21 * DAY),)
    found = of_layers(weekly((ALICE,), (BOB,), (CHARLIE,)), weeks=4, fixed=fixed)
    (one,) = [one for one in found.problems if one.kind == "uneven"]
    assert one.user_id == ALICE
    assert one.text == ("Alice is on call 654 h in Shop, 3.0 times the mean of its 3 people, which is 221 h.")


def test_a_week_on_call_is_no_overload_and_more_without_a_nights_rest_is():
    assert not [one for one in of_layers(weekly((ALICE,), (BOB,)), weeks=4).problems if one.kind == "overload"]
    (one,) = [one for one in of_layers(weekly((ALICE,)), weeks=4).problems if one.kind == "overload"]
    assert one.user_id == ALICE and one.text.startswith("Alice is on call 663 h without a break of 8 h, from")
    days = [span(24 * day + 8, 24 * day + 23, ALICE) for day in range(14)]  # with nine hours of rest
    assert not problems({SHOP: {PRIMARY: days}}, "overload", hours=24 * 14)


def test_problems_come_in_the_order_of_their_start():
    finals = {
        SHOP: {PRIMARY: [span(0, 10, ALICE), span(10, 20), span(20, 48, BOB, is_off=True)]},
        INFRA: {PRIMARY: [span(0, 5), span(5, 48, CHARLIE)]},
    }
    assert [one.kind for one in report(finals).problems] == ["gap", "gap", "time off"]


# --- load -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("day", "hours", "nights"),
    [((2026, 3, 29), 23, 7), ((2026, 10, 25), 25, 9), ((2026, 6, 7), 24, 8)],
    ids=["the clock goes forward", "the clock goes back", "an ordinary Sunday"],
)
def test_nights_and_weekends_are_exact_when_the_clock_changes(day, hours, nights):
    berlin = ZoneInfo("Europe/Berlin")
    start, end = (dt.datetime(*day, tzinfo=berlin) + number * DAY for number in (0, 1))
    start, end = start.astimezone(dt.UTC), end.astimezone(dt.UTC)
    nobody = {role: [Span(start, end, ())] for role in ROLES}
    finals = {SHOP: {**nobody, PRIMARY: [Span(start, end, (on_call(ALICE),))]}}
    people = {ALICE: Person(ALICE, "Alice", zone="Europe/Berlin")}
    facts = {SHOP: Facts(SHOP, "Shop", holidays=frozenset({dt.date(*day)}))}
    (load,) = coverage.report([SHOP], finals, facts, people, start=start, end=end).loads
    assert (load.hours, load.night_hours, load.weekend_hours, load.holiday_hours) == (hours, nights, hours, hours)


def test_a_shift_counts_once_whatever_keeps_the_person_on_call_and_twice_at_once_counts_once():
    finals = {
        SHOP: {
            PRIMARY: [span(0, 4, BOB), span(4, 8, BOB, source="layer:1:1"), span(8, 12, ALICE), span(12, 14, BOB)],
            SECONDARY: [span(12, 14, BOB, role=SECONDARY)],
        }
    }
    loads = {one.user_id: one for one in report(finals).loads}
    assert (loads[BOB].hours, loads[BOB].shifts) == (10, 3)
    assert (loads[ALICE].hours, loads[ALICE].shifts) == (4, 1)


def test_a_participant_without_a_shift_has_a_load_of_nothing():
    found = of_layers(weekly((ALICE,), (BOB,)), weeks=1)
    assert [(one.user_id, one.hours, one.shifts) for one in found.loads] == [(ALICE, 159, 1), (BOB, 0, 0)]


# --- against a check of every minute --------------------------------------------------------------------------
def people_of(draw, role):
    found = []
    for user_id in draw(st.lists(st.sampled_from(list(NAMES)), max_size=2, unique=True)):
        via = draw(st.sampled_from((shifts.LAYER, shifts.FIXED, shifts.OVERRIDE)))
        source = f"{via}:{draw(st.integers(1, 3))}:{user_id}"
        found.append(on_call(user_id, role, via, source, draw(st.booleans())))
    return tuple(found)


@st.composite
def spans_of(draw, start, minutes, role):
    cuts = sorted({0, minutes, *draw(st.lists(st.integers(0, minutes), max_size=4))})
    return [
        Span(start + begin * MINUTE, start + finish * MINUTE, people_of(draw, role))
        for begin, finish in zip(cuts, cuts[1:], strict=False)
    ]


@st.composite
def cases(draw):
    """Random final schedules of two schedules around a clock change, and their people."""
    zone = draw(st.sampled_from(ZONES))
    focus = draw(st.sampled_from(clock_changes(zone) or (START,)))
    start = focus - draw(st.integers(0, 2 * 24 * 60)) * MINUTE
    minutes = draw(st.integers(60, 3 * 24 * 60))
    finals = {pk: {role: draw(spans_of(start, minutes, role)) for role in ROLES} for pk in (SHOP, INFRA)}
    people = {
        pk: Person(pk, name, draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from((zone, *ZONES))))
        for pk, name in NAMES.items()
    }
    days = {(start + number * DAY).date() for number in draw(st.lists(st.integers(-1, 4), max_size=2))}
    facts = {SHOP: Facts(SHOP, "Shop", zone, holidays=frozenset(days)), INFRA: Facts(INFRA, "Infra", zone)}
    return start, minutes, finals, facts, people


def by_minute(start, minutes, spans):
    """The people of each minute."""
    found = []
    for one in spans:
        found += [one.people] * int((one.end_at - one.start_at) / MINUTE)
    assert len(found) == minutes and (not spans or spans[0].start_at == start)
    return found


def marked(start, found):
    """`{(user id, minute)}` that problems name."""
    minutes = [
        (one.user_id, number)
        for one in found
        for number in range(int((one.start_at - start) / MINUTE), int((one.end_at - start) / MINUTE))
    ]
    assert len(minutes) == len(set(minutes))
    return set(minutes)


@settings(USUAL)
@given(cases())
def test_every_minute_is_judged_as_a_simple_check_judges_it(case):
    start, minutes, finals, facts, people = case
    found = coverage.report([SHOP, INFRA], finals, facts, people, start=start, end=start + minutes * MINUTE)
    table = {
        (pk, role): by_minute(start, minutes, spans) for pk, roles in finals.items() for role, spans in roles.items()
    }
    called = [(pk, role) for pk in finals for role in CALLED]

    def expected(chosen):
        return {one for number in range(minutes) for one in chosen(number)}

    def of_kind(kind, pk=None, role=None):
        return marked(
            start,
            [
                one
                for one in found.problems
                if one.kind == kind and pk in (None, one.schedule_id) and role in (None, one.role)
            ],
        )

    for pk in finals:
        gaps = {(None, number) for number in range(minutes) if not table[pk, PRIMARY][number]}
        assert of_kind("gap", pk) == gaps
        for role in CALLED:
            rows = table[pk, role]
            several = {
                (None, number)
                for number in range(minutes)
                if len(rows[number]) > 1 and any(one.via == shifts.FIXED for one in rows[number])
            }
            assert of_kind("overlap", pk, role) == several
            off = {(one.user_id, number) for number in range(minutes) for one in rows[number] if one.is_off}
            assert of_kind("time off", pk, role) == off
    assert of_kind("double booking") == expected(
        lambda number: {
            (user_id, number)
            for user_id in people
            if sum(any(one.user_id == user_id for one in table[place][number]) for place in called) > 1
        }
    )

    loads = {one.user_id: one for one in found.loads}
    for user_id, person in people.items():
        tz = ZoneInfo(person.zone)
        hours = night = weekend = holiday = 0
        for number in range(minutes):
            places = [place for place in called if any(one.user_id == user_id for one in table[place][number])]
            if not places:
                continue
            clock = (start + number * MINUTE).astimezone(tz)
            hours += 1
            night += clock.hour >= 22 or clock.hour < 6
            weekend += clock.weekday() >= 5
            holiday += any(clock.date() in facts[pk].holidays for pk, _ in places)
        if not hours:
            assert user_id not in loads
            continue
        load = loads[user_id]
        counted = (load.hours, load.night_hours, load.weekend_hours, load.holiday_hours)
        assert [round(one * 60, 6) for one in counted] == [hours, night, weekend, holiday]


# --- the proof ------------------------------------------------------------------------------------------------
def policy(*levels, nobody_action="next_level", fallback_user=None):
    return {
        "id": 7,
        "name": "Shop",
        "repeats": 1,
        "nobody_action": nobody_action,
        "fallback_user": fallback_user,
        "levels": [
            {"number": number, "delay_minutes": 5, "targets": list(targets)}
            for number, targets in enumerate(levels, start=1)
        ],
    }


def schedule(pk=SHOP, role=PRIMARY):
    return {"kind": "schedule", "id": pk, "name": "Shop on call", "role": role}


def user(pk):
    return {"kind": "user", "id": pk, "name": NAMES[pk], "role": PRIMARY}


def prove(copy, finals, people=PEOPLE, hours=48):
    return coverage.prove(copy, complete(finals, hours), people, start=START, end=START + hours * HOUR)


def test_a_policy_whose_every_minute_reaches_somebody_is_covered():
    finals = {SHOP: {PRIMARY: [span(0, 20, ALICE), span(20, 48, BOB, is_off=True)]}}
    assert prove(policy([schedule()]), finals) == coverage.Proof(7, True, ())


def test_a_counter_example_says_why_for_each_level_and_is_joined():
    people = {**PEOPLE, BOB: Person(BOB, "Bob", is_reachable=False)}
    spans = [span(0, 5, ALICE), span(5, 9), span(9, 12), span(12, 15, BOB), span(15, 48, ALICE)]
    proof = prove(policy([schedule()], [user(BOB)]), {SHOP: {PRIMARY: spans}}, people)
    assert not proof.is_covered
    first, second = proof.counter_examples
    assert hours_of(first) == (5, 12) and hours_of(second) == (12, 15)
    assert first.reasons == (
        "Level 1: nobody is on call in Shop on call.",
        "Level 2: Bob has no verified contact method.",
    )
    assert second.reasons == (
        "Level 1: Bob has no verified contact method.",
        "Level 2: Bob has no verified contact method.",
    )


def test_a_role_without_people_falls_through_to_the_next_but_never_to_a_shadow():
    finals = {
        SHOP: {
            PRIMARY: [span(0, 10, ALICE), span(10, 48)],
            SECONDARY: [span(0, 20, BOB, role=SECONDARY), span(20, 48, role=SECONDARY)],
            SHADOW: [span(0, 48, CHARLIE, role=SHADOW)],
        }
    }
    (one,) = prove(policy([schedule()]), finals).counter_examples
    assert hours_of(one) == (20, 48)
    assert [hours_of(one) for one in prove(policy([schedule(role=SECONDARY)]), finals).counter_examples] == [(20, 48)]


def test_the_fallback_person_counts_where_the_policy_falls_back_on_them():
    finals = {SHOP: {PRIMARY: [span(0, 48)]}}
    assert not prove(policy([schedule()], fallback_user=BOB), finals).is_covered
    assert prove(policy([schedule()], nobody_action="fallback", fallback_user=BOB), finals).is_covered
    people = {**PEOPLE, BOB: Person(BOB, "Bob", is_active=False)}
    proof = prove(policy([schedule()], nobody_action="fallback", fallback_user=BOB), finals, people)
    assert proof.counter_examples[0].reasons[-1] == "Fallback: Bob is deactivated."


def test_a_policy_without_levels_targets_or_schedule_covers_nothing():
    assert prove(policy(), {}).counter_examples[0].reasons == ("The policy has no levels.",)
    assert prove(policy([]), {}).counter_examples[0].reasons == ("Level 1 has no targets.",)
    (one,) = prove(policy([schedule()]), {}).counter_examples
    assert one.reasons == ("Level 1: the schedule Shop on call no longer exists.",)
    assert hours_of(one) == (0, 48)


@st.composite
def policies(draw):
    target = st.one_of(
        st.sampled_from(list(NAMES)).map(user),
        st.builds(schedule, st.sampled_from((SHOP, INFRA, 99)), st.sampled_from(CALLED)),
    )
    levels = draw(st.lists(st.lists(target, max_size=2), max_size=3))
    return policy(
        *levels,
        nobody_action=draw(st.sampled_from(("next_level", "fallback", "alarm"))),
        fallback_user=draw(st.sampled_from((None, *NAMES))),
    )


@settings(USUAL)
@given(cases(), policies())
def test_the_proof_agrees_with_a_check_of_every_minute(case, copy):
    start, minutes, finals, _, people = case
    proof = coverage.prove(copy, finals, people, start=start, end=start + minutes * MINUTE)
    table = {
        (pk, role): by_minute(start, minutes, spans) for pk, roles in finals.items() for role, spans in roles.items()
    }

    def reached(target, number):
        if target["kind"] == "user":
            return not people[target["id"]].problem
        for role in CALLED[CALLED.index(target["role"]) :]:
            present = table[target["id"], role][number] if target["id"] in finals else ()
            if present:
                return any(not people[one.user_id].problem for one in present)
        return False

    falls_back = copy["levels"] and copy["nobody_action"] == "fallback" and copy["fallback_user"]
    has_fallback = bool(falls_back) and not people[copy["fallback_user"]].problem
    expected = {
        number
        for number in range(minutes)
        if not has_fallback
        and not any(reached(target, number) for level in copy["levels"] for target in level["targets"])
    }
    found = [
        number
        for one in proof.counter_examples
        for number in range(int((one.start_at - start) / MINUTE), int((one.end_at - start) / MINUTE))
    ]
    assert len(found) == len(set(found)) and set(found) == expected
    assert proof.is_covered == (not expected)
    for one, other in zip(proof.counter_examples, proof.counter_examples[1:], strict=False):
        assert one.end_at < other.start_at or one.reasons != other.reasons


def test_a_year_of_hourly_shifts_is_judged_from_edge_to_edge():
    layer = LayerSpec(1, "Hours", 1, Rotation("hour", 1, START.date(), dt.time(0), "UTC"), ((ALICE,), (BOB,), ()))
    found = of_layers(layer, weeks=52)
    kinds = [one.kind for one in found.problems]
    assert kinds.count("gap") == kinds.count("empty slot") == 52 * 7 * 8
    assert {one.user_id: one.hours for one in found.loads} == {ALICE: 52 * 7 * 8, BOB: 52 * 7 * 8}
