import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import routing
from alerts.event import Event
from alerts.matching import Facts, facts_of, payload_of
from alerts.models import Rule
from alerts.routing import DROP, ROUTE, SUPPRESS, Routing, RuleValue
from tests.factories import IntegrationFactory, RuleFactory, ServiceFactory

AT = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)  # a Monday
FACTS = Facts(title="Disk full", severity="high", labels={"env": "prod", "host": "db-1"})


def decide(*rules, facts=FACTS, at=AT, integration_id=7):
    return Routing(rules).decide(facts, integration_id=integration_id, at=at)


def counts(rule, at):
    return decide(rule, at=at).rule_id == rule.id


# --- order and effects --------------------------------------------------------------------------------------------


def test_without_rules_nothing_is_said():
    verdict = decide()
    assert (verdict.action, verdict.service_id, verdict.pages, verdict.steps) == (ROUTE, None, True, [])


def test_the_first_rule_that_matches_is_the_last():
    verdict = decide(
        RuleValue(1, "stage", condition='env = "stage"', severity="low"),
        RuleValue(2, "prod", condition='env = "prod"', severity="critical"),
        RuleValue(3, "all", service_id=9),
    )
    assert (verdict.severity, verdict.service_id, verdict.rule_id) == ("critical", None, 2)
    assert verdict.steps == [
        ("stage", False, "labels.env is “prod”, not “stage”"),
        ("prod", True, "labels.env is “prod”"),
    ]


def test_a_rule_that_goes_on_leaves_the_rest_to_later_ones():
    verdict = decide(
        RuleValue(1, "words", title="{labels.host}: {title}", goes_on=True),
        RuleValue(2, "severity", severity="critical", title="never", priority="P1", goes_on=True),
        RuleValue(3, "team", service_id=9, severity="info", policy_id=4),
        RuleValue(4, "too late", priority="P5", service_id=1),
    )
    assert verdict.title == "db-1: Disk full"
    assert (verdict.severity, verdict.priority, verdict.service_id, verdict.policy_id) == ("critical", "P1", 9, 4)
    assert verdict.by["service_id"] == (3, "team")
    assert verdict.by["severity"] == (2, "severity")
    assert verdict.matched == ((1, "words"), (2, "severity"), (3, "team"))
    assert verdict.rule_id == 1


def test_the_rules_of_the_integration_come_before_the_global_ones_whatever_their_positions():
    verdict = decide(
        RuleValue(1, "global", severity="low"),
        RuleValue(2, "own", integration_id=7, severity="critical"),
        RuleValue(3, "of another", integration_id=8, severity="info"),
    )
    assert verdict.severity == "critical"
    assert decide(RuleValue(1, "global", severity="low"), integration_id=None).severity == "low"


@pytest.mark.parametrize("action", [DROP, SUPPRESS])
def test_dropping_and_suppressing_end_the_walk_and_name_their_rule(action):
    verdict = decide(
        RuleValue(1, "first", severity="low", goes_on=True),
        RuleValue(2, "quiet", condition='host = "db-1"', action=action, goes_on=True),
        RuleValue(3, "later", service_id=9),
    )
    assert (verdict.action, verdict.rule_id, verdict.severity, verdict.service_id) == (action, 2, "low", None)
    assert len(verdict.steps) == 2
    assert verdict.steps[1] == ("quiet", True, "labels.host is “db-1”")


def test_a_rule_may_page_nobody():
    assert not decide(RuleValue(1, "calm", pages_nobody=True)).pages
    assert decide(RuleValue(1, "calm", condition='env = "x"', pages_nobody=True)).pages


def test_a_title_is_one_line_of_bounded_length():
    facts = Facts(title="a\nb", labels={"long": "x" * 4096})
    assert decide(RuleValue(1, "t", title="{title}!"), facts=facts).title == "a b!"
    assert len(decide(RuleValue(1, "t", title="{labels.long}"), facts=facts).title) == 1024


def test_a_title_whose_fields_are_all_missing_leaves_the_title_as_it_came():
    assert decide(RuleValue(1, "t", title="{labels.nothing}")).title == ""


def test_a_rule_that_cannot_be_read_is_skipped_and_says_so():
    verdict = decide(
        RuleValue(1, "broken", condition="labels.env =", severity="low"),
        RuleValue(2, "lost", days=(0,), time_zone="Mars/Olympus", severity="low"),
        RuleValue(3, "half", starts_at=dt.time(8), time_zone="UTC", severity="low"),
        RuleValue(4, "days", days=(9,), time_zone="UTC", severity="low"),
        RuleValue(5, "good", severity="critical"),
    )
    assert verdict.severity == "critical"
    whys = [why for _, _, why in verdict.steps]
    assert "its condition cannot be read, in column 13" in whys[0]
    assert "“Mars/Olympus” is not a time zone" in whys[1]
    assert "only one of its two times" in whys[2]
    assert "days" in whys[3]


def test_only_as_many_rules_are_put_into_words_as_are_wanted():
    verdict = decide(*(RuleValue(number, f"rule {number}", goes_on=True) for number in range(50)))
    assert verdict.told(2) == [("rule 0", True, "it has no condition"), ("rule 1", True, "it has no condition")]
    assert len(verdict.steps) == len(verdict.asked) == 50


def test_the_payload_is_read_once_for_all_rules_and_not_without_need():
    reads = []

    def payload():
        reads.append(1)
        return {"a": "b"}

    facts = Facts(labels={"env": "prod"}, payload=payload)
    decide(RuleValue(1, "label", condition='env = "stage"'), facts=facts)
    assert not reads
    body = b'{"host": {"name": "db-1"}}'
    facts = facts_of(Event("trigger", "k", title="T"), payload=payload_of(body))
    assert (
        decide(RuleValue(1, "p", condition='payload.host.name = "db-1"', severity="low"), facts=facts).severity
        == "low"
    )


# --- days and times -----------------------------------------------------------------------------------------------


def utc(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC)


def test_a_rule_counts_from_its_start_until_just_before_its_end():
    rule = RuleValue(1, "day", starts_at=dt.time(9), ends_at=dt.time(17), time_zone="Europe/Berlin")
    assert not counts(rule, utc(2026, 6, 1, 6, 59, 59))
    assert counts(rule, utc(2026, 6, 1, 7, 0))
    assert counts(rule, utc(2026, 6, 1, 14, 59, 59))
    assert not counts(rule, utc(2026, 6, 1, 15, 0))


def test_days_are_those_of_the_zone():
    rule = RuleValue(1, "monday", days=(0,), time_zone="Pacific/Auckland")
    assert not counts(rule, utc(2026, 5, 31, 11, 59))
    assert counts(rule, utc(2026, 5, 31, 12, 0))
    assert counts(rule, utc(2026, 6, 1, 11, 59))
    assert not counts(rule, utc(2026, 6, 1, 12, 0))


def test_a_night_belongs_to_the_day_on_which_it_begins():
    rule = RuleValue(1, "friday night", days=(4,), starts_at=dt.time(22), ends_at=dt.time(6), time_zone="UTC")
    assert not counts(rule, utc(2026, 6, 5, 3))  # early on Friday
    assert counts(rule, utc(2026, 6, 5, 22))
    assert counts(rule, utc(2026, 6, 6, 5, 59))
    assert not counts(rule, utc(2026, 6, 6, 6))
    assert not counts(rule, utc(2026, 6, 6, 23))


def test_equal_times_mean_a_whole_day_from_then_on():
    rule = RuleValue(1, "r", days=(0,), starts_at=dt.time(8), ends_at=dt.time(8), time_zone="UTC")
    assert counts(rule, utc(2026, 6, 1, 8))
    assert counts(rule, utc(2026, 6, 2, 7, 59))
    assert not counts(rule, utc(2026, 6, 2, 8))


def test_when_the_clock_goes_forward_a_skipped_time_is_the_moment_of_the_jump():
    # Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
    starts = RuleValue(1, "r", starts_at=dt.time(2, 30), ends_at=dt.time(4), time_zone="Europe/Berlin")
    assert not counts(starts, utc(2026, 3, 29, 0, 59, 59))
    assert counts(starts, utc(2026, 3, 29, 1, 0))
    assert not counts(starts, utc(2026, 3, 29, 2, 0))
    ends = RuleValue(2, "r", starts_at=dt.time(1), ends_at=dt.time(2, 30), time_zone="Europe/Berlin")
    assert counts(ends, utc(2026, 3, 29, 0, 59, 59))
    assert not counts(ends, utc(2026, 3, 29, 1, 0))


def test_when_the_clock_goes_back_a_window_has_no_hole():
    # Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
    rule = RuleValue(1, "r", starts_at=dt.time(2, 30), ends_at=dt.time(4), time_zone="Europe/Berlin")
    assert not counts(rule, utc(2026, 10, 25, 0, 29))
    assert counts(rule, utc(2026, 10, 25, 0, 30))
    assert counts(rule, utc(2026, 10, 25, 1, 10))  # the second 02:10, between its start and its end
    assert counts(rule, utc(2026, 10, 25, 2, 59))
    assert not counts(rule, utc(2026, 10, 25, 3, 0))


def test_the_time_is_told_where_it_decides():
    rule = RuleValue(1, "r", days=(5, 6), starts_at=dt.time(8), ends_at=dt.time(9), time_zone="UTC")
    why = "it is Monday 12:00 in UTC; the rule counts Saturday, Sunday, 08:00 to 09:00"
    assert decide(rule).steps == [("r", False, why)]
    rule = RuleValue(1, "r", condition='env = "prod"', days=(0,), time_zone="UTC")
    assert decide(rule).steps[0][2] == "labels.env is “prod”, and it is Monday 12:00 in UTC; the rule counts Monday"


# --- from the database --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_rules_are_loaded_in_order_with_one_query_and_disabled_ones_stay_out():
    integration, other = IntegrationFactory(), IntegrationFactory()
    service = ServiceFactory()
    RuleFactory(name="third", position=5)
    RuleFactory(name="second", position=20, integration=integration)
    RuleFactory(name="first", position=10, integration=integration, service=service)
    RuleFactory(name="fourth", position=5)
    RuleFactory(name="off", position=1, is_enabled=False)
    RuleFactory(name="elsewhere", position=1, integration=other)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        rules = routing.load([integration, None]).rules_for(integration.pk)
    assert len(queries) == 1
    assert [rule.name for rule in rules] == ["first", "second", "third", "fourth"]
    assert rules[0].service_id == service.pk
    assert routing.load([integration.pk]).rules_for(integration.pk) == rules
    assert [rule.name for rule in routing.load([]).rules_for(None)] == ["third", "fourth"]


@pytest.mark.django_db
def test_a_rule_that_somebody_broke_in_the_database_raises_nothing():
    rule = RuleFactory(condition='env = "prod"', severity="low")
    Rule.objects.filter(pk=rule.pk).update(condition="((((", time_zone="Nowhere/At_All", days=[1])
    verdict = routing.load([]).decide(FACTS, integration_id=None, at=AT)
    assert verdict.severity == ""
    assert "skipped" in verdict.steps[0][2]
