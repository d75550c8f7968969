"""What happens by itself at its time: maintenance begins and ends, a state that was set by hand ends."""

import datetime as dt

import pytest

from accounts.models import AuditEntry
from notifications.models import Alarm
from statuspages import copying, maintenance, publishing
from statuspages.models import Affected, Component, Copy, Nudge, Post, PostUpdate
from statuspages.states import MAINTENANCE, MAJOR, OPERATIONAL
from tests import factories
from tests.threads import at_once

pytestmark = pytest.mark.django_db
SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 60, 3600, 86400))


@pytest.fixture
def plan(page, shop, now):
    """A function that plans an hour of maintenance of Shop in an hour."""

    def create(**values):
        values = {
            "title": "New database",
            "body": "The shop is read-only.",
            "starts_at": now + HOUR,
            "ends_at": now + 2 * HOUR,
            "components": [str(shop.uuid)],
            "by": None,
            "now": now,
            **values,
        }
        return publishing.plan_maintenance(page.pk, **values)

    return create


def state_at(page, at):
    Nudge.objects.filter(due_at__gt=at).delete()
    copying.refresh_due(now=at)
    return {one["name"]: one["state"] for one in Copy.objects.get(page=page).content["components"]}["Shop"]


def stages(post):
    return list(post.updates.order_by("pk").values_list("stage", "at"))


def test_maintenance_begins_and_ends_by_itself(page, shop, plan, now):
    post = plan()
    assert state_at(page, now) == OPERATIONAL
    assert maintenance.go_on(now + HOUR - SECOND) == 0
    assert maintenance.oldest_due(now + HOUR - SECOND) is None
    assert maintenance.oldest_due(now + HOUR) == now + HOUR
    assert maintenance.go_on(now + HOUR) == 1
    assert state_at(page, now + HOUR) == MAINTENANCE
    assert maintenance.go_on(now + 2 * HOUR) == 1
    assert state_at(page, now + 2 * HOUR) == OPERATIONAL
    post.refresh_from_db()
    assert (post.stage, post.ended_at, post.due_at) == ("completed", now + 2 * HOUR, None)
    assert stages(post) == [("scheduled", now), ("in_progress", now + HOUR), ("completed", now + 2 * HOUR)]
    assert PostUpdate.objects.filter(tell_due_at__isnull=False).count() == 3
    assert list(shop.spans.values_list("state", "began_at", "ended_at")) == [(MAINTENANCE, now + HOUR, now + 2 * HOUR)]
    assert AuditEntry.objects.filter(kind="statuspages.post", actor=None).count() == 3


def test_what_was_planned_in_silence_goes_on_in_silence(plan, now):
    plan(is_told=False)
    maintenance.go_on(now + HOUR)
    maintenance.go_on(now + 2 * HOUR)
    assert not PostUpdate.objects.filter(is_told=True).exists()


def test_maintenance_that_waits_for_a_person_stays_planned(plan, now):
    post = plan(goes_by_itself=False)
    assert maintenance.go_on(now + DAY) == 0
    post.refresh_from_db()
    assert post.stage == "scheduled"


def test_begun_early_it_still_ends_by_itself(plan, alice, now):
    post = plan()
    publishing.add_update(post.uuid, stage="in_progress", by=alice, now=now + MINUTE)
    assert maintenance.go_on(now + HOUR) == 0
    assert maintenance.go_on(now + 2 * HOUR) == 1
    post.refresh_from_db()
    assert post.stage == "completed"


def test_what_a_person_opens_again_after_its_end_stays_open(plan, alice, now):
    post = plan()
    maintenance.go_on(now + HOUR)
    maintenance.go_on(now + 2 * HOUR)
    publishing.add_update(post.uuid, stage="verifying", body="Not yet.", by=alice, now=now + 3 * HOUR)
    assert maintenance.go_on(now + DAY) == 0
    post.refresh_from_db()
    assert post.stage == "verifying"


def test_nobody_looked_all_the_while_so_it_is_told_once_that_it_is_over(plan, now):
    post = plan()
    maintenance.go_on(now + DAY)
    assert stages(post) == [("scheduled", now), ("completed", now + DAY)]


def test_one_that_begins_now_begins_at_the_next_look(page, plan, now):
    plan(starts_at=now - MINUTE)
    maintenance.go_on(now)
    assert state_at(page, now) == MAINTENANCE


@pytest.mark.logs_errors
def test_one_that_fails_holds_up_no_other_and_is_tried_again_in_a_minute(page, plan, now):
    broken, healthy = plan(), plan(title="Another")
    other = factories.StatusPageFactory(needs_rule="same", critical_state="no state")
    component = factories.ComponentFactory(page=other, services=[factories.IncidentFactory().service])
    Post.objects.filter(pk=broken.pk).update(page=other)
    factories.AffectedFactory(post=broken, component=component)
    assert maintenance.go_on(now + HOUR) == 1
    healthy.refresh_from_db()
    broken.refresh_from_db()
    assert (healthy.stage, broken.stage) == ("in_progress", "scheduled")
    assert broken.due_at == now + HOUR + MINUTE
    alarm = Alarm.objects.get(key=f"status-post-stuck:{broken.pk}", cleared_at=None)
    assert f"“{broken.title}” could not go on by itself" in alarm.text
    Post.objects.filter(pk=broken.pk).update(page=page)
    Affected.objects.filter(post=broken).delete()
    maintenance.go_on(now + HOUR + MINUTE)
    alarm.refresh_from_db()
    assert alarm.cleared_at


def test_a_state_set_by_hand_ends_at_its_time(page, shop, alice, now):
    publishing.set_state(shop.uuid, state=MAJOR, until=now + HOUR, reason="Seen on TV", by=alice, now=now)
    copying.refresh(page.pk, now=now)
    assert state_at(page, now) == MAJOR
    assert maintenance.go_on(now + HOUR - SECOND) == 0
    assert maintenance.go_on(now + HOUR) == 1
    copying.refresh(page.pk, now=now + HOUR)
    assert state_at(page, now + HOUR) == OPERATIONAL
    row = Component.objects.get(pk=shop.pk)
    assert (row.manual_state, row.manual_until, row.manual_by, row.manual_reason) == ("", None, None, "")
    assert list(shop.spans.values_list("state", "began_at", "ended_at")) == [(MAJOR, now, now + HOUR)]


@pytest.mark.django_db(transaction=True)
def test_two_workers_begin_it_once(service, now):
    page = factories.StatusPageFactory()
    post = publishing.plan_maintenance(
        page.pk, title="Work", body="Read-only.", starts_at=now, ends_at=now + HOUR, by=None, now=now
    )
    outcomes = at_once(*[lambda: maintenance.go_on(now)] * 4)
    assert not [one for one in outcomes if isinstance(one, Exception)]
    assert stages(post) == [("scheduled", now), ("in_progress", now)]
