"""What people do with silences, what these would hold, and what becomes due before and at their end."""

import datetime as dt

import pytest

from alerts import matching, quiet, silences
from alerts.models import Silence
from core.errors import DomainError, IllegalMove
from notifications.models import Alarm, Notification
from tests import factories

SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 60, 3600, 86400))


@pytest.fixture
def make(alice, now):
    """A function that makes a silence of an hour, of Alice."""

    def create(**values):
        values = {
            "condition": 'env = "staging"',
            "starts_at": now,
            "ends_at": now + HOUR,
            "reason": "Disk work",
            "by": alice,
            "now": now,
            **values,
        }
        return silences.create(**values)

    return create


def held_by(silence, **fields):
    return factories.AlertFactory(held_by=silences.by_of(silence), **fields)


def rechecked(alert):
    alert.refresh_from_db()
    return alert.recheck_at


# --- verbs --------------------------------------------------------------------------------------------------------


def test_a_silence_has_an_owner_a_reason_and_two_times_when_somebody_looks(make, alice, now):
    silence = make()
    assert (silence.owner, silence.reason, silences.state(silence, now)) == (alice, "Disk work", "active")
    assert silence.warn_at == silence.due_at == now + 45 * MINUTE


def test_a_short_silence_warns_at_its_half(make, now):
    assert make(ends_at=now + 10 * MINUTE).warn_at == now + 5 * MINUTE


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"reason": "  "}, "reason_required", "three in the morning"),
        ({"condition": "env = ("}, "condition", "cannot be read: in column 7"),
        ({"condition": ""}, "condition", "empty"),
        ({"ends_at": factories.NOW}, "ends_before_it_starts", "later than the start"),
        (
            {"starts_at": factories.NOW - 2 * HOUR, "ends_at": factories.NOW - HOUR},
            "ends_in_the_past",
            "lies in the past",
        ),
        ({"starts_at": factories.NOW - 2 * DAY}, "starts_in_the_past", "more than a day"),
        ({"ends_at": factories.NOW + 367 * DAY}, "too_long", "a year at most"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_change(make, values, code, words):
    with pytest.raises(DomainError, match=words) as refused:
        make(**values)
    assert refused.value.code == code and not Silence.objects.exists()


@pytest.mark.parametrize("condition", ['title =~ ".*"', 'env != "prod"', "not env exists"])
def test_a_condition_that_means_nearly_every_alert_must_be_confirmed(make, condition):
    with pytest.raises(DomainError, match="nearly every alert") as refused:
        make(condition=condition)
    assert refused.value.code == "matches_everything"
    assert make(condition=condition, everything=True).condition == condition
    assert make(condition=condition, service=factories.ServiceFactory())


def test_all_alerts_of_a_service_need_no_condition(make, service):
    assert make(condition="", service=service).condition == ""


def test_editing_looks_again_at_what_it_holds(make, bob, now):
    silence = make()
    alert = held_by(silence)
    edited = silences.edit(
        silence.pk,
        condition='env = "test"',
        starts_at=silence.starts_at,
        ends_at=now + 2 * HOUR,
        reason="More disks",
        by=bob,
        now=now + MINUTE,
    )
    assert (edited.condition, edited.owner.name, edited.due_at) == ('env = "test"', "Alice", now + 105 * MINUTE)
    assert rechecked(alert) == now + MINUTE


def test_extending_moves_the_end_and_the_warning(make, bob, now):
    silence = silences.extend(make().pk, seconds=3600, by=bob, now=now + 50 * MINUTE)
    assert silence.ends_at == now + 2 * HOUR and silence.due_at == silence.warn_at == now + 105 * MINUTE
    with pytest.raises(DomainError, match="a year at most"):
        silences.extend(silence.pk, seconds=366 * 86400, by=bob, now=now)


def test_ending_it_early_pages_at_once_what_it_held_and_cannot_be_undone(make, bob, now):
    silence = make()
    alert, other = held_by(silence), factories.AlertFactory(held_by="silence:0")
    silences.expire(silence.pk, by=bob, now=now + MINUTE)
    assert rechecked(alert) == now + MINUTE and rechecked(other) is None
    for verb, values in ((silences.expire, {}), (silences.extend, {"seconds": 60})):
        with pytest.raises(IllegalMove, match="is over"):
            verb(silence.pk, by=bob, now=now + 2 * MINUTE, **values)


def test_what_was_being_decided_when_it_ended_is_found_by_a_second_look(make, bob, now):
    silence = make()
    silences.expire(silence.pk, by=bob, now=now)
    late = held_by(silence)  # by a batch that had read the silence before
    silences.sweep(now=now + 29 * SECOND)
    assert rechecked(late) is None
    silences.sweep(now=now + 30 * SECOND)
    assert rechecked(late) == now + 30 * SECOND
    assert silences.oldest_due(now + DAY) is None


def test_a_natural_end_is_looked_at_twice_and_then_never_again(make, now):
    silence = make()
    early = held_by(silence)
    Silence.objects.update(warn_at=None, due_at=silence.ends_at)
    assert silences.oldest_due(now + HOUR - SECOND) is None and silences.oldest_due(now + HOUR) == now + HOUR
    silences.sweep(now=now + HOUR)
    late = held_by(silence)
    assert rechecked(early) == now + HOUR
    silences.sweep(now=now + HOUR + 30 * SECOND)
    assert rechecked(late) == now + HOUR + 30 * SECOND and silences.oldest_due(now + DAY) is None


def test_an_alarm_about_a_broken_condition_ends_with_the_correction(make, service, now, alice):
    silence = make()
    Silence.objects.update(condition="env = (")
    quiet.Quiet.load(now=now).hold(matching.Facts(), service=service, severity="low")
    assert Alarm.objects.get().cleared_at is None
    silences.edit(
        silence.pk, condition="env exists", starts_at=now, ends_at=now + HOUR, reason="r", by=alice, now=now + MINUTE
    )
    assert Alarm.objects.get().cleared_at == now + MINUTE


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "active"),
        ({"starts_at": factories.NOW}, "active"),
        ({"starts_at": factories.NOW + SECOND}, "pending"),
        ({"ends_at": factories.NOW}, "expired"),
        ({"expired_at": factories.NOW - HOUR}, "expired"),
        ({"starts_at": factories.NOW + SECOND, "expired_at": factories.NOW}, "expired"),
    ],
)
def test_the_list_and_the_silence_agree_about_its_state(db, now, values, state):
    silence = factories.SilenceFactory(**values)
    assert silences.state(silence, now) == state
    found = [one for one in ("pending", "active", "expired") if silences.in_state(Silence.objects.all(), one, now)]
    assert found == [state]


# --- the warning --------------------------------------------------------------------------------------------------


def told():
    return [(one.user.name, one.message["title"]) for one in Notification.objects.order_by("pk")]


def test_the_owner_is_told_once_before_the_end_when_something_fires(make, alice, now):
    silence = make()
    held_by(silence, title="Disk full", service=factories.ServiceFactory(name="Checkout"))
    silences.sweep(now=now + 45 * MINUTE)
    silences.sweep(now=now + 46 * MINUTE)
    assert told() == [("Alice", "A silence ends at 13:00 UTC, and 1 alert that it holds still fires")]
    message = Notification.objects.get().message
    assert message["body"].startswith("Disk full (Checkout). They page when it ends.")
    assert message["url"].endswith(f"/silences/{silence.uuid}")
    silence.refresh_from_db()
    assert (silence.warn_at, silence.due_at) == (None, silence.ends_at)


def test_an_extended_silence_warns_again(make, alice, now):
    silence = make()
    held_by(silence)
    silences.sweep(now=now + 45 * MINUTE)
    silences.extend(silence.pk, seconds=3600, by=alice, now=now + 50 * MINUTE)
    silences.sweep(now=now + 105 * MINUTE)
    assert len(told()) == 2


def test_nobody_is_told_when_nothing_fires_that_it_holds(make, alice, now):
    held_by(make(), resolved_at=now)
    silences.sweep(now=now + 45 * MINUTE)
    assert told() == []


def test_without_an_owner_the_team_of_the_service_is_told(make, service, charlie, now):
    silence = make(service=service, by=None, made_by="amtool")
    held_by(silence)
    silences.sweep(now=now + 45 * MINUTE)
    assert sorted(name for name, _ in told()) == ["Alice", "Bob"]


def test_when_the_owner_has_left_the_team_of_the_alerts_is_told(make, service, charlie, now):
    silence = make(by=charlie)
    charlie.is_active = False
    charlie.save()
    held_by(silence, service=service)
    silences.sweep(now=now + 45 * MINUTE)
    assert sorted(name for name, _ in told()) == ["Alice", "Bob"]


def test_when_nobody_else_can_be_reached_the_admins_are_told(make, alice, now):
    silence = make(by=factories.UserFactory())
    held_by(silence, service=factories.ServiceFactory())
    silences.sweep(now=now + 45 * MINUTE)
    assert [name for name, _ in told()] == ["Alice"]


# --- the preview --------------------------------------------------------------------------------------------------


def test_the_preview_says_what_fires_what_matched_and_which_incidents_would_not_exist(service, now):
    spared, shared = factories.IncidentFactory(service=service), factories.IncidentFactory(service=service)
    staging, prod = {"env": "staging"}, {"env": "prod"}
    newest = factories.AlertFactory(service=service, labels=staging, incident=spared, last_at=now)
    factories.AlertFactory(service=service, labels=staging, incident=shared, resolved_at=now)
    factories.AlertFactory(service=service, labels=prod, incident=shared)
    factories.AlertFactory(labels=staging, last_at=now - 8 * DAY)
    found = silences.preview('env = "staging"', now=now)
    assert (found.firing, found.paged, found.total, found.incidents, found.looked_at) == (1, 1, 2, 1, 3)
    assert found.alerts[0] == newest and not found.is_cut
    assert silences.preview('env = "staging"', now=now, service=factories.ServiceFactory()).total == 0
    assert silences.preview("", now=now, service=service).total == 3
    assert silences.preview("", now=now, teams=[service.team]).total == 3
    assert silences.preview("", now=now, services=[factories.ServiceFactory()]).total == 0


def test_an_incident_shared_with_another_source_is_not_spared(service, now):
    incident = factories.IncidentFactory(service=service)
    mine = factories.IntegrationFactory(service=service)
    factories.AlertFactory(service=service, integration=mine, incident=incident)
    factories.AlertFactory(service=service, incident=incident)
    found = silences.preview("", now=now, integration=mine)
    assert (found.total, found.incidents) == (1, 0)


def test_the_preview_refuses_what_cannot_be_read(db, now):
    with pytest.raises(DomainError):
        silences.preview("env = (", now=now)


def test_a_condition_on_the_payload_is_refused_since_it_would_let_go_at_the_first_look(alice, now):
    with pytest.raises(DomainError, match="asks for the payload"):
        silences.create(
            condition='payload.region = "eu"',
            starts_at=now,
            ends_at=now + dt.timedelta(hours=1),
            reason="Work",
            by=alice,
            now=now,
        )


def test_the_preview_looks_at_no_more_than_it_says(service, now, django_assert_max_num_queries):
    factories.AlertFactory.create_batch(5, service=service)
    with django_assert_max_num_queries(2):
        found = silences.preview('severity = "critical"', now=now, limit=3)
    assert (found.total, found.looked_at, found.is_cut) == (3, 3, True)
