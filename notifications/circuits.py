"""Whether an account at a provider, or a host, is called at all: after failures in a row it is left alone for a while.

A circuit that is closed and without failures has no row. FAILURES in a row open it for OPEN; after that one message is
the probe, and its success closes the circuit. An account that cannot be used at all (ProviderBroken) is held: it is
left alone until somebody corrects it, or until a probe, every HELD, goes through. A provider that said how long to
wait (429) is left alone until then, which counts as no failure.
"""

import dataclasses
import datetime

from django.db import connection
from django.db.models import Q

from notifications import alarms
from notifications.models import Circuit, vendors

TABLE = Circuit._meta.db_table

FAILURES = 5
OPEN = datetime.timedelta(seconds=30)
HELD = datetime.timedelta(minutes=10)

WORKS, FAILS, BUSY, BROKEN, UNTRIED = "works", "fails", "busy", "broken", "untried"

# In front of what readers outside have for themselves: their hosts are not ours, and no admin is paged about them.
OUTSIDE = "outside:"

# The circuits that this process saw fail and not work since: only then is a success worth a statement.
_failing = set()


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one try says of its circuit. `until` goes with BUSY; `is_clean`: there was no row when it was claimed."""

    name: str
    label: str
    what: str
    at: datetime.datetime
    error: str = ""
    until: datetime.datetime | None = None
    is_clean: bool = False
    is_probe: bool = False


def name_of(channel, account, address, *, is_outside=False):
    """The name of the circuit of a try: of an account and a channel, or of a lane; readers outside have their own."""
    name = f"{account.key} {channel.kind}" if account else channel.lane(address)
    kind, space, host = name.partition(" ")
    whose = OUTSIDE if is_outside and not account else ""
    return f"{whose}{kind}{space}{host.rpartition('@')[2]}"[:200]  # a host may be written with a password in front


def label_of(account, name):
    """The account, or the lane, in words."""
    return f"{vendors.get(account.vendor).label} ({account.name})" if account else name


def can_open(name):
    """Whether failures open this circuit: a lane that names no host holds too many things that can fail alone."""
    return " " in name


class Board:
    """The circuits of one batch as they stood when it was claimed, and the probes that this batch wants to send."""

    def __init__(self, names, now):
        self.now = now
        self.rows = Circuit.objects.in_bulk(set(names)) if names else {}
        self.probes = set()

    def is_clean(self, name):
        return name not in self.rows

    def is_held(self, name):
        return name in self.rows and self.rows[name].is_held

    def is_free(self, name):
        """Whether a message may go out now: the circuit is closed, or the message would be its probe."""
        row = self.rows.get(name)
        if row is None or row.opened_until is None or not can_open(name):
            return True
        return row.opened_until <= self.now and name not in self.probes

    def is_probed(self, name):
        """Whether another message finds out right now if it works again."""
        row = self.rows.get(name)
        return name in self.probes or bool(row and row.probed_at and row.opened_until and row.opened_until > self.now)

    def opened_until(self, name):
        return self.rows[name].opened_until

    def is_pause(self, name):
        """Whether it is left alone because the provider asked for it."""
        return self.rows[name].failures < FAILURES and not self.rows[name].is_held

    def take(self, name):
        """Send a message through a free circuit. Returns whether it is the probe; see `claim_probes`."""
        row = self.rows.get(name)
        is_probe = bool(row and row.opened_until and can_open(name) and (row.is_held or row.failures >= FAILURES))
        if is_probe:
            self.probes.add(name)
        return is_probe

    def claim_probes(self):
        """Of all workers one may send the probe: return the names whose probe is ours."""
        if not self.probes:
            return set()
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {TABLE} SET probed_at = %s, opened_until = %s WHERE name IN "
                f"(SELECT name FROM {TABLE} WHERE name = ANY(%s) AND opened_until <= %s ORDER BY name FOR UPDATE) "
                "RETURNING name",
                # If its worker dies, the next probe goes out after this time.
                [self.now, self.now + OPEN, sorted(self.probes), self.now],
            )
            return {name for (name,) in cursor.fetchall()}

    def why(self, name, label):
        """Why a message does not go out through this circuit, in a sentence."""
        row = self.rows[name]
        until = f"{row.opened_until.astimezone(datetime.UTC):%H:%M:%S} UTC"
        if row.is_held:
            return f"{label} cannot be used until its account is corrected: {row.last_error}"
        if row.failures >= FAILURES:
            text = f"{label} failed {row.failures} times in a row and is left alone until {until}"
        else:
            text = f"{label} asked to be left alone until {until}"
        return f"{text}: last error: {row.last_error}"


def note(verdicts, *, now):
    """Write what these tries say of their circuits, with an alarm for each that opens and an end to it when it closes.

    In statements of their own: no lock is held while anything else waits.
    """
    works, told, untried = {}, {}, set()
    for verdict in sorted(verdicts, key=lambda each: each.at):
        name = verdict.name
        if verdict.what == WORKS:
            if not verdict.is_clean or name in told or name in _failing:
                works[name] = works.get(name, False) or verdict.is_probe
                told.pop(name, None)
        elif verdict.what == UNTRIED:
            if verdict.is_probe:
                untried.add(name)
        elif verdict.what == BROKEN or can_open(name):
            told.setdefault(name, []).append(verdict)
    if works:
        _close(works, now)
    if told:
        _fail(told, now)
    if untried:
        Circuit.objects.filter(name__in=untried, probed_at__isnull=False).update(probed_at=None, opened_until=now)


def _close(works, now):
    """Forget the failures of what works, `{name: it was a probe}`. A pause that a provider asked for goes on."""
    probes = [name for name, is_probe in works.items() if is_probe]
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {TABLE} WHERE name IN (SELECT name FROM {TABLE} WHERE name = ANY(%s) AND (name = ANY(%s) "
            "OR NOT is_held AND (failures > 0 OR opened_until IS NULL OR opened_until <= %s)) "
            "ORDER BY name FOR UPDATE) RETURNING name",
            [sorted(works), probes, now],
        )
        closed = [name for (name,) in cursor.fetchall()]
    _failing.difference_update(works)
    if closed:
        alarms.clear_alarms([_alarm_key(name) for name in closed], now=now)


def _fail(told, now):
    """Count the failures, `{name: [Verdict]}`, and open what failed too often. One statement."""
    last = {name: verdicts[-1] for name, verdicts in told.items()}
    broken = {name for name, verdicts in told.items() if any(each.what == BROKEN for each in verdicts)}
    counts = {name: sum(each.what != BUSY for each in verdicts) for name, verdicts in told.items()}
    rows = []
    for name in sorted(told):
        until = max((each.until for each in told[name] if each.until), default=None)
        if not can_open(name):
            until = None
        elif name in broken:
            until = now + HELD
        elif counts[name] >= FAILURES:
            until = max(until or now, now + OPEN)
        rows.append((name, counts[name], until, name in broken and can_open(name), last[name].error[:500]))
    names, failures, untils, helds, errors = (list(column) for column in zip(*rows, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} AS circuit (name, failures, opened_until, is_held, last_error, changed_at) "
            "SELECT name, failures, opened_until, is_held, error, %(now)s FROM unnest(%(names)s::text[], "
            "%(failures)s::int[], %(untils)s::timestamptz[], %(helds)s::boolean[], %(errors)s::text[]) "
            "AS told (name, failures, opened_until, is_held, error) "
            "ON CONFLICT (name) DO UPDATE SET failures = circuit.failures + EXCLUDED.failures, "
            "is_held = circuit.is_held OR EXCLUDED.is_held, last_error = EXCLUDED.last_error, "
            "changed_at = EXCLUDED.changed_at, probed_at = NULL, "
            # `GREATEST` leaves out what is NULL.
            "opened_until = GREATEST(EXCLUDED.opened_until, CASE "
            "WHEN circuit.is_held THEN %(now)s + %(held)s "
            "WHEN EXCLUDED.failures > 0 AND circuit.failures + EXCLUDED.failures >= %(limit)s "
            "THEN %(now)s + %(open)s ELSE circuit.opened_until END) "
            "RETURNING name, failures, opened_until",
            {
                "now": now,
                "names": names,
                "failures": failures,
                "untils": untils,
                "helds": helds,
                "errors": errors,
                "held": HELD,
                "open": OPEN,
                "limit": FAILURES,
            },
        )
        stored = cursor.fetchall()
    _failing.update(names)
    texts = {}
    for name, failed, until in stored:
        verdict = last[name]
        if name.startswith(OUTSIDE):
            continue
        if name in broken:
            texts[_alarm_key(name)] = (
                f"{verdict.label} cannot be used: {verdict.error} Correct the account under Providers in the admin, "
                "or in the environment if it stands there. Until then messages take another account or channel."
            )
        elif until and failed >= FAILURES > failed - counts[name]:
            texts[_alarm_key(name)] = (
                f"{verdict.label} failed {failed} times in a row and is left alone until "
                f"{until.astimezone(datetime.UTC):%H:%M:%S} UTC, then tried with one message at a time. "
                f"Last error: {verdict.error}"
            )
    alarms.raise_alarms(texts, now=now)


def reset(name, *, now):
    """Close the circuits whose name is this, or starts with it and a space: an account was corrected."""
    rows = Circuit.objects.filter(Q(name=name) | Q(name__startswith=f"{name} "))
    names = list(rows.values_list("name", flat=True))
    rows.filter(name__in=names).delete()
    alarms.clear_alarms([_alarm_key(each) for each in names], now=now)
    alarms.clear_prefix(f"provider:{name} ", now=now)  # what an admin had to change there: see results.py


def _alarm_key(name):
    return f"circuit:{name}"
