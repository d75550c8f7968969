"""Who may do what. One question for pages, API, sockets, admin and replies: `may(user, verb, record)`.

The table is in `accounts.roles`; which rows a person sees at all is in `accounts.visibility`.
"""

from accounts.roles import NOBODY
from accounts.visibility import has_readers, is_visible, owned, teams_of, visible

__all__ = ["leads", "leads_person", "may", "may_once_seen", "may_somewhere", "visible", "where_may"]


def may(user, verb, record=None):
    """Whether the person may `read`, `respond`, `configure` …: a verb of `accounts.roles.TABLE`.

    With a record the stronger of the platform's role and that in the record's team counts; without one, or for a
    record that belongs to no team, the platform's. What is hidden from a person allows nothing.
    """
    access = user.access() if user.is_active else NOBODY
    has_rule = has_readers(type(record))
    if record is None or (not access.hidden and not has_rule and access.allows(verb)):
        return access.allows(verb)
    teams = teams_of(record)
    if record._state.adding:
        return access.allows(verb, teams)
    if (access.hidden or has_rule) and not is_visible(record, user, teams):
        return False
    # What is hidden else and shown to them takes the role that they have everywhere.
    return access.allows(verb, teams - access.hidden) or _is_called(user, access, verb, record, teams)


def _is_called(user, access, verb, record, teams):
    """Whether they were called to work of another team, who answer calls in one of theirs: nobody is locked out.

    The model says in `called(user) -> Q` who was. Only they see what is hidden from them else.
    """
    model = type(record)
    if verb != "respond" or not hasattr(model, "called") or not access.own_teams(verb):
        return False
    return bool(teams & access.hidden) or model._base_manager.filter(model.called(user), pk=record.pk).exists()


def may_once_seen(user, verb, record):
    """As `may`, for a record that came through `visible`, or that the person is about to be called to: no query.

    It knows the roles only, and not whom another team called: where one record is answered, ask `may`.
    """
    access = user.access() if user.is_active else NOBODY
    return access.allows(verb, teams_of(record) - access.hidden)


def where_may(queryset, user, verb):
    """The rows for which the person may do it: what a form offers."""
    access = user.access() if user.is_active else NOBODY
    rows = visible(queryset, user)
    if access.allows(verb):  # what the platform's role allows, it allows in every team that is not hidden
        return rows
    own = access.own_teams(verb)
    return rows.filter(owned(queryset.model, own)) if own else rows.none()


def may_somewhere(user, verb):
    """Whether there is anything for which the person may do it: whether to show the way to it at all."""
    return user.is_active and user.access().allows_somewhere(verb)


def leads(user, team):
    """Whether the person decides for a team: its admins, and the platform's."""
    return may(user, "configure", team)


def leads_person(user, person):
    """Whether the person may see and arrange what is another's: themselves, admins of a team of theirs, and admins."""
    if user.pk == person.pk or may(user, "contacts"):
        return True
    teams = user.access().own_teams("contacts") if user.is_active else ()
    return bool(teams) and person.memberships.filter(team__in=teams).exists()
