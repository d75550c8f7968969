"""Google Cloud Monitoring: the webhook notification channel."""

from alerts.event import (
    IGNORE,
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
from alerts.sources.base import BadEvent, Source, text_of
from alerts.sources.reading import an_object, label, needed_key, object_in, paragraphs

_NO_SEVERITY = "no severity"
_LABELS = ("policy_name", "condition_name", "resource_name", "scoping_project_id", "observed_value", "threshold_value")


class GoogleCloud(Source):
    kind = "gcp"
    label = "Google Cloud Monitoring"
    setup_help = (
        "1. In the Google Cloud console open Monitoring, Alerting, Edit notification channels.\n"
        "2. Under Webhooks choose Add new:\n\n"
        "   Endpoint URL    {url}\n"
        "   Display name    oncall\n"
        "   Use HTTP Basic Auth    off: the key stands in the address\n\n"
        "3. Press Test connection. The test message is kept and calls nobody.\n"
        "4. Choose the channel in each alerting policy, with “Notify on incident closure” on and a severity.\n\n"
        "Labels of the policy's users: “service” with a slug chooses the service, “severity” the severity when the "
        "policy has none."
    )

    def read(self, data, headers, options):
        incident = an_object(data, "Google Cloud").get("incident")
        if not isinstance(incident, dict):
            raise BadEvent.about("incident", "There is no “incident” in it. Use a notification channel “Webhook”.")
        title = self._title(incident)
        if clean_line(data.get("version"), 40).lower() == "test":
            reason = "It is the test message of a notification channel, so it opens no alert."
            return [Event(IGNORE, title=title, reason=reason, source=self.kind)]
        action = RESOLVE if clean_line(incident.get("state"), 40).lower() == "closed" else TRIGGER
        chosen, resource = object_in(incident, "policy_user_labels"), object_in(incident, "resource")
        metric = object_in(incident, "metric")
        return [
            Event(
                action=action,
                dedup_key=needed_key(action, clean_key(incident.get("incident_id")), "incident.incident_id"),
                severity=self._severity(incident, chosen),
                title=title,
                description=paragraphs(incident.get("summary"), self._documentation(incident)),
                service=clean_line(label(chosen, "service"), SERVICE_LIMIT),
                labels=clean_labels(
                    chosen,
                    object_in(object_in(incident, "metadata"), "user_labels"),
                    object_in(resource, "labels"),
                    object_in(metric, "labels"),
                    {"resource_type": resource.get("type"), "metric_type": metric.get("type")},
                    {name: incident.get(name) or None for name in _LABELS},
                ),
                links=clean_links([(incident.get("url"), "Google Cloud")]),
                occurred_at=parse_time(incident.get("ended_at" if action == RESOLVE else "started_at")),
                source=self.kind,
            )
        ]

    @staticmethod
    def _title(incident):
        policy = text_of(incident, "policy_name", "condition_name", "summary", limit=TITLE_LIMIT)
        resource = text_of(incident, "resource_display_name", "resource_name", limit=200)
        if not policy:
            policy = "An incident without a name"
        return clean_line(f"{policy} on {resource}" if resource else policy)

    @staticmethod
    def _severity(incident, chosen):
        given = clean_line(incident.get("severity"), 40)
        found = severity_from(given) or severity_from(label(chosen, "severity"))
        return found or ("info" if given.lower() == _NO_SEVERITY else "")

    @staticmethod
    def _documentation(incident):
        documentation = incident.get("documentation")
        return documentation.get("content") if isinstance(documentation, dict) else documentation
