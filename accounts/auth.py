"""Who a request comes from: API keys, sessions, and what a role allows at the API's edge."""

import datetime as dt

from django.contrib.auth.backends import ModelBackend
from django.utils import timezone
from rest_framework import authentication, exceptions, filters, permissions

from accounts import scopes
from accounts.keys import find_key, narrowed
from accounts.models import ApiKey, Team
from accounts.permissions import may, may_somewhere, visible


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
                "This API key is wrong, expired or revoked. Make a new one in the admin under API keys, or under "
                "Settings, Tokens."
            )
        if key.last_used_at is None or now - key.last_used_at > dt.timedelta(minutes=1):
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        key.user.remember_access()
        if key.team_id:
            everybody = Team.objects.order_by().values_list("pk", flat=True)
            user = key.user
            access = None if user.is_machine else user.access()
            user.remember_access(narrowed(access, user.role, key.team_id, everybody))
        return key.user, key

    def authenticate_header(self, request):
        return "Bearer"


class RolePermission(permissions.BasePermission):
    """Reading needs a person; changing needs the role, and a key whose scopes have the view's resource."""

    message = "Your role does not allow this. Ask an admin for the role that does; docs/access.md has the table."

    def has_permission(self, request, view):
        if not request.user or not request.user.is_authenticated:
            return False
        is_read = request.method in permissions.SAFE_METHODS
        if isinstance(request.auth, ApiKey):
            resource = getattr(view, "resource", "")
            if not scopes.allows(request.auth.scopes, resource, not is_read):
                self.message = scopes.missing(request.auth.scopes, resource, not is_read)
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
    """Passwords, and the user of a request: their roles are read once. What they may do, the table of roles says."""

    def get_user(self, user_id):
        user = super().get_user(user_id)
        return user and user.remember_access()

    def has_perm(self, user_obj, perm, obj=None):
        return user_obj.may("administer")
