"""Quiet in the admin: silences and windows lead to their pages, inhibition rules are typed by hand."""

import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from alerts import ingest, maintenance, silences
from alerts.models import InboundEvent, InhibitionRule
from tests import factories

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def span(alice):
    now = timezone.now()
    return {"starts_at": now, "ends_at": now + HOUR, "by": alice, "now": now}


def change_page(row):
    return reverse(f"admin:alerts_{row._meta.model_name}_change", args=[row.pk])


def test_a_silence_and_a_window_lead_to_where_they_are_changed(browser, span, service):
    silence = silences.create(condition='env = "staging"', reason="Disk work", **span)
    window = maintenance.create(name="Database upgrade", services=[service], **span)
    assert f'href="/silences/{silence.uuid}"' in browser.get(change_page(silence)).content.decode()
    assert f'href="/maintenance/{window.uuid}"' in browser.get(change_page(window)).content.decode()
    for name, page in (("silence", "/silences"), ("maintenancewindow", "/maintenance")):
        listed = browser.get(reverse(f"admin:alerts_{name}_changelist")).content.decode()
        assert f'href="{page}"' in listed


def typed(**fields):
    rule = {"name": "Cluster", "source": 'alertname = "ClusterDown"', "target": 'severity = "low"', "is_enabled": "on"}
    return {**rule, "equal": "cluster, namespace", **fields}


@pytest.mark.parametrize("equal", ["cluster, namespace", "labels.cluster, labels.namespace"])
def test_the_equal_labels_of_an_inhibition_rule_are_names_however_they_are_written(browser, equal):
    answer = browser.post(reverse("admin:alerts_inhibitionrule_add"), typed(equal=equal))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    rule = InhibitionRule.objects.get()
    assert rule.equal == ["cluster", "namespace"], "as labels.cluster both sides would always be equal"
    assert 'value="cluster, namespace"' in browser.get(change_page(rule)).content.decode()


def test_an_inhibition_rule_that_cannot_be_read_is_refused_at_its_field(browser):
    answer = browser.post(reverse("admin:alerts_inhibitionrule_add"), typed(source="env = (", equal="a b; c"))
    errors = answer.context["adminform"].form.errors
    assert set(errors) == {"source", "equal"}
    assert not InhibitionRule.objects.exists()


def test_an_inbound_event_shows_what_was_decided_in_words(browser, service):
    integration = factories.IntegrationFactory(service=service)
    event = InboundEvent.objects.create(
        source="generic",
        scope=f"integration:{integration.pk}",
        integration=integration,
        body=b'{"title": "Disk full"}',
        received_at=factories.NOW,
        due_at=factories.NOW,
    )
    ingest.decide_ids([event.pk], now=factories.NOW)
    event.refresh_from_db()
    page = browser.get(change_page(event)).content.decode()
    (decision,) = event.result
    assert f'href="/alerts/{decision["alert_id"]}"' in page and f'href="/incidents/{decision["incident"]}"' in page
    assert "New incident" in page and all(f"<li>{reason}</li>" in page for reason in decision["reasons"])
