"""Telling people about a postmortem: quietly, and only those who may see it."""

from django.conf import settings

from accounts.models import User
from accounts.permissions import visible
from incidents.news import quietly
from notifications import outbox
from notifications.message import Kind, Message
from postmortems.models import Postmortem


def url_of(postmortem):
    """The address of its page, as it stands in messages."""
    return f"{settings.PUBLIC_URL}/postmortems/{postmortem.number}"


def tell(postmortem, user_ids, *, title, body="", key, now):
    """Tell these people, each once for this `key`: by their rules for low urgency, or by mail where they have none.

    Who may not see the postmortem, or is not active any more, is not told. In the caller's transaction.
    """
    people = User.objects.people().filter(pk__in=set(user_ids) - {None}, is_active=True)
    this = Postmortem.objects.filter(pk=postmortem.pk)
    seeing = [user.pk for user in people if visible(this, user).exists()]
    if not seeing:
        return
    message = Message(
        title=title,
        body=body,
        url=url_of(postmortem),
        urgency="low",
        thread=f"postmortem-{postmortem.number}",
        subject=f"[PM-{postmortem.number}] {postmortem.title}"[:250],
        kind=Kind.NOTICE,
    )
    share = f"team:{postmortem.team_id}"
    pages = [
        outbox.Page(f"{postmortem.topic}:{key}", postmortem.topic, pk, message, is_repeat=True, share=share)
        for pk in seeing
    ]
    outbox.plan_many(pages, now=now, reaches={pk: quietly(reach) for pk, reach in outbox.reaches(seeing).items()})
