"""The supervisor: what it refuses, how it judges its children, and one life of the real thing."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from django.conf import settings

from config import supervisor
from config.supervisor import Child, Log, Refused, Supervisor, Watch
from core import embedded


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "log" / "watchbill.log")


@pytest.fixture
def children(tmp_path):
    (tmp_path / "run").mkdir()
    started = []
    yield started
    for child in started:
        if child.is_up:
            child.end()


@pytest.fixture
def house(tmp_path, log, children, settings):
    """A supervisor that has started nothing yet; its worker would only sleep."""
    settings.WATCHBILL_HOME = tmp_path
    supervised = Supervisor(host="127.0.0.1", port=0, with_demo=False)
    supervised.log = log
    supervised.worker.arguments = [sys.executable, "-c", "import time; time.sleep(60)"]
    children.append(supervised.worker)
    return supervised


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.05)


# --- refusals ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://user:pw@host/name", "postgres://host:port/name", "postgres://host:5432/", "", "postgres:"],
)
def test_an_address_that_cannot_be_read_is_refused(url):
    with pytest.raises(Refused, match="write it as postgres://user:password@host:5432/name"):
        supervisor.check_url(url)


@pytest.mark.parametrize("url", ["postgres://u:p@host/name", "postgresql:///name?host=/run/postgresql"])
def test_an_address_of_postgresql_is_taken(url):
    supervisor.check_url(url)


@pytest.mark.parametrize(
    ("error", "step"),
    [
        ('connection failed: FATAL:  password authentication failed for user "x"', "correct its user and password"),
        ('connection failed: FATAL:  role "x" does not exist', "correct its user and password"),
        ('connection failed: FATAL:  database "x" does not exist', "create that database"),
        ("connection failed: Connection refused\n\tIs the server running on that host?", "start that server"),
        ("", "start that server"),
    ],
)
def test_a_failed_connection_says_what_to_change(error, step):
    sentence = supervisor.unreachable(error, is_embedded=False)
    assert step in sentence
    assert "\n" not in sentence
    assert "DATABASE_URL" in sentence


def test_the_reason_of_a_failed_connection_is_its_last_word():
    error = (
        'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused\n\tIs it running?'
    )
    assert "(Connection refused)" in supervisor.unreachable(error, is_embedded=False)


def test_a_busy_port_is_refused_and_a_free_one_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Refused, match=f"127.0.0.1 port {port} .*--port"):
            supervisor.check_port("127.0.0.1", port)
    supervisor.check_port("127.0.0.1", port)


def test_a_second_start_on_the_same_home_is_refused(tmp_path):
    with (
        supervisor.only_one(tmp_path),
        pytest.raises(Refused, match=f"already runs in .* \\(process {os.getpid()}\\)"),
        supervisor.only_one(tmp_path),
    ):
        pass
    with supervisor.only_one(tmp_path):
        pass


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("watch.example", "http://watch.example:8000"),
    ],
)
def test_the_address_for_a_browser_follows_from_where_we_listen(host, url):
    assert supervisor.local_url(host, 8000) == url


# --- judging -------------------------------------------------------------------------------------------------------
def test_a_cluster_without_any_beat_is_frozen_after_25_seconds():
    watch = Watch(100)
    watch.see(None, 124)
    assert not watch.is_frozen(125)
    assert watch.is_frozen(125.1)


def test_a_cluster_whose_beats_stop_is_frozen_after_15_seconds():
    watch = Watch(100)
    watch.see("12:00:00", 103)
    watch.see("12:00:03", 106)
    watch.see("12:00:03", 120)
    assert not watch.is_frozen(121)
    assert watch.is_frozen(121.1)


def test_a_clock_that_is_set_back_looks_like_any_beat():
    watch = Watch(100)
    watch.see("12:00:00", 103)
    watch.see("11:00:00", 106)
    assert not watch.is_frozen(120)


def test_a_child_that_keeps_ending_waits_longer_each_time_and_a_steady_one_does_not():
    child = Child("web")
    child.started_at = 100
    assert [child.next_delay(101) for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert child.next_delay(131) == 0.5
    assert child.next_delay(102) == 1


# --- children ------------------------------------------------------------------------------------------------------
def test_what_a_child_prints_goes_to_the_log_under_its_name(tmp_path, log, children, capfd):
    child = Child("web", "-c", "import sys; print('to out'); print('to err', file=sys.stderr)")
    children.append(child)
    child.start(dict(os.environ), tmp_path, log)
    text = tmp_path / "log" / "watchbill.log"
    until(lambda: text.read_text().count("\n") == 2)
    assert sorted(text.read_text().splitlines()) == ["web    | to err", "web    | to out"]
    until(child.has_exited)
    assert child.end() == 0
    assert not child.is_up


def test_ending_a_child_ends_its_whole_group(tmp_path, log, children):
    program = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    child = Child("worker", "-c", program)
    children.append(child)
    child.start(dict(os.environ), tmp_path, log)
    text = tmp_path / "log" / "watchbill.log"
    until(lambda: text.read_text())
    grandchild = int(text.read_text().split()[-1])
    assert os.getsid(grandchild) == child.process.pid
    os.kill(child.process.pid, signal.SIGKILL)
    until(child.has_exited)
    assert child.end() == -signal.SIGKILL
    until(lambda: is_gone(grandchild))


def test_a_child_that_cannot_be_started_is_tried_again_and_stops_nothing(house, tmp_path):
    worker, good = house.worker, house.worker.arguments
    worker.arguments = ["/nowhere/python"]
    house._care_for(worker, time.monotonic())
    waits = []
    for _ in range(3):
        house._care_for(worker, worker.start_at)
        waits.append(worker.start_at - time.monotonic())
        assert not worker.is_up
    assert waits == pytest.approx([1, 2, 4], abs=0.2)
    lines = (tmp_path / "log" / "watchbill.log").read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("worker cannot be started (No such file or directory) and is tried again in 0.5 s.")
    worker.arguments = good
    house._care_for(worker, worker.start_at - 0.1)
    assert not worker.is_up
    house._care_for(worker, worker.start_at)
    assert worker.is_up


def test_a_worker_that_cannot_be_replaced_is_tried_again(house):
    house._care_for(house.worker, time.monotonic())
    assert house.worker.is_up
    house.worker.arguments, good = ["/nowhere/python"], house.worker.arguments
    house._replace_worker()
    assert not house.worker.is_up
    house.worker.arguments = good
    house._care_for(house.worker, house.worker.start_at)
    assert house.worker.is_up


def test_stopping_ends_the_fakes_too_without_killing_them(house, children, tmp_path):
    house.is_embedded = False
    house.children.append(Child("fakes"))
    for child in house.children:
        child.arguments = house.worker.arguments
        children.append(child)
        house._care_for(child, time.monotonic())
    house._stop()
    assert "killed" not in (tmp_path / "log" / "watchbill.log").read_text()
    assert not any(child.is_up for child in house.children)


def test_a_child_runs_without_its_pid_file_when_the_disk_takes_none(house, tmp_path):
    (tmp_path / "run" / "worker.pid").mkdir()  # no file can be written there
    house._care_for(house.worker, time.monotonic())
    assert house.worker.is_up and not house.worker.has_exited()


def test_the_mail_listener_is_a_child_where_it_has_a_port(settings):
    def names():
        return [child.name for child in Supervisor(host="127.0.0.1", port=0, with_demo=False).children]

    settings.MAIL_IN_PORT = 0
    assert "mailin" not in names()
    settings.MAIL_IN_PORT = 2525
    assert "mailin" in names()


def test_an_embedded_database_that_cannot_be_started_stops_nothing(house, tmp_path):
    house.is_embedded, house.home = True, tmp_path / "full"
    house.home.write_text("no folder can be made here")
    house._watch_database()
    assert "cannot be started" in (tmp_path / "log" / "watchbill.log").read_text()


def test_leftovers_are_killed_only_when_they_are_ours(tmp_path):
    ours = os.environ | {"WATCHBILL_HOME": str(tmp_path), "WATCHBILL_ROLE": "worker"}
    theirs = os.environ | {"WATCHBILL_HOME": "/somewhere/else", "WATCHBILL_ROLE": "worker"}
    program = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    (tmp_path / "run").mkdir()
    with contextlib.ExitStack() as stack:
        processes = []
        for name, environment in (("worker", ours), ("web", theirs)):
            process = subprocess.Popen(program, env=environment, start_new_session=True, stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
            process.stdout.readline()
            (tmp_path / "run" / f"{name}.pid").write_text(str(process.pid))
            processes.append(process)
        (tmp_path / "run" / "ticker.pid").write_text("")
        assert supervisor.kill_leftovers(tmp_path) == [processes[0].pid]
        assert processes[0].wait(10) == -signal.SIGKILL
        assert processes[1].poll() is None
    assert list((tmp_path / "run").iterdir()) == []


# --- the real thing ------------------------------------------------------------------------------------------------
@pytest.mark.crash
def test_it_starts_replaces_what_is_killed_and_stops_cleanly(tmp_path):
    home = tmp_path / "home"
    port = free_port()
    with up(home, port) as (process, lines):
        assert health(port) == 200
        assert "already runs in" in refusal(home, port)

        killed = {name: pid_of(home, name) for name in ("web", "worker", "ticker")}
        orphans = members(killed["worker"])
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: all(pid_of(home, name) != pid for name, pid in killed.items()), 20)
        until(lambda: health(port) == 200, 30)
        assert all(is_gone(pid) for pid in orphans)

        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not embedded.is_running(home)
        assert list((home / "run").iterdir()) == []
    assert health(port) is None
    assert "worker ended with code -9" in (home / "log" / "watchbill.log").read_text()
    for name in ("secret_key", "postgres_password"):
        assert (home / name).stat().st_mode & 0o077 == 0


@pytest.mark.crash
def test_a_taken_port_is_told_in_one_sentence_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "Cannot listen" in refusal(tmp_path, port)
    assert not (tmp_path / "postgres").exists()


@contextlib.contextmanager
def up(home, port):
    """Run `manage.py up` until its banner; kill it and what it left at the end."""
    process = subprocess.Popen(**command(home, port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "is ready" in line:
                break
        else:
            pytest.fail("It did not start:\n" + "".join(lines))
        yield process, lines
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        supervisor.kill_leftovers(home)
        embedded.stop(home)


def refusal(home, port):
    """Run `manage.py up` where it cannot, and return its one sentence."""
    done = subprocess.run(**command(home, port), capture_output=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def command(home, port):
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "PUBLIC_URL")}
    return {
        "args": [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port)],
        "env": environment | {"WATCHBILL_HOME": str(home)},
        "cwd": settings.BASE_DIR,
        "text": True,
    }


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def health(port):
    """Return the status of GET /health, or None when nobody answers."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(asked), contextlib.suppress(OSError, http.client.HTTPException):
        asked.request("GET", "/health")
        return asked.getresponse().status


def pid_of(home, name):
    return int((home / "run" / f"{name}.pid").read_text() or 0)  # it may be half written


def members(session):
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(name)) == session:
                found.append(int(name))
    return found


def is_gone(pid):
    """Say whether a process is gone, or a zombie that waits to be collected by somebody else."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
