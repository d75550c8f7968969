"""Rules in the pipeline: where an event goes, whom it calls, what is suppressed or dropped, and what breaks."""

import datetime as dt

import pytest
from django.db import connection
from django.utils import timezone

from alerts import ingest, rules
from alerts.models import Alert, InboundEvent, Rule
from alerts.sources import opsgenie
from catalog.models import Service
from incidents import lifecycle
from incidents.models import Incident
from notifications.models import Alarm, Notification
from tests import factories
from tests.alerts.sending import SECOND, sender, trigger


def reasons(event):
    return " ".join(event.result[0]["reasons"])


def test_a_rule_sends_an_event_to_its_service_with_its_policy_severity_priority_and_title(send, team, bob, now):
    search = factories.ServiceFactory(name="Search", slug="search", team=team)
    policy = factories.EscalationPolicyFactory(name="Nights", slug="nights", team=team, calls=[bob])
    rule = factories.RuleFactory(
        name="Search is loud",
        condition='labels.app = "search"',
        service=search,
        policy=policy,
        severity="high",
        priority="P1",
        title="{labels.app}: {title}",
    )
    event = send(trigger(labels={"app": "search"}))
    incident = Incident.objects.get()
    assert (incident.service, incident.severity, incident.priority) == (search, "high", "P1")
    assert incident.title == Alert.objects.get().title == "search: Disk full"
    assert incident.policy["name"] == "Nights" and Notification.objects.get().user == bob
    assert "Rule “Search is loud”: yes, labels.app is “search”." in event.result[0]["reasons"]
    assert "Service Search: rule “Search is loud” says so." in reasons(event)
    assert "Severity high instead of critical" in reasons(event)
    assert Alert.objects.get().route["rule"] == rule.pk


def test_a_rule_that_does_not_match_is_said_with_its_why(send):
    factories.RuleFactory(name="Staging", condition='labels.env = "staging"')
    event = send(trigger(labels={"env": "prod"}))
    assert "Rule “Staging”: no, labels.env is “prod”, not “staging”." in event.result[0]["reasons"]
    assert Incident.objects.get().severity == "critical"


def test_a_service_that_the_event_names_comes_before_that_of_a_rule(send, team):
    named = factories.ServiceFactory(slug="search", team=team)
    factories.RuleFactory(name="All", service=factories.ServiceFactory(team=team), severity="low")
    event = send(trigger(service="search"))
    assert Incident.objects.get().service == named
    assert Incident.objects.get().severity == "low", "what else the rule says counts"
    assert "The service of a rule does not count then." in reasons(event)


def test_the_routing_key_of_a_service_comes_before_a_rule(service, team, now):
    factories.RuleFactory(service=factories.ServiceFactory(team=team))
    row = InboundEvent.objects.create(
        source="generic",
        scope=f"service:{service.pk}",
        service=service,
        body=b'{"title": "Disk full"}',
        received_at=now,
        due_at=now,
    )
    ingest.sweep(now=now)
    row.refresh_from_db()
    assert Incident.objects.get().service == service
    assert "the event came through its own key" in reasons(row)


def test_a_rule_comes_before_the_service_of_the_integration_and_that_before_the_team(send, team, now):
    other = factories.ServiceFactory(team=team)
    rule = factories.RuleFactory(service=other, condition='labels.app = "other"')
    send(trigger("a", labels={"app": "other"}))
    send(trigger("b"))
    assert Alert.objects.get(dedup_key="a").service == rule.service
    assert Alert.objects.get(dedup_key="b").service == send.integration.service


def test_an_integration_of_a_team_only_sends_to_the_service_that_takes_the_rest(team, service, alice, now):
    factories.EscalationPolicyFactory(slug="default", team=team, calls=[alice], is_team_default=True)
    send = sender(factories.IntegrationFactory(service=None, team=team), now)
    event = send(trigger())
    send(trigger("cpu"))
    rest = Service.objects.get(is_catch_all=True)
    assert rest.team == team and Incident.objects.get().service == rest
    assert Notification.objects.get().user == alice
    assert f"Service {rest.name}: it takes the rest of the team Shop." in reasons(event)


def test_an_incident_that_calls_nobody_says_which_rule_wants_it_so(send):
    factories.RuleFactory(name="Only look", condition='labels.env = "staging"', pages_nobody=True)
    send(trigger("quiet", labels={"env": "staging"}))
    quiet = Incident.objects.get()
    assert not Notification.objects.exists() and quiet.next_escalation_at is None
    assert "Nobody is called: rule “Only look” says so." in quiet.timeline.get(kind="triggered").text
    send(trigger("loud", severity="low", labels={"env": "prod"}))
    assert Incident.objects.count() == 2, "an alert that calls people does not hide in one that calls nobody"
    assert Notification.objects.count() == 1


def test_a_suppressed_alert_is_kept_and_calls_nobody_until_its_rule_changes(send, now):
    rule = factories.RuleFactory(name="Noise", action=Rule.Action.SUPPRESS)
    event = send(trigger())
    alert = Alert.objects.get()
    assert event.result[0]["outcome"] == "held" and alert.held_by == f"rule:{rule.pk}"
    assert not Incident.objects.exists()
    ingest.release_due(now=now + 60 * SECOND)
    alert.refresh_from_db()
    assert alert.is_held and alert.recheck_at is None
    later = now + dt.timedelta(hours=1)
    rule.condition = 'labels.env = "staging"'
    rule.save()
    rules.changed([rule.pk], now=later)
    assert ingest.release_due(now=later) == 1
    assert Incident.objects.get().alerts.get() == alert
    assert Notification.objects.exists()


def test_a_suppressed_alert_pages_when_its_rule_is_deleted(send):
    rule = factories.RuleFactory(action=Rule.Action.SUPPRESS)
    send(trigger())
    rule.delete()
    ingest.release_due(now=timezone.now())
    assert Incident.objects.open().count() == 1


def test_a_dropped_event_leaves_no_alert_and_names_the_rule(send):
    factories.RuleFactory(name="Tests", condition='title =~ "Test.*"', action=Rule.Action.DROP)
    event = send(trigger(title="Test of the disk"))
    assert event.result[0]["outcome"] == "dropped" and "Dropped by rule “Tests”." in reasons(event)
    assert not Alert.objects.exists() and bytes(event.body)


def test_a_rule_that_cannot_be_read_is_skipped_and_an_admin_is_told(send):
    Rule.objects.create(name="Odd", condition="labels.env = = prod", action=Rule.Action.DROP)
    event = send(trigger())
    assert Incident.objects.exists() and "Odd" in reasons(event) and "cannot be read" in reasons(event)
    assert "Odd" in Alarm.objects.get(cleared_at=None).text


def test_a_policy_that_is_gone_leaves_that_of_the_service(send, now, team, alice, bob):
    policy = factories.EscalationPolicyFactory(slug="gone", team=team, calls=[bob])
    rule = factories.RuleFactory(policy=policy)
    silence = factories.SilenceFactory(condition='key = "disk"', starts_at=now, ends_at=now + 60 * SECOND)
    send(trigger())
    assert Alert.objects.get().held_by == f"silence:{silence.pk}"
    rule.delete()
    policy.delete()
    ingest.release_due(now=now + 61 * SECOND)
    assert Notification.objects.get().user == alice
    assert "no longer exists" in Incident.objects.get().timeline.get(kind="triggered").text


@pytest.mark.django_db(transaction=True)
def test_events_page_as_without_rules_when_the_rules_cannot_be_loaded(send):
    table = Rule._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO hidden")
    try:
        event = send(trigger())
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE hidden RENAME TO {table}")
    assert event.state == "decided" and Incident.objects.count() == 1
    assert Notification.objects.filter(topic__startswith="incident:").count() == 1
    assert "The routing rules could not be read" in reasons(event)
    assert Alarm.objects.filter(key="routing-failed", cleared_at=None).exists()


def test_a_rule_whose_zone_is_gone_is_skipped_and_costs_no_event(send):
    factories.RuleFactory(name="Nights", days=[0], time_zone="Nowhere/X", action=Rule.Action.DROP)
    first, second = send(trigger("a"), trigger("b", severity="low"))
    assert {first.state, second.state} == {"decided"} and Incident.objects.count() == 2
    assert "is skipped" in reasons(first) and Alarm.objects.filter(cleared_at=None).exists()


def test_a_worse_repeat_raises_the_incident_and_calls_loudly(send, alice, now):
    send(trigger(severity="low"))
    assert Incident.objects.get().urgency == "low"
    event = send(trigger(severity="critical"), at=now + SECOND)
    incident = Incident.objects.get()
    assert (incident.severity, incident.priority, incident.urgency) == ("critical", "P1", "high")
    assert Alert.objects.get().severity == "critical" and event.result[0]["outcome"] == "repeat"
    assert "was low and is critical now" in reasons(event)
    assert Notification.objects.filter(topic=incident.topic, urgency="high", user=alice).exists()
    assert incident.next_escalation_at is not None
    assert "critical now, not low" in incident.timeline.get(kind="worsened").text


def test_a_less_severe_repeat_changes_nothing(send, now):
    send(trigger(severity="critical"))
    event = send(trigger(severity="info"), at=now + SECOND)
    assert Incident.objects.get().severity == "critical" and event.result[0]["reasons"] == []


def test_a_rule_that_lowers_an_alert_lowers_its_repeats_too(send, now):
    factories.RuleFactory(severity="low")
    send(trigger(severity="high"))
    assert send(trigger(severity="high"), at=now + SECOND).result[0]["reasons"] == []
    again = send(trigger(severity="critical"), at=now + 2 * SECOND)
    assert "It stays low." in reasons(again)
    assert Incident.objects.get().severity == "low"


def test_whoever_has_an_incident_is_called_when_it_becomes_critical(send, alice, now):
    send(trigger(severity="low"))
    lifecycle.acknowledge(Incident.objects.get().pk, by=alice, now=now + SECOND)
    before = Notification.objects.count()
    send(trigger(severity="critical"), at=now + 2 * SECOND)
    incident = Incident.objects.get()
    assert incident.status == "acknowledged" and incident.next_escalation_at is None
    assert Notification.objects.filter(user=alice).count() == before + 1


def test_repeats_ask_neither_rules_nor_quiet(send, now, django_assert_max_num_queries):
    factories.RuleFactory()
    send(trigger())
    row = send(trigger(), at=now + SECOND, decide=False)
    with django_assert_max_num_queries(30) as queries:
        ingest.decide_ids([row.pk], now=now + SECOND)
    asked = " ".join(query["sql"] for query in queries.captured_queries)
    assert "alerts_rule" not in asked and "alerts_silence" not in asked
    assert Alert.objects.get().occurrences == 2


def look(at):
    """What the ticker does with held alerts at a time."""
    ingest.release_due(now=at)
    return Alert.objects.get()


@pytest.mark.parametrize("condition", ['payload.team = "shop"', 'title = "Disk full"', 'severity = "critical"'])
def test_what_a_rule_suppresses_stays_so_whatever_the_rule_asked_for(send, now, condition):
    factories.RuleFactory(position=1, goes_on=True, severity="low", title="{labels.host}: {title}")
    rule = factories.RuleFactory(position=2, condition=condition, action=Rule.Action.SUPPRESS)
    send(trigger(team="shop"))
    for minutes in (1, 60, 600):
        alert = look(now + minutes * 60 * SECOND)
        assert alert.held_by == f"rule:{rule.pk}" and alert.incident is None


def test_a_rule_that_only_has_a_new_name_lets_nothing_go(send, now):
    rule = factories.RuleFactory(condition='payload.team = "shop"', action=Rule.Action.SUPPRESS)
    send(trigger(team="shop"))
    rule.name = "Noise of the shop"
    rule.save()
    rules.changed([rule.pk], now=now + 60 * SECOND)
    assert look(now + 60 * SECOND).is_held


def test_what_a_rule_suppresses_at_night_pages_in_the_morning_if_it_still_fires(send, now):
    hours = {"starts_at": dt.time(22), "ends_at": dt.time(6), "time_zone": "Europe/Berlin"}
    factories.RuleFactory(name="Nights", action=Rule.Action.SUPPRESS, **hours)
    night, morning = now.replace(hour=23), dt.datetime(2026, 6, 2, 4, tzinfo=dt.UTC)
    event = send(trigger(), at=night)
    assert "Rule “Nights” suppresses it until Tue 02 Jun 2026, 04:00 UTC." in reasons(event)
    assert look(night + 60 * SECOND).recheck_at == morning
    assert look(morning - SECOND).is_held
    assert look(morning).incident.triggered_at == morning and Notification.objects.exists()


def test_a_rule_that_suppresses_on_two_days_that_follow_each_other_holds_over_midnight(send, now):
    factories.RuleFactory(action=Rule.Action.SUPPRESS, days=[0, 1], time_zone="UTC")
    send(trigger())
    assert look(now.replace(hour=0) + dt.timedelta(days=1)).is_held
    assert not look(now.replace(hour=0) + dt.timedelta(days=2)).is_held


def test_a_suppressed_alert_that_its_rule_no_longer_means_pages_when_it_gets_worse(send, now):
    factories.RuleFactory(position=1, goes_on=True, severity="low")
    factories.RuleFactory(position=2, condition='severity = "medium"', action=Rule.Action.SUPPRESS)
    send(trigger(severity="medium"))
    assert look(now + 60 * SECOND).is_held
    send(trigger(severity="critical"), at=now + 61 * SECOND)
    assert not look(now + 61 * SECOND).is_held and Incident.objects.get().severity == "low"


def test_a_suppressed_alert_that_is_worse_and_meant_all_the_same_stays_suppressed(send, now):
    factories.RuleFactory(condition='payload.team = "shop"', action=Rule.Action.SUPPRESS)
    send(trigger(severity="medium", team="shop"))
    send(trigger(severity="critical", team="shop"), at=now + SECOND)
    assert look(now + 60 * SECOND).is_held


def test_a_suppressed_alert_whose_source_gives_it_other_words_is_asked_about_anew(send, now):
    hook = factories.IntegrationFactory(source="opsgenie", service=send.integration.service)
    factories.RuleFactory(condition='title = "Disk full"', action=Rule.Action.SUPPRESS)
    send({"message": "Disk full", "alias": "disk"}, through=hook, headers={opsgenie.ACTION: "create"})
    assert look(now + 60 * SECOND).is_held
    headers = {opsgenie.ACTION: "message", opsgenie.ALIAS: "disk"}
    event = send({"message": "Disk dead"}, through=hook, headers=headers, at=now + 61 * SECOND)
    assert event.result[0]["outcome"] == "updated", event.error
    assert look(now + 61 * SECOND).incident.title == "Disk dead"


def test_a_changed_rule_routes_what_it_suppressed_as_it_says_now(send, now, team, bob):
    policy = factories.EscalationPolicyFactory(slug="nights", team=team, calls=[bob])
    rule = factories.RuleFactory(action=Rule.Action.SUPPRESS, severity="", condition='title = "Disk full"')
    send(trigger(severity="critical"))
    Rule.objects.filter(pk=rule.pk).update(action="route", severity="high", title="Look: {title}", policy=policy)
    rules.changed([rule.pk], now=now + SECOND)
    silence = factories.SilenceFactory(condition='severity = "high"', ends_at=now + 60 * SECOND)
    assert look(now + SECOND).held_by == f"silence:{silence.pk}"
    incident = look(now + 60 * SECOND).incident
    assert (incident.title, incident.severity) == ("Look: Disk full", "high")
    assert Notification.objects.get().user == bob


def test_a_rule_that_lets_go_leaves_an_alert_of_the_key_of_a_service_with_that_service(service, team, now):
    rule = factories.RuleFactory(action=Rule.Action.SUPPRESS)
    InboundEvent.objects.create(
        source="generic",
        scope=f"service:{service.pk}",
        service=service,
        body=b'{"title": "Disk full", "dedup_key": "disk"}',
        received_at=now,
        due_at=now,
    )
    ingest.sweep(now=now)
    Rule.objects.filter(pk=rule.pk).update(action="route", service=factories.ServiceFactory(team=team))
    rules.changed([rule.pk], now=now + SECOND)
    assert look(now + SECOND).incident.service == service
