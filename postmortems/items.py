"""Action items: what is to be done so that it does not come again, by whom, and by when."""

import datetime as dt
import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.models import Role
from accounts.permissions import may
from core.errors import DomainError, IllegalMove, NotFound
from core.zones import moment, zone_of
from notifications.message import storable
from postmortems import telling
from postmortems.locking import check_editable, locked
from postmortems.models import ActionItem, Postmortem

Status = ActionItem.Status
MOST_ITEMS = 200
LONGEST_TEXT = ActionItem._meta.get_field("text").max_length
LONGEST_LINK = ActionItem._meta.get_field("link").max_length
FIRST_DAY, LAST_DAY = dt.date(1990, 1, 1), dt.date(2100, 1, 1)
FIELDS = ("text", "owner", "due_on", "priority", "link", "status")

# From which states an item may come into a state. One that is over is opened again before it ends otherwise.
COMES_FROM = {
    Status.OPEN: (Status.IN_PROGRESS, Status.COMPLETED, Status.CANCELLED),
    Status.IN_PROGRESS: (Status.OPEN, Status.COMPLETED, Status.CANCELLED),
    Status.COMPLETED: (Status.OPEN, Status.IN_PROGRESS),
    Status.CANCELLED: (Status.OPEN, Status.IN_PROGRESS),
}
REMINDED_HOUR = 9  # of the owner's day
REMINDED_BEFORE = (7, 1, 0)  # days before it is due; after that once a week


# --- verbs --------------------------------------------------------------------------------------------------------
@transaction.atomic
def add(number, *, text, owner=None, due_on=None, priority=ActionItem.Priority.MEDIUM, link="", by, now):
    """Write down what is to be done. Its owner is told. Returns the ActionItem.

    Raises DomainError for an owner who may not see the postmortem, a link that is not of https, too many items.
    """
    postmortem = locked(number)
    check_editable(postmortem)
    if postmortem.items.count() >= MOST_ITEMS:
        raise DomainError(f"A postmortem has at most {MOST_ITEMS} action items. What is done first?")
    item = ActionItem(postmortem=postmortem, created_by=by, created_at=now)
    _set(item, {"text": text, "owner": owner, "due_on": due_on, "priority": priority, "link": link}, now=now)
    item.save()
    audit.record("did", postmortem, by=by, text=f"Added the action item: {item.text}")
    _tell_owner(item, by=by, now=now)
    return item


@transaction.atomic
def change(uuid, *, by, now, **changes):
    """Change an item; `changes` are some of text, owner, due_on, priority, link, status. Returns it.

    A new owner is told. Raises DomainError as `add` does, IllegalMove for a state that it cannot come into.
    """
    item = ActionItem.objects.select_for_update(of=("self",)).select_related("postmortem", "owner")
    item = item.filter(uuid=uuid).first()
    if item is None:
        raise NotFound("There is no such action item any more.")
    before = {name: getattr(item, name) for name in FIELDS}
    _set(item, changes, now=now)
    changed = [name for name in FIELDS if getattr(item, name) != before[name]]
    if not changed:
        return item
    item.save()
    said = "; ".join(f"{name.replace('_', ' ')}: {getattr(item, name) or 'none'}" for name in changed)
    audit.record("did", item.postmortem, by=by, text=f"Changed the action item “{before['text'][:200]}”. {said}")
    if "owner" in changed:
        _tell_owner(item, by=by, now=now)
    return item


def _set(item, changes, *, now):
    """Check the changes and put them on the row. What is not named stays."""
    if unknown := set(changes) - set(FIELDS):
        raise TypeError(f"An action item has no {', '.join(sorted(unknown))}.")
    if "text" in changes:
        item.text = _checked_text(changes["text"])
    if "owner" in changes and changes["owner"] != item.owner:
        _check_owner(item.postmortem, changes["owner"])
        item.owner = changes["owner"]
    if "due_on" in changes:
        item.due_on = changes["due_on"]
        if item.due_on is not None and not FIRST_DAY <= item.due_on < LAST_DAY:
            raise DomainError(f"Use a day between {FIRST_DAY.year} and {LAST_DAY.year}.")
    if "priority" in changes:
        if changes["priority"] not in ActionItem.Priority.values:
            raise DomainError(f"A priority is {', '.join(ActionItem.Priority.values)}.")
        item.priority = changes["priority"]
    if "link" in changes:
        item.link = checked_link(changes["link"])
    if "status" in changes:
        _move(item, changes["status"], now=now)
    item.changed_at = now
    item.due_at = next_reminder(item, now=now)


def _move(item, status, *, now):
    if status not in Status.values:
        raise DomainError(f"An action item is {', '.join(Status.values)}.")
    if status == item.status:
        return
    if item.status not in COMES_FROM[status]:
        here, there = item.get_status_display().lower(), Status(status).label.lower()
        raise IllegalMove(f"It is {here}, so it cannot become {there}. Open it again first.")
    item.status = status
    item.ended_at = None if status in ActionItem.OPEN else now


def _checked_text(text):
    text = " ".join(storable(text).split())
    if not text:
        raise DomainError("Write what is to be done.")
    if len(text) > LONGEST_TEXT:
        raise DomainError(f"An action item has at most {LONGEST_TEXT} characters. Write the rest into a section.")
    return text


def _check_owner(postmortem, owner):
    if owner is None:
        return
    if owner.is_machine or not owner.is_active:
        raise DomainError(f"{owner} cannot have it: choose a person whose account is active.")
    if not will_see(postmortem, owner):
        raise DomainError(f"{owner} may not see PM-{postmortem.number}, so they cannot have it. Choose somebody else.")


def will_see(postmortem, person):
    """Whether somebody may see it, or will once the draft is published."""
    if may(person, "read", postmortem):
        return True
    if postmortem.visibility == Postmortem.Visibility.TEAM:
        return person.role == Role.ADMIN or person.memberships.filter(team=postmortem.team_id).exists()
    return may(person, "read", postmortem.team)


def _tell_owner(item, *, by, now):
    if item.owner_id is None or item.owner == by or item.status not in ActionItem.OPEN:
        return
    until = f" It is due on {item.due_on:%-d %B %Y}." if item.due_on else ""
    telling.tell(
        item.postmortem,
        {item.owner_id},
        title=f"An action item is yours: {item.text}",
        body=f"{by or 'The system'} gave it to you. It is of PM-{item.postmortem_id}.{until}",
        key=f"item:{item.uuid}:{now.isoformat()}",
        now=now,
    )


# --- reminders ----------------------------------------------------------------------------------------------------
def next_reminder(item, *, now):
    """When its owner is reminded next: a week and a day before, on the day, then weekly. None: never."""
    if item.due_on is None or item.owner_id is None or item.status not in ActionItem.OPEN:
        return None
    return reminder_after(now, item.due_on, zone_of(item.owner.time_zone))


def reminder_after(now, due_on, zone):
    """The first reminder after `now` of what is due on this day, as a time in UTC. Pure."""
    days = [due_on - dt.timedelta(days=before) for before in REMINDED_BEFORE]
    late = max(0, (now.astimezone(zone).date() - due_on).days // 7)
    days += [due_on + dt.timedelta(weeks=weeks) for weeks in (late, late + 1, late + 2)]
    times = (moment(dt.datetime.combine(day, dt.time(REMINDED_HOUR)), zone) for day in days)
    return min(at for at in times if at > now)


# --- links --------------------------------------------------------------------------------------------------------
def checked_link(link):
    """The address of an issue elsewhere, or "". Raises DomainError for what is not an address of https."""
    link = storable(link).strip()
    if not link:
        return ""
    try:
        URLValidator(schemes=["https"])(link)
        has_login = "@" in urlsplit(link).netloc
    except (ValidationError, ValueError):
        raise DomainError(
            "Write the whole address of the issue, for example https://example.atlassian.net/browse/SHOP-12."
        ) from None
    if has_login:
        raise DomainError("The address holds a name or a password. Leave out what stands before the @.")
    if len(link) > LONGEST_LINK:
        raise DomainError(f"The address is longer than {LONGEST_LINK} characters. Leave out what follows the “?”.")
    return link


KEY = r"([A-Z][A-Z0-9_]{0,30}-[0-9]{1,9})(?![A-Za-z0-9])"
TRACKERS = (
    (re.compile(rf"/browse/{KEY}"), r"\1"),  # Jira
    (re.compile(rf"[?&]selectedIssue={KEY}"), r"\1"),  # a board of Jira
    (re.compile(rf"//linear\.app/[^/]+/issue/{KEY}"), r"\1"),
    (re.compile(r"//github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/([0-9]{1,9})(?![0-9])"), r"\1#\2"),
    (re.compile(r"//[^/]+/([\w./-]+?)/-/(?:issues|work_items)/([0-9]{1,9})(?![0-9])"), r"\1#\2"),  # GitLab
)


def link_label(link):
    """What a link is called: the key of the issue, such as SHOP-12, ENG-5 or team/shop#7; else the host."""
    for pattern, label in TRACKERS:
        if found := pattern.search(link):
            return found.expand(label)
    return urlsplit(link).hostname or link


# --- lists --------------------------------------------------------------------------------------------------------
def seen_by(user):
    """The items of the postmortems that the person may see."""
    return ActionItem.objects.filter(postmortem__in=user.visible(Postmortem.objects.order_by()).values("pk"))


def overdue(today):
    """The condition that an item should be done by now. `today` is the day of who looks."""
    return Q(status__in=ActionItem.OPEN, due_on__lt=today)
