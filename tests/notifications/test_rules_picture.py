"""The picture of what happens when a person is paged: from the rules that decide it, and nothing else."""

import datetime as dt

import pytest

from notifications import picture
from notifications.rules import Method, Quiet, Reach, Rule

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)  # a Monday
MAIL, PHONE = Method(1, "email"), Method(2, "voice")
NIGHT = Quiet((0, 1, 2, 3, 4, 5, 6), dt.time(22), dt.time(7))


def draw(*, methods=(MAIL, PHONE), rules=(), quiet=(), urgency="high", now=NOW, **more):
    person = Reach(1, "Bob", methods=methods, rules=rules, quiet=quiet, **more)
    return picture.draw(person, urgency=urgency, now=now)


def test_what_is_told_together_is_one_step_and_steps_come_in_their_order():
    rules = (Rule(2, "high", 5), Rule(1, "high", 0), Rule(1, "high", 5))
    drawn = draw(rules=rules)
    assert [(one.when, one.method_ids) for one in drawn.steps] == [("At once", (1,)), ("After 5 min", (2, 1))]


def test_rules_of_the_other_urgency_are_not_in_it():
    drawn = draw(rules=(Rule(1, "low", 0), Rule(2, "high", 0)))
    assert [one.method_ids for one in drawn.steps] == [(2,)]


def test_without_a_rule_every_verified_address_is_told_at_once():
    assert [(one.when, one.method_ids) for one in draw().steps] == [("At once", (1, 2))]


def test_an_address_that_is_not_verified_is_left_out_and_the_reason_says_so():
    unproved = Method(2, "voice", is_verified=False)
    drawn = draw(methods=(MAIL, unproved), rules=(Rule(1, "high"), Rule(2, "high", 3)))
    assert [one.method_ids for one in drawn.steps] == [(1,)]
    assert "is not verified" in drawn.reasons[0]


def test_when_no_rule_is_left_the_fallback_is_drawn_with_its_reason():
    drawn = draw(methods=(MAIL, Method(2, "voice", disabled_reason="gone")), rules=(Rule(2, "high", 3),))
    assert [(one.when, one.method_ids) for one in drawn.steps] == [("At once", (1,))]
    assert "every verified contact method is used at once" in drawn.reasons[-1]


def test_who_cannot_be_reached_has_no_steps_and_nothing_is_promised():
    drawn = draw(methods=(Method(1, "email", is_verified=False),), quiet=(NIGHT,))
    assert (drawn.steps, drawn.quiet, drawn.advice) == ((), "", "")
    assert "no verified contact method" in drawn.reasons[-1]


@pytest.mark.parametrize(
    ("urgency", "hour", "sentence"),
    [
        ("high", 23, "Your quiet hours do not hold it."),
        ("low", 12, "In your quiet hours it waits until they end."),
        ("low", 23, "You have quiet hours now: a page of this moment waits until 07:00 on Tuesday."),
    ],
)
def test_quiet_hours_are_said_beside_the_steps(urgency, hour, sentence):
    drawn = draw(quiet=(NIGHT,), urgency=urgency, now=NOW.replace(hour=hour))
    assert drawn.quiet == sentence
    assert [one.when for one in drawn.steps] == ["At once"]


def test_quiet_hours_are_meant_in_the_persons_own_zone():
    drawn = draw(quiet=(NIGHT,), urgency="low", zone="Asia/Tokyo", now=NOW.replace(hour=14))
    assert "until 07:00 on Tuesday" in drawn.quiet


def test_a_single_address_for_what_is_urgent_is_warned_of():
    assert "Only one address is used" in draw(rules=(Rule(1, "high"), Rule(1, "high", 5))).advice
    assert draw(rules=(Rule(1, "low"),), urgency="low").advice == ""
    assert draw().advice == ""


@pytest.mark.parametrize(
    ("minutes", "words"), [(0, "At once"), (5, "After 5 min"), (60, "After 1 h"), (75, "After 1 h 15 min")]
)
def test_delays_are_said_in_words(minutes, words):
    assert picture.delay(minutes) == words
