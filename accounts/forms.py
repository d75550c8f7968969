"""The forms of signing in, where they differ from django-allauth's."""

from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from django import forms
from django.utils import timezone

from accounts import lockout, second_factor
from accounts.adapters import WRONG_CODE


class LoginForm(AllauthLoginForm):
    """Email address and password. The address is called username, which password managers know."""

    def add_prefix(self, field_name):
        return "username" if field_name == "login" else super().add_prefix(field_name)


class _CodeMixin:
    """A code of an app or a recovery code. Guesses count like those of a password, and no code works twice."""

    def clean_code(self):
        request, email = context.request, self.user.email
        if refusal := lockout.refusal(request, email, now=timezone.now()):
            raise forms.ValidationError(refusal, code="locked")
        code = self.cleaned_data["code"]
        rows = {row.type: row for row in Authenticator.objects.filter(user=self.user)}
        app, recovery = rows.get(Authenticator.Type.TOTP), rows.get(Authenticator.Type.RECOVERY_CODES)
        if app and second_factor.accept_totp(app, code):
            return self._accepted(app, code)
        if recovery and recovery.wrap().validate_code(code):
            return self._accepted(recovery, code)
        lockout.failed(request, email)
        raise forms.ValidationError(WRONG_CODE, code="incorrect_code")

    def _accepted(self, authenticator, code):
        authenticator.refresh_from_db()
        authenticator.user = self.user
        self.authenticator = authenticator
        return code


class SecondFactorForm(_CodeMixin, AuthenticateForm):
    """The code that is asked for while somebody signs in."""


class SecondFactorAgainForm(_CodeMixin, ReauthenticateForm):
    """The code once more, before something that a stranger at an open laptop should not do."""
