"""Names that look like markup, like SQL, or like nothing else: they are text on every way through the product."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert
from catalog.models import Service
from incidents import lifecycle
from incidents.models import Incident
from notifications import outbox
from tests import factories

NAMES = [
    "kube-system/coredns-5d78c9869d-abcde",
    'deployment.apps/"checkout" (v1.2.3+build.5)',
    "'; DROP TABLE incidents_incident; --",
    "1' OR '1'='1",
    "x') UNION SELECT password FROM accounts_user --",
    "100% of %s and %(name)s and {0} and {{ 7|add:7 }}",
    "a\\b_c%d",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "Ünïcödé ☃ \u202eevil",
]


@pytest.fixture
def boss(alice):
    alice.is_staff = alice.is_superuser = True
    alice.save()
    return alice


@pytest.fixture
def browser(boss):
    client = Client()
    client.force_login(boss)
    return client


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_text_wherever_it_is_shown_or_searched(browser, boss, service, name):
    now = timezone.now()
    people = Incident.objects.count()
    incident = lifecycle.trigger(service, title=name, severity="critical", description=name, now=now)
    lifecycle.add_note(incident.pk, text=name, by=boss, now=now)
    Service.objects.filter(pk=service.pk).update(name=name[:100])
    boss.name = name
    boss.save()
    alert = factories.AlertFactory(incident=incident, service=service, title=name, labels={"pod": name})
    query = {"q": name}
    pages = [
        ("/", {}),
        (f"/incidents/{incident.pk}", {}),
        (reverse("alerts:alerts"), query),
        (reverse("alerts:alert", args=[alert.pk]), {}),
        (reverse("notifications"), query),
        ("/oncall", {}),
        ("/settings", {}),
        ("/api/v1/incidents", {"search": name, "service": name, "state": name}),
        ("/api/v1/alerts", {"search": name, "q": name}),
        ("/api/v1/services", {"search": name, "slug": name}),
        (reverse("admin:incidents_incident_changelist"), query),
        (reverse("admin:alerts_alert_changelist"), query),
        (reverse("admin:catalog_service_changelist"), query),
        (reverse("admin:accounts_user_changelist"), query),
        (reverse("admin:accounts_user_change", args=[boss.pk]), {}),
    ]
    for path, asked in pages:
        answer = browser.get(path, asked)
        assert answer.status_code in (200, 400), (path, answer.status_code)
        if answer.headers["Content-Type"].startswith("text/html"):
            page = answer.content.decode()
            assert "<script>alert(1)" not in page and "<img src=x" not in page, path
            assert 'href="javascript:' not in page, path
    assert Incident.objects.count() == people + 1
    assert Incident.objects.get(pk=incident.pk).title == name
    assert Alert.objects.get(pk=alert.pk).labels == {"pod": name}


@pytest.mark.parametrize("name", NAMES)
def test_a_search_finds_a_hostile_name_and_not_everything(browser, service, name):
    factories.AlertFactory(service=service, title="Something else")
    factories.AlertFactory(service=service, title=name)
    page = browser.get(reverse("admin:alerts_alert_changelist"), {"q": name}).content.decode()
    assert "Something else" not in page


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "testserver@evil.example"])
def test_no_link_is_made_of_the_host_that_a_request_claims(client, service, alice, mailoutbox, settings, host):
    """A request for another host is refused, and what is sent meanwhile leads to PUBLIC_URL."""
    settings.PUBLIC_URL = "https://oncall.example.com"
    answer = client.get("/login", headers={"host": host, "x-forwarded-host": host})
    assert answer.status_code == 400 and "evil.example" not in answer.content.decode()
    answer = client.get("/login", headers={"x-forwarded-host": host})
    assert answer.status_code == 200 and "evil.example" not in answer.content.decode()
    now = timezone.now()
    lifecycle.trigger(service, title="Down", severity="critical", now=now)
    outbox.deliver(now=now)
    (mail,) = mailoutbox
    text = mail.message().as_string()
    assert "https://oncall.example.com/" in mail.body and "evil.example" not in text
