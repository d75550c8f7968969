"""The pages of alerts and integrations: what is wrong, what was decided and why, and what to do about a failure."""

import datetime as dt
import json

import pytest
from django.urls import reverse
from django.utils import timezone

from alerts import ingest, refusals, silences
from alerts.models import Alert, InboundEvent, source_choices
from alerts.setup import NO_KEY, setup_parts, setup_text
from alerts.views.events import SHOWN_BODY
from notifications import alarms
from tests import factories

State = InboundEvent.State


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def observer(client, db):
    person = factories.UserFactory(role="observer", name="Olga")
    client.force_login(person)
    return client


def an_event(integration, body=b'{"title": "Disk full", "dedup_key": "disk"}', **fields):
    fields = {"state": State.PENDING, "due_at": factories.NOW, "received_at": factories.NOW, **fields}
    return InboundEvent.objects.create(
        source=integration.source,
        scope=f"integration:{integration.pk}",
        integration=integration,
        service=integration.service,
        body=body,
        **fields,
    )


@pytest.fixture
def decided(service):
    integration = factories.IntegrationFactory(service=service, name="Scripts", last_event_at=factories.NOW)
    event = an_event(integration)
    ingest.decide_ids([event.pk], now=factories.NOW)
    return integration, Alert.objects.get()


def test_the_list_is_filtered_by_state_severity_words_and_door(browser, service):
    door = factories.IntegrationFactory(service=service)
    fields = {"service": service, "integration": door}
    factories.AlertFactory(title="Disk is full", severity="critical", labels={"env": "prod"}, **fields)
    factories.AlertFactory(title="Held back", severity="low", held_by="silence:1", held_why="Quiet please", **fields)
    factories.AlertFactory(title="Long over", severity="low", resolved_at=factories.NOW, **fields)

    def shown(**query):
        page = browser.get("/alerts", query).content.decode()
        return [title for title in ("Disk is full", "Held back", "Long over") if title in page]

    assert shown() == ["Disk is full", "Held back", "Long over"]
    assert shown(state="firing") == ["Disk is full"]
    assert shown(state="held") == ["Held back"]
    assert shown(state="open") == ["Disk is full", "Held back"]
    assert shown(state="resolved") == ["Long over"]
    assert shown(severity="critical") == ["Disk is full"]
    assert shown(q="env=prod") == ["Disk is full"]
    assert shown(q="disk full") == ["Disk is full"]
    assert shown(q="nothing like it") == []
    assert shown(integration=str(door.uuid)) == ["Disk is full", "Held back", "Long over"]
    assert shown(integration="no-uuid") == []
    assert "Quiet please" in browser.get("/alerts").content.decode()


@pytest.mark.parametrize("query", ["page=-1", "page=999999999", "page=x", "state=%00", "q=%00%FF", "severity=loud"])
def test_nonsense_in_the_address_is_no_error(browser, query):
    assert browser.get(f"/alerts?{query}").status_code == 200


def test_a_long_list_has_pages(browser, service):
    for number in range(51):
        factories.AlertFactory(title=f"Trouble {number}", service=service)
    first, second = (browser.get(f"/alerts?page={page}").content.decode() for page in (1, 2))
    assert first.count("message-line") == 50 and "page=2" in first
    assert second.count("message-line") == 1 and "page=3" not in second


def test_the_list_costs_the_same_for_one_alert_and_for_many(browser, service, django_assert_max_num_queries):
    for number in range(30):
        factories.AlertFactory(title=f"Trouble {number}", service=service, incident=factories.IncidentFactory())
    with django_assert_max_num_queries(10):
        browser.get("/alerts")


def test_an_empty_list_says_what_to_do(browser):
    assert "No alert has come in yet" in browser.get("/alerts").content.decode()
    assert "No integration yet" in browser.get("/integrations").content.decode()


def test_an_alert_shows_its_event_and_what_was_decided(browser, decided):
    _, alert = decided
    page = browser.get(f"/alerts/{alert.pk}").content.decode()
    assert "Disk full" in page and "&quot;dedup_key&quot;: &quot;disk&quot;" in page
    assert "New incident" in page and f"/incidents/{alert.incident_id}" in page


def test_hostile_text_of_an_alert_is_text(browser, service):
    alert = factories.AlertFactory(
        title="<script>alert(1)</script>",
        description="<img src=x onerror=alert(1)>",
        labels={"<b>": "<i>"},
        links=[{"href": "https://example.com/?a=<b>", "text": "<u>"}],
        service=service,
    )
    for url in ("/alerts", f"/alerts/{alert.pk}"):
        page = browser.get(url).content.decode()
        assert "<script>alert" not in page and "<img" not in page.partition("<main")[2] and "<i>" not in page


def test_the_page_of_a_door_shows_the_set_up_and_its_last_events(browser, decided):
    integration, alert = decided
    page = browser.get(f"/integrations/{integration.uuid}").content.decode()
    assert "/in/generic/KEY" in page and "curl -X POST" in page
    assert f"/alerts/{alert.pk}" in page and "1 firing" in page
    assert integration.key_hash not in page
    assert "Scripts" in browser.get("/integrations").content.decode()
    assert "No integration matches" in browser.get("/integrations?q=nowhere").content.decode()


def test_what_failed_is_listed_and_tried_again(browser, decided):
    integration, _ = decided
    broken = an_event(integration, state=State.POISON, error="KeyError: 'title'", attempts=8, due_at=None)
    url = f"/integrations/{integration.uuid}"
    page = browser.get(url).content.decode()
    assert "could not be read or decided" in page and "KeyError" in page and "Try again" in page
    assert "1 failed" in browser.get("/integrations").content.decode()
    answer = browser.post(f"{url}/retry", {"event": broken.pk}, follow=True)
    assert "tried again" in answer.content.decode()
    broken.refresh_from_db()
    assert (broken.state, broken.due_at is not None) == (State.FAILED, True)
    InboundEvent.objects.filter(pk=broken.pk).update(state=State.POISON, due_at=None)
    assert "Tried again: 1." in browser.post(f"{url}/retry", {"event": "all"}, follow=True).content.decode()


def test_only_what_failed_can_be_tried_again(browser, decided):
    integration, _ = decided
    url = f"/integrations/{integration.uuid}/retry"
    done = InboundEvent.objects.get()
    assert "only one that failed" in browser.post(url, {"event": done.pk}, follow=True).content.decode()
    for unknown in ("nonsense", "", "0a0a0a0a-0000-4000-8000-000000000000"):
        assert browser.post(url, {"event": unknown}).status_code == 404


def test_observers_see_and_do_not_act(observer, decided):
    integration, alert = decided
    an_event(integration, state=State.POISON, error="KeyError", attempts=8, due_at=None)
    page = observer.get(f"/integrations/{integration.uuid}").content.decode()
    assert "KeyError" in page and "Try again" not in page and "Configure" not in page
    assert observer.get(f"/alerts/{alert.pk}").status_code == 200
    assert observer.post(f"/integrations/{integration.uuid}/retry", {"event": "all"}).status_code == 403


def test_strangers_sign_in_first(client, decided):
    integration, alert = decided
    for url in ("/alerts", f"/alerts/{alert.pk}", "/integrations", f"/integrations/{integration.uuid}"):
        answer = client.get(url)
        assert answer.status_code == 302 and answer.url.startswith(reverse("login"))


def test_the_page_says_how_many_events_failed_also_when_it_shows_only_the_last(browser, decided):
    integration, _ = decided
    for _ in range(31):
        an_event(integration, state=State.POISON, error="KeyError", attempts=8, due_at=None)
    page = browser.get(f"/integrations/{integration.uuid}").content.decode()
    assert "31 events of it could not be read or decided" in page and "the last 30 of 31" in page
    assert page.count("Try again<") == 30


def test_the_page_of_a_door_says_that_its_sender_is_turned_away(browser, decided):
    integration, _ = decided
    alarm = refusals.alarm_key(integration.pk)
    alarms.raise_alarm(alarm, "Its alerts reach nobody. The signature is wrong.", now=factories.NOW)
    assert "The signature is wrong" in browser.get(f"/integrations/{integration.uuid}").content.decode()
    assert "Turned away" in browser.get("/integrations").content.decode()
    alarms.clear_alarm(alarm, now=factories.NOW)
    assert "The signature is wrong" not in browser.get(f"/integrations/{integration.uuid}").content.decode()
    assert "Turned away" not in browser.get("/integrations").content.decode()


@pytest.mark.parametrize("spelt", [str.lower, str.upper])
def test_a_key_in_the_body_of_an_event_is_shown_to_nobody(observer, service, spelt):
    integration = factories.IntegrationFactory(source="pagerduty", service=service, last_event_at=factories.NOW)
    key, trace = spelt(integration.key), "0123456789abcdef" * 2
    payload = f'{{"summary": "Disk full", "source": "{trace}", "severity": "critical"}}'
    body = f'{{"event_action": "trigger", "dedup_key": "disk", "payload": {payload}, "routing_key": "'
    across = " " * (SHOWN_BODY - 20 - len(body))  # the end of what is shown cuts the key
    for padding in (across, ""):
        event = an_event(integration, f'{padding}{body}{key}"}}'.encode())
        ingest.decide_ids([event.pk], now=factories.NOW)
    for url in (f"/integrations/{integration.uuid}", f"/alerts/{Alert.objects.get().pk}"):
        page = observer.get(url).content.decode()
        assert key[:16] not in page and f"(key …{key[-4:]})" in page, "whoever may read may not send"
        assert trace in page, "what is no key stays"


def test_the_routing_key_of_a_service_in_the_body_is_hidden_too(observer, service):
    integration = factories.IntegrationFactory(service=service, last_event_at=factories.NOW)
    an_event(integration, f'{{"title": "Disk full", "service": "{service.routing_key}"}}'.encode())
    assert service.routing_key not in observer.get(f"/integrations/{integration.uuid}").content.decode()


def test_a_request_with_a_thousand_alerts_does_not_make_the_page_endless(browser, decided):
    integration, alert = decided
    result = [{"alert_id": str(alert.pk), "incident": None, "outcome": "repeat", "reasons": []}] * 1000
    an_event(integration, state=State.DECIDED, due_at=None, result=result)
    page = browser.get(f"/integrations/{integration.uuid}").content.decode()
    assert page.count("Repeat") == 20 and "And 980 more" in page


def test_the_page_of_a_held_alert_leads_to_what_holds_it_and_lets_it_go(browser, alice, service):
    now = timezone.now()
    span = {"starts_at": now, "ends_at": now + dt.timedelta(hours=1), "by": alice, "now": now}
    silence = silences.create(condition='env = "staging"', reason="Disk work", **span)
    held_by = {"held_by": silences.by_of(silence), "held_why": "Silence by Alice: Disk work", "held_at": now}
    alert = factories.AlertFactory(service=service, **held_by)
    page = browser.get(f"/alerts/{alert.pk}").content.decode()
    assert f"/silences/{silence.uuid}" in page and "Page now" in page
    answer = browser.post(f"/held/{alert.pk}/release", {"then": "alert"}, follow=True)
    assert answer.request["PATH_INFO"] == f"/alerts/{alert.pk}" and "let go" in answer.content.decode()


def test_an_observer_cannot_let_a_held_alert_go(observer, service):
    alert = factories.AlertFactory(service=service, held_by="silence:1", held_why="Quiet", held_at=factories.NOW)
    page = observer.get(f"/alerts/{alert.pk}").content.decode()
    assert "Page now" not in page and "Silence alerts like this" not in page
    assert observer.post(f"/held/{alert.pk}/release").status_code == 403


def test_the_alerts_of_an_incident_lead_to_their_decisions(browser, decided):
    _, alert = decided
    assert f'href="/alerts/{alert.pk}"' in browser.get(f"/incidents/{alert.incident_id}/alerts").content.decode()


@pytest.mark.parametrize("kind", [kind for kind, _ in source_choices()])
def test_the_steps_of_every_source_lose_nothing_when_they_are_split(kind):
    text = setup_text(kind, NO_KEY)
    parts = setup_parts(text)
    assert "".join("".join(part.split()) for part, _ in parts) == "".join(text.split())
    assert any(is_copied and NO_KEY in part for part, is_copied in parts) or kind == "email"


def test_what_is_to_be_copied_is_one_block():
    def copied(kind, beginning):
        return [part for part, yes in setup_parts(setup_text(kind, NO_KEY)) if yes and part.startswith(beginning)]

    payload, headers = copied("datadog", "{")
    assert "alert_id" in json.loads(payload) and "Authorization" in json.loads(headers)
    (script,) = copied("zabbix", "try {")
    assert script.rstrip().endswith("}") and "delete params.url" in script, "its empty lines do not end it"
