"""What machines propose about an incident: a panel of its page, and of the page behind the link of a message.

Both are pages of their own where there are no scripts.
"""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from accounts.permissions import may, may_somewhere, visible
from accounts.visibility import hushed
from automation import proposals
from automation.models import Hypothesis, RecommendedAction
from core.errors import DomainError
from incidents.models import Incident
from incidents.replies import answers
from notifications import links

VERDICTS = {"approve": "approved", "reject": "rejected"}
DONE = {
    ("hypothesis", "approve"): "The hypothesis is approved.",
    ("hypothesis", "reject"): "The hypothesis is rejected.",
    ("action", "approve"): "The action is approved. No runbook belongs to it, so do it by hand.",
    ("action", "reject"): "The action is rejected.",
}


@login_required
@never_cache
@require_GET
def panel(request, number):
    incident = get_object_or_404(visible(Incident.objects.all(), request.user), pk=number)
    return _show(request, incident, request.user, may_review=may(request.user, "respond", incident))


@login_required
@require_POST
def review(request, number, kind, uuid, verdict):
    """Approve or reject a proposal, as whoever is signed in."""
    incident = get_object_or_404(visible(Incident.objects.select_related("team"), request.user), pk=number)
    if not may(request.user, "respond", incident):
        raise PermissionDenied(f"Responders of the team {incident.team} review this. Ask one of them.")
    _review(request, incident, kind, uuid, verdict, by=request.user, via="web")
    return redirect("automation:proposals" if "X-Fragment" in request.headers else "incident", number)


@never_cache
@require_GET
def link_panel(request, token):
    """The same for whoever holds the link of a message."""
    person, incident = _holder(token)
    return _guarded(_show(request, incident, person, may_review=True, token=token))


@csrf_exempt
@require_POST
def link_review(request, token, kind, uuid, verdict):
    """Approve or reject a proposal by the link of a message: the link is the credential, while it is not expired."""
    person, incident = _holder(token)
    _review(request, incident, kind, uuid, verdict, by=person, via="link")
    return _guarded(redirect("automation:link-proposals", token))


def _holder(token):
    """The person whom a link was sent to, and its one incident.

    Raises Http404 when it is not such a link, and PermissionDenied when they answer nothing any more: whoever has left
    still has the mail.
    """
    try:
        notification = links.holder_of(token, now=timezone.now())
    except DomainError as error:
        raise Http404 from error
    numbers = answers.numbers_of(notification)
    person = notification.user
    if person is None or len(numbers) != 1:
        raise Http404
    if not may_somewhere(person, "respond"):
        raise PermissionDenied(answers.refusal(person))
    return person, get_object_or_404(Incident, pk=numbers[0])


def _review(request, incident, kind, uuid, verdict, *, by, via):
    model = proposals.KINDS.get(kind)
    if model is None or verdict not in VERDICTS or not model.objects.filter(incident=incident, uuid=uuid).exists():
        raise Http404
    given = {"feedback": request.POST.get("feedback", ""), "seen": request.POST.get("seen", "")}
    try:
        proposals.review(model, uuid, verdict=VERDICTS[verdict], by=by, now=timezone.now(), via=via, **given)
    except DomainError as error:
        messages.error(request, hushed(by)(error.message))
    else:
        messages.success(request, DONE[kind, verdict])


def _show(request, incident, person, *, may_review, token=""):
    hush = hushed(person)
    hypotheses = list(Hypothesis.objects.filter(incident=incident).select_related("reviewed_by"))
    actions = list(RecommendedAction.objects.filter(incident=incident).select_related("reviewed_by", "hypothesis"))
    for kind, rows in (("hypothesis", hypotheses), ("action", actions)):
        for row in rows:
            row.kind, row.text, row.feedback = kind, hush(row.text), hush(row.feedback)
            row.evidence = [{**one, "text": hush(one["text"])} for one in row.evidence]
            row.approve_url, row.reject_url = (_address(incident, row, verdict, token) for verdict in VERDICTS)
    for row in actions:
        row.follows_from = proposals.first_line(hush(row.hypothesis.text), 120) if row.hypothesis else ""
    # The most likely first, and what was rejected last.
    order = {"approved": 0, "open": 1, "rejected": 2}
    for rows in (hypotheses, actions):
        rows.sort(key=lambda row: (order[row.verdict], -(row.confidence or 0), row.pk))
    context = {
        "section": "incidents",
        "incident": incident,
        "groups": [("Why it may be broken", hypotheses), ("What to do about it", actions)],
        "has_any": bool(hypotheses or actions),
        "may_review": may_review,
        "token": token,
        "zone": person.time_zone,
        "back_url": reverse("link", args=[token]) if token else reverse("incident", args=[incident.pk]),
    }
    is_fragment = context["is_fragment"] = "X-Fragment" in request.headers  # a page has its own place for messages
    response = render(request, f"automation/{'_proposals' if is_fragment else 'proposals'}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def _address(incident, row, verdict, token):
    if token:
        return reverse("automation:link-proposal-review", args=[token, row.kind, row.uuid, verdict])
    return reverse("automation:proposal-review", args=[incident.pk, row.kind, row.uuid, verdict])


def _guarded(response):
    response.headers["Referrer-Policy"] = "no-referrer"  # the address is a credential
    response.headers["X-Robots-Tag"] = "noindex"
    return response
