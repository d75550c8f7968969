"""The text of a postmortem: every save is a version, and none is overwritten unseen.

A save names the version that its writer saw. Where somebody else saved since, it is refused with both texts, unless
both say the same. Autosaves of one writer in a row become one revision, so that the history can be read, unless much
is taken out: what somebody deleted by mistake is there again.
"""

import datetime as dt
import os.path

from django.db import transaction
from django.db.models import Max

from accounts import audit
from accounts.models import AuditEntry
from accounts.permissions import may
from core.errors import DomainError, IllegalMove, NotFound
from notifications.message import storable
from postmortems import moments
from postmortems.difference import difference
from postmortems.locking import check_editable, locked, locked_part, touch
from postmortems.models import Postmortem, Revision, Section

__all__ = [
    "KEEP",
    "LONGEST_BODY",
    "Conflict",
    "add_section",
    "difference",
    "move_section",
    "remove_section",
    "restore",
    "restore_section",
    "save_head",
    "save_section",
]

LONGEST_BODY = 50_000  # what core.markdown draws, too
LONGEST_TITLE = Section._meta.get_field("title").max_length
MOST_SECTIONS = 50
ONE_SITTING = dt.timedelta(minutes=10)  # autosaves of one writer within it are one revision
LOST_AT_MOST = 200  # characters: an autosave that takes out more at once, perhaps by mistake, is its own revision
KEEP = object()  # this part stays as it is, where None means that there is none


class Conflict(IllegalMove):
    """Somebody else saved since the writer looked: both texts, and the version to name when saving again."""

    code = "conflict"

    def __init__(self, *, mine, theirs, version, by, title=""):
        super().__init__(
            f"{by or 'Somebody else'} saved this while you wrote. Your text is not stored yet: look at both versions, "
            "keep what is right of each, and save again."
        )
        self.mine, self.theirs, self.version, self.by, self.title = mine, theirs, version, by, title


# --- sections -----------------------------------------------------------------------------------------------------
@transaction.atomic
def save_section(uuid, *, title=None, body, seen_version, is_autosave=False, by, now):
    """Store a section; `seen_version` is the one that its writer began from. Returns the Section.

    The same text again is no new version. Raises Conflict, DomainError, and IllegalMove for a section that somebody
    removed.
    """
    section = _locked(uuid)
    title = section.title if title is None else _checked_title(title)
    body = _checked_body(body)
    newest = section.revisions.select_related("by").first()
    if (title, body) == (section.title, section.body):
        if newest and newest.is_autosave and newest.by == by and not is_autosave:
            newest.is_autosave = False  # the writer says that this one is to stay
            newest.save(update_fields=["is_autosave"])
        return section
    if seen_version != section.version:
        by_whom = newest.by if newest else None
        raise Conflict(mine=body, theirs=section.body, version=section.version, by=by_whom, title=section.title)
    return _store(section, title, body, newest, is_autosave=is_autosave, by=by, now=now)


@transaction.atomic
def restore(uuid, version, *, by, now):
    """Make the text of an older version the newest one. Nothing of the history goes. Returns the Section."""
    section = _locked(uuid)
    old = section.revisions.filter(version=version).first()
    if old is None:
        raise NotFound(f"The section has no version {version}. Choose one of its history.")
    if (old.title, old.body) == (section.title, section.body):
        return section
    return _store(section, old.title, old.body, section.revisions.first(), is_autosave=False, by=by, now=now)


@transaction.atomic
def add_section(number, *, title, body="", by, now):
    """Put another section below the others. Returns the Section."""
    postmortem = locked(number)
    check_editable(postmortem)
    if postmortem.sections.count() >= MOST_SECTIONS:
        raise DomainError(f"A postmortem has at most {MOST_SECTIONS} sections, removed ones among them. Restore one.")
    last = postmortem.sections.aggregate(last=Max("position"))["last"]
    section = Section.objects.create(
        postmortem=postmortem,
        title=_checked_title(title),
        body=_checked_body(body),
        position=0 if last is None else last + 1,
    )
    Revision.objects.create(section=section, version=1, title=section.title, body=section.body, by=by, at=now)
    touch(postmortem, now)
    return section


@transaction.atomic
def remove_section(uuid, *, by, now):
    """Take a section out; its text and its history stay, and `restore_section` brings it back. Twice is harmless."""
    section = _locked(uuid, also_removed=True)
    if section.removed_at is None:
        section.removed_at = now
        section.save(update_fields=["removed_at"])
        touch(section.postmortem, now)
        audit.record("did", section.postmortem, by=by, text=f"Removed the section “{section.title}”.")
    return section


@transaction.atomic
def restore_section(uuid, *, by, now):
    """Bring a removed section back, where it stood. Twice is harmless."""
    section = _locked(uuid, also_removed=True)
    if section.removed_at is not None:
        section.removed_at = None
        section.save(update_fields=["removed_at"])
        touch(section.postmortem, now)
        audit.record("did", section.postmortem, by=by, text=f"Restored the section “{section.title}”.")
    return section


@transaction.atomic
def move_section(uuid, *, step, by, now):
    """Move a section up (-1) or down (1) among those that are shown. At the end it stays. Returns the Section."""
    section = _locked(uuid)
    rows = list(section.postmortem.sections.all())
    shown = [row for row in rows if row.removed_at is None]
    place = next(place for place, row in enumerate(shown) if row.pk == section.pk)
    other = place + (1 if step > 0 else -1)
    if not 0 <= other < len(shown):
        return section
    mine, theirs = rows.index(shown[place]), rows.index(shown[other])
    rows[mine], rows[theirs] = rows[theirs], rows[mine]
    for position, row in enumerate(rows):
        row.position = position
    Section.objects.bulk_update(rows, ["position"])
    touch(section.postmortem, now)
    return next(row for row in rows if row.pk == section.pk)


def _locked(uuid, *, also_removed=False):
    """The section, its postmortem locked. Raises NotFound, and IllegalMove for one that was removed."""
    section = locked_part(Section, uuid, "section")
    if section.removed_at is not None and not also_removed:
        raise IllegalMove(f"The section “{section.title}” was removed meanwhile. Restore it, then save again.")
    return section


def _store(section, title, body, newest, *, is_autosave, by, now):
    """Write the next version. An autosave that goes on with the one before it in a sitting takes the place of that."""
    section.title, section.body, section.version = title, body, section.version + 1
    section.save(update_fields=["title", "body", "version"])
    is_sitting = is_autosave and newest and newest.is_autosave and newest.by == by and newest.at > now - ONE_SITTING
    if is_sitting and taken_out(newest.body, body) <= LOST_AT_MOST:
        # Its time stays that of the first, or a long day of typing would be one revision.
        newest.version, newest.title, newest.body = section.version, title, body
        newest.save(update_fields=["version", "title", "body"])
    else:
        Revision.objects.create(
            section=section, version=section.version, title=title, body=body, by=by, at=now, is_autosave=is_autosave
        )
    touch(section.postmortem, now)
    return section


def taken_out(old, new):
    """How many characters of a text are between what it begins and what it ends with in the other text. Pure."""
    shorter = min(len(old), len(new))
    begin = len(os.path.commonprefix([old, new]))
    end = len(os.path.commonprefix([old[::-1], new[::-1]]))
    return len(old) - min(begin + end, shorter)


def _checked_title(title):
    title = " ".join(storable(title).split())
    if not title:
        raise DomainError("Give the section a heading.")
    if len(title) > LONGEST_TITLE:
        raise DomainError(f"A heading has at most {LONGEST_TITLE} characters. Shorten it.")
    return title


def _checked_body(body):
    body = storable(body).replace("\r\n", "\n")
    if len(body) > LONGEST_BODY:
        raise DomainError(f"A section has at most {LONGEST_BODY:,} characters. Divide it into two sections.")
    return body


# --- what stands above the sections -------------------------------------------------------------------------------
@transaction.atomic
def save_head(
    number,
    *,
    title=None,
    summary=None,
    impact_began_at=None,
    impact_ended_at=KEEP,
    owner=KEEP,
    visibility=None,
    seen_version,
    by,
    now,
):
    """Change what is named; the rest stays. New times count in the figures. Returns the Postmortem.

    Raises Conflict, whose texts are the summaries, and DomainError.
    """
    postmortem = locked(number)
    check_editable(postmortem)
    wanted = {
        "title": title,
        "summary": summary,
        "impact_began_at": impact_began_at,
        "visibility": visibility,
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if "title" in wanted:
        wanted["title"] = _checked_name(title)
    if "summary" in wanted:
        wanted["summary"] = _checked_summary(summary)
    wanted |= {
        name: value for name, value in (("impact_ended_at", impact_ended_at), ("owner", owner)) if value is not KEEP
    }
    before = {name: getattr(postmortem, name) for name in wanted}
    changed = [name for name, value in wanted.items() if value != before[name]]
    if not changed:
        return postmortem
    if seen_version != postmortem.version:
        raise Conflict(
            mine=wanted.get("summary", postmortem.summary),
            theirs=postmortem.summary,
            version=postmortem.version,
            by=_last_by(postmortem),
            title=postmortem.title,
        )
    for name in changed:
        setattr(postmortem, name, wanted[name])
    _check_head(postmortem, changed)
    postmortem.version += 1
    postmortem.changed_at = now
    moments.measure(postmortem)
    postmortem.save()
    changes = {name: [_plain(before[name]), _plain(wanted[name])] for name in changed}
    audit.record("changed", postmortem, by=by, changes=changes)
    return postmortem


def _check_head(postmortem, changed):
    if postmortem.visibility not in Postmortem.Visibility.values:
        raise DomainError(f"Who may read it is one of {', '.join(Postmortem.Visibility.values)}.")
    for name in ("impact_began_at", "impact_ended_at"):
        at = getattr(postmortem, name)
        if name in changed and at is not None and not moments.FIRST_TIME <= at < moments.LAST_TIME:
            raise DomainError(f"Use a time between {moments.FIRST_TIME.year} and {moments.LAST_TIME.year}.")
    if postmortem.impact_ended_at is not None and postmortem.impact_ended_at < postmortem.impact_began_at:
        raise DomainError("The impact cannot end before it began. Look at both times, and the day of each.")
    owner = postmortem.owner
    if "owner" in changed and owner is not None:
        if owner.is_machine or not owner.is_active:
            raise DomainError(f"{owner} cannot own it: choose a person whose account is active.")
        if not may(owner, "read", postmortem.team):
            raise DomainError(f"{owner} may not see the team {postmortem.team}. Choose somebody else.")


def _last_by(postmortem):
    """Who changed the head last, as far as the audit still knows."""
    about = f"{postmortem._meta.label_lower}:{postmortem.pk}"
    entry = AuditEntry.objects.of(about).filter(verb="changed").select_related("actor").first()
    return entry.actor if entry else None


def _checked_name(title):
    title = " ".join(storable(title).split())
    longest = Postmortem._meta.get_field("title").max_length
    if not title:
        raise DomainError("Give it a title: one line that says what went wrong.")
    if len(title) > longest:
        raise DomainError(f"A title has at most {longest} characters. Shorten it.")
    return title


def _checked_summary(summary):
    summary = storable(summary).replace("\r\n", "\n").strip()
    longest = Postmortem._meta.get_field("summary").max_length
    if len(summary) > longest:
        raise DomainError(f"A summary has at most {longest:,} characters. Write the rest into a section.")
    return summary


def _plain(value):
    """A value as the audit keeps it."""
    return value if value is None or isinstance(value, str) else str(value)
