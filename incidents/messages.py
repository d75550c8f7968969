"""An incident said as a Message."""

import datetime as dt

from django.conf import settings
from django.template import loader

from incidents import states
from incidents.figures import answer_text, span
from incidents.priorities import target_seconds
from notifications.message import Action, Kind, Message

_body = None

ACKNOWLEDGE = Action("Acknowledge", "acknowledge")
RESOLVE = Action("Resolve", "resolve")
ESCALATE = Action("Escalate", "escalate")


def url_of(incident):
    return f"{settings.PUBLIC_URL}/incidents/{incident.pk}"


def subject_of(incident):
    """The same for every mail of the incident: mail programs group by it."""
    return f"[#{incident.pk}] {incident.title}"[:250]


def page(incident, step, *, event="triggered", by=None, via="system", said=""):
    """The page of one escalation step: what is wrong, where, and why this person; or `said`, where a person asks."""
    global _body
    if _body is None:
        _body = loader.get_template("incidents/page.txt")
    minutes = target_seconds(incident.priority) // 60
    body = _body.render({"incident": incident, "step": step, "target_minutes": minutes, "said": said})
    return _message(
        incident,
        title=f"{incident.priority} {incident.title}",
        body=body.strip(),
        kind=Kind.PAGE,
        event=event,
        by=by,
        via=via,
    )


def triggered(incident, *, names=(), more=None):
    """The news of a new incident for a destination; `names` are the people whom it pages."""
    called = f"Paged: {', '.join(names)}." if names else "Nobody was paged. The timeline of the incident says why."
    description = incident.description.strip()
    if len(description) > 2000:
        description = description[:1999] + "…"
    return _message(
        incident,
        title=f"{incident.priority} {incident.title}",
        body=f"{description}\n\n{called}".strip(),
        kind=Kind.PAGE,
        event="triggered",
        more=more,
    )


def acknowledged(incident, *, by, via="system", previous=None):
    """Who has it, and how fast they answered."""
    return _message(
        incident,
        title=f"Acknowledged: {incident.title}",
        body=f"{by or 'The monitoring tool'} has it, {answer_text(incident)}. Nobody else is called.",
        kind=Kind.ACKNOWLEDGED,
        event="acknowledged",
        by=by,
        via=via,
        previous=previous,
        fields=(("Acknowledged by", str(by or "the monitoring tool")),),
    )


def resolved(incident, *, by, via="system", previous=None, verb="resolved", more=None):
    """What ended it, how long it took, and who had it. Also said, as `closed`, when it is put away."""
    took = span(incident.resolved_at - incident.triggered_at)
    if incident.resolved_by:
        first = f"{incident.resolved_by} resolved it {took} after it began."
    elif via == "source":
        first = f"Its last alert stopped firing, {took} after it began."
    else:
        first = f"It was resolved {took} after it began."
    sentences = [first, incident.resolution_note]
    if incident.acknowledged_at:
        who = incident.acknowledged_by or "the monitoring tool"
        sentences.append(f"Acknowledged by {who} {answer_text(incident)}.")
    else:
        sentences.append("Nobody had acknowledged it.")
    return _message(
        incident,
        title=f"{verb.capitalize()}: {incident.title}",
        body=" ".join(filter(None, sentences)),
        kind=Kind.RESOLVED,
        event=verb,
        by=by,
        via=via,
        previous=previous,
        fields=(("Duration", took),),
        more=more,
    )


def merged(incident, *, by, via="system", previous=None):
    """That it is over because its work goes on in another one."""
    return _message(
        incident,
        title=f"Merged: {incident.title}",
        body=f"{by or 'The system'} merged it into #{incident.merged_into_id}. Its work goes on there: "
        f"{url_of(incident.merged_into)}",
        kind=Kind.RESOLVED,
        event="merged",
        by=by,
        via=via,
        previous=previous,
        fields=(("Merged into", f"#{incident.merged_into_id}"),),
        more={"merged_into": incident.merged_into_id},
    )


def reopened(incident, *, text, by, via="system", previous=None):
    """That a merged incident is work of its own again."""
    return _message(
        incident,
        title=f"{incident.priority} Open again: {incident.title}",
        body=text,
        kind=Kind.PAGE,
        event="reopened",
        by=by,
        via=via,
        previous=previous,
    )


def changed(incident, *, event, what, text, by, via="system", previous=None, more=None):
    """Another change: `what` in a word or two, `text` the timeline's sentence."""
    return _message(
        incident,
        title=f"{what}: {incident.title}",
        body=text if len(text) <= 2000 else text[:1999] + "…",
        kind=Kind.UPDATE,
        event=event,
        by=by,
        via=via,
        previous=previous,
        more=more,
    )


def _message(incident, *, title, body, kind, event, by=None, via="system", previous=None, fields=(), more=None):
    is_call = kind == Kind.PAGE
    return Message(
        title=title,
        body=body,
        url=url_of(incident),
        urgency=incident.urgency if is_call else "low",
        fields=(
            ("Incident", f"#{incident.pk}"),
            ("Service", incident.service.name),
            ("Severity", incident.severity),
            ("Priority", incident.priority),
            ("Since", f"{incident.triggered_at:%Y-%m-%d %H:%M:%S} UTC"),
            *fields,
        ),
        actions=actions_of(incident),
        thread=f"incident-{incident.pk}",
        subject=subject_of(incident),
        kind=kind,
        severity=incident.severity,
        data={
            **facts(incident),
            "event": f"incident.{event}",
            "actor": actor(by, via),
            "previous": previous or {},
            **(more or {}),
        },
    )


def actions_of(incident):
    """What can still be done with it by a button, the most wanted first."""
    if not incident.is_open:
        return ()
    return (ACKNOWLEDGE, RESOLVE, ESCALATE) if incident.status == states.TRIGGERED else (RESOLVE, ESCALATE)


def actor(by, via):
    """Who did it, for machines."""
    if by is None:
        return {"type": "system", "id": None, "name": "", "via": via}
    return {"type": "user", "id": str(by.uuid), "name": str(by), "via": via}


def facts(incident):
    """The incident for machines: the `data` of a message."""
    return {
        "incident": {
            "number": incident.pk,
            "title": incident.title,
            "status": incident.status,
            "severity": incident.severity,
            "priority": incident.priority,
            "service": {"slug": incident.service.slug, "name": incident.service.name},
            "team": incident.team.slug,
            "url": url_of(incident),
            "triggered_at": _moment(incident.triggered_at),
            "acknowledged_at": _moment(incident.acknowledged_at),
            "resolved_at": _moment(incident.resolved_at),
        }
    }


def _moment(at):
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
