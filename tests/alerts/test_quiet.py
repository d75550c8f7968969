"""What holds an alert, and why: silences, maintenance, other alerts, a service it needs."""

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from alerts import matching, quiet
from alerts.models import Alert
from catalog import dependencies
from core import due
from incidents import lifecycle
from notifications.models import Alarm, Notification
from tests import factories

MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
STAGING = {"labels": {"env": "staging"}}


@pytest.fixture
def held(service, now):
    """A function that says what would hold an alert of Checkout at a time."""

    def ask(at=now, severity="critical", service=service, integration_id=None, **facts):
        facts = matching.Facts(severity=severity, service=service.slug, **facts)
        loaded = quiet.Quiet.load(now=at, services=[service])
        return loaded.hold(facts, service=service, severity=severity, integration_id=integration_id)

    return ask


def test_without_anything_set_up_nothing_is_held_and_one_query_says_so(service, now, django_assert_num_queries):
    with django_assert_num_queries(1):
        loaded = quiet.Quiet.load(now=now, services=[service])
        assert loaded.hold(matching.Facts(), service=service, severity="critical") is None
        assert loaded.inhibits(matching.Facts()) == []


# --- silences -----------------------------------------------------------------------------------------------------


def test_a_silence_holds_what_matches_from_its_start_to_just_before_its_end(held, alice, now):
    silence = factories.SilenceFactory(owner=alice)
    hold = held(**STAGING)
    assert hold.by == f"silence:{silence.pk}" and hold.until == silence.ends_at
    assert hold.why == "Silence by Alice until 13:00 UTC: Disk work"
    assert held(labels={"env": "prod"}) is None
    tick = dt.timedelta(microseconds=1)
    assert held(at=silence.starts_at, **STAGING) and held(at=silence.ends_at - tick, **STAGING)
    assert held(at=silence.starts_at - tick, **STAGING) is None and held(at=silence.ends_at, **STAGING) is None


def test_a_silence_that_was_ended_early_holds_nothing(held, now):
    factories.SilenceFactory(expired_at=now)
    assert held(**STAGING) is None


def test_a_silence_of_a_service_or_an_integration_means_only_these(held, service, now):
    integration, other = factories.IntegrationFactory(), factories.ServiceFactory()
    of_service = factories.SilenceFactory(condition="", service=other)
    assert held() is None and held(service=other).by == f"silence:{of_service.pk}"
    of_integration = factories.SilenceFactory(condition="", integration=integration)
    assert held(integration_id=integration.pk).by == f"silence:{of_integration.pk}"
    assert held(integration_id=integration.pk + 1) is None and held() is None


def test_an_empty_condition_without_anything_else_holds_nothing(held):
    factories.SilenceFactory(condition="")
    factories.MaintenanceWindowFactory()
    assert held(**STAGING) is None


def test_of_several_silences_the_one_that_ends_last_is_named(held, now):
    factories.SilenceFactory(made_by="amtool")
    longest = factories.SilenceFactory(ends_at=now + 30 * HOUR, made_by="amtool")
    factories.SilenceFactory(ends_at=now + 2 * HOUR, made_by="amtool")
    hold = held(**STAGING)
    assert hold.by == f"silence:{longest.pk}"
    assert hold.why == "Silence by amtool until Tue 02 Jun 2026, 18:00 UTC: Disk work"


def test_a_long_reason_is_cut_to_what_an_alert_can_say(held):
    factories.SilenceFactory(reason="x" * 500)
    assert len(held(**STAGING).why) == Alert._meta.get_field("held_why").max_length


# --- maintenance --------------------------------------------------------------------------------------------------


def test_maintenance_holds_the_alerts_of_its_services_and_teams_while_it_is_open(held, service, team, now):
    other = factories.ServiceFactory()
    window = factories.MaintenanceWindowFactory(name="Database upgrade", reason="v17", services=[service])
    hold = held()
    assert hold == quiet.Hold(
        f"maintenance:{window.pk}", "Maintenance “Database upgrade” until 13:00 UTC: v17", window.ends_at
    )
    assert held(service=other) is None and held(at=window.ends_at) is None and held(at=window.starts_at)
    factories.MaintenanceWindowFactory(teams=[other.team])
    assert held(service=other)


def test_a_condition_narrows_maintenance_down_or_means_any_service(held, service):
    window = factories.MaintenanceWindowFactory(services=[service], condition='env = "staging"')
    assert held(**STAGING) and held() is None
    assert held(service=factories.ServiceFactory(), **STAGING) is None
    window.services.clear()
    assert held(service=factories.ServiceFactory(), **STAGING)


@pytest.mark.parametrize("change", [{"is_enabled": False}, {"ended_at": factories.NOW}])
def test_maintenance_that_is_disabled_or_ended_holds_nothing(held, service, change):
    factories.MaintenanceWindowFactory(services=[service], **change)
    assert held() is None


def test_maintenance_that_repeats_holds_at_each_of_its_times_and_not_between(held, service, now):
    factories.MaintenanceWindowFactory(services=[service], rrule="FREQ=WEEKLY", time_zone="Europe/Berlin")
    later = now + dt.timedelta(weeks=3)
    assert held(at=later).until == later + HOUR
    assert held(at=later + HOUR) is None and held(at=later - dt.timedelta(days=1)) is None


# --- broken rows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda service: factories.SilenceFactory(condition="env = (", service=service),
        lambda service: factories.MaintenanceWindowFactory(condition="env = (", services=[service]),
        lambda service: factories.MaintenanceWindowFactory(rrule="FREQ=NEVER", services=[service]),
        lambda service: factories.MaintenanceWindowFactory(
            rrule="FREQ=DAILY", time_zone="Mars/Olympus", services=[service]
        ),
        lambda service: factories.InhibitionRuleFactory(target="((("),
    ],
    ids=["silence", "maintenance", "recurrence rule", "time zone", "inhibition"],
)
def test_what_cannot_be_read_holds_nothing_and_the_admins_are_told_once(held, service, alice, make):
    row = make(service)
    kind = {"Silence": "silence", "MaintenanceWindow": "maintenance", "InhibitionRule": "inhibition"}
    assert held(**STAGING) is None and held(**STAGING) is None
    alarm = Alarm.objects.get()
    assert alarm.key == quiet.alarm_key(f"{kind[type(row).__name__]}:{row.pk}")
    assert "cannot be read and holds nothing, so its alerts page" in alarm.text
    assert alarm.count == 1 and Notification.objects.get().user == alice


def test_what_cannot_be_read_spoils_nothing_else(held, service, alice):
    factories.SilenceFactory(condition="env = (")
    good = factories.SilenceFactory()
    assert held(**STAGING).by == f"silence:{good.pk}"


# --- other alerts -------------------------------------------------------------------------------------------------


def node_down(rule, host="db1", **fields):
    return factories.AlertFactory(
        title=f"Node {host} is down", labels={"alertname": "NodeDown", "host": host}, inhibits=[rule.pk], **fields
    )


def test_an_alert_is_held_while_a_source_with_equal_labels_fires(held):
    rule = factories.InhibitionRuleFactory(name="Node down")
    source = node_down(rule)
    disk = {"alertname": "DiskSlow", "host": "db1"}
    hold = held(labels=disk)
    assert hold == quiet.Hold(
        f"inhibition:{rule.pk}", "Inhibited by “Node db1 is down”, which fires: rule “Node down”.", None
    )
    assert held(labels={**disk, "host": "db2"}) is None
    Alert.objects.filter(pk=source.pk).update(resolved_at=factories.NOW)
    assert held(labels=disk) is None


def test_a_label_that_is_missing_on_both_sides_is_equal(held):
    rule = factories.InhibitionRuleFactory()
    factories.AlertFactory(labels={"alertname": "NodeDown"}, inhibits=[rule.pk])
    assert held(labels={"alertname": "DiskSlow"}) and held(labels={"host": ""})


def test_a_held_alert_holds_nothing(held):
    rule = factories.InhibitionRuleFactory()
    node_down(rule, held_by="silence:1")
    assert held(labels={"host": "db1"}) is None


def test_an_alert_that_matches_both_sides_is_held_by_a_pure_source_only(held, now):
    rule = factories.InhibitionRuleFactory(
        source='severity = "critical"', target='severity in ("critical", "low")', equal=["host"]
    )
    loaded = quiet.Quiet.load(now=now)
    assert loaded.inhibits(matching.Facts(severity="critical")) == [-rule.pk]
    assert loaded.inhibits(matching.Facts(severity="low")) == []
    factories.AlertFactory(labels={"host": "db1"}, inhibits=[-rule.pk])
    assert held(severity="critical", labels={"host": "db1"}) is None
    assert held(severity="low", labels={"host": "db1"})


def test_the_sources_of_the_same_batch_count_too(service, now):
    rule = factories.InhibitionRuleFactory()
    loaded = quiet.Quiet.load(now=now)
    about = {"service": service, "severity": "high"}
    disk = matching.Facts(title="Disk", labels={"alertname": "DiskSlow", "host": "db1"})
    assert loaded.hold(disk, **about) is None
    assert loaded.hold(matching.Facts(title="Node", labels={"alertname": "NodeDown", "host": "db1"}), **about) is None
    assert loaded.hold(disk, **about).by == f"inhibition:{rule.pk}"


def test_a_rule_of_an_integration_means_its_alerts_on_both_sides(held, now):
    mine, other = factories.IntegrationFactory(), factories.IntegrationFactory()
    rule = factories.InhibitionRuleFactory(integration=mine)
    loaded = quiet.Quiet.load(now=now)
    source = matching.Facts(labels={"alertname": "NodeDown", "host": "db1"})
    assert loaded.inhibits(source, integration_id=mine.pk) == [rule.pk]
    assert loaded.inhibits(source, integration_id=other.pk) == loaded.inhibits(source) == []
    node_down(rule, integration=mine)
    assert held(integration_id=mine.pk, labels={"host": "db1"})
    assert held(integration_id=other.pk, labels={"host": "db1"}) is None


def test_a_disabled_rule_holds_nothing(held):
    node_down(factories.InhibitionRuleFactory(is_enabled=False))
    assert held(labels={"host": "db1"}) is None


# --- the service graph --------------------------------------------------------------------------------------------


@pytest.fixture
def database(service):
    """Checkout needs Payments, which needs Database; both hold."""
    payments, database = factories.ServiceFactory(name="Payments"), factories.ServiceFactory(name="Database")
    factories.DependencyFactory(service=service, needs=payments)
    factories.DependencyFactory(service=payments, needs=database)
    return database


def test_an_open_incident_of_a_service_it_needs_holds_what_is_no_more_severe(held, database):
    incident = factories.IncidentFactory(service=database, severity="high")
    hold = held(severity="high")
    assert hold.by.startswith("dependency:") and hold.until is None
    assert hold.why == f"Database has the open incident #{incident.pk} (high), and Checkout needs Database."
    assert held(severity="low") and held(severity="critical") is None


def test_a_worse_incident_counts_beside_a_lesser_one(held, database):
    factories.IncidentFactory(service=database, severity="low")
    factories.IncidentFactory(service=database, severity="critical")
    assert "(critical)" in held(severity="critical").why


@pytest.mark.parametrize("status", ["resolved", "closed"])
def test_an_incident_that_is_over_holds_nothing(held, database, status):
    factories.IncidentFactory(service=database, status=status)
    assert held() is None


def test_a_dependency_that_holds_nothing_breaks_the_chain(held, service, database):
    factories.IncidentFactory(service=database)
    assert held()
    service.dependencies.update(holds_alerts=False)
    assert held() is None


def test_own_incidents_and_those_of_dependants_hold_nothing(held, service, database):
    factories.IncidentFactory(service=service)
    assert held() is None and held(service=database) is None


# --- all together -------------------------------------------------------------------------------------------------


def test_the_number_of_queries_does_not_grow(service, database, now):
    def queries():
        with CaptureQueriesContext(connection) as found:
            loaded = quiet.Quiet.load(now=now, services=[service])
            for number in range(30):
                facts = matching.Facts(labels={"host": f"web{number}"})
                assert loaded.hold(facts, service=service, severity="critical") is None
        return len(found)

    def set_up(number):
        factories.SilenceFactory()
        factories.MaintenanceWindowFactory(teams=[factories.TeamFactory()])
        node_down(factories.InhibitionRuleFactory(), host=f"db{number}")

    set_up(0)
    few = queries()
    for number in range(1, 6):
        set_up(number)
    assert queries() == few == 3


def test_rechecking_makes_due_what_is_held_by_it_and_wakes_a_worker(db, now, django_capture_on_commit_callbacks):
    mine = factories.AlertFactory(held_by="silence:7")
    factories.AlertFactory(held_by="silence:7", resolved_at=now)
    other = factories.AlertFactory(held_by="silence:70")
    with django_capture_on_commit_callbacks(execute=True):
        assert quiet.recheck("silence:7", now=now) == 1
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.recheck_at, other.recheck_at) == (now, None)
    assert [task.task["func"] for task in OrmQ.objects.all()] == [due.kinds()["held"].task]


def test_what_a_needed_service_held_is_looked_at_when_its_incident_is_over(service, database, alice, now):
    incident = lifecycle.trigger(database, title="Disk full", severity="critical", now=now)
    mine = factories.AlertFactory(service=service, held_by="dependency:1")
    factories.AlertFactory(service=service, held_by="silence:1")
    factories.AlertFactory(held_by="dependency:1")
    lifecycle.resolve(incident.pk, by=alice, now=now + MINUTE)
    assert list(Alert.objects.filter(recheck_at=now + MINUTE)) == [mine]


def test_what_a_source_held_is_looked_at_when_its_incident_is_resolved_by_hand(service, alice, now):
    rule = factories.InhibitionRuleFactory()
    incident = lifecycle.trigger(service, title="Node down", severity="critical", now=now)
    node_down(rule, incident=incident, service=service)
    waiting = factories.AlertFactory(held_by=f"inhibition:{rule.pk}")
    lifecycle.resolve(incident.pk, by=alice, now=now + MINUTE)
    waiting.refresh_from_db()
    assert waiting.recheck_at == now + MINUTE


def test_what_a_dependency_held_is_looked_at_when_it_is_removed(service, database, now):
    mine = factories.AlertFactory(service=service, held_by="dependency:1")
    dependencies.remove(service.dependencies.get(), now=now)
    mine.refresh_from_db()
    assert mine.recheck_at == now
