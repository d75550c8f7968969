"""How a postmortem begins: its sections, its timeline and its figures come out of its incidents."""

from django.db import transaction

from accounts import audit
from accounts.permissions import visible
from core.errors import DomainError, IllegalMove, NotFound
from incidents import timeline
from incidents.models import Incident, Severity
from notifications.message import storable
from postmortems import moments
from postmortems.locking import check_editable, locked
from postmortems.models import Postmortem, Revision, Section, Template, Wanted

MOST_INCIDENTS = 50
LONGEST_TITLE = Postmortem._meta.get_field("title").max_length
LONGEST_SUMMARY = Postmortem._meta.get_field("summary").max_length

# What a postmortem has where no template says otherwise: the heading, and what its writers are asked.
DEFAULT = (
    ("Summary of impact", "Who noticed what, and for how long? Count customers, requests or money where you can."),
    ("What happened", "From the first cause to the last repair, in the order in which it came about."),
    ("What went well", "What shortened it, or kept it small?"),
    ("What went badly", "What made it longer or worse? Write about systems and procedures, and blame nobody."),
    ("Where we got lucky", "What could have been worse, and only by chance was not?"),
    ("Lessons", "What do you know now that you did not know before? What is to be done stands in the action items."),
)


@transaction.atomic
def start(incident_numbers, *, team=None, template=None, title="", by, now, via="web"):
    """Begin the postmortem of one or several incidents. Returns it, a draft that belongs to `by`.

    Without a team it is that of the first incident; without a template the one that the team chose first. Raises
    DomainError, and IllegalMove when exactly these incidents have one already.
    """
    incidents = _found(incident_numbers, by)
    team = team or incidents[0].team
    for incident in incidents:
        _check_team(incident, team)
    _check_is_first(incidents, by)
    if template is not None and template.team_id not in (None, team.pk):
        raise DomainError(f"The template {template} is that of another team. Choose one of {team}, or a general one.")
    template = template or first_template(team)
    postmortem = Postmortem(
        title=_title(title, incidents),
        team=team,
        template=template,
        owner=by if by and not by.is_machine else None,
        created_by=by,
        created_at=now,
        changed_at=now,
        summary="\n\n".join(dict.fromkeys(one.impact for one in incidents if one.impact))[:LONGEST_SUMMARY],
    )
    _take_over(postmortem, incidents)
    postmortem.save()
    postmortem.incidents.set(incidents)
    _write_sections(postmortem, template, by=by, now=now)
    moments.draw(postmortem, now=now)
    postmortem.save(update_fields=["figures"])
    _is_written(incidents, by=by, now=now, via=via)
    audit.record("created", postmortem, by=by, text=f"About {_named(incidents)}.")
    return postmortem


@transaction.atomic
def add_incident(postmortem_number, incident_number, *, by, now):
    """Let it be about another incident too, and draw what is known of that. Twice is harmless. Returns it."""
    postmortem = locked(postmortem_number)
    check_editable(postmortem)
    (incident,) = _found([incident_number], by)
    if postmortem.incidents.filter(pk=incident.pk).exists():
        return postmortem
    if postmortem.incidents.count() >= MOST_INCIDENTS:
        raise DomainError(f"A postmortem is about at most {MOST_INCIDENTS} incidents.")
    _check_team(incident, postmortem.team)
    before = _span(postmortem.incidents.all())
    postmortem.incidents.add(incident)
    _follow(postmortem, before, now=now)
    _is_written([incident], by=by, now=now, via="web")
    audit.record("did", postmortem, by=by, text=f"Added incident {incident}.")
    return postmortem


@transaction.atomic
def remove_incident(postmortem_number, incident_number, *, by, now):
    """Let it no longer be about an incident; what was drawn of that goes, unless it was reworded. Returns it.

    Raises IllegalMove for its last one.
    """
    postmortem = locked(postmortem_number)
    check_editable(postmortem)
    incident = postmortem.incidents.filter(pk=incident_number).first()
    if incident is None:
        return postmortem
    if postmortem.incidents.count() == 1:
        raise IllegalMove("It is about this incident alone. Add the right one first, or archive the postmortem.")
    before = _span(postmortem.incidents.all())
    postmortem.incidents.remove(incident)
    moments.let_go(postmortem, incident.pk)
    _follow(postmortem, before, now=now)
    audit.record("did", postmortem, by=by, text=f"Removed incident {incident}.")
    return postmortem


def first_template(team):
    """The template that a new postmortem of the team has: its own first one, else that for everybody, else None."""
    firsts = Template.objects.filter(is_default=True)
    return firsts.filter(team=team).first() or firsts.filter(team=None).first()


def of(incidents, user):
    """The postmortems of these incidents that are not put away, as far as the person may see them; None sees all."""
    rows = Postmortem.objects.filter(incidents__in=incidents, archived_at=None).distinct()
    return rows if user is None else visible(rows, user)


def _found(numbers, by):
    """The incidents in the order in which they were named, locked in that of their numbers. Raises DomainError."""
    numbers = list(dict.fromkeys(numbers))
    if not numbers:
        raise DomainError("Name the incident that it is about.")
    if len(numbers) > MOST_INCIDENTS:
        raise DomainError(f"A postmortem is about at most {MOST_INCIDENTS} incidents.")
    rows = Incident.objects.filter(pk__in=numbers)
    rows = rows if by is None else rows.filter(pk__in=visible(rows, by).order_by().values("pk"))
    rows = rows.select_for_update(no_key=True, of=("self",)).select_related("team", "service").order_by("pk")
    found = {incident.pk: incident for incident in rows}
    for number in numbers:
        if number not in found:
            raise NotFound(f"There is no incident #{number}.")
    return [found[number] for number in numbers]


def _check_team(incident, team):
    """What is hidden from others must not be read in a postmortem of theirs."""
    if incident.team.is_private and incident.team_id != team.pk:
        raise DomainError(f"Incident #{incident.pk} is of a private team: only a postmortem of that team is about it.")


def _check_is_first(incidents, by):
    wanted = {incident.pk for incident in incidents}
    for other in of(incidents, by).prefetch_related("incidents"):
        if {incident.pk for incident in other.incidents.all()} == wanted:
            raise IllegalMove(f"PM-{other.number} is about {_named(incidents)} already. Go on with that one.")


def _named(incidents):
    numbers = [f"#{incident.pk}" for incident in incidents]
    return f"{', '.join(numbers[:-1])} and {numbers[-1]}" if numbers[1:] else numbers[0]


def _title(title, incidents):
    title = " ".join(storable(title).split())
    if len(title) > LONGEST_TITLE:
        raise DomainError(f"A title has at most {LONGEST_TITLE} characters. Shorten it.")
    if title:
        return title
    more = f" and {len(incidents) - 1} more" if incidents[1:] else ""
    return incidents[0].title[: LONGEST_TITLE - len(more)] + more


def _span(incidents):
    """From when to when these incidents went on; an end of None: one still does."""
    times = [(one.triggered_at, one.resolved_at) for one in incidents]
    ends = [end for _, end in times]
    return min(start for start, _ in times), None if None in ends else max(ends)


def _take_over(postmortem, incidents):
    """Set its severity, the worst of theirs, and the time of impact."""
    postmortem.severity = min((one.severity for one in incidents), key=Severity.values.index)
    postmortem.impact_began_at, postmortem.impact_ended_at = _span(incidents)


def _follow(postmortem, before, *, now):
    """After its incidents changed: times that somebody set by hand stay, the others follow."""
    began_at, ended_at = postmortem.impact_began_at, postmortem.impact_ended_at
    _take_over(postmortem, list(postmortem.incidents.all()))
    if (began_at, ended_at) != before:
        postmortem.impact_began_at, postmortem.impact_ended_at = began_at, ended_at
    else:
        postmortem.version += 1  # who has the old times in a form is told
    moments.draw(postmortem, now=now)
    postmortem.save()


def _write_sections(postmortem, template, *, by, now):
    if template is None:
        wanted = [(title, asked, "") for title, asked in DEFAULT]
    else:
        wanted = list(template.sections.values_list("title", "help", "body"))
    for position, (title, asked, body) in enumerate(wanted):
        section = Section.objects.create(postmortem=postmortem, title=title, help=asked, body=body, position=position)
        Revision.objects.create(section=section, version=1, title=title, body=body, by=by, at=now)


def _is_written(incidents, *, by, now, via):
    """Say on the incidents that somebody writes, and remind nobody any more."""
    Wanted.objects.filter(incident__in=incidents).update(due_at=None)
    text = f"{by or 'The system'} began a postmortem."
    timeline.record_many([timeline.entry(one, "postmortem", text, at=now, by=by, via=via) for one in incidents])
