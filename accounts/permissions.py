"""Who may do what. One question for the pages, the API, the sockets and the chat replies: `may(user, verb)`."""

from accounts.models import Role

# What each platform role may do; every role may do what the ones before it may.
ALLOWED = {
    Role.OBSERVER: {"read"},
    Role.RESPONDER: {"read", "respond"},
    Role.ADMIN: {"read", "respond", "configure"},
}


def may(user, verb, record=None):
    """Whether the person may `read`, `respond` (every verb of an incident) or `configure`."""
    if not user.is_active:
        return False
    return user.is_superuser or verb in ALLOWED[Role(user.role)]
