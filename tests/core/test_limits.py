"""Limits that several processes share, and what passes while they cannot be counted together."""

import json
import os
import subprocess
import sys
import threading
import uuid
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from core import limits
from core.buckets import Limit, PostgresStore, ProcessStore, RedisStore, StoreDown
from core.limits import DOWN_SECONDS, LEASED_PART, Limiter
from core.models import Bucket, Counter
from notifications.models import Alarm
from tests.fakes.redis_server import redis_server
from tests.house import ROOT, wait_until

NOW = 1_780_000_000.0
LIMIT = Limit("tests", quota=10, window=60)


class Broken(ProcessStore):
    """A store that can be broken and mended."""

    is_down, asked = False, 0

    def take(self, *arguments):
        self.asked += 1
        if self.is_down:
            raise StoreDown("It is broken.")
        return super().take(*arguments)


@pytest.fixture
def server(tmp_path):
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def limiter():
    made = []

    def make(store):
        made.append(Limiter(store))
        return made[-1]

    yield make
    for one in made:
        one.close()


def passed(limiter, limit=LIMIT, who="me", *, now=NOW, **how):
    """How many pass at once until one is refused."""
    count = 0
    while limiter.check(limit, who, now=now, **how).is_allowed:
        count += 1
    return count


# --- one process ----------------------------------------------------------------------------------------------


def test_a_full_bucket_passes_at_once_and_then_it_trickles(limiter):
    one = limiter(ProcessStore())
    assert passed(one) == 10
    assert passed(one, now=NOW + 5.9) == 0
    assert passed(one, now=NOW + 6) == 1
    assert passed(one, now=NOW + 6 + 60) == 10


def test_others_are_not_touched_by_one_who_is_refused(limiter):
    one = limiter(ProcessStore())
    passed(one, who="loud")
    assert one.check(LIMIT, "quiet", now=NOW).left == 9


def test_a_limit_that_is_off_counts_nothing(limiter):
    store = Broken()
    one = limiter(store)
    assert all(one.check(None, "me", now=NOW).is_allowed for _ in range(100))
    assert all(one.glance(None, "me", now=NOW).is_allowed for _ in range(100))
    assert store.asked == 0


def test_most_requests_of_a_big_limit_do_not_ask_the_store(limiter):
    store = Broken()
    one, big = limiter(store), Limit("big", 1000, 60)
    assert all(one.check(big, "me", now=NOW).is_allowed for _ in range(1000))
    assert store.asked <= LEASED_PART
    assert passed(one, big) == 0


def test_who_is_refused_is_not_looked_up_again_until_something_came_back(limiter):
    store = Broken()
    one = limiter(store)
    passed(one)
    asked = store.asked
    assert passed(one, now=NOW + 1) == 0
    assert store.asked == asked


def test_headers_say_the_policy_what_is_left_and_when_to_come_back(limiter):
    one = limiter(ProcessStore())
    assert one.check(LIMIT, "me", now=NOW).headers() == {
        "RateLimit-Policy": '"tests";q=10;w=60',
        "RateLimit": '"tests";r=9;t=6',
        "RateLimit-Limit": "10",
        "RateLimit-Remaining": "9",
        "RateLimit-Reset": "6",
    }
    passed(one)
    refused = one.check(LIMIT, "me", now=NOW + 1)
    assert refused.headers() == {
        "RateLimit-Policy": '"tests";q=10;w=60',
        "RateLimit": '"tests";r=0;t=59',
        "RateLimit-Limit": "10",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "59",
        "Retry-After": "5",
    }
    assert one.check(LIMIT, "me", now=NOW + 1 + refused.retry_after).is_allowed


def test_what_is_given_back_can_be_taken_again(limiter):
    one = limiter(ProcessStore())
    for second in range(100):
        assert one.check(LIMIT, "me", now=NOW + second / 1000, is_exact=True).is_allowed
        one.give_back(LIMIT, "me", now=NOW + second / 1000)


def test_a_glance_is_counted_behind_its_back(limiter):
    one = limiter(ProcessStore())
    count = 0
    while one.glance(LIMIT, "me", now=NOW).is_allowed:
        count += 1
        one.settle()
    assert count == 10
    refused = one.glance(LIMIT, "me", now=NOW + 1)
    assert (refused.is_allowed, refused.retry_after) == (False, 5)
    assert one.glance(LIMIT, "me", now=NOW + 6).is_allowed


def test_a_burst_that_outruns_the_count_is_counted_in_the_end(limiter):
    one = limiter(ProcessStore())
    assert all(one.glance(LIMIT, "me", now=NOW).is_allowed for _ in range(8))
    one.settle()
    one.glance(LIMIT, "me", now=NOW)
    one.settle()
    # What passed above the limit is forgiven, not carried over.
    assert one.glance(LIMIT, "me", now=NOW + 60).is_allowed


# --- several processes ----------------------------------------------------------------------------------------


@examples(deadline=None)
@given(
    st.integers(1, 4),
    st.builds(Limit, st.just("tests"), st.integers(1, 400), st.integers(1, 100)),
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 20), st.integers(1, 30)), max_size=40),
)
def test_together_processes_pass_no_more_than_the_bucket_and_what_each_has_leased(processes, limit, bursts):
    store = ProcessStore()
    limiters = [Limiter(store) for _ in range(processes)]
    now, count = NOW, 0
    for who, gap, burst in bursts:
        now += gap
        for _ in range(burst):
            count += limiters[who % processes].check(limit, "me", now=now).is_allowed
        assert count <= limit.quota + limit.rate * (now - NOW) + 1e-3
    for one in limiters:
        one.close()


WORKER = """
import json, os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from core.buckets import Limit
from core.limits import limiter
limit, who, now = Limit("tests", 500, 60), sys.argv[1], float(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
count = 0
while limiter().check(limit, who, now=now).is_allowed:
    count += 1
print(json.dumps(count), flush=True)
"""


def together(environment):
    """How many of a limit of 500 each of four processes gave out, all at the same time."""
    who = str(uuid.uuid4())
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, who, str(NOW)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout.readline().strip() == "ready"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    return [json.loads(child.communicate(timeout=60)[0]) for child in children]


@pytest.mark.parametrize("kind", ["redis", "postgres"])
@pytest.mark.django_db(transaction=True)
def test_four_real_processes_give_out_one_limit_between_them(kind, request):
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(url._replace(path="/" + connection.settings_dict["NAME"])),
        "REDIS_URL": request.getfixturevalue("server").url if kind == "redis" else "",
        "RATE_LIMIT_STORE": "shared",
    }
    counts = together(environment)
    assert sum(counts) == 500, counts


@pytest.mark.django_db(transaction=True)
def test_threads_of_one_process_give_out_one_limit(limiter):
    one, counts = limiter(PostgresStore()), []
    who = str(uuid.uuid4())
    threads = [threading.Thread(target=lambda: counts.append(passed(one, who=who))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 10


# --- a store that is down -------------------------------------------------------------------------------------


def open_alarm():
    return Alarm.objects.filter(key="limits", cleared_at=None).first()


@pytest.mark.django_db(transaction=True)
def test_while_the_store_is_down_paging_passes_and_the_rest_is_counted_here(limiter, alice):
    store = Broken()
    one = limiter(store)
    store.is_down = True
    assert all(one.check(LIMIT, "me", now=NOW, is_paging=True).is_allowed for _ in range(100))
    assert passed(one) == 10
    assert store.asked == 1
    assert all(one.check(LIMIT, "me", now=NOW, is_paging=True).is_allowed for _ in range(100))
    wait_until(open_alarm, 10, "the admins have an alarm about the limits")


@pytest.mark.parametrize("ask", ["check", "glance"])
@pytest.mark.django_db(transaction=True)
def test_redis_dies_in_the_middle_and_comes_back(ask, server, limiter, caplog, alice):
    one = limiter(RedisStore(server.url))

    def pass_one(now):
        verdict = one.glance(LIMIT, "me", now=now) if ask == "glance" else one.check(LIMIT, "me", now=now, **paging)
        if ask == "glance":
            one.settle()
        return verdict.is_allowed

    paging = {"is_paging": True}
    assert pass_one(NOW)
    server.kill()
    assert all(pass_one(NOW + index / 100) for index in range(50))
    assert not one.is_up
    alarm = wait_until(open_alarm, 10, "the admins have an alarm about the limits")
    assert "pass without limits" in alarm.text
    assert len([line for line in caplog.messages if "Limits are not shared" in line]) == 1
    server.start()
    later = NOW + DOWN_SECONDS + 1
    assert pass_one(later)
    assert one.is_up
    wait_until(lambda: open_alarm() is None, 10, "the alarm is over")
    assert [pass_one(later) for _ in range(15)].count(True) == 9  # Redis began anew, with a full bucket
    assert len([line for line in caplog.messages if "again" in line]) == 1


@pytest.mark.django_db(transaction=True)
def test_postgresql_that_hangs_lets_paging_pass_and_is_asked_again_later(limiter, caplog, alice):
    one, who = limiter(PostgresStore()), str(uuid.uuid4())
    assert one.check(LIMIT, who, now=NOW, is_paging=True).is_allowed
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"LOCK TABLE {Bucket._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        assert all(one.check(LIMIT, who, now=NOW + 1, is_paging=True).is_allowed for _ in range(50))
        cursor.execute("ROLLBACK")
    wait_until(open_alarm, 10, "the admins have an alarm about the limits")
    assert one.check(LIMIT, who, now=NOW + 1 + DOWN_SECONDS, is_paging=True).left == 9
    wait_until(lambda: open_alarm() is None, 10, "the alarm is over")


@pytest.mark.django_db(transaction=True)
def test_an_alarm_that_a_process_left_behind_ends_with_the_next_one_that_can_count(limiter, now):
    Alarm.objects.create(key="limits", text="x", raised_at=now, last_at=now)
    assert limiter(PostgresStore()).check(LIMIT, str(uuid.uuid4()), now=NOW).is_allowed
    wait_until(lambda: open_alarm() is None, 10, "the alarm is over")


@pytest.mark.django_db(transaction=True)
def test_a_store_that_hangs_keeps_no_glance_waiting(limiter, alice):
    leave = threading.Event()

    class Stuck(ProcessStore):
        def take(self, *arguments):
            leave.wait(20)
            return super().take(*arguments)

    one = limiter(Stuck())
    assert all(one.glance(LIMIT, "me", now=NOW + index / 10).is_allowed for index in range(100))
    assert not one.is_up
    leave.set()
    wait_until(open_alarm, 10, "the admins have an alarm about the limits")


# --- counted --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_refusals_are_counted_by_limit_and_written_together(limiter):
    one = limiter(ProcessStore())
    for _ in range(3):
        passed(one)
    assert limits.refusals() == {"tests": 3}
    limits.write_refusals()
    limits.write_refusals()
    assert limits.refusals() == {}
    assert Counter.objects.get(name="limits_refused_total").value == 3
