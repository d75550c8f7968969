"""Who is told of what becomes of an incident: the destinations that subscribed, and the people who were paged."""

import dataclasses
import re
import uuid

from django.db.models import Q

from accounts.models import User
from accounts.permissions import visible
from incidents import messages
from incidents.models import Incident, Severity, Subscription
from notifications import changes, outbox
from notifications.message import CALLS, Kind
from notifications.models import ContactMethod, Notification, channels

Event = Subscription.Event

# verb -> (what a destination subscribes to, the event for machines, the words in front of the title)
TOLD = {
    "acknowledge": (Event.ACKNOWLEDGED, "acknowledged", "Acknowledged"),
    "resolve": (Event.RESOLVED, "resolved", "Resolved"),
    "escalate": (Event.ESCALATED, "escalated", "Escalated"),
    "reassign": (Event.REASSIGNED, "reassigned", "Reassigned"),
    "start": (Event.CHANGED, "updated", "Being investigated"),
    "remediate": (Event.CHANGED, "updated", "Being repaired"),
    "edit": (Event.CHANGED, "updated", "Changed"),
    "snooze": (Event.CHANGED, "updated", "Snoozed"),
    "note": (Event.NOTE, "note_added", "Note"),
    "merge": (Event.RESOLVED, "merged", "Merged"),
    "unmerge": (Event.TRIGGERED, "reopened", "Open again"),
    "take_in": (Event.CHANGED, "updated", "Merged"),
    "let_go": (Event.CHANGED, "updated", "Taken apart"),
    "update": (Event.UPDATE, "status_update", "Update"),
}
# These stand below the first message, and wait for nothing: they stay true whatever happens later.
IN_THREAD = ("note", "update")
# Buttons and colours would be wrong from then on: what can be changed in place is changed, asked for or not.
ALWAYS_IN_PLACE = (Event.ACKNOWLEDGED, Event.RESOLVED)
LOUDNESS = {severity: len(Severity.values) - place for place, severity in enumerate(Severity.values)}
# Chat services take 80 characters for the name of a channel; shorter ones can be read in a list.
LONGEST_NAME = 60


def tell_triggered(incidents, *, now):
    """Tell the destinations of a batch of new incidents, in a constant number of statements."""
    subscriptions = _Subscriptions(incidents)
    if not subscriptions:
        return
    paged = _paged([incident.topic for incident in incidents])
    opening = {incident.topic for incident in incidents if subscriptions.opening(incident)}
    guests = _addresses({pk for topic in opening for pk in paged.get(topic, {})})
    pages = []
    for incident in incidents:
        people = paged.get(incident.topic, {})
        plain = None
        for place, opens_channel in subscriptions.of(incident, Event.TRIGGERED):
            if opens_channel:
                invite = [address for pk in people for address in guests.get((pk, place.channel), ())]
                more = {"slack_channel": _channel_of(incident, invite)}
                message = messages.triggered(incident, names=people.values(), more=more)
            else:
                message = plain = plain or messages.triggered(incident, names=people.values())
            pages.append(
                outbox.Page(
                    f"{incident.topic}:triggered",
                    incident.topic,
                    None,
                    message,
                    destination_id=place.pk,
                    share=incident.share,
                )
            )
    outbox.plan_many(pages, now=now)


def tell_escalated(entries, *, now):
    """Tell the destinations what the escalations of a batch of incidents did by themselves."""
    subscriptions = _Subscriptions([entry.incident for entry in entries])
    news = []
    for entry in entries:
        incident = entry.incident
        wanted = subscriptions.of(incident, Event.ESCALATED)
        if not wanted:
            continue
        message = messages.changed(incident, event="escalated", what="Escalated", text=entry.text, by=None)
        key = f"{incident.topic}:escalated:r{incident.escalation_round}:l{incident.escalation_level}"
        news += [changes.News(incident.topic, key, message, place, incident.share) for place, _ in wanted]
    changes.tell_places(news, now=now)


def tell_changed(incident, verb, *, by, via, text, previous, now):
    """Tell of one verb: the destinations, after an acknowledgement or the end the people who were paged, and of the
    end and of updates those who follow.
    """
    # These happen once in the life of an incident; the others may happen again.
    key = f"{incident.topic}:{verb}"
    if verb not in ("acknowledge", "resolve", "close"):
        key += f":{uuid.uuid4().hex[:12]}"
    message = None
    if verb in ("acknowledge", "resolve", "merge", "update"):
        message = _message(incident, verb, by=by, via=via, text=text, previous=previous)
    if verb in ("acknowledge", "resolve", "merge"):
        changes.tell_readers(incident.topic, message, key=key, skip_user_id=by.pk if by else None, now=now)
    if verb in ("resolve", "merge", "update"):
        _tell_others(incident, verb, message, key=key, by=by, now=now)
    subscriptions = _Subscriptions([incident])
    if not subscriptions:
        return
    if verb == "close":
        changes.tell_places(_archived(incident, subscriptions, key, by=by, via=via, previous=previous), now=now)
        return
    message = message or _message(incident, verb, by=by, via=via, text=text, previous=previous)
    event = TOLD[verb][0]
    wanted = {place.pk: place for place, _ in subscriptions.of(incident, event)}
    is_for_all = event in ALWAYS_IN_PLACE or verb == "unmerge"
    places = subscriptions.of(incident, None) if is_for_all else subscriptions.of(incident, event)
    changes.tell_places(
        [
            changes.News(
                incident.topic,
                key,
                message,
                place,
                incident.share,
                is_quiet=place.pk not in wanted,
                is_asked_for=verb == "update",
            )
            for place, _ in places
        ],
        now=now,
    )


def _tell_others(incident, verb, message, *, key, by, now):
    """Tell those who follow the incident, and of a merge those who work on it; whoever was paged knows already."""
    wanted = set(incident.followers.values_list("user_id", flat=True))
    if verb == "merge":
        wanted |= set(incident.responders.filter(declined_at=None).values_list("user_id", flat=True))
        wanted.add(incident.assignee_id)
    if verb != "update" and wanted:
        paged = Notification.objects.filter(topic=incident.topic, user__in=wanted - {None}, kind__in=CALLS)
        wanted -= set(paged.filter(state__in=changes.REACHED).values_list("user_id", flat=True))
    if by and verb != "update":
        wanted.discard(by.pk)
    tell_people(incident, wanted - {None}, message, key=key.removeprefix(f"{incident.topic}:"), now=now)


def tell_people(incident, user_ids, message, *, key, now):
    """Tell people quietly about an incident, each once for this `key`: by their rules for low urgency.

    Without such a rule they get a mail, or where they have none, whatever does not ring. Who may not see the incident
    is not told. In the caller's transaction.
    """
    people = {user.pk: user for user in User.objects.filter(pk__in=user_ids, is_active=True)}
    seeing = [pk for pk, user in people.items() if visible(Incident.objects.filter(pk=incident.pk), user).exists()]
    if not seeing:
        return
    reaches = {pk: quietly(reach) for pk, reach in outbox.reaches(seeing).items()}
    message = dataclasses.replace(message, urgency="low")
    pages = [
        outbox.Page(f"{incident.topic}:{key}", incident.topic, pk, message, is_repeat=True, share=incident.share)
        for pk in seeing
    ]
    outbox.plan_many(pages, now=now, reaches=reaches)


def quietly(reach):
    """How somebody is told what asks for no answer: nobody is rung up for it."""
    methods = [one for one in reach.methods if one.channel in channels and channels.get(one.channel).tells_changes]
    if not any(rule.urgency == "low" for rule in reach.rules):
        mails = [one for one in methods if one.channel == "email" and one.is_usable]
        methods = mails or methods
    return dataclasses.replace(reach, methods=tuple(methods))


def _message(incident, verb, *, by, via, text, previous):
    if verb == "acknowledge":
        return messages.acknowledged(incident, by=by, via=via, previous=previous)
    if verb == "resolve":
        return messages.resolved(incident, by=by, via=via, previous=previous)
    if verb == "merge":
        return messages.merged(incident, by=by, via=via, previous=previous)
    if verb == "unmerge" and incident.is_open:
        return messages.reopened(incident, text=text, by=by, via=via, previous=previous)
    _, event, what = TOLD[verb]
    if "priority" in previous:
        event, what = "priority_changed", f"Now {incident.priority}"
    if verb == "note":
        text = f"{by or 'The system'}: {text}"
    more = {"in_thread": True} if verb in IN_THREAD else None
    return messages.changed(incident, event=event, what=what, text=text, by=by, via=via, previous=previous, more=more)


def _archived(incident, subscriptions, key, *, by, via, previous):
    """The channel of a closed incident is put away; other destinations know all they need since it was resolved."""
    message = messages.resolved(incident, by=by, via=via, previous=previous, verb="closed", more={"archive": True})
    opened = subscriptions.opening(incident)
    return [changes.News(incident.topic, key, message, place, incident.share, is_quiet=True) for place in opened]


class _Subscriptions:
    """The destinations that may be told of these incidents, in one query."""

    def __init__(self, incidents):
        incidents = list(incidents)
        wanted = Q(service__in={one.service_id for one in incidents}) | Q(team__in={one.team_id for one in incidents})
        self._rows = list(
            Subscription.objects.filter(wanted, destination__is_enabled=True, destination__disabled_reason="")
            .select_related("destination")
            .order_by("destination_id", "pk")
        )

    def __bool__(self):
        return bool(self._rows)

    def of(self, incident, event):
        """`[(destination, whether it opens a channel)]` that want this event, or any (None); each destination once."""
        found = {}
        for row in self._about(incident):
            if event is None or event in row.events:
                place, opens_channel = found.get(row.destination_id, (row.destination, False))
                found[row.destination_id] = place, opens_channel or row.opens_channel
        return list(found.values())

    def opening(self, incident):
        """The destinations in which the incident gets a channel of its own."""
        return [place for place, opens_channel in self.of(incident, Event.TRIGGERED) if opens_channel]

    def _about(self, incident):
        for row in self._rows:
            is_about = row.service_id == incident.service_id if row.service_id else row.team_id == incident.team_id
            if is_about and LOUDNESS[incident.severity] >= LOUDNESS[row.minimum_severity]:
                yield row


def _paged(topics):
    """`{topic: {user number: name}}` of those who were paged, first come first."""
    rows = Notification.objects.filter(topic__in=topics, user__isnull=False, kind=Kind.PAGE).order_by("pk")
    found = {}
    for topic, pk, name, email in rows.values_list("topic", "user_id", "user__name", "user__email"):
        found.setdefault(topic, {})[pk] = name or email
    return found


def _addresses(user_ids):
    """`{(user number, channel): [address]}` of their usable contact methods."""
    if not user_ids:
        return {}
    found = {}
    rows = ContactMethod.objects.filter(user__in=user_ids, verified_at__isnull=False, disabled_reason="")
    for method in rows.order_by("pk"):
        found.setdefault((method.user_id, method.channel), []).append(method.address)
    return found


def _channel_of(incident, invite):
    """The channel that an incident gets for itself: lower case, digits and hyphens, as chat services want names."""
    words = re.sub(r"[^a-z0-9]+", "-", incident.title.lower()).strip("-")
    name = f"inc-{incident.pk}-{words}"[:LONGEST_NAME].strip("-")
    topic = f"{incident.priority} {incident.service.name}: {incident.title}"[:250]
    return {"name": name, "topic": topic, "invite": invite}
