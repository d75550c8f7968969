"""What people choose on the page of their tokens."""

import datetime as dt

from django import forms

from accounts import keys, scopes
from accounts.models import Team

DURATIONS = {"30": "30 days", "90": "90 days", "365": "A year", "": "For ever"}


class TokenForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="Where you use it, for example “laptop, incident script”.",
        error_messages={"required": "Say where you use it, so that you know later which one to revoke."},
    )
    scopes = forms.MultipleChoiceField(
        label="What it may be used for",
        choices=scopes.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="Writing includes reading. It may never do more than you.",
        error_messages={"required": "Choose at least one: a token without any could do nothing."},
    )
    team = forms.ModelChoiceField(
        label="Only for the team",
        queryset=Team.objects.none(),
        required=False,
        empty_label="All that I may see",
        help_text="With a team the token reaches nothing else.",
    )
    lasts = forms.ChoiceField(
        label="Works for",
        choices=list(DURATIONS.items()),
        initial="90",
        required=False,
        help_text="You can revoke it at any time before.",
    )

    def __init__(self, *args, user, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = user.visible(Team.objects.all())

    def clean_scopes(self):
        return scopes.parse(self.cleaned_data["scopes"])

    def expires_at(self, now):
        """When the chosen time is over, or None."""
        days = self.cleaned_data["lasts"]
        return now + dt.timedelta(days=int(days)) if days else None


class RotateForm(forms.Form):
    overlap = forms.ChoiceField(
        label="The old one works",
        choices=[(name, f"for {words} more" if span else "no more") for name, (span, words) in keys.OVERLAPS.items()],
        initial="day",
        help_text="Until then both work, so that you can change it where it is used.",
    )

    def span(self):
        """The overlap as a timedelta, or None."""
        return keys.OVERLAPS[self.cleaned_data["overlap"]][0]
