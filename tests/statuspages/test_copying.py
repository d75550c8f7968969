"""From a change to the copy that readers get: what asks for it, what it says, and that nothing is lost on the way."""

import datetime as dt
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog import dependencies
from catalog.models import Service
from incidents import lifecycle, merging
from incidents.models import Incident
from notifications.models import Alarm
from statuspages import copying, receivers
from statuspages.models import Component, Copy, Nudge, Span, StatusPage
from statuspages.states import DEGRADED, MAJOR, OPERATIONAL, PARTIAL
from tests import factories
from tests.threads import at_once, waits_for_us

pytestmark = pytest.mark.django_db
SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 60, 3600, 86400))


@pytest.fixture
def computed(page, shop, search, now):
    """The page after all that has been configured was computed."""
    Nudge.objects.all().delete()
    copying.refresh(page.pk, now=now)
    return page


@pytest.fixture
def trouble(service, now):
    def trigger(severity="critical", at=now, service=service):
        return lifecycle.trigger(service, title="Checkout is down", severity=severity, now=at)

    return trigger


def content_of(page):
    return Copy.objects.get(page=page).content


def component_of(page, name="Shop"):
    return next(one for one in content_of(page)["components"] if one["name"] == name)


def spans_of(component):
    return list(component.spans.order_by("began_at").values_list("state", "began_at", "ended_at"))


def text(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- from a change to the page ------------------------------------------------------------------------------------
def test_an_incident_shows_and_goes_when_it_is_resolved(computed, shop, trouble, alice, now):
    incident = trouble()
    assert copying.oldest_due(now) == now
    assert copying.refresh_due(now=now + SECOND) == 1
    content = content_of(computed)
    assert (content["state"], content["indicator"]) == (MAJOR, "critical")
    assert component_of(computed)["state"] == MAJOR
    assert component_of(computed)["since"] == text(now)  # since it happened, not since it was computed
    assert component_of(computed, "Search")["state"] == OPERATIONAL
    lifecycle.resolve(incident.pk, by=alice, now=now + HOUR)
    copying.refresh_due(now=now + HOUR + SECOND)
    assert content_of(computed)["indicator"] == "none"
    shop.refresh_from_db()
    assert (shop.state, shop.state_since) == (OPERATIONAL, now + HOUR)
    assert spans_of(shop) == [(MAJOR, now, now + HOUR)]
    assert component_of(computed)["days"][-1]["seconds"] == {MAJOR: 3600}
    assert Nudge.objects.count() == 0 and copying.oldest_due(now + HOUR) is None


def test_a_change_of_the_severity_ends_one_state_and_begins_another(computed, shop, trouble, alice, now):
    incident = trouble("medium")
    copying.refresh_due(now=now)
    lifecycle.edit(incident.pk, severity="critical", by=alice, now=now + MINUTE)
    copying.refresh_due(now=now + MINUTE)
    assert spans_of(shop) == [(DEGRADED, now, now + MINUTE), (MAJOR, now + MINUTE, None)]


def test_what_does_not_change_the_page_asks_for_nothing(computed, trouble, alice, now):
    incident = trouble()
    copying.refresh_due(now=now)
    lifecycle.acknowledge(incident.pk, by=alice, now=now)
    lifecycle.edit(incident.pk, title="Checkout answers 500", by=alice, now=now)
    assert copying.oldest_due(now) is None


def test_a_merge_and_its_end_reach_the_page_of_the_merged_service(computed, trouble, team, alice, now):
    other = factories.ServiceFactory(team=team)
    merged, into = trouble("high"), trouble("critical", service=other)
    merging.merge(merged.pk, into=into.pk, by=alice, now=now)
    copying.refresh_due(now=now)
    assert component_of(computed)["state"] == PARTIAL
    lifecycle.resolve(into.pk, by=alice, now=now + MINUTE)
    copying.refresh_due(now=now + MINUTE)
    assert component_of(computed)["state"] == OPERATIONAL


def test_trouble_of_what_a_service_needs_shows_on_its_page_only(computed, service, trouble, team, now):
    database = factories.ServiceFactory(team=team)
    factories.DependencyFactory(service=service, needs=database)
    other = factories.ComponentFactory(services=[factories.ServiceFactory(team=team)]).page
    copying.refresh_due(now=timezone.now())
    versions = dict(Copy.objects.values_list("page_id", "version"))
    trouble(service=database)
    copying.refresh_due(now=now)
    assert component_of(computed)["state"] == PARTIAL
    assert Copy.objects.get(page=computed).version == versions[computed.pk] + 1
    assert Copy.objects.get(page=other).version == versions[other.pk]


@pytest.fixture
def chain(computed, service, team):
    """Checkout needs a gateway, which needs a database that has an incident."""
    middle, deep = (factories.ServiceFactory(team=team, name=name) for name in ("Gateway", "Database"))
    edge = factories.DependencyFactory(service=service, needs=middle)
    factories.DependencyFactory(service=middle, needs=deep)
    began = timezone.now() - MINUTE
    lifecycle.trigger(deep, title="No disk", severity="critical", now=began)
    copying.refresh_due(now=timezone.now())
    assert component_of(computed)["state"] == PARTIAL
    return middle, edge


def test_deleting_a_service_in_the_middle_of_a_chain_shows_at_once(computed, chain):
    Service.objects.get(pk=chain[0].pk).delete()
    copying.refresh_due(now=timezone.now())
    assert component_of(computed)["state"] == OPERATIONAL


def test_removing_a_dependency_shows_at_once(computed, chain):
    dependencies.remove(chain[1], now=timezone.now())
    copying.refresh_due(now=timezone.now())
    assert component_of(computed)["state"] == OPERATIONAL


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda page, shop: StatusPage.objects.get(pk=page.pk).save(), lambda content: True),
        (
            lambda page, shop: factories.ComponentFactory(page=page, name="Login"),
            lambda content: [one["name"] for one in content["components"]] == ["Login", "Shop", "Search"],
        ),
        (
            lambda page, shop: Component.objects.get(pk=shop.pk).delete(),
            lambda content: [one["name"] for one in content["components"]] == ["Search"],
        ),
        (
            lambda page, shop: factories.ComponentGroupFactory(page=page, name="Europe").components.set([shop]),
            lambda content: True,
        ),
        (lambda page, shop: shop.services.set([]), lambda content: True),
    ],
)
def test_what_is_configured_is_shown(computed, shop, change, seen):
    change(computed, shop)
    assert Nudge.objects.filter(page=computed).exists()
    copying.refresh_due(now=timezone.now())
    assert seen(content_of(computed))


def test_a_group_has_its_components_and_goes_without_them(computed, shop):
    group = factories.ComponentGroupFactory(page=computed, name="Europe")
    shop.group = group
    shop.save()
    copying.refresh_due(now=timezone.now())
    content = content_of(computed)
    assert [(one["name"], len(one["components"])) for one in content["groups"]] == [("Europe", 1), ("", 1)]
    assert component_of(computed)["group"] == content["groups"][0]["uuid"] == str(group.uuid)
    group.delete()
    copying.refresh_due(now=timezone.now())
    assert [one["uuid"] for one in content_of(computed)["groups"]] == [None]


def test_a_deleted_page_leaves_nothing_to_do(computed):
    computed.delete()
    assert Nudge.objects.count() == 0
    connection.check_constraints()


# --- the copy -----------------------------------------------------------------------------------------------------
def test_the_copy_has_every_file_and_changes_only_with_what_it_says(computed, now):
    copy = Copy.objects.get(page=computed)
    assert {"", "history", "api/v2/summary.json", "badge.svg"} <= set(copy.files)
    assert json.loads(copy.files["api/v2/summary.json"][1])["status"]["indicator"] == "none"
    copying.refresh(computed.pk, now=now + MINUTE)
    again = Copy.objects.get(page=computed)
    assert (again.version, again.made_at) == (copy.version, copy.made_at)


def test_nothing_of_ours_is_in_the_copy(computed, shop, service, trouble, alice, now):
    shop.manual_reason, shop.manual_by, shop.manual_state = "Ask Bob, the router is broken", alice, DEGRADED
    shop.save()
    factories.PostFactory(page=computed, incident=trouble(), created_by=alice, title="Payments fail")
    copying.refresh(computed.pk, now=now)
    copy = Copy.objects.get(page=computed)
    said = json.dumps([copy.content, copy.files], cls=DjangoJSONEncoder)
    assert "Payments fail" in said
    for secret in ("Checkout", "router", "Alice", "alice@example.com", "Bob"):
        assert secret not in said


def test_posts_stand_where_they_belong(computed, now):
    def maintenance(stage, begins, **more):
        post = factories.PostFactory(
            page=computed, kind="maintenance", stage=stage, starts_at=begins, ends_at=begins + HOUR, **more
        )
        return str(post.uuid)

    trouble = factories.PostUpdateFactory(post__page=computed).post
    later, sooner = maintenance("scheduled", now + 2 * DAY), maintenance("scheduled", now + DAY)
    going_on = maintenance("verifying", now - MINUTE)
    over = maintenance("completed", now - 3 * DAY, ended_at=now - 3 * DAY + HOUR)
    maintenance("completed", now - 92 * DAY, ended_at=now - 91 * DAY)
    copying.refresh(computed.pk, now=now)
    content = content_of(computed)
    found = {part: [post["uuid"] for post in content[part]] for part in ("open", "planned", "going_on", "history")}
    assert found == {
        "open": [str(trouble.uuid)],
        "planned": [sooner, later],
        "going_on": [going_on],
        "history": [over],
    }
    assert content["open"][0]["updates"][0]["body"] == "We look into it."


def test_an_old_value_that_an_editor_wrote_back_is_put_right(computed, shop, trouble, now):
    stale = Component.objects.get(pk=shop.pk)
    trouble()
    copying.refresh_due(now=now)
    stale.save()  # a form that was open meanwhile: operational again, it says
    copying.refresh(computed.pk, now=now + MINUTE)
    shop.refresh_from_db()
    assert (shop.state, shop.state_since) == (MAJOR, now)
    assert spans_of(shop) == [(MAJOR, now, None)]


# --- time ---------------------------------------------------------------------------------------------------------
def test_the_copy_is_made_anew_at_midnight_of_the_page(computed, now):
    computed.time_zone = "Europe/Berlin"
    computed.save()
    Nudge.objects.all().delete()
    copying.refresh(computed.pk, now=now)
    midnight = dt.datetime(2026, 6, 1, 22, 0, tzinfo=dt.UTC)
    assert Copy.objects.get(page=computed).refresh_at == midnight
    assert copying.oldest_due(midnight - SECOND) is None and copying.oldest_due(midnight) == midnight
    copying.refresh_due(now=midnight)
    assert [day["date"] for day in component_of(computed)["days"]][-1] == "2026-06-02"
    assert copying.oldest_due(midnight) is None


def test_while_trouble_goes_on_and_until_its_day_is_over_figures_are_kept_fresh(computed, trouble, alice, now):
    incident = trouble()
    copying.refresh_due(now=now)
    assert Copy.objects.get(page=computed).refresh_at == now + 10 * MINUTE
    copying.refresh_due(now=now + 10 * MINUTE)
    assert component_of(computed)["days"][-1]["seconds"] == {MAJOR: 600}
    lifecycle.resolve(incident.pk, by=alice, now=now + 11 * MINUTE)
    copying.refresh_due(now=now + 11 * MINUTE)
    assert Copy.objects.get(page=computed).refresh_at == now + 21 * MINUTE
    tomorrow = now.replace(hour=0) + DAY
    copying.refresh_due(now=tomorrow)
    assert Copy.objects.get(page=computed).refresh_at == tomorrow + DAY


# --- nothing is lost ----------------------------------------------------------------------------------------------
def test_a_worker_that_is_killed_loses_no_nudge(computed, trouble, now):
    trouble()
    claimed = copying.due.claim(Nudge.objects.filter(due_at__lte=now), now=now, lease=copying.LEASE, limit=10)
    assert len(claimed) == 1 and copying.oldest_due(now) is None  # it is being done … and nobody does it
    later = now + copying.LEASE
    assert copying.oldest_due(later) == later
    copying.refresh_due(now=later)
    assert component_of(computed)["state"] == MAJOR
    assert component_of(computed)["since"] == text(now)


def test_what_came_and_went_while_no_worker_ran_counts_for_the_uptime(computed, shop, team, service, alice, now):
    """Two incidents of which one lies in the other, one of what the service needs, and one of somebody else."""
    database, other = (factories.ServiceFactory(team=team) for _ in range(2))
    factories.DependencyFactory(service=service, needs=database)
    Nudge.objects.all().delete()
    for of, severity, begins, ends in (
        (service, "high", 0, 30),
        (service, "critical", 10, 20),
        (database, "critical", 40, 50),
        (other, "critical", 0, 50),
    ):
        row = lifecycle.trigger(of, title="Down", severity=severity, now=now + begins * MINUTE)
        lifecycle.resolve(row.pk, by=alice, now=now + ends * MINUTE)
    waiting = list(Nudge.objects.all())
    copying.refresh_due(now=now + HOUR)
    wanted = [(PARTIAL, 0, 10), (MAJOR, 10, 20), (PARTIAL, 20, 30), (PARTIAL, 40, 50)]
    spans = [(state, now + begins * MINUTE, now + ends * MINUTE) for state, begins, ends in wanted]
    assert spans_of(shop) == spans
    assert component_of(computed)["state"] == OPERATIONAL
    assert component_of(computed)["days"][-1]["seconds"] == {MAJOR: 600, PARTIAL: 1800}
    Nudge.objects.bulk_create(waiting)  # the worker was killed before it could say that it was done
    copying.refresh_due(now=now + HOUR + MINUTE)
    assert spans_of(shop) == spans


@pytest.mark.logs_errors
def test_a_page_that_cannot_be_computed_holds_up_no_other_and_is_tried_again(computed, shop, service, trouble, now):
    factories.UserFactory(role="admin")
    healthy = factories.ComponentFactory(services=[service]).page
    Nudge.objects.all().delete()
    StatusPage.objects.filter(pk=computed.pk).update(critical_state="broken")
    trouble()
    copying.refresh_due(now=now)
    assert Copy.objects.get(page=healthy).content["state"] == MAJOR
    assert component_of(computed)["state"] == OPERATIONAL
    assert Alarm.objects.get(cleared_at=None).key == f"status-page:{computed.pk}"
    assert list(Nudge.objects.values_list("page_id", "due_at")) == [(computed.pk, now + 5 * SECOND)]
    copying.refresh_due(now=now + 5 * SECOND)
    assert Nudge.objects.get().due_at == now + 15 * SECOND  # and later each time
    StatusPage.objects.filter(pk=computed.pk).update(critical_state=MAJOR)
    Nudge.objects.filter(due_at__gt=now + HOUR).delete()
    copying.refresh_due(now=now + 15 * SECOND)
    assert component_of(computed)["since"] == text(now)
    assert not Alarm.objects.filter(cleared_at=None).exists() and not Nudge.objects.exists()


def test_after_an_upgrade_every_page_is_drawn_anew(computed, now):
    fresh = copying.refresh(computed.pk, now=timezone.now())
    Copy.objects.update(files={"": ["text/html", "as an older version drew it"]})
    call_command("migrate", verbosity=0)
    began = timezone.now()
    assert copying.refresh_due(now=began) == 1
    copy = Copy.objects.get(page=computed)
    assert copy.version == fresh.version + 1 and "as an older version" not in copy.files[""][1]
    # A worker of the version before may have drawn it, so it is looked at once more.
    assert copying.oldest_due(began) is None and copying.oldest_due(began + copying.OLD_WORKERS) is not None
    assert copying.refresh_due(now=began + copying.OLD_WORKERS) == 1


def test_without_a_page_an_upgrade_leaves_nothing_to_do(db):
    call_command("migrate", verbosity=0)
    assert not Nudge.objects.exists()


def test_hundreds_of_pages_make_room_for_other_work_and_none_is_forgotten(db, alice, now):
    pages = [factories.StatusPageFactory() for _ in range(3)]
    Nudge.objects.all().delete()
    copying.nudge(now=now - SECOND)
    # Somebody's maintenance has been due for a while: no worker is free for it.
    factories.ComponentFactory(page=pages[0], manual_state=MAJOR, manual_until=now - MINUTE)
    Nudge.objects.exclude(page=None).delete()
    seconds = itertools.count()
    copying.run(now_of=lambda: now + 2 * next(seconds) * SECOND)
    assert Copy.objects.count() == 1
    assert set(Nudge.objects.values_list("at", "attempts")) == {(now - SECOND, 0)}
    assert copying.oldest_due(now + MINUTE) is not None
    for _ in pages:
        copying.run(now_of=lambda: now + MINUTE)
    assert Copy.objects.count() == 3 and not Nudge.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_and_a_change_between_them_end_with_the_newest_state(service, alice, now):
    page = factories.StatusPageFactory()
    factories.ComponentFactory(page=page, name="Shop", services=[service])
    Nudge.objects.all().delete()
    copying.refresh(page.pk, now=now)
    incidents = [factories.IncidentFactory(service=service) for _ in range(6)]
    copying.nudge(page=page, now=now)

    def resolve(incident):
        lifecycle.resolve(incident.pk, by=alice, now=now + MINUTE)
        copying.refresh_due(now=now + MINUTE)

    outcomes = at_once(*[lambda one=one: resolve(one) for one in incidents])
    assert outcomes == [None] * len(incidents)
    assert not Incident.objects.open().exists()
    assert component_of(page)["state"] == OPERATIONAL
    assert Span.objects.filter(ended_at=None).count() == 0 and Nudge.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_page_can_be_deleted_while_a_worker_computes_it():
    component = factories.ComponentFactory()

    def delete():
        try:
            StatusPage.objects.get(pk=component.page_id).delete()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            StatusPage.objects.select_for_update(no_key=True).get(pk=component.page_id)
            deleting = pool.submit(delete)
            while not waits_for_us() and not deleting.done():
                time.sleep(0.01)
            Component.objects.filter(pk=component.pk).update(state=MAJOR)  # as it would be written next
        deleting.result(timeout=10)
    assert not StatusPage.objects.exists()


def test_a_batch_of_incidents_costs_the_pager_one_statement(team, now):
    incidents = [factories.IncidentFactory(service=factories.ServiceFactory(team=team)) for _ in range(20)]
    with CaptureQueriesContext(connection) as queries:
        receivers.look_at_new_incidents(incidents=incidents, now=now)
    assert len(queries) == 1 and Nudge.objects.count() == 20


# --- size ---------------------------------------------------------------------------------------------------------
def fill(page, team, count, now):
    """So many components in one group each ten, with services in a chain, posts and spans."""
    services = [factories.ServiceFactory(team=team) for _ in range(count)]
    for one, needs in zip(services, services[1:], strict=False):
        factories.DependencyFactory(service=one, needs=needs)
    for place, service in enumerate(services):
        component = factories.ComponentFactory(page=page, services=[service])
        factories.IncidentFactory(service=service, severity="medium")
        post = factories.PostUpdateFactory(post__page=page).post
        factories.AffectedFactory(post=post, component=component)
        Span.objects.create(
            component=component, state=MAJOR, began_at=now - (place + 2) * DAY, ended_at=now - (place + 1) * DAY
        )


def test_a_larger_page_takes_no_more_statements(team, now):
    counts = []
    for count in (2, 12):
        page = factories.StatusPageFactory()
        fill(page, team, count, now)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            copying.refresh(page.pk, now=now)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 22


def test_a_storm_of_incidents_is_one_look_at_the_page(computed, service, trouble, now):
    for _ in range(30):
        trouble()
    assert copying.refresh_due(now=now) == 30
    assert Copy.objects.get(page=computed).version == 2
