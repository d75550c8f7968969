"""A postmortem as it is read: on the screen, on paper, as Markdown and as PDF."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.permissions import may, visible
from accounts.visibility import hushed
from core import markdown
from core.errors import DomainError
from core.pages import respond
from postmortems import exporting, images, states
from postmortems.forms import ItemForm, people_of
from postmortems.models import ActionItem, Comment
from postmortems.moments import figures_for
from postmortems.views import finding
from postmortems.views.cards import dressed
from postmortems.views.reviewing import moves_of

FRAGMENTS = ("head", "text", "items", "review")
# Of postmortems/figures.py: name, what it is called, how it is said.
FIGURES = (
    ("impact_seconds", "Impact", "span"),
    ("mtta_seconds", "Until acknowledged", "span"),
    ("mttr_seconds", "Until resolved", "span"),
    ("pages", "Pages", "count"),
)
MOST_MOMENTS = 12  # on a first look; the rest unfolds


@login_required
@never_cache
@require_safe
def postmortem(request, number):
    """The page of a postmortem, or those of its parts that the browser asks for."""
    return page(request, finding.readable(request, number))


def page(request, found, *, item_form=None, status=200):
    """Render the page. `item_form` is one that was refused, `status` that of the refusal."""
    may_write = may(request.user, "respond", found)
    reviews = list(found.reviews.select_related("user", "asked_by"))
    hush = hushed(request.user)
    moments = list(visible(found.moments.filter(is_shown=True), request.user))
    for one in moments:
        one.text = hush(one.text)
    comments = list(Comment.objects.filter(postmortem=found).select_related("by", "resolved_by"))
    mine = next((one for one in reviews if one.user_id == request.user.pk), None)
    asked = [one.user_id for one in reviews]
    figures = figures_for(found, request.user)
    context = finding.context(
        request,
        postmortem=found,
        tab="read",
        may_write=may_write and found.is_editable,
        may_move=may_write,
        may_comment=found.is_editable,
        moves=moves_of(found) if may_write else [],
        summary=_drawn(found, found.summary),
        sections=sections_of(found, comments),
        comments=[one for one in comments if one.section_id is None],
        open_comments=sum(one.resolved_at is None for one in comments),
        moments=moments,
        few=MOST_MOMENTS,
        factors=found.factors.all(),
        incidents=visible(found.incidents.select_related("service"), request.user).order_by("number"),
        reviews=reviews,
        mine=mine,
        may_say=mine is not None and found.status == states.IN_REVIEW,
        candidates=people_of(found.team).exclude(pk__in=asked) if may_write else [],
        few_less=-MOST_MOMENTS,
        figures=[(label, figures[name], kind) for name, label, kind in FIGURES if figures.get(name)],
        people=[(one["name"], one["count"]) for one in figures.get("people_paged", ())],
        **items_of(request, found, may_write, item_form),
    )
    return respond(request, "postmortems/postmortem.html", context, fragments=FRAGMENTS, status=status)


def items_of(request, found, may_write, form=None):
    """What the list of action items of one postmortem shows."""
    today = finding.today(request.user)
    rows = list(found.items.select_related("owner"))
    for one in rows:
        one.postmortem = found
    form = form or (ItemForm(for_whom=request.user, team=found.team) if may_write else None)
    return {
        "items": dressed(rows, request.user, today),
        "item_form": form,
        "open_count": sum(one.status in ActionItem.OPEN for one in rows),
    }


def sections_of(found, comments):
    """The sections, each with its text as HTML and what was said to it."""
    picture = images.picture_of(found)
    rows = list(found.sections.filter(removed_at=None))
    for one in rows:
        one.html = markdown.render(one.body, picture=picture)
        one.said = [comment for comment in comments if comment.section_id == one.pk]
    return rows


def _drawn(found, text):
    return markdown.render(text, picture=images.picture_of(found))


@login_required
@never_cache
@require_safe
def markdown_file(request, number):
    """All of it as one Markdown document."""
    found = finding.readable(request, number)
    return _file(exporting.markdown(found, reader=request.user), found, "md", "text/markdown; charset=utf-8")


@login_required
@never_cache
@require_safe
def pdf_file(request, number):
    """All of it as a PDF, with its images."""
    found = finding.readable(request, number)
    try:
        body = exporting.pdf(found, reader=request.user)
    except DomainError as error:
        messages.error(request, error.message)
        return redirect("postmortems:postmortem", number)
    return _file(body, found, "pdf", "application/pdf")


def _file(body, found, ending, content_type):
    answer = HttpResponse(body, content_type=content_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="postmortem-{found.number}.{ending}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
