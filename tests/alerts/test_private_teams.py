"""Roles within a team on the pages of alerts, silences, maintenance, integrations and heartbeats."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts.models import Role
from alerts import silences
from alerts.models import Alert, Heartbeat, InboundEvent, MaintenanceWindow, Silence
from alerts.visibility import UNSAID, hush_holds
from notifications.models import Notification
from tests import factories, private_team
from tests.incidents.test_private_teams import signed_in, text_of
from tests.private_team import WORD

DAY = dt.timedelta(days=1)


@pytest.fixture
def world(service):
    return private_team.build(service)


@pytest.fixture
def people(db):
    return private_team.strangers()


@pytest.fixture
def ada(people):
    """An admin of the team Warehouse, who only observes elsewhere."""
    return people["admin of another team"]


@pytest.fixture
def stock(ada):
    return factories.ServiceFactory(name="Stock", slug="stock", team=ada.memberships.get().team)


def span():
    start = timezone.now() + DAY
    return {"starts_at": f"{start:%Y-%m-%dT%H:%M}", "ends_at": f"{start + DAY:%Y-%m-%dT%H:%M}"}


# --- silences and maintenance -------------------------------------------------------------------------------------
def test_who_responds_in_one_team_silences_only_its_alerts(service, stock, ada):
    client = signed_in(ada)
    form = client.get("/silences/new").context["form"]
    assert [one.slug for one in form.fields["service"].queryset] == ["stock"]
    fields = {"condition": 'env = "x"', "reason": "work", **span()}
    wide = client.post("/silences/new", fields)
    assert wide.status_code == 400 and "only responders of the whole platform" in text_of(wide)
    assert client.post("/silences/new", {**fields, "service": service.slug}).status_code == 400
    assert client.post("/silences/new", {**fields, "service": "stock"}).status_code == 302
    assert Silence.objects.get().service == stock


def test_who_responds_in_one_team_changes_no_other_silence(service, stock, ada):
    now = timezone.now()
    times = {"starts_at": now - DAY, "ends_at": now + DAY}
    mine = factories.SilenceFactory(service=stock, **times)
    theirs, everybodys = factories.SilenceFactory(service=service, **times), factories.SilenceFactory(**times)
    client = signed_in(ada)
    page = text_of(client.get("/silences"))
    assert f"/silences/{mine.uuid}/extend" in page
    for other in (theirs, everybodys):
        assert f"/silences/{other.uuid}" in page and f"/silences/{other.uuid}/extend" not in page
        assert client.get(f"/silences/{other.uuid}").context["form"] is None
        assert client.post(f"/silences/{other.uuid}/extend").status_code == 403
        assert client.post(f"/silences/{other.uuid}/end").status_code == 403
        assert client.post(f"/silences/{other.uuid}", {"reason": "x"}).status_code == 403
    assert client.post(f"/silences/{mine.uuid}/end").status_code == 302
    assert list(Silence.objects.exclude(expired_at=None)) == [mine]


def test_who_responds_in_one_team_plans_only_its_maintenance(service, stock, ada):
    client = signed_in(ada)
    fields = {"name": "Disks", "time_zone": "UTC", **span()}
    assert client.post("/maintenance/new", {**fields, "condition": 'env = "x"'}).status_code == 400
    assert client.post("/maintenance/new", {**fields, "services": [service.slug]}).status_code == 400
    assert client.post("/maintenance/new", {**fields, "services": ["stock"]}).status_code == 302
    both = factories.MaintenanceWindowFactory(services=[service, stock])
    assert client.post(f"/maintenance/{both.uuid}/end").status_code == 403
    assert client.post(f"/maintenance/{both.uuid}/enable", {"enabled": "no"}).status_code == 403
    assert MaintenanceWindow.objects.exclude(pk=both.pk).get().name == "Disks"


def test_a_held_alert_is_let_go_by_who_responds_for_its_service(service, stock, ada, now):
    held = {"held_by": "silence:1", "held_why": "Silence", "held_at": now}
    mine, theirs = factories.AlertFactory(service=stock, **held), factories.AlertFactory(service=service, **held)
    client = signed_in(ada)
    page = text_of(client.get("/held"))
    assert f"/held/{mine.pk}/release" in page and f"/held/{theirs.pk}/release" not in page
    assert client.post(f"/held/{theirs.pk}/release").status_code == 403
    assert client.post(f"/held/{mine.pk}/release").status_code == 302


# --- heartbeats and integrations ----------------------------------------------------------------------------------
def test_an_admin_of_a_team_configures_its_heartbeats(service, stock, ada):
    client = signed_in(ada)
    theirs = factories.HeartbeatFactory(service=service)
    factories.IntegrationFactory(name="Shop door", service=service)
    form = client.get("/heartbeats/new").context["form"]
    assert [one.slug for one in form.fields["service"].queryset] == ["stock"]
    assert not form.fields["integration"].queryset.exists()
    fields = {"name": "nightly", "severity": "high", "interval": 5, "interval_unit": 60, "grace": 1, "grace_unit": 60}
    assert client.post("/heartbeats/new", {**fields, "service": service.pk}).status_code == 400
    assert client.post("/heartbeats/new", {**fields, "service": stock.pk}).status_code == 200
    mine = Heartbeat.objects.get(name="nightly")
    assert client.get(f"/heartbeats/{mine.uuid}/edit").status_code == 200
    for verb in ("edit", "key", "delete", "pause", "arm"):
        assert client.post(f"/heartbeats/{theirs.uuid}/{verb}").status_code == 403
    assert "Delete" not in text_of(client.get(f"/heartbeats/{theirs.uuid}"))
    assert client.post(f"/heartbeats/{mine.uuid}/delete").status_code == 302


def test_an_event_is_tried_again_only_through_its_own_integration(service, stock, ada, bob):
    mine, theirs = factories.IntegrationFactory(service=stock), factories.IntegrationFactory(service=service)
    event = InboundEvent.objects.create(
        source="generic", scope=f"integration:{theirs.pk}", integration=theirs, body=b"{}", state="poison"
    )
    client = signed_in(ada)
    assert client.post(f"/integrations/{theirs.uuid}/retry", {"event": event.pk}).status_code == 403
    assert client.post(f"/integrations/{mine.uuid}/retry", {"event": event.pk}).status_code == 404
    event.refresh_from_db()
    assert event.state == "poison"
    signed_in(bob).post(f"/integrations/{theirs.uuid}/retry", {"event": event.pk})
    event.refresh_from_db()
    assert event.state == "failed"


def test_saving_a_heartbeat_keeps_the_integration_that_one_may_not_see(world, alice, bob):
    pinged = world.integration.heartbeats.get()
    bob.memberships.update(role=Role.ADMIN)
    fields = {"interval": 5, "interval_unit": 60, "grace": 1, "grace_unit": 60, "severity": "high"}
    answer = signed_in(bob).post(
        f"/heartbeats/{pinged.uuid}/edit", {**fields, "name": "renamed", "service": pinged.service_id}
    )
    assert answer.status_code == 302
    pinged.refresh_from_db()
    assert (pinged.name, pinged.integration) == ("renamed", world.integration)


# --- what is said of holds and events -----------------------------------------------------------------------------
def test_why_an_alert_is_held_is_said_as_far_as_one_may_know(world, people, alice):
    rows = list(Alert.objects.filter(pk__in=[one.pk for one in world.tied]).order_by("title"))
    before = [one.held_why for one in rows]
    hush_holds(rows, people["responder"])
    assert [one.held_why for one in rows] == [UNSAID[one.held_by.partition(":")[0]] for one in rows]
    for reader in (alice, world.member):
        rows = list(Alert.objects.filter(pk__in=[one.pk for one in world.tied]).order_by("title"))
        hush_holds(rows, reader)
        assert [one.held_why for one in rows] == before


def test_what_holds_is_named_to_who_may_see_it(world, people, service, now):
    """A team that is hidden takes nothing away from what others do in the open."""
    silence = factories.SilenceFactory(service=service, reason="Disk work")
    source = factories.AlertFactory(service=service, title="Node down", inhibits=[7])
    incident = factories.IncidentFactory(service=service)
    said = {
        f"silence:{silence.pk}": "Silence by Bob until 12:00 UTC: Disk work",
        "inhibition:7": f"Inhibited by “{source.title}”, which fires: rule “Nodes”.",
        "dependency:1": f"Checkout has the open incident #{incident.pk} (critical), and Cart needs Checkout.",
        "rule:3": "Suppressed by rule “Quiet”.",
    }
    rows = [factories.AlertFactory(service=service, held_by=by, held_why=why) for by, why in said.items()]
    hush_holds(rows, people["observer"])
    assert [one.held_why for one in rows] == list(said.values())


def test_an_event_that_also_told_of_hidden_alerts_shows_no_body(world, people):
    client = signed_in(people["responder"])
    for path in (f"/integrations/{world.public_door.uuid}", f"/alerts/{world.mine.pk}"):
        page = text_of(client.get(path))
        assert "not yours to see" in page and "New incident" in page
        assert private_team.leaks(world, page) == []


def test_the_end_of_a_silence_is_told_to_each_reader_of_what_they_may_see(world, service, bob, now):
    silence = factories.SilenceFactory(
        owner=bob, starts_at=now - DAY, ends_at=now + DAY / 100, warn_at=now, due_at=now
    )
    held = {"held_by": silences.by_of(silence), "held_why": "Silence", "held_at": now}
    factories.AlertFactory(service=service, title="Checkout 500", **held)
    factories.AlertFactory(service=world.hidden, title=f"{WORD} 501", **held)
    silences.sweep(now=now)
    (told,) = Notification.objects.filter(topic__startswith=f"silence:{silence.pk}:").values_list("message", flat=True)
    assert "Checkout 500" in told["body"] and WORD not in str(told)
    assert "1 alert that it holds" in told["title"]
