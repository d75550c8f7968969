"""Accounts at providers, destinations and wording in the admin: secrets stay secret, and nothing half is saved."""

import json

import pytest
from django.urls import reverse
from django.utils import timezone

from core import secrets
from incidents.models import Subscription
from notifications.models import Circuit, ContactMethod, Destination, Notification, Provider, Wording
from tests import factories

ADD = "admin:notifications_provider_add"
TWILIO = {"vendor": "twilio", "name": "main", "position": 1, "is_enabled": "on"}
SETTINGS = {
    "setting_account_sid": "AC" + "1" * 32,
    "setting_auth_token": "hush-hush",
    "setting_from_number": "+15005550006",
    "setting_base_url": "https://api.twilio.com",
}


def page_of(row):
    return reverse(f"admin:notifications_{row._meta.model_name}_change", args=[row.pk])


@pytest.fixture
def provider(db):
    return factories.ProviderFactory(name="main")


def test_first_the_vendor_is_chosen_and_then_its_settings_are_asked_for(browser, said):
    response = browser.post(reverse(ADD), TWILIO)
    assert "Enter the Account SID" in response.content.decode(), "the vendor is known, so its settings are asked for"
    assert not Provider.objects.exists()
    page = browser.get(reverse(ADD), {"vendor": "twilio"}).content.decode()
    assert "setting_auth_token" in page and "Choose the vendor" not in page
    assert "Choose the vendor" in browser.get(reverse(ADD)).content.decode()


def test_an_account_is_saved_and_its_secret_never_shown_again(browser, fields_of):
    response = browser.post(reverse(ADD), TWILIO | SETTINGS)
    assert response.status_code == 302, response.context["adminform"].errors
    provider = Provider.objects.get()
    assert provider.config["auth_token"] == "hush-hush"
    page = browser.get(page_of(provider)).content.decode()
    assert "hush-hush" not in page
    assert "AC" + "1" * 32 in page


def test_an_empty_secret_keeps_the_stored_one_and_a_new_one_replaces_it(browser, fields_of, provider):
    data = fields_of(page_of(provider)) | {"setting_from_number": "+15005550007", "name": "backup"}
    assert browser.post(page_of(provider), data).status_code == 302
    provider.refresh_from_db()
    assert (provider.name, provider.config["auth_token"]) == ("backup", "12345")
    assert provider.config["from_number"] == "+15005550007"
    browser.post(page_of(provider), data | {"setting_auth_token": "67890"})
    provider.refresh_from_db()
    assert provider.config["auth_token"] == "67890"


def test_what_is_missing_is_said_at_its_field(browser, fields_of, provider):
    data = fields_of(page_of(provider)) | {"setting_account_sid": ""}
    response = browser.post(page_of(provider), data)
    assert response.status_code == 200
    assert "setting_account_sid" in response.context["adminform"].form.errors


def test_a_corrected_account_is_tried_at_once(browser, fields_of, provider):
    Circuit.objects.create(
        name=f"{provider.key} sms", failures=5, is_held=True, last_error="Wrong token.", changed_at=timezone.now()
    )
    assert "Wrong token." in browser.get(page_of(provider)).content.decode()
    browser.post(page_of(provider), fields_of(page_of(provider)) | {"setting_auth_token": "67890"})
    assert not Circuit.objects.filter(is_held=True).exists()


def test_a_circuit_is_closed_by_hand(browser):
    circuit = Circuit.objects.create(name="webhook-host", failures=5, changed_at=timezone.now())
    browser.post(reverse("admin:notifications_circuit_do", args=[circuit.pk, "close"]))
    assert not Circuit.objects.filter(failures__gt=0).exists()


def test_a_destination_is_made_with_its_subscription_and_its_address_stays_secret(browser, fields_of, team):
    url = reverse("admin:notifications_destination_add")
    data = fields_of(url) | {
        "name": "Shop hook",
        "channel": "webhook",
        "address": "https://hooks.example.com/T0/SECRET",
        "options": "{}",
        "is_enabled": "on",
        "subscriptions-TOTAL_FORMS": 1,
        "subscriptions-0-team": team.pk,
        "subscriptions-0-events": ["triggered", "resolved"],
        "subscriptions-0-minimum_severity": "high",
    }
    response = browser.post(url, data)
    assert response.status_code == 302, response.context["errors"]
    place = Destination.objects.get()
    assert place.secret.startswith("whsec_")
    subscription = Subscription.objects.get()
    assert (subscription.team, subscription.events, subscription.minimum_severity) == (
        team,
        ["triggered", "resolved"],
        "high",
    )
    for path in (page_of(place), reverse("admin:notifications_destination_changelist")):
        page = browser.get(path).content.decode()
        assert "https://hooks.example.com/…" in page and "SECRET" not in page


def test_an_empty_address_keeps_the_stored_one(browser, fields_of):
    place = factories.DestinationFactory(address="https://hooks.example.com/T0/SECRET")
    data = fields_of(page_of(place)) | {"name": "Renamed"}
    assert data["address"] == ""
    assert browser.post(page_of(place), data).status_code == 302
    place.refresh_from_db()
    assert (place.name, place.address) == ("Renamed", "https://hooks.example.com/T0/SECRET")
    assert Destination.objects.filter(address_key__in=secrets.fingerprints(place.address)).exists()


@pytest.mark.parametrize("text", ["{garbage", "[1]", '"headers"', '{"headers": 3}'])
def test_options_that_are_no_names_and_texts_are_refused_with_a_sentence(browser, fields_of, text):
    place = factories.DestinationFactory(address="https://hooks.example.com/T0/SECRET")
    response = browser.post(page_of(place), fields_of(page_of(place)) | {"options": text})
    assert response.status_code == 200
    assert response.context["adminform"].form.errors["options"] == [
        'Names and texts as JSON, for example {"topic_id": "4"}.'
    ]


def test_secret_options_are_kept_without_being_shown(browser, fields_of):
    options = {"headers": "Authorization: Bearer hush", "team": "T1"}
    place = factories.DestinationFactory(address="https://hooks.example.com/x", options=options)
    page = browser.get(page_of(place)).content.decode()
    assert "hush" not in page and "Stored and not shown: headers." in page
    data = fields_of(page_of(place)) | {"name": "Renamed"}
    assert json.loads(data["options"]) == {"team": "T1"}
    response = browser.post(page_of(place), data)
    assert response.status_code == 302, response.context["errors"]
    place.refresh_from_db()
    assert (place.name, place.options) == ("Renamed", options)
    browser.post(page_of(place), data | {"options": '{"headers": ""}'})
    place.refresh_from_db()
    assert place.options == {"headers": ""}


def test_an_address_is_explained_for_its_own_channel(browser):
    place = factories.DestinationFactory()
    helps = [
        browser.get(path).content.decode() for path in (page_of(place), reverse("admin:notifications_destination_add"))
    ]
    assert ["integration key" in text for text in helps] == [False, True]
    assert not any("turn push on there" in text for text in helps)  # the browsers of people are no destination


def test_a_subscription_is_of_a_team_or_a_service(browser, fields_of, team, service):
    place = factories.DestinationFactory()
    url = reverse("admin:incidents_subscription_add")
    data = {"destination": place.pk, "events": ["triggered"], "minimum_severity": "info"}
    for both in ({}, {"team": team.pk, "service": service.pk}):
        response = browser.post(url, data | both)
        assert response.status_code == 200
        assert "Choose a team or a service, not both." in response.content.decode()
    assert browser.post(url, data | {"service": service.pk}).status_code == 302
    assert "is told of this service already" in browser.post(url, data | {"service": service.pk}).content.decode()


def test_a_test_is_sent_from_the_page_and_linked(browser, said, bob):
    method = bob.contact_methods.get()
    response = browser.post(reverse("admin:notifications_contactmethod_do", args=[method.pk, "send_test"]))
    sent = Notification.objects.get()
    assert (sent.kind, sent.contact_method) == ("test", method)
    assert reverse("admin:notifications_notification_change", args=[sent.pk]) in said(response)


def test_the_same_address_twice_is_refused_with_a_sentence(browser, fields_of, bob):
    url = reverse("admin:notifications_contactmethod_add")
    data = {"user": bob.pk, "channel": "email", "address": bob.email, "options": "{}"}
    response = browser.post(url, data)
    assert response.status_code == 200
    assert "has this address on this channel already" in response.content.decode()
    assert ContactMethod.objects.filter(user=bob).count() == 1


def test_wording_is_checked_and_shown_with_a_sample(browser):
    url = reverse("admin:notifications_wording_add")
    broken = {"kind": "page", "channel": "", "title": "{{ title", "body": "{% load x %}", "is_enabled": "on"}
    response = browser.post(url, broken)
    assert response.status_code == 200
    assert response.context["adminform"].errors
    assert not Wording.objects.exists()
    browser.post(url, broken | {"title": "Wake up: {{ title }}", "body": ""})
    page = browser.get(page_of(Wording.objects.get())).content.decode()
    assert "Wake up: " in page
