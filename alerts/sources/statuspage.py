"""A vendor's status page on Statuspage as a source: its incidents, and on demand its components."""

from alerts.event import (
    CHANGE,
    IGNORE,
    NOTE,
    RESOLVE,
    TITLE_LIMIT,
    TRIGGER,
    Event,
    clean_labels,
    clean_line,
    clean_links,
    parse_time,
)
from alerts.sources.base import BadEvent, Option, Source, text_of
from alerts.sources.reading import an_object, key_with, lines_in, list_in, needed_key, object_in, paragraphs

EVENTS = Option(
    name="events",
    label="Takes",
    help_text="An incident usually also sends a message for each component it touches.",
    default="incidents",
    choices=(("incidents", "incidents only"), ("all", "incidents and components")),
)

OVER = ("resolved", "completed", "postmortem")
PLANNED = ("scheduled", "in_progress", "verifying")
IMPACTS = {"critical": "critical", "major": "high", "minor": "medium", "none": "info"}
COMPONENTS = {
    "degraded_performance": "low",
    "partial_outage": "medium",
    "major_outage": "high",
    "under_maintenance": "info",
}


class Statuspage(Source):
    kind = "statuspage"
    label = "Statuspage of a vendor"
    setup_help = (
        "1. Open the vendor's status page and press “Subscribe to updates”.\n"
        "2. Choose the tab with the webhook sign <> and enter\n\n"
        "   {url}\n\n"
        "   with an address of your team for when it fails.\n\n"
        "Incidents open alerts; the impact gives the severity. Planned maintenance calls nobody and is shown as a "
        "change. Messages about single components count only if this integration takes them too."
    )
    options = (EVENTS,)

    def read(self, data, headers, options):
        an_object(data, "Statuspage")
        if isinstance(data.get("incident"), dict):
            return self._incident(data["incident"], object_in(data, "page"))
        if isinstance(data.get("component_update"), dict) or isinstance(data.get("component"), dict):
            return [self._component(object_in(data, "component"), object_in(data, "component_update"), options)]
        raise BadEvent.about("incident", "There is neither an “incident” nor a “component_update” in it.")

    def _incident(self, incident, page):
        status = clean_line(incident.get("status"), 40).lower()
        updates = [update for update in list_in(incident, "incident_updates") if isinstance(update, dict)]
        newest = updates[0].get("body") if updates else incident.get("postmortem_body")
        if status in OVER:
            action, times = RESOLVE, ("resolved_at", "updated_at")
        elif status in PLANNED:
            action, times = CHANGE, ("updated_at", "created_at")
        else:
            action, times = TRIGGER, ("created_at", "updated_at")
        components = [one for one in list_in(incident, "components") if isinstance(one, dict)]
        title = text_of(incident, "name", limit=TITLE_LIMIT) or "An incident without a name"
        key = key_with("incident", incident.get("id"))
        impact = text_of(incident, "impact_override", "impact", limit=40).lower()
        event = Event(
            action=action,
            dedup_key=key if action == CHANGE else needed_key(action, key, "incident.id"),
            severity=IMPACTS.get(impact, ""),
            title=clean_line(f"Planned by the vendor ({status.replace('_', ' ')}): {title}")
            if action == CHANGE
            else title,
            description=paragraphs(newest),
            labels=clean_labels(
                {"status": status or None, "impact": impact or None},
                {"components": lines_in({"names": [one.get("name") for one in components]}, "names")},
                {name: incident.get(name) or None for name in ("scheduled_for", "scheduled_until", "page_id")},
                {"page_status": page.get("status_description") or None},
            ),
            links=clean_links([(incident.get("shortlink"), "Status page")]),
            occurred_at=next((time for name in times if (time := parse_time(incident.get(name)))), None),
            source=self.kind,
        )
        if action != TRIGGER or len(updates) < 2 or not key:
            return [event]
        # What the vendor found out since: whoever is at the alert should read it.
        return [
            event,
            Event(
                NOTE,
                dedup_key=key,
                description=paragraphs(f"{status}: {clean_line(newest, 4000)}"),
                occurred_at=parse_time(updates[0].get("created_at")),
                source=self.kind,
            ),
        ]

    def _component(self, component, update, options):
        status = text_of(update, "new_status", limit=40) or text_of(component, "status", limit=40)
        name = text_of(component, "name", limit=200) or "A component without a name"
        title = clean_line(f"{name}: {status.replace('_', ' ')}")
        if options.get(EVENTS.name) != "all":
            reason = "It is about a component, and this integration takes incidents only. It is an option."
            return Event(IGNORE, title=title, reason=reason, source=self.kind)
        action = RESOLVE if status == "operational" else TRIGGER
        key = key_with("component", update.get("component_id")) or key_with("component", component.get("id"))
        return Event(
            action=action,
            dedup_key=needed_key(action, key, "component_update.component_id"),
            severity=COMPONENTS.get(status, ""),
            title=title,
            description=paragraphs(component.get("description")),
            labels=clean_labels(
                {"component": name, "status": status or None, "old_status": update.get("old_status") or None}
            ),
            occurred_at=parse_time(update.get("created_at")),
            source=self.kind,
        )
