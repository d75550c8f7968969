"""From a draft to what everybody reads: reviews, publishing, the archive, and what is said to a section."""

from django.db import transaction
from django.db.models import F, Q

from accounts import audit
from accounts.models import Membership
from accounts.permissions import leads, may
from core.errors import DomainError, IllegalMove, NotAllowed, NotFound
from incidents.models import Follower, Responder
from notifications.message import storable
from postmortems import states, telling
from postmortems.locking import check_editable, locked
from postmortems.models import Comment, Review

MOST_REVIEWERS = 20
MOST_OPEN_COMMENTS = 500
LONGEST_NOTE = Review._meta.get_field("note").max_length
LONGEST_COMMENT = Comment._meta.get_field("text").max_length


# --- reviews ------------------------------------------------------------------------------------------------------
@transaction.atomic
def ask(number, users, *, by, now):
    """Ask people to read it before it is published; a draft goes to review. Returns the postmortem.

    Whoever is asked again is asked anew, but what they want changed stands until they say otherwise. Raises
    DomainError for somebody who may not see it, IllegalMove when it is published or archived.
    """
    postmortem = locked(number)
    users = list({user.pk: user for user in users}.values())
    if not users:
        raise DomainError("Choose at least one person who is to review it.")
    if postmortem.status != states.IN_REVIEW:
        _move(postmortem, "ask_review", now=now)
    for user in users:
        _ask_one(postmortem, user, by=by, now=now)
    if postmortem.reviews.count() > MOST_REVIEWERS:
        raise DomainError(f"A postmortem has at most {MOST_REVIEWERS} reviewers. Ask fewer people.")
    telling.tell(
        postmortem,
        {user.pk for user in users if user != by},
        title=f"Your review is asked for: {postmortem.title}",
        body=f"{by or 'The system'} asks you to review PM-{number}. Approve it, or say what to change.",
        key=f"review:{now.isoformat()}",
        now=now,
    )
    return postmortem


def _ask_one(postmortem, user, *, by, now):
    if user.is_machine or not user.is_active:
        raise DomainError(f"{user} cannot review it: choose a person whose account is active.")
    review, is_new = Review.objects.get_or_create(
        postmortem=postmortem, user=user, defaults={"asked_by": by, "asked_at": now}
    )
    if not may(user, "read", postmortem):  # with the review they see a draft; what is hidden else stays so
        raise DomainError(f"{user} may not see PM-{postmortem.number}, so they cannot review it. Ask somebody else.")
    if not is_new:
        review.asked_by, review.asked_at = by, now
        if review.verdict == Review.Verdict.APPROVED:
            review.verdict, review.decided_at = Review.Verdict.OPEN, None
        review.save()


@transaction.atomic
def unask(number, user, *, by, now):
    """Take somebody off the reviewers. What they wanted changed keeps them on, unless a team admin does it."""
    postmortem = locked(number)
    review = postmortem.reviews.filter(user=user).first()
    if review is None:
        return postmortem
    if review.verdict == Review.Verdict.CHANGES and by is not None and not leads(by, postmortem.team):
        raise NotAllowed(f"{user} asks for changes. Ask them again, or let an admin of the team take them off.")
    review.delete()
    audit.record("did", postmortem, by=by, text=f"Took {user} off the reviewers.")
    return postmortem


@transaction.atomic
def say(number, *, verdict, note="", by, now):
    """Approve it, or ask for changes, as one of those who were asked. Returns the Review.

    Raises NotAllowed for who was not asked, DomainError without a word about what to change, IllegalMove when it is
    not in review.
    """
    postmortem = locked(number)
    review = postmortem.reviews.filter(user=by).first()
    if review is None:
        raise NotAllowed(f"You were not asked to review PM-{number}. Write a comment, or ask its owner to ask you.")
    if postmortem.status != states.IN_REVIEW:
        raise IllegalMove(f"It is {_label(postmortem)}, so there is nothing to review. Write a comment instead.")
    note = storable(note).strip()
    if verdict not in (Review.Verdict.APPROVED, Review.Verdict.CHANGES):
        raise DomainError("Say “approved” or “changes”.")
    if verdict == Review.Verdict.CHANGES and not note:
        raise DomainError("Say what is to be changed.")
    if len(note) > LONGEST_NOTE:
        raise DomainError(f"A note has at most {LONGEST_NOTE} characters. Shorten it, or comment on the sections.")
    review.verdict, review.note, review.decided_at = verdict, note, now
    review.save(update_fields=["verdict", "note", "decided_at"])
    says = "approved" if verdict == Review.Verdict.APPROVED else "asks for changes to"
    telling.tell(
        postmortem,
        {postmortem.owner_id, review.asked_by_id} - {by.pk},
        title=f"{by} {says} PM-{number} {postmortem.title}",
        body=note,
        key=f"said:{by.pk}:{now.isoformat()}",
        now=now,
    )
    return review


def waiting_for(user):
    """The reviews that are asked of a person and that they have not given."""
    asked = Q(verdict=Review.Verdict.OPEN) | Q(decided_at__lt=F("asked_at"))
    return Review.objects.filter(asked, user=user, postmortem__status=states.IN_REVIEW)


# --- moves --------------------------------------------------------------------------------------------------------
@transaction.atomic
def publish(number, *, is_forced=False, by, now):
    """Let it be read, and tell the team and whoever worked on its incidents or followed them, once. Returns it.

    Raises IllegalMove when somebody asks for changes; an admin of the team publishes it anyway with `is_forced`.
    """
    postmortem = locked(number)
    states.after("publish", postmortem.status)
    against = list(postmortem.reviews.filter(verdict=Review.Verdict.CHANGES).select_related("user"))
    if against and not is_forced:
        raise IllegalMove(
            f"{_names(one.user for one in against)} {'asks' if len(against) == 1 else 'ask'} for changes: "
            f"“{against[0].note}” Change it and ask again, or let an admin of the team publish it anyway."
        )
    if against and by is not None and not leads(by, postmortem.team):
        raise NotAllowed(f"Only an admin of the team {postmortem.team} publishes what a reviewer wants changed.")
    # The first time counts in the figures, and nobody is told a second time.
    _move(postmortem, "publish", now=now, published_at=postmortem.published_at or now, published_by=by)
    text = f"Although {_names(one.user for one in against)} asked for changes." if against else ""
    audit.record("did", postmortem, by=by, text=f"Published it. {text}".strip())
    telling.tell(
        postmortem,
        concerned(postmortem) - {by.pk if by else None},
        title=f"Postmortem: {postmortem.title}",
        body=f"{by or 'The system'} published what was learned. {postmortem.summary}".strip(),
        key="published",
        now=now,
    )
    return postmortem


def concerned(postmortem):
    """The numbers of the people whom it is about: its team, and responders and followers of its incidents."""
    incidents = postmortem.incidents.values("pk")
    found = set(Membership.objects.filter(team=postmortem.team_id).values_list("user_id", flat=True))
    found |= set(Responder.objects.filter(incident__in=incidents, declined_at=None).values_list("user_id", flat=True))
    found |= set(Follower.objects.filter(incident__in=incidents).values_list("user_id", flat=True))
    for names in postmortem.incidents.values_list("assignee_id", "acknowledged_by_id", "resolved_by_id"):
        found.update(names)
    return found - {None}


@transaction.atomic
def take_back(number, *, by, now):
    """Make a draft of it again, to be read by the team only."""
    postmortem = _move(locked(number), "take_back", now=now)
    audit.record("did", postmortem, by=by, text="Took it back to draft.")
    return postmortem


@transaction.atomic
def archive(number, *, by, now):
    """Put it away: it can be read and found, and nothing of it changes. Its action items go on."""
    postmortem = locked(number)
    # In the archive others read what was published: not a draft that was, and was taken back.
    published_at = postmortem.published_at if postmortem.status == states.PUBLISHED else None
    _move(postmortem, "archive", now=now, archived_at=now, published_at=published_at)
    audit.record("did", postmortem, by=by, text="Archived it.")
    return postmortem


@transaction.atomic
def restore(number, *, by, now):
    """Take it out of the archive, as a draft."""
    postmortem = _move(locked(number), "restore", now=now, archived_at=None)
    audit.record("did", postmortem, by=by, text="Took it out of the archive.")
    return postmortem


# --- comments -----------------------------------------------------------------------------------------------------
@transaction.atomic
def comment(number, *, text, section=None, by, now):
    """Say something to a section, given as its uuid, or to the whole. Returns the Comment. Raises DomainError."""
    postmortem = locked(number)
    check_editable(postmortem)
    text = storable(text).strip()
    if not text:
        raise DomainError("The comment is empty. Write what you want to say.")
    if len(text) > LONGEST_COMMENT:
        raise DomainError(f"A comment has at most {LONGEST_COMMENT} characters. Shorten it.")
    if postmortem.comments.filter(resolved_at=None).count() >= MOST_OPEN_COMMENTS:
        raise DomainError(f"There are {MOST_OPEN_COMMENTS} open comments. Resolve some of them first.")
    about = None
    if section is not None:
        about = postmortem.sections.filter(uuid=section, removed_at=None).first()
        if about is None:
            raise NotFound(f"PM-{number} has no such section any more. Comment on another one, or on the whole.")
    made = Comment.objects.create(postmortem=postmortem, section=about, text=text, by=by, at=now)
    telling.tell(
        postmortem,
        {postmortem.owner_id} - {by.pk if by else None},
        title=f"{by or 'The system'} commented on PM-{number} {about or postmortem.title}",
        body=text,
        key=f"comment:{made.uuid}",
        now=now,
    )
    return made


@transaction.atomic
def resolve_comment(uuid, *, by, now):
    """Say that a comment is dealt with: by who wrote it, or who may change the postmortem. Twice is harmless."""
    row = _locked_comment(uuid, by)
    if row.resolved_at is None:
        row.resolved_at, row.resolved_by = now, by
        row.save(update_fields=["resolved_at", "resolved_by"])
    return row


@transaction.atomic
def reopen_comment(uuid, *, by, now):
    """Say that a comment is not dealt with after all. Twice is harmless."""
    row = _locked_comment(uuid, by)
    row.resolved_at = row.resolved_by = None
    row.save(update_fields=["resolved_at", "resolved_by"])
    return row


def may_resolve(user, row):
    """Whether the comment is the person's to resolve."""
    return row.by_id == user.pk or may(user, "respond", row.postmortem)


def _locked_comment(uuid, by):
    row = Comment.objects.select_for_update(of=("self",)).select_related("postmortem").filter(uuid=uuid).first()
    if row is None:
        raise NotFound("There is no such comment any more.")
    check_editable(row.postmortem)
    if by is not None and not may_resolve(by, row):
        raise NotAllowed("Whoever wrote a comment resolves it, or who may change the postmortem.")
    return row


# --- for all ------------------------------------------------------------------------------------------------------
def _move(postmortem, verb, *, now, **changes):
    changes |= {"status": states.after(verb, postmortem.status), "changed_at": now}
    for name, value in changes.items():
        setattr(postmortem, name, value)
    postmortem.save(update_fields=list(changes))
    return postmortem


def _label(postmortem):
    return states.LABELS[postmortem.status].lower()


def _names(people):
    *others, last = [str(one) for one in people]
    return f"{', '.join(others)} and {last}" if others else last
