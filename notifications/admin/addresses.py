"""Where people and teams are reached. A person's addresses, rules and quiet hours are also on their own page."""

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.utils import timezone

from accounts.admin import UserAdmin
from core.admin import Admin, Inline, button, link
from core.admin_fields import SecretField, choices_field, json_field, switch, text_field
from notifications import probes
from notifications.models import (
    ContactMethod,
    Destination,
    NotificationRule,
    QuietHours,
    channels,
)


def channel_choices(wanted):
    """The channels that are for people, or for teams, each with what it needs."""
    return [("", "---------")] + sorted((kind, one.label) for kind, one in channels.classes().items() if wanted(one))


SHOWN_ONCE = "The signing secret of {} is shown only now: {}"
OPTIONS_HELP = 'Names and texts as JSON, for example {"topic_id": "4"}.'


class AddressForm(ModelForm):
    """What is a credential, an address or an option, is never sent back to the browser: empty keeps what is stored."""

    address = text_field(required=False, label="Address")
    options = json_field(label="Options", error_messages={"invalid": OPTIONS_HELP}, help_text=OPTIONS_HELP)
    secret = SecretField(
        label="Signing secret",
        help_text="The receiver of a webhook checks with it that a message comes from here: whsec_… Empty: what is "
        "stored stays as it is; a new webhook without one gets one, which is shown once.",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "options" in self.fields:
            self._hide_secret_options()

    def _offer(self, wanted):
        """Offer these channels, and say what their addresses look like; of a stored address only its own."""
        if "channel" in self.fields:
            self.fields["channel"].choices = channel_choices(wanted)
        if "address" not in self.fields:
            return
        kind = self.instance.channel
        if self.instance.pk and kind in channels:
            text = channels.get(kind).address_help
        else:
            helps = {one.label: one.address_help.rstrip(".") for one in channels.classes().values() if wanted(one)}
            text = " ".join(f"{label}: {help}." for label, help in sorted(helps.items()) if help)
        if self._keeps_address():
            self.initial["address"] = ""
            text = f"Stored: {self.instance.shown}. Empty keeps it. {text}"
        self.fields["address"].help_text = text

    def _hide_secret_options(self):
        stored, secrets = self.instance.options or {}, self._secret_options()
        self.initial["options"] = {name: value for name, value in stored.items() if name not in secrets}
        if kept := sorted(name for name in secrets if stored.get(name)):
            text = f"Stored and not shown: {', '.join(kept)}. What you leave out stays; “” takes it away."
            self.fields["options"].help_text = f"{OPTIONS_HELP} {text}"

    def _secret_options(self):
        kind = self.instance.channel
        return {one.name for one in channels.get(kind).options if one.is_secret} if kind in channels else set()

    def _keeps_address(self):
        kind = self.instance.channel
        return bool(self.instance.pk and kind in channels and channels.get(kind).is_address_secret)

    def clean_address(self):
        address = self.cleaned_data["address"]
        if not address and self._keeps_address() and self.cleaned_data.get("channel") == self.instance.channel:
            return self.instance.address
        if not address:
            raise ValidationError("Enter the address. What it looks like depends on the channel.")
        return address

    def clean_options(self):
        options = self.cleaned_data["options"] or {}
        if not isinstance(options, dict) or not all(isinstance(each, str) for each in options.values()):
            raise ValidationError(OPTIONS_HELP)
        if self.cleaned_data.get("channel") == self.initial.get("channel"):
            stored = self.instance.options or {}
            options = {name: stored[name] for name in self._secret_options() if name in stored} | options
        return options

    def clean_secret(self):
        return self.cleaned_data["secret"] or self.instance.secret


class ContactMethodForm(AddressForm):
    is_verified = switch(
        label="Verified",
        help_text="Only a verified address is used. Mark it when you know that it reaches the person. "
        "A changed address has to be marked again.",
    )

    class Meta:
        model = ContactMethod
        fields = ("user", "channel", "address", "label", "secret", "options", "wants_updates", "disabled_reason")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["is_verified"] = bool(self.instance.verified_at)
        self.stored_address = self.instance.address
        self._offer(lambda one: one.is_for_people and (one.is_typed or one.kind == self.instance.channel))

    def clean(self):
        cleaned = super().clean()
        is_changed = bool(self.instance.pk) and cleaned.get("address") != self.stored_address
        if is_changed and self.instance.verified_at and "is_verified" not in self.changed_data:
            # The mark was about the old address.
            self.instance.verified_at = None
        elif not cleaned.get("is_verified"):
            self.instance.verified_at = None
        elif not self.instance.verified_at:
            self.instance.verified_at = timezone.now()
        return cleaned


class ContactMethodFormSet(Inline.formset):
    """Tells, once, the signing secret that a new address got by itself."""

    asked_by = None  # the request

    def save_new(self, form, commit=True):
        row = super().save_new(form, commit=commit)
        if row.secret:
            messages.info(self.asked_by, SHOWN_ONCE.format(row, row.secret))
        return row


class ContactMethodInline(Inline):
    model, form, formset = ContactMethod, ContactMethodForm, ContactMethodFormSet
    fields = ("channel", "address", "label", "is_verified", "disabled_reason")
    show_change_link = True

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        formset.asked_by = request
        return formset


class NotificationRuleInline(Inline):
    model = NotificationRule
    fields = ("urgency", "contact_method", "delay_minutes")

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.name == "contact_method":
            user_id = request.resolver_match.kwargs.get("object_id")
            kwargs["queryset"] = ContactMethod.objects.filter(user_id=user_id).select_related("user")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class QuietHoursForm(ModelForm):
    days = choices_field(choices=QuietHours.Weekday.choices, coerce=int, help_text="The days on which they begin.")

    class Meta:
        model = QuietHours
        fields = ("user", "days", "start_time", "end_time")


class QuietHoursInline(Inline):
    model, form = QuietHours, QuietHoursForm
    fields = ("days", "start_time", "end_time")


# A floor below may not know this one, so this one adds its parts there.
UserAdmin.inlines = (*UserAdmin.inlines, ContactMethodInline, NotificationRuleInline, QuietHoursInline)


class AddressAdmin(Admin):
    """What contact methods and destinations share: the test, and the secret that is shown once."""

    buttons = ("send_test",)

    @button("Send a test", confirm="A test message goes out now. Its page says what became of it.")
    def send_test(self, request, obj):
        notification = probes.send_test(obj, by=request.user, now=timezone.now())
        return link(notification, f"The test to {obj.shown} is on its way. Look at what became of it.")

    def save_model(self, request, obj, form, change):
        had = obj.secret if change else ""
        if not obj.secret and obj.channel in channels:
            obj.secret = channels.get(obj.channel).new_secret()
        super().save_model(request, obj, form, change)
        if obj.secret and obj.secret != had and not form.cleaned_data.get("secret"):
            self.message_user(request, SHOWN_ONCE.format(obj, obj.secret))

    @admin.display(description="address")
    def shown(self, obj):
        return obj.shown

    @admin.display(description="used", boolean=True)
    def usable(self, obj):
        return obj.is_usable


@admin.register(ContactMethod)
class ContactMethodAdmin(AddressAdmin):
    form = ContactMethodForm
    list_display = ("user", "channel", "shown", "label", "usable", "disabled_reason")
    list_display_links = ("shown",)
    list_filter = (
        "channel",
        ("verified_at", admin.EmptyFieldListFilter),
        ("disabled_reason", admin.EmptyFieldListFilter),
    )
    list_select_related = ("user",)
    search_fields = ("label", "user__name", "user__email")
    autocomplete_fields = ("user",)
    readonly_fields = ("verified_at", "created_at")
    fieldsets = (
        (None, {"fields": ("user", "channel", "address", "label")}),
        ("Use", {"fields": ("is_verified", "verified_at", "wants_updates", "disabled_reason", "created_at")}),
        ("More", {"fields": ("secret", "options"), "classes": ("collapse",)}),
    )


@admin.register(NotificationRule)
class NotificationRuleAdmin(Admin):
    list_display = ("user", "urgency", "contact_method", "delay_minutes")
    list_filter = ("urgency", "contact_method__channel")
    list_select_related = ("user", "contact_method__user")
    search_fields = ("user__name", "user__email", "contact_method__label")
    autocomplete_fields = ("user", "contact_method")
    fieldsets = (
        (
            None,
            {
                "fields": ("user", "urgency", "contact_method", "delay_minutes"),
                "description": "Without any rule, every verified address of a person is used at once.",
            },
        ),
    )


@admin.register(QuietHours)
class QuietHoursAdmin(Admin):
    form = QuietHoursForm
    list_display = ("user", "start_time", "end_time")
    list_select_related = ("user",)
    search_fields = ("user__name", "user__email")
    autocomplete_fields = ("user",)
    fieldsets = (
        (
            None,
            {
                "fields": ("user", "days", "start_time", "end_time"),
                "description": "Messages of low urgency wait until they end. High urgency always comes through.",
            },
        ),
    )


class DestinationForm(AddressForm):
    class Meta:
        model = Destination
        fields = ("name", "channel", "address", "label", "secret", "options", "is_enabled", "disabled_reason")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._offer(lambda one: one.is_for_teams)


@admin.register(Destination)
class DestinationAdmin(AddressAdmin):
    """Places of teams and services: a chat channel, a webhook. What each is told stands in its subscriptions."""

    form = DestinationForm
    is_offered_to_all = True
    list_display = ("name", "channel", "shown", "usable", "disabled_reason")
    list_filter = ("channel", "is_enabled", ("disabled_reason", admin.EmptyFieldListFilter))
    search_fields = ("name", "label")
    readonly_fields = ("created_at",)
    fieldsets = (
        (None, {"fields": ("name", "channel", "address", "label")}),
        ("Use", {"fields": ("is_enabled", "disabled_reason", "created_at")}),
        ("More", {"fields": ("secret", "options"), "classes": ("collapse",)}),
    )

    def get_queryset(self, request):
        return super().get_queryset(request).of_teams()

    def offered(self, request, verb):
        return super().offered(request, verb).of_teams()
