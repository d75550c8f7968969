"""How people sign in, in the admin: what a person's page says of it, its buttons, and what groups are worth."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.utils import timezone

from accounts import lockout, oidc, second_factor
from accounts.models import GroupMapping
from core.admin import Admin, button
from core.errors import DomainError

# Secrets, sessions and providers are not rows to look at or to change by hand.
for model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class SignInMixin:
    """What the page of a person says of how they sign in, and the ways back."""

    sign_in_fieldset = (
        "How they sign in",
        {"fields": ("is_break_glass", "second_factor_text", "providers_text")},
    )
    sign_in_readonly = ("second_factor_text", "providers_text")
    sign_in_buttons = ("unlock", "reset_second_factor")

    @admin.display(description="second factor")
    def second_factor_text(self, obj):
        rows = second_factor.factors(obj)
        kinds = {Authenticator.Type.TOTP: "an app", Authenticator.Type.WEBAUTHN: "a passkey"}
        found = ", ".join(f"{kinds[row.type]} since {row.created_at:%-d %B %Y}" for row in rows)
        needs = "; needs one before anything else" if not found and second_factor.is_required(obj) else ""
        return (found or "none") + needs

    @admin.display(description="single sign-on")
    def providers_text(self, obj):
        names = {one.id: one.name for one in oidc.providers()}
        rows = SocialAccount.objects.filter(user=obj)
        return (
            ", ".join(f"{names.get(row.provider, row.provider)} as {row.extra_data.get('email')}" for row in rows)
            or "-"
        )

    @button("Unlock", confirm="")
    def unlock(self, request, obj):
        count = lockout.unlock(obj, by=request.user, now=timezone.now())
        if not count:
            return f"{obj} was not locked: nobody failed to sign in as them lately."
        return f"{obj} is unlocked. There were failures from {count} address{'es' * (count > 1)}."

    @button(
        "Reset second factor",
        confirm="Their app, passkeys and recovery codes stop working and their sessions end. Be sure that it is "
        "them who asks: call them back at a number that you know.",
    )
    def reset_second_factor(self, request, obj):
        if not Authenticator.objects.filter(user=obj).exists():
            raise DomainError(f"{obj} has no second factor.")
        second_factor.reset(obj, by=request.user, now=timezone.now())
        return f"{obj} has no second factor any more, and is signed out everywhere."


@admin.register(GroupMapping)
class GroupMappingAdmin(Admin):
    """What groups of the provider are worth here. They count at every sign-in through it."""

    list_display = ("group", "role", "team", "team_role")
    list_filter = ("role", "team")
    list_select_related = ("team",)
    search_fields = ("group", "team__name")
    autocomplete_fields = ("team",)
    fieldsets = (
        (
            None,
            {
                "fields": ("group", "role", "team", "team_role"),
                "description": "At every sign-in through the provider, people get the strongest role that their "
                "groups give, and lose what a group gave that they left. What an admin gave by hand stays.",
            },
        ),
    )
