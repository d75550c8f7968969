"""Nobody who must have a second factor works without: every page leads to where it is proved or set up."""

from django.conf import settings
from django.contrib import messages
from django.http import JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from accounts import second_factor

# What a person needs to prove a second factor, or to leave; and the link of a page, which asks nobody who they are.
OPEN = {
    "login",
    "logout",
    "security",
    "mfa_index",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "account_login",
    "account_logout",
    "health",
    "ready",
    "link",
}
# What sets up the first one. Whoever has one proves it: with a password alone nobody adds another in its place.
SETTING_UP = {
    "account_reauthenticate",
    "mfa_activate_totp",
    "mfa_add_webauthn",
}
CODE = "second_factor_required"
SENTENCE = "Your role needs a second factor. Set one up now: an app on your phone, or a passkey."


class SecondFactorMiddleware:
    """Costs nothing where nobody must have one, and no query for a session that has proved it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        if settings.REQUIRE_SECOND_FACTOR == second_factor.NOBODY or request.resolver_match.view_name in OPEN:
            return None
        if not second_factor.is_lacking(request.user, request.session):
            return None
        if request.resolver_match.view_name in SETTING_UP and not second_factor.factors(request.user).exists():
            return None
        if request.path.startswith("/api/"):
            return JsonResponse(
                {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": SENTENCE, "code": CODE},
                status=403,
                content_type="application/problem+json",
            )
        messages.warning(request, SENTENCE)
        wanted = {"next": request.get_full_path()} if request.method == "GET" else {}
        return redirect(f"{reverse('security')}?{urlencode(wanted)}")
