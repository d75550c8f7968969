"""What people say about a postmortem before it is published, and the buttons that move it on."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.permissions import leads
from postmortems import reviewing, states
from postmortems.models import Comment, Review
from postmortems.views import finding

# Address: verb, its move, what the button says, the question, what is said then.
MOVES = {
    "publish": (
        reviewing.publish,
        "publish",
        "Publish",
        "It can be read by those it is for, and the team and the responders of its incidents are told.",
        "It is published.",
    ),
    "take-back": (
        reviewing.take_back,
        "take_back",
        "Take back",
        "It becomes a draft again, which only its team and its reviewers see. Links that share it show nothing then.",
        "It is a draft again.",
    ),
    "archive": (
        reviewing.archive,
        "archive",
        "Archive",
        "It leaves the list, and nobody can change it. It can be restored.",
        "It is archived.",
    ),
    "restore": (
        reviewing.restore,
        "restore",
        "Restore",
        "It becomes a draft again, and can be changed and published.",
        "It is a draft again.",
    ),
}


def moves_of(postmortem):
    """`[(name, label)]` of what can be done to it now."""
    return [
        (name, label) for name, (_, move, label, *_) in MOVES.items() if postmortem.status in states.MOVES[move][0]
    ]


@login_required
@never_cache
def do(request, number, verb):
    """Ask, then publish it, take it back, archive or restore it."""
    if verb not in MOVES:
        raise Http404
    found = finding.writable(request, number)
    act, _, label, meaning, done = MOVES[verb]
    if request.method == "POST":
        is_forced = {"is_forced": True} if verb == "publish" and request.POST.get("anyway") else {}
        finding.do(request, done, act, number, **is_forced)
        return redirect("postmortems:postmortem", number)
    reviews = list(found.reviews.select_related("user"))
    context = finding.context(
        request,
        postmortem=found,
        heading=f"{label} PM-{number}?",
        meaning=meaning,
        button=label,
        is_grave=verb in ("archive", "take-back"),
        waiting=[one for one in reviews if one.verdict != Review.Verdict.APPROVED] if verb == "publish" else [],
        is_against=verb == "publish" and any(one.verdict == Review.Verdict.CHANGES for one in reviews),
        may_force=leads(request.user, found.team),
        open_comments=found.comments.filter(resolved_at=None).count() if verb == "publish" else 0,
        back=reverse("postmortems:postmortem", args=[number]),
    )
    return render(request, "postmortems/confirm.html", context)


@login_required
@require_POST
def ask(request, number):
    """Ask people to read it, or take one off again."""
    found = finding.writable(request, number)
    if wanted := finding.uuid_of(request.POST.get("remove", "")):
        review = get_object_or_404(found.reviews.select_related("user"), user__uuid=wanted)
        finding.do(request, f"{review.user} is no reviewer any more.", reviewing.unask, number, review.user)
        return redirect(reverse("postmortems:postmortem", args=[number]) + "#review-head")
    uuids = [one for one in map(finding.uuid_of, request.POST.getlist("reviewer")) if one]
    people = list(User.objects.people().filter(uuid__in=uuids, is_active=True))
    if not people:
        finding.refuse(request, "Choose at least one reviewer, then press Ask.")
    else:
        names = ", ".join(str(one) for one in people)
        finding.do(request, f"Asked to read it: {names}.", reviewing.ask, found.number, people)
    return redirect(reverse("postmortems:postmortem", args=[number]) + "#review-head")


@login_required
@require_POST
def say(request, number):
    """Approve, or ask for changes. Only who was asked does."""
    found = finding.readable(request, number)
    if not found.reviews.filter(user=request.user).exists():
        raise PermissionDenied("You are not asked to review this postmortem. Its team asks reviewers on its page.")
    verdict = request.POST.get("verdict", "")
    note = finding.text_of(request.POST, "note", 5000)
    if verdict not in (Review.Verdict.APPROVED, Review.Verdict.CHANGES):
        finding.refuse(request, "Choose “Approve” or “Ask for changes”.", note)
    else:
        finding.do(request, "Your review is noted.", reviewing.say, number, verdict=verdict, note=note, typed=note)
    return redirect(reverse("postmortems:postmortem", args=[number]) + "#review-head")


@login_required
@require_POST
def comment(request, number):
    """Say something to a section, or to the whole: whoever reads it may."""
    found = finding.readable(request, number)
    section = None
    if wanted := request.POST.get("section", ""):
        section = get_object_or_404(found.sections, uuid=finding.uuid_of(wanted))
    text = finding.text_of(request.POST, "text", 20_000)
    about = section and section.uuid
    finding.do(request, "The comment is there.", reviewing.comment, number, text=text, section=about, typed=text)
    anchor = f"#section-{section.uuid}" if section else "#comments-head"
    return redirect(reverse("postmortems:postmortem", args=[number]) + anchor)


@login_required
@require_POST
def resolve(request, number, uuid):
    """Say that a comment is dealt with, or that it is not after all."""
    found = finding.readable(request, number)
    comment = get_object_or_404(Comment.objects.filter(postmortem=found).select_related("section"), uuid=uuid)
    if not reviewing.may_resolve(request.user, comment):
        raise PermissionDenied("Whoever wrote a comment resolves it, or who may change the postmortem.")
    if request.POST.get("do") == "reopen":
        finding.do(request, "The comment is open again.", reviewing.reopen_comment, comment.uuid)
    else:
        finding.do(request, "The comment is resolved.", reviewing.resolve_comment, comment.uuid)
    anchor = f"#section-{comment.section.uuid}" if comment.section else "#comments-head"
    return redirect(reverse("postmortems:postmortem", args=[number]) + anchor)
