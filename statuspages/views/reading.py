"""Pages for those who read: the list of public ones, and each page's files as its copy has them.

Public pages are answered in front of Django (`statuspages.window`); here are those that not everybody may read.
Whoever may not gets the same answer as for a page that does not exist.
"""

from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from accounts.permissions import visible
from core.limits import client_address
from statuspages import drawing, partners, showing, words
from statuspages.models import Audience, Copy, Logo, Partner, StatusPage


@require_safe
def listed(request):
    """The public pages. Whoever is signed in finds theirs too."""
    now = timezone.now()
    rows = StatusPage.objects.filter(is_enabled=True).select_related("team")
    partner = partners.partner_of(request, now=now)
    shown = rows.filter(audience=Audience.PUBLIC)
    if request.user.is_authenticated:
        shown |= visible(rows, request.user)
    if partner is not None:
        shown |= rows.filter(pk__in=partners.pages_of(partner))
    state = KeyTextTransform("state", "copy__content")
    english = words.of("en")
    pages = [
        {"page": page, "state": page.state, "state_words": english[page.state] if page.state else ""}
        for page in shown.annotate(state=state).distinct()
    ]
    return _headed(render(request, "statuspages/public/list.html", {"pages": pages, "shapes": drawing.SHAPES}))


@require_safe
def page(request, slug, path=""):
    """One file of a page: the page itself, a feed, a badge, the API, the logo."""
    now = timezone.now()
    row = StatusPage.objects.select_related("team").filter(slug=slug).first()
    reader = showing.reader_of(request, row, now=now) if row else None
    found = _file(row, path) if reader else None
    if isinstance(reader, Partner) and (found is None or found[0].startswith("text/html")):
        _note(request, reader, row, path, now)
    if found is None:
        return _none(request, slug)
    content_type, body = found
    response = HttpResponse(body)
    said = showing.headers(path, content_type, is_public=row.audience == Audience.PUBLIC)
    for name, value in said.items():
        response.headers[name] = value
    response.headers["ETag"] = etag = showing.etag(body)
    return get_conditional_response(request, etag=etag, response=response)


def _file(page, path):
    """`(content type, bytes)`, or None."""
    if path == showing.LOGO:
        logo = Logo.objects.filter(page=page).first()
        return (logo.content_type, bytes(logo.body)) if logo else None
    # One file of hundreds: the database takes it out.
    row = Copy.objects.filter(page=page).values_list(KeyTransform(path, "files"), flat=True).first()
    return (row[0], row[1].encode()) if row else None


def _note(request, partner, page, path, now):
    partners.note_visit(
        partner,
        page=page,
        what=f"/status/{page.slug}/{path}".rstrip("/"),
        address=client_address(request),
        agent=request.headers.get("User-Agent", ""),
        now=now,
    )


def _none(request, slug):
    """There is no such page, or not for this reader: the same words."""
    return _headed(render(request, "statuspages/public/none.html", {"slug": slug}, status=404))


def _headed(response):
    response.headers["Content-Security-Policy"] = showing.HTML_POLICY
    response.headers["Cache-Control"] = "no-store"
    return response
