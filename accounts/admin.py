"""People, teams and API keys in the admin. The floors above add their own inlines to the page of a person."""

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts import keys, scopes
from accounts.models import ApiKey, Membership, Role, Team, User
from accounts.people_admin import PeopleMixin
from accounts.sign_in_admin import SignInMixin
from core.admin import Admin, AdminPasswordChangeForm, Inline, UserChangeForm, UserCreationForm, button, display
from core.admin_fields import choices_field, select_field, zone_field
from core.errors import DomainError

ONLY_ADMIN = "This is the only active admin. Make somebody else an admin first, so that nobody is locked out."


def is_only_admin(user):
    """Whether nobody else could use the admin."""
    others = User.objects.people().filter(is_active=True, role=Role.ADMIN).exclude(pk=user.pk)
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
class UserAdmin(PeopleMixin, SignInMixin, DjangoUserAdmin, Admin):
    form, add_form, change_password_form = PersonForm, NewPersonForm, AdminPasswordChangeForm
    inlines = (TeamsOfPersonInline,)
    list_display = ("name", "email", "role_label", "time_zone", "is_active", "last_login")
    list_display_links = ("name", "email")
    list_filter = ("is_active", "role", "is_break_glass", "teams")
    search_fields = ("name", "email")
    ordering = ("name", "email")
    filter_horizontal = ()
    is_offered_to_all = True
    readonly_fields = ("last_login", "date_joined", *SignInMixin.sign_in_readonly)
    buttons = (*PeopleMixin.people_buttons, *SignInMixin.sign_in_buttons)
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
                "description": "Admins may use this admin and everything in it. The role in a team is set below; its "
                "admins find here what belongs to the team.",
            },
        ),
        SignInMixin.sign_in_fieldset,
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

    def get_queryset(self, request):
        """Machines are on the page of API keys."""
        return super().get_queryset(request).people()

    def offered(self, request, verb):
        """Pickers offer people who could be called: machines, and who is gone, only where they stand already."""
        return super().offered(request, verb).filter(is_active=True, is_machine=False)

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
    fieldsets = ((None, {"fields": ("name", "slug", "description", "is_private")}),)
    instead_of_deleting = "Give them to another team first, or keep the team."

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(count_of_members=Count("memberships"))

    # Which teams there are and how they are called is for the platform; who is in them, and what they are, is theirs.
    def has_add_permission(self, request):
        return request.user.is_authenticated and request.user.may("administer")

    def has_delete_permission(self, request, obj=None):
        return self.has_add_permission(request)

    def get_readonly_fields(self, request, obj=None):
        return () if self.has_add_permission(request) else ("name", "slug")

    def get_prepopulated_fields(self, request, obj=None):
        return {} if obj else super().get_prepopulated_fields(request, obj)

    def shown_links(self, request, obj):
        return [*super().shown_links(request, obj), ("Invite people", reverse("people-invite"))]

    @admin.display(description="members", ordering="count_of_members")
    def member_count(self, obj):
        return obj.count_of_members


class KeyForm(forms.ModelForm):
    """A new key for a program. `by` makes it, and can give no more than they have."""

    by = None
    scopes = choices_field(
        choices=scopes.choices,
        help_text="What the key may be used for. Writing includes reading; one that only sends alerts needs no other.",
        error_messages={"required": "Choose at least one scope: a key without any could do nothing."},
    )
    role = select_field(
        Role.choices,
        initial=Role.RESPONDER,
        help_text="The key acts as a machine with this role. Its scopes narrow that, they add nothing.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "role", "team", "expires_at")

    def clean(self):
        cleaned = super().clean()
        if self.instance.pk or self.errors:
            return cleaned
        try:
            cleaned["role"] = cleaned["role"] or Role.RESPONDER
            cleaned["scopes"] = keys.read_scopes(cleaned["scopes"])
            told = {name: cleaned[name] for name in ("scopes", "role", "team", "expires_at")}
            keys.check_reach(self.by, None, **told)
        except DomainError as error:
            raise forms.ValidationError(error.message) from None
        return cleaned


class KeyStateFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request, model_admin):
        return [(one, one.capitalize()) for one in (ApiKey.VALID, ApiKey.EXPIRED, ApiKey.REVOKED)]

    def queryset(self, request, queryset):
        return queryset.in_state(self.value(), now=timezone.now()) if self.value() else queryset


@admin.register(ApiKey)
class ApiKeyAdmin(Admin):
    """Keys of the REST API. The text of a key is shown once, after it was made."""

    form = KeyForm
    list_display = ("name", "acts_as", "scopes_text", "team", "prefix_text", "state", "last_used_at", "expires_at")
    list_filter = (KeyStateFilter, "is_personal", "team")
    list_select_related = ("user", "team")
    search_fields = ("name", "prefix", "user__name", "user__email")
    autocomplete_fields = ("team",)
    buttons = ("new_key_hour", "new_key", "new_key_week", "new_key_at_once", "end_old_key", "revoke")
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "scopes", "role", "team", "expires_at"),
                "description": "A key for a program. People make tokens that act as them under Settings, Tokens.",
            },
        ),
    )
    shown_fieldsets = (
        (None, {"fields": ("name", "expires_at")}),
        ("What it may", {"fields": ("acts_as", "scopes_text", "team")}),
        (
            "Use",
            {"fields": ("prefix_text", "state", "old_secret_until", "created_at", "last_used_at", "revoked_at")},
        ),
    )
    readonly_fields = (
        "acts_as",
        "scopes_text",
        "prefix_text",
        "state",
        "old_secret_until",
        "created_at",
        "last_used_at",
        "revoked_at",
    )

    def get_form(self, request, obj=None, change=False, **kwargs):
        kwargs["form"] = type("Form", (self.form,), {"by": request.user}) if obj is None else forms.ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request, obj=None):
        return self.shown_fieldsets if obj else self.fieldsets

    def get_readonly_fields(self, request, obj=None):
        # Other scopes or another team would be another key: make a new one for that.
        return (*self.readonly_fields, "team") if obj else self.readonly_fields

    def has_delete_permission(self, request, obj=None):
        return False  # revoked, it stays: what it did is told with its name

    @admin.display(description="begins with")
    def prefix_text(self, obj):
        return f"wb_{obj.prefix}_…"

    @admin.display(description="scopes")
    def scopes_text(self, obj):
        return ", ".join(obj.scopes)

    @admin.display(description="acts as")
    def acts_as(self, obj):
        return f"a machine, {obj.user.get_role_display().lower()}" if obj.user.is_machine else str(obj.user)

    @display(description="state", label={"valid": "success", "revoked": "danger", "expired": "warning"})
    def state(self, obj):
        return obj.state_at(timezone.now())

    def save_model(self, request, obj, form, change):
        if change:
            super().save_model(request, obj, form, change)
            return
        row, text = keys.issue_machine_key(
            name=obj.name,
            scopes=form.cleaned_data["scopes"],
            role=form.cleaned_data["role"],
            team=obj.team,
            expires_at=obj.expires_at,
            by=request.user,
        )
        obj.__dict__.update(row.__dict__)
        self.show_key(request, obj, text)

    def show_key(self, request, obj, text):
        note = "This is the key {}. It is shown only now, so copy it to where it is used: {}"
        self.message_user(request, format_html(note, obj.name, format_html('<code class="wb-secret">{}</code>', text)))

    def shown_buttons(self, request, obj):
        shown = super().shown_buttons(request, obj)
        now = timezone.now()
        hidden = {"end_old_key"}
        if keys.old_secret_works(obj, now=now):
            hidden = {"new_key_hour", "new_key", "new_key_week"}
        if obj.state_at(now) != ApiKey.VALID or not keys.may_rotate(request.user, obj):
            hidden |= {"new_key_hour", "new_key", "new_key_week", "new_key_at_once"}
        if obj.revoked_at:
            hidden |= {"revoke"}
        return [one for one in shown if one.name not in hidden]

    @button(
        "New key, the old one lasts an hour",
        confirm="Give the program the new key within the hour. Until then both work.",
    )
    def new_key_hour(self, request, obj):
        return self._rotated(request, obj, keys.HOUR)

    @button(
        "New key, the old one lasts a day",
        confirm="Give the program the new key within 24 hours. Until then both work.",
    )
    def new_key(self, request, obj):
        return self._rotated(request, obj, keys.DAY)

    @button(
        "New key, the old one lasts a week",
        confirm="Give the program the new key within 7 days. Until then both work.",
    )
    def new_key_week(self, request, obj):
        return self._rotated(request, obj, keys.WEEK)

    @button(
        "New key at once",
        confirm="The old key stops working within seconds. Give the program the new one, or it is refused.",
    )
    def new_key_at_once(self, request, obj):
        return self._rotated(request, obj, None)

    def _rotated(self, request, obj, overlap):
        key, text = keys.rotate(obj.pk, by=request.user, now=timezone.now(), overlap=overlap)
        self.show_key(request, key, text)
        return f"{key.name} has a new key."

    @button("Stop the old key", confirm="What still uses the old key is refused within seconds.")
    def end_old_key(self, request, obj):
        keys.stop_old(obj.pk, by=request.user)
        return f"The old key of {obj.name} stopped working."

    @button(
        "Revoke", confirm="The key stops working within seconds and for good. Programs that use it need a new one."
    )
    def revoke(self, request, obj):
        return f"{keys.revoke(obj.pk, by=request.user, now=timezone.now())} is revoked."
