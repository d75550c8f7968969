"""Signing in and out, with a password or through a provider; and the page of a person's own second factors."""

import logging

from allauth.account import views as account_views
from allauth.account.models import Login
from allauth.mfa.base import views as mfa_views
from allauth.mfa.webauthn import views as passkey_views
from allauth.mfa.webauthn.internal import flows as passkey_flows
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import complete_social_login
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from accounts import adapters, oidc, passwords, second_factor, single_sign_on
from accounts.models import User
from core.errors import DomainError

logger = logging.getLogger(__name__)

NEXT = "second_factor_next"  # in the session: where somebody wanted to go who had to set a factor up first


class LoginView(account_views.LoginView):
    """The one page to sign in, for the admin too."""

    template_name = "accounts/login.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs) | {
            "next": _next(self.request),
            "providers": oidc.providers(),
            "password_is_for_emergencies": settings.PASSWORD_SIGN_IN == passwords.BREAK_GLASS,
            "offers_passkeys": adapters.offers_passkeys(),
        }


@never_cache
@require_GET
def start(request, provider_id):
    """Send the browser to a provider."""
    wanted = _next(request)
    try:
        provider = oidc.provider_of(provider_id)
        address = oidc.begin(
            provider, request.session, callback=_callback(provider), next_url=wanted, now=timezone.now()
        )
    except DomainError as error:
        return _back_to_login(request, error, wanted)
    return redirect(address)


@never_cache
@require_GET
def callback(request, provider_id):
    """The provider sent the browser back: sign the person in, or say why not."""
    wanted = ""
    try:
        provider = oidc.provider_of(provider_id)
        pending = oidc.take_pending(provider, request.session, request.GET.get("state", ""), now=timezone.now())
        wanted = pending["next"]
        if "code" not in request.GET:
            raise oidc.SignInRefused(_said(provider, request.GET.get("error", "")))
        claims = oidc.claims_for(
            provider,
            request.GET["code"],
            pending,
            callback=_callback(provider),
            issuer=request.GET.get("iss", ""),
        )
    except DomainError as error:
        return _back_to_login(request, error, wanted)
    found = SocialLogin(
        user=User(),
        account=single_sign_on.account_of(provider, claims),
        provider=get_adapter().get_provider(request, provider.id),
    )
    found.state = {"process": "login", "next": wanted}
    return complete_social_login(request, found)


class PasskeyLoginView(passkey_views.LoginWebAuthnView):
    """Sign in with a passkey alone."""

    def form_valid(self, form):
        authenticator = form.cleaned_data["credential"]
        login = Login(user=authenticator.user, redirect_url=_next(self.request) or None)
        return passkey_flows.perform_passwordless_login(self.request, authenticator, login)


@method_decorator([login_required, never_cache], name="dispatch")
class SecurityView(mfa_views.IndexView):
    """A person's password, second factors and recovery codes."""

    def get(self, request, *args, **kwargs):
        if second_factor.is_lacking(request.user, request.session) and second_factor.factors(request.user).exists():
            # It was set up elsewhere, after this session began: show it, then go on.
            return redirect(f"{reverse('mfa_reauthenticate')}?{urlencode({'next': _next(request) or request.path})}")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs):
        user, session = self.request.user, self.request.session
        is_lacking = second_factor.is_lacking(user, session)
        if wanted := _next(self.request):
            session[NEXT] = wanted
        return super().get_context_data(**kwargs) | {
            "section": "settings",
            "next": "" if is_lacking else session.pop(NEXT, ""),
            "is_lacking": is_lacking,
            "offers_passkeys": adapters.offers_passkeys(),
            "may_change_password": user.has_usable_password() and passwords.may_sign_in_here(user),
        }


@method_decorator([login_required, never_cache], name="dispatch")
class PasswordView(account_views.PasswordChangeView):
    """Change the password. Every other session of the person ends with it."""

    def dispatch(self, request, *args, **kwargs):
        if not passwords.may_sign_in_here(request.user):
            return redirect("account_set_password")
        return super().dispatch(request, *args, **kwargs)


class RemovePasskeyView(passkey_views.RemoveWebAuthnView):
    """Remove a passkey, unless the person must have a second factor and it is the last."""

    def form_valid(self, form):
        if not second_factor.may_remove(self.get_object()):
            messages.error(
                self.request, "Your role needs a second factor, and this is the only one. Add another first."
            )
            return redirect("security")
        return super().form_valid(form)


@require_safe
@login_required
def no_password(request):
    """Where django-allauth leads who has no password: they sign in through a provider, and need none."""
    messages.info(request, "Your account signs in through single sign-on and has no password.")
    return redirect("security")


@never_cache
def admin_login(request, extra_context=None):
    """The admin has no page of its own to sign in, which would go round the second factor."""
    if request.user.is_authenticated:
        raise PermissionDenied
    wanted = request.GET.get("next") or reverse("admin:index")
    return redirect(f"{reverse('login')}?{urlencode({'next': wanted})}")


def _callback(provider):
    return settings.PUBLIC_URL + reverse("openid_connect_callback", args=[provider.id])


def _next(request):
    """Where to go afterwards, if it is an address of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure()) else ""


def _said(provider, error):
    if error == "access_denied":
        return f"{provider.name} was left without signing in, or does not let you in here. Try again, or ask an admin."
    return f"{provider.name} refused to sign you in. Try again; if it stays so, tell an admin."


def _back_to_login(request, error, wanted):
    # The code names the kind; nothing that the provider or the browser sent goes into the log.
    logger.warning("A sign-in through a provider did not work: %s: %s", error.code, error.message)
    messages.error(request, error.message)
    address = reverse("login")
    return redirect(f"{address}?{urlencode({'next': wanted})}" if wanted else address)
