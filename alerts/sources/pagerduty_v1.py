"""PagerDuty Events API v1, which Healthchecks and old senders still speak."""

from alerts.sources.base import BadEvent
from alerts.sources.pagerduty import PagerDuty, version_1


class PagerDutyV1(PagerDuty):
    """Another name for the key, and other answers. It comes with the key of an integration of PagerDuty."""

    kind = "pagerduty_v1"
    label = "PagerDuty Events API v1"
    is_internal = True
    also_keys_of = (PagerDuty.kind,)
    # Its clients take 429 for a mistake of theirs, and try again after 403.
    overloaded_status = limited_status = 403
    key_field = "service_key"

    def read(self, data, headers, options):
        if not isinstance(data, dict):
            raise BadEvent.about("", "The event is not a JSON object")
        return [version_1(data, self.kind)]

    def accepted(self, events, event_id):
        key = events[0].dedup_key if events else ""
        return 200, {"status": "success", "message": "Event processed", "incident_key": key}
