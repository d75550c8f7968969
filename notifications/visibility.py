"""What private teams hide of alarms, which name what they are about by their key.

Whoever sees every team sees every alarm. Others see those about the installation itself, and those about a row that
they may see; the floors above say with `alarms_about` how the keys name theirs.
"""

from django.db.models import BigIntegerField, Q

from accounts.visibility import hidden_rows, named_in, visible
from notifications.models import Alarm, Notification

# They speak of providers, processes and settings, and of nothing that belongs to a team.
OF_THE_INSTALLATION = r"^(circuit|limits|no-address|provider|stale-pages|wording)(:|$)"

_about = []


def alarms_about(pattern, model, key=BigIntegerField):
    """Alarms whose key matches are about the row of the model whose key is the group of the pattern."""
    _about.append((pattern, model, key))


@hidden_rows(Alarm)
def alarms_about_others(access, user):
    """Alarms about what the person may not see; when in doubt, an alarm is left to the admins, whom it has paged."""
    shown = Q(key__regex=OF_THE_INSTALLATION)
    for pattern, model, key in _about:
        shown |= Q(named_in("key", pattern, visible(model._base_manager.all(), user), key))
    return ~shown


@hidden_rows(Notification)
def messages_about_hidden_alarms(access, user):
    """Messages to others about such alarms."""
    shown = named_in("topic", "^alarm:([0-9]{1,18})$", visible(Alarm._base_manager.all(), user))
    return ~Q(user=user) & Q(topic__startswith="alarm:") & ~Q(shown)
