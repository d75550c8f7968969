"""How django-allauth is used here: nobody signs up, secrets are encrypted, guessing is counted, addresses are ours."""

import ipaddress
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django import forms
from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from accounts import lockout, oidc, passwords, second_factor, single_sign_on
from core import secrets
from core.errors import DomainError

WRONG = (
    "The email address and the password do not belong together, or the account may not sign in. Check the address, "
    "then type the password again; an admin can set a new one."
)
WRONG_CODE = "This code is wrong, old or used already. Wait for the next one, and type it within half a minute."


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {"email_password_mismatch": WRONG}

    def is_open_for_signup(self, request):
        return False

    def get_client_ip(self, request):
        """The same address that everything else counts by."""
        return lockout.address_of(request) or "127.0.0.1"

    def pre_authenticate(self, request, **credentials):
        """Refuse before the password is looked at: a guess that is never judged teaches nothing."""
        if refusal := lockout.refusal(request, credentials.get("email", ""), now=timezone.now()):
            raise forms.ValidationError(refusal, code="locked")

    def _rollback_login_failed_rl_usage(self):
        """Nothing was consumed: failures are counted by `accounts.lockout`."""

    def reauthenticate(self, user, password):
        """Whether it is the person's password, for somebody who is signed in, however they came in."""
        self.pre_authenticate(self.request, email=user.email)
        if user.check_password(password):
            return True
        lockout.failed(self.request, user.email)
        return False

    def pre_login(self, request, user, **kwargs):
        """Turn away who may not sign in this way, after they have proved who they are."""
        by_provider = "sociallogin" in (kwargs.get("signal_kwargs") or {})
        if not by_provider and not passwords.may_sign_in_here(user):
            messages.error(request, "Your account signs in through single sign-on. Use its button.")
            raise ImmediateHttpResponse(redirect("login"))
        if user.is_machine:
            raise ImmediateHttpResponse(self.respond_user_inactive(request, user))
        return super().pre_login(request, user, **kwargs)

    def respond_user_inactive(self, request, user):
        messages.error(request, "This account is deactivated. Ask an admin to activate it.")
        return redirect("login")

    def get_password_change_redirect_url(self, request):
        return reverse("security")


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def list_apps(self, request, provider=None, client_id=None):
        """The providers of the settings. Rows in the database would have their secrets there, in clear."""
        return [one.app for one in oidc.providers() if provider in (None, one.id, "openid_connect")]

    def is_open_for_signup(self, request, sociallogin):
        return False

    def pre_social_login(self, request, sociallogin):
        """Find or make the person, or say why not."""
        try:
            single_sign_on.admit(request, sociallogin, now=timezone.now())
        except DomainError as error:
            messages.error(request, error.message)
            raise ImmediateHttpResponse(redirect("login")) from None


class MFAAdapter(DefaultMFAAdapter):
    error_messages = DefaultMFAAdapter.error_messages | {"incorrect_code": WRONG_CODE}

    def encrypt(self, text):
        return secrets.encrypt(text)

    def decrypt(self, encrypted_text):
        return secrets.decrypt(encrypted_text)

    def get_totp_issuer(self):
        return settings.SITE_NAME

    def build_totp_svg(self, url):
        """The QR code, to stand in a page: without the line that makes it a document of its own."""
        return super().build_totp_svg(url).partition("?>")[2]

    def can_delete_authenticator(self, authenticator):
        return second_factor.may_remove(authenticator)

    def generate_authenticator_name(self, user, type):
        """What a passkey is called until somebody names it."""
        count = second_factor.factors(user).filter(type=type).count()
        return f"Passkey {count + 1}" if count else "Passkey"

    def get_public_key_credential_rp_entity(self):
        """Passkeys belong to the public address, whatever a request says its host is."""
        return {"id": passkey_host(), "name": settings.SITE_NAME}

    def get_public_key_credential_user_entity(self, user):
        return super().get_public_key_credential_user_entity(user) | {"display_name": str(user)}


def passkey_host():
    """The host that passkeys are made for."""
    return urlsplit(settings.PUBLIC_URL).hostname or ""


def offers_passkeys():
    """Whether browsers make passkeys for the public address: it needs a name, and https unless it is this machine."""
    host = passkey_host()
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or settings.PUBLIC_URL.startswith("https://")
    return False
