"""Whose turn it is: scopes take turns, and within a scope events are decided in the order of their receipt."""

import datetime as dt
import json
import threading

import pytest
from django.db import connection, transaction
from django_q.models import OrmQ

from alerts import backlog, ingest
from alerts.models import Alert, InboundEvent
from incidents.models import Incident
from tests import factories

SECOND = dt.timedelta(seconds=1)


@pytest.fixture(autouse=True)
def no_storm(settings):
    settings.STORM_INCIDENTS_PER_MINUTE = 0


@pytest.fixture
def through(service):
    """`through(3)` makes three integrations."""

    def make(count):
        return [factories.IntegrationFactory(source="generic", service=service) for _ in range(count)]

    return make


def store(integration, count, now, *, key="key", due_in=0, action="trigger", age=0):
    """Undecided events as the door stores them, one microsecond after the other."""
    start = now - age * SECOND
    return InboundEvent.objects.bulk_create(
        InboundEvent(
            source="generic",
            scope=f"integration:{integration.pk}",
            integration=integration,
            service_id=integration.service_id,
            body=json.dumps({"title": "Down", "action": action, "dedup_key": f"{key}-{number}"}).encode(),
            received_at=start + dt.timedelta(microseconds=number),
            due_at=start + dt.timedelta(microseconds=number) + due_in * SECOND,
        )
        for number in range(count)
    )


def turn(now, limit=backlog.BATCH):
    """The scopes of the rows of one claim, in order of their receipt."""
    with transaction.atomic():
        return backlog.Turns().claim(now=now, limit=limit)


def decided(rows):
    return InboundEvent.objects.filter(pk__in=[row.pk for row in rows], state="decided").count()


# --- fair ---------------------------------------------------------------------------------------------------------


def test_under_a_backlog_of_ten_thousand_events_another_scope_is_decided_in_the_next_batch(through, now):
    noisy, quiet = through(2)
    store(noisy, 10_000, now, age=60)
    late = store(quiet, 1, now)
    assert ingest.sweep(now=now + SECOND) == backlog.BATCH
    assert decided(late) == 1


def test_alone_a_scope_gets_the_whole_batch(through, now):
    (only,) = through(1)
    store(only, 300, now)
    assert len(turn(now + SECOND)) == backlog.BATCH


def test_two_scopes_share_a_batch_and_what_one_leaves_the_other_takes(through, now):
    one, other = through(2)
    store(one, 500, now)
    store(other, 30, now)
    scopes = [row.scope for row in turn(now + SECOND)]
    assert scopes.count(f"integration:{other.pk}") == 30
    assert len(scopes) == backlog.BATCH


def test_of_a_thousand_noisy_scopes_each_has_a_turn_before_any_has_two_times_the_batches(through, now):
    """The quiet one waits for at most as many batches as it takes to go round."""
    (quiet,) = through(1)
    rows = []
    for number in range(1000):
        for place in range(5):
            at = now - 60 * SECOND + dt.timedelta(microseconds=place)
            body = json.dumps({"title": "Down", "dedup_key": f"{place}"}).encode()
            rows.append(
                InboundEvent(
                    source="generic",
                    scope=f"service:{number}",
                    service=quiet.service,
                    body=body,
                    due_at=at,
                    received_at=at,
                )
            )
    InboundEvent.objects.bulk_create(rows)
    late = store(quiet, 1, now)
    batches = 0
    while not decided(late):
        assert ingest.sweep(now=now + SECOND)
        batches += 1
    assert batches <= 1001 / backlog.BATCH + 1


def test_a_batch_of_large_requests_is_a_small_one(through, now):
    (only,) = through(1)
    rows = store(only, 10, now)
    InboundEvent.objects.filter(pk__in=[row.pk for row in rows]).update(body=b" " * (backlog.BATCH_BYTES // 3 + 1))
    assert len(turn(now + SECOND)) == 3
    InboundEvent.objects.filter(pk=rows[0].pk).update(body=b" " * (2 * backlog.BATCH_BYTES))
    assert [row.pk for row in turn(now + SECOND)] == [rows[0].pk]


def test_a_batch_grows_while_repeats_are_decided_quickly_and_shrinks_when_they_take_long():
    assert backlog.next_size(200, 200, 0.01) == 400
    assert backlog.next_size(800, 800, 0.1) == backlog.LARGEST
    assert backlog.next_size(200, 200, 0.4) == 100
    assert backlog.next_size(200, 200, 60) == backlog.SMALLEST
    assert backlog.next_size(200, 3, 0.01) == 200


def test_the_claim_reads_a_backlog_of_a_hundred_thousand_by_its_index(through, now):
    """Not by a scan of the table: it is asked for several times a second."""
    noisy, quiet = through(2)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {backlog.TABLE} (id, source, scope, integration_id, service_id, body, headers, "
            "generated_key, received_at, due_at, state, attempts, error, result) "
            "SELECT gen_random_uuid(), 'generic', %s, %s, %s, '{}', '{}', '', %s - n * interval '1 ms', "
            "%s - n * interval '1 ms', 'pending', 0, '', '[]' FROM generate_series(1, 100000) AS n",
            [f"integration:{noisy.pk}", noisy.pk, noisy.service_id, now, now],
        )
        store(quiet, 1, now)
        cursor.execute(f"ANALYZE {backlog.TABLE}")
        values = {"now": now, "limit": 200, "bytes": backlog.BATCH_BYTES, "grace": backlog.DECIDE_GRACE, "share": 200}
        values |= {
            "lock": backlog.SCOPE_LOCK,
            "after": "",
            "scopes": [f"integration:{one.pk}" for one in (noisy, quiet)],
        }
        for query in (backlog.DUE_SCOPES, backlog.TAKE_TURNS):
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query, values)
            plan = cursor.fetchone()[0][0]["Plan"]
            text = json.dumps(plan)
            assert "Seq Scan" not in text, text
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 3000, text
    assert len(turn(now + SECOND)) == 200


# --- in order -----------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(transactional_db):
    """`elsewhere(integration, now)` holds what another worker would claim, until `leave()`."""
    threads = []

    def hold(now):
        inside, leave = threading.Event(), threading.Event()
        claimed = []

        def work():
            try:
                with transaction.atomic():
                    claimed.extend(backlog.Turns().claim(now=now, limit=1))
                    inside.set()
                    leave.wait(10)
            finally:
                connection.close()

        thread = threading.Thread(target=work)
        thread.start()
        threads.append((thread, leave))
        assert inside.wait(5)

        def done():
            leave.set()
            thread.join(5)

        return claimed, done

    yield hold
    for thread, leave in threads:
        leave.set()
        thread.join(5)


def test_while_one_worker_has_a_scope_another_takes_the_others_and_nothing_of_it(elsewhere, service, now):
    noisy, quiet = (factories.IntegrationFactory(source="generic", service=service) for _ in range(2))
    store(noisy, 5, now, age=10)
    claimed, done = elsewhere(now)
    assert [row.scope for row in claimed] == [f"integration:{noisy.pk}"]
    mine = store(quiet, 2, now)
    assert ingest.sweep(now=now + SECOND) == 2
    assert decided(mine) == 2
    done()
    assert ingest.sweep(now=now + SECOND) == 5


def test_what_a_web_process_may_not_decide_is_left_to_the_workers_at_once(elsewhere, service, now):
    integration = factories.IntegrationFactory(source="generic", service=service)
    store(integration, 1, now, age=10)
    claimed, done = elsewhere(now)
    (mine,) = store(integration, 1, now, due_in=2, key="mine")
    assert ingest.decide_ids([mine.pk], now=now) == 0
    mine.refresh_from_db()
    assert (mine.state, mine.due_at) == ("pending", now + backlog.HAND_OVER)
    done()
    assert ingest.sweep(now=now + SECOND) == 2


def test_a_web_process_does_not_overtake_what_is_older(through, now):
    """The trigger must not be taken for a repeat before the end of the last trouble is decided."""
    (only,) = through(1)
    store(only, 1, now, age=60)
    assert ingest.sweep(now=now) == 1
    store(only, 1, now, action="resolve", age=1)
    (again,) = store(only, 1, now, due_in=2)
    assert ingest.decide_ids([again.pk], now=now) == 0
    ingest.sweep(now=now + SECOND)
    assert Alert.objects.count() == 2
    assert Alert.objects.firing().get().incident.is_open


def test_a_web_process_does_not_overtake_what_waited_for_its_place_and_is_due_now(through, now):
    """An end above the rate of its sender; the next trouble of its key lets it go first, and must not pass it."""
    (only,) = through(1)
    store(only, 1, now, age=60)
    assert ingest.sweep(now=now) == 1
    store(only, 1, now, action="resolve", age=10, due_in=10)
    (again,) = store(only, 1, now, due_in=2)
    assert ingest.decide_ids([again.pk], now=now + dt.timedelta(milliseconds=1)) == 0
    ingest.sweep(now=now + SECOND)
    assert Alert.objects.count() == 2
    assert Alert.objects.firing().get().incident.is_open


def test_a_worker_takes_what_a_web_process_still_keeps_when_later_events_are_due(through, now):
    """The web process died, or is slow: the end must not come before its beginning."""
    (only,) = through(1)
    kept = store(only, 1, now - dt.timedelta(milliseconds=5), due_in=2)
    store(only, 1, now, action="resolve")
    assert ingest.sweep(now=now + dt.timedelta(milliseconds=10)) == 2
    assert decided(kept) == 1
    assert Incident.objects.get().status == "resolved"


def test_an_end_that_waited_for_its_beginning_does_not_end_what_began_later(through, now):
    """It came before the trigger; that it is decided after it, because something older had failed, changes nothing."""
    (only,) = through(1)
    (poison,) = store(only, 1, now, age=5, key="other")
    InboundEvent.objects.filter(pk=poison.pk).update(body=b"{", state="failed", due_at=now + 60 * SECOND, attempts=1)
    store(only, 1, now, action="resolve", age=1)
    assert ingest.sweep(now=now) == 1
    store(only, 1, now)
    assert ingest.sweep(now=now + dt.timedelta(milliseconds=10))
    assert Alert.objects.firing().count() == 1
    while ingest.sweep(now=now + 40 * SECOND):
        pass
    assert not InboundEvent.objects.filter(state="pending").exists()
    assert Alert.objects.firing().count() == 1


def test_what_failed_lets_later_events_of_its_scope_pass(through, now):
    (only,) = through(1)
    poison = store(only, 1, now, age=5)[0]
    InboundEvent.objects.filter(pk=poison.pk).update(body=b"{", state="failed", due_at=now + 60 * SECOND, attempts=1)
    (mine,) = store(only, 1, now, due_in=2)
    assert ingest.decide_ids([mine.pk], now=now) == 1


def test_one_poison_event_among_two_hundred_is_found_by_halves(through, now, caplog):
    (only,) = through(1)
    rows = store(only, 200, now)
    InboundEvent.objects.filter(pk=rows[77].pk).update(body=b"{")
    ingest.sweep(now=now + SECOND)
    assert decided(rows) == 199
    assert InboundEvent.objects.get(pk=rows[77].pk).state == "failed"


@pytest.mark.django_db(transaction=True)
def test_four_workers_decide_each_event_once_and_none_is_left(service, team, now):
    others = [factories.ServiceFactory(team=team, policy=service.policy) for _ in range(3)]
    integrations = [factories.IntegrationFactory(source="generic", service=one) for one in (service, *others)]
    for integration in integrations:
        store(integration, 150, now, age=5)
    failures, barrier = [], threading.Barrier(4)

    def work():
        try:
            barrier.wait(timeout=10)
            idle = 0
            while idle < 20:  # somebody else may have all scopes just now
                idle = 0 if ingest.sweep(now=now + SECOND, limit=40) else idle + 1
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not failures
    while ingest.sweep(now=now + SECOND):
        pass
    assert set(InboundEvent.objects.values_list("state", flat=True)) == {"decided"}
    assert Alert.objects.count() == 600
    assert set(Alert.objects.values_list("occurrences", flat=True)) == {1}


def test_ten_thousand_repeats_of_one_key_are_a_handful_of_updates_of_its_alert(through, now):
    (only,) = through(1)
    store(only, 1, now, age=60)
    ingest.sweep(now=now)
    rows = store(only, 10_000, now)
    InboundEvent.objects.filter(pk__in=[row.pk for row in rows]).update(
        body=b'{"title": "Down", "dedup_key": "key-0"}'
    )
    clock = iter(now + SECOND + number * dt.timedelta(milliseconds=50) for number in range(100))
    with count_updates_of_alerts() as updates:
        ingest.run(now_of=lambda: next(clock))
    assert Alert.objects.get().occurrences == 10_001
    assert len(updates) <= 15


class count_updates_of_alerts:
    """The statements that update alerts while inside."""

    def __enter__(self):
        self.found = []
        self._wrapper = connection.execute_wrapper(self._look)
        self._wrapper.__enter__()
        return self.found

    def __exit__(self, *error):
        self._wrapper.__exit__(*error)

    def _look(self, execute, sql, params, many, context):
        if sql.startswith(f"UPDATE {Alert._meta.db_table}") or sql.startswith(f'UPDATE "{Alert._meta.db_table}"'):
            self.found.append(sql)
        return execute(sql, params, many, context)


def test_a_sweep_of_a_storm_ends_after_a_moment_and_comes_back_behind_other_work(
    through, now, django_capture_on_commit_callbacks
):
    (only,) = through(1)
    store(only, 500, now)
    clock = iter(now + SECOND + number * SECOND for number in range(100))
    with django_capture_on_commit_callbacks(execute=True):
        ingest.run(now_of=lambda: next(clock))
    assert InboundEvent.objects.filter(state="pending").exists()
    assert "alerts.tasks.decide_events" in [row.task["func"] for row in OrmQ.objects.all()]
