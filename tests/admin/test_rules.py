"""Routing rules in the admin: what is refused, what follows a change, and the page that tests them."""

import datetime as dt
import json

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from alerts.models import Alert, InboundEvent, Rule
from tests import factories

LIST = "admin:alerts_rule_changelist"
TEST = "admin:alerts_rule_rehearse"


def page_of(rule):
    return reverse("admin:alerts_rule_change", args=[rule.pk])


def new_rule(**fields):
    return {"name": "Databases", "position": 10, "action": "route", "severity": "high", "is_enabled": "on"} | fields


def add(browser, **fields):
    return browser.post(reverse("admin:alerts_rule_add"), new_rule(**fields))


def errors_of(response):
    assert response.status_code == 200
    return response.context["adminform"].form.errors


# --- the form -----------------------------------------------------------------------------------------------------


def test_a_rule_is_saved_with_everything_it_says(browser):
    integration, service = factories.IntegrationFactory(), factories.ServiceFactory()
    policy = factories.EscalationPolicyFactory()
    response = add(
        browser,
        integration=integration.pk,
        condition='labels.env = "prod" and severity in ("critical", "high")',
        days=["0", "4"],
        starts_at="22:00",
        ends_at="06:00",
        time_zone="Europe/Berlin",
        service=service.pk,
        policy=policy.pk,
        priority="P1",
        title="{labels.host}: {title}",
        goes_on="on",
    )
    assert response.status_code == 302, errors_of(response)
    rule = Rule.objects.get()
    assert (rule.integration, rule.service, rule.policy) == (integration, service, policy)
    assert (rule.days, rule.starts_at, rule.ends_at) == ([0, 4], dt.time(22), dt.time(6))
    assert (rule.time_zone, rule.title, rule.goes_on) == ("Europe/Berlin", "{labels.host}: {title}", True)


def test_a_rule_that_is_saved_again_unchanged_stays_the_same(browser, fields_of):
    rule = factories.RuleFactory(
        condition='env = "prod"',
        days=[1, 2],
        starts_at=dt.time(8),
        ends_at=dt.time(9),
        time_zone="Asia/Kolkata",
    )
    before = Rule.objects.values().get()
    assert browser.post(page_of(rule), fields_of(page_of(rule))).status_code == 302
    assert Rule.objects.values().get() == before


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"condition": "labels.env ="}, "condition", "In column 13: after “=” a text in quotes is missing"),
        ({"condition": 'title =~ "(a"'}, "condition", "In column 10: the regular expression cannot be used"),
        ({"condition": 'severity = "warning"'}, "condition", "write labels.severity"),
        ({"title": "{labels.host"}, "title", "In column 1: the brace is not closed"),
        ({"starts_at": "08:00", "time_zone": "UTC"}, "ends_at", "Give both times"),
        ({"starts_at": "08:00", "ends_at": "08:00", "time_zone": "UTC"}, "ends_at", "Both times are the same"),
        ({"days": ["0"]}, "time_zone", "Say in which time zone"),
        ({"days": ["7"]}, "days", "Select a valid choice"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "is not a time zone"),
        ({"severity": ""}, "__all__", "The rule does nothing"),
        ({"severity": "", "goes_on": "on"}, "__all__", "The rule does nothing"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(browser, fields, field, said):
    errors = errors_of(add(browser, **fields))
    assert said in errors[field][0]
    assert not Rule.objects.exists()


@pytest.mark.parametrize(
    "fields", [{"action": "drop"}, {"action": "suppress"}, {"pages_nobody": "on"}, {"title": "x"}]
)
def test_any_effect_is_enough(browser, fields):
    assert add(browser, severity="", **fields).status_code == 302


def test_the_list_says_what_each_rule_does(browser):
    service = factories.ServiceFactory(name="Payments")
    factories.RuleFactory(name="Databases first", service=service, condition='env = "prod"', severity="")
    factories.RuleFactory(name="Throw away", action="drop", days=[5, 6], time_zone="UTC", severity="")
    page = browser.get(reverse(LIST)).content.decode()
    for text in ("service Payments", "env = &quot;prod&quot;", "every alert", "Sat, Sun UTC", "drop", reverse(TEST)):
        assert text in page
    assert "Databases first" not in browser.get(reverse(LIST), {"action__exact": "drop"}).content.decode()


def test_the_list_stands_in_the_order_in_which_rules_are_asked(browser):
    integration = factories.IntegrationFactory()
    factories.RuleFactory(name="third", position=1)
    factories.RuleFactory(name="second", position=9, integration=integration)
    factories.RuleFactory(name="first", position=5, integration=integration)
    assert [rule.name for rule in browser.get(reverse(LIST)).context["cl"].queryset] == ["first", "second", "third"]


# --- what follows a change ----------------------------------------------------------------------------------------


@pytest.fixture
def held(db):
    """A rule that suppressed an alert, which still fires; it would be looked at again in an hour."""
    rule = factories.RuleFactory(name="Quiet", action="suppress", severity="")
    later = timezone.now() + dt.timedelta(hours=1)
    factories.AlertFactory(incident=None, held_by=f"rule:{rule.pk}", held_why="Rule “Quiet”", recheck_at=later)
    return rule


def is_looked_at_again():
    return Alert.objects.get().recheck_at <= timezone.now()


def test_a_rule_that_changes_lets_its_alerts_be_looked_at_again(browser, fields_of, held):
    assert not is_looked_at_again()
    assert browser.post(page_of(held), fields_of(page_of(held)) | {"condition": 'env = "x"'}).status_code == 302
    assert is_looked_at_again()


def test_so_does_one_that_is_disabled(browser, held):
    assert browser.post(reverse("admin:alerts_rule_do", args=[held.pk, "disable"])).status_code == 302
    assert not Rule.objects.get().is_enabled
    assert is_looked_at_again()


def test_so_does_one_that_is_deleted(browser, held):
    assert browser.post(reverse("admin:alerts_rule_delete", args=[held.pk]), {"post": "yes"}).status_code == 302
    assert not Rule.objects.exists()
    assert is_looked_at_again()


def test_so_do_several_that_are_deleted_in_the_list(browser, held):
    browser.post(reverse(LIST), {"action": "delete_selected", "_selected_action": [held.pk], "post": "yes"})
    assert not Rule.objects.exists()
    assert is_looked_at_again()


def test_so_does_one_that_goes_with_its_integration(browser, held):
    held.integration = factories.IntegrationFactory()
    held.save()
    held.integration.delete()
    assert not Rule.objects.exists()
    assert is_looked_at_again()


def test_another_rule_leaves_them_alone(browser, held):
    other = factories.RuleFactory()
    browser.post(reverse("admin:alerts_rule_do", args=[other.pk, "disable"]))
    assert not is_looked_at_again()


# --- the test page ------------------------------------------------------------------------------------------------

PAYLOAD = json.dumps({"title": "Disk <full>", "severity": "high", "labels": {"env": "prod", "host": "db-1"}})


@pytest.fixture
def called(db):
    """An integration whose service calls Alice by mail, and Bob five minutes later."""
    people = [factories.ContactMethodFactory(user__name=name).user for name in ("Alice", "Bob")]
    policy = factories.EscalationPolicyFactory(name="Payments day and night", calls=people)
    return factories.IntegrationFactory(service=factories.ServiceFactory(name="Payments", policy=policy))


def rehearse(browser, **fields):
    response = browser.post(reverse(TEST), fields)
    assert response.status_code == 200
    assert not response.context["form"].errors, response.context["form"].errors
    return response.content.decode()


def test_the_page_shows_rules_service_key_and_who_would_be_paged(browser, called):
    factories.RuleFactory(name="Stage", condition='env = "stage"')
    factories.RuleFactory(name="Prod", condition='env = "prod"', severity="critical", title="{labels.host}: {title}")
    page = rehearse(browser, integration=called.pk, body=PAYLOAD)
    for text in (
        "Disk &lt;full&gt;",
        "labels.env is “prod”, not “stage”",
        "It opens a new incident.",
        "critical, priority P1",
        "db-1: Disk &lt;full&gt;",
        "Payments day and night",
        "Alice",
        "after 5 min",
        "Bob",
        "email",
        "The sender gets the status 202",
    ):
        assert text in page
    assert not Alert.objects.exists()
    assert not InboundEvent.objects.exists()


def test_the_time_is_chosen_in_the_zone_of_the_site(browser, called):
    factories.RuleFactory(name="Night", starts_at=dt.time(22), ends_at=dt.time(6), time_zone="UTC")
    zone = timezone.get_current_timezone()
    at = dt.datetime(2026, 6, 1, 23, 30, tzinfo=dt.UTC).astimezone(zone)
    page = rehearse(browser, integration=called.pk, body=PAYLOAD, at=f"{at:%Y-%m-%dT%H:%M}")
    assert "it is Monday 23:30 in UTC" in page
    assert "<strong>yes</strong>" in page


def test_of_what_is_held_the_page_says_who_is_called_when_it_ends(browser, called):
    factories.RuleFactory(name="Quiet nights", action="suppress")
    page = rehearse(browser, integration=called.pk, body=PAYLOAD)
    assert "Rule “Quiet nights” suppresses it" in page
    assert "if it still fires when nothing holds it" in page
    assert "Bob" in page


def test_a_mistake_of_the_sender_is_shown_as_the_sender_gets_it(browser, called):
    page = rehearse(browser, integration=called.pk, body='{"labels": {}}')
    assert "cannot make an event of it" in page
    assert "The sender gets the status 400" in page


def test_a_service_is_tested_by_its_routing_key(browser, called):
    page = rehearse(browser, service=called.service.pk, source="generic", body=PAYLOAD)
    assert "the event came through its own key" in page


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"body": "{}"}, "integration", "Choose an integration, or a service"),
        ({"body": ""}, "body", "Paste the body"),
        ({"body": "{}", "headers": "no header"}, "headers", "“no header” is no header"),
        ({"body": "{}", "at": "yesterday"}, "at", "Enter a valid date/time"),
    ],
)
def test_what_is_missing_on_the_test_page_is_said(browser, fields, field, said):
    response = browser.post(reverse(TEST), fields)
    assert said in response.context["form"].errors[field][0]


def test_a_kept_event_is_filled_in(browser, called):
    body = b'{"title": "Kept"}'
    event = InboundEvent.objects.create(
        source="generic", scope="x", integration=called, body=body, headers={"content-type": "application/json"}
    )
    response = browser.get(reverse(TEST), {"event": str(event.pk)})
    form = response.context["form"]
    assert form.initial["integration"] == called.pk
    assert form.initial["body"] == '{"title": "Kept"}'
    assert form.initial["headers"] == "content-type: application/json"
    assert reverse(TEST) in browser.get(reverse("admin:alerts_inboundevent_change", args=[event.pk])).content.decode()


def test_a_kept_event_that_is_too_large_is_not_filled_in(browser, called):
    event = InboundEvent.objects.create(source="generic", scope="x", integration=called, body=b"x" * (300 * 1024))
    response = browser.get(reverse(TEST), {"event": str(event.pk)})
    assert "too large to be filled in (300 KiB)" in response.content.decode()
    assert "body" not in response.context["form"].initial


@pytest.mark.parametrize("event", ["nonsense", "6b1f8a56-2b6f-4c8c-b1b5-6f0a0d4b6f11"])
def test_an_event_that_is_gone_is_said(browser, event):
    assert "not kept any more" in browser.get(reverse(TEST), {"event": event}).content.decode()


def test_the_page_of_an_integration_leads_to_its_test(browser):
    integration = factories.IntegrationFactory()
    page = browser.get(reverse("admin:alerts_integration_change", args=[integration.pk])).content.decode()
    assert f"{reverse(TEST)}?integration={integration.pk}" in page
    assert browser.get(f"{reverse(TEST)}?integration={integration.pk}").status_code == 200


def test_whoever_may_not_see_what_came_in_sees_no_test(client, db):
    user = factories.UserFactory(role=Role.RESPONDER, password="correct horse")
    client.force_login(user)
    assert client.get(reverse(TEST)).status_code == 403
