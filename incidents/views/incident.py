"""One incident on one page: what is wrong, who has it, what happened, and what to do next."""

import dataclasses
import datetime as dt
import functools

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import escape, urlize
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache

from accounts.models import User
from accounts.permissions import may, visible
from accounts.visibility import hushed
from catalog import graph, state
from catalog.models import Dependency, Link, Service
from core import markdown
from core.pages import respond
from core.zones import zone_of
from incidents import figures, live, reasons, states, timeline
from incidents.models import Follower, Incident, Priority, Responder, Severity, TimelineEntry
from incidents.priorities import target_seconds
from incidents.views.calls import number_of, step_of
from notifications import numbers
from notifications.message import CALLS
from notifications.models import Attempt, ContactMethod, Notification, channels
from notifications.providers import names_of

LABELS = {
    "acknowledge": "Acknowledge",
    "start": "Start investigating",
    "remediate": "Start repairing",
    "resolve": "Resolve",
    "close": "Close",
    "escalate": "Call the next level",
    "reassign": "Reassign",
    "snooze": "Snooze",
}
# Minutes, and how the form says them.
SNOOZES = [(15, "15 minutes"), (60, "1 hour"), (240, "4 hours"), (720, "12 hours"), (1440, "1 day"), (10080, "7 days")]
LAST_ENTRIES = 200
LAST_PAGES = 100
FEW_PAGES = 6  # of one person; the rest is counted
FEW = 8  # services beside; the rest is counted
FRAGMENTS = ("head", "timeline", "people", "team", "tasks", "update", "around", "why", "merged")
# The chips over the timeline: which entries each shows. What is beside the timeline says its own.
PAGES = ("paged", "escalated", "nobody_reached", "escalation_ended", "unreached", "snooze_ended")
NOTES = ("note", "update")
CHANGES = (
    *("edited", "worsened", "reassigned", "changed", "change", "resolved", "acknowledged"),
    *("merged", "took_in", "moved_on", "unmerged", "let_go", "role", "responder_added", "responder_removed"),
    *("joined", "declined", "investigating", "remediating", "closed", "snoozed"),
)
SHOWS = {"": ("Everything", ()), "notes": ("Notes", NOTES), "pages": ("Pages", PAGES), "changes": ("Changes", CHANGES)}
ICONS = {
    "triggered": "bolt",
    "acknowledged": "hand-raised",
    "investigating": "magnifying-glass",
    "remediating": "wrench-screwdriver",
    "resolved": "check-circle",
    "closed": "archive-box",
    "note": "pencil-square",
    "paged": "phone-arrow-up-right",
    "escalated": "arrow-trending-up",
    "nobody_reached": "phone-x-mark",
    "escalation_ended": "phone-x-mark",
    "unreached": "phone-x-mark",
    "reassigned": "arrows-right-left",
    "snoozed": "moon",
    "snooze_ended": "bell-alert",
    "edited": "adjustments-horizontal",
    "worsened": "chevron-double-up",
    "merged": "link",
    "took_in": "link",
    "moved_on": "link",
    "unmerged": "link-slash",
    "let_go": "link-slash",
    "responder_added": "user-plus",
    "responder_removed": "user-minus",
    "joined": "user-plus",
    "declined": "user-minus",
    "role": "identification",
    "task_added": "clipboard-document-list",
    "task_edited": "clipboard-document-list",
    "task_done": "check",
    "task_reopened": "arrow-uturn-left",
    "task_removed": "trash",
    "update": "megaphone",
    "change": "rocket-launch",
    "alert": "bell-alert",
}
BEFORE = dt.timedelta(hours=1)  # so much of what was beside it is shown before it began, and after its end


@login_required
@never_cache
def incident(request, number):
    """The page of an incident, or those of its parts that the browser asks for."""
    return page(request, number, asked=request.GET)


def page(request, number, *, asked, status=200):
    """Render the page. `asked` says what of it is shown, `status` is that of a refusal."""
    now = timezone.now()
    latest = live.newest()
    people = Incident.objects.select_related("service", "team", "assignee", "acknowledged_by", "resolved_by")
    found = get_object_or_404(visible(people, request.user), pk=number)
    may_respond = may(request.user, "respond", found)
    # What was written for everybody may name the schedule of a private team, which the policy called.
    hush = hushed(request.user)
    if found.policy:
        found.policy["name"] = hush(found.policy.get("name", ""))
    step = step_of(found, now=now) if found.is_open else None
    found.next_call = step if found.next_escalation_at else None
    show = asked.get("show", "") if asked.get("show", "") in SHOWS else ""
    messages = _messages(found)
    history, hidden = _history(found, everything="all" in asked)
    names = _names(history, messages)
    pages = _pages(messages, names, hush)
    entries = _entries(history, pages, names, hush) + _beside(found, request.user, history, hidden, now)
    entries.sort(key=lambda one: one.at, reverse=True)  # stable: entries of one time stay as they were written
    responders = []
    if may_respond:
        responders = list(User.objects.who_may("respond", found.team_id).only("name", "email"))
    around = _around(found, request.user, now=now)
    context = {
        "section": "incidents",
        "now": now,
        "latest": latest,
        "incident": found,
        "figures": figures.of(found, now=now),
        "target_at": found.triggered_at + dt.timedelta(seconds=target_seconds(found.priority)),
        "answer": figures.answer_text(found) if found.acknowledged_at else "",
        "may_respond": may_respond,
        "may_list": may_respond and found.status != states.CLOSED and not found.merged_into_id,
        "verbs": states.verbs(found.status) if may_respond else [],
        "labels": LABELS,
        "called_next": [hush(person.name) for person in step.pages] if step else [],
        "responders": _options(responders),
        "priorities": Priority.choices,
        "severities": Severity.choices,
        "snoozes": SNOOZES,
        "days": _days([one for one in entries if not show or one.kind in SHOWS[show][1]], request.user),
        "hidden_entries": hidden,
        "shows": [(name, label) for name, (label, _) in SHOWS.items()],
        "show": show,
        "pages": _by_person(pages),
        "team_roles": Responder.Role.choices,
        **_people(found, request.user),
        **around,
    }
    if step:
        context["step"] = step
    context["phones"] = _phones(found, pages, request.user) if may_respond else []
    called = [*responders, *(names[one.user_id] for one in pages if one.user_id in names)]
    context |= _why(found, request.user, asked, history, hidden, pages, called, step, hush)
    return respond(request, "incidents/incident.html", context, fragments=FRAGMENTS, status=status)


def _options(people):
    """The people as `<option>`s, made once for all the forms of the page."""
    return mark_safe("".join([f'<option value="{person.pk}">{escape(person)}</option>' for person in people]))


# --- timeline -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the timeline: an entry of ours, or what the floors above have beside it. All that is drawn of it."""

    id: str
    kind: str
    at: dt.datetime
    by: str
    via: str
    text: str
    url: str = ""
    alarm: bool = False
    reasons: tuple = ()
    told: tuple = ()  # (name, channel, minutes)
    deliveries: tuple = ()  # (state, its label, reader, channel, what the provider said)

    @property
    def is_prose(self):
        return self.kind in NOTES

    @property
    def icon(self):
        return ICONS.get(self.kind, "ellipsis-horizontal")


@functools.lru_cache(maxsize=5000)
def drawn(entry, zone):
    """The HTML of an entry. What happened never changes, so it is drawn once for all who see the same of it."""
    html = markdown.render(entry.text) if entry.is_prose else urlize(entry.text, nofollow=True, autoescape=True)
    return mark_safe(render_to_string("incidents/_entry.html", {"entry": entry, "html": html, "zone": zone}))


def _history(found, *, everything):
    """Our entries, the newest first, and how many older ones are not shown."""
    rows = TimelineEntry.objects.filter(incident=found.pk).order_by("-id")
    rows = rows.values_list("pk", "kind", "at", "by_id", "via", "text", "data", named=True)
    if everything:
        return list(rows), 0
    entries = list(rows[: LAST_ENTRIES + 1])
    hidden = rows.count() - LAST_ENTRIES if len(entries) > LAST_ENTRIES else 0
    return entries[:LAST_ENTRIES], hidden


def _names(history, messages):
    """`{number: person}` of all who are named in the timeline and the messages, in one query."""
    wanted = {one["user"] for entry in history for one in entry.data.get("told", ())}
    wanted |= {entry.by_id for entry in history} | {one.user_id for one in messages}
    return User.objects.only("name", "email").order_by().in_bulk(wanted - {None})


def _entries(history, pages, names, hush):
    sent = {}
    for one in reversed(pages):
        if one.kind in CALLS:
            sent.setdefault(one.created_at, []).append(one)  # the entry and its messages were written at one time
    return [_entry(entry, names, sent, hush) for entry in history]


def _entry(entry, names, sent, hush):
    paged = sent.get(entry.at, ()) if entry.kind == "paged" else ()
    return Entry(
        id=f"entry-{entry.pk}",
        kind=entry.kind,
        at=entry.at,
        by=str(names.get(entry.by_id, "")),
        via=entry.via,
        text=hush(entry.text),
        alarm=bool(entry.data.get("alarm")),
        reasons=tuple(hush(reason) for reason in entry.data.get("reasons", ())),
        told=tuple(
            (
                str(names.get(one["user"], "somebody who was deleted")),
                _channel(one["channel"]).lower(),
                one["delay_minutes"],
            )
            for one in entry.data.get("told", ())
        ),
        deliveries=tuple(
            (one.state, one.state_label, one.reader or "deleted destination", one.channel, one.said) for one in paged
        ),
    )


def _beside(found, user, history, hidden, now):
    """What the floors above have of the time that is shown."""
    since = history[-1].at if hidden else found.triggered_at - BEFORE
    until = (found.resolved_at or now) + BEFORE
    return [
        Entry(id="", kind=one.kind, at=one.at, by="", via=one.kind, text=one.text, url=one.url)
        for one in timeline.beside_of(found, user, since=since, until=until)
    ]


def _days(entries, user):
    """The entries as `[(day, [HTML])]`, the newest first, by the days of the reader's zone."""
    name = user.time_zone or settings.TIME_ZONE
    zone, days = zone_of(name), []
    for one in entries:
        day = one.at.astimezone(zone).date()
        if not days or days[-1][0] != day:
            days.append((day, []))
        days[-1][1].append(drawn(one, name))
    return days


# --- who was paged, and why -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sent:
    """A message about the incident, as the page shows it."""

    pk: int
    kind: str
    user_id: int | None
    destination_id: int | None
    reader: str  # a person or a destination; "" when it was deleted
    level: int
    channel: str
    provider: str
    state: str
    state_label: str
    reason: str
    said: str  # by the provider
    created_at: dt.datetime
    planned_at: dt.datetime
    when: dt.datetime  # the last that happened to it
    due_at: dt.datetime | None
    is_lost: bool  # its receipt did not come in time

    @property
    def what(self):
        return "Page" if self.kind in CALLS else "News"


def _messages(found):
    """The messages about the incident, the newest first. Their columns only: whole rows take several times as long."""
    return list(
        Notification.objects.filter(topic=found.topic)
        .order_by("-id")
        .values_list(
            *("pk", "kind", "user_id", "destination_id", "destination__name", "level", "channel", "provider", "state"),
            *("reason", "created_at", "planned_at", "due_at", "sent_at", "delivered_at", "read_at", "acknowledged_at"),
            "receipt_missed_at",
            named=True,
        )[:LAST_PAGES]
    )


def _pages(messages, names, hush):
    answers = dict(
        Attempt.objects.filter(notification__in=[one.pk for one in messages])
        .exclude(answer="", error="")
        .order_by("number")
        .values_list("notification", "answer")
    )
    providers = names_of({one.provider for one in messages})
    return [
        Sent(
            pk=one.pk,
            kind=one.kind,
            user_id=one.user_id,
            destination_id=one.destination_id,
            reader=str(names.get(one.user_id) or one.destination__name or ""),
            level=one.level,
            channel=_channel(one.channel),
            provider=providers.get(one.provider, ""),
            state=one.state,
            state_label=STATES.get(one.state, one.state),
            reason=hush(one.reason),
            said=answers.get(one.pk, ""),
            created_at=one.created_at,
            planned_at=one.planned_at,
            when=one.acknowledged_at or one.read_at or one.delivered_at or one.sent_at or one.planned_at,
            due_at=one.due_at,
            is_lost=bool(one.receipt_missed_at and not one.delivered_at),
        )
        for one in messages
    ]


STATES = dict(Notification.State.choices)

# The best that became of somebody's messages is what counts: the first of these.
BEST = ("acknowledged", "read", "delivered", "sent", "sending", "pending", "failed", "suppressed", "cancelled")


@dataclasses.dataclass(frozen=True)
class Paged:
    """Somebody, or a place, and their messages; `best` is the one that got farthest."""

    best: Sent
    shown: tuple
    count: int

    @property
    def more(self):
        return self.count - len(self.shown)


def _by_person(pages):
    """People before places."""
    groups = {}
    for one in pages:
        groups.setdefault((one.user_id, one.destination_id), []).append(one)
    order = {name: place for place, name in enumerate(BEST)}
    found = [
        Paged(min(rows, key=lambda row: order.get(row.state, len(BEST))), tuple(rows[:FEW_PAGES]), len(rows))
        for rows in groups.values()
    ]
    return sorted(found, key=lambda one: one.best.user_id is None)


PHONE = ("channel", "address", "verified_at", "disabled_reason")


def _phones(found, pages, user):
    """`[(name, number)]` of who has the open incident or was paged for it, for those who are on it together.

    Who merely may respond anywhere is not shown numbers: whoever takes the incident, or is of its team, is.
    """
    if not found.is_open:
        return []
    called = {page.user_id for page in pages if page.kind in CALLS} | {found.assignee_id, found.acknowledged_by_id}
    if user.pk not in called and found.team_id not in user.access().teams and not may(user, "contacts", found):
        return []
    methods = ContactMethod.objects.filter(user__in=called - {None, user.pk}, user__is_active=True)
    methods = list(methods.select_related("user").only(*PHONE, *_named("user")).order_by())
    names = {one.user_id: str(one.user) for one in methods}
    return sorted((names[pk], number) for pk, number in numbers.to_call(methods).items())


def _channel(kind):
    """The name of a channel, which may have been removed since."""
    return channels.get(kind).label if kind in channels else kind


def _why(found, reader, asked, history, hidden, pages, people, step, hush):
    """Why the reader was paged or was not, or another person whom they ask for."""
    people = {person.pk: person for person in [*people, reader]}
    person = people.get(number_of(asked.get("person", "")), reader)
    if hidden:  # the pages may be among the older entries
        history = found.timeline.filter(kind__in=reasons.PAGING).order_by("-id")[:LAST_ENTRIES]
    entries = [
        (entry.at, entry.kind, [*map(hush, entry.data.get("reasons", ())), hush(entry.text)]) for entry in history
    ]
    theirs = [one for one in pages if one.user_id == person.pk and one.kind in CALLS]
    answer = reasons.why(
        str(person),
        is_reader=person.pk == reader.pk,
        times=len({one.created_at for one in theirs}),
        entries=entries[::-1],
        incident=found,
        next_names=[one.name for one in step.pages] if step and found.next_escalation_at else (),
        has_it=person.pk in (found.assignee_id, found.acknowledged_by_id),
    )
    others = sorted(people.values(), key=lambda one: (one.pk != reader.pk, str(one).casefold()))
    options = mark_safe(
        "".join(
            f'<option value="{one.pk}"{" selected" if one.pk == person.pk else ""}>'
            f"{'Me' if one.pk == reader.pk else escape(one)}</option>"
            for one in others
        )
    )
    return {"why": answer, "why_pages": theirs, "why_people": options}


# --- who works on it ------------------------------------------------------------------------------------------

TASK = ("incident", "text", "created_at", "done_at", "merged_from")


def _people(found, user):
    team = found.responders.select_related("user").order_by("added_at", "pk")
    team = list(team.only("incident", "role", "added_at", "added_by", "joined_at", "declined_at", *_named("user")))
    followers = set(Follower.objects.filter(incident=found).order_by().values_list("user", flat=True))
    tasks = found.tasks.select_related("assignee", "done_by").order_by("created_at", "pk")
    return {
        "team_list": team,
        "me": next((one for one in team if one.user_id == user.pk), None),
        "tasks": list(tasks.only(*TASK, *_named("assignee"), *_named("done_by"))),
        "is_following": user.pk in followers,
        "follower_count": len(followers),
        "merged": _merged(found, user),
    }


def _named(field):
    """What is loaded of a person who is only named."""
    return f"{field}__name", f"{field}__email"


def _merged(found, user):
    """Mostly nothing is, and that is asked first: to find out what of it is hidden takes longer."""
    if not found.merged.order_by().exists():
        return []
    return list(visible(found.merged.select_related("service"), user).order_by("merged_at"))


# --- what is around it ----------------------------------------------------------------------------------------


def _around(found, user, *, now):
    """The services that this one needs and those that need it, the worst first; and where to look."""
    edges = list(visible(Dependency.objects.order_by(), user).values_list("service_id", "needs_id"))
    up, down = graph.upstream(edges, found.service_id), graph.downstream(edges, found.service_id)
    services, state_of = {}, None
    if up or down:
        services = visible(Service.objects.only("name", "slug"), user).in_bulk(up | down)
        state_of = state.of(user, now=now, service_ids=up | down)

    def listed(wanted):
        rows = [(services[pk], state_of(pk)) for pk in wanted if pk in services]
        return sorted(rows, key=lambda row: (row[1].rank, row[0].name.casefold()))

    needs, dependants = listed(up), listed(down)
    return {
        "needs": needs[:FEW],
        "more_needs": max(0, len(needs) - FEW),
        "dependants": dependants[:FEW],
        "more_dependants": max(0, len(dependants) - FEW),
        "dependant_count": len(dependants),
        "links": list(Link.objects.filter(service=found.service_id).order_by("kind", "label", "pk")),
    }
