"""Whose Slack member is whose account: somebody who pressed a button in Slack proves both by signing in here."""

from django.conf import settings
from django.core import signing
from django.db import connection, transaction

from core import secrets
from core.errors import DomainError, Gone, NotFound
from notifications import replays
from notifications.channels.slack import Slack
from notifications.models import ContactMethod

SALT = "notifications.slack_links"
VALID_SECONDS = 600


def address(member, team, name):
    """The address of the page that links a member of a workspace to whoever signs in there."""
    text = signing.dumps({"member": member, "team": team, "name": name[:80]}, salt=SALT, compress=True)
    return f"{settings.PUBLIC_URL}/slack/link/{text}"


def read(text):
    """The member, team and name that a link carries. Raises NotFound (forged) or Gone (older than ten minutes)."""
    try:
        return signing.loads(text, salt=SALT, max_age=VALID_SECONDS)
    except signing.SignatureExpired:
        raise Gone("This link is older than ten minutes. Press the button in Slack again to get a new one.") from None
    except signing.BadSignature:
        raise NotFound(
            "This link is not one of ours, or it was cut off on the way. Press the button in Slack again."
        ) from None


def person_of(member, team):
    """The active account that this member is, or None. A link made here holds for its own workspace only."""
    rows = ContactMethod.objects.filter(
        channel=Slack.kind,
        address_key__in=secrets.fingerprints(member),
        verified_at__isnull=False,
        user__is_active=True,
    ).select_related("user")
    people = {row.user for row in rows if (row.options or {}).get("team", team) == team}
    # Two accounts with one member: nobody can say who pressed.
    return people.pop() if len(people) == 1 else None


@transaction.atomic
def link(text, *, user, now):
    """Make the member of a link a verified contact method of the user. Returns it; the link works once.

    Raises NotFound, Gone, or DomainError when the member belongs to somebody else.
    """
    found = read(text)
    member, team = found["member"], found["team"]
    with connection.cursor() as cursor:
        # Two accounts may want the same member at once.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{SALT}:{member}"])
    rows = ContactMethod.objects.filter(channel=Slack.kind, address_key__in=secrets.fingerprints(member))
    if rows.filter(verified_at__isnull=False).exclude(user=user).exists():
        raise DomainError(
            "This Slack member belongs to another account already. Remove it from the settings there, or ask an "
            "admin.",
            code="taken",
        )
    own = rows.filter(user=user).first()
    if not replays.is_first(f"slack:link:{secrets.fingerprint(text)}", now=now):
        if own and own.verified_at:
            return own  # the button was pressed twice
        raise Gone("This link was used already. Press the button in Slack again to get a new one.")
    own = own or ContactMethod(user=user, channel=Slack.kind, address=member, label="Slack")
    own.verified_at = own.verified_at or now
    own.disabled_reason = ""
    own.options = {**(own.options or {}), "team": team}
    own.save()
    return own
