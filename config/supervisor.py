"""The supervisor behind `manage.py up`: the database, web, worker and ticker in one terminal, with one log.

Each child lives in a session of its own. A stop is a SIGTERM to its main process only: a signal to the whole group
hangs django-q2. A worker cluster whose canary does not come back is frozen and is replaced. The reasons are in
docs/decisions/0004-supervisor.md.
"""

import contextlib
import ctypes
import fcntl
import http.client
import io
import logging
import logging.handlers
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command, get_commands
from django.core.management.base import SystemCheckError
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from config import checks, demo
from core import counters, embedded, hosts, static
from core.models import WorkerBeat
from notifications import providers
from statuspages import copying

STOP_SECONDS, WEB_STOP_SECONDS = 15, 5
HEALTH_SECONDS = 60
FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS = 0.5, 10, 30
FAKES_ABOVE = 90  # the page of the fakes is at this port above ours
TICKER_SECONDS = 10  # so long a fresh ticker may need until its canaries fly
LOG_BYTES, LOG_FILES = 10_000_000, 3
MIGRATION_LOCK = 7_230_412  # any number that nothing else on this database uses for an advisory lock
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# No memory, no process, no disk; a preexec_fn that failed; no thread. All of them pass.
CANNOT_START = (OSError, subprocess.SubprocessError, RuntimeError)
SCHEMES = {"postgres", "postgresql", "psql", "pgsql"}
URL_EXAMPLE = "postgres://user:password@host:5432/name"

_libc = ctypes.CDLL(None)


class Refused(Exception):
    """Watchbill cannot start; the text is one sentence for the terminal."""


# --- what is asked before anything starts -------------------------------------------------------------------------
@contextlib.contextmanager
def only_one(home):
    """Hold the lock of this home. It ends with the process, however that ends."""
    with open(home / "up.lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise Refused(
                f"Watchbill already runs in {home} (process {holder}): stop it, or set WATCHBILL_HOME to a new folder."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def check_port(host, port):
    """Raise Refused unless a server can listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise Refused(
            f"Cannot listen on {host} port {port} ({error.strerror}): stop the program that uses it, "
            "or choose another with --port or --host."
        ) from error


def check_fakes(port):
    """Raise Refused unless the fakes are there and can listen on their ports."""
    if not (settings.BASE_DIR / "tests" / "fakes").is_dir():
        raise Refused(
            "The fakes are in the folder tests, which is not here: get a whole checkout, or leave --fakes out."
        )
    for number in range(port, port + demo.FAKES_PORTS):
        check_port("127.0.0.1", number)


def check_url(url):
    """Raise Refused when a DATABASE_URL cannot be read as an address of PostgreSQL."""
    try:
        parts = urlsplit(url)
        is_fine = parts.scheme in SCHEMES and environ.Env.db_url_config(url, engine="-")["NAME"] and parts.port != 0
    except (ValueError, KeyError):
        is_fine = False
    if not is_fine:
        raise Refused(f"DATABASE_URL is not an address of PostgreSQL: write it as {URL_EXAMPLE}, or unset it.")


def check_database(*, is_embedded):
    """Raise Refused, with what to change, unless the database lets us in."""
    try:
        connection.ensure_connection()
    except (DatabaseError, InterfaceError, ImproperlyConfigured, UnicodeError) as error:
        raise Refused(unreachable(str(error), is_embedded=is_embedded)) from error


def check_reach(host):
    """Raise Refused when other machines would reach a site that believes to be this machine's own affair."""
    if not (hosts.is_loopback(host) or settings.INSECURE_HTTP_OK) and checks.is_local():
        raise Refused(
            f"Listening on {host or 'every address'} lets other machines in, and PUBLIC_URL names only this one: set "
            "PUBLIC_URL to the https:// address of the proxy in front, or leave --host out. In a network where nobody "
            "else listens, INSECURE_HTTP_OK=true allows it."
        )


def check_settings():
    """Raise Refused, with the sentences of the system checks, when a setting is wrong."""
    try:
        call_command("check", stdout=io.StringIO(), stderr=io.StringIO())
    except SystemCheckError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(("?:", "HINT:")) or ": (" in line]
        raise Refused(" ".join(told or lines)) from error


def unreachable(error, *, is_embedded):
    """Say in one sentence what a failed connection means. `error` is the text of psycopg, often of many lines."""
    lines = [line.strip() for line in error.splitlines() if line.strip()] or ["no reason given"]
    told = [line for line in lines if "failed:" in line]
    reason = (told or lines)[-1].split("failed:")[-1].replace("FATAL:", "").strip().rstrip(".")
    if is_embedded:
        return f"The embedded database lets nobody in ({reason}): restore postgres_password in the home from a backup."
    if any(word in reason for word in ("password", "role", "pg_hba")):
        step = "correct its user and password"
    elif "does not exist" in reason:
        step = "create that database, or correct the name at its end"
    else:
        step = "start that server, or correct its host and port"
    return f"The database of DATABASE_URL cannot be used ({reason}): {step}, or unset it to use the embedded one."


def local_url(host, port):
    """Return the address at which a browser on this machine finds a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# --- leftovers of a supervisor that was killed --------------------------------------------------------------------
def kill_leftovers(home):
    """Kill what is left of the sessions recorded in HOME/run. Orphans of qcluster work on for ever, unguarded.

    A pid may belong to another program by now, so the environment of each process must name this home.
    """
    files = list((home / "run").glob("*.pid"))
    sessions = {int(text) for file in files if (text := file.read_text().strip()).isdigit()}
    found = [pid for pid in _pids() if _session(pid) in sessions and _is_ours(pid, home)] if sessions else []
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(_is_ours(pid, home) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.05)
    for file in files:
        file.unlink(missing_ok=True)
    return found


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _session(pid):
    with contextlib.suppress(OSError):
        return os.getsid(pid)


def _is_ours(pid, home):
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return os.fsencode(f"WATCHBILL_HOME={home}") in environment.split(b"\0") and b"WATCHBILL_ROLE=" in environment


# --- parts --------------------------------------------------------------------------------------------------------
class Log:
    """One log of all processes: the terminal, and HOME/log/watchbill.log."""

    def __init__(self, path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
        self.handlers = [logging.StreamHandler(sys.stdout), file]
        for handler in self.handlers:
            handler.handleError = lambda record: None  # a closed terminal or a full disk stops no page

    def line(self, name, text):
        record = logging.makeLogRecord({"msg": f"{name:<6} | {text}"})
        for handler in self.handlers:
            handler.handle(record)


class Child:
    """One program that is kept running."""

    def __init__(self, name, *arguments):
        self.name = name
        self.arguments = [sys.executable, *arguments]
        self.process = None
        self.started_at = self.start_at = 0.0  # monotonic
        self.delay = FIRST_DELAY

    def start(self, environment, home, log):
        parent = os.getpid()
        self.started_at = time.monotonic()  # also of a start that fails, or its delay would never grow

        def die_with_parent():
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        self.process = subprocess.Popen(
            self.arguments,
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        with contextlib.suppress(OSError):  # only kill_leftovers() misses it, and a full disk must stop no page
            (home / "run" / f"{self.name}.pid").write_text(str(self.process.pid))
        threading.Thread(target=self._copy, args=(self.process.stdout, log), daemon=True).start()

    def _copy(self, pipe, log):
        with pipe:
            while text := pipe.readline(65_536):
                log.line(self.name, text.rstrip())

    @property
    def is_up(self):
        return self.process is not None

    def has_exited(self):
        """Say whether the main process ended. It is not collected yet, so that its pid stays the name of its group."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def terminate(self):
        if self.is_up:
            os.kill(self.process.pid, signal.SIGTERM)

    def end(self):
        """Kill what is left of the group, collect the main process, and return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self.process = None
        return code

    def next_delay(self, now):
        """Return how long to wait before the next start: longer each time, unless it ran well for a while."""
        if now - self.started_at >= STEADY_SECONDS:
            self.delay = FIRST_DELAY
        delay, self.delay = self.delay, min(self.delay * 2, LONGEST_DELAY)
        return delay


class Watch:
    """Judge by its beats whether a worker cluster is frozen. Times are monotonic seconds, a beat is any value."""

    FIRST_SECONDS, NEXT_SECONDS = 25, 15

    def __init__(self, now):
        self.beat, self.since = None, now

    def see(self, beat, now):
        if beat != self.beat:  # not its age: a clock that is set would freeze or hide a worker
            self.beat, self.since = beat, now

    def is_frozen(self, now):
        return now - self.since > (self.FIRST_SECONDS if self.beat is None else self.NEXT_SECONDS)


# --- the supervisor -----------------------------------------------------------------------------------------------
class Supervisor:
    """Start everything, look after it, stop it. `run()` returns the exit code."""

    def __init__(self, *, host, port, with_demo, with_fakes=False):
        self.host, self.port, self.with_demo = host, port, with_demo
        self.fakes_port = port + FAKES_ABOVE if with_fakes else 0
        self.home = Path(settings.WATCHBILL_HOME)
        if self.with_demo and not checks.is_local():
            self.with_demo = False  # people who do not exist, with passwords on the screen
        self.is_embedded = not os.environ.get("DATABASE_URL")
        self.public_url = os.environ.get("PUBLIC_URL", "").rstrip("/") or local_url(host, port)
        manage = str(settings.BASE_DIR / "manage.py")
        # -v 0: no access log; a burst of alerts would bury every other line.
        daphne = ["-m", "daphne", "-v", "0", "-b", host, "-p", str(port), "config.asgi:application"]
        self.web = Child("web", *daphne)
        self.worker = Child("worker", manage, "qcluster")
        self.ticker = Child("ticker", manage, "ticker")
        self.children = [self.web, self.worker, self.ticker]
        self.doors = [self.web]  # what takes alerts in
        if settings.MAIL_IN_PORT:
            self.doors.append(Child("mailin", manage, "mailin"))
            self.children.append(self.doors[-1])
        if with_fakes:
            self.children.append(Child("fakes", *demo.fakes_command(self.fakes_port, self.public_url)))
        self.worker_id, self.watch = "", Watch(0)
        self.banner = f"Watchbill is ready: {self.public_url}\nCtrl-C stops it."
        self.signals = 0
        self.is_interruptible = True
        self.can_see_beats = True
        self.is_quiet = False

    def run(self):
        check_reach(self.host)
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.is_embedded:
            check_url(os.environ["DATABASE_URL"])
        with only_one(self.home):
            leftovers = kill_leftovers(self.home)
            check_port(self.host, self.port)
            if settings.MAIL_IN_PORT:
                check_port(settings.MAIL_IN_HOST or "0.0.0.0", settings.MAIL_IN_PORT)
            if self.fakes_port:
                check_fakes(self.fakes_port)
            self.log = Log(self.home / "log" / "watchbill.log")
            (self.home / "run").mkdir(mode=0o700, exist_ok=True)
            self._collect()
            if leftovers:
                self.say(f"Killed {len(leftovers)} processes that an earlier start left behind.")
            self._catch_signals()
            try:
                self._prepare()
                self.is_interruptible = False
                self._look_after()
            except KeyboardInterrupt:
                pass
            except Refused:
                self.is_quiet = True  # its sentence is all that the terminal shows
                raise
            finally:
                self.is_interruptible = False
                self._stop()
        return 0 if self.signals < 2 else 130

    def say(self, text):
        if not self.is_quiet:
            self.log.line("up", text)

    def _catch_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # With nohup the hang-up is ignored, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, *_):
        self.signals += 1
        if self.is_interruptible:
            self.is_interruptible = False
            raise KeyboardInterrupt

    # starting
    def _prepare(self):
        if self.is_embedded:
            self._start_database()
        # A lost server must not hold up the look at the children for minutes.
        connection.settings_dict["OPTIONS"] |= {"connect_timeout": 5, "tcp_user_timeout": 5000}
        check_database(is_embedded=self.is_embedded)
        check_settings()
        with connection.cursor() as cursor:  # another machine may start on the same database
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.say("Bringing the database up to date.")
            call_command("migrate", interactive=False, verbosity=0)
        else:  # which has status pages drawn anew; this may be another version all the same
            copying.redraw(now=timezone.now())
        call_command("createcachetable", verbosity=0)
        if self.with_demo and "demo" in get_commands():
            self.banner = call_command("demo", base_url=self.public_url, stdout=io.StringIO()) or self.banner
        elif demo.is_wanted():
            self.say("Nobody can sign in yet. Make the first admin with: manage.py createsuperuser")
        if self.fakes_port:
            demo.use_fakes(self.fakes_port, now=timezone.now())
            self.banner = (
                f"{self.banner.rstrip()}\n\n  Messages, as they would look: {demo.stage_url(self.fakes_port)}\n"
            )
        elif missing := providers.not_set_up():
            self.say(f"Not set up, so not offered: {', '.join(missing)}. Add accounts in the admin, under Providers.")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])

    def _collect(self):
        Path(settings.STATIC_ROOT).mkdir(exist_ok=True)  # else whitenoise warns at each start
        try:
            static.collect()
        except (OSError, ValueError) as error:  # people are paged all the same, and the pages can be read
            self.say(f"Style sheets and scripts could not be collected: {error}")

    def _start_database(self):
        try:
            settings.DATABASE_URL = embedded.start(self.home)
        except embedded.EmbeddedError as error:
            raise Refused(str(error)) from error
        # Over TCP the port may have changed since the settings were read.
        address = environ.Env.db_url_config(settings.DATABASE_URL)
        connection.settings_dict |= {name: address[name] for name in ("HOST", "PORT", "PASSWORD")}

    def _start(self, child):
        role = {"WATCHBILL_ROLE": child.name}
        if child is self.worker:
            self.worker_id = f"{socket.gethostname()}-{secrets.token_hex(4)}"
            self.watch = Watch(time.monotonic())
            role["WATCHBILL_WORKER_ID"] = self.worker_id
        try:
            child.start(self._environment() | role, self.home, self.log)
        except CANNOT_START as error:
            if child.is_up:
                child.end()  # nobody would read what it prints, and it would wait for that for ever
            now = time.monotonic()
            delay = child.next_delay(now)
            child.start_at = now + delay
            reason = getattr(error, "strerror", None) or error
            self.say(f"{child.name} cannot be started ({reason}) and is tried again in {delay:g} s.")

    def _environment(self):
        return os.environ | {
            "WATCHBILL_HOME": str(self.home),
            "DATABASE_URL": settings.DATABASE_URL,
            "PUBLIC_URL": self.public_url,
            "PYTHONUNBUFFERED": "1",
            "SPT_NOENV": "1",  # django-q2 sets titles; this keeps them from overwriting what kill_leftovers() reads
            **(demo.fakes_environment(self.fakes_port) if self.fakes_port else {}),
        }

    # looking after
    def _look_after(self):
        began = next_look = time.monotonic()
        is_awaited, asked_at = True, 0.0
        while not self.signals:
            now = time.monotonic()
            for child in self.children:
                self._care_for(child, now)
            if is_awaited and now - asked_at >= 0.2:
                asked_at = now
                if self._answers():
                    is_awaited = False
                    self._print_banner()
                elif now - began > HEALTH_SECONDS:
                    is_awaited = False
                    self.say(f"{self.public_url}/health does not answer yet. The lines above may say why.")
            if now >= next_look:
                next_look = now + 1
                self._watch_database()
                self._watch_worker(now)
            time.sleep(0.1)

    def _care_for(self, child, now):
        if child.is_up:
            if child.has_exited():
                delay = child.next_delay(now)
                child.start_at = now + delay
                self.say(f"{child.name} ended with code {child.end()} and starts again in {delay:g} s.")
        elif now >= child.start_at:
            self._start(child)

    def _answers(self):
        url = urlsplit(local_url(self.host, self.port))
        asked = http.client.HTTPConnection(url.hostname, url.port, timeout=2)
        try:
            # The name that ALLOWED_HOSTS knows, whatever address we listen on.
            asked.request("GET", "/health", headers={"Host": urlsplit(self.public_url).netloc})
            return asked.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asked.close()

    def _print_banner(self):
        with contextlib.suppress(OSError):
            print(f"\n{self.banner.strip()}\n", flush=True)

    def _watch_database(self):
        if self.is_embedded and not embedded.is_running(self.home):
            self.say("The embedded database is gone and starts again.")
            before = settings.DATABASE_URL
            try:
                self._start_database()
            except Refused as error:
                self.say(str(error))
                return
            except CANNOT_START as error:
                self.say(f"The embedded database cannot be started ({error}) and is tried again.")
                return
            self._replace_worker()  # django-q2 would need ten seconds to give up its dead connections
            if before != settings.DATABASE_URL:
                for child in (*self.doors, self.ticker):
                    child.terminate()  # it starts again with the new address

    def _watch_worker(self, now):
        try:
            beat = WorkerBeat.objects.filter(pk=self.worker_id).values_list("beat_at", flat=True).first()
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            self.watch = Watch(now)
            if self.can_see_beats:
                self.say(f"The beats of the worker cannot be read: {str(error).splitlines()[0]}")
            self.can_see_beats = False
            return
        self.can_see_beats = True
        self.watch.see(beat, now)
        is_ticking = self.ticker.is_up and now - self.ticker.started_at >= TICKER_SECONDS
        if is_ticking and self.worker.is_up and self.watch.is_frozen(now):
            self.say(f"worker has run no task for {now - self.watch.since:.0f} s. It is frozen and is replaced.")
            self._replace_worker()
            with contextlib.suppress(DatabaseError, InterfaceError):
                counters.add("worker_restarts_total", 1)

    def _replace_worker(self):
        if self.worker.is_up:
            self.worker.end()
            self._start(self.worker)

    # stopping
    def _stop(self):
        self.say("Stopping. Ctrl-C again stops at once.")
        began = time.monotonic()
        for child in self.doors:  # first: whoever sends an alert now asks again, and none is taken in half
            child.terminate()
        self._await_end(self.doors, began + WEB_STOP_SECONDS)
        self.worker.terminate()
        self.ticker.terminate()
        self._await_end([self.worker, self.ticker], began + STOP_SECONDS)
        for child in self.children:  # the fakes are last: the worker may still be sending to them
            child.terminate()
        self._await_end(self.children, began + STOP_SECONDS)
        for child in self.children:
            if child.is_up:
                if not child.has_exited():
                    self.say(f"{child.name} still runs and is killed.")
                child.end()
            (self.home / "run" / f"{child.name}.pid").unlink(missing_ok=True)
        connection.close()
        if self.is_embedded:
            try:
                embedded.stop(self.home, immediately=self.signals > 1)
            except embedded.EmbeddedError as error:
                self.say(str(error))
        self.say("Stopped.")

    def _await_end(self, children, deadline):
        while any(child.is_up and not child.has_exited() for child in children):
            if time.monotonic() > deadline or self.signals > 1:
                return
            time.sleep(0.05)
