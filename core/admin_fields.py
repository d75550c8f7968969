"""What a form of the admin asks, in the look of the skin."""

import zoneinfo

from django import forms
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)


def zone_field():
    """A time zone, chosen from the IANA names."""
    names = sorted(zoneinfo.available_timezones())
    return forms.ChoiceField(
        choices=[(name, name) for name in names],
        initial="UTC",
        widget=UnfoldAdminSelect2Widget(),
        help_text="Type to search, for example “Berlin”.",
        error_messages={"invalid_choice": "“%(value)s” is not a time zone. Choose one like Europe/Berlin."},
    )


def zone_text_field(**options):
    """A time zone that may be left out, typed with suggestions: a page with many of them stays small.

    The page brings the list itself: `<datalist id="wb-zones">`.
    """
    widget = UnfoldAdminTextInputWidget(attrs={"list": "wb-zones", "autocomplete": "off"})
    return forms.CharField(required=False, max_length=64, widget=widget, **options)


def number_field(**options):
    return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget(), **options)


def text_field(**options):
    return forms.CharField(widget=UnfoldAdminTextInputWidget(), **options)


def select_field(choices, **options):
    return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget(), required=False, **options)


def choices_field(*, choices, coerce=str, **options):
    """Several of a few, ticked; its value is a list, for an array field."""
    return forms.TypedMultipleChoiceField(
        choices=choices, coerce=coerce, widget=UnfoldAdminCheckboxSelectMultipleWidget(), **options
    )


def switch(**options):
    return forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget(), **options)


def file_field(**options):
    return forms.FileField(required=False, widget=UnfoldAdminFileFieldWidget(), **options)


def json_field(**options):
    return forms.JSONField(required=False, widget=lines_widget(3), **options)


def lines_widget(rows):
    return UnfoldAdminTextareaWidget(attrs={"rows": rows})


def select_widget(choices):
    return UnfoldAdminSelectWidget(choices=choices)


def time_widget():
    """A time of day, in the browser's own way of asking for it."""
    return forms.TimeInput(format="%H:%M", attrs={"type": "time", "class": " ".join(INPUT_CLASSES)})


def moment_widget():
    """A date and a time, in the browser's own way of asking for them."""
    attrs = {"type": "datetime-local", "class": " ".join(INPUT_CLASSES)}
    return forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs=attrs)


class SecretField(forms.CharField):
    """A secret that is never sent back to the browser. Empty keeps what is stored; the form decides in `clean`."""

    def __init__(self, **options):
        super().__init__(
            required=False, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}), **options
        )

    def has_changed(self, initial, data):
        return bool(data)
