"""What people do with inhibition rules, and that firing alerts know at once of which they are the source."""

import pytest

from alerts import inhibition, matching, quiet
from alerts.models import Alert, InhibitionRule
from core.errors import DomainError
from tests import factories

NODE, DISK = {"alertname": "NodeDown", "host": "db1"}, {"alertname": "DiskSlow", "host": "db1"}


def rule(**values):
    values = {
        "name": "Node down",
        "source": 'alertname = "NodeDown"',
        "target": "host exists",
        "equal": ["host"],
        **values,
    }
    return InhibitionRule(**values)


def sources():
    return {alert.title: alert.inhibits for alert in Alert.objects.all()}


def test_a_new_rule_finds_the_sources_that_fire_already(service, now):
    factories.AlertFactory(title="Node", labels=NODE, inhibits=[77])
    factories.AlertFactory(title="Over", labels=NODE, resolved_at=now)
    factories.AlertFactory(title="Disk", labels=DISK)
    made = inhibition.save(rule(target='alertname = "DiskSlow"'), now=now)
    assert sources() == {"Node": [77, made.pk], "Over": [], "Disk": []}
    hold = quiet.Quiet.load(now=now).hold(matching.Facts(labels=DISK), service=service, severity="critical")
    assert hold.by == f"inhibition:{made.pk}"


def test_an_alert_on_both_sides_is_noted_as_such(db, now):
    factories.AlertFactory(title="Node", labels=NODE)
    made = inhibition.save(rule(), now=now)
    assert sources() == {"Node": [-made.pk]}


def test_what_was_noted_when_it_opened_and_what_a_rule_finds_agree(db, now):
    made = inhibition.save(rule(), now=now)
    facts = matching.Facts(labels=NODE)
    assert quiet.Quiet.load(now=now).inhibits(facts) == [-made.pk]
    factories.AlertFactory(title="Node", labels=NODE, inhibits=[-made.pk])
    inhibition.save(made, now=now)
    assert sources() == {"Node": [-made.pk]}


def test_editing_a_rule_finds_its_sources_anew_and_looks_again_at_what_it_held(db, now):
    made = inhibition.save(rule(), now=now)
    factories.AlertFactory(title="Node", labels=NODE, inhibits=[-made.pk])
    factories.AlertFactory(title="Disk", labels=DISK)
    held = factories.AlertFactory(title="Held", held_by=f"inhibition:{made.pk}")
    made.source, made.target = 'alertname = "DiskSlow"', 'severity = "low"'
    inhibition.save(made, now=now)
    held.refresh_from_db()
    assert sources() == {"Node": [], "Disk": [made.pk], "Held": []} and held.recheck_at == now


@pytest.mark.parametrize("how", ["disable", "delete"])
def test_a_rule_that_is_gone_has_no_sources_and_frees_what_it_held(db, now, how):
    made = inhibition.save(rule(), now=now)
    other = inhibition.save(rule(name="Other"), now=now)
    factories.AlertFactory(title="Node", labels=NODE, inhibits=[-made.pk, -other.pk])
    held = factories.AlertFactory(title="Held", held_by=f"inhibition:{made.pk}")
    if how == "delete":
        inhibition.delete(made, now=now)
    else:
        made.is_enabled = False
        inhibition.save(made, now=now)
    held.refresh_from_db()
    assert sources() == {"Node": [-other.pk], "Held": []} and held.recheck_at == now


def test_a_rule_of_an_integration_has_its_sources_there_only(db, now):
    integration = factories.IntegrationFactory()
    factories.AlertFactory(title="Mine", labels=NODE, integration=integration)
    factories.AlertFactory(title="Other", labels=NODE)
    made = inhibition.save(rule(integration=integration), now=now)
    assert sources() == {"Mine": [-made.pk], "Other": []}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": " "}, "Give the rule a name"),
        ({"source": "("}, "^The source: "),
        ({"target": ""}, "^The target: "),
        ({"source": 'payload.a = "b"'}, "asks for the payload"),
    ],
)
def test_what_cannot_be_used_is_refused(db, now, values, words):
    with pytest.raises(DomainError, match=words):
        inhibition.save(rule(**values), now=now)
    assert not InhibitionRule.objects.exists()
