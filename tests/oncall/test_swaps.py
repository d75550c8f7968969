"""Swap and cover requests: ask, take, offer, accept, approve; and that nothing is ever applied twice."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Role
from core.errors import IllegalMove, NotAllowed, NotFound
from notifications.models import Notification
from oncall import lookup, scheduling, shifts, swaps
from oncall.models import Offer, Override, Schedule, ShiftRequest
from tests import factories
from tests.threads import at_once

HOUR = dt.timedelta(hours=1)
DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR


@pytest.fixture
def schedule(team, alice, bob):
    """Alice and Bob in turn, by the week. Bob has the week of `now`, until Monday 8 June, 09:00 UTC."""
    return factories.ScheduleFactory(name="Shop", team=team, people=[alice, bob])


@pytest.fixture
def lead(team):
    """An admin of the team, and a responder else."""
    user = factories.ContactMethodFactory(user=factories.UserFactory(name="Lea", email="lea@example.com")).user
    factories.MembershipFactory(team=team, user=user, role=Role.ADMIN)
    return user


def ask(schedule, bob, now, **fields):
    """Bob asks for cover from 13:00 to 17:00."""
    values = {"start_at": now + HOUR, "end_at": now + 5 * HOUR} | fields
    return swaps.ask(schedule.pk, requester=bob, now=now, **values)


def needs_approval(schedule):
    Schedule.objects.filter(pk=schedule.pk).update(swaps_need_approval=True)


def people(schedule, at, role=shifts.PRIMARY):
    return [one.user_id for one in lookup.who_many([schedule.pk], at=at)[schedule.pk][role]]


def told(topic=None):
    """`[(name, title)]` of what is to be sent, and forgotten here."""
    rows = Notification.objects.order_by("pk").select_related("user")
    found = [(row.user.name, row.message["title"]) for row in rows]
    assert all((row.urgency, row.is_repeat) == ("low", True) for row in rows)
    rows.delete()
    return found


def sentence(raised, field):
    assert list(raised.value.error_dict) == [field]
    (text,) = raised.value.messages
    return text


# --- asking ---------------------------------------------------------------------------------------------------
def test_asking_the_team_tells_its_active_people_but_oneself(schedule, alice, bob, charlie, team, now):
    for fields in ({"is_active": False}, {"role": Role.OBSERVER}):
        factories.MembershipFactory(
            team=team,
            role=Role.OBSERVER,
            user=factories.ContactMethodFactory(
                user__name="X", **{f"user__{name}": value for name, value in fields.items()}
            ).user,
        )
    request = ask(schedule, bob, now, note="Dentist")
    assert (request.state, request.closed_at) == ("open", None)
    row = Notification.objects.get()
    assert (row.user, row.topic) == (alice, f"shift-request:{request.pk}:ask")
    assert row.message["url"].endswith("/shifts")
    assert row.message["body"] == ("Mon 1 Jun 2026, 13:00 to 17:00 UTC. No shift in return is needed.\n“Dentist”")


def test_people_read_times_in_their_own_zone(schedule, alice, bob, now):
    alice.time_zone = "Europe/Berlin"
    alice.save()
    ask(schedule, bob, now, asked=alice, end_at=now + 30 * HOUR)
    row = Notification.objects.get()
    assert row.message["title"] == "Bob asks you to take a shift of Shop"
    assert "Mon 1 Jun 2026, 15:00 to Tue 2 Jun 2026, 20:00 CEST" in row.message["body"]


def test_a_running_shift_can_be_asked_for_from_now_on(schedule, bob, now):
    request = ask(schedule, bob, now, start_at=now - HOUR)
    assert request.start_at == now


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"start_at": -2, "end_at": -1}, "end_at", "is over"),
        ({"start_at": 2, "end_at": 1}, "end_at", "ends before it starts"),
        ({"end_at": 24 * 500}, "end_at", "400 days"),
        ({"end_at": 24 * 8}, "start_at", "You are not on call in Shop for all of that time."),
        ({"role": shifts.SECONDARY}, "start_at", "You are not on call in Shop for all of that time."),
        ({"role": "BOSS"}, "role", "not a valid choice"),
        ({"asked": "bob"}, "asked", "Ask somebody else than yourself"),
        ({"asked": "gone"}, "asked", "Gone is deactivated. Choose somebody else."),
        ({"asked": "watcher"}, "asked", "Watcher is an observer and takes no shifts."),
        ({"note": "x" * 201}, "note", "at most 200"),
    ],
)
def test_what_cannot_be_asked_is_said_in_words(schedule, bob, now, fields, field, text):
    cast = {
        "bob": bob,
        "gone": factories.UserFactory(name="Gone", is_active=False),
        "watcher": factories.UserFactory(name="Watcher", role=Role.OBSERVER),
    }
    for name in {"start_at", "end_at"} & set(fields):
        fields = fields | {name: now + fields[name] * HOUR}
    if "asked" in fields:
        fields = fields | {"asked": cast[fields["asked"]]}
    with pytest.raises(ValidationError) as raised:
        ask(schedule, bob, now, **fields)
    assert text in sentence(raised, field)
    assert not ShiftRequest.objects.exists() and not Notification.objects.exists()


def test_nobody_asks_twice_for_the_same_time(schedule, bob, now):
    first = ask(schedule, bob, now)
    ask(schedule, bob, now, start_at=now + 5 * HOUR, end_at=now + 6 * HOUR)
    with pytest.raises(IllegalMove, match="You already ask for cover at that time."):
        ask(schedule, bob, now, start_at=now + 4 * HOUR)
    swaps.cancel(first.pk, by=bob, now=now)
    ask(schedule, bob, now)


# --- taking ---------------------------------------------------------------------------------------------------
def test_taking_it_puts_the_taker_on_call_at_once(schedule, bob, charlie, now):
    request = ask(schedule, bob, now)
    told()
    made = swaps.take(request.pk, user=charlie, now=now)
    request.refresh_from_db()
    assert (made.state, request.state, request.closed_at) == ("applied", "done", now)
    assert people(schedule, now) == people(schedule, now + 5 * HOUR) == [bob.pk]
    assert people(schedule, now + HOUR) == people(schedule, now + 5 * HOUR - HOUR) == [charlie.pk]
    assert lookup.who(schedule, at=now + HOUR)[0].via == shifts.SWAP
    override = Override.objects.get()
    assert (override.offer, override.replaces, override.created_by) == (made, bob, charlie)
    assert told() == [("Bob", "Charlie takes your shift of Shop")]


def test_a_part_can_be_taken_and_the_rest_stays_open(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now)
    swaps.take(request.pk, user=charlie, start_at=now + 2 * HOUR, end_at=now + 3 * HOUR, now=now)
    request.refresh_from_db()
    assert request.state == "open"
    assert swaps.remaining(request) == [
        (now + HOUR, now + 2 * HOUR),
        (now + 3 * HOUR, now + 5 * HOUR),
    ]
    with pytest.raises(IllegalMove, match="Choose one of the parts that are left."):
        swaps.take(request.pk, user=alice, now=now)
    with pytest.raises(IllegalMove, match="Charlie has taken this already."):
        swaps.take(request.pk, user=alice, start_at=now + 2 * HOUR, now=now)
    swaps.take(request.pk, user=alice, end_at=now + 2 * HOUR, now=now)
    swaps.take(request.pk, user=alice, now=now)  # one part is left
    request.refresh_from_db()
    assert (request.state, swaps.remaining(request)) == ("done", [])
    assert people(schedule, now + 4 * HOUR) == [alice.pk]


def test_what_has_passed_needs_nobody(schedule, bob, charlie, now):
    request = ask(schedule, bob, now)
    later = now + 3 * HOUR
    made = swaps.take(request.pk, user=charlie, now=later)
    request.refresh_from_db()
    assert (made.start_at, request.state) == (later, "done")
    assert people(schedule, later - HOUR) == [bob.pk]


@pytest.mark.parametrize(("start", "end"), [(0.5, 2), (2, 6), (3, 3), (4, 3)])
def test_a_part_lies_within_what_is_asked_for(schedule, bob, charlie, now, start, end):
    request = ask(schedule, bob, now)
    with pytest.raises(ValidationError):
        swaps.take(request.pk, user=charlie, start_at=now + start * HOUR, end_at=now + end * HOUR, now=now)


def test_who_may_not_take_it_is_told_why(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now, asked=alice)
    with pytest.raises(NotAllowed, match="This is your own shift."):
        swaps.take(request.pk, user=bob, now=now)
    with pytest.raises(NotAllowed, match="Bob asks only Alice."):
        swaps.take(request.pk, user=charlie, now=now)
    with pytest.raises(NotAllowed, match="Bob asks only Alice."):
        swaps.offer(request.pk, user=charlie, now=now)
    for fields in ({"role": Role.OBSERVER}, {"is_active": False}):
        with pytest.raises(NotAllowed, match="Observers and deactivated people take no shifts."):
            swaps.take(request.pk, user=factories.UserFactory(**fields), now=now)
    swaps.take(request.pk, user=alice, now=now)


def test_what_somebody_took_is_taken(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now)
    swaps.take(request.pk, user=charlie, now=now)
    for verb in (swaps.take, swaps.offer):
        with pytest.raises(IllegalMove, match="Charlie has taken this already."):
            verb(request.pk, user=alice, now=now)
    assert Override.objects.count() == 1


def test_what_is_over_cannot_be_taken(schedule, bob, charlie, now):
    request = ask(schedule, bob, now)
    with pytest.raises(IllegalMove, match="The time of this request is over."):
        swaps.take(request.pk, user=charlie, now=request.end_at)


def test_a_shift_that_is_somebody_elses_by_now_cannot_be_taken(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now)
    scheduling.add_override(schedule.pk, user=alice, start_at=now + 2 * HOUR, end_at=now + 3 * HOUR, by=alice, now=now)
    with pytest.raises(IllegalMove, match="Bob is not on call in Shop for all of that time any more."):
        swaps.take(request.pk, user=charlie, now=now)
    swaps.take(request.pk, user=charlie, end_at=now + 2 * HOUR, now=now)
    assert people(schedule, now + 2 * HOUR) == [alice.pk]


def test_what_does_not_exist_is_not_found(db, charlie, now):
    with pytest.raises(NotFound):
        swaps.take(4711, user=charlie, now=now)
    with pytest.raises(NotFound):
        swaps.accept(4711, by=charlie, now=now)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_partial", [False, True])
def test_of_two_who_take_the_same_hour_at_once_one_wins(schedule, alice, bob, charlie, now, is_partial):
    request = ask(schedule, bob, now)
    span = {"start_at": now + 2 * HOUR, "end_at": now + 4 * HOUR} if is_partial else {}
    other = {"start_at": now + 3 * HOUR, "end_at": now + 5 * HOUR} if is_partial else {}
    outcomes = at_once(
        lambda: swaps.take(request.pk, user=alice, now=now, **span),
        lambda: swaps.take(request.pk, user=charlie, now=now, **other),
    )
    (won,) = [one for one in outcomes if isinstance(one, Offer)]
    (lost,) = [one for one in outcomes if isinstance(one, IllegalMove)]
    assert str(lost) == f"{won.user} has taken this already."
    assert Override.objects.count() == Offer.objects.count() == 1
    assert people(schedule, now + 3 * HOUR) == [won.user_id]


# --- offers and swaps -----------------------------------------------------------------------------------------
def swapped(schedule, alice, bob, now):
    """Bob asks for a swap, and Alice offers a day of her next week."""
    request = ask(schedule, bob, now, wants_return=True)
    made = swaps.offer(
        request.pk,
        user=alice,
        return_schedule_id=schedule.pk,
        return_start_at=now + 8 * DAY,
        return_end_at=now + 9 * DAY,
        now=now,
    )
    return request, made


def test_a_swap_exchanges_both_shifts_when_it_is_accepted(schedule, alice, bob, now):
    request, made = swapped(schedule, alice, bob, now)
    assert (made.state, Override.objects.count()) == ("offered", 0)
    assert told() == [
        ("Alice", "Bob asks the team to take a shift of Shop"),
        ("Bob", "Alice offers to take your shift of Shop"),
    ]
    swaps.accept(made.pk, by=bob, now=now)
    request.refresh_from_db()
    assert request.state == "done"
    assert people(schedule, now + HOUR) == [alice.pk]
    assert people(schedule, now + 8 * DAY) == [bob.pk]
    assert people(schedule, now + 9 * DAY) == [alice.pk]
    assert told() == [("Alice", "You have the shift of Bob in Shop")]


def test_a_swap_may_be_between_two_schedules(schedule, alice, bob, charlie, now):
    other = factories.ScheduleFactory(name="Data", people=[charlie])
    request = ask(schedule, bob, now, wants_return=True)
    span = {"return_start_at": now + HOUR, "return_end_at": now + 5 * HOUR}
    made = swaps.offer(request.pk, user=charlie, return_schedule_id=other.pk, now=now, **span)
    Schedule.objects.update(handoffs_due_at=None)
    swaps.accept(made.pk, by=alice, now=now)  # she leads the team
    assert people(schedule, now + HOUR) == [charlie.pk]
    assert people(other, now + HOUR) == [bob.pk]
    assert set(Schedule.objects.values_list("handoffs_due_at", flat=True)) == {now}


def test_a_swap_cannot_be_taken_without_a_return(schedule, bob, charlie, now):
    request = ask(schedule, bob, now, wants_return=True)
    with pytest.raises(IllegalMove, match="Bob wants a shift in return. Offer a shift of yours in return."):
        swaps.take(request.pk, user=charlie, now=now)
    with pytest.raises(ValidationError) as raised:
        swaps.offer(request.pk, user=charlie, now=now)
    assert "Bob wants a shift in return" in sentence(raised, "return_start_at")


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"return_schedule_id": None}, "return_schedule", "Say which shift you give in return"),
        ({"return_schedule_id": 4711}, "return_schedule", "does not exist any more"),
        ({"return_start_at": None}, "return_start_at", "Say which shift you give in return"),
        ({"return_end_at": None}, "return_end_at", "Say which shift you give in return"),
        ({"return_end_at": 24 * 7}, "return_end_at", "ends before it starts"),
        ({"return_start_at": -9, "return_end_at": -1}, "return_end_at", "is over"),
        ({"return_start_at": 24}, "return_start_at", "You are not on call in Shop for all of that time."),
        ({"return_role": shifts.SECONDARY}, "return_start_at", "You are not on call in Shop for all of that time."),
        ({"return_role": "BOSS"}, "return_role", "Choose one of PRIMARY"),
    ],
)
def test_a_return_that_cannot_be_is_said_in_words(schedule, alice, bob, now, fields, field, text):
    request = ask(schedule, bob, now, wants_return=True)
    given = {
        "return_schedule_id": schedule.pk,
        "return_start_at": now + 8 * DAY,
        "return_end_at": now + 9 * DAY,
    }
    for name, value in fields.items():
        is_time = name in ("return_start_at", "return_end_at") and value is not None
        given[name] = now + value * HOUR if is_time else value
    with pytest.raises(ValidationError) as raised:
        swaps.offer(request.pk, user=alice, now=now, **given)
    assert text in sentence(raised, field)
    assert not Offer.objects.exists()


def test_a_return_that_is_no_more_stops_the_swap(schedule, alice, bob, charlie, now):
    request, made = swapped(schedule, alice, bob, now)
    scheduling.add_override(
        schedule.pk, user=charlie, start_at=now + 8 * DAY, end_at=now + 8 * DAY + HOUR, by=None, now=now
    )
    with pytest.raises(IllegalMove, match="Alice is not on call in Shop for all of the shift in return any more."):
        swaps.accept(made.pk, by=bob, now=now)
    assert Override.objects.filter(offer__isnull=False).count() == 0
    assert Offer.objects.get().state == "offered"


def test_accepting_twice_applies_once(schedule, alice, bob, now):
    _, made = swapped(schedule, alice, bob, now)
    swaps.accept(made.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="This offer is accepted already."):
        swaps.accept(made.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="This offer is accepted already."):
        swaps.decline(made.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="This offer is accepted already."):
        swaps.withdraw(made.pk, by=alice, now=now)
    assert Override.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_accepting_twice_at_once_applies_once(schedule, alice, bob, now):
    _, made = swapped(schedule, alice, bob, now)
    outcomes = at_once(*[lambda: swaps.accept(made.pk, by=bob, now=now)] * 4)
    assert sum(isinstance(one, Offer) for one in outcomes) == 1
    assert sum(isinstance(one, IllegalMove) for one in outcomes) == 3
    assert Override.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_one_shift_promised_in_two_swaps_at_once_is_given_once(schedule, alice, bob, charlie, now):
    """Alice offers the same day of hers for Bob's shift and for Charlie's."""
    other = factories.ScheduleFactory(name="Data", people=[charlie])
    span = {"return_schedule_id": schedule.pk, "return_start_at": now + 8 * DAY, "return_end_at": now + 9 * DAY}
    made = [
        swaps.offer(ask(where, who, now, wants_return=True).pk, user=alice, now=now, **span)
        for where, who in ((schedule, bob), (other, charlie))
    ]
    outcomes = at_once(
        lambda: swaps.accept(made[0].pk, by=bob, now=now), lambda: swaps.accept(made[1].pk, by=charlie, now=now)
    )
    assert sum(isinstance(one, Offer) for one in outcomes) == 1
    assert sum(isinstance(one, IllegalMove) for one in outcomes) == 1
    assert Override.objects.count() == 2


def test_other_offers_for_the_same_time_are_declined(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now)
    first = swaps.offer(request.pk, user=alice, end_at=now + 3 * HOUR, now=now)
    second = swaps.offer(request.pk, user=charlie, start_at=now + 2 * HOUR, end_at=now + 4 * HOUR, now=now)
    third = swaps.offer(request.pk, user=charlie, start_at=now + 4 * HOUR, now=now)
    told()
    swaps.accept(first.pk, by=bob, now=now)
    for one in (first, second, third):
        one.refresh_from_db()
    assert [one.state for one in (first, second, third)] == ["applied", "declined", "offered"]
    assert second.decided_by is None
    assert told() == [
        ("Charlie", "Your offer for the shift of Bob in Shop is declined"),
        ("Alice", "You have the shift of Bob in Shop"),
    ]


def test_an_offer_can_be_declined_or_withdrawn(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now)
    first, second = swaps.offer(request.pk, user=alice, now=now), swaps.offer(request.pk, user=charlie, now=now)
    told()
    with pytest.raises(NotAllowed, match="Only Bob or an admin of the team Shop can decline this."):
        swaps.decline(first.pk, by=charlie, now=now)
    with pytest.raises(NotAllowed, match="Only Charlie can withdraw this offer."):
        swaps.withdraw(second.pk, by=alice, now=now)
    with pytest.raises(NotAllowed, match="Only Bob or an admin of the team Shop can accept this."):
        swaps.accept(second.pk, by=charlie, now=now)
    swaps.decline(first.pk, by=bob, now=now)
    swaps.withdraw(second.pk, by=charlie, now=now)
    assert told() == [
        ("Alice", "Your offer for the shift of Bob in Shop is declined"),
        ("Bob", "Charlie does not offer to take your shift of Shop any more"),
    ]
    for verb in (swaps.accept, swaps.decline):
        with pytest.raises(IllegalMove, match="This offer is (declined|withdrawn) already."):
            verb(first.pk, by=bob, now=now)
    assert not Override.objects.exists()
    swaps.offer(request.pk, user=alice, now=now)


def test_nobody_offers_the_same_twice(schedule, bob, charlie, now):
    request = ask(schedule, bob, now)
    swaps.offer(request.pk, user=charlie, now=now)
    with pytest.raises(IllegalMove, match="You already offer to take that time."):
        swaps.offer(request.pk, user=charlie, now=now)


def test_somebody_deactivated_meanwhile_takes_nothing(schedule, bob, charlie, now):
    made = swaps.offer(ask(schedule, bob, now).pk, user=charlie, now=now)
    charlie.is_active = False
    charlie.save()
    with pytest.raises(IllegalMove, match="Charlie cannot take shifts any more. Decline the offer."):
        swaps.accept(made.pk, by=bob, now=now)


def test_cancelling_keeps_the_shift_and_declines_what_waits(schedule, bob, charlie, now):
    request = ask(schedule, bob, now)
    swaps.take(request.pk, user=charlie, end_at=now + 2 * HOUR, now=now)
    made = swaps.offer(request.pk, user=charlie, now=now)
    told()
    with pytest.raises(NotAllowed, match="Only Bob can cancel this request."):
        swaps.cancel(request.pk, by=charlie, now=now)
    swaps.cancel(request.pk, by=bob, now=now)
    made.refresh_from_db()
    assert made.state == "declined"
    assert told() == [("Charlie", "Your offer for the shift of Bob in Shop is declined")]
    assert people(schedule, now + HOUR) == [charlie.pk]
    assert people(schedule, now + 3 * HOUR) == [bob.pk]
    with pytest.raises(IllegalMove, match="Bob has cancelled this request."):
        swaps.cancel(request.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="Bob has cancelled this request."):
        swaps.take(request.pk, user=charlie, now=now)


# --- approval -------------------------------------------------------------------------------------------------
def test_where_the_team_says_so_a_swap_counts_when_it_is_approved(schedule, alice, bob, lead, now):
    needs_approval(schedule)
    request, made = swapped(schedule, alice, bob, now)
    told()
    swaps.accept(made.pk, by=bob, now=now)
    made.refresh_from_db()
    assert (made.state, Override.objects.count()) == ("agreed", 0)
    assert told() == [
        ("Alice", "Alice wants to take the shift of Bob of Shop"),
        ("Lea", "Approve that Alice takes a shift of Bob in Shop"),
    ]
    with pytest.raises(IllegalMove, match="accepted already, and waits for approval"):
        swaps.accept(made.pk, by=bob, now=now)
    swaps.approve(made.pk, by=lead, now=now)
    request.refresh_from_db()
    assert (request.state, Override.objects.count()) == ("done", 2)
    assert told() == [("Alice", "You have the shift of Bob in Shop"), ("Bob", "Alice has your shift of Shop")]
    with pytest.raises(IllegalMove, match="This offer is accepted already."):
        swaps.approve(made.pk, by=lead, now=now)
    assert Override.objects.count() == 2


def test_what_is_taken_waits_for_approval_and_nobody_else_gets_it(schedule, alice, bob, charlie, lead, now):
    needs_approval(schedule)
    request = ask(schedule, bob, now)
    told()
    made = swaps.take(request.pk, user=charlie, now=now)
    assert made.state == "agreed"
    assert people(schedule, now + HOUR) == [bob.pk]
    assert sorted(told()) == [
        ("Alice", "Approve that Charlie takes a shift of Bob in Shop"),
        ("Bob", "Charlie wants to take your shift of Shop"),
        ("Lea", "Approve that Charlie takes a shift of Bob in Shop"),
    ]
    with pytest.raises(IllegalMove, match="Charlie has taken this already."):
        swaps.take(request.pk, user=alice, now=now)
    with pytest.raises(NotAllowed, match="Only an admin of the team Shop can decline this."):
        swaps.decline(made.pk, by=bob, now=now)
    swaps.decline(made.pk, by=lead, now=now)
    assert told() == [
        ("Charlie", "Your offer for the shift of Bob in Shop is declined"),
        ("Bob", "The offer of Charlie for the shift of Bob in Shop is declined"),
    ]
    assert swaps.remaining(request) == [(request.start_at, request.end_at)]
    swaps.take(request.pk, user=alice, now=now)


def test_only_who_leads_the_team_and_takes_no_part_approves(schedule, alice, bob, charlie, lead, now):
    needs_approval(schedule)
    request = ask(schedule, bob, now)
    made = swaps.take(request.pk, user=lead, now=now)
    with pytest.raises(NotAllowed, match="Only an admin of the team Shop can approve this."):
        swaps.approve(made.pk, by=charlie, now=now)
    with pytest.raises(NotAllowed, match="You take part in this swap."):
        swaps.approve(made.pk, by=lead, now=now)
    swaps.approve(made.pk, by=alice, now=now)
    assert people(schedule, now + HOUR) == [lead.pk]


def test_a_platform_admin_may_approve_what_they_take(schedule, alice, bob, now):
    needs_approval(schedule)
    made = swaps.take(ask(schedule, bob, now).pk, user=alice, now=now)
    swaps.approve(made.pk, by=alice, now=now)
    assert people(schedule, now + HOUR) == [alice.pk]


def test_the_schedule_in_return_may_want_approval_too(schedule, alice, bob, charlie, lead, now):
    other = factories.ScheduleFactory(name="Data", people=[charlie])
    needs_approval(other)
    request = ask(schedule, bob, now, wants_return=True)
    span = {"return_start_at": now + DAY, "return_end_at": now + 2 * DAY}
    made = swaps.offer(request.pk, user=charlie, return_schedule_id=other.pk, now=now, **span)
    swaps.accept(made.pk, by=bob, now=now)
    with pytest.raises(NotAllowed, match=f"Only an admin of the team {other.team} can approve this."):
        swaps.approve(made.pk, by=lead, now=now)  # of another team
    swaps.approve(made.pk, by=alice, now=now)
    assert people(other, now + DAY) == [bob.pk]


def test_an_offer_that_is_not_accepted_cannot_be_approved(schedule, alice, bob, charlie, now):
    needs_approval(schedule)
    made = swaps.offer(ask(schedule, bob, now).pk, user=charlie, now=now)
    with pytest.raises(IllegalMove, match="Bob has not accepted this offer yet."):
        swaps.approve(made.pk, by=alice, now=now)


def test_what_waits_for_approval_can_be_withdrawn(schedule, alice, bob, charlie, now):
    needs_approval(schedule)
    request = ask(schedule, bob, now)
    made = swaps.take(request.pk, user=charlie, now=now)
    swaps.withdraw(made.pk, by=charlie, now=now)
    assert swaps.remaining(request) == [(request.start_at, request.end_at)]


def test_a_schedule_that_changed_before_the_approval_is_looked_at_again(schedule, alice, bob, charlie, now):
    needs_approval(schedule)
    made = swaps.take(ask(schedule, bob, now).pk, user=charlie, now=now)
    scheduling.add_override(schedule.pk, user=alice, start_at=now + HOUR, end_at=now + 2 * HOUR, by=None, now=now)
    with pytest.raises(IllegalMove, match="Bob is not on call in Shop for all of that time any more."):
        swaps.approve(made.pk, by=alice, now=now)


# --- time -----------------------------------------------------------------------------------------------------
def test_a_request_expires_when_its_time_is_over(schedule, bob, charlie, now):
    request = ask(schedule, bob, now)
    made = swaps.offer(request.pk, user=charlie, now=now)
    told()
    assert swaps.oldest_due(request.end_at - dt.timedelta(seconds=1)) is None
    assert swaps.oldest_due(request.end_at) == request.end_at
    assert swaps.expire_due(now=request.end_at) == 1
    assert swaps.expire_due(now=request.end_at) == 0
    assert swaps.oldest_due(request.end_at) is None
    request.refresh_from_db()
    made.refresh_from_db()
    assert (request.state, request.closed_at, made.state) == ("expired", request.end_at, "declined")
    assert told() == [
        ("Charlie", "Your offer for the shift of Bob in Shop is declined"),
        ("Bob", "Your request for cover of Shop is over"),
    ]
    with pytest.raises(IllegalMove, match="The time of this request is over."):
        swaps.take(request.pk, user=charlie, now=now)


def test_many_requests_expire_in_one_run(db, now):
    for _ in range(3):
        factories.ShiftRequestFactory(created_at=now - WEEK, start_at=now - DAY, end_at=now - HOUR)
    factories.ShiftRequestFactory(start_at=now + 900 * WEEK, end_at=now + 901 * WEEK)
    swaps.run()
    assert list(ShiftRequest.objects.order_by("pk").values_list("state", flat=True)) == ["expired"] * 3 + ["open"]


def test_who_is_asked_by_name_can_say_no(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now, asked=alice)
    told()
    with pytest.raises(NotAllowed, match="Only who is asked by name can say no"):
        swaps.refuse(request.pk, by=charlie, now=now)
    swaps.refuse(request.pk, by=alice, now=now)
    request.refresh_from_db()
    assert (request.state, request.closed_at) == (ShiftRequest.State.DECLINED, now)
    assert told() == [("Bob", "Alice cannot take your shift of Shop")]
    with pytest.raises(IllegalMove, match="Alice has said no to this request"):
        swaps.take(request.pk, user=alice, now=now)
    assert ask(schedule, bob, now, asked=None).state == ShiftRequest.State.OPEN


def test_a_schedule_with_a_taken_shift_can_be_deleted_and_the_shift_in_return_elsewhere_stays(
    schedule, team, alice, bob, now
):
    other = factories.ScheduleFactory(name="Search", team=team, people=[alice])
    request = ask(schedule, bob, now, wants_return=True)
    span = {"return_start_at": now + DAY, "return_end_at": now + 2 * DAY}
    offer = swaps.offer(request.pk, user=alice, return_schedule_id=other.pk, **span, now=now)
    swaps.accept(offer.pk, by=bob, now=now)
    schedule.delete()
    assert people(other, now + DAY) == [bob.pk]


def test_who_leads_the_team_cannot_accept_their_own_offer(schedule, alice, bob, lead, now):
    """It would give somebody a shift in return that they never agreed to."""
    request = ask(schedule, bob, now, wants_return=True)
    in_return = {"return_start_at": now + 8 * DAY, "return_end_at": now + 8 * DAY + HOUR}
    made = swaps.offer(request.pk, user=alice, return_schedule_id=schedule.pk, **in_return, now=now)
    alice.role = Role.RESPONDER
    alice.save()
    with pytest.raises(NotAllowed, match="This is your own offer. Bob or another admin of the team has to accept it."):
        swaps.accept(made.pk, by=alice, now=now)
    assert swaps.accept(made.pk, by=lead, now=now).state == "applied"


def test_a_late_message_does_not_give_way_to_one_about_another_offer(schedule, alice, bob, charlie, now):
    request = ask(schedule, bob, now)
    Notification.objects.all().delete()
    for user in (alice, charlie):
        swaps.offer(request.pk, user=user, now=now)
    first, second = Notification.objects.order_by("pk")
    assert (first.user, second.user) == (bob, bob)
    assert first.topic != second.topic
