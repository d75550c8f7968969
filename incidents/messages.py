"""An incident said as a Message."""

from django.conf import settings
from django.template import loader

from incidents.priorities import target_seconds
from notifications.message import Action, Message

_body = None


def url_of(incident):
    return f"{settings.PUBLIC_URL}/incidents/{incident.pk}"


def subject_of(incident):
    """The same for every mail of the incident: mail programs group by it."""
    return f"[#{incident.pk}] {incident.title}"[:250]


def page(incident, step):
    """The page of one escalation step: what is wrong, where, and why this person."""
    global _body
    if _body is None:
        _body = loader.get_template("incidents/page.txt")
    minutes = target_seconds(incident.priority) // 60
    body = _body.render({"incident": incident, "step": step, "target_minutes": minutes})
    return Message(
        title=f"{incident.priority} {incident.title}",
        body=body.strip(),
        url=url_of(incident),
        urgency=incident.urgency,
        fields=(
            ("Incident", f"#{incident.pk}"),
            ("Service", incident.service.name),
            ("Severity", incident.severity),
            ("Priority", incident.priority),
            ("Since", f"{incident.triggered_at:%Y-%m-%d %H:%M:%S} UTC"),
        ),
        actions=(Action("Acknowledge", "acknowledge"),),
        thread=f"incident-{incident.pk}",
        subject=subject_of(incident),
    )
