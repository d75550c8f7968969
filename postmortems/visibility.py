"""Who sees the messages about postmortems that others got: they name titles, and say what was commented."""

from django.db.models import Q

from accounts.roles import ADMIN
from accounts.visibility import hidden_rows, named_in, readers_of, visible
from incidents.models import Incident
from notifications.models import Notification
from postmortems.models import Postmortem


@readers_of(Notification)
def messages_about_postmortems(user):
    """Those to oneself, and about what one may read."""
    if user.access().role == ADMIN:
        return Q()
    about = named_in("topic", "^postmortem:([0-9]{1,18})$", visible(Postmortem.objects.order_by(), user))
    return Q(user=user) | ~Q(topic__startswith="postmortem:") | Q(about)


@hidden_rows(Notification)
def reminders_of_hidden_incidents(access, user):
    """Reminders to others that an incident has no postmortem, where the person may not see it."""
    about = named_in("topic", "^postmortem-wanted:([0-9]{1,18})$", visible(Incident.objects.order_by(), user))
    return ~Q(user=user) & Q(topic__startswith="postmortem-wanted:") & ~Q(about)
