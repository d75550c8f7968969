"""Pages for subscribers: asking, confirming, changing and ending. They work without script and without an account."""

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from core import limits
from core.errors import DomainError, NotFound
from statuspages import showing, subscribing, words
from statuspages.models import Audience, Subscriber

Channel = Subscriber.Channel


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def subscribe(request, slug):
    """The form (GET); what was typed is asked about at the address itself (POST), and everybody hears the same."""
    now = timezone.now()
    page = _page(slug)
    if not showing.may_look(request, page, now=now):
        raise Http404("There is no such page.")
    typed, problem, status = _typed(request), "", 200
    if request.method == "POST":
        try:
            subscribing.ask(
                page,
                channel=typed["channel"],
                address=typed["address"],
                components=_wanted(page, typed),
                now=now,
                address_of_client=limits.client_address(request),
            )
        except DomainError as error:
            problem, status = error.message, error.status
        else:
            return _show(request, page, "asked")
    elif not page.accepts_subscribers:
        problem = words.of(page.language)["no_subscribers"]
    return _form(request, page, typed, problem=problem, status=status, channels=_channels(page, typed["channel"]))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request, slug, token):
    """A button (GET, as mail scanners open every link), and the confirmation itself (POST)."""
    now = timezone.now()
    try:
        row = _of_enabled_page(subscribing.asked_by(token, now=now))
        if request.method == "POST" and row.confirmed_at is None:
            row = subscribing.confirm(token, now=now)
    except DomainError as error:
        return _refused(request, _page(slug), error)
    return _show(request, row.page, "confirm" if row.confirmed_at is None else "confirmed", row=row)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def manage(request, slug, token):
    """What one subscriber is told of, to be changed."""
    now, problem = timezone.now(), ""
    try:
        row = _of_enabled_page(subscribing.find(token))
        page = row.page
        if row.ended_at is not None or row.confirmed_at is None:
            return _show(request, page, "unsubscribed" if row.ended_at else "asked", row=row)
        if not subscribing.may_be_told(row, now=now):  # what the page has is no longer theirs to see
            return redirect(subscribing.links(row).leave)
        typed = _stored(row)
        if request.method == "POST":
            typed = _typed(request)
            try:
                subscribing.change_components(token, _wanted(page, typed), now=now)
            except DomainError as error:
                problem = error.message
    except DomainError as error:
        return _refused(request, _page(slug), error)
    return _form(
        request,
        page,
        typed,
        problem=problem,
        status=400 if problem else 200,
        row=row,
        leave=subscribing.links(row).leave,
        is_saved=request.method == "POST" and not problem,
    )


@csrf_exempt  # mail programs post without having seen a page (RFC 8058); the signed address is the credential
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def leave(request, slug, token):
    """A button (GET), and the end of the subscription (POST)."""
    try:
        row = _of_enabled_page(subscribing.find(token))
        if request.method == "POST":
            row = subscribing.leave(token, now=timezone.now())
    except DomainError as error:
        return _refused(request, _page(slug), error)
    if request.method == "POST" and "List-Unsubscribe" in request.POST:
        return HttpResponse(status=200)
    return _show(request, row.page, "unsubscribed" if row.ended_at else "unsubscribe", row=row)


# --- reading what was typed -----------------------------------------------------------------------------------------
def _typed(request):
    given = request.POST
    return {
        "channel": given.get("channel", str(Channel.EMAIL)),
        "address": given.get("address", "").strip(),
        "scope": given.get("scope", "everything"),
        "components": given.getlist("component"),
    }


def _stored(row):
    chosen = [str(one.uuid) for one in row.components.all()]
    return {"scope": "chosen" if chosen else "everything", "components": chosen}


def _wanted(page, typed):
    """The uuids that were chosen. Raises DomainError when somebody wants certain systems and names none."""
    if typed["scope"] != "chosen":
        return ()
    if not typed["components"]:
        raise DomainError(words.of(page.language)["choose_systems"])
    return typed["components"]


def _of_enabled_page(row):
    """The subscriber whom a link names. Its page counts, not the address: mails outlive the name of a page."""
    if not row.page.is_enabled:
        raise Http404("There is no such page.")
    return row


def _page(slug):
    try:
        return subscribing.page_of(slug)
    except NotFound as error:
        raise Http404(error.message) from None


# --- answering ------------------------------------------------------------------------------------------------------
def _channels(page, chosen):
    said = words.of(page.language)
    return [(str(one), said[f"by_{one}"], one == chosen) for one in subscribing.offered(page)]


def _form(request, page, typed, *, status, **context):
    components = [(str(one.uuid), one.name) for one in page.components.order_by("position", "pk")]
    context |= {"typed": typed, "components": components}
    return _answer(request, page, "statuspages/subscribe.html", context, status)


def _show(request, page, what, *, row=None):
    """A page that says one thing, with a button where something is to be decided."""
    said = words.of(page.language)
    shown = row.destination.shown if row else ""
    text, button, secret, manage = "", "", "", ""
    if what == "asked":
        text = said["asked_text"]
    elif what in ("confirm", "confirmed"):
        text = said["confirm_text"].format(address=shown, name=page.name)
    else:
        text = said["unsubscribe_text"].format(address=shown, name=page.name)
    if what in ("confirm", "unsubscribe"):
        button = said[what]
    if what == "confirmed":
        manage = subscribing.links(row).manage
        secret = row.destination.secret if row.channel == Channel.WEBHOOK else ""
    titles = {"confirm": "confirm_title", "unsubscribe": "unsubscribe_title"}
    context = {
        "heading": said[titles.get(what, what)],
        "text": text,
        "button": button,
        "secret": secret,
        "manage": manage,
        "needs_token": what == "confirm",
    }
    return _answer(request, page, "statuspages/subscribe_said.html", context, 200)


def _refused(request, page, error):
    if not showing.may_look(request, page, now=timezone.now()):
        raise Http404("There is no such page.")  # a link that is none of ours does not tell that there is one
    context = {"heading": words.of(page.language)["refused"], "problem": error.message}
    return _answer(request, page, "statuspages/subscribe_said.html", context, error.status)


def _answer(request, page, template, context, status):
    said, base = words.of(page.language, page.time_zone), f"/status/{page.slug}"
    logo = getattr(page, "logo", None)
    is_public = page.audience == Audience.PUBLIC
    heading = context.get("heading") or said["subscribe_to"].format(name=page.name)
    frame = {
        "page": {
            "name": page.name,
            "language": page.language,
            "accent_colour": page.accent_colour,
            "website_url": page.website_url,
            "support_url": page.support_url,
            "accepts_subscribers": page.accepts_subscribers,
            "logo": logo,
        },
        "words": _Said(said),
        "home": base,
        "history": f"{base}/history",
        "atom": f"{base}/history.atom",
        "rss": f"{base}/history.rss",
        # Whoever comes by a link in a mail may not be signed in, and then the page's own sheet is not shown to them.
        "style": f"{base}/status.css" if is_public else static("statuspages/status.css"),
        "icon": f"{base}/icon.svg",
        "logo": f"{base}/logo" if logo and is_public else "",
        "subscribe": f"{base}/subscribe",
        "canonical": f"{page.address}/subscribe",
        "zone": "",
        "is_public": False,  # nobody looks for these by a search engine
        "note": "",
        "here": "subscribe",
        "title": f"{heading} · {page.name}",
        "heading": heading,
    }
    response = render(request, template, frame | context, status=status)
    response.headers["X-Robots-Tag"] = "noindex"
    patch_vary_headers(response, ["Cookie"])
    return response


class _Said(dict):
    """Words for templates, which look names up."""

    def __init__(self, said):
        self._words = said

    def __missing__(self, name):
        return self._words[name]
