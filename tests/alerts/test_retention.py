"""Old raw events go in small steps that stand in nobody's way."""

import datetime as dt
import itertools
import threading

import pytest
from django.db import connection, transaction

from alerts import backlog, ingest
from alerts.models import Alert, ChangeEvent, InboundEvent, SeenSignature
from notifications import alarms
from notifications.models import Alarm
from tests import factories

DAY = dt.timedelta(days=1)


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="generic", service=service)


def event(at, state="decided", **fields):
    body = fields.pop("body", b"{}")
    return InboundEvent.objects.create(
        source="generic", scope="service:1", body=body, received_at=at, state=state, **fields
    )


def old_ones(count, at):
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {backlog.TABLE} (id, source, scope, body, headers, generated_key, received_at, state, "
            "decided_at, attempts, error, result) SELECT gen_random_uuid(), 'generic', 'service:1', '{}', '{}', '', "
            "%s - n * interval '1 s', 'decided', %s, 0, '', '[]' FROM generate_series(1, %s) AS n",
            [at, at, count],
        )


def test_decided_events_are_kept_for_the_days_of_the_setting(db, now, settings):
    settings.RAW_EVENT_DAYS = 30
    event(now - 31 * DAY)
    kept = event(now - 29 * DAY)
    assert backlog.prune(now=now) == 1
    assert InboundEvent.objects.get() == kept


@pytest.mark.parametrize("state", ["failed", "poison"])
def test_what_nobody_has_dealt_with_is_kept_four_times_as_long_and_its_alarm_with_it(db, now, settings, state):
    settings.RAW_EVENT_DAYS = 30
    row = event(now - 119 * DAY, state)
    alarms.raise_alarm(f"event:{row.pk}", "It could not be decided.", now=now)
    assert backlog.prune(now=now) == 0
    assert backlog.prune(now=now + 2 * DAY) == 1
    assert not InboundEvent.objects.exists()
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_what_waits_is_kept_whatever_its_age(db, now):
    event(now - 5000 * DAY, "pending", due_at=now)
    assert backlog.prune(now=now) == 0


def test_alerts_stay_when_their_raw_events_go(integration, service, now):
    rows = InboundEvent.objects.bulk_create(
        [
            InboundEvent(
                source="generic",
                scope="integration:1",
                integration=integration,
                service=service,
                body=b'{"title": "Down"}',
                received_at=now,
                due_at=now,
            )
        ]
    )
    ingest.decide_ids([row.pk for row in rows], now=now)
    assert backlog.prune(now=now + 400 * DAY) == 1
    assert Alert.objects.count() == 1


def test_changes_have_days_of_their_own(db, now, settings):
    settings.CHANGE_EVENT_DAYS = 10
    for days in (9, 11):
        ChangeEvent.objects.create(source="change", title=f"{days}", at=now, received_at=now - days * DAY)
    assert backlog.prune(now=now) == 1
    assert ChangeEvent.objects.get().title == "9"


def test_signatures_go_when_they_can_no_longer_be_replayed(integration, now):
    for seconds in (599, 601):
        SeenSignature.objects.create(
            integration=integration, signature=f"{seconds}", seen_at=now - dt.timedelta(seconds=seconds)
        )
    assert backlog.prune(now=now) == 1
    assert SeenSignature.objects.get().signature == "599"


def test_a_call_ends_in_time_and_the_next_ones_catch_up(db, now):
    old_ones(50_000, now - 91 * DAY)
    deleted = []
    while InboundEvent.objects.exists():
        clock = itertools.count()  # a second at each look
        deleted.append(backlog.prune(now=now, seconds=20, clock=lambda clock=clock: next(clock)))
    assert sum(deleted) == 50_000
    assert max(deleted) <= 20 * backlog.PRUNED_AT_ONCE
    assert 3 <= len(deleted) <= 5


@pytest.mark.django_db(transaction=True)
def test_an_event_is_decided_while_old_ones_are_deleted(integration, service, now):
    """Also one that is old itself: what somebody holds is passed over, not waited for."""
    old_ones(3000, now - 91 * DAY)
    new = InboundEvent.objects.create(
        source="generic",
        scope="integration:1",
        integration=integration,
        service=service,
        body=b'{"title": "Down"}',
        received_at=now,
        due_at=now,
    )
    held = InboundEvent.objects.filter(state="decided").first()
    inside, leave, decided = threading.Event(), threading.Event(), []

    def looks_at_an_old_one():
        with transaction.atomic():
            InboundEvent.objects.select_for_update().get(pk=held.pk)
            inside.set()
            leave.wait(10)
        connection.close()

    def decides():
        decided.append(ingest.decide_ids([new.pk], now=now))
        connection.close()

    admin = threading.Thread(target=looks_at_an_old_one)
    admin.start()
    assert inside.wait(5)
    steps = itertools.count()

    def clock():
        if next(steps) == 3:  # in the middle of it
            worker = threading.Thread(target=decides)
            worker.start()
            worker.join(10)
            assert decided == [1]
        return 0

    assert backlog.prune(now=now, clock=clock) == 2999
    leave.set()
    admin.join(5)
    assert set(InboundEvent.objects.values_list("pk", flat=True)) == {new.pk, held.pk}
    assert backlog.prune(now=now) == 1


def test_the_old_ones_are_found_by_an_index(db, now):
    old_ones(20_000, now - 10 * DAY)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {backlog.TABLE}")
        cursor.execute(
            f"EXPLAIN SELECT id FROM {backlog.TABLE} WHERE state = 'decided' AND received_at < %s "
            "ORDER BY received_at LIMIT 1000 FOR UPDATE SKIP LOCKED",
            [now - 90 * DAY],
        )
        assert "inbound_event_by_time" in "\n".join(line for (line,) in cursor.fetchall())
