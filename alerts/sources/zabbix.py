"""Zabbix, through a media type of ours whose script posts its parameters as they are."""

import re
from urllib.parse import quote

from alerts.event import (
    ACKNOWLEDGE,
    NOTE,
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    parse_time,
    severity_from,
)
from alerts.sources.base import BadEvent, Source, read_json, text_of
from alerts.sources.generic import Generic
from alerts.sources.reading import an_object, filled, label, labels_of_pairs, needed_key, paragraphs

PARAMETERS = {
    "event_id": "{EVENT.ID}",
    "event_name": "{EVENT.NAME}",
    "event_value": "{EVENT.VALUE}",
    "event_update_status": "{EVENT.UPDATE.STATUS}",
    "event_update_action": "{EVENT.UPDATE.ACTION}",
    "event_ack_status": "{EVENT.ACK.STATUS}",
    "event_nseverity": "{EVENT.NSEVERITY}",
    "event_severity": "{EVENT.SEVERITY}",
    "event_status": "{EVENT.STATUS}",
    "event_source": "{EVENT.SOURCE}",
    "event_date": "{EVENT.DATE}",
    "event_time": "{EVENT.TIME}",
    "event_timestamp": "{EVENT.TIMESTAMP}",
    "event_recovery_id": "{EVENT.RECOVERY.ID}",
    "event_recovery_timestamp": "{EVENT.RECOVERY.TIMESTAMP}",
    "event_tags_json": "{EVENT.TAGSJSON}",
    "event_opdata": "{EVENT.OPDATA}",
    "host_name": "{HOST.NAME}",
    "host_ip": "{HOST.IP}",
    "trigger_id": "{TRIGGER.ID}",
    "trigger_description": "{TRIGGER.DESCRIPTION}",
    "alert_subject": "{ALERT.SUBJECT}",
    "alert_message": "{ALERT.MESSAGE}",
    "zabbix_url": "{$ZABBIX.URL}",
}

# The engine of Zabbix knows ECMAScript 5 and gives the parameters as JSON text in `value`.
SCRIPT = """\
try {
    var params = JSON.parse(value),
        address = params.url,
        proxy = params.http_proxy,
        request = new HttpRequest(),
        response, status;

    delete params.url;
    delete params.http_proxy;
    if (typeof address !== 'string' || address.indexOf('http') !== 0) {
        throw 'The parameter "url" must be the address of the integration.';
    }
    if (typeof proxy === 'string' && proxy !== '') {
        request.setProxy(proxy);
    }
    request.addHeader('Content-Type: application/json');
    response = request.post(address, JSON.stringify(params));
    status = request.getStatus();
    if (status < 200 || status >= 300) {
        throw 'The answer was ' + status + ': ' + response;
    }
    return 'OK';
}
catch (error) {
    Zabbix.log(3, '[ On-call webhook ] ' + error);
    throw 'The alert was not delivered. ' + error;
}"""

SEVERITIES = {"5": "critical", "4": "high", "3": "medium", "2": "low", "1": "info", "0": "info"}
OF_A_TRIGGER = "0"  # of {EVENT.SOURCE}; the others are discovery, autoregistration, internal and service events
# A macro that means nothing for an event stays as it is written.
_PLACEHOLDER = re.compile(r"\{\$?[A-Z0-9_.:\"]+\}|\*UNKNOWN\*")
_ACKNOWLEDGED = re.compile(r"\backnowledged\b", re.IGNORECASE)
_ID = re.compile(r"[0-9]{1,20}")
_LABELS = ("event_id", "event_severity", "event_opdata", "host_ip", "trigger_id")


class Zabbix(Source):
    kind = "zabbix"
    label = "Zabbix"
    setup_help = (
        "1. In Zabbix open Alerts, Media types, Create media type:\n\n"
        "   Name      On-call\n"
        "   Type      Webhook\n"
        "   Timeout   30s\n"
        "   Options   Concurrent sessions: unlimited; attempts: 10; attempt interval: 30s\n\n"
        "2. Remove the parameters that are there and add these:\n\n"
        "   url   {url}\n"
        + "".join(f"   {name}   {macro}\n" for name, macro in PARAMETERS.items())
        + "\n3. As the script paste\n\n"
        + SCRIPT
        + "\n\n4. On the tab “Message templates” add Problem, Problem recovery and Problem update.\n"
        "5. Under Administration, Macros, set {$ZABBIX.URL} to the address of the Zabbix frontend.\n"
        "6. Give a user this media type (the text in “Send to” does not matter), and in Alerts, Actions, Trigger "
        "actions let operations, recovery operations and update operations send to that user by it.\n\n"
        "Behind a proxy add a parameter http_proxy. The tags “service” with a slug and “severity” count. Events of "
        "discovery and autoregistration never end: let this integration resolve alerts after a time of silence.\n\n"
        "The media types for PagerDuty, Opsgenie and Grafana OnCall that come with Zabbix work too, once their "
        "address is changed to this server: make an integration of that source."
    )

    def read(self, data, headers, options):
        if not any(name in an_object(data, "Zabbix") for name in PARAMETERS):
            return Generic().read(data, headers, options)  # a script of their own
        data = filled(data, _PLACEHOLDER)
        action = self._action(data)
        tags = labels_of_pairs(self._tags(data), "tag", "value")
        message, changed = data.get("alert_message"), data.get("event_update_action")
        return [
            Event(
                action=action,
                dedup_key=needed_key(action, clean_key(data.get("event_id")), "event_id"),
                severity=severity_from(label(tags, "severity"))
                or SEVERITIES.get(clean_line(data.get("event_nseverity"), 10), ""),
                title=text_of(data, "event_name", "alert_subject", limit=TITLE_LIMIT) or "A problem without a name",
                description=paragraphs(changed, message)
                if action in (NOTE, ACKNOWLEDGE)
                else paragraphs(data.get("trigger_description"), data.get("event_opdata"), message),
                service=clean_line(label(tags, "service"), SERVICE_LIMIT),
                labels=clean_labels(
                    tags,
                    {"host": data.get("host_name") or None},
                    {name: data.get(name) or None for name in _LABELS},
                ),
                links=clean_links([(_page(data), "Zabbix")]),
                occurred_at=self._time(data, action),
                source=self.kind,
            )
        ]

    @staticmethod
    def _action(data):
        value, is_update = (clean_line(data.get(name), 10) for name in ("event_value", "event_update_status"))
        if (clean_line(data.get("event_source"), 10) or OF_A_TRIGGER) != OF_A_TRIGGER:
            # Their values mean other things. Internal and service events may recover, and then name the recovery.
            return RESOLVE if value == "0" and clean_key(data.get("event_recovery_id")) else TRIGGER
        if value == "0":
            return RESOLVE
        if is_update != "1":
            return TRIGGER
        is_acknowledged = clean_line(data.get("event_ack_status"), 10).lower() == "yes"
        did = clean_line(data.get("event_update_action"), 500)
        return ACKNOWLEDGE if is_acknowledged and _ACKNOWLEDGED.search(did) else NOTE

    @staticmethod
    def _tags(data):
        """The list of `{tag, value}` in event_tags_json, which is text."""
        tags = data.get("event_tags_json")
        if isinstance(tags, str):
            try:
                tags = read_json(tags.encode("utf-8", "replace"))
            except BadEvent:
                return []
        return tags if isinstance(tags, list) else []

    @staticmethod
    def _time(data, action):
        """The problem's beginning or end, or None: then the time of receipt counts.

        The dates of Zabbix are in the zone of its server, which it does not name; an update has the problem's time.
        """
        names = {TRIGGER: "event_timestamp", RESOLVE: "event_recovery_timestamp"}
        return parse_time(data.get(names[action])) if action in names else None


def _page(data):
    """The event in the frontend of Zabbix, or None."""
    frontend, trigger, event = (clean_line(data.get(name), 1000) for name in ("zabbix_url", "trigger_id", "event_id"))
    if not frontend or not _ID.fullmatch(trigger) or not _ID.fullmatch(event):
        return None
    return f"{frontend.rstrip('/')}/tr_events.php?triggerid={quote(trigger)}&eventid={quote(event)}"
