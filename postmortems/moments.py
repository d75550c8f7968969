"""The timeline of a postmortem: drawn from what is stored about its incidents, then picked and reworded by people."""

import datetime as dt

from django.db import transaction
from django.db.models import F, Q

from accounts.permissions import visible
from core.errors import DomainError, IllegalMove
from incidents import history
from incidents.models import Incident
from notifications.message import CALLS, storable
from notifications.models import Notification
from postmortems import figures
from postmortems.locking import check_editable, locked, locked_part, touch
from postmortems.models import Moment

MOST = 3000  # lines of one postmortem; what happened last is left out
MOST_OWN = 500
LONGEST = Moment._meta.get_field("text").max_length
FIRST_TIME, LAST_TIME = dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


# --- what was drawn -----------------------------------------------------------------------------------------------
@transaction.atomic
def redraw(number, *, by, now):
    """Take in what was stored since. What people hid or reworded stays as they left it. Returns the postmortem."""
    postmortem = locked(number)
    check_editable(postmortem)
    draw(postmortem, now=now)
    postmortem.save(update_fields=["figures", "changed_at"])
    return postmortem


def draw(postmortem, *, now):
    """Write the lines of a locked postmortem that are not there yet, and measure it; its row is not saved."""
    numbers = list(postmortem.incidents.values_list("pk", flat=True))
    there = {row.reference: row for row in postmortem.moments.exclude(reference="")}
    new, newer = [], []
    for one in history.happened(numbers):
        row = there.get(one.reference)
        if row is None:
            new.append(
                Moment(
                    postmortem=postmortem,
                    at=one.at,
                    text=one.text,
                    said=one.text,
                    source=one.source,
                    reference=one.reference,
                    incident_id=one.incident,
                    is_shown=one.is_shown,
                )
            )
        elif (row.at, row.said) != (one.at, one.text):  # a page was delivered meanwhile, an alert came again
            row.text = row.text if row.is_reworded else one.text
            row.at, row.said = one.at, one.text
            newer.append(row)
    Moment.objects.bulk_create(new[: max(0, MOST - len(there))])
    Moment.objects.bulk_update(newer, ["at", "text", "said"], batch_size=500)
    measure(postmortem)
    postmortem.changed_at = now


def let_go(postmortem, incident_number):
    """Delete what was drawn of an incident, except what somebody put in words of their own."""
    drawn = postmortem.moments.filter(incident=incident_number).exclude(source=Moment.Source.OWN)
    drawn.filter(Q(said="") | Q(said=F("text"))).delete()


def measure(postmortem):
    """Compute the figures of a postmortem from its incidents and their pages; its row is not saved."""
    times = ("triggered_at", "acknowledged_at", "resolved_at")
    works = [figures.Work(*row) for row in postmortem.incidents.order_by().values_list(*times)]
    topics = [Incident(pk=pk).topic for pk in postmortem.incidents.order_by().values_list("pk", flat=True)]
    rows = Notification.objects.filter(topic__in=topics, kind__in=sorted(CALLS), user__isnull=False)
    rows = rows.exclude(state=Notification.State.CANCELLED).values_list(
        "plan_key", "user_id", "user__name", "user__email", "sent_at", "planned_at"
    )
    calls = [
        # The key of a plan ends with the address: what stands before it names the page.
        figures.Call(key.rpartition(":")[0], person, name or email, sent_at or planned_at)
        for key, person, name, email, sent_at, planned_at in rows
    ]
    postmortem.figures = figures.compute(
        works, calls, impact_began_at=postmortem.impact_began_at, impact_ended_at=postmortem.impact_ended_at
    )


def figures_for(postmortem, user):
    """Its figures, without who was called where it is about an incident that the person may not see."""
    if not user.access().hidden:
        return postmortem.figures
    seen = visible(postmortem.incidents.order_by(), user).count()
    if seen == postmortem.incidents.count():
        return postmortem.figures
    return without_people(postmortem.figures)


def without_people(figures):
    """The figures without the names of who was called."""
    return {name: value for name, value in figures.items() if name != "people_paged"}


# --- what people do -----------------------------------------------------------------------------------------------
@transaction.atomic
def add(number, *, at, text, by, now):
    """Write a line of one's own. Returns the Moment. Raises DomainError."""
    postmortem = locked(number)
    check_editable(postmortem)
    if postmortem.moments.filter(source=Moment.Source.OWN).count() >= MOST_OWN:
        raise DomainError(f"A timeline has at most {MOST_OWN} lines of one's own. Remove some first.")
    row = Moment(postmortem=postmortem, source=Moment.Source.OWN, changed_by=by)
    row.at, row.text = _checked_time(at), _checked_text(text)
    row.save()
    touch(postmortem, now)
    return row


@transaction.atomic
def change(uuid, *, text=None, at=None, is_shown=None, by, now):
    """Reword a line, hide it or show it; one of one's own also moves in time. Returns the Moment.

    Raises IllegalMove for the time of a line that was drawn: it is that of what happened.
    """
    row = locked_part(Moment, uuid, "line")
    before = row.text, row.at, row.is_shown
    if at is not None and at != row.at:
        if row.source != Moment.Source.OWN:
            raise IllegalMove("Its time is that of what happened. Hide it, and write a line of your own.")
        row.at = _checked_time(at)
    if text is not None:
        row.text = _checked_text(text)
    if is_shown is not None:
        row.is_shown = is_shown
    if (row.text, row.at, row.is_shown) == before:
        return row
    row.changed_by = by
    row.save(update_fields=["text", "at", "is_shown", "changed_by"])
    touch(row.postmortem, now)
    return row


@transaction.atomic
def put_back(uuid, *, by, now):
    """Let a line say again what was drawn. Returns the Moment. Raises IllegalMove for one of one's own."""
    row = locked_part(Moment, uuid, "line")
    if row.source == Moment.Source.OWN:
        raise IllegalMove("This line was written by hand, so there is nothing to put back. Change its words instead.")
    if row.is_reworded:
        row.text, row.changed_by = row.said, by
        row.save(update_fields=["text", "changed_by"])
        touch(row.postmortem, now)
    return row


@transaction.atomic
def remove(uuid, *, by, now):
    """Delete a line of one's own. Raises IllegalMove for one that was drawn: it can be hidden."""
    row = locked_part(Moment, uuid, "line")
    if row.source != Moment.Source.OWN:
        raise IllegalMove("This line was drawn from what happened, and would come back. Hide it instead.")
    row.delete()
    touch(row.postmortem, now)


def _checked_text(text):
    text = storable(text).strip()
    if not text:
        raise DomainError("Write what happened.")
    if len(text) > LONGEST:
        raise DomainError(f"A line has at most {LONGEST} characters. Shorten it, or write the rest into a section.")
    return text


def _checked_time(at):
    if not FIRST_TIME <= at < LAST_TIME:
        raise DomainError(f"Use a time between {FIRST_TIME.year} and {LAST_TIME.year}.")
    return at
