"""Change events of any program: a deployment, a feature switch, a migration. Shown beside incidents; calls nobody."""

from alerts.event import (
    CHANGE,
    DESCRIPTION_LIMIT,
    SERVICE_LIMIT,
    Event,
    clean_labels,
    clean_line,
    clean_links,
    clean_text,
    parse_time,
)
from alerts.sources.base import BadEvent, Source, text_of

MOST_EVENTS = 100


class Change(Source):
    kind = "change"
    label = "Change events"
    setup_help = (
        "At the end of a deployment, post JSON to {url}. Only a summary is required:\n\n"
        "curl -X POST {url} -H 'Content-Type: application/json' \\\n"
        '  -d \'{"summary": "Deployed checkout 2.31.0", "service": "checkout", "source": "ci",\n'
        '       "links": [{"href": "https://ci.example.com/4512", "text": "Pipeline"}]}\''
    )

    def read(self, data, headers, options):
        if not isinstance(data, list):
            return [self.one(data)]
        if not 0 < len(data) <= MOST_EVENTS:
            raise BadEvent.about(
                "", f"The array has {len(data)} changes. Send 1 to {MOST_EVENTS} of them in one request."
            )
        return [self.one(item) for item in data]

    def one(self, data):
        """The event of one JSON object, ours or that of PagerDuty's change events. Raises BadEvent."""
        if not isinstance(data, dict):
            raise BadEvent.about("", 'A change is a JSON object, for example {"summary": "Deployed checkout 2.31.0"}.')
        inner = data["payload"] if isinstance(data.get("payload"), dict) else {}
        said = {**data, **inner}
        title = text_of(said, "summary", "title", "message", limit=1024)
        if not title:
            raise BadEvent.about(
                "summary", 'A change needs a summary. Add "summary" with one line that says what it was.'
            )
        details = said.get("custom_details") if "custom_details" in said else said.get("labels")
        if details is not None and not isinstance(details, dict):
            details = {"custom_details": details}
        return Event(
            action=CHANGE,
            title=title,
            description=clean_text(said.get("description"), DESCRIPTION_LIMIT),
            service=clean_line(said.get("service"), SERVICE_LIMIT),
            labels=clean_labels({"source": said.get("source") or None}, details),
            links=clean_links(said.get("links")),
            occurred_at=parse_time(said.get("timestamp")) or parse_time(said.get("occurred_at")),
            source=self.kind,
        )

    def accepted(self, events, event_id):
        return 202, {"status": "accepted", "event_id": event_id}
