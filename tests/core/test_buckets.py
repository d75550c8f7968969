"""Token buckets: never more than they hold and get back, and the same in every store."""

import random
import uuid

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from core import buckets
from core.buckets import Limit, PostgresStore, ProcessStore, RedisStore, StoreDown, take
from core.models import Bucket
from tests.fakes.redis_server import redis_server

NOW = 1_780_000_000.0
LIMIT = Limit("tests", quota=10, window=60)

limits = st.builds(Limit, st.just("tests"), st.integers(1, 1000), st.integers(1, 3600))
steps = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 20)), max_size=60)


@pytest.fixture(params=["process", "redis", "postgres"])
def store(request, tmp_path):
    if request.param == "process":
        yield ProcessStore()
    elif request.param == "redis":
        with redis_server(tmp_path) as server:
            store = RedisStore(server.url)
            yield store
            store.close()
    else:
        request.getfixturevalue("transactional_db")
        store = PostgresStore()
        yield store
        store.close()


@given(limits, steps)
def test_in_no_span_is_more_taken_than_a_full_bucket_and_what_comes_back_in_that_time(limit, steps):
    now, full_at, granted = NOW, 0.0, []
    for gap, cost in steps:
        now += gap
        taken = take(full_at, limit, cost, now)
        full_at = taken.full_at
        if taken.is_granted:
            granted.append((now, cost))
    for index, (start, _) in enumerate(granted):
        total = 0
        for end, cost in granted[index:]:
            total += cost
            assert total <= limit.quota + limit.rate * (end - start) + 1e-3


@given(limits, steps)
def test_a_refusal_says_when_it_is_granted_and_not_much_too_late(limit, steps):
    now, full_at = NOW, 0.0
    for gap, cost in steps:
        now += gap
        taken = take(full_at, limit, cost, now)
        full_at = taken.full_at
        if not taken.is_granted and cost <= limit.quota:
            wait = taken.wait(limit, cost, now)
            assert take(full_at, limit, cost, now + wait).is_granted
            assert wait < 1e-3 or not take(full_at, limit, cost, now + wait * 0.9 - 1e-3).is_granted


@given(limits, steps)
def test_what_is_said_to_be_left_can_be_taken_and_one_more_cannot(limit, steps):
    now, full_at = NOW, 0.0
    for gap, cost in steps:
        now += gap
        taken = take(full_at, limit, cost, now)
        full_at, left = taken.full_at, taken.left(limit, now)
        assert take(full_at, limit, left, now).is_granted
        assert not take(full_at, limit, left + 1.01, now).is_granted


def test_every_store_counts_like_the_plain_one(store):
    chance = random.Random(7)
    for limit in (LIMIT, Limit("tests", 3, 1), Limit("tests", 1000, 7)):
        key, now, full_at = f"tests:{uuid.uuid4()}", NOW, 0.0
        for _ in range(150):
            now += chance.choice([0, 0, 0.01, 0.7, 13])
            cost = chance.choice([1, 1, 2, 5, -1, limit.quota, limit.quota + 1])
            wanted = take(full_at, limit, cost, now)
            full_at = wanted.full_at
            got = store.take(key, limit, cost, now)
            assert got.is_granted == wanted.is_granted, (now - NOW, cost)
            assert got.left(limit, now) == wanted.left(limit, now)
            assert max(got.full_at, now) == pytest.approx(max(wanted.full_at, now), abs=1e-4)


def test_keys_do_not_share_a_bucket(store):
    one, other = f"tests:{uuid.uuid4()}", f"tests:{uuid.uuid4()}"
    assert store.take(one, LIMIT, 10, NOW).is_granted
    assert not store.take(one, LIMIT, 1, NOW).is_granted
    assert store.take(other, LIMIT, 10, NOW).is_granted


def test_a_clock_that_is_set_back_an_hour_keeps_nobody_waiting_that_long(store):
    key = f"tests:{uuid.uuid4()}"
    assert store.take(key, LIMIT, 10, NOW + 3600).is_granted
    assert store.take(key, LIMIT, 10, NOW).is_granted
    assert not store.take(key, LIMIT, 1, NOW).is_granted


def test_two_machines_whose_clocks_differ_a_little_share_a_bucket_all_the_same(store):
    key = f"tests:{uuid.uuid4()}"
    assert store.take(key, LIMIT, 10, NOW + 30).is_granted
    assert not store.take(key, LIMIT, 1, NOW).is_granted


def test_a_bucket_in_redis_goes_when_it_is_full(tmp_path):
    with redis_server(tmp_path) as server:
        store = RedisStore(server.url)
        store.take("tests:1", LIMIT, 1, NOW)
        left = store._client.pttl("watchbill:bucket:tests:1")
        assert 0 < left <= 7_000  # the six seconds in which one comes back, and one more
        store.close()


@pytest.mark.django_db(transaction=True)
def test_full_buckets_are_deleted_and_others_stay(now):
    at = now.timestamp()
    Bucket.objects.create(key="full", full_at=at - 1)
    Bucket.objects.create(key="used", full_at=at + 1)
    buckets.forget_full_buckets(now=now)
    assert [row.key for row in Bucket.objects.all()] == ["used"]


@pytest.mark.django_db(transaction=True)
def test_the_table_is_not_written_to_the_log_of_the_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = %s", [Bucket._meta.db_table])
        assert cursor.fetchone()[0] in ("u", b"u")


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_to_postgresql_is_opened_again_without_a_word():
    store = PostgresStore()
    key = f"tests:{uuid.uuid4()}"
    assert store.take(key, LIMIT, 4, NOW).is_granted
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'watchbill limits'"
        )
    assert store.take(key, LIMIT, 4, NOW).left(LIMIT, NOW) == 2
    store.close()


@pytest.mark.django_db(transaction=True)
def test_a_view_whose_transaction_fails_has_been_counted_all_the_same():
    store, key = PostgresStore(), f"tests:{uuid.uuid4()}"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        store.take(key, LIMIT, 4, NOW)
        cursor.execute("ROLLBACK")
    assert store.take(key, LIMIT, 0, NOW).left(LIMIT, NOW) == 6
    store.close()


@pytest.mark.django_db(transaction=True)
def test_a_postgresql_that_does_not_answer_is_given_up_soon():
    store = PostgresStore()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"LOCK TABLE {Bucket._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreDown, match="PostgreSQL"):
            store.take("tests:1", LIMIT, 1, NOW)
        cursor.execute("ROLLBACK")
    assert store.take(f"tests:{uuid.uuid4()}", LIMIT, 1, NOW).is_granted
    store.close()


def test_a_redis_that_is_not_there_is_said():
    with pytest.raises(StoreDown, match="Redis"):
        RedisStore("redis://127.0.0.1:9/0").take("tests:1", LIMIT, 1, NOW)


@pytest.mark.parametrize(
    ("text", "quota", "window"),
    [("600/minute", 600, 60), ("20/10s", 20, 10), (" 5 / hour ", 5, 3600), ("1/s", 1, 1), ("7/2m", 7, 120)],
)
def test_a_limit_is_read_as_people_write_it(text, quota, window):
    assert Limit.read("x", text) == Limit("x", quota, window)


@pytest.mark.parametrize("text", ["", "600", "600/", "600/day", "0/minute", "-1/s", "1/0s", "many/minute", "1e3/s"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(ValueError, match="600/minute"):
        Limit.read("x", text)


def test_off_is_no_limit():
    assert Limit.read("x", "off") is None
