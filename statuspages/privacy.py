"""What is stored here about a person: what they told readers, and the states that they set."""

from accounts.privacy import erases, exports, rows
from statuspages import copying, subscribing
from statuspages.models import Component, Partner, Post, PostUpdate, Subscriber


@exports(
    "status_pages",
    "statuspages.Component.manual_by",
    "statuspages.Post.created_by",
    "statuspages.PostUpdate.by",
    "statuspages.Partner.created_by",
)
def _status_pages(person):
    states = ("page__slug", "name", "manual_state", "manual_until", "manual_reason")
    return {
        "posts": rows(Post.objects.filter(created_by=person), "uuid", "page__slug", "title", "created_at"),
        "updates": rows(PostUpdate.objects.filter(by=person), "uuid", "post__uuid", "stage", "body", "at", "via"),
        "states": rows(Component.objects.filter(manual_by=person), *states),
        "partners": rows(Partner.objects.filter(created_by=person), "name", "company", "created_at"),
        "subscriptions": [
            {
                "page": one.page.slug,
                "address": one.destination.address,
                "components": [component.name for component in one.components.all()],
                "asked_at": one.asked_at,
                "confirmed_at": one.confirmed_at,
                "ended_at": one.ended_at,
                "end_reason": one.end_reason,
            }
            for one in subscribing.subscriptions_of(_addresses(person)).select_related("page", "destination")
        ],
    }


def _addresses(person):
    """Their mail addresses: that of the account, and those at which they are paged."""
    return [person.email, *(one.address for one in person.contact_methods.all() if one.channel == "email")]


@erases
def _erase(person, traces, now):
    traces.replace_in(Post, "title")
    traces.replace_in(PostUpdate, "body")
    traces.replace_in(Subscriber, "end_reason")
    subscribing.forget_people(traces.addresses)
    copying.nudge(now=now)  # what readers see says it no more either
