"""Integrations: the key is shown once, and the page says how to set the sender up."""

import datetime as dt
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from alerts.models import Integration, source_choices
from core.secrets import digest
from tests import factories


@pytest.fixture(autouse=True)
def public_url(settings):
    settings.PUBLIC_URL = "https://oncall.example.com"


def page_of(integration):
    return reverse("admin:alerts_integration_change", args=[integration.pk])


def new_integration(service, **fields):
    fields = {"name": "Scripts", "source": "generic", "service": service.pk, "default_severity": "high", **fields}
    flapping = {"flap_changes": 4, "flap_window_seconds": 900, "flap_pause_seconds": 300}
    return fields | flapping | {"is_enabled": "on", "may_choose_service": "on"}


@pytest.mark.parametrize("source", [kind for kind, _ in source_choices()])
def test_the_key_and_the_address_are_shown_once(browser, said, service, source):
    response = browser.post(reverse("admin:alerts_integration_add"), new_integration(service, source=source))
    assert response.status_code == 302, response.context["adminform"].form.errors
    integration = Integration.objects.get()
    text = said(response)
    key = re.search(r"Key: <code[^>]*>([^<]+)<", text)[1]
    assert integration.key_hash == digest(key)
    assert integration.key_last4 == key[-4:]
    assert f"https://oncall.example.com/in/{source}/{key}" in text
    assert "{url}" not in text
    assert key in browser.get(response.url).content.decode()
    page = browser.get(page_of(integration)).content.decode()
    assert key not in page
    assert integration.key_hash not in page
    assert "{url}" not in page


def test_saving_an_integration_keeps_its_key(browser, fields_of, said):
    integration = factories.IntegrationFactory()
    response = browser.post(page_of(integration), fields_of(page_of(integration)) | {"name": "Other"})
    assert "Key:" not in said(response)
    saved = Integration.objects.get()
    assert (saved.name, saved.key_hash) == ("Other", digest(integration.key))


def do(integration, button):
    return reverse("admin:alerts_integration_do", args=[integration.pk, button])


def test_after_a_new_key_the_old_one_works_for_a_day_more_or_until_it_is_stopped(browser, said):
    integration = factories.IntegrationFactory()
    old = integration.key_hash
    assert "Until then both work" in browser.get(do(integration, "new_key")).content.decode()
    before = timezone.now()
    key = re.search(r"Key: <code[^>]*>([^<]+)<", said(browser.post(do(integration, "new_key"))))[1]
    saved = Integration.objects.get()
    assert (saved.key_hash, saved.old_key_hash) == (digest(key), old)
    assert dt.timedelta(hours=24) <= saved.old_key_until - before < dt.timedelta(hours=24, minutes=1)
    browser.post(do(integration, "end_old_key"))
    saved.refresh_from_db()
    assert (saved.old_key_hash, saved.old_key_until) == ("", None)


def test_a_third_key_does_not_turn_away_the_sender_that_still_uses_the_first(browser, said):
    integration = factories.IntegrationFactory()
    first = integration.key_hash
    browser.post(do(integration, "new_key"))
    page = browser.get(page_of(integration)).content.decode()
    assert do(integration, "new_key") not in re.findall(r'href="([^"]+)"', page)
    before = Integration.objects.get()
    assert "Two keys of" in said(browser.post(do(integration, "new_key")))
    after = Integration.objects.get()
    assert (after.key_hash, after.old_key_hash) == (before.key_hash, first)


def test_a_new_key_that_was_lost_is_replaced_and_the_one_in_use_works_on(browser, said):
    integration = factories.IntegrationFactory()
    first = integration.key_hash
    assert "nothing to keep" in said(browser.post(do(integration, "replace_key")))
    browser.post(do(integration, "new_key"))
    lost = Integration.objects.get()
    Integration.objects.update(old_key_until=timezone.now() + dt.timedelta(minutes=1))
    key = re.findall(r"Key: <code[^>]*>([^<]+)<", said(browser.post(do(integration, "replace_key"))))[-1]
    saved = Integration.objects.get()
    assert saved.key_hash == digest(key) != lost.key_hash
    assert saved.old_key_hash == first and saved.old_key_until > timezone.now() + dt.timedelta(hours=23)


def test_a_new_key_replaces_the_old_one(browser, said):
    integration = factories.IntegrationFactory()
    url = do(integration, "new_key_at_once")
    assert "The old key stops working" in browser.get(url).content.decode()
    assert Integration.objects.get().key_hash == digest(integration.key)
    text = said(browser.post(url))
    key = re.search(r"Key: <code[^>]*>([^<]+)<", text)[1]
    assert Integration.objects.get().key_hash == digest(key) != digest(integration.key)
    assert Integration.objects.get().old_key_hash == ""


def test_an_integration_goes_to_a_service_or_to_a_team(browser, service):
    url = reverse("admin:alerts_integration_add")
    neither = browser.post(url, new_integration(service) | {"service": ""})
    assert "Choose a service, or a team" in neither.content.decode()
    assert browser.post(url, new_integration(service) | {"service": "", "team": service.team_id}).status_code == 302
    assert Integration.objects.get().team == service.team


def test_fields_of_keys_and_groups_are_lists_of_paths(browser, service, fields_of):
    integration = factories.IntegrationFactory()
    url = page_of(integration)
    data = fields_of(url) | {"dedup_fields": "labels.cluster, labels.alertname", "group_fields": "labels.cluster"}
    assert browser.post(url, data).status_code == 302
    saved = Integration.objects.get()
    assert saved.dedup_fields == ["labels.cluster", "labels.alertname"]
    assert saved.group_fields == ["labels.cluster"]
    assert "labels.cluster, labels.alertname" in browser.get(url).content.decode()
    refused = browser.post(url, data | {"group_fields": "labels.cluster; drop"})
    assert "is not a field" in refused.content.decode()


def test_a_signing_secret_is_never_sent_back(browser, fields_of):
    integration = factories.IntegrationFactory(signing_secret="hush hush")
    url = page_of(integration)
    assert "hush hush" not in browser.get(url).content.decode()
    data = fields_of(url) | {"signing_secret": ""}
    browser.post(url, data)
    assert Integration.objects.get().signing_secret == "hush hush", "empty keeps it"
    browser.post(url, data | {"signing_secret": "louder"})
    assert Integration.objects.get().signing_secret == "louder"
    browser.post(url, data | {"remove_secret": "on"})
    assert Integration.objects.get().signing_secret == ""


def test_a_service_lists_its_integrations(browser):
    integration = factories.IntegrationFactory(name="Scripts")
    page = browser.get(reverse("admin:catalog_service_change", args=[integration.service_id])).content.decode()
    assert "Scripts" in page
    assert page_of(integration) in page
