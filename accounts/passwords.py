"""Signing in with a password: who may, and what an unknown address costs."""

from axes.backends import AxesStandaloneBackend
from django.conf import settings

from accounts.auth import Backend

EVERYBODY, BREAK_GLASS = "everybody", "break-glass"


def may_sign_in_here(user):
    """Whether the person may sign in without the provider of single sign-on."""
    return settings.PASSWORD_SIGN_IN != BREAK_GLASS or user.is_break_glass


class LockoutBackend(AxesStandaloneBackend):
    """Refuses names that failed too often from an address. A program that asks has no address, and is let through."""

    def authenticate(self, request, **credentials):
        return None if request is None else super().authenticate(request, **credentials)


class PasswordBackend(Backend):
    """An email address in any case and a password. An unknown address costs the same work as a known one."""

    def authenticate(self, request, username=None, password=None, email=None, **credentials):
        user = super().authenticate(request, username=email or username, password=password)
        return user if user and may_sign_in_here(user) else None

    def user_can_authenticate(self, user):
        # Asked of each request too: sessions that a provider opened are this backend's as well.
        return super().user_can_authenticate(user) and not user.is_machine
