"""Which alerts share an incident, and for how long. Pure: values in, values out."""

import dataclasses
import datetime as dt
import hashlib
import json

from alerts.event import clean_key

# A window that slides ends at the latest so long after its incident triggered.
SLIDES_AT_MOST = dt.timedelta(days=1)
VALUE_SHOWN = 60


def dedup_key(values):
    """The dedup key that these field values make. As a JSON list, so that no value can pretend to be two."""
    return clean_key(json.dumps(values, ensure_ascii=False, separators=(",", ":")))


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """What an alert shares an incident with. `key` is "" when it shares with none."""

    key: str
    seconds: int
    slides: bool
    freezes: bool  # once somebody has the incident, it takes no more
    why: str  # what its alerts have in common, for a sentence

    def until(self, now):
        """Until when an incident that triggers now takes more alerts; None: never."""
        return now + dt.timedelta(seconds=self.seconds) if self.key else None

    def slid(self, until, *, triggered_at, now):
        """The end of the window after one more alert has joined."""
        if not self.slides:
            return until
        latest = triggered_at + SLIDES_AT_MOST
        return max(until, min(now + dt.timedelta(seconds=self.seconds), latest))


def group_of(*, severity, fields, seconds, slides=False, freezes=False, policy_id=None, pages=True):
    """The Group of an alert. `fields` are the (name, value) pairs that the integration groups by, or empty.

    Alerts that call other people than those of an open incident, or somebody instead of nobody, are no part of it.
    """
    if not seconds:
        return Group("", 0, False, False, "each alert of its own")
    if fields:
        text = json.dumps(fields, ensure_ascii=False)
        key = "fields:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        why = "same service and " + ", ".join(f"{name} “{_short(value)}”" for name, value in fields)
    else:
        key, why = severity, "same service and severity"
    if policy_id:
        key += f" policy:{policy_id}"
    if not pages:
        key += " pages nobody"
    return Group(key, seconds, slides, freezes, why)


def _short(value):
    return value if len(value) <= VALUE_SHOWN else value[: VALUE_SHOWN - 1] + "…"
