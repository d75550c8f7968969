"""Heartbeats: pings over HTTP, misses found by the sweep, and what people do to them."""

import contextlib
import datetime as dt
import random
import threading
import time

import pytest
from django.db import connection
from django.utils import timezone

from alerts import heartbeats, ingest
from alerts.keys import Target
from alerts.models import Alert, Heartbeat, InboundEvent, Presence, Silence
from incidents.models import Incident
from tests import factories
from tests.alerts.test_door import Server
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = dt.timedelta(seconds=1)
DEADLINE = dt.timedelta(minutes=6)  # every 5 minutes, up to 1 late


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def here(now):
    """We can be reached, at any time that a test looks at."""
    Presence.objects.create(beat_at=timezone.now() + dt.timedelta(days=3650))


@pytest.fixture
def heartbeat(service):
    return factories.HeartbeatFactory(name="backup", service=service)


@pytest.fixture
def armed(heartbeat, now, here):
    heartbeats.arm(heartbeat, now=now)
    return heartbeat


def decide(now):
    return ingest.sweep(now=now)


def miss(heartbeat, at):
    """It stays away, and that is decided; gives the incident."""
    assert heartbeats.sweep(now=at) == 1
    decide(at)
    return Incident.objects.order_by("-pk").first()


def fresh(row):
    row.refresh_from_db()
    return row


# --- pings --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT"])
def test_a_ping_arms_the_heartbeat_and_sets_its_deadline(server, heartbeat, method):
    before = timezone.now()
    reply = server.request(method, f"/in/heartbeat/{heartbeat.key}", b"" if method == "HEAD" else b"\xff{whatever")
    assert reply.status == 200
    if method != "HEAD":
        assert reply.json == {"status": "ok", "heartbeat": "backup"}
    fresh(heartbeat)
    assert before <= heartbeat.last_ping_at <= timezone.now()
    assert heartbeat.armed_at == heartbeat.last_ping_at
    assert heartbeat.due_at == heartbeat.last_ping_at + DEADLINE
    assert heartbeat.last_ping_via == method


def test_the_slash_at_the_end_and_a_key_in_the_header_do(server, heartbeat):
    assert server.request("GET", f"/in/heartbeat/{heartbeat.key}/").status == 200
    assert server.request("GET", "/in/heartbeat", headers={"Authorization": f"Bearer {heartbeat.key}"}).status == 200


def test_an_unknown_key_is_told_what_to_do(server, heartbeat):
    reply = server.request("GET", "/in/heartbeat/0123456789abcdef")
    assert reply.status == 404
    assert "Copy its address again" in reply.json["message"]
    assert server.request("GET", "/in/heartbeat").status == 401
    assert server.request("GET", "/in/heartbeat/%00%ff").status == 404
    assert server.request("DELETE", f"/in/heartbeat/{heartbeat.key}").status == 405
    assert fresh(heartbeat).last_ping_at is None


def test_alertmanagers_dead_man_switch_is_a_ping(server, heartbeat):
    body = {"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "Watchdog"}}]}
    assert server.post(f"/in/heartbeat/{heartbeat.key}", body).status == 200
    assert fresh(heartbeat).due_at
    assert not InboundEvent.objects.exists()


def test_a_paused_heartbeat_takes_pings_and_says_that_it_is_paused(server, heartbeat):
    heartbeats.set_enabled(heartbeat, False, now=timezone.now())
    assert "paused" in server.request("GET", f"/in/heartbeat/{heartbeat.key}").json["message"]
    assert fresh(heartbeat).last_ping_at
    assert heartbeat.due_at is None


@pytest.mark.logs_errors
def test_a_ping_that_cannot_be_stored_asks_for_another(server, heartbeat):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {Heartbeat._meta.db_table} RENAME TO elsewhere")
    try:
        reply = server.request("GET", f"/in/heartbeat/{heartbeat.key}")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE elsewhere RENAME TO {Heartbeat._meta.db_table}")
    assert (reply.status, reply.headers["retry-after"]) == (503, "2")


def run_in(server, function):
    """The outcome of a coroutine that a dialect runs in the door's loop."""
    done, outcome = threading.Event(), []

    class Probe:
        def find(self, method, path):
            return self.handle if path == "/probe" else None

        async def handle(self, door, request):
            outcome.append(await function(door))
            done.set()
            return 200, None, ()

    server.door._dialects.insert(0, Probe())
    server.request("GET", "/probe")
    assert done.wait(5)
    return outcome[0]


def test_a_ping_by_name_needs_a_key_of_the_same_integration_or_team(server, heartbeat, service, now):
    mine = factories.IntegrationFactory(source="opsgenie", service=service)
    of_the_team = factories.IntegrationFactory(source="opsgenie", service=None, team=service.team)
    stranger = factories.IntegrationFactory(source="opsgenie", service=factories.ServiceFactory())

    def ping(integration=None, service_id=None):
        target = Target("x", "opsgenie", integration and integration.pk, service_id)
        return run_in(server, lambda door: heartbeats.ping_by_name(door, "backup", "opsgenie", target=target, now=now))

    assert ping(mine).name == ping(of_the_team).name == ping(service_id=service.pk).name == "backup"
    assert ping(stranger) is None
    Heartbeat.objects.update(integration=stranger)
    assert ping(stranger).name == "backup"
    assert ping(mine) is None


def test_the_heartbeat_address_of_an_integration_pings_all_of_its_heartbeats(server, heartbeat, service, now):
    integration = factories.IntegrationFactory(service=service)
    others = [factories.HeartbeatFactory(service=service, integration=integration) for _ in range(2)]
    target = Target("x", "generic", integration.pk, service.pk)
    pings = run_in(server, lambda door: heartbeats.ping_of_integration(door, target, "oncall", now=now))
    assert [ping.name for ping in pings] == [one.name for one in others]
    assert all(fresh(one).last_ping_at == now for one in others)
    assert fresh(heartbeat).last_ping_at is None


# --- misses -------------------------------------------------------------------------------------------------------
def test_nothing_is_missed_before_it_is_armed(heartbeat, now, here):
    assert heartbeats.oldest_due(now + dt.timedelta(days=400)) is None
    assert heartbeats.sweep(now=now + dt.timedelta(days=400)) == 0


def test_a_missed_heartbeat_opens_an_incident_and_the_next_ping_resolves_it(server, armed, service, now):
    assert heartbeats.sweep(now=now + DEADLINE - SECOND) == 0
    assert heartbeats.oldest_due(now + DEADLINE) == now + DEADLINE
    incident = miss(armed, now + DEADLINE)
    assert (incident.service, incident.severity) == (service, "high")
    assert incident.title == "Heartbeat backup is missing"
    alert = heartbeats.alerts_of(armed).get()
    assert "expected every 5 minutes and may be 1 minute late. It has never pinged." in alert.description
    assert alert.links == [{"href": heartbeats.page_of(armed), "text": "Heartbeat"}]
    assert fresh(armed).missed_at == now + DEADLINE
    assert heartbeats.sweep(now=now + 10 * DEADLINE) == 0, "once"

    assert server.post(f"/in/heartbeat/{armed.key}").status == 200
    decide(timezone.now() + SECOND)
    assert Incident.objects.get().status == "resolved"
    assert fresh(armed).missed_at is None
    assert armed.due_at > timezone.now()

    at = armed.due_at + SECOND
    assert miss(armed, at).pk != incident.pk, "and the next miss is new work"


def test_severity_and_words_are_those_of_the_heartbeat(armed, now):
    Heartbeat.objects.update(severity="critical", grace_seconds=0, description="See the runbook.", last_ping_at=now)
    assert miss(armed, now + DEADLINE).severity == "critical"
    description = Alert.objects.get().description
    assert "expected every 5 minutes. The last ping came at 2026-06-01 12:00:00 UTC" in description
    assert description.endswith("See the runbook.")


def test_a_silence_holds_the_alert_of_a_heartbeat(armed, alice, now):
    Silence.objects.create(
        condition='labels.heartbeat = "backup"',
        starts_at=now,
        ends_at=now + dt.timedelta(hours=1),
        reason="Moved",
        owner=alice,
    )
    assert miss(armed, now + DEADLINE) is None
    assert Alert.objects.get().held_by.startswith("silence:")


def test_nothing_is_missing_while_no_web_process_is_there(armed, now):
    Presence.objects.update(beat_at=now + DEADLINE - SECOND)
    late = now + dt.timedelta(hours=1)
    assert heartbeats.sweep(now=late) == 0
    assert heartbeats.oldest_due(late) is None
    Presence.objects.update(beat_at=now + DEADLINE)
    assert heartbeats.oldest_due(late) == now + DEADLINE
    assert heartbeats.sweep(now=late) == 1


def test_the_admins_hear_that_heartbeats_cannot_be_judged(armed, now):
    from notifications.models import Alarm

    Presence.objects.update(beat_at=now)
    heartbeats.watch_presence(now=now + dt.timedelta(minutes=3))
    assert "heartbeats that stay away are not noticed" in Alarm.objects.get(cleared_at=None).text
    Presence.objects.update(beat_at=now + dt.timedelta(minutes=4))
    heartbeats.watch_presence(now=now + dt.timedelta(minutes=4))
    assert not Alarm.objects.filter(cleared_at=None).exists()


# --- races --------------------------------------------------------------------------------------------------------
def test_two_sweepers_find_a_miss_once(armed, now):
    at = now + DEADLINE
    outcomes = at_once(*[lambda: heartbeats.sweep(now=at)] * 4)
    assert sorted(outcomes) == [0, 0, 0, 1]
    decide(at)
    assert Incident.objects.count() == 1


def test_a_ping_that_comes_while_the_sweep_commits_ends_that_very_miss(server, armed):
    at = timezone.now()
    Heartbeat.objects.update(due_at=at - SECOND)
    with contextlib.ExitStack() as stack:
        swept, leave = threading.Event(), threading.Event()

        def sweep():
            from django.db import transaction

            with contextlib.closing(connection), transaction.atomic():
                heartbeats.sweep(now=timezone.now() + dt.timedelta(seconds=5))  # its clock is ahead
                swept.set()
                leave.wait(10)

        thread = threading.Thread(target=sweep)
        thread.start()
        stack.callback(thread.join)
        assert swept.wait(5)
        ping = threading.Thread(target=lambda: server.post(f"/in/heartbeat/{armed.key}"))
        ping.start()
        stack.callback(ping.join)
        time.sleep(0.2)
        leave.set()
    kinds = InboundEvent.objects.order_by("received_at").values_list("body", flat=True)
    assert [b'"resolve"' in bytes(body) for body in kinds] == [False, True], "the end is later than the beginning"
    decide(timezone.now() + dt.timedelta(seconds=10))
    assert [one.status for one in Incident.objects.all()] == ["resolved"]
    assert fresh(armed).missed_at is None


def test_whatever_races_each_miss_begins_once_and_ends_once(server, armed):
    """Pings and sweepers at the same moment, again and again: beginnings and ends alternate."""
    for _ in range(12):
        Heartbeat.objects.filter(missed_at=None).update(due_at=timezone.now() - SECOND)
        calls = [lambda: heartbeats.sweep(now=timezone.now())] * 2
        calls += [lambda: server.request("GET", f"/in/heartbeat/{armed.key}").status] * 2
        random.shuffle(calls)
        outcomes = at_once(*calls)
        assert not [one for one in outcomes if isinstance(one, Exception)]
    bodies = InboundEvent.objects.order_by("received_at").values_list("body", flat=True)
    ends = [b'"resolve"' in bytes(body) for body in bodies]
    assert ends == [index % 2 == 1 for index in range(len(ends))]
    assert bool(fresh(armed).missed_at) == (len(ends) % 2 == 1)
    while decide(timezone.now() + SECOND):
        pass
    assert Alert.objects.firing().count() == len(ends) % 2


# --- what people do -----------------------------------------------------------------------------------------------
def end_of(armed, now, act):
    """What is left of the incident of a miss after somebody did something."""
    incident = miss(armed, now + DEADLINE)
    act(fresh(armed), now + 2 * DEADLINE)
    decide(now + 2 * DEADLINE + SECOND)
    incident.refresh_from_db()
    return incident.status


def test_pausing_a_missing_heartbeat_resolves_its_incident(armed, now):
    assert end_of(armed, now, lambda one, at: heartbeats.set_enabled(one, False, now=at)) == "resolved"
    assert (fresh(armed).missed_at, armed.due_at) == (None, None)
    later = now + dt.timedelta(days=1)
    heartbeats.set_enabled(armed, True, now=later)
    assert fresh(armed).due_at == later + DEADLINE, "it counts from when it goes on"


def test_deleting_a_missing_heartbeat_resolves_its_incident(armed, now):
    assert end_of(armed, now, lambda one, at: heartbeats.remove(one, now=at)) == "resolved"
    assert not Heartbeat.objects.exists()


def test_arming_a_missing_heartbeat_by_hand_resolves_its_incident(armed, now):
    assert end_of(armed, now, lambda one, at: heartbeats.arm(one, now=at)) == "resolved"
    assert fresh(armed).due_at == now + 3 * DEADLINE


def test_a_shorter_interval_moves_the_deadline(armed, now):
    armed.interval_seconds = 120
    heartbeats.save(armed, now=now + dt.timedelta(minutes=1))
    assert fresh(armed).due_at == now + dt.timedelta(minutes=3)


def test_an_interval_by_which_it_would_be_missing_already_counts_from_now(armed, now):
    at = now + dt.timedelta(minutes=4)
    armed.interval_seconds = 60
    heartbeats.save(armed, now=at)
    assert fresh(armed).due_at == at + dt.timedelta(minutes=2)


def test_a_longer_interval_ends_a_miss_that_is_none_any_more(armed, now):
    def lengthen(one, at):
        one.interval_seconds = 86400
        heartbeats.save(one, now=at)

    assert end_of(armed, now, lengthen) == "resolved"
    assert fresh(armed).due_at == now + dt.timedelta(days=1, minutes=1)


def test_a_form_that_was_opened_before_a_ping_does_not_undo_the_ping(server, armed):
    stale = Heartbeat.objects.get()
    assert server.post(f"/in/heartbeat/{armed.key}").status == 200
    pinged_at = fresh(armed).last_ping_at
    stale.name = "nightly"
    heartbeats.save(stale, now=timezone.now())
    assert (fresh(armed).name, armed.last_ping_at) == ("nightly", pinged_at)
    assert armed.due_at == pinged_at + DEADLINE


def test_an_edit_leaves_a_miss_alone(armed, now):
    assert end_of(armed, now, lambda one, at: heartbeats.save(one, now=at)) == "triggered"
    assert fresh(armed).missed_at


def test_a_new_key_opens_and_the_old_one_does_not(server, heartbeat):
    key = heartbeats.new_key(heartbeat)
    assert server.request("GET", f"/in/heartbeat/{heartbeat.key}").status == 404
    assert server.request("GET", f"/in/heartbeat/{key}").status == 200


@pytest.mark.parametrize(
    ("seconds", "words"), [(60, "1 minute"), (90, "90 seconds"), (7200, "2 hours"), (86400, "1 day"), (0, "0 seconds")]
)
def test_spans_in_words(seconds, words):
    assert heartbeats.span(seconds) == words
