"""Every page of ours keeps to the content security policy that it is sent with, and so does the admin to its own."""

import re

from django.contrib import admin
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from alerts.models import Alert, Heartbeat, Integration, MaintenanceWindow, Silence
from catalog.models import Service
from incidents import lifecycle
from incidents.models import Incident
from notifications import links
from notifications.models import ContactMethod, Notification
from oncall.models import Schedule
from tests import factories


def paths_of_pages(boss):
    """The address of every page of ours that opens with GET, with rows of the demo company in it."""
    now = timezone.now()
    service = Service.objects.earliest("pk")
    incident = Incident.objects.open().earliest("pk")  # with alerts, tasks, proposals: the demo company works on it
    if not Notification.objects.filter(topic__startswith="incident:").exists():
        lifecycle.trigger(service, title="Down", severity="critical", now=now)
    method = ContactMethod.objects.filter(user=boss).earliest("pk")
    notification = Notification.objects.order_by("pk").first()
    rows = {
        "silence": Silence.objects.first() or factories.SilenceFactory(),
        "maintenance-window": MaintenanceWindow.objects.first() or factories.MaintenanceWindowFactory(),
        "heartbeat": Heartbeat.objects.first() or factories.HeartbeatFactory(),
        "integration": Integration.objects.earliest("pk"),
        "alert": Alert.objects.first() or factories.AlertFactory(),
    }
    schedule = Schedule.objects.earliest("pk")
    paths = [
        reverse(name)
        for name in (
            "dashboard",
            "incident-new",
            "alerts:alerts",
            "alerts:integrations",
            "alerts:silences",
            "alerts:silence-new",
            "alerts:maintenance",
            "alerts:maintenance-new",
            "alerts:held",
            "alerts:heartbeats",
            "alerts:heartbeat-new",
            "oncall",
            "schedules",
            "coverage",
            "shifts",
            "settings",
            "settings-contact-choose",
            "notifications",
            "api-docs",
            "ready",
        )
    ]
    paths += [
        reverse("incident", args=[incident.number]),
        reverse("alerts:alert", args=[rows["alert"].pk]),
        reverse("alerts:integration", args=[rows["integration"].uuid]),
        reverse("alerts:silence", args=[rows["silence"].uuid]),
        reverse("alerts:maintenance-window", args=[rows["maintenance-window"].uuid]),
        reverse("alerts:heartbeat", args=[rows["heartbeat"].uuid]),
        reverse("alerts:heartbeat-edit", args=[rows["heartbeat"].uuid]),
        reverse("schedule", args=[schedule.slug]),
        reverse("override-new", args=[schedule.slug]),
        reverse("settings-contact-add", args=["email"]),
        reverse("settings-contact", args=[method.pk]),
        reverse("notification", args=[notification.uuid]),
    ]
    return paths


def simple_pages():
    """Addresses without arguments that are not listed above, such as those of sign-in, found in the table of URLs."""
    for pattern, prefix in _patterns(get_resolver().url_patterns, ""):
        address = prefix + str(pattern.pattern)
        if "<" not in address and "(" not in address and pattern.name and not address.startswith(("admin/", "api/")):
            yield f"/{address}"


def _patterns(patterns, prefix):
    for one in patterns:
        if hasattr(one, "url_patterns"):
            yield from _patterns(one.url_patterns, prefix + str(one.pattern))
        else:
            yield one, prefix


def is_page(path, boss):
    """Whether GET shows a page of HTML there, to somebody who is signed in."""
    client = Client()
    client.force_login(boss)
    answer = client.get(path, HTTP_HOST="127.0.0.1")
    return answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")


def test_no_page_of_ours_breaks_its_policy(visit, boss):
    paths = paths_of_pages(boss)
    known = {path.rstrip("/") for path in paths}
    paths += [path for path in simple_pages() if path.rstrip("/") not in known and is_page(path, boss)]
    signed_in = visit(boss)
    assert {path: broken for path in paths if (broken := signed_in(path))} == {}


def test_no_page_for_who_is_not_signed_in_breaks_its_policy(visit, boss):
    paths_of_pages(boss)
    notification = Notification.objects.filter(user__isnull=False, topic__startswith="incident:").earliest("pk")
    stranger = visit()
    for path in ("/login", f"/l/{links.token(notification.uuid, 'resolve')}"):
        assert stranger(path) == []


def test_no_page_of_the_admin_breaks_its_policy(visit, boss):
    paths_of_pages(boss)
    paths = ["/admin/"]
    for model in admin.site._registry:
        place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        paths.append(reverse(f"{place}_changelist"))
        if row := model._default_manager.order_by("pk").first():
            paths.append(reverse(f"{place}_change", args=[row.pk]))
    signed_in = visit(boss)
    assert {path: broken for path in paths if (broken := signed_in(path))} == {}


def test_the_policy_stops_a_script_that_somebody_smuggled_in(visit, boss, house):
    """Else the tests above would prove nothing."""
    signed_in = visit(boss)
    assert signed_in("/") == []
    signed_in.page.evaluate(
        "const one = document.createElement('script');"
        "one.textContent = 'window.smuggled = 1';"
        "document.body.append(one)"
    )
    assert signed_in.page.evaluate("window.smuggled") is None
    assert re.search("script-src", " ".join(signed_in.page.evaluate("window.broken")))
