"""The pages of browser push: signing a browser up and off, its service worker, and what that reports back."""

import functools
import hashlib
import json
from pathlib import Path

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template import loader
from django.templatetags.static import static
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import etag, require_GET, require_POST

from accounts.sessions import device
from core import secrets
from core.errors import NotFound
from notifications import providers, receipts
from notifications.channels.webpush import WebPush, read_receipt
from notifications.models import ContactMethod, Notification

LONGEST_BODY = 8 * 1024
MOST_BROWSERS = 20  # of one person
WORKER = ("push", "copies", "queue")  # the parts of the service worker, in templates/notifications/worker
PACKAGES = (
    "packages/htmx.org/dist/htmx.min.js",
    "packages/idiomorph/dist/idiomorph.min.js",
    "packages/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
)
# --bg and --surface of static/css/watchbill.css: a manifest knows one theme only, and people are called at night.
BACKGROUND, THEME = "#0b0e13", "#12161d"
STATES = {"shown": "delivered", "clicked": "read"}


def public_key():
    """What a browser needs to sign up, for `data-key` of the push button. Makes the keys when there are none yet.

    Empty when the stored keys cannot be read: then push cannot be had until an admin corrects them.
    """
    account = providers.own_account(WebPush.vendor)
    return account.config["public_key"] if account else ""


@functools.cache
def _worker():
    """The text of the service worker, and its version: a hash of all that it brings."""
    build = {
        "static": settings.STATIC_URL,
        "files": _files(),
        "icon": static("icons/icon-192.png"),
        "badge": static("icons/badge-96.png"),
    }
    parts = [f"const BUILD = {json.dumps(build)};"]
    parts += [loader.render_to_string(f"notifications/worker/{name}.js") for name in WORKER]
    text = "\n".join(parts)
    return text, hashlib.sha256(text.encode()).hexdigest()[:16]


def _files():
    """Addresses of what a kept page needs: our own scripts and styles, and the packages that every page loads."""
    ours = [path for folder in settings.STATICFILES_DIRS for path in sorted(Path(folder).glob("[cj]s*/*.*"))]
    names = [f"{path.parent.name}/{path.name}" for path in ours if path.suffix in (".css", ".js")]
    return [static(name) for name in [*names, *PACKAGES, "favicon.svg"]]


@require_GET
@etag(lambda request: f'"{_worker()[1]}"')
def service_worker(request):
    """The service worker, for the whole site: so it stands at the root, and is looked for anew at every visit."""
    response = HttpResponse(_worker()[0], content_type="text/javascript")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Service-Worker-Allowed"] = "/"
    return response


@require_GET
def manifest(request):
    """What makes the site an app on the home screen; an iPhone allows push to nothing else."""
    icons = [
        {"src": static(f"icons/{purpose}-{size}.png"), "type": "image/png", "sizes": f"{size}x{size}", "purpose": word}
        for purpose, word in (("icon", "any"), ("maskable", "maskable"))
        for size in (192, 512)
    ]
    icons.append({"src": static("favicon.svg"), "type": "image/svg+xml", "sizes": "any", "purpose": "any"})
    small = [icons[0]]
    answer = {
        "id": "/",
        "name": settings.SITE_NAME,
        "short_name": settings.SITE_NAME[:12],
        "description": "Who is called, what is broken, and who has it.",
        "lang": "en",
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": BACKGROUND,
        "theme_color": THEME,
        "categories": ["productivity", "utilities"],
        "icons": icons,
        "shortcuts": [
            {"name": "Open an incident", "url": "/incidents/new", "icons": small},
            {"name": "Incidents", "url": "/incidents", "icons": small},
            {"name": "On call now", "short_name": "On call", "url": "/oncall", "icons": small},
        ],
    }
    return JsonResponse(answer, content_type="application/manifest+json", headers={"Cache-Control": "max-age=3600"})


@require_GET
def offline(request):
    """What the service worker shows instead of a page of which it has no copy. It is the same for everybody."""
    return render(request, "notifications/offline.html")


@require_GET
@never_cache
def session(request):
    """Who is signed in, and the token for what their service worker sends: a page it kept may hold one that is old."""
    if not request.user.is_authenticated:
        return JsonResponse({"person": ""})
    return JsonResponse({"person": str(request.user.uuid), "csrf": get_token(request)})


@require_POST
@never_cache
def subscribe(request):
    """Make the browser's subscription a contact method of the person who is signed in. It is verified by that.

    With `is_question` nothing is made: the answer says whether pages reach this browser as things are.
    """
    if not request.user.is_authenticated:
        return _trouble("You are not signed in any more. Sign in, then turn push on again.", 401)
    values, channel = _values(request), WebPush()
    address = channel.normal(json.dumps(values.get("subscription")))
    if problem := channel.problem_with(address):
        return _trouble(problem)
    same = ContactMethod.objects.filter(channel=channel.kind, address_key__in=secrets.fingerprints(address))
    method = same.filter(user=request.user).first()
    if values.get("is_question"):
        return JsonResponse({"is_on": method is not None and method.is_usable})
    ours = public_key()
    if not ours:
        return _trouble("The web push keys of this installation cannot be read. Ask an admin to correct them.", 503)
    if values.get("key") != ours:
        return _trouble("The keys of this installation have changed. Reload the page, then turn push on again.", 409)
    if same.exclude(user=request.user).exists():
        # Somebody else signed in to this browser before. The page makes a new subscription, and theirs ends.
        return _trouble("This browser is signed up for somebody else. Turn push off, then on again.", 409)
    if method is None:
        if ContactMethod.objects.filter(user=request.user, channel=channel.kind).count() >= MOST_BROWSERS:
            return _trouble(f"You have {MOST_BROWSERS} browsers. Delete one that you no longer use first.")
        label = device(request.headers.get("User-Agent", ""))
        method = ContactMethod(user=request.user, channel=channel.kind, label=label)
    method.address, method.options = address, {"key": ours}
    method.verified_at, method.disabled_reason = timezone.now(), ""
    method.save()
    return JsonResponse({"is_on": True, "label": method.label})


@require_POST
@never_cache
def unsubscribe(request):
    """Delete the contact method of a browser that turns push off."""
    if not request.user.is_authenticated:
        return _trouble("You are not signed in any more. Sign in, then turn push off again.", 401)
    address = WebPush().normal(json.dumps(_values(request).get("subscription")))
    ContactMethod.objects.filter(
        user=request.user, channel=WebPush.kind, address_key__in=secrets.fingerprints(address)
    ).delete()
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
@never_cache
def receipt(request):
    """Take the service worker's report that a message was shown or clicked. The signed token is its credential.

    Answers 409 while the send is still being written down: the worker asks again a moment later.
    """
    values = _values(request)
    state = STATES.get(str(values.get("state")))
    if state is None:
        return _trouble(f"The state is one of {', '.join(STATES)}.")
    try:
        uuid = read_receipt(str(values.get("token") or ""))
    except NotFound as error:
        return _trouble(error.message, 403)
    row = Notification.objects.filter(uuid=uuid, channel=WebPush.kind).values("provider_id", "state").first()
    if row and not row["provider_id"] and row["state"] in (Notification.State.PENDING, Notification.State.SENDING):
        return _trouble("Too early: say it again in a moment.", 409)
    receipts.report(WebPush.kind, str(uuid), state, at=timezone.now())
    return HttpResponse(status=204)


def _values(request):
    """The JSON object of the body, or {}."""
    if len(request.body) > LONGEST_BODY:
        return {}
    try:
        values = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _trouble(text, status=400):
    return JsonResponse({"detail": text}, status=status)
