"""How much may come at once, and what becomes of the rest: it waits for its place, or shares an incident. Never lost.

Pure: values in, values out.
"""

import dataclasses
import datetime as dt

from alerts.event import RESOLVE, TRIGGER

MINUTE = dt.timedelta(minutes=1)
# Nothing waits longer for its place in a rate, however much more is sent.
LONGEST_WAIT = dt.timedelta(minutes=10)
# People are called for these: the first word of such a trouble does not wait.
URGENT = ("critical", "high")
# A key that fired so lately, and has not been resolved since, says nothing new when it fires again.
KNOWN_FOR = dt.timedelta(minutes=10)
KEYS_KEPT = 10_000


# --- events a minute ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class _Key:
    """What one process knows of a dedup key: when it last fired, and until when events of it wait."""

    fired_at: dt.datetime | None = None
    waits_until: dt.datetime | None = None  # any event of the key
    ends_until: dt.datetime | None = None  # one that ends or changes the alert


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """When the events of a request are decided: at `due_at`, or at once if that is None.

    With `in_a_hurry` all that waits of the same sender must be decided before, so that the order stays right.
    """

    due_at: dt.datetime | None = None
    in_a_hurry: bool = False


class Pace:
    """The rate of one sender: a minute's worth is decided at once, each event above it has its place in the rate.

    Somebody new in urgent trouble goes first: a trigger of critical or high severity whose key is not known to fire
    is decided at once. So what waits are repeats, ends, and what nobody is called for loudly.
    """

    def __init__(self):
        self._free_at = None  # when all that was taken so far would be done at this rate
        self._keys = {}

    def place(self, events, *, now, per_minute, default_severity=""):
        """The Place of one request with these events; they count against the rate."""
        due_at = self._take(len(events) or 1, now, per_minute)
        keys = {event.dedup_key: self._key(event.dedup_key) for event in events}
        waits = any(key.waits_until and key.waits_until > now for key in keys.values())
        if due_at is None and not waits:
            return self._note(events, keys, now, Place())
        if any(self._is_urgent_news(event, keys[event.dedup_key], now, default_severity) for event in events):
            overtakes = any(self._overtakes(event, keys[event.dedup_key], now) for event in events)
            return self._note(events, keys, now, Place(in_a_hurry=overtakes))
        # Behind what waits of the same keys, also when the rate has room again.
        behind = [key.waits_until for key in keys.values() if key.waits_until]
        return self._note(events, keys, now, Place(max([due_at or now, *behind])))

    def is_above(self, now):
        """Whether the next event would wait."""
        return self._free_at is not None and self._free_at - now > MINUTE

    def heard_of(self, due_at):
        """Another process gave away the places up to this time."""
        if self._free_at is None or self._free_at < due_at + MINUTE:
            self._free_at = due_at + MINUTE

    def _take(self, count, now, per_minute):
        start = max(self._free_at or now, now)
        self._free_at = min(start + count * MINUTE / per_minute, now + LONGEST_WAIT + MINUTE)
        wait = min(start - MINUTE - now, LONGEST_WAIT)
        return now + wait if wait > dt.timedelta(0) else None

    def _key(self, name):
        found = self._keys.pop(name, None) or _Key()
        self._keys[name] = found  # now the latest
        while len(self._keys) > KEYS_KEPT:
            del self._keys[next(iter(self._keys))]
        return found

    @staticmethod
    def _is_urgent_news(event, key, now, default_severity):
        is_known = key.fired_at is not None and now - key.fired_at < KNOWN_FOR
        return event.action == TRIGGER and not is_known and (event.severity or default_severity) in URGENT

    @staticmethod
    def _overtakes(event, key, now):
        """Whether deciding it now, before what waits of its key, would end in another state."""
        until = key.ends_until if event.action == TRIGGER else key.waits_until
        return until is not None and until > now

    def _note(self, events, keys, now, place):
        if place.in_a_hurry:
            for key in self._keys.values():
                key.waits_until = key.ends_until = None
        for event in events:
            key = keys[event.dedup_key]
            if event.action == TRIGGER:
                key.fired_at = now
            elif event.action == RESOLVE:
                key.fired_at = None
            if place.due_at:
                key.waits_until = place.due_at
                if event.action != TRIGGER:
                    key.ends_until = place.due_at
        return place


# --- incidents a minute -------------------------------------------------------------------------------------------

STORM = "storm:"
STORM_WINDOW = dt.timedelta(minutes=1)
# How long a storm's incident takes more. What comes later opens incidents of its own again, up to the limit.
STORM_LASTS = dt.timedelta(minutes=5)


def storm_key(severity, *, policy_id=None, pages=True):
    """The group of a storm's alerts. Those that would call others, or louder, must not hide in it."""
    return f"{STORM}{severity}:{policy_id or ''}{'' if pages else ':quiet'}"


class Storms:
    """How many incidents each service may still open.

    `opened` is `{service_id: incidents it opened in the STORM_WINDOW before now}`, counted under the services' locks.
    """

    def __init__(self, opened):
        self._opened = dict(opened)

    def may_open(self, service_id, limit):
        """Whether one more incident of its own is within the limit a minute, and count it. A limit of 0 is none."""
        opened = self._opened.get(service_id, 0)
        if limit and opened >= limit:
            return False
        self._opened[service_id] = opened + 1
        return True


def storm_title(service_name, limit):
    """The title of the incident that a storm's alerts share."""
    return f"Alert storm on {service_name}: more alerts than {limit} a minute share this incident"


def storm_reason(service_name, limit):
    """Why an alert has no incident of its own."""
    return (
        f"{service_name} had {limit} new incidents within a minute. To keep people reachable, this alert shares the "
        "incident of the storm."
    )
