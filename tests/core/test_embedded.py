"""The embedded PostgreSQL, for real: a server of its own in a temporary home."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import environ
import psycopg
import pytest

from core import embedded


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a running server; the tests below share it, since making one takes most of a second."""
    home = tmp_path_factory.mktemp("h")
    embedded.start(home)
    yield home
    embedded.stop(home)


@pytest.fixture
def stand_in():
    """A program that is no database."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def ask(url, statement="SELECT 1"):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchone()


def postmaster(home):
    return int((home / "postgres" / "postmaster.pid").read_text().split()[0])


def kill(home):
    os.kill(postmaster(home), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while embedded.is_running(home) and time.monotonic() < deadline:
        time.sleep(0.02)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secret_key_stays_the_same_and_is_private(tmp_path):
    key = embedded.secret_key(tmp_path / "new")
    assert len(key) >= 50
    assert embedded.secret_key(tmp_path / "new") == key
    assert mode(tmp_path / "new" / "secret_key") == 0o600
    assert embedded.secret_key(tmp_path / "other") != key


def test_many_first_readers_agree_on_one_secret_key(tmp_path):
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(embedded.secret_key(tmp_path))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 20
    assert len(set(keys)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_the_url_is_known_before_the_server_runs(tmp_path):
    url = embedded.url(tmp_path)
    assert url == embedded.url(str(tmp_path))
    assert not embedded.is_running(tmp_path)
    assert mode(tmp_path / "postgres_password") == 0o600


def test_an_odd_folder_name_survives_the_url():
    with tempfile.TemporaryDirectory() as short:  # the path of tmp_path may be too long for a socket
        home = Path(short) / "My Ünit+50%&x=y"
        database = environ.Env.db_url_config(embedded.url(home))
        assert database["OPTIONS"] == {"host": str(home / "sock"), "port": 5432}
        assert psycopg.conninfo.conninfo_to_dict(embedded.url(home))["host"] == str(home / "sock")


@pytest.mark.parametrize("name", ["x" * 110, "a,b"])
def test_a_folder_that_no_socket_can_live_in_gets_a_local_port(tmp_path, name):
    database = environ.Env.db_url_config(embedded.url(tmp_path / name))
    assert database["HOST"] == "127.0.0.1"
    assert 1024 < database["PORT"] < 65536
    assert embedded.url(tmp_path / name).count(str(database["PORT"])) == 1


def test_a_second_start_changes_nothing(home):
    before = postmaster(home)
    assert embedded.start(home) == embedded.url(home)
    assert postmaster(home) == before


def test_the_server_runs_as_an_ordinary_account_and_listens_on_a_private_socket(home):
    status = os.stat(f"/proc/{postmaster(home)}")
    assert status.st_uid == (home / "postgres").stat().st_uid != 0
    assert mode(home / "postgres") == mode(home / "sock") == 0o700
    assert ask(embedded.url(home), "SHOW listen_addresses") == ("",)


def test_only_the_password_opens_the_door(home):
    url = embedded.url(home)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(url.replace("watchbill:", "watchbill:x"))
    with pytest.raises(psycopg.OperationalError, match="no pg_hba.conf entry"):
        ask(url.replace("//watchbill:", "//postgres:"))


def test_the_role_can_do_what_the_program_needs_and_no_more(home):
    url = embedded.url(home)
    statement = "SELECT current_user, current_setting('is_superuser'), upper('ä')"
    assert ask(url, statement) == ("watchbill", "off", "Ä")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        connection.execute("CREATE DATABASE other")
        connection.execute("DROP DATABASE other")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")


def test_a_killed_server_starts_again_with_what_was_committed(home):
    with psycopg.connect(embedded.url(home)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    kill(home)
    assert not embedded.is_running(home)
    embedded.start(home)
    assert ask(embedded.url(home), "SELECT answer FROM kept") == (42,)


def test_a_stale_pid_that_another_program_has_now_stops_nothing(home, stand_in):
    kill(home)
    for path in (home / "postgres" / "postmaster.pid", home / "sock" / ".s.PGSQL.5432.lock"):
        _, _, rest = path.read_text().partition("\n")
        path.write_text(f"{stand_in.pid}\n{rest}")
    assert not embedded.is_running(home)
    embedded.start(home)
    assert ask(embedded.url(home)) == (1,)
    assert stand_in.poll() is None


def test_a_busy_port_is_exchanged(tmp_path):
    home = tmp_path / ("x" * 110)
    before = embedded.url(home)
    port = int((home / "postgres_port").read_text())
    with socket.create_server(("127.0.0.1", port)):
        try:
            url = embedded.start(home, fast=True)
            assert url == embedded.url(home) != before
            assert ask(url, "SHOW listen_addresses") == ("127.0.0.1",)
        finally:
            embedded.stop(home)
    assert not embedded.is_running(home)


def test_a_half_made_data_folder_is_made_again(tmp_path):
    (tmp_path / "postgres.new" / "base").mkdir(parents=True)
    try:
        assert ask(embedded.start(tmp_path, fast=True)) == (1,)
    finally:
        embedded.stop(tmp_path)
    embedded.stop(tmp_path)  # twice is harmless


def test_the_command_starts_and_stops_a_server(tmp_path):
    command = [sys.executable, "-m", "core.embedded"]
    url = subprocess.check_output([*command, "start", "--fast", tmp_path], text=True).strip()
    try:
        assert ask(url) == (1,)
    finally:
        subprocess.run([*command, "stop", tmp_path], check=True)
    assert not embedded.is_running(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must hand the server to another account")
def test_a_home_that_others_may_not_enter_stays_closed_and_works(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    try:
        assert ask(embedded.start(closed / "home", fast=True)) == (1,)
    finally:
        embedded.stop(closed / "home")
    assert mode(closed) == 0o700
    assert closed.stat().st_uid == 0
