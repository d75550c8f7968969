"""The middleware that limits addresses at pages which need no account, and says on answers what is left of a limit.

Two buckets an address: `public` is for requests, `guesses` for wrong secrets, passwords and signatures. Whoever is
right is let in even when the address has guessed too much, because a colleague behind the same address may hold the
link that stops a call; a wrong one is then not even told that it was wrong. Only sign-in is refused before anybody
looks: a password can be guessed, a secret of 128 bits cannot.
"""

import dataclasses
import time

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from config.errors import problem
from core import limits
from core.headers import SECRET_PARTS


@dataclasses.dataclass(frozen=True, slots=True)
class Area:
    """Addresses that are limited alike. `wrong` are the statuses of answers to a wrong secret."""

    is_counted: bool = True  # each request counts for `public`
    is_sign_in: bool = False  # each form that is sent counts for `guesses` before anybody looks at it …
    forgives: bool = True  # … and no more when it led on to another page, as a right password does
    wrong: frozenset = frozenset()


WRONG = frozenset({401, 403, 404})
SIGN_IN = Area(is_sign_in=True, wrong=WRONG)
SENDS_MAIL = Area(is_sign_in=True, forgives=False, wrong=WRONG)
SECRETS = Area(wrong=WRONG)
# Calls of providers come from few addresses, many at once when many people are paged: only wrong ones count.
WEBHOOKS = Area(is_counted=False, wrong=WRONG)
API = Area(is_counted=False, wrong=frozenset({401}))
OPEN = Area()

_WEBHOOKS = ("/twilio/", "/slack/", "/telegram/", "/mail/bounces")
_OPEN = ("/health/ready", "/metrics", "/api/schema", "/api/docs")
# Public status pages are answered before Django: who asks for them here asks for one that is not there, or not public.
_STATUS = "statuspages:public-"
# Asked without an account: the token stands in the body.
_BY_TOKEN = "notification-acknowledge"
# These lead on, whatever was typed.
_SENDS_MAIL = ("password-forgotten", "statuspages:partner")
_SIGN_IN = ("login", "admin:login", "account_", "mfa_", "socialaccount_", "openid_connect_", "invitation", "password")


def area_of(match, path):
    """The Area of a request, or None when it has no limit here: it needs an account, or is for everybody."""
    if match.view_name in _SENDS_MAIL:
        return SENDS_MAIL
    if match.view_name and match.view_name.startswith(_SIGN_IN):
        return SIGN_IN
    if path.startswith(_OPEN) or (match.view_name or "").startswith(_STATUS):
        return OPEN
    if path.startswith("/api/"):
        return SECRETS if match.view_name == _BY_TOKEN else API
    # The link that a person opens to connect their account at Slack is no call of Slack's.
    if path.startswith(_WEBHOOKS) and match.view_name != "slack-link":
        return WEBHOOKS
    return SECRETS if SECRET_PARTS & match.kwargs.keys() else None


class Gate(MiddlewareMixin):
    """See above."""

    def process_view(self, request, view, args, kwargs):
        area = area_of(request.resolver_match, request.path)
        if area is None:
            return None
        now = time.time()
        request.limit_area = area
        if area.is_counted:
            # A link in a page stops a call.
            request.limit_verdict = _check(request, "public", now, is_paging=area is SECRETS)
            if not request.limit_verdict.is_allowed:
                return _refuse(request, request.limit_verdict)
        if area.is_sign_in and request.method == "POST":
            verdict = _check(request, "guesses", now, is_exact=True)
            if not verdict.is_allowed:
                return _refuse(request, verdict)
        return None

    def process_response(self, request, response):
        area = getattr(request, "limit_area", None)
        if area is None:
            return response
        if response.status_code == 429 and "RateLimit" in response.headers:
            return response
        now = time.time()
        if area.is_sign_in and request.method == "POST" and 300 <= response.status_code < 400:
            if not area.forgives:
                return response
            limit, who = limits.for_address("guesses", request)
            limits.limiter().give_back(limit, who, now=now)
        elif response.status_code in area.wrong:
            verdict = _check(request, "guesses", now, is_exact=True)
            if not verdict.is_allowed:
                return _refuse(request, verdict)
        return _with_headers(response, getattr(request, "limit_verdict", limits.FREE))


def _with_headers(response, verdict):
    for name, value in verdict.headers().items():
        response.headers[name] = value
    return response


def _check(request, name, now, **how):
    limit, who = limits.for_address(name, request)
    return limits.limiter().check(limit, who, now=now, **how)


def _refuse(request, verdict):
    wait = f"{verdict.retry_after} second{'s' if verdict.retry_after > 1 else ''}"
    sentence = f"Too many requests came from your address. Wait {wait}, then try again."
    if request.path.startswith("/api/"):
        response = problem(429, "Too many requests", sentence, "too_many_requests")
    elif "text/html" in request.headers.get("Accept", ""):
        # Not with the request: the page asks the database for nothing.
        response = render(None, "429.html", {"sentence": sentence}, status=429)
    else:
        response = HttpResponse(f"{sentence}\n", status=429, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return _with_headers(response, verdict)
