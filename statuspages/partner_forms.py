"""What a partner types: where their link is sent to."""

from django import forms

from accounts.people_forms import ForgottenForm


class LinkForm(ForgottenForm):
    """The mail address, and the slug of the page that was wanted, which may be anybody's guess."""

    page = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput)
