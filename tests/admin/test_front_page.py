"""The front page names what would keep somebody from being paged, and the menu knows every page."""

import datetime as dt

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, User
from alerts.models import InboundEvent
from config import admin_menu
from notifications.models import Alarm
from tests import factories


@pytest.fixture
def all_well(settings, service, ada):
    """A house in which nothing needs attention."""
    settings.EMAIL_URL = "smtp://mail.example.com"
    factories.ContactMethodFactory(user=ada)
    factories.IntegrationFactory(service=service)


def told(user=None):
    user = user or User.objects.get(email="ada@example.com")
    return [matter.text for matter in admin_menu.matters(user, timezone.now())]


def test_nothing_needs_attention(all_well):
    assert told() == []


def test_a_service_without_a_policy_is_told(all_well, service):
    service.policy = None
    service.save()
    assert told() == ["Checkout calls nobody: it has no policy, and Shop has no default policy."]
    service.lifecycle = "archived"
    service.save()
    assert told() == []


def test_a_policy_without_targets_is_told(all_well, service):
    service.policy.levels.all().delete()
    assert told() == ["The policy Shop calls nobody: no level of it has a target."]


def test_a_schedule_with_nobody_on_call_is_told_when_a_policy_calls_it(all_well, team):
    schedule = factories.ScheduleFactory(name="Nights", team=team)
    assert told() == []
    factories.EscalationPolicyFactory(team=team, calls=[schedule])
    assert told() == ["Nobody is on call in Nights, and a policy calls it."]


def test_a_gap_in_the_next_day_is_told_and_a_later_one_is_not(all_well, team, alice, bob):
    schedule = factories.ScheduleFactory(name="Nights", team=team, time_zone="Europe/Berlin", people=[alice])
    factories.EscalationPolicyFactory(team=team, calls=[schedule])
    assert told() == []
    layer = schedule.layers.get()
    layer.ends_at = timezone.now() + dt.timedelta(hours=30)
    layer.save()
    assert told() == []
    layer.ends_at = timezone.now() + dt.timedelta(hours=3)
    layer.save()
    assert len(told()) == 1
    assert "Nobody is on call in Nights from " in told()[0]
    factories.LayerFactory(schedule=schedule, role="SECONDARY", people=[bob])
    assert told() == [], "the secondary is called then"


def test_a_calendar_that_fails_is_told(all_well):
    factories.CalendarImportFactory(name="Duty", error="There is no calendar there.")
    factories.CalendarImportFactory()
    assert told() == ["The calendar Duty could not be read: There is no calendar there."]


def test_a_key_in_use_that_ends_soon_is_told(all_well, alice):
    now = timezone.now()
    for name, days, used in (("soon", 3, now), ("later", 40, now), ("unused", 3, None), ("over", -1, now)):
        key, _ = keys.issue_machine_key(
            name=name,
            scopes=["alerts:write"],
            role="observer",
            by=alice,
            expires_at=now + dt.timedelta(days=days),
        )
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=used)
    keys.issue_key(alice, name="personal", is_personal=True, expires_at=now + dt.timedelta(days=3))
    (text,) = told()
    assert text.startswith("The API key soon (wb_") and "is in use and ends on" in text


def test_an_integration_whose_key_ends_or_ended_is_told(all_well, service):
    now = timezone.now()
    for name, days in (("soon", 3), ("later", 40), ("over", -1)):
        factories.IntegrationFactory(service=service, name=name, key_expires_at=now + dt.timedelta(days=days))
    over, soon = told()
    assert over.startswith("The key of the integration over") and "what it sends is refused" in over
    assert soon.startswith("The key of the integration soon") and " ends: " in soon


def test_who_stood_in_a_layer_that_ended_is_not_told(all_well, charlie):
    charlie.contact_methods.all().delete()
    over = timezone.now() - dt.timedelta(days=1)
    factories.LayerFactory(people=[charlie], ends_at=over)
    assert told() == []


def test_the_front_page_costs_the_same_however_many_schedules_there_are(all_well, ada, team, alice):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            admin_menu.matters(ada, timezone.now())
        return len(queries)

    factories.EscalationPolicyFactory(team=team, calls=[factories.ScheduleFactory(people=[alice])])
    few = cost()
    for _ in range(5):
        factories.EscalationPolicyFactory(team=team, calls=[factories.ScheduleFactory(people=[alice])])
    assert cost() == few


def test_a_person_who_cannot_be_reached_is_told(all_well, bob):
    bob.contact_methods.update(disabled_reason="gone")
    assert told() == ["Bob is to be paged and has no verified address."]


def test_a_deactivated_person_in_a_policy_is_told(all_well, bob):
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert told() == ["Bob is deactivated and still in a rotation or a policy. Put somebody else there."]


def test_alarms_and_given_up_events_are_told_and_counted_in_the_menu(all_well, service, ada, rf):
    now = timezone.now()
    Alarm.objects.create(key="a", text="The mail server is down.", raised_at=now, last_at=now)
    Alarm.objects.create(key="b", text="Over.", raised_at=now, last_at=now, cleared_at=now + dt.timedelta(1))
    InboundEvent.objects.create(source="generic", scope="x", body=b"{}", state=InboundEvent.State.POISON)
    assert told() == [
        "The mail server is down.",
        "Events that could not be read or decided: 1. Nobody was paged for them.",
    ]
    request = rf.get("/admin/")
    request.user = ada
    badges = {item["title"]: item.get("badge") for group in admin_menu.navigation(request) for item in group["items"]}
    assert (badges["Alarms"], badges["Inbound events"], badges["Users"]) == ("1", "1", None)


def test_the_front_page_shows_them(browser, settings):
    settings.UNFOLD = {**settings.UNFOLD, "DASHBOARD_CALLBACK": "config.admin_menu.dashboard"}
    settings.UNFOLD["SIDEBAR"] = {"navigation": "config.admin_menu.navigation"}
    page = browser.get(reverse("admin:index")).content.decode()
    assert "No integration is enabled" in page
    assert reverse("admin:oncall_schedule_changelist") in page


def test_the_menu_has_every_page_once():
    named = [label for _, models in admin_menu.GROUPS for label, _ in models]
    assert sorted(named) == sorted(model._meta.label_lower for model in admin.site._registry)
