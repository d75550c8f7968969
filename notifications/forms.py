"""What people type on their settings page. Refusals of the verbs are shown at the field that they are about."""

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from accounts.models import User, zone_choices
from core import secrets
from notifications import verification
from notifications.message import storable
from notifications.models import ContactMethod, NotificationRule, QuietHours, channels

LONGEST_ADDRESS = 2000
MOST_METHODS, MOST_RULES, MOST_QUIET = 30, 30, 20  # of one person; more is a mistake or mischief
LONGEST_DELAY = 24 * 60
OPTION = "option_"


class Form(forms.Form):
    """A form of one verb. `key` keeps the fields of several forms on a page apart."""

    def __init__(self, data=None, *, key, **kwargs):
        self.key = key
        super().__init__(data, auto_id=f"{key}-%s", **kwargs)

    def refuse(self, error):
        """Show what a verb refused."""
        sentences = error.messages if isinstance(error, ValidationError) else [error.message]
        name = next(iter(self.fields)) if len(self.fields) == 1 else None
        for sentence in sentences:
            self.add_error(name, sentence)

    @property
    def general(self):
        """The refusals that belong to no field."""
        return self.errors.get(NON_FIELD_ERRORS, ())


class TextField(forms.CharField):
    """One line; what the database refuses in text is left out."""

    def to_python(self, value):
        return super().to_python(storable(value).replace("\x00", "") if isinstance(value, str) else value)


class ProfileForm(Form):
    name = TextField(label="Name", max_length=150, error_messages={"required": "Write your name: others see it."})
    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=zone_choices,
        help_text="Type a part of its name, for example “Berlin”. Quiet hours and the times on pages are in it.",
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
        error_messages={"invalid_choice": "Choose a time zone of the list, for example Europe/Berlin."},
    )

    def __init__(self, *args, user, **kwargs):
        self.user = user
        super().__init__(*args, initial={"name": user.name, "time_zone": user.time_zone}, **kwargs)
        self.fields["name"].widget.attrs["autocomplete"] = "name"

    def save(self):
        User.objects.filter(pk=self.user.pk).update(
            name=self.cleaned_data["name"], time_zone=self.cleaned_data["time_zone"]
        )


class ContactForm(Form):
    """An address, new or changed, with what its channel wants to know besides.

    An address that is a credential is never sent back to the browser: empty keeps what is stored. The same goes for
    an address that is not typed at all.
    """

    label = TextField(
        label="Name of it", required=False, max_length=100, help_text="Tells your addresses apart: “work phone”."
    )
    wants_updates = forms.BooleanField(
        label="Tell it of changes",
        required=False,
        help_text="Also say here when an incident that you were paged for is acknowledged or resolved.",
    )

    def __init__(self, *args, method, **kwargs):
        self.method, self.channel = method, channels.get(method.channel)
        self.is_changed = method.pk is None
        super().__init__(*args, initial={"label": method.label, "wants_updates": method.wants_updates}, **kwargs)
        if self.channel.is_typed:
            self.fields["address"] = self._address_field()
        for setting in self.channel.options:
            self.fields[OPTION + setting.name] = self._option_field(setting)
        if not self.channel.tells_changes:
            del self.fields["wants_updates"]
        options = [name for name in self.fields if name.startswith(OPTION)]
        self.order_fields(["address", *options, "label", "wants_updates"])

    @property
    def keeps_address(self):
        return bool(self.method.pk) and self.channel.is_address_secret

    def _address_field(self):
        help_text = self.channel.address_help
        if self.keeps_address:
            help_text = f"Stored: {self.method.shown}. Empty keeps it. {help_text}"
        elif self.method.pk:
            help_text = f"{help_text.rstrip('.')}. A changed address has to be verified again."
        return TextField(
            label=self.channel.address_label,
            required=not self.keeps_address,
            max_length=LONGEST_ADDRESS,
            help_text=help_text,
            initial="" if self.keeps_address else self.method.address,
            error_messages={"required": f"Enter the {self.channel.address_label.lower()}."},
            widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        )

    def _option_field(self, setting):
        value = (self.method.options or {}).get(setting.name) or setting.default
        same = {"label": setting.label, "required": False, "initial": "" if setting.is_secret else value}
        if setting.choices:
            return forms.ChoiceField(choices=setting.choices, help_text=setting.help, **same)
        if setting.is_secret:
            stored = "Empty keeps what is stored." if value else ""
            widget = forms.PasswordInput(attrs={"autocomplete": "off"})
            return TextField(widget=widget, help_text=f"{setting.help} {stored}".strip(), max_length=500, **same)
        return TextField(help_text=setting.help, max_length=500, **same)

    def clean_address(self):
        address = self.cleaned_data["address"]
        if not address:
            return self.method.address
        address = self.channel.normal(address)
        if problem := self.channel.problem_with(address):
            raise ValidationError(problem)
        same = ContactMethod.objects.filter(
            user=self.method.user, channel=self.method.channel, address_key__in=secrets.fingerprints(address)
        )
        if same.exclude(pk=self.method.pk).exists():
            raise ValidationError("You have this address already.")
        return address

    def clean(self):
        cleaned = super().clean()
        stored = self.method.options or {}
        self.options = dict(stored)
        for setting in self.channel.options:
            value = (cleaned.get(OPTION + setting.name) or "").strip()
            if value or not setting.is_secret:
                self.options[setting.name] = value
            if setting.is_required and not (self.options.get(setting.name) or setting.default):
                self.add_error(OPTION + setting.name, f"Enter the {setting.label}.")
        for name, problem in self.channel.problems_with_options(self.options).items():
            field = OPTION + name
            if field not in self.errors:
                self.add_error(field if field in self.fields else None, problem)
        if not self.method.pk and self.method.user.contact_methods.count() >= MOST_METHODS:
            raise ValidationError(f"You have {MOST_METHODS} addresses. Remove one that you no longer use first.")
        return cleaned

    def save(self):
        """Write the contact method. A changed address is not verified any more, and no longer known to be dead."""
        method, cleaned = self.method, self.cleaned_data
        is_new = method.pk is None
        address = cleaned.get("address", method.address)
        # Only what is shown here is written: meanwhile the system may have found the address dead.
        written = ["label", "wants_updates", "options", "secret"]
        if address != method.address:
            self.is_changed = True
            verification.forget(method)
            method.address, method.disabled_reason = address, ""
            written += ["address", "address_key", "disabled_reason", *verification.FIELDS]
        method.label, method.options = cleaned["label"], self.options
        method.wants_updates = cleaned.get("wants_updates", method.wants_updates)
        method.secret = method.secret or self.channel.new_secret()
        method.save(update_fields=None if is_new else written)
        return method


class CodeForm(Form):
    code = TextField(
        label="Code",
        max_length=20,
        error_messages={"required": "Type the six digits of the message."},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "size": 8}),
    )


class RuleForm(Form):
    """One rule of a person for one urgency; `rule` is the one that is changed, if any."""

    delay_minutes = forms.IntegerField(
        label="Minutes after the page",
        min_value=0,
        max_value=LONGEST_DELAY,
        error_messages={
            "required": "Write a number of minutes; 0 is at once.",
            "invalid": "Write a whole number of minutes; 0 is at once.",
            "min_value": "Write a number of minutes; 0 is at once.",
            "max_value": "Write at most 1440 minutes, which is a day.",
        },
    )
    contact_method = forms.ModelChoiceField(
        label="Tell",
        queryset=ContactMethod.objects.none(),
        empty_label=None,
        error_messages={"required": "Choose an address.", "invalid_choice": "Choose one of your addresses."},
    )

    def __init__(self, *args, user, urgency, rule=None, **kwargs):
        self.user, self.urgency, self.rule = user, urgency, rule
        initial = {"delay_minutes": rule.delay_minutes if rule else 0}
        super().__init__(*args, initial=initial, **kwargs)
        if rule:
            del self.fields["contact_method"]
        else:
            field = self.fields["contact_method"]
            field.queryset = user.contact_methods.all()
            field.label_from_instance = described

    def clean(self):
        cleaned = super().clean()
        method = self.rule.contact_method if self.rule else cleaned.get("contact_method")
        if method is None or "delay_minutes" not in cleaned:
            return cleaned
        mine = NotificationRule.objects.filter(user=self.user, urgency=self.urgency)
        same = mine.filter(contact_method=method, delay_minutes=cleaned["delay_minutes"])
        if same.exclude(pk=self.rule and self.rule.pk).exists():
            self.add_error("delay_minutes", "There is a rule for this address at this time already.")
        if not self.rule and mine.count() >= MOST_RULES:
            raise ValidationError(f"There are {MOST_RULES} rules. Remove one that you no longer need first.")
        return cleaned

    def save(self):
        rule = self.rule or NotificationRule(
            user=self.user, urgency=self.urgency, contact_method=self.cleaned_data["contact_method"]
        )
        rule.delay_minutes = self.cleaned_data["delay_minutes"]
        rule.save()
        return rule


class QuietForm(Form):
    days = forms.TypedMultipleChoiceField(
        label="Beginning on",
        choices=QuietHours.Weekday.choices,
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one day."},
    )
    start_time = forms.TimeField(
        label="From",
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={"required": "Choose when they begin.", "invalid": "Write a time, for example 22:00."},
    )
    end_time = forms.TimeField(
        label="Until",
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        help_text="Not after the beginning: on the next day.",
        error_messages={"required": "Choose when they end.", "invalid": "Write a time, for example 07:00."},
    )

    def __init__(self, *args, user, **kwargs):
        self.user = user
        initial = {"days": list(QuietHours.Weekday), "start_time": "22:00", "end_time": "07:00"}
        super().__init__(*args, initial=initial, **kwargs)

    def clean(self):
        if self.user.quiet_hours.count() >= MOST_QUIET:
            raise ValidationError(f"There are {MOST_QUIET} quiet hours. Remove some that you no longer need first.")
        return super().clean()

    def save(self):
        return QuietHours.objects.create(user=self.user, **self.cleaned_data)


def own_address(method):
    """An address as its own person reads it: a phone number in full, of a web address only the host."""
    is_secret = method.channel not in channels or channels.get(method.channel).is_address_secret
    return method.shown if is_secret or "://" in method.address else method.address


def described(method):
    """A contact method in words for its own person: its channel, its address, and the name that they gave it."""
    label = channels.get(method.channel).label if method.channel in channels else method.channel
    text = f"{label} {own_address(method)}"
    return f"{text} ({method.label})" if method.label else text
