"""Inviting people: the account exists from the beginning and has no password until its person chooses one."""

import dataclasses
import datetime as dt

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Max, Q

from accounts import audit, links, mail, passwords
from accounts.models import AccountMail, Membership, Role, Team, User
from accounts.permissions import leads, leads_person, may, may_somewhere
from accounts.roles import RANKS
from core.errors import DomainError, NotAllowed

KIND = "invitation"
WAITING = Q(is_active=True, is_machine=False, last_login=None, erased_at=None)


# --- who waits ------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Invited:
    """Somebody who was invited and has not come yet. `state` is a word for a chip, `sentence` says more."""

    person: User
    mail: AccountMail
    state: str
    sentence: str


def waiting(user, *, now):
    """Those whom the user may invite again or not any more, the latest first."""
    if not may_somewhere(user, "configure"):
        return []
    people = User.objects.filter(WAITING)
    if not may(user, "administer"):
        people = people.filter(memberships__team__in=user.access().own_teams("configure")).distinct()
    latest = AccountMail.objects.filter(kind=KIND, user__in=people.order_by()).values("user").annotate(pk=Max("pk"))
    mails = AccountMail.objects.filter(pk__in=latest.values("pk")).select_related("user", "by")
    return [_invited(one, now) for one in mails.order_by("-pk") if not one.user.has_usable_password()]


def _invited(row, now):
    if row.link_end:
        return Invited(row.user, row, "withdrawn", "It was withdrawn: the link does not work any more.")
    if row.error and row.due_at is None and row.sent_at is None:
        return Invited(row.user, row, "failed", row.error)
    if row.link_expires_at and row.link_expires_at <= now:
        return Invited(row.user, row, "expired", "The link is too old. Send another.")
    if row.sent_at is None:
        text = f"It could not be sent yet, and is tried again: {row.error}" if row.error else "It is being sent."
        return Invited(row.user, row, "pending", text)
    return Invited(row.user, row, "sent", "It was sent, and nobody has opened an account with it yet.")


# --- inviting -------------------------------------------------------------------------------------------------------
@transaction.atomic
def invite(email, *, by, now, name="", role=Role.OBSERVER, team=None, team_role=Role.RESPONDER):
    """Make an account for the address and mail its owner a link. Returns the person.

    Admins give any role. Admins of a team invite into their team, to a role there that is not above their own; to the
    platform whoever they bring is an observer. Raises DomainError.
    """
    email = User.objects.normalize_email(" ".join(email.split()))
    try:
        validate_email(email)
    except ValidationError:
        raise DomainError(f"“{email}” is not an email address. Write one like alice@example.com.") from None
    _check(by, role, team, team_role)
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        staff = {"is_staff": role == Role.ADMIN, "is_superuser": role == Role.ADMIN}
        person = User.objects.create_user(email, name=mail.one_line(name)[:150], role=role, **staff)
    else:
        _check_waits(person)
        if not leads_person(by, person):
            raise DomainError(f"{email} has been invited by somebody else already. An admin can send it again.")
    if team is not None:
        Membership.objects.get_or_create(team=team, user=person, defaults={"role": team_role})
    return _send(person, by=by, now=now)


def _check(by, role, team, team_role):
    if role not in Role.values or team_role not in Role.values:
        raise DomainError("Choose one of the roles: admin, responder or observer.")
    if may(by, "administer"):
        return
    if team is None:
        raise NotAllowed("Choose the team: you may invite people to a team that you are an admin of.")
    if not leads(by, team):
        raise NotAllowed(f"You may not invite people to {team}. Ask one of its admins.")
    if role != Role.OBSERVER:
        raise NotAllowed(
            "Only an admin of the platform gives a role there. Choose observer, and the role in the team."
        )
    if RANKS[team_role] > RANKS[by.access().role_in(team.pk)]:
        raise NotAllowed("You may not give a role that is above your own.")


def teams_to_invite_to(user):
    """The teams to which the user may invite people."""
    if may(user, "administer"):
        return Team.objects.all()
    return Team.objects.filter(pk__in=user.access().own_teams("configure"))


@transaction.atomic
def send_again(person, *, by, now):
    """Mail a new link to somebody who has not come yet; the old one stops working."""
    _check_leads(by, person)
    return _send(person, by=by, now=now)


@transaction.atomic
def withdraw(person, *, by, now):
    """Make the link of an invitation worthless. The account stays, without a way to sign in."""
    _check_leads(by, person)
    row = links.open_links(KIND).select_for_update(of=("self",)).filter(user=person).first()
    if row is None:
        raise DomainError(f"{person} has no open invitation.")
    links.end(row, links.End.WITHDRAWN, now=now)
    audit.record("did", person, by=by, text="The invitation was withdrawn.")


def _check_leads(by, person):
    if not may_somewhere(by, "configure") or not leads_person(by, person):
        raise NotAllowed(f"You may not invite {person}. Ask an admin of a team of theirs.")


def _check_waits(person):
    if person.erased_at or not person.is_active:
        raise DomainError(f"The account {person.email} is deactivated. An admin can activate it again.")
    if person.last_login or person.has_usable_password():
        raise DomainError(
            f"{person.email} has an account already. Add them to the team on its page, or let them use “Forgotten "
            "your password?” on the sign-in page."
        )


def _send(person, *, by, now):
    person = User.objects.select_for_update().get(pk=person.pk)
    _check_waits(person)
    site = mail.one_line(settings.SITE_NAME)
    row = AccountMail(
        kind=KIND,
        user=person,
        by=by,
        address=person.email,
        subject=mail.one_line(f"You are invited to {site}"),
        created_at=now,
        due_at=now,
    )
    inviter = mail.one_line(str(by))
    if passwords.may_sign_in_here(person):
        lifetime = dt.timedelta(hours=settings.INVITATION_HOURS)
        address = links.add(row, "invitation", lifetime=lifetime, now=now)
        row.body = (
            f"{inviter} ({by.email}) invites you to {site}, where incidents are handled and people are called.\n\n"
            f"Open this link to choose a password:\n\n{address}\n\n"
            f"It works once, within {settings.INVITATION_HOURS} hours. Do not pass it on: whoever opens it gets the "
            "account. If you expected nothing like this, do nothing."
        )
    else:
        row.body = (
            f"{inviter} ({by.email}) invites you to {site}, where incidents are handled and people are called.\n\n"
            f"Sign in with the button for single sign-on at {settings.PUBLIC_URL}/login. You need no password here."
        )
    row.save()
    audit.record("did", person, by=by, text="An invitation was sent.")
    mail.due.wake("account-mails")
    return person


# --- accepting ------------------------------------------------------------------------------------------------------
def find(token, *, now, lock=False):
    """The mail of an invitation that can still be accepted. Raises NotFound or Gone."""
    row = links.find(KIND, token, now=now, lock=lock)
    if row.user.last_login or row.user.has_usable_password():
        raise links.Gone("You have an account already. Sign in with it.")
    if not passwords.may_sign_in_here(row.user):
        raise links.Gone("No password is needed here any more: sign in with the button for single sign-on.")
    return row


@transaction.atomic
def accept(token, *, name, password, time_zone, now):
    """Give the account its name and password, and end the link. Returns the person; the caller signs them in.

    Raises NotFound or Gone for the link, and ValidationError for what was typed.
    """
    row = find(token, now=now, lock=True)
    person = User.objects.select_for_update().get(pk=row.user_id)
    person.name, person.time_zone = mail.one_line(name)[:150], time_zone
    person.clean()
    validate_password(password, person)
    person.set_password(password)
    person.save(update_fields=["name", "time_zone", "password"])
    links.end(row, links.End.USED, now=now)
    audit.record("did", person, by=person, text="The invitation was accepted.")
    return person
