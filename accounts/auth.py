"""Who a request comes from: API keys, sessions, and what a role allows at the API's edge."""

import datetime as dt
import hashlib
import hmac
import secrets

from django.contrib.auth.backends import ModelBackend
from django.utils import timezone
from rest_framework import authentication, exceptions, filters, permissions

from accounts.models import ApiKey, new_prefix
from accounts.permissions import may, may_somewhere, visible


def issue_key(user, *, name, scope=ApiKey.Scope.WRITE, expires_at=None):
    """Make a key that acts as `user`. Returns (row, text); the text is shown once and never stored."""
    prefix = new_prefix()
    text = f"wb_{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey.objects.create(
        user=user, name=name, scope=scope, prefix=prefix, secret_hash=hash_key(text), expires_at=expires_at
    )
    return row, text


def hash_key(text):
    """A key has 256 random bits, so a fast hash is right; a slow one would only slow every request."""
    return hashlib.sha256(text.encode()).hexdigest()


def prefix_of(text):
    """The lookup part of a key's text, or "" when it has not the form of a key."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "wb" else ""


def find_key(text, *, now):
    """The ApiKey that this text is, or None when it is wrong, revoked, expired or its person inactive."""
    prefix = prefix_of(text)
    row = ApiKey.objects.select_related("user").filter(prefix=prefix).first() if prefix else None
    if row is None or not hmac.compare_digest(row.secret_hash, hash_key(text)):
        return None
    if row.revoked_at or (row.expires_at and row.expires_at <= now) or not row.user.is_active:
        return None
    return row


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer wb_…` or `X-API-Key: wb_…`."""

    def authenticate(self, request):
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            text = request.headers.get("X-API-Key", "")
        text = text.strip()
        if not text:
            return None
        now = timezone.now()
        key = find_key(text, now=now)
        if key is None:
            raise exceptions.AuthenticationFailed(
                "This API key is wrong, expired or revoked. Make a new one in the admin under API keys."
            )
        if key.last_used_at is None or now - key.last_used_at > dt.timedelta(minutes=1):
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        return key.user.remember_access(), key

    def authenticate_header(self, request):
        return "Bearer"


class RolePermission(permissions.BasePermission):
    """Reading needs a person; changing needs the role, and a key whose scope allows it."""

    message = "Your role or your key's scope does not allow this. Ask an admin for the responder role or a write key."

    def has_permission(self, request, view):
        if not request.user or not request.user.is_authenticated:
            return False
        is_read = request.method in permissions.SAFE_METHODS
        if isinstance(request.auth, ApiKey):
            scope = request.auth.scope
            if scope == ApiKey.Scope.ALERTS or (scope == ApiKey.Scope.READ and not is_read):
                return False
        # Reading is asked too: a key of a team, or a person without any role, may read nothing elsewhere.
        return may_somewhere(request.user, "read" if is_read else getattr(view, "change_verb", "respond"))

    def has_object_permission(self, request, view, obj):
        is_read = request.method in permissions.SAFE_METHODS
        return may(request.user, "read" if is_read else getattr(view, "change_verb", "respond"), obj)


class VisibleRows(filters.BaseFilterBackend):
    """Lists, and the lookup of one row: what is hidden from somebody does not exist for them."""

    def filter_queryset(self, request, queryset, view):
        return visible(queryset, request.user) if request.user.is_authenticated else queryset


class Backend(ModelBackend):
    """Passwords; and the user of a request, who is asked for their roles once only. The table of roles says the rest."""

    def get_user(self, user_id):
        user = super().get_user(user_id)
        return user and user.remember_access()

    def has_perm(self, user_obj, perm, obj=None):
        return user_obj.is_active and user_obj.is_superuser
