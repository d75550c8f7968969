"""Updates for stakeholders, and the people who follow an incident to hear of them."""

from django.db import transaction

from accounts.permissions import visible
from core.errors import DomainError, NotFound
from incidents import lifecycle, states, timeline
from incidents.models import Follower, Incident
from notifications.message import storable

LONGEST = 2000


@transaction.atomic
def post(number, *, text, by, now, via="web"):
    """Tell the stakeholders how it stands: subscribed destinations and everybody who follows. Returns the incident.

    Raises DomainError when the text is empty or too long for a message, IllegalMove when the incident is closed.
    """
    text = storable(text).strip()
    if not text:
        raise DomainError("The update is empty. Write what users notice, what you do, and when you will say more.")
    if len(text) > LONGEST:
        raise DomainError(f"An update has at most {LONGEST} characters, since it is read in a message. Shorten it.")
    incident = lifecycle.locked(number)
    if incident.status == states.CLOSED:
        raise lifecycle.refused(incident, "update", by=by, now=now)
    timeline.record(incident, "update", text, at=now, by=by, via=via)
    lifecycle.tell(incident, "update", text=text, previous={}, by=by, now=now, via=via)
    return incident


@transaction.atomic
def follow(number, user, *, now):
    """Let somebody hear of the updates and of the end. Twice is harmless. Returns the Follower."""
    if not visible(Incident.objects.filter(pk=number), user).exists():
        raise NotFound(f"There is no incident #{number}.")
    if user.is_machine:
        raise DomainError(f"{user} is a machine and reads no messages. Subscribe a destination instead.")
    row, _ = Follower.objects.get_or_create(incident_id=number, user=user, defaults={"since": now})
    return row


@transaction.atomic
def unfollow(number, user):
    """Stop telling somebody. Twice is harmless."""
    Follower.objects.filter(incident_id=number, user=user).delete()
