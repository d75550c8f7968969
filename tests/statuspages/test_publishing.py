"""Posts and states that people set: what readers then see, what is due to be told, and what is refused."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from core.errors import DomainError, IllegalMove, NotFound
from incidents import lifecycle
from notifications.models import Notification
from statuspages import copying, publishing
from statuspages.models import Affected, Component, Copy, Nudge, Post, PostUpdate
from statuspages.states import DEGRADED, MAINTENANCE, MAJOR, OPERATIONAL, PARTIAL
from tests import factories

pytestmark = pytest.mark.django_db
SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 60, 3600, 86400))
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def report(page, alice, now):
    """A function that opens a post about failing payments, by Alice."""

    def create(**values):
        values = {"title": "Payments fail", "body": "We look into it.", "by": alice, "now": now, **values}
        return publishing.open_incident(page.pk, **values)

    return create


@pytest.fixture
def plan(page, alice, now):
    """A function that plans an hour of maintenance tomorrow, by Alice."""

    def create(**values):
        values = {
            "title": "New database",
            "body": "The shop is read-only.",
            "starts_at": now + DAY,
            "ends_at": now + DAY + HOUR,
            "by": alice,
            "now": now,
            **values,
        }
        return publishing.plan_maintenance(page.pk, **values)

    return create


@pytest.fixture
def shown(page):
    """What readers see after all that is due was computed."""

    def look(at):
        Nudge.objects.filter(due_at__gt=at).delete()  # those of the configuration have the time of the machine
        copying.refresh(page.pk, now=at)
        copying.refresh_due(now=at)
        content = Copy.objects.get(page=page).content
        return content, {one["name"]: one["state"] for one in content["components"]}

    return look


def waiting():
    """The updates that subscribers are still to be told."""
    return list(PostUpdate.objects.filter(tell_due_at__isnull=False).order_by("pk").values_list("stage", flat=True))


# --- trouble ------------------------------------------------------------------------------------------------------
def test_a_post_is_told_from_its_beginning_to_its_end(report, shop, search, shown, alice, now):
    uuid = str(shop.uuid)
    post = report(components={uuid: PARTIAL})
    assert (post.stage, post.impact, post.created_by) == ("investigating", "major", alice)
    content, states = shown(now)
    assert states == {"Shop": PARTIAL, "Search": OPERATIONAL}
    assert content["open"][0]["title"] == "Payments fail"
    assert content["open"][0]["updates"][0]["affected"] == [[uuid, "Shop", OPERATIONAL, PARTIAL]]

    later = now + 10 * MINUTE
    publishing.add_update(
        post.uuid, stage="identified", body="A disk is full.", components={uuid: MAJOR}, by=alice, now=later
    )
    post.refresh_from_db()
    assert (post.stage, post.impact) == ("identified", "critical")  # it got worse
    assert shown(later)[1]["Shop"] == MAJOR

    end = now + HOUR
    publishing.add_update(post.uuid, stage="resolved", body="All is well.", by=alice, now=end)
    content, states = shown(end)
    assert states["Shop"] == OPERATIONAL
    assert content["open"] == [] and content["history"][0]["ended_at"] == "2026-06-01T13:00:00Z"
    assert [(one["stage"], one["affected"][0][2:]) for one in content["history"][0]["updates"]] == [
        ("resolved", [MAJOR, OPERATIONAL]),
        ("identified", [PARTIAL, MAJOR]),
        ("investigating", [OPERATIONAL, PARTIAL]),
    ]
    assert waiting() == ["investigating", "identified", "resolved"]
    done = AuditEntry.objects.filter(kind="statuspages.post", object_id=str(post.pk)).order_by("pk")
    assert [(one.verb, one.actor, one.text) for one in done] == [
        ("created", alice, "Investigating: We look into it."),
        ("did", alice, "Identified: A disk is full."),
        ("did", alice, "Resolved: All is well."),
    ]


def test_what_is_not_told_is_shown_all_the_same(report, shown, now):
    report(is_told=False)
    assert waiting() == [] and len(shown(now)[0]["open"]) == 1


def test_a_resolved_post_opens_again_with_an_earlier_stage(report, shop, shown, alice, now):
    post = report(components={str(shop.uuid): DEGRADED})
    publishing.add_update(post.uuid, stage="resolved", by=alice, now=now + MINUTE)
    publishing.add_update(post.uuid, stage="monitoring", body="It is back.", by=alice, now=now + HOUR)
    post.refresh_from_db()
    assert post.ended_at is None
    content, states = shown(now + HOUR)
    assert states["Shop"] == DEGRADED and content["history"] == []


def test_a_post_that_tells_of_the_past_is_over_at_once(report, shop, shown, now):
    report(stage="resolved", starts_at=now - DAY, components={str(shop.uuid): MAJOR})
    content, states = shown(now)
    assert content["history"][0]["starts_at"] == "2026-05-31T12:00:00Z" and states["Shop"] == OPERATIONAL


def test_the_component_of_a_linked_post_follows_the_incident_and_the_post_waits_for_a_person(
    report, shop, service, shown, alice, now
):
    incident = lifecycle.trigger(service, title="Disk full", severity="high", now=now)
    post = report(incident=incident, components={str(shop.uuid): ""})
    assert shown(now)[1]["Shop"] == PARTIAL
    assert list(Post.objects.to_be_ended()) == []
    lifecycle.resolve(incident.pk, by=alice, now=now + MINUTE)
    content, states = shown(now + MINUTE)
    assert states["Shop"] == OPERATIONAL
    assert content["open"][0]["stage"] == "investigating"  # a person says that it is over …
    assert list(Post.objects.to_be_ended()) == [post]  # … and is asked to


def test_of_one_incident_a_page_has_one_open_post(report, service, alice, now):
    incident = lifecycle.trigger(service, title="Disk full", severity="high", now=now)
    post = report(incident=incident)
    with pytest.raises(IllegalMove, match="“Payments fail” tells readers of this incident already"):
        report(incident=incident)
    publishing.add_update(post.uuid, stage="resolved", by=alice, now=now)
    assert report(incident=incident).pk != post.pk


def test_components_come_into_a_post_and_go_out_of_it(report, shop, search, shown, alice, now):
    post = report(components={str(shop.uuid): MAJOR})
    changes = {str(shop.uuid): None, str(search.uuid): DEGRADED}
    publishing.add_update(post.uuid, components=changes, by=alice, now=now)
    assert list(Affected.objects.values_list("component__name", "state")) == [("Search", DEGRADED)]
    assert shown(now)[1] == {"Shop": OPERATIONAL, "Search": DEGRADED}
    post.refresh_from_db()
    assert post.impact == "critical"  # as bad as it was at its worst


def test_an_impact_that_is_given_stands(report, shop, alice, now):
    post = report(components={str(shop.uuid): MAJOR}, impact="minor")
    assert post.impact == "minor"
    publishing.add_update(post.uuid, impact="none", by=alice, now=now)
    post.refresh_from_db()
    assert post.impact == "none"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"title": " \n"}, "Give the post a title"),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"body": ""}, "Write what readers notice"),
        ({"body": "x" * 10_001}, "at most 10,000 characters"),
        ({"stage": "scheduled"}, "“scheduled” is no stage of a post of this kind"),
        ({"impact": "dreadful"}, "“dreadful” is no impact"),
        ({"components": {NOBODY: MAJOR}}, "The page has no component"),
        ({"components": {"no uuid": MAJOR}}, "The page has no component"),
        ({"starts_at": dt.datetime(2026, 6, 1, 12, 1, tzinfo=dt.UTC)}, "Plan maintenance instead"),
    ],
)
def test_a_post_that_cannot_be_used_is_refused_with_a_sentence(report, values, sentence):
    with pytest.raises(DomainError, match=sentence):
        report(**values)
    assert not Post.objects.exists() and not PostUpdate.objects.exists()


def test_a_component_of_another_page_is_refused(report, now):
    stranger = factories.ComponentFactory()
    with pytest.raises(DomainError, match="The page has no component"):
        report(components={str(stranger.uuid): MAJOR})


def test_an_unknown_state_is_refused(report, shop):
    with pytest.raises(DomainError, match="“on_fire” is no state"):
        report(components={str(shop.uuid): "on_fire"})


def test_an_update_that_says_nothing_is_refused(report, alice, now):
    post = report()
    with pytest.raises(DomainError, match="says nothing"):
        publishing.add_update(post.uuid, stage="investigating", body=" ", by=alice, now=now)
    with pytest.raises(DomainError, match="is no stage"):
        publishing.add_update(post.uuid, stage="completed", by=alice, now=now)
    with pytest.raises(NotFound, match="Somebody has removed it"):
        publishing.add_update(NOBODY, body="Hello", by=alice, now=now)


# --- corrections --------------------------------------------------------------------------------------------------
def test_edited_words_are_marked_and_told_to_nobody(report, shown, alice, bob, now):
    post = report(is_told=False)
    publishing.edit_update(post.updates.get().uuid, body="We fix it.", by=bob, now=now + MINUTE)
    update = shown(now + MINUTE)[0]["open"][0]["updates"][0]
    assert (update["body"], update["edited_at"]) == ("We fix it.", "2026-06-01T12:01:00Z")
    assert waiting() == []
    entry = AuditEntry.objects.filter(kind="statuspages.post").latest("pk")
    assert (entry.actor, entry.changes) == (bob, {"body": ["We look into it.", "We fix it."]})
    with pytest.raises(DomainError, match="Write what readers notice"):
        publishing.edit_update(post.updates.get().uuid, body="", by=bob, now=now)


def test_a_post_is_corrected(report, shown, alice, now):
    post = report()
    publishing.edit_post(post.uuid, title="Cards fail", impact="minor", starts_at=now - HOUR, by=alice, now=now)
    content = shown(now)[0]["open"][0]
    assert (content["title"], content["impact"], content["starts_at"]) == (
        "Cards fail",
        "minor",
        "2026-06-01T11:00:00Z",
    )
    with pytest.raises(DomainError, match="must be earlier than now"):
        publishing.edit_post(post.uuid, starts_at=now + HOUR, by=alice, now=now)
    with pytest.raises(DomainError, match="Only maintenance has a planned end"):
        publishing.edit_post(post.uuid, ends_at=now + HOUR, by=alice, now=now)


def test_a_removed_post_is_gone_with_its_notices_and_the_audit_knows_who_did_it(report, shop, shown, bob, now):
    post = report(components={str(shop.uuid): MAJOR})
    notice = factories.NotificationFactory(topic=publishing.topic_of(post))
    publishing.remove(post.uuid, by=bob, now=now)
    assert not Post.objects.exists() and waiting() == []
    assert Notification.objects.get(pk=notice.pk).state == "cancelled"
    entry = AuditEntry.objects.filter(kind="statuspages.post").latest("pk")
    assert (entry.verb, entry.actor, entry.object_name) == ("deleted", bob, "Payments fail")
    assert Nudge.objects.filter(page=post.page_id, due_at__gt=now).exists()
    content, states = shown(now)
    assert content["open"] == [] and states["Shop"] == OPERATIONAL


# --- maintenance --------------------------------------------------------------------------------------------------
def test_maintenance_is_announced_and_moves_by_hand_too(plan, shop, shown, alice, now):
    post = plan(components=[str(shop.uuid)], goes_by_itself=False)
    assert post.due_at is None and waiting() == ["scheduled"]
    content, states = shown(now)
    assert [one["title"] for one in content["planned"]] == ["New database"] and states["Shop"] == OPERATIONAL
    publishing.add_update(post.uuid, stage="in_progress", by=alice, now=now + HOUR)
    content, states = shown(now + HOUR)
    assert states["Shop"] == MAINTENANCE and content["indicator"] == "maintenance" and content["going_on"]
    publishing.add_update(post.uuid, stage="completed", by=alice, now=now + 2 * HOUR)
    assert shown(now + 2 * HOUR)[1]["Shop"] == OPERATIONAL
    assert waiting() == ["scheduled", "in_progress", "completed"]


@pytest.mark.parametrize(
    ("starts", "ends", "sentence"),
    [
        (HOUR, HOUR, "must be later than the start"),
        (-2 * HOUR, -HOUR, "lies in the past"),
        (HOUR, 400 * DAY, "a year at most"),
    ],
)
def test_maintenance_at_impossible_times_is_refused(plan, now, starts, ends, sentence):
    with pytest.raises(DomainError, match=sentence):
        plan(starts_at=now + starts, ends_at=now + ends)
    assert not Post.objects.exists()


def test_other_times_move_what_is_due(plan, alice, now):
    post = plan()
    publishing.edit_post(post.uuid, starts_at=now + HOUR, ends_at=now + 2 * HOUR, by=alice, now=now)
    post.refresh_from_db()
    assert post.due_at == now + HOUR
    publishing.edit_post(post.uuid, goes_by_itself=False, by=alice, now=now)
    post.refresh_from_db()
    assert post.due_at is None
    with pytest.raises(DomainError, match="later than the start"):
        publishing.edit_post(post.uuid, ends_at=now + MINUTE, by=alice, now=now)
    publishing.add_update(post.uuid, stage="completed", by=alice, now=now)
    with pytest.raises(IllegalMove, match="its times stand"):
        publishing.edit_post(post.uuid, ends_at=now + 5 * HOUR, by=alice, now=now)


# --- by hand ------------------------------------------------------------------------------------------------------
def test_a_state_set_by_hand_wins_until_it_is_cleared(page, shop, service, shown, alice, now):
    lifecycle.trigger(service, title="Disk full", severity="critical", now=now)
    publishing.set_state(shop.uuid, state=OPERATIONAL, reason="Only our monitor is broken.", by=alice, now=now)
    assert shown(now)[1]["Shop"] == OPERATIONAL
    row = Component.objects.get(pk=shop.pk)
    assert (row.manual_by, row.manual_reason) == (alice, "Only our monitor is broken.")
    entry = AuditEntry.objects.filter(kind="statuspages.component").latest("pk")
    assert entry.changes["manual_state"] == ["", "Operational"] and entry.changes["manual_by"][1] == "Alice"
    publishing.clear_state(shop.uuid, by=alice, now=now)
    publishing.clear_state(shop.uuid, by=alice, now=now)  # twice is harmless
    assert shown(now)[1]["Shop"] == MAJOR
    assert Component.objects.get(pk=shop.pk).manual_reason == ""


def test_setting_a_state_asks_for_the_page(page, shop, alice, now):
    Nudge.objects.all().delete()
    publishing.set_state(shop.uuid, state=MAJOR, by=alice, now=now)
    copying.refresh_due(now=timezone.now())
    assert Copy.objects.get(page=page).content["state"] == MAJOR


@pytest.mark.parametrize(
    ("values", "sentence"), [({"state": "bad"}, "is no state"), ({"state": MAJOR, "until": 0}, "lies in the past")]
)
def test_a_state_that_cannot_be_set_is_refused(shop, alice, now, values, sentence):
    if "until" in values:
        values = {**values, "until": now}
    with pytest.raises(DomainError, match=sentence):
        publishing.set_state(shop.uuid, **values, by=alice, now=now)
    with pytest.raises(NotFound, match="Somebody has deleted it"):
        publishing.set_state(NOBODY, state=MAJOR, by=alice, now=now)
