"""Editing layers: the past stays as it was, and whoever is on turn stays on turn."""

import dataclasses
import datetime as dt
import random
import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from core.errors import IllegalMove
from oncall import layers, lookup, shifts
from oncall.models import Layer, Restriction, Schedule
from tests import factories

SECOND, MINUTE, HOUR = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(hours=1)
DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR


@pytest.fixture
def dora(db):
    return factories.UserFactory(name="Dora")


@pytest.fixture
def schedule(team, alice, bob, charlie):
    """Alice, Bob, Charlie by the week since 5 January, in Berlin. Alice has the week of `now`."""
    return factories.ScheduleFactory(name="Shop", team=team, time_zone="Europe/Berlin", people=[alice, bob, charlie])


def drafts_of(schedule, now):
    return layers.drafts_of(Schedule.objects.get(pk=schedule.pk), now=now)


def edit(schedule, now, number=0, **fields):
    """Change one draft of the running layers, and save."""
    drafts = drafts_of(schedule, now)
    drafts[number] = dataclasses.replace(drafts[number], **fields)
    return layers.change_layers(schedule.pk, drafts, by=None, now=now)


def new(*people, **fields):
    """A daily layer at position 9 that begins at once."""
    values = {"name": "Nights", "position": 9, "unit": "day", "start_date": dt.date(2026, 5, 1)} | fields
    return layers.LayerDraft(slots=[[one] for one in people], **values)


def window(days=(0, 1, 2, 3, 4), start=9, end=17, **fields):
    return Restriction(days=list(days), start_time=dt.time(start), end_time=dt.time(end), **fields)


def people(schedule, at, role=shifts.PRIMARY):
    return [one.user_id for one in lookup.who_many([schedule.pk], at=at)[schedule.pk][role]]


def history(schedule, until):
    return lookup.finals([schedule.pk], start=until - 100 * DAY, end=until)[schedule.pk]


def order(schedule, now, turns, step=WEEK):
    """Who is on call now, one step later, and so on."""
    return [people(schedule, now + number * step) for number in range(turns)]


# --- the past -------------------------------------------------------------------------------------------------
EDITS = {
    "name": lambda draft, dora: {"name": "Days"},
    "position": lambda draft, dora: {"position": 7},
    "role": lambda draft, dora: {"role": shifts.SECONDARY},
    "unit": lambda draft, dora: {"unit": "day"},
    "rule": lambda draft, dora: {"unit": "rrule", "rule": "FREQ=WEEKLY;BYDAY=TU,FR"},
    "every": lambda draft, dora: {"every": 3},
    "start date": lambda draft, dora: {"start_date": dt.date(2026, 2, 4)},
    "start date to come": lambda draft, dora: {"start_date": dt.date(2026, 6, 17)},
    "handoff time": lambda draft, dora: {"handoff_time": dt.time(17, 30)},
    "zone": lambda draft, dora: {"time_zone": "Pacific/Auckland"},
    "first": lambda draft, dora: {"first_slot": 2},
    "start": lambda draft, dora: {"starts_at": factories.NOW + DAY},
    "end": lambda draft, dora: {"ends_at": factories.NOW + DAY},
    "one more": lambda draft, dora: {"slots": [[dora], *draft.slots]},
    "one less": lambda draft, dora: {"slots": draft.slots[1:]},
    "an empty slot": lambda draft, dora: {"slots": [draft.slots[0], [], *draft.slots[1:]]},
    "two together": lambda draft, dora: {"slots": [[*draft.slots[0], dora], *draft.slots[1:]]},
    "others": lambda draft, dora: {"slots": [[dora]]},
    "restriction": lambda draft, dora: {"restrictions": [window()]},
}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_never_changes_the_past(schedule, dora, now, kind):
    before = history(schedule, now)
    (draft,) = drafts_of(schedule, now)
    edit(schedule, now, **EDITS[kind](draft, dora))
    assert history(schedule, now) == before


def test_deleting_a_layer_never_changes_the_past(schedule, now):
    before = history(schedule, now)
    layers.change_layers(schedule.pk, [], by=None, now=now)
    assert history(schedule, now) == before
    assert people(schedule, now - SECOND) != []
    assert people(schedule, now) == []  # the person of a deleted layer is not called any more


def test_a_zone_change_never_changes_the_past(schedule, now):
    factories.LayerFactory(
        schedule=schedule, position=2, role=shifts.SECONDARY, ends_at=now - WEEK
    ).participants.create(user=factories.UserFactory())
    before = history(schedule, now)
    layers.change_zone(schedule.pk, "Pacific/Auckland", by=None, now=now)
    assert history(schedule, now) == before


@pytest.mark.parametrize("seed", [*range(12), 80, 102, 207, 290, 477])
def test_no_row_of_edits_ever_changes_the_past(schedule, dora, alice, bob, charlie, now, seed):
    """A random walk of edits: at each step all that was before must stay, to the microsecond."""
    dice = random.Random(seed)
    cast = [alice, bob, charlie, dora]
    factories.LayerFactory(schedule=schedule, position=5, unit="day", people=[dora, alice])
    for _ in range(8):
        before = history(schedule, now)
        if dice.random() < 0.15:
            layers.change_zone(schedule.pk, dice.choice(["Asia/Tokyo", "UTC", "America/New_York"]), by=None, now=now)
        else:
            drafts = [each for draft in drafts_of(schedule, now) for each in _shaken(dice, draft, cast, now)]
            if dice.random() < 0.3:
                drafts.append(new(dora, bob, position=dice.randint(20, 10_000), ends_at=now + 300 * DAY))
            wished = layers.preview(Schedule.objects.get(), drafts, start=now - 3 * DAY, end=now + 20 * DAY, now=now)
            try:
                layers.change_layers(schedule.pk, drafts, by=None, now=now)
            except ValidationError as error:
                raise AssertionError(error.messages) from error
            shown = lookup.finals([schedule.pk], start=now - 3 * DAY, end=now + 20 * DAY)[schedule.pk]
            assert outline(shown) == outline(wished)  # the preview said what would be
        assert history(schedule, now) == before
        now += dice.choice([dt.timedelta(0), SECOND, HOUR, 30 * HOUR, 9 * DAY])


def outline(finals):
    """Who is on call when, without the numbers of the rows."""
    found = {}
    for role, spans in finals.items():
        joined = []
        for span in spans:
            names = [one.user_id for one in span.people]
            if joined and joined[-1][1] == names:
                continue
            joined.append((span.start_at, names))
        found[role] = joined
    return found


def _shaken(dice, draft, cast, now):
    """The draft with a random change, or without any, or gone."""
    roll = dice.random()
    if roll < 0.1:
        return []
    if roll < 0.3 or (draft.ends_at and draft.ends_at < now + 40 * DAY):
        return [draft]
    change = dice.choice(
        [
            {"slots": [[one] for one in dice.sample(cast, dice.randint(1, 4))]},
            {"slots": [*draft.slots, []]},
            {"unit": dice.choice(["hour", "day", "week", "month"]), "rule": "", "every": dice.randint(1, 14)},
            {"unit": "rrule", "rule": "FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=6,18"},
            {
                "restrictions": dice.choice(
                    [[], [window()], [window([5], 0, 0, until_day=0)], [window(end=3, start=22)]]
                )
            },
            {"handoff_time": dt.time(dice.randint(0, 23), 30)},
            {"start_date": now.date() + dt.timedelta(days=dice.randint(-50, 20))},
            {"starts_at": now + dice.randint(-5, 5) * DAY},
            {"time_zone": dice.choice(["", "Australia/Lord_Howe"])},
            {"name": "Other"},
            {"ends_at": now + 200 * DAY},
        ]
    )
    return [dataclasses.replace(draft, **change)]


# --- rows -----------------------------------------------------------------------------------------------------
def test_drafts_that_are_passed_back_change_nothing(schedule, bob, now):
    layer = factories.LayerFactory(schedule=schedule, position=2, people=[bob], ends_at=now + WEEK)
    factories.RestrictionFactory(layer=layer)
    factories.ParticipantFactory(layer=layer, user=None, position=1)
    factories.ParticipantFactory(layer=layer, position=2)
    factories.ParticipantFactory(layer=layer, position=2)
    before = list(Layer.objects.order_by("pk").values())
    layers.change_layers(schedule.pk, drafts_of(schedule, now), by=None, now=now)
    assert list(Layer.objects.order_by("pk").values()) == before
    assert layer.participants.count() == 4


def test_a_changed_layer_ends_now_and_another_follows_it(schedule, now):
    old = Layer.objects.get()
    (made,) = edit(schedule, now, name="Days")
    old.refresh_from_db()
    assert (old.ends_at, made.starts_at, made.follows, made.ends_at) == (now, now, old, None)
    assert old.name == "Layer 1"


def test_a_layer_that_has_not_begun_is_changed_in_place(schedule, now, alice):
    to_come = factories.LayerFactory(schedule=schedule, position=2, start_date=dt.date(2026, 6, 8), people=[alice])
    edit(schedule, now, 1, name="Soon", start_date=dt.date(2026, 5, 1))
    to_come.refresh_from_db()
    assert (to_come.name, to_come.starts_at) == ("Soon", now)
    layers.change_layers(schedule.pk, drafts_of(schedule, now)[:1], by=None, now=now)
    assert not Layer.objects.filter(pk=to_come.pk).exists()


def test_a_new_layer_holds_from_now_on_however_early_its_first_shift_was(schedule, dora, now):
    before = history(schedule, now)
    layers.change_layers(schedule.pk, [*drafts_of(schedule, now), new(dora)], by=None, now=now)
    assert people(schedule, now) == [dora.pk]
    assert history(schedule, now) == before


def test_several_edits_at_one_moment_leave_no_rows_behind(schedule, alice, bob, dora, now):
    before = history(schedule, now)
    edit(schedule, now, slots=[[alice], [dora]])
    edit(schedule, now, slots=[[dora], [bob]])
    edit(schedule, now, name="Days")
    assert Layer.objects.count() == 2
    assert not Layer.objects.filter(ends_at=now, starts_at=now).exists()
    layers.change_layers(schedule.pk, [], by=None, now=now)
    assert Layer.objects.count() == 1
    assert history(schedule, now) == before


def test_moving_the_end_needs_no_new_row(schedule, now):
    edit(schedule, now, ends_at=now + WEEK)
    assert Layer.objects.get().ends_at == now + WEEK
    edit(schedule, now, ends_at=None)
    assert Layer.objects.get().ends_at is None


def test_any_start_in_the_past_is_the_same_start(schedule, dora, now):
    edit(schedule, now, slots=[[dora]])
    edit(schedule, now + HOUR, starts_at=None)
    edit(schedule, now + HOUR, starts_at=now - WEEK)
    assert Layer.objects.count() == 2


def test_nobody_is_missing_until_a_change_begins(schedule, alice, dora, now):
    """The new one begins in ten days: until then the old one holds."""
    edit(schedule, now, start_date=dt.date(2026, 6, 11), slots=[[dora]])
    old, made = Layer.objects.order_by("pk")
    assert (old.ends_at, made.follows) == (dt.datetime(2026, 6, 11, 7, tzinfo=dt.UTC), old)
    assert people(schedule, now) == [alice.pk]
    assert people(schedule, old.ends_at - SECOND) != []
    assert people(schedule, old.ends_at) == [dora.pk]
    layers.change_layers(schedule.pk, drafts_of(schedule, now), by=None, now=now)  # two at one position, in turn
    assert Layer.objects.count() == 2


def test_a_change_with_a_start_to_come_counts_from_then(schedule, alice, dora, now):
    edit(schedule, now, starts_at=now + HOUR, slots=[[dora]])
    assert people(schedule, now) == people(schedule, now + HOUR - SECOND) == [alice.pk]
    assert people(schedule, now + HOUR) == [dora.pk]


@pytest.mark.parametrize("days", [4, 15])
def test_when_a_planned_change_moves_the_layer_before_it_holds_until_then(schedule, dora, now, days):
    edit(schedule, now, start_date=dt.date(2026, 6, 11), slots=[[dora]])
    edit(schedule, now + HOUR, 1, start_date=now.date() + dt.timedelta(days=days))
    old = Layer.objects.earliest("pk")
    assert old.ends_at == dt.datetime(2026, 6, 1 + days, 7, tzinfo=dt.UTC)
    assert people(schedule, old.ends_at - SECOND) not in ([], [dora.pk])
    assert people(schedule, old.ends_at) == [dora.pk]


def test_a_planned_change_stays_when_the_layer_before_it_changes(schedule, alice, bob, charlie, dora, now):
    edit(schedule, now, start_date=dt.date(2026, 6, 11), slots=[[dora]])
    edit(schedule, now + HOUR, slots=[[bob]])
    layers.change_zone(schedule.pk, "America/New_York", by=None, now=now + 2 * HOUR)
    begin = dt.datetime(2026, 6, 11, 13, tzinfo=dt.UTC)
    assert people(schedule, now) == [alice.pk]
    assert people(schedule, now + HOUR) == people(schedule, begin - SECOND) == [bob.pk]
    assert people(schedule, begin) == [dora.pk]
    layers.change_layers(schedule.pk, drafts_of(schedule, now + DAY), by=None, now=now + DAY)


def test_a_layer_that_was_ended_soon_after_it_began_does_not_stop_other_edits(schedule, bob, now):
    layer = factories.LayerFactory(
        schedule=schedule, position=2, starts_at=now - HOUR, ends_at=now + HOUR, people=[bob]
    )
    factories.RestrictionFactory(layer=layer, days=[6])
    edit(schedule, now, name="Days")


# --- whose turn -----------------------------------------------------------------------------------------------
def test_whoever_is_on_turn_stays_on_turn_when_the_list_changes(schedule, alice, bob, charlie, dora, now):
    assert order(schedule, now, 3) == [[alice.pk], [bob.pk], [charlie.pk]]
    edit(schedule, now, slots=[[dora], [bob], [charlie], [alice]])
    assert order(schedule, now, 4) == [[alice.pk], [dora.pk], [bob.pk], [charlie.pk]]
    now += WEEK  # Dora is on turn
    edit(schedule, now, slots=[[dora], [alice]])
    assert order(schedule, now, 3) == [[dora.pk], [alice.pk], [dora.pk]]


def test_who_follows_takes_over_from_somebody_who_is_gone(schedule, alice, bob, charlie, dora, now):
    edit(schedule, now, slots=[[bob], [charlie], [dora]])
    # Dora is no replacement: nobody stands where they stood.
    assert order(schedule, now, 3) == [[bob.pk], [charlie.pk], [dora.pk]]


def test_somebody_new_in_the_same_place_takes_over(schedule, alice, bob, charlie, dora, now):
    edit(schedule, now, slots=[[dora], [bob], [charlie]])
    assert order(schedule, now, 4) == [[dora.pk], [bob.pk], [charlie.pk], [dora.pk]]


def test_somebody_stays_on_turn_when_somebody_joins_their_place(schedule, alice, bob, charlie, dora, now):
    edit(schedule, now, slots=[[bob], [charlie], [dora, alice]])
    assert order(schedule, now, 2) == [[dora.pk, alice.pk], [bob.pk]]


def test_somebody_who_stands_in_the_order_twice_keeps_the_right_turn(schedule, alice, bob, charlie, dora, now):
    edit(schedule, now, slots=[[alice], [bob], [alice], [charlie]])
    assert order(schedule, now, 4) == [[alice.pk], [bob.pk], [alice.pk], [charlie.pk]]
    now += 2 * WEEK
    edit(schedule, now, slots=[[alice], [bob], [alice], [charlie], [dora]])
    assert order(schedule, now, 3) == [[alice.pk], [charlie.pk], [dora.pk]]


def test_an_empty_turn_stays_empty(schedule, alice, bob, charlie, dora, now):
    edit(schedule, now, slots=[[alice], [], [bob]])
    now += WEEK
    assert people(schedule, now) == []
    edit(schedule, now, slots=[[dora], [alice], [], [bob]])
    assert order(schedule, now, 3) == [[], [bob.pk], [dora.pk]]


def test_whoever_is_on_turn_stays_when_restrictions_change(schedule, alice, bob, charlie, now):
    (draft,) = drafts_of(schedule, now)
    made = new(alice, bob, charlie, name="Days")
    layers.change_layers(schedule.pk, [dataclasses.replace(made, layer=draft.layer)], by=None, now=now)
    first, second, third = (each[0] for each in order(schedule, now, 3, DAY))
    now += HOUR
    edit(schedule, now, restrictions=[window()])
    # Monday, Tuesday, Wednesday as before; the weekend eats nobody's turn.
    assert order(schedule, now, 5, DAY) == [[first], [second], [third], [first], [second]]
    assert order(schedule, now + 5 * DAY, 3, DAY) == [[], [], [third]]
    now += 2 * DAY
    edit(schedule, now, restrictions=[])
    assert order(schedule, now, 4, DAY) == [[third], [first], [second], [third]]


def test_a_new_order_of_handoffs_means_what_it_says(schedule, alice, bob, charlie, now):
    edit(schedule, now, start_date=dt.date(2026, 5, 25), first_slot=1)
    assert order(schedule, now, 3) == [[charlie.pk], [alice.pk], [bob.pk]]


def test_who_comes_first_in_a_layer_to_come_means_what_it_says(schedule, alice, bob, dora, now):
    factories.LayerFactory(schedule=schedule, position=2, start_date=dt.date(2026, 6, 8), people=[alice, bob])
    edit(schedule, now, 1, slots=[[dora], [alice], [bob]])
    assert people(schedule, now + WEEK) == [dora.pk]


# --- zones ----------------------------------------------------------------------------------------------------
def test_a_new_zone_moves_the_handoffs_of_layers_without_their_own(schedule, alice, bob, dora, now):
    own = factories.LayerFactory(schedule=schedule, role=shifts.SECONDARY, time_zone="Asia/Tokyo", people=[dora])
    ended = factories.LayerFactory(schedule=schedule, position=3, ends_at=now - WEEK, people=[dora])
    old = Layer.objects.order_by("pk").first()
    layers.change_zone(schedule.pk, "America/New_York", by=None, now=now)
    for one in (own, ended, old):
        one.refresh_from_db()
    made = Layer.objects.get(follows=old)
    assert (old.time_zone, old.ends_at) == ("Europe/Berlin", now)
    assert (made.time_zone, made.starts_at) == ("", now)
    assert (ended.time_zone, own.time_zone, own.ends_at) == ("Europe/Berlin", "Asia/Tokyo", None)
    handoff = dt.datetime(2026, 6, 8, 13, tzinfo=dt.UTC)  # 09:00 in New York
    assert people(schedule, handoff - SECOND) == [alice.pk]
    assert people(schedule, handoff) == [bob.pk]


def test_the_same_zone_again_changes_nothing(schedule, now):
    layers.change_zone(schedule.pk, "Europe/Berlin", by=None, now=now)
    assert Layer.objects.get().ends_at is None


@pytest.mark.parametrize("name", ["", "Berlin", "../../etc/passwd", "Europe/Berlin\x00", "x" * 500])
def test_a_zone_that_is_none_is_refused(schedule, now, name):
    with pytest.raises(ValidationError) as raised:
        layers.change_zone(schedule.pk, name, by=None, now=now)
    assert "is not a time zone. Use one like Europe/Berlin." in raised.value.message_dict["time_zone"][0]


# --- what is wrong --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"slots": []}, "slots", "Layer Nights has no participants. Add one, or delete the layer."),
        ({"slots": [[], []]}, "slots", "Layer Nights has no participants. Add one, or delete the layer."),
        ({"slots": [["bob", "bob"]]}, "slots", "Bob stands twice in place 1 of Layer Nights. Take one out."),
        ({"slots": [["watcher"]]}, "slots", "Layer Nights: Watcher is an observer and cannot answer a page."),
        ({"slots": [["gone"]]}, "slots", "Layer Nights: Gone is deactivated. Choose somebody else."),
        ({"slots": [["bob"]] * 201}, "slots", "more than 200 places"),
        ({"slots": [["bob"] * 21]}, "slots", "more than 20 people"),
        ({"starts_at": 2, "ends_at": 1}, "ends_at", "Layer Nights ends before it starts. Choose a later end."),
        ({"starts_at": 1, "ends_at": 1}, "ends_at", "Layer Nights ends before it starts."),
        ({"ends_at": -1}, "ends_at", "The end of layer Nights is over. Choose a later end, or delete the layer."),
        (
            {"ends_at": 3, "start_date": dt.date(2026, 6, 17)},
            "ends_at",
            "Layer Nights ends before its first shift on 2026-06-17 at 09:00.",
        ),
        ({"ends_at": 3, "restrictions": [window([6])]}, "ends_at", "ends before its restrictions first open"),
        ({"time_zone": "Mars"}, "time_zone", "“Mars” is not a time zone. Use one like Europe/Berlin."),
        ({"unit": "rrule"}, "rule", "Write the recurrence rule"),
        ({"unit": "rrule", "rule": "FREQ=SECONDLY"}, "rule", "hands over too often"),
        ({"unit": "rrule", "rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "rule", "never fires"),
        ({"unit": "rrule", "rule": "every monday"}, "rule", "is not a part of a recurrence rule"),
        ({"rule": "FREQ=DAILY"}, "rule", "not used"),
        ({"unit": "fortnight"}, "unit", "not a valid choice"),
        ({"role": "BOSS"}, "role", "not a valid choice"),
        ({"name": ""}, "name", "blank"),
        ({"every": 0}, "every", "Choose a number from 1 to 365."),
        ({"every": 366}, "every", "Choose a number from 1 to 365."),
        ({"start_date": None}, "start_date", "null"),
        ({"start_date": dt.date(1989, 12, 31)}, "start_date", "Choose a start date from 1990-01-01 to 2100-01-01."),
        ({"start_date": dt.date(2101, 1, 1)}, "start_date", "Choose a start date from 1990-01-01 to 2100-01-01."),
        ({"ends_at": 24 * 365 * 90}, "ends_at", "Choose a time in the years 1990 to 2100."),
        ({"restrictions": [window(start=9, end=9)]}, "restrictions", "opens and closes at the same time"),
        ({"restrictions": [window([])]}, "restrictions", "Choose the days"),
        ({"restrictions": [window([9])]}, "restrictions", "9 is not a valid choice"),
        ({"restrictions": [window()] * 21}, "restrictions", "more than 20 restrictions"),
        ({"position": -1}, "position", "greater than or equal to 0"),
        ({"first_slot": -1}, "first_slot", "greater than or equal to 0"),
        ({"position": 1}, "position", "Layer Nights has the same position as layer Layer 1."),
    ],
)
def test_what_is_wrong_is_said_in_words_at_its_field(schedule, bob, now, fields, field, text):
    cast = {"bob": bob, "gone": factories.UserFactory(name="Gone", is_active=False)}
    cast["watcher"] = factories.UserFactory(name="Watcher", role="observer")
    if "slots" in fields:
        fields = fields | {"slots": [[cast[name] for name in slot] for slot in fields["slots"]]}
    for name in {"starts_at", "ends_at"} & set(fields):
        fields = fields | {name: now + fields[name] * HOUR}
    drafts = [*drafts_of(schedule, now), dataclasses.replace(new(bob), **fields)]
    found = layers.problems(schedule, drafts, now=now)
    assert list(found) == [1]
    assert field in found[1]
    assert any(text in sentence for sentence in found[1][field]), found[1][field]
    before = list(Layer.objects.values())
    with pytest.raises(ValidationError) as raised:
        layers.change_layers(schedule.pk, drafts, by=None, now=now)
    assert any(text in sentence for sentence in raised.value.messages)
    assert list(Layer.objects.values()) == before
    with pytest.raises(ValidationError):
        layers.preview(schedule, drafts, start=now, end=now + WEEK, now=now)


def test_layers_of_other_roles_may_share_a_position(schedule, bob, now):
    drafts = [*drafts_of(schedule, now), new(bob, position=1, role=shifts.SECONDARY)]
    assert layers.problems(schedule, drafts, now=now) == {}


def test_positions_can_be_swapped(schedule, bob, now):
    layers.change_layers(schedule.pk, [*drafts_of(schedule, now), new(bob, position=2)], by=None, now=now)
    one, two = drafts_of(schedule, now)
    one.position, two.position = two.position, one.position
    layers.change_layers(schedule.pk, [one, two], by=None, now=now + HOUR)
    assert people(schedule, now) == [bob.pk]
    assert people(schedule, now + HOUR) != [bob.pk]


def test_somebody_deactivated_who_stands_there_already_does_not_stop_other_edits(schedule, alice, now):
    alice.is_active = False
    alice.save()
    edit(schedule, now, name="Days")


def test_there_are_at_most_fifty_layers(schedule, bob, now):
    drafts = [new(bob, position=number + 1) for number in range(51)]
    assert layers.problems(schedule, drafts) == {50: {"": ["A schedule has at most 50 layers. Delete some."]}}


# --- several at once ------------------------------------------------------------------------------------------
def test_an_edit_of_what_somebody_changed_meanwhile_is_refused(schedule, dora, now):
    stale = drafts_of(schedule, now)
    edit(schedule, now, slots=[[dora]])
    with pytest.raises(IllegalMove, match="Somebody changed the layers of Shop meanwhile."):
        layers.change_layers(schedule.pk, stale, by=None, now=now + SECOND)


def test_a_layer_that_somebody_added_meanwhile_is_not_lost(schedule, dora, now):
    seen = drafts_of(schedule, now)
    layers.change_layers(schedule.pk, [*seen, new(dora)], by=None, now=now)
    with pytest.raises(IllegalMove):
        layers.change_layers(schedule.pk, seen, by=None, now=now, known={draft.layer.pk for draft in seen})
    assert people(schedule, now) == [dora.pk]


def test_one_layer_cannot_become_two(schedule, now):
    with pytest.raises(ValidationError):
        layers.change_layers(schedule.pk, drafts_of(schedule, now) * 2, by=None, now=now)


@pytest.mark.django_db(transaction=True)
def test_of_two_edits_at_once_one_is_told(schedule, bob, charlie, now):
    start, outcomes = threading.Barrier(2), []

    def run(person):
        drafts = [dataclasses.replace(draft, slots=[[person]]) for draft in drafts_of(schedule, now)]
        start.wait()
        try:
            outcomes.append(layers.change_layers(schedule.pk, drafts, by=None, now=now))
        except IllegalMove as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[one]) for one in (bob, charlie)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(one, IllegalMove) for one in outcomes) == [False, True]
    assert Layer.objects.running(now).count() == 1


# --- preview --------------------------------------------------------------------------------------------------
def test_a_preview_shows_what_would_be_and_writes_nothing(schedule, alice, bob, dora, now):
    factories.OverrideFactory(schedule=schedule, user=bob, start_at=now + HOUR, end_at=now + 2 * HOUR)
    drafts = drafts_of(schedule, now)
    drafts[0].slots = [[dora]]
    spans = layers.preview(schedule, drafts, start=now - HOUR, end=now + 3 * HOUR, now=now)[shifts.PRIMARY]
    shown = [(span.start_at, [one.user_id for one in span.people]) for span in spans]
    assert shown == [
        (now - HOUR, [alice.pk]),
        (now, [dora.pk]),
        (now + HOUR, [bob.pk]),
        (now + 2 * HOUR, [dora.pk]),
    ]
    assert people(schedule, now) == [alice.pk]


def test_a_preview_knows_the_time_off_of_somebody_new(schedule, alice, dora, now):
    schedule.skips_time_off = True
    factories.TimeOffFactory(user=dora, start_at=now, end_at=now + HOUR)
    drafts = drafts_of(schedule, now)
    drafts[0].slots = [[dora], [alice]]
    spans = layers.preview(schedule, drafts, start=now, end=now + 2 * HOUR)[shifts.PRIMARY]
    assert [one.user_id for one in spans[0].people] == [alice.pk]


def test_a_preview_of_a_schedule_that_is_not_saved_yet(team, bob, now):
    schedule = Schedule(name="New", slug="new", team=team)
    spans = layers.preview(schedule, [new(bob)], start=now, end=now + WEEK)[shifts.PRIMARY]
    assert {one.user_id for span in spans for one in span.people} == {bob.pk}
    assert layers.spec_of(schedule, [new(bob)]).layers[0].slots == ((bob.pk,),)


def test_a_preview_in_another_zone_moves_the_handoffs(schedule, bob, now):
    schedule.time_zone = "America/New_York"
    drafts = drafts_of(schedule, now)
    spans = layers.preview(schedule, drafts, start=now - DAY, end=now + WEEK + DAY, now=now)[shifts.PRIMARY]
    assert spans[-1].start_at == dt.datetime(2026, 6, 8, 13, tzinfo=dt.UTC)
    layers.change_zone(schedule.pk, "America/New_York", by=None, now=now)
    shown = lookup.finals([schedule.pk], start=now - DAY, end=now + WEEK + DAY)[schedule.pk]
    assert outline(shown)[shifts.PRIMARY] == outline({shifts.PRIMARY: spans})[shifts.PRIMARY]


# --- what an upgrade of the system broke ----------------------------------------------------------------------
def test_a_schedule_whose_zone_is_gone_can_be_repaired(schedule, now):
    before = people(schedule, now)
    Schedule.objects.filter(pk=schedule.pk).update(time_zone="US/Pacific-New")
    schedule.refresh_from_db()
    drafts = drafts_of(schedule, now)
    assert layers.problems(schedule, drafts, now=now) == {}
    layers.change_layers(schedule.pk, drafts, by=None, now=now)
    layers.change_zone(schedule.pk, "UTC", by=None, now=now)
    assert people(schedule, now) == before
    # Nor does the past keep what cannot be worked out.
    assert people(schedule, now - dt.timedelta(days=1))
    assert not Layer.objects.filter(time_zone="US/Pacific-New").exists()


def test_a_layer_whose_zone_is_gone_can_be_repaired(schedule, now):
    schedule.layers.update(time_zone="US/Pacific-New")
    drafts = layers.drafts_of(schedule, now=now)
    assert all("time_zone" in wrong for wrong in layers.problems(schedule, drafts, now=now).values())
    for draft in drafts:
        draft.time_zone = ""
    layers.change_layers(schedule.pk, drafts, by=None, now=now)
    assert people(schedule, now)
    assert not Layer.objects.filter(time_zone="US/Pacific-New").exists()


def test_a_layer_whose_zone_is_gone_can_be_deleted(schedule, now):
    schedule.layers.update(time_zone="US/Pacific-New")
    layers.change_layers(schedule.pk, [], by=None, now=now)
    assert not schedule.layers.exists()


def test_a_zone_that_is_a_folder_is_refused_beside_a_rule_with_an_end(schedule, now):
    (draft, *_) = layers.drafts_of(schedule, now=now)
    draft.unit, draft.rule, draft.time_zone = "rrule", "FREQ=WEEKLY;UNTIL=20301231T090000Z", "Europe"
    (wrong,) = layers.problems(schedule, [draft], now=now).values()
    assert wrong == {"time_zone": ["“Europe” is not a time zone. Use one like Europe/Berlin."]}
