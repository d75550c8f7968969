"""What people read about swap and cover requests. Times are in the reader's own time zone."""

from django.conf import settings

from core.zones import zone_of
from notifications.message import Kind, Message


def asked(request, reader):
    """Somebody asks for cover: to whom is asked, or to the team."""
    who = "you" if request.asked_id == reader.pk else "the team"
    wish = "They want a shift in return." if request.wants_return else "No shift in return is needed."
    return _message(
        request,
        f"{request.requester} asks {who} to take a shift of {request.schedule}",
        f"{_span(request, reader)}. {wish}{_quoted(request.note)}",
        reader,
    )


def refused(request, reader):
    return _message(
        request,
        f"{request.asked} cannot take your shift of {request.schedule}",
        f"{_span(request, reader)}. You stay on call. Ask somebody else, or the team.",
        reader,
    )


def offered(request, offer, reader):
    return _message(
        request,
        f"{offer.user} offers to take your shift of {request.schedule}",
        f"{_span(offer, reader)}. {_in_return(offer, reader)}Accept or decline the offer.{_quoted(offer.note)}",
        reader,
    )


def taken(request, offer, reader):
    return _message(
        request,
        f"{offer.user} takes your shift of {request.schedule}",
        f"{_span(offer, reader)}. You are not on call then.",
        reader,
    )


def waits(request, offer, reader):
    """Somebody's shift is promised, and an admin of the team has to approve it first."""
    whose = "your shift" if reader.pk == request.requester_id else f"the shift of {request.requester}"
    return _message(
        request,
        f"{offer.user} wants to take {whose} of {request.schedule}",
        f"{_span(offer, reader)}. {_in_return(offer, reader)}It counts when an admin of the team has approved it.",
        reader,
    )


def to_approve(request, offer, reader):
    return _message(
        request,
        f"Approve that {offer.user} takes a shift of {request.requester} in {request.schedule}",
        f"{_span(offer, reader)}. {_in_return(offer, reader)}Until you approve it, {request.requester} stays on call.",
        reader,
    )


def applied(request, offer, reader):
    """It counts now: to the one who takes the shift, or to the one who gave it."""
    if reader.pk == offer.user_id:
        title = f"You have the shift of {request.requester} in {request.schedule}"
    else:
        title = f"{offer.user} has your shift of {request.schedule}"
    return _message(request, title, f"{_span(offer, reader)}. {_in_return(offer, reader)}".strip(), reader)


def declined(request, offer, reader, why):
    """`why` is a whole sentence."""
    whose = "Your offer" if reader.pk == offer.user_id else f"The offer of {offer.user}"
    return _message(
        request,
        f"{whose} for the shift of {request.requester} in {request.schedule} is declined",
        f"{_span(offer, reader)}. {why}",
        reader,
    )


def withdrawn(request, offer, reader):
    return _message(
        request,
        f"{offer.user} does not offer to take your shift of {request.schedule} any more",
        f"{_span(offer, reader)}. You stay on call unless somebody else takes it.",
        reader,
    )


def expired(request, reader):
    return _message(
        request,
        f"Your request for cover of {request.schedule} is over",
        f"Nobody took all of it: {_span(request, reader)}.",
        reader,
    )


def _message(request, title, body, reader):
    return Message(
        title=title,
        body=body,
        url=f"{settings.PUBLIC_URL}/shifts",
        urgency="low",
        kind=Kind.NOTICE,
        fields=(("Schedule", request.schedule.name), ("Role", request.get_role_display())),
        thread=f"shift-request-{request.pk}",
        subject=f"Shift of {request.requester} in {request.schedule}"[:250],
    )


def _in_return(offer, reader):
    if offer.return_schedule_id is None:
        return ""
    return f"In return: {words(offer.return_start_at, offer.return_end_at, reader)} of {offer.return_schedule}. "


def _quoted(note):
    return f"\n“{note}”" if note else ""


def _span(record, reader):
    return words(record.start_at, record.end_at, reader)


def words(start_at, end_at, reader):
    """A span on the reader's clock: "Mon 1 Jun 2026, 14:00 to 16:00 CEST"."""
    zone = zone_of(reader.time_zone)
    start, end = start_at.astimezone(zone), end_at.astimezone(zone)
    until = f"{end:%H:%M %Z}" if start.date() == end.date() else f"{_day(end)}, {end:%H:%M %Z}"
    return f"{_day(start)}, {start:%H:%M} to {until}"


def _day(at):
    return f"{at:%a} {at.day} {at:%b %Y}"
