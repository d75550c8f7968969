"""Addresses that show a published postmortem to people without an account, and what such people see."""

from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from core import markdown
from core.errors import DomainError
from postmortems import images, sharing, states
from postmortems.forms import ShareForm
from postmortems.models import Postmortem
from postmortems.views import drawing, finding


@login_required
@never_cache
def links(request, number):
    """The links of a postmortem. A new one is shown once: only its hash is stored."""
    found = finding.writable(request, number)
    form, made, status = (
        ShareForm(request.POST if request.method == "POST" else None, for_whom=request.user),
        None,
        200,
    )
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                made, token = sharing.make(number, days=form.cleaned_data["days"], by=request.user, now=timezone.now())
            except DomainError as error:
                form.refuse(error)
            else:
                status = 200
                made.address = sharing.address_of(token)
                form = ShareForm(for_whom=request.user)
    now = timezone.now()
    rows = list(found.share_links.select_related("made_by", "postmortem"))
    for one in rows:
        one.is_usable = sharing.works(one, now=now)
    context = finding.context(
        request,
        postmortem=found,
        tab="links",
        links=rows,
        made=made,
        form=form,
        is_published=found.status == states.PUBLISHED,
    )
    return render(request, "postmortems/links.html", context, status=status)


@login_required
@require_POST
def revoke(request, number, uuid):
    """End a link now."""
    found = finding.writable(request, number)
    link = get_object_or_404(found.share_links, uuid=uuid)
    finding.do(request, "The link shows nothing any more.", sharing.revoke, link.uuid)
    return redirect("postmortems:links", number)


@never_cache
@require_safe
def shared(request, token):
    """What whoever holds a link reads. A link that is over says so, and not what it showed."""
    try:
        found = sharing.open(token, now=timezone.now())
    except DomainError as error:
        answer = render(request, "postmortems/shared.html", {"refusal": error.message}, status=error.status)
        return _guarded(answer)
    picture = _picture_of(found, token)
    context = {
        "postmortem": found,
        "summary": markdown.render(found.summary, picture=picture),
        "sections": [(one.title, markdown.render(one.body, picture=picture)) for one in found.sections],
        "zone": "UTC",  # who reads it has no time zone that we know
    }
    return _guarded(render(request, "postmortems/shared.html", context))


def _picture_of(found, token):
    """As `images.picture_of`, with the addresses that a link opens."""
    known = images.picture_of(Postmortem.objects.only("number").get(pk=found.number))

    def picture(address):
        size = known(address)
        if size is None:
            return None
        return size | {"src": reverse("postmortems:shared-image", args=[token, address.rpartition("/")[2]])}

    return picture


@require_safe
def shared_image(request, token, uuid):
    """An image of what the link shows."""
    try:
        found = sharing.image(token, uuid, now=timezone.now())
    except DomainError as error:
        raise Http404 from error
    return _guarded(drawing.served(found, keeps=False))


def _guarded(response):
    """An address that is a credential travels no further: not to search engines, nor with a link that is followed."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response
