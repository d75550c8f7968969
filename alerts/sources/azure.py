"""Azure Monitor: action groups with the common alert schema."""

from urllib.parse import quote

from alerts.event import (
    RESOLVE,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    as_text,
    clean_key,
    clean_labels,
    clean_line,
    clean_links,
    parse_time,
)
from alerts.sources.base import BadEvent, Source, text_of
from alerts.sources.generic import Generic
from alerts.sources.reading import an_object, first_line, label, needed_key, object_in, paragraphs

SEVERITIES = {"sev0": "critical", "sev1": "high", "sev2": "medium", "sev3": "low", "sev4": "info"}
PORTAL = "https://portal.azure.com/#blade/Microsoft_Azure_Monitoring/AlertDetailsTemplateBlade/alertId/"
_LABELS = ("alertRule", "signalType", "monitoringService", "severity")


class Azure(Source):
    kind = "azure"
    label = "Azure Monitor"
    setup_help = (
        "1. In the Azure portal open Monitor, Alerts, Action groups, and create or edit an action group.\n"
        "2. Under Actions add an action of the type Webhook:\n\n"
        "   URI                               {url}\n"
        "   Enable the common alert schema    Yes\n\n"
        "3. Choose the action group in each alert rule, with “Automatically resolve alerts” on.\n\n"
        "Sev0 to Sev4 become critical to info. A custom property “service” of the rule with a slug chooses the "
        "service. Activity log alerts, and log alerts without a state, never resolve by themselves: let this "
        "integration resolve alerts after a time of silence."
    )

    def read(self, data, headers, options):
        content = an_object(data, "Azure Monitor").get("data")
        essentials = content.get("essentials") if isinstance(content, dict) else None
        if not isinstance(essentials, dict):
            return self._foreign(data, headers, options)
        action = RESOLVE if clean_line(essentials.get("monitorCondition"), 40).lower() == "resolved" else TRIGGER
        alert_id = clean_line(essentials.get("alertId"), 2000)
        key = clean_key(alert_id.rstrip("/").rpartition("/")[2]) or clean_key(essentials.get("originAlertId"))
        rule = text_of(essentials, "alertRule", limit=TITLE_LIMIT) or "An Azure alert without a name"
        item = first_line(essentials, "configurationItems", 200)
        properties = object_in(content, "customProperties")
        context = object_in(content, "alertContext")
        when = ("resolvedDateTime",) if action == RESOLVE else ("firedDateTime",)
        return [
            Event(
                action=action,
                dedup_key=needed_key(action, key, "data.essentials.alertId"),
                severity=SEVERITIES.get(clean_line(essentials.get("severity"), 10).lower(), ""),
                title=clean_line(f"{rule} on {item}" if item else rule),
                description=paragraphs(essentials.get("description"), _conditions(context)),
                service=clean_line(label(properties, "service"), SERVICE_LIMIT),
                labels=clean_labels(
                    properties,
                    {"resource_group": _resource_group(essentials), "resource": item or None},
                    {name: essentials.get(name) or None for name in _LABELS},
                ),
                links=clean_links([(PORTAL + quote(alert_id, safe=""), "Azure portal")] if alert_id else []),
                occurred_at=next((time for name in when if (time := parse_time(essentials.get(name)))), None),
                source=self.kind,
            )
        ]

    @staticmethod
    def _foreign(data, headers, options):
        """What is not the common alert schema, read as well as can be. Raises BadEvent."""
        try:
            return Generic().read(data, headers, options)
        except BadEvent:
            raise BadEvent.about(
                "data.essentials",
                "This is not the common alert schema. Turn “Enable the common alert schema” on in the action group.",
            ) from None


def _resource_group(essentials):
    """The resource group in the first target's path, or None."""
    parts = first_line(essentials, "alertTargetIDs", 2000).split("/")
    names = [part.lower() for part in parts[:-1]]
    return parts[names.index("resourcegroups") + 1] if "resourcegroups" in names else None


def _conditions(context):
    """The measured conditions in words: `Percentage CPU GreaterThan 90: 97.4`."""
    conditions = object_in(context, "condition").get("allOf")
    lines = []
    for condition in conditions[:20] if isinstance(conditions, list) else ():
        if isinstance(condition, dict):
            names = ("metricName", "operator", "threshold")
            words = " ".join(filter(None, (clean_line(as_text(condition.get(name)), 200) for name in names)))
            value = clean_line(as_text(condition.get("metricValue")), 100)
            lines.append(f"{words}: {value}" if value else words)
    return "\n".join(filter(None, lines)) or None
