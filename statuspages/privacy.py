"""What is stored here about a person: what they told readers, and the states that they set."""

from accounts.privacy import erases, exports, rows
from statuspages import copying
from statuspages.models import Component, Partner, Post, PostUpdate


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
    }


@erases
def _erase(person, traces, now):
    traces.replace_in(Post, "title")
    traces.replace_in(PostUpdate, "body")
    copying.nudge(now=now)  # what readers see says it no more either
