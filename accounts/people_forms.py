"""What is typed to invite somebody, to accept an invitation, and to choose a new password."""

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS

from accounts import invitations
from accounts.models import Role, zone_choices
from accounts.permissions import may

AGAIN = "The two passwords differ. Type the same one twice."


class Form(forms.Form):
    """A form whose refusals may come from a verb."""

    @property
    def general(self):
        """The refusals that belong to no field."""
        return self.errors.get(NON_FIELD_ERRORS, ())


class NewPasswordForm(Form):
    password = forms.CharField(
        label="New password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 8 characters. Long beats complicated; a password manager makes a good one.",
        error_messages={"required": "Choose a password."},
    )
    again = forms.CharField(
        label="The same once more",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": "Type the password once more."},
    )

    def clean(self):
        cleaned = super().clean()
        if "password" in cleaned and "again" in cleaned and cleaned["password"] != cleaned["again"]:
            self.add_error("again", AGAIN)
        return cleaned


class AcceptForm(NewPasswordForm):
    name = forms.CharField(
        label="Your name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text="Others read it when you are on call.",
        error_messages={"required": "Write your name: others see it."},
    )
    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=zone_choices,
        help_text="The times on pages and your quiet hours are in it.",
        error_messages={"invalid_choice": "Choose a time zone of the list, for example Europe/Berlin."},
    )
    field_order = ("name", "time_zone", "password", "again")


class ForgottenForm(Form):
    email = forms.EmailField(
        label="Email address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
        error_messages={
            "required": "Type your email address.",
            "invalid": "This is not an email address. Write it like alice@example.com.",
        },
    )


class InviteForm(Form):
    """Whom to invite, and to what; offers what the user may give."""

    email = forms.EmailField(
        label="Email address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        error_messages={
            "required": "Type the address to invite.",
            "invalid": "This is not an email address. Write it like alice@example.com.",
        },
    )
    name = forms.CharField(
        label="Name", required=False, max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(
        label="Role on the platform",
        choices=Role.choices,
        initial=Role.RESPONDER,
        help_text="In the team the stronger of this and the role there counts.",
    )
    team = forms.ModelChoiceField(
        label="Team", queryset=None, required=False, empty_label="No team yet", to_field_name="slug"
    )
    team_role = forms.ChoiceField(label="Role in the team", choices=Role.choices, initial=Role.RESPONDER)

    def __init__(self, *args, user, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = invitations.teams_to_invite_to(user)
        if not may(user, "administer"):
            del self.fields["role"]
            self.fields["team"].required, self.fields["team"].empty_label = True, None
            self.fields["team"].error_messages["required"] = "Choose one of your teams."
