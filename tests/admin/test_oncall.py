"""Schedules and policies are edited on one page each, and the page says what they mean."""

import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from catalog.models import Service
from oncall import lookup
from oncall.models import EscalationPolicy, Override, Schedule
from tests import factories

ADD_SCHEDULE, ADD_POLICY = "admin:oncall_schedule_add", "admin:oncall_escalationpolicy_add"


def page_of(row):
    return reverse(f"admin:oncall_{row._meta.model_name}_change", args=[row.pk])


def errors_of(response):
    """What the inline forms of the page say is wrong."""
    assert response.status_code == 200
    said = []
    for inline in response.context["inline_admin_formsets"]:
        said += inline.formset.non_form_errors()
        for form in inline.formset.forms:
            for errors in form.errors.values():
                said += errors
    return said


# --- schedules ----------------------------------------------------------------------------------------------------
def a_layer(number, name, people, **fields):
    fields = {"position": number + 1, "every": 1, "unit": "week", **fields}
    fields |= {"start_date": "2026-01-05", "handoff_time": "09:00", "name": name}
    layer = {f"layers-{number}-{key}": value for key, value in fields.items()}
    return layer | {f"layers-{number}-participants": [*(one.pk for one in people), "", "", ""]}


@pytest.fixture
def new_schedule(team):
    data = {"name": "Shop on call", "slug": "shop-on-call", "team": team.pk, "time_zone": "Europe/Berlin"}
    for prefix in ("layers", "overrides"):
        data |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    return data


def test_a_schedule_is_made_on_one_page(browser, new_schedule, alice, bob, charlie):
    data = new_schedule | {"layers-TOTAL_FORMS": 2} | a_layer(0, "Days", [bob, alice, bob])
    data |= a_layer(1, "Nights", [charlie])
    response = browser.post(reverse(ADD_SCHEDULE), data)
    assert response.status_code == 302, errors_of(response)
    layers = Schedule.objects.get().layers.all()
    assert [[one.user for one in layer.participants.all()] for layer in layers] == [[bob, alice, bob], [charlie]]


def test_a_layer_without_participants_is_refused(browser, new_schedule):
    data = new_schedule | {"layers-TOTAL_FORMS": 1} | a_layer(0, "Nights", [])
    response = browser.post(reverse(ADD_SCHEDULE), data)
    assert errors_of(response) == ["Layer Nights has no participants. Add one, or delete the layer."]
    assert not Schedule.objects.exists()


def test_two_layers_of_one_position_are_refused(browser, new_schedule, alice, bob):
    data = new_schedule | {"layers-TOTAL_FORMS": 2} | a_layer(0, "Days", [alice])
    response = browser.post(reverse(ADD_SCHEDULE), data | a_layer(1, "Nights", [bob], position=1))
    assert errors_of(response) == ["Layer Days has this position too. The higher one wins: choose another."]


def test_a_layer_that_lost_its_participants_may_be_deleted(browser, fields_of, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule)) | {"layers-0-participants": []}
    assert errors_of(browser.post(page_of(schedule), data))
    assert browser.post(page_of(schedule), data | {"layers-0-DELETE": "on"}).status_code == 302
    assert not schedule.layers.exists()


def test_participants_are_put_in_another_order(browser, fields_of, alice, bob, charlie):
    schedule = factories.ScheduleFactory(people=[alice, bob])
    data = fields_of(page_of(schedule))
    assert data["layers-0-participants"] == [str(alice.pk), str(bob.pk)]
    data |= {"layers-0-participants": [charlie.pk, bob.pk, "", alice.pk, ""]}
    assert browser.post(page_of(schedule), data).status_code == 302
    assert [one.user for one in schedule.layers.get().participants.all()] == [charlie, bob, alice]


def test_participants_that_did_not_change_keep_their_rows(browser, fields_of, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice, bob, alice])
    before = list(schedule.layers.get().participants.values_list("pk", flat=True))
    assert browser.post(page_of(schedule), fields_of(page_of(schedule)) | {"name": "New name"}).status_code == 302
    assert list(schedule.layers.get().participants.values_list("pk", flat=True)) == before
    assert Schedule.objects.get().name == "New name"


def test_the_page_shows_the_next_four_weeks_in_the_zone_of_the_schedule(browser, alice, bob):
    schedule = factories.ScheduleFactory(people=[alice, bob], time_zone="America/New_York")
    now = timezone.now()
    shifts = lookup.final(schedule, start=now, end=now + dt.timedelta(weeks=4))
    page = browser.get(page_of(schedule)).content.decode()
    assert "Times in America/New_York." in page
    assert page.count("<td>Alice</td>") == len([one for one in shifts if one.user_id == alice.pk]) >= 2
    assert "09:00" in page


def test_a_gap_is_shown_as_nobody(browser):
    assert "<strong>nobody</strong>" in browser.get(page_of(factories.ScheduleFactory())).content.decode()


def test_the_list_says_who_is_on_call_now(browser, alice):
    factories.ScheduleFactory(people=[alice])
    factories.ScheduleFactory()
    page = browser.get(reverse("admin:oncall_schedule_changelist")).content.decode()
    assert "Alice" in page
    assert "nobody" in page


def test_an_override_is_made_on_the_page_and_shows_in_the_preview(browser, fields_of, ada, alice, charlie):
    schedule = factories.ScheduleFactory(people=[alice])
    day = timezone.now().date() + dt.timedelta(days=2)
    data = fields_of(page_of(schedule)) | {"overrides-TOTAL_FORMS": 1, "overrides-0-user": charlie.pk}
    data |= {"overrides-0-start_at_0": str(day), "overrides-0-start_at_1": "10:00"}
    data |= {"overrides-0-end_at_0": str(day), "overrides-0-end_at_1": "12:00"}
    assert browser.post(page_of(schedule), data).status_code == 302
    assert Override.objects.get().created_by == ada
    assert "<td>Charlie</td>" in browser.get(page_of(schedule)).content.decode()


def test_overrides_that_are_over_stay_when_the_page_is_saved(browser, fields_of, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    past = timezone.now() - dt.timedelta(days=9)
    factories.OverrideFactory(schedule=schedule, user=alice, start_at=past, end_at=past + dt.timedelta(hours=1))
    assert browser.post(page_of(schedule), fields_of(page_of(schedule))).status_code == 302
    assert Override.objects.count() == 1


def test_the_page_says_in_which_zone_a_time_is_typed(browser, alice, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    page = browser.get(page_of(factories.ScheduleFactory(people=[alice], time_zone="Asia/Tokyo"))).content.decode()
    assert "Time zone: Europe/Berlin." in page


def test_a_wrong_override_is_a_field_error_on_the_page(browser, fields_of, alice):
    schedule = factories.ScheduleFactory(people=[alice])
    data = fields_of(page_of(schedule)) | {"overrides-TOTAL_FORMS": 1, "overrides-0-user": alice.pk}
    data |= {"overrides-0-start_at_0": "2030-01-02", "overrides-0-start_at_1": "10:00"}
    data |= {"overrides-0-end_at_0": "2030-01-01", "overrides-0-end_at_1": "10:00"}
    assert "The override ends before it starts. Choose a later end." in errors_of(
        browser.post(page_of(schedule), data)
    )


# --- policies -----------------------------------------------------------------------------------------------------
def a_level(index, *, order="", people=(), schedules=(), delay=5):
    level = {"order": order, "delay_minutes": delay, "people": [one.pk for one in people]}
    level["schedules"] = [one.pk for one in schedules]
    return {f"levels-{index}-{key}": value for key, value in level.items()}


@pytest.fixture
def new_policy(team):
    data = {"name": "Shop", "slug": "shop", "team": team.pk, "repeats": 2, "nobody_action": "next_level"}
    return data | {"levels-TOTAL_FORMS": 1, "levels-INITIAL_FORMS": 0}


def levels_of(policy):
    return [
        (level.number, level.delay_minutes, [str(one) for one in level.targets.all()])
        for level in policy.levels.order_by("number")
    ]


def test_a_policy_is_made_on_one_page(browser, new_policy, alice, bob):
    schedule = factories.ScheduleFactory(people=[bob], name="Primary")
    data = new_policy | {"levels-TOTAL_FORMS": 2} | a_level(0, people=[alice], schedules=[schedule], delay=7)
    response = browser.post(reverse(ADD_POLICY), data | a_level(1, people=[bob], delay=9))
    assert response.status_code == 302, errors_of(response)
    assert levels_of(EscalationPolicy.objects.get()) == [(1, 7, ["Alice", "Primary"]), (2, 9, ["Bob"])]


def test_levels_are_numbered_by_their_order_without_holes(browser, fields_of, alice, bob, charlie):
    policy = factories.EscalationPolicyFactory(calls=[alice, bob, charlie])
    data = fields_of(page_of(policy)) | {"levels-0-order": 9, "levels-1-DELETE": "on", "levels-2-order": 4}
    response = browser.post(page_of(policy), data)
    assert response.status_code == 302, errors_of(response)
    assert levels_of(policy) == [(1, 15, ["Charlie"]), (2, 5, ["Alice"])]


def test_two_levels_change_places(browser, fields_of, alice, bob):
    policy = factories.EscalationPolicyFactory(calls=[alice, bob])
    data = fields_of(page_of(policy)) | {"levels-0-order": 2, "levels-1-order": 1}
    assert browser.post(page_of(policy), data).status_code == 302
    assert levels_of(policy) == [(1, 10, ["Bob"]), (2, 5, ["Alice"])]


def test_a_level_without_targets_is_refused(browser, fields_of, alice, bob):
    policy = factories.EscalationPolicyFactory(calls=[alice, bob])
    data = fields_of(page_of(policy)) | {"levels-1-people": []}
    assert errors_of(browser.post(page_of(policy), data)) == [
        "Level 2 calls nobody. Add a person or a schedule, or delete the level."
    ]
    assert levels_of(policy) == [(1, 5, ["Alice"]), (2, 10, ["Bob"])]


def test_a_policy_without_levels_is_refused(browser, new_policy, fields_of, alice):
    words = ["The policy calls nobody. Add a level with a person or a schedule."]
    assert errors_of(browser.post(reverse(ADD_POLICY), new_policy | a_level(0))) == words
    policy = factories.EscalationPolicyFactory(calls=[alice])
    data = fields_of(page_of(policy)) | {"levels-0-DELETE": "on"}
    assert errors_of(browser.post(page_of(policy), data)) == words
    assert levels_of(policy)


def test_targets_that_stay_keep_their_rows(browser, fields_of, alice, bob, charlie):
    policy = factories.EscalationPolicyFactory(calls=[alice])
    row = policy.levels.get().targets.get()
    data = fields_of(page_of(policy)) | {"levels-0-people": [bob.pk, alice.pk]}
    assert browser.post(page_of(policy), data).status_code == 302
    assert row in policy.levels.get().targets.all()
    assert levels_of(policy) == [(1, 5, ["Alice", "Bob"])]


def test_a_second_default_policy_of_a_team_is_a_field_error(browser, new_policy, team, alice):
    factories.EscalationPolicyFactory(name="First", team=team, is_team_default=True)
    response = browser.post(reverse(ADD_POLICY), new_policy | a_level(0, people=[alice]) | {"is_team_default": "on"})
    assert response.context["adminform"].form.errors == {
        "is_team_default": ["“First” is the default policy of Shop. Take the mark off there first."]
    }


def test_the_page_says_who_would_be_called_now(browser, alice, bob):
    empty = factories.ScheduleFactory(name="Nights")
    policy = factories.EscalationPolicyFactory(calls=[alice, empty, bob])
    bob.contact_methods.all().delete()
    page = browser.get(page_of(policy)).content.decode()
    assert "<td>Alice</td><td>named in the policy</td><td>email</td>" in page
    assert "nobody is on call in Nights" in page
    assert "no verified address" in page


# --- services -----------------------------------------------------------------------------------------------------
def test_a_service_shows_the_policy_it_uses(browser, team, alice):
    service = factories.ServiceFactory(team=team, policy=None)
    url = reverse("admin:catalog_service_change", args=[service.pk])
    assert "Shop has no default policy" in browser.get(url).content.decode()
    policy = factories.EscalationPolicyFactory(name="All of Shop", team=team, is_team_default=True, calls=[alice])
    page = browser.get(url).content.decode()
    assert page_of(policy) in page
    assert "the default policy of Shop" in page
    assert "<td>Alice</td>" in page
    assert "All of Shop (default)" in browser.get(reverse("admin:catalog_service_changelist")).content.decode()


def test_a_routing_key_is_shown_and_never_changed(browser, fields_of, service):
    url = reverse("admin:catalog_service_change", args=[service.pk])
    assert service.routing_key in browser.get(url).content.decode()
    response = browser.post(url, fields_of(url) | {"routing_key": "0" * 32, "name": "Checkout 2"})
    assert response.status_code == 302
    changed = Service.objects.get()
    assert (changed.routing_key, changed.name) == (service.routing_key, "Checkout 2")
