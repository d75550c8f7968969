"""What is stored here about a person: what they wrote and said in postmortems, and what is theirs to do."""

from django.db.models import Q

from accounts.privacy import Obstacle, erases, exports, obstacles, rows
from postmortems.models import (
    ActionItem,
    Comment,
    Factor,
    Image,
    Moment,
    Postmortem,
    Review,
    Revision,
    Section,
    ShareLink,
    Wanted,
)


@exports(
    "postmortems",
    "postmortems.Postmortem.owner",
    "postmortems.Postmortem.created_by",
    "postmortems.Postmortem.published_by",
    "postmortems.Revision.by",
    "postmortems.Moment.changed_by",
    "postmortems.Image.by",
    "postmortems.ShareLink.made_by",
    "postmortems.Wanted.declined_by",
)
def _written(person):
    theirs = Q(owner=person) | Q(created_by=person) | Q(published_by=person)
    names = ("number", "title", "status", "created_at", "published_at")
    return {
        "postmortems": rows(Postmortem.objects.filter(theirs), *names),
        "versions": rows(
            Revision.objects.filter(by=person), "section__postmortem_id", "section__title", "version", "at", "body"
        ),
        "timeline": rows(Moment.objects.filter(changed_by=person), "postmortem_id", "at", "text"),
        "images": rows(Image.objects.filter(by=person), "postmortem_id", "name", "at"),
        "links": rows(ShareLink.objects.filter(made_by=person), "postmortem_id", "made_at", "expires_at"),
        "declined": rows(Wanted.objects.filter(declined_by=person), "incident_id", "declined_at", "decline_reason"),
    }


@exports(
    "postmortem_reviews",
    "postmortems.Review.user",
    "postmortems.Review.asked_by",
    "postmortems.Comment.by",
    "postmortems.Comment.resolved_by",
    "postmortems.ActionItem.owner",
    "postmortems.ActionItem.created_by",
)
def _said(person):
    items = ActionItem.objects.filter(Q(owner=person) | Q(created_by=person))
    return {
        "reviews": rows(Review.objects.filter(user=person), "postmortem_id", "asked_at", "verdict", "note"),
        "asked_others": rows(Review.objects.filter(asked_by=person), "postmortem_id", "asked_at"),
        "comments": rows(Comment.objects.filter(by=person), "postmortem_id", "at", "text"),
        "resolved_comments": rows(Comment.objects.filter(resolved_by=person), "postmortem_id", "resolved_at"),
        "action_items": rows(items, "postmortem_id", "text", "status", "due_on", "created_at", "ended_at"),
    }


@obstacles
def _open_items(person, now):
    for item in ActionItem.objects.filter(owner=person, status__in=ActionItem.OPEN).order_by("pk"):
        text = f"{person} has the action item “{item.text[:80]}” of PM-{item.postmortem_id}. Give it to somebody else."
        yield Obstacle(text, may_force=True)


@erases
def _erase(person, traces, now):
    Image.objects.filter(by=person).update(by=None)
    traces.replace_in(Image.objects.defer("body"), "name")
    traces.replace_in(Postmortem, "title", "summary", "figures")
    traces.replace_in(Section, "title", "body")
    traces.replace_in(Revision, "title", "body")
    traces.replace_in(Moment, "text", "said")
    traces.replace_in(Factor, "text")
    traces.replace_in(Comment, "text")
    traces.replace_in(Review, "note")
    traces.replace_in(ActionItem, "text")
    traces.replace_in(Wanted, "decline_reason")
