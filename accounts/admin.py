"""People, teams and API keys in the admin. The floors above add their own inlines to the page of a person."""

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count
from django.utils import timezone
from django.utils.html import format_html

from accounts.auth import issue_key
from accounts.models import ApiKey, Membership, Role, Team, User
from core.admin import (
    Admin,
    AdminPasswordChangeForm,
    Inline,
    UserChangeForm,
    UserCreationForm,
    button,
    display,
    zone_field,
)
from core.errors import DomainError

ONLY_ADMIN = "This is the only active admin. Make somebody else an admin first, so that nobody is locked out."


def is_only_admin(user):
    """Whether nobody else could use the admin."""
    others = User.objects.filter(is_active=True, role=Role.ADMIN).exclude(pk=user.pk)
    return user.is_active and user.role == Role.ADMIN and not others.exists()


class PersonForm(UserChangeForm):
    time_zone = zone_field()

    class Meta:
        model = User
        fields = "__all__"
        field_classes = {}

    def clean(self):
        cleaned = super().clean()
        stays = cleaned.get("is_active") and cleaned.get("role") == Role.ADMIN
        if not stays and is_only_admin(User.objects.get(pk=self.instance.pk)):
            raise forms.ValidationError(ONLY_ADMIN)
        return cleaned


class NewPersonForm(UserCreationForm):
    time_zone = zone_field()

    class Meta:
        model = User
        fields = ("email", "name", "role", "time_zone")
        field_classes = {}

    def clean_email(self):
        email = User.objects.normalize_email(self.cleaned_data["email"])
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("Somebody with this email address exists already.")
        return email


class MembershipInline(Inline):
    model = Membership
    autocomplete_fields = ("team", "user")
    verbose_name, verbose_name_plural = "membership", "memberships"


class TeamsOfPersonInline(MembershipInline):
    verbose_name, verbose_name_plural = "team", "teams"


@admin.register(User)
class UserAdmin(DjangoUserAdmin, Admin):
    form, add_form, change_password_form = PersonForm, NewPersonForm, AdminPasswordChangeForm
    inlines = (TeamsOfPersonInline,)
    list_display = ("name", "email", "role_label", "time_zone", "is_active", "last_login")
    list_display_links = ("name", "email")
    list_filter = ("is_active", "role", "teams")
    search_fields = ("name", "email")
    ordering = ("name", "email")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    instead_of_deleting = (
        "What happened stays told, with the people who did it. Deactivate the person instead: take the mark off "
        "“Active” on this page. An inactive person is never paged and cannot sign in."
    )
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        (
            "What they may do",
            {
                "fields": ("role", "is_active"),
                "description": "Admins may use this admin and everything in it. The role in a team is set below.",
            },
        ),
        ("When and where", {"fields": ("time_zone", "last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "fields": ("email", "name", "role", "time_zone", "usable_password", "password1", "password2"),
                "description": "Teams, addresses and rules follow on the next page.",
            },
        ),
    )

    @display(description="role", ordering="role", label={"Admin": "info", "Responder": "success"})
    def role_label(self, obj):
        return obj.get_role_display()

    def get_inlines(self, request, obj):
        return super().get_inlines(request, obj) if obj else ()

    def get_search_results(self, request, queryset, search_term):
        """Pickers offer active people only."""
        if request.resolver_match and request.resolver_match.url_name == "autocomplete":
            queryset = queryset.filter(is_active=True)
        return super().get_search_results(request, queryset, search_term)

    def save_model(self, request, obj, form, change):
        """The role says it all: admins may use the admin, others may not."""
        obj.is_staff = obj.is_superuser = obj.role == Role.ADMIN
        super().save_model(request, obj, form, change)

    def refusal_to_delete(self, obj):
        return ONLY_ADMIN if is_only_admin(obj) else super().refusal_to_delete(obj)


@admin.register(Team)
class TeamAdmin(Admin):
    inlines = (MembershipInline,)
    list_display = ("name", "slug", "member_count")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    fieldsets = ((None, {"fields": ("name", "slug", "description")}),)
    instead_of_deleting = "Give them to another team first, or keep the team."

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(count_of_members=Count("memberships"))

    @admin.display(description="members", ordering="count_of_members")
    def member_count(self, obj):
        return obj.count_of_members


@admin.register(ApiKey)
class ApiKeyAdmin(Admin):
    """Keys of the REST API. The text of a key is shown once, after it was made."""

    list_display = ("name", "user", "scope", "prefix_text", "state", "last_used_at")
    list_filter = ("scope", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__name", "user__email")
    autocomplete_fields = ("user",)
    buttons = ("revoke",)
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "user", "scope", "expires_at"),
                "description": "The key may do what its scope and the role of its person allow, whichever is less.",
            },
        ),
    )
    shown_fields = (("Use", {"fields": ("prefix_text", "state", "created_at", "last_used_at", "revoked_at")}),)
    readonly_fields = ("prefix_text", "state", "created_at", "last_used_at", "revoked_at")

    def get_fieldsets(self, request, obj=None):
        return self.fieldsets + self.shown_fields if obj else self.fieldsets

    def get_readonly_fields(self, request, obj=None):
        # Another person or scope would be another key: make a new one for that.
        return (*self.readonly_fields, "user", "scope") if obj else self.readonly_fields

    @admin.display(description="begins with")
    def prefix_text(self, obj):
        return f"wb_{obj.prefix}_…"

    @display(description="state", label={"valid": "success", "revoked": "danger", "expired": "warning"})
    def state(self, obj):
        if obj.revoked_at:
            return "revoked"
        return "expired" if obj.expires_at and obj.expires_at <= timezone.now() else "valid"

    def save_model(self, request, obj, form, change):
        if change:
            super().save_model(request, obj, form, change)
            return
        row, text = issue_key(obj.user, name=obj.name, scope=obj.scope, expires_at=obj.expires_at)
        obj.pk, obj.prefix, obj.secret_hash, obj.created_at = row.pk, row.prefix, row.secret_hash, row.created_at
        obj._state.adding = False
        note = "This is the key. It is shown only now, so copy it to where it is used: {}"
        self.message_user(request, format_html(note, format_html('<code class="wb-secret">{}</code>', text)))

    def shown_buttons(self, request, obj):
        return [] if obj.revoked_at else super().shown_buttons(request, obj)

    @button(
        "Revoke", confirm="The key stops working within seconds and for good. Programs that use it need a new one."
    )
    def revoke(self, request, obj):
        if obj.revoked_at:
            raise DomainError(f"{obj} is revoked already.")
        obj.revoked_at = timezone.now()
        obj.save(update_fields=["revoked_at"])
        return f"{obj} is revoked."
