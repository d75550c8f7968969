"""Grafana alerting: Alertmanager's payload with more links, and the dashboard alerts of before version 9."""

import re

from alerts import signatures
from alerts.event import (
    IGNORE,
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    as_text,
    clean_labels,
    clean_line,
    clean_links,
    severity_from,
)
from alerts.sources.alertmanager import Alertmanager
from alerts.sources.base import Option, text_of
from alerts.sources.reading import key_with, list_in, needed_key, object_in, paragraphs

NO_DATA = Option(
    name="no_data",
    label="Legacy alerts: no data is trouble",
    help_text="Dashboard alerts of Grafana before version 9 in the state “no data” open an alert. Otherwise they are "
    "only kept.",
    default=False,
    is_switch=True,
)


def check_header(text):
    """The name of an HTTP header. Raises ValueError."""
    text = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9-]{1,100}", text):
        raise ValueError("A header's name has letters, digits and hyphens only. Copy it from Grafana's contact point.")
    return text


SIGNATURE_HEADER = Option(
    name="signature_header",
    label="Header of the signature",
    help_text="As in the contact point, under “HMAC signature”. It counts when there is a signing secret.",
    default="X-Grafana-Alerting-Signature",
    check=check_header,
)
TIMESTAMP_HEADER = Option(
    name="timestamp_header",
    label="Header of the signature's time",
    help_text="As in the contact point. With it a signature lives five minutes and works once; empty: there is none.",
    check=check_header,
)

# Names of alerts that Grafana makes itself when a rule could not be asked.
_PSEUDO = {"DatasourceNoData": "no_data", "DatasourceError": "error"}
_LEGACY = ("ruleId", "ruleName", "evalMatches")


class Grafana(Alertmanager):
    kind = "grafana"
    label = "Grafana alerting"
    setup_help = (
        "In Grafana open Alerting, Contact points, Add contact point:\n\n"
        "  Integration    Webhook\n"
        "  URL            {url}\n"
        "  HTTP method    POST\n"
        "  Disable resolved message    off: without it nothing ever resolves\n\n"
        "To keep the key out of the address, use {server}/in/grafana instead, with the authorization header scheme "
        "Bearer and the credentials {key}.\n\n"
        "With a signing secret here, enter the same under “HMAC signature”. Leave “Custom payload” empty.\n\n"
        "The same as a file for provisioning:\n\n"
        "apiVersion: 1\n"
        "contactPoints:\n"
        "  - orgId: 1\n"
        "    name: oncall\n"
        "    receivers:\n"
        "      - uid: oncall\n"
        "        type: webhook\n"
        "        settings:\n"
        "          url: {url}\n"
        "          httpMethod: POST\n"
        "        disableResolveMessage: false\n\n"
        "A label “service” with a slug chooses the service, a label “severity” the severity. Grafana does not repeat "
        "what could not be delivered until the group's next notification: keep the repeat interval short."
    )
    options = (*Alertmanager.options, NO_DATA, SIGNATURE_HEADER, TIMESTAMP_HEADER)

    async def admit(self, target, headers, body, *, now, fetch):
        if not target.signing_secret:
            return signatures.Verdict(True)
        return signatures.grafana(
            target.signing_secret,
            headers,
            body,
            now,
            header=str(target.options.get(SIGNATURE_HEADER.name) or SIGNATURE_HEADER.default),
            timestamp_header=str(target.options.get(TIMESTAMP_HEADER.name) or ""),
        )

    def read(self, data, headers, options):
        if not self._alerts(data) and isinstance(data, dict) and any(name in data for name in _LEGACY):
            return [self._legacy(data, options)]
        events = super().read(data, headers, options)
        if all(_is_test(event) for event in events):
            reason = "It is the test message of a contact point, so it opens no alert."
            return [Event(IGNORE, title=event.title, reason=reason, source=self.kind) for event in events]
        return events

    def links_of(self, alert, group):
        return [
            *super().links_of(alert, {}),
            (alert.get("silenceURL"), "Silence"),
            (alert.get("dashboardURL"), "Dashboard"),
            (alert.get("panelURL"), "Panel"),
            (alert.get("imageURL"), "Image"),
            (group.get("externalURL"), "Grafana"),
        ]

    def labels_of(self, alert):
        labels = super().labels_of(alert)
        pseudo = _PSEUDO.get(as_text(labels.get("alertname")))
        values = as_text(alert.get("values")) or None
        return {**labels, "grafana_state": pseudo, "grafana_values": values}

    def _legacy(self, data, options):
        state = clean_line(data.get("state"), 40).lower()
        title = text_of(data, "ruleName", "title", limit=TITLE_LIMIT) or "A Grafana alert without a name"
        if state in ("paused", "pending") or (state == "no_data" and not options.get(NO_DATA.name)):
            reason = f"Its state is “{state}”, which is no trouble yet."
            if state == "no_data":
                reason = "Its state is “no_data”, which this integration does not take for trouble. It is an option."
            return Event(IGNORE, title=title, reason=reason, source=self.kind)
        action = RESOLVE if state == "ok" else TRIGGER
        tags = object_in(data, "tags")
        matches = [
            f"{clean_line(match.get('metric'), 200)}: {clean_line(match.get('value'), 200)}"
            for match in list_in(data, "evalMatches")[:50]
            if isinstance(match, dict)
        ]
        organisation = data.get("orgId")
        return Event(
            action=action,
            dedup_key=needed_key(
                action, key_with("legacy", 1 if organisation is None else organisation, data.get("ruleId")), "ruleId"
            ),
            severity=severity_from(tags.get("severity")),
            title=title,
            description=paragraphs(data.get("message"), "\n".join(matches)),
            service=clean_line(tags.get("service"), SERVICE_LIMIT),
            labels=clean_labels(tags, {"grafana_state": "no_data" if state == "no_data" else None}),
            links=clean_links([(data.get("ruleUrl"), "Rule"), (data.get("imageUrl"), "Image")]),
            source=self.kind,
        )


def _is_test(event):
    """Whether it is what the button “Test” of a contact point sends, which never resolves."""
    labels = event.labels
    return labels.get("alertname") == "TestAlert" and labels.get("instance") == "Grafana"
