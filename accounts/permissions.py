"""Who may do what. One question for the pages, the API, the sockets and the chat replies: `may(user, verb)`."""

from accounts.models import Membership, Role

# What each platform role may do; every role may do what the ones before it may.
ALLOWED = {
    Role.OBSERVER: {"read"},
    Role.RESPONDER: {"read", "respond"},
    Role.ADMIN: {"read", "respond", "configure"},
}


def may(user, verb, record=None):
    """Whether the person may `read`, `respond` (every verb of an incident) or `configure`."""
    return user.is_active and allows(user.role, verb, is_superuser=user.is_superuser)


def allows(role, verb, *, is_superuser=False):
    """Whether the role of an active person allows the verb; for who has no User at hand."""
    return is_superuser or verb in ALLOWED[Role(role)]


def leads(user, team):
    """Whether the person decides for a team: its admins, and the platform's."""
    if may(user, "configure"):
        return True
    return user.is_active and Membership.objects.filter(team=team, user=user, role=Role.ADMIN).exists()
