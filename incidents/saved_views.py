"""Filters of the list under a name: who sees them, who changes them."""

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import QueryDict

from accounts.models import Role
from accounts.permissions import leads
from core.errors import DomainError, NotAllowed
from incidents.models import SavedView
from incidents.searching import Search
from notifications.message import storable

MOST_VIEWS = 50  # of one person
LONGEST_NAME = SavedView._meta.get_field("name").max_length
LONGEST_QUERY = SavedView._meta.get_field("query").max_length


def of(user):
    """The views that a person sees: their own, and those of the teams they are in."""
    return SavedView.objects.filter(Q(owner=user) | Q(team__in=teams_of(user)))


def teams_of(user):
    """The numbers of the teams that the person is in; who administers the platform is not in all of them."""
    access = user.access()
    if access.role == Role.ADMIN:
        return set(user.memberships.values_list("team", flat=True))
    return access.own_teams("read")


def may_change(user, view):
    """Whether the person may rename or delete it: its owner, and the admins of its team."""
    return view.owner_id == user.pk or (view.team_id is not None and leads(user, view.team))


def save(owner, *, name, query, now, team=None):
    """Keep filters under a name. Raises DomainError when the name is empty or taken, or a filter is wrong."""
    view = SavedView(owner=owner, created_at=now)
    if SavedView.objects.filter(owner=owner).count() >= MOST_VIEWS:
        raise DomainError(f"You have {MOST_VIEWS} views, and more are not kept. Delete one first.")
    return _set(view, by=owner, now=now, name=name, query=query, team=team)


def change(view, *, by, now, **changes):
    """Change `name`, `query` or `team`. Raises DomainError as `save` does, and NotAllowed."""
    _check(view, by)
    return _set(view, by=by, now=now, **changes)


def remove(view, *, by):
    """Delete it, for everybody who sees it. Raises NotAllowed."""
    _check(view, by)
    view.delete()


def _check(view, by):
    if not may_change(by, view):
        raise NotAllowed(f"Only {view.owner} and admins of the team change this view. Save one of your own instead.")


def _set(view, *, by, now, **changes):
    if "name" in changes:
        changes["name"] = " ".join(storable(changes["name"]).split())
        if not changes["name"]:
            raise DomainError("Give the view a name, so that you find it again.")
        if len(changes["name"]) > LONGEST_NAME:
            raise DomainError(f"The name is longer than {LONGEST_NAME} characters. Choose a shorter one.")
    if "query" in changes:
        changes["query"] = checked(changes["query"], by=by, now=now)
    if changes.get("team") and changes["team"].pk not in teams_of(by):
        raise NotAllowed("Share a view with a team that you are in.")
    for name, value in changes.items():
        setattr(view, name, value)
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError:
        raise DomainError("You have a view of this name already. Choose another, or delete that one.") from None
    return view


def checked(query, *, by, now):
    """The filters of an address, in the one order in which they are compared. Raises DomainError for a wrong one."""
    search = Search(QueryDict(storable(query).lstrip("?")[: 4 * LONGEST_QUERY]), user=by, now=now)
    if search.problems:
        raise DomainError(search.problems[0])
    if len(search.query) > LONGEST_QUERY:
        raise DomainError("These are too many filters to keep. Choose fewer.")
    return search.query
