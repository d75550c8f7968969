"""Who may do what. One question for pages, API, sockets, admin and replies: `may(user, verb, record)`.

The table is in `accounts.roles`; which rows a person sees at all is in `accounts.visibility`.
"""

from accounts.roles import NOBODY
from accounts.visibility import is_visible, teams_of, visible

__all__ = ["leads", "leads_person", "may", "may_somewhere", "visible"]


def may(user, verb, record=None):
    """Whether the person may `read`, `respond`, `configure` …: a verb of `accounts.roles.TABLE`.

    With a record the stronger of the platform's role and that in the record's team counts; without one, or for a
    record that belongs to no team, the platform's. What is hidden from a person allows nothing.
    """
    access = user.access() if user.is_active else NOBODY
    if record is None:
        return access.allows(verb)
    teams = teams_of(record)
    if record._state.adding or not access.hidden:
        return access.allows(verb, teams)
    if not is_visible(record, user, teams):
        return False
    # Somebody who was called to what is hidden else helps there with the role that they have everywhere.
    return access.allows(verb, teams - access.hidden)


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
