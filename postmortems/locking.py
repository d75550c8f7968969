"""The lock that every change of a postmortem, or of a part of it, takes first: others who write wait for it."""

from core.errors import IllegalMove, NotFound
from postmortems import states
from postmortems.models import Postmortem


def locked(number):
    """The postmortem, locked until the transaction ends. Raises NotFound."""
    found = Postmortem.objects.select_for_update(of=("self",)).select_related("team").filter(pk=number).first()
    if found is None:
        raise NotFound(f"There is no postmortem PM-{number}.")
    return found


def locked_part(model, uuid, what, *, defer=()):
    """The row of a model that has a `postmortem`, with that one locked. `what` names it, as in "cause"; columns of
    `defer` are not read.

    Raises NotFound when there is none, and IllegalMove when nothing of the postmortem may change.
    """
    number = model.objects.filter(uuid=uuid).values_list("postmortem", flat=True).first()
    postmortem = locked(number) if number else None
    row = model.objects.filter(uuid=uuid).defer(*defer).first()  # only now: others may have saved while we waited
    if row is None:
        raise NotFound(f"There is no such {what} any more.")
    check_editable(postmortem)
    row.postmortem = postmortem
    return row


def check_editable(postmortem):
    """Raise IllegalMove when nothing of it may change."""
    if not postmortem.is_editable:
        label = states.LABELS[postmortem.status].lower()
        raise IllegalMove(f"PM-{postmortem.number} is {label}. Restore it first.")


def touch(postmortem, now):
    """Say that something of it changed."""
    postmortem.changed_at = now
    postmortem.save(update_fields=["changed_at"])
