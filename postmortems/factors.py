"""Contributing factors of a postmortem: causes in the same few words every time, so that repeats can be counted."""

from django.db import transaction
from django.db.models import Max, Value
from django.db.models.functions import Lower

from accounts import audit
from core.errors import DomainError
from notifications.message import storable
from postmortems.locking import check_editable, locked, locked_part, touch
from postmortems.models import Factor

MOST = 50


@transaction.atomic
def add(number, *, cause, text="", is_root=False, by, now):
    """Name a cause. Returns the Factor. Raises DomainError for one that is named already."""
    postmortem = locked(number)
    check_editable(postmortem)
    if postmortem.factors.count() >= MOST:
        raise DomainError(f"A postmortem has at most {MOST} causes. Which ones mattered?")
    last = postmortem.factors.aggregate(last=Max("position"))["last"]
    factor = Factor(postmortem=postmortem, position=0 if last is None else last + 1)
    _fill(factor, cause, text, is_root)
    touch(postmortem, now)
    audit.record("did", postmortem, by=by, text=f"Named the cause “{factor.cause}”.")
    return factor


@transaction.atomic
def change(uuid, *, cause=None, text=None, is_root=None, by, now):
    """Change what is named of a cause. Returns the Factor."""
    factor = locked_part(Factor, uuid, "cause")
    before = factor.cause
    _fill(
        factor,
        factor.cause if cause is None else cause,
        factor.text if text is None else text,
        factor.is_root if is_root is None else is_root,
    )
    touch(factor.postmortem, now)
    said = f" It was called “{before}”." if before != factor.cause else ""
    audit.record("did", factor.postmortem, by=by, text=f"Changed the cause “{factor.cause}”.{said}")
    return factor


@transaction.atomic
def remove(uuid, *, by, now):
    """Take a cause out."""
    factor = locked_part(Factor, uuid, "cause")
    factor.delete()
    touch(factor.postmortem, now)
    audit.record("did", factor.postmortem, by=by, text=f"Removed the cause “{factor.cause}”.")


def _fill(factor, cause, text, is_root):
    factor.cause = " ".join(storable(cause).split())
    factor.text, factor.is_root = storable(text).replace("\r\n", "\n").strip(), is_root
    for name, what in (("cause", "The name of a cause"), ("text", "What is said of a cause")):
        longest = Factor._meta.get_field(name).max_length
        if len(getattr(factor, name)) > longest:
            raise DomainError(f"{what} has at most {longest} characters. Write the rest into a section.")
    if not factor.cause:
        raise DomainError("Name the cause in a few words, for example: expired certificate.")
    others = factor.postmortem.factors.exclude(pk=factor.pk)
    if others.annotate(lower=Lower("cause")).filter(lower=Lower(Value(factor.cause))).exists():
        raise DomainError(f"“{factor.cause}” is named already. Change that one.")
    factor.save()
