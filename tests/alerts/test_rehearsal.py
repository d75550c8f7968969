"""What would become of a request: as it would really be decided, and without a trace."""

import datetime as dt
import json

import pytest
from django.apps import apps
from django.core import mail
from django.db import connection

from alerts import ingest
from alerts.models import Alert, InboundEvent
from alerts.rehearsal import rehearse
from catalog.models import Service
from incidents.models import Incident
from notifications.models import Notification
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(service=service, name="Prometheus")


def body(*alerts, **fields):
    if not alerts:
        alerts = ({"title": "Disk full", "severity": "high", "dedup_key": "disk", "labels": {"env": "prod"}} | fields,)
    return json.dumps(alerts[0] if len(alerts) == 1 else list(alerts)).encode()


def ingested(integration, sent, now, service=None):
    """Decide it for real, as it comes from the door."""
    row = InboundEvent.objects.create(
        source="generic",
        scope=f"integration:{integration.pk}" if integration else f"service:{service.pk}",
        integration=integration,
        service=service or integration.service,
        body=sent,
        received_at=now,
        due_at=now,
    )
    ingest.decide_ids([row.pk], now=now)
    row.refresh_from_db()
    assert row.state == "decided", row.error
    return row


def counts():
    with connection.cursor() as cursor:
        found = {}
        for model in apps.get_models(include_auto_created=True):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(model._meta.db_table)}")
            found[model._meta.db_table] = cursor.fetchone()[0]
        return found


# --- it writes nothing --------------------------------------------------------------------------------------------


def test_nothing_is_written_whatever_happens_in_it(integration, alice, now, django_capture_on_commit_callbacks):
    factories.RuleFactory(name="Broken", condition="((((")
    factories.SilenceFactory(condition='env = "quiet"')
    to_team = factories.IntegrationFactory(service=None, team=integration.service.team)
    before = counts()
    with django_capture_on_commit_callbacks() as callbacks:
        for through in (integration, to_team):
            for env in ("prod", "quiet"):
                assert rehearse(through, body(labels={"env": env}), {}, at=now).outcomes
        rehearse(integration, b"no json", {}, at=now)
    assert counts() == before
    assert not callbacks
    assert not mail.outbox


def test_a_service_that_takes_the_rest_is_not_made(team, alice, now):
    through = factories.IntegrationFactory(service=None, team=team)
    (one,) = rehearse(through, body(), {}, at=now).outcomes
    assert one.service_is_new
    assert one.service.team == team
    assert not Service.objects.filter(is_catch_all=True).exists()


# --- it says what ingest does -------------------------------------------------------------------------------------


def plain(integration):
    return body()


def without_severity(integration):
    return body(severity="")


def routed(integration):
    factories.RuleFactory(condition='env = "stage"', severity="info", position=1)
    factories.RuleFactory(
        condition='env = "prod"',
        service=factories.ServiceFactory(policy=factories.EscalationPolicyFactory()),
        severity="critical",
        priority="P2",
        title="{labels.env}: {title}",
        position=2,
    )
    return body()


def by_another_policy(integration):
    factories.RuleFactory(integration=integration, policy=factories.EscalationPolicyFactory())
    return body()


def dropped(integration):
    factories.RuleFactory(action="drop")
    return body()


def suppressed(integration):
    factories.RuleFactory(action="suppress", name="Shh")
    return body()


def paging_nobody(integration):
    factories.RuleFactory(pages_nobody=True)
    return body()


def silenced(integration):
    factories.SilenceFactory(condition='env = "prod"')
    return body()


def in_maintenance(integration):
    factories.MaintenanceWindowFactory(services=[integration.service])
    return body()


def repeated(integration):
    ingested(integration, body(), factories.NOW - MINUTE)
    return body()


def repeated_while_held(integration):
    factories.SilenceFactory(condition='env = "prod"')
    ingested(integration, body(), factories.NOW - MINUTE)
    return body()


def joining(integration):
    ingested(integration, body(dedup_key="other"), factories.NOW - MINUTE)
    return body()


def too_late_to_join(integration):
    integration.group_window_seconds = 60
    integration.save()
    ingested(integration, body(dedup_key="other"), factories.NOW - 2 * MINUTE)
    return body()


def grouped_by_a_field(integration):
    integration.group_fields = ["labels.env"]
    integration.save()
    ingested(integration, body(dedup_key="other", severity="low"), factories.NOW - MINUTE)
    return body()


def worse_than_before(integration):
    ingested(integration, body(severity="low"), factories.NOW - MINUTE)
    return body(severity="critical")


def keyed_by_fields(integration):
    integration.dedup_fields = ["labels.env", "title"]
    integration.save()
    return body()


def naming_a_service(integration):
    other = factories.ServiceFactory(slug="other", policy=factories.EscalationPolicyFactory())
    factories.RuleFactory(service=factories.ServiceFactory(), severity="")
    return body(service=other.slug)


def to_a_team(integration):
    integration.team, integration.service = integration.service.team, None
    integration.save()
    return body()


def after_its_incident_was_resolved(integration):
    ingested(integration, body(), factories.NOW - MINUTE)
    Incident.objects.update(status="resolved", resolved_at=factories.NOW, next_escalation_at=None)
    return body()


SCENARIOS = [
    plain,
    without_severity,
    routed,
    by_another_policy,
    dropped,
    suppressed,
    paging_nobody,
    silenced,
    in_maintenance,
    repeated,
    repeated_while_held,
    joining,
    too_late_to_join,
    grouped_by_a_field,
    worse_than_before,
    keyed_by_fields,
    naming_a_service,
    to_a_team,
    after_its_incident_was_resolved,
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_rehearsed_is_what_happens(scenario, integration, alice, now):
    sent = scenario(integration)
    known, paged = (
        set(Incident.objects.values_list("pk", flat=True)),
        Notification.objects.filter(topic__startswith="incident:").count(),
    )
    (one,) = rehearse(integration, sent, {}, at=now).outcomes
    (result,) = ingested(integration, sent, now).result
    alert = Alert.objects.filter(pk=result["alert_id"]).first()
    # Not those whom the system alarm tells.
    rows = Notification.objects.filter(topic__startswith="incident:").order_by("pk")[paged:]
    people = {row.user.name for row in rows}
    assert {person.name for call in one.calls[:1] for person in call.people} == people
    if alert is None:
        assert result["outcome"] == "dropped"
        assert one.happens.startswith("Dropped by rule")
        return
    assert one.key == alert.dedup_key
    assert (one.service.slug, one.service_is_new) == (alert.service.slug, scenario is to_a_team)
    assert (one.severity, one.title) == (alert.severity, alert.title)
    if result["outcome"] == "repeat":
        assert one.happens.startswith("The alert fires already")
        assert one.incident == alert.incident
        return
    assert (one.held.by, one.held.why) == (alert.held_by, alert.held_why) if one.held else alert.held_by == ""
    assert (one.incident.pk if one.incident else None) == (alert.incident_id if alert.incident_id in known else None)
    if alert.incident_id and alert.incident_id not in known:
        assert one.happens.startswith("It opens a new incident")
        assert one.priority == alert.incident.priority
    if one.calls:
        assert one.policy == alert.incident.policy.get("name", "")


def test_a_routing_key_of_a_service_keeps_its_service_whatever_a_rule_says(service, alice, now):
    factories.RuleFactory(service=factories.ServiceFactory(), severity="low")
    (one,) = rehearse(None, body(), {}, at=now, service=service, source="generic").outcomes
    ingested(None, body(), now, service=service)
    alert = Alert.objects.get()
    assert one.service == alert.service == service
    assert one.severity == alert.severity == "low"


# --- what is shown ------------------------------------------------------------------------------------------------


def test_each_rule_says_yes_or_no_and_why(integration, alice, now):
    factories.RuleFactory(name="Stage", position=1, condition='env = "stage"')
    factories.RuleFactory(name="Payload", position=2, condition="payload.labels.env = prod", goes_on=True)
    factories.RuleFactory(name="Night", position=3, starts_at=dt.time(22), ends_at=dt.time(6), time_zone="UTC")
    (one,) = rehearse(integration, body(), {}, at=now).outcomes
    assert one.steps == [
        ("Stage", False, "labels.env is “prod”, not “stage”"),
        ("Payload", True, "payload.labels.env is “prod”"),
        ("Night", False, "it is Monday 12:00 in UTC; the rule counts every day, 22:00 to 06:00"),
    ]
    (one,) = rehearse(integration, body(), {}, at=now.replace(hour=23)).outcomes
    assert one.steps[2][1]


def test_all_levels_are_shown_with_channels_and_the_people_of_that_time(service, now):
    people = [factories.ContactMethodFactory(user__name=name).user for name in ("Alice", "Bob")]
    method = people[1].contact_methods.get()
    factories.NotificationRuleFactory(user=people[1], contact_method=method, urgency="high", delay_minutes=2)
    policy = factories.EscalationPolicyFactory(
        name="Day and night", calls=[*people, factories.UserFactory(name="Eve")]
    )
    integration = factories.IntegrationFactory(service=factories.ServiceFactory(policy=policy))
    (one,) = rehearse(integration, body(), {}, at=now).outcomes
    assert one.policy == "Day and night"
    first, second = one.calls[:2]
    assert (first.level, first.minutes, first.people[0].name) == (1, 0, "Alice")
    assert first.people[0].channels == (("email", 0),)
    assert (second.level, second.minutes, second.at) == (2, 5, now + 5 * MINUTE)
    assert (second.people[0].name, second.people[0].channels) == ("Bob", (("email", 2),))
    assert any("Eve has no verified contact method" in reason for call in one.calls[2:] for reason in call.reasons)


def test_of_what_is_held_it_says_who_would_be_paged_when_the_hold_ends(integration, alice, now):
    silence = factories.SilenceFactory(condition='env = "prod"')
    (one,) = rehearse(integration, body(), {}, at=now).outcomes
    assert (one.calls, one.held.until) == ([], silence.ends_at)
    first = one.later[0]
    assert ([person.name for person in first.people], first.at) == ([alice.name], silence.ends_at)
    assert one.policy == integration.service.policy.name


def test_a_service_without_a_policy_says_loudly_that_nobody_is_called(now, db):
    integration = factories.IntegrationFactory(service=factories.ServiceFactory(policy=None))
    (one,) = rehearse(integration, body(), {}, at=now).outcomes
    (call,) = one.calls
    assert not call.people
    assert "no escalation policy" in call.alarm


def test_what_the_sender_did_wrong_is_what_it_would_be_told(integration, now):
    found = rehearse(integration, b'{"severity": "high"', {}, at=now)
    assert found.status == 400
    assert found.answer["errors"] == found.errors
    assert "not JSON" in found.errors[0]["message"]
    assert not found.outcomes


def test_a_body_that_is_too_large_is_refused_as_at_the_door(integration, now):
    found = rehearse(integration, b" " * (600 * 1024), {}, at=now)
    assert found.status == 413


def test_an_end_says_what_it_ends(integration, alice, now):
    end = json.dumps({"action": "resolve", "dedup_key": "disk"}).encode()
    (one,) = rehearse(integration, end, {}, at=now).outcomes
    assert one.happens.startswith("Nothing: no alert fires under this key")
    ingested(integration, body(), now)
    (one,) = rehearse(integration, end, {}, at=now).outcomes
    assert one.happens.startswith("It ends the alert “Disk full” of incident #")


def test_an_event_without_a_key_opens_an_alert_of_its_own(integration, alice, now):
    (one,) = rehearse(integration, body(dedup_key=""), {}, at=now).outcomes
    assert (one.key, one.key_why) == ("", "the sender gives none, so each event opens an alert of its own")


def test_several_events_of_one_request_know_of_each_other(service, alice, now):
    integration = factories.IntegrationFactory(source="alertmanager", service=service)
    alert = {"status": "firing", "labels": {"alertname": "Disk", "severity": "critical"}, "startsAt": now.isoformat()}
    alerts = [
        alert | {"fingerprint": f"{number:016x}", "labels": alert["labels"] | {"host": str(number)}}
        for number in range(30)
    ]
    sent = {"version": "4", "status": "firing", "groupLabels": {}, "commonLabels": {}, "alerts": alerts}
    found = rehearse(integration, json.dumps(sent).encode(), {}, at=now)
    assert len(found.outcomes) == 20
    assert found.left_out == 10
    assert found.outcomes[0].happens == "It opens a new incident."
    assert found.outcomes[0].calls
    assert found.outcomes[1].happens.startswith("It joins the incident that")
    assert not found.outcomes[1].calls
