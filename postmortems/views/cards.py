"""An action item as a card of the board and as a line of its postmortem."""

from accounts.permissions import may_once_seen
from postmortems import items
from postmortems.models import ActionItem

# From each state: where a button leads, and what it says.
NEXT = {
    ActionItem.Status.OPEN: [("in_progress", "Start"), ("completed", "Done")],
    ActionItem.Status.IN_PROGRESS: [("completed", "Done"), ("open", "Not yet")],
    ActionItem.Status.COMPLETED: [("open", "Open again")],
    ActionItem.Status.CANCELLED: [("open", "Open again")],
}


def dressed(rows, user, today):
    """The items with what a card shows beside their fields."""
    for one in rows:
        one.is_mine = one.owner_id == user.pk
        one.is_late = one.status in ActionItem.OPEN and one.due_on is not None and one.due_on < today
        one.may_change = may_change(user, one)
        one.moves = NEXT[one.status] if one.may_change else []
        one.link_label = items.link_label(one.link) if one.link else ""
    return rows


def may_change(user, item):
    """Whether they say how far it is: whose it is, and who answers for the team."""
    return item.owner_id == user.pk or may_once_seen(user, "respond", item.postmortem)
