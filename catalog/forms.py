"""What people type on the page of a service."""

from django import forms

from accounts.permissions import visible
from catalog.links import ADVICE, web_address
from catalog.models import Link, Service
from oncall.forms import Form, TextField


class LinkForm(Form):
    """A link of a service, new or there already."""

    kind = forms.ChoiceField(label="Kind", choices=Link.Kind.choices)
    label = TextField(label="Label", max_length=100, help_text="What it is, for example “When checkout is slow”.")
    url = TextField(
        label="Address",
        max_length=500,
        validators=[web_address],
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
        error_messages={"required": ADVICE},
    )

    def __init__(self, data=None, *, for_whom, link, **kwargs):
        self.link = link
        initial = {"kind": link.kind, "label": link.label, "url": link.url}
        super().__init__(data, for_whom=for_whom, initial=initial, key=f"link-{link.pk or 'new'}", **kwargs)

    def clean_url(self):
        url = self.cleaned_data["url"]
        if Link.objects.filter(service=self.link.service_id, url=url).exclude(pk=self.link.pk).exists():
            raise forms.ValidationError("The service has a link to this address already. Change that one.")
        return url

    def filled(self):
        """The row with what was typed, not saved."""
        for name in ("kind", "label", "url"):
            setattr(self.link, name, self.cleaned_data[name])
        return self.link


class DependencyForm(Form):
    """What else a service needs."""

    needs = forms.ModelChoiceField(
        Service.objects.none(),
        label="Needs",
        to_field_name="slug",
        empty_label="Choose a service",
        error_messages={
            "required": "Choose the service that this one needs.",
            "invalid_choice": "This service is not among those that you can choose. Choose one of the list.",
        },
    )
    note = TextField(label="Note", required=False, max_length=200, help_text="What for, for example “keeps sessions”.")
    holds_alerts = forms.BooleanField(
        label="Hold alerts while it is down",
        required=False,
        help_text="While the needed service has an open incident, alerts of this one that are no more severe wait.",
    )

    def __init__(self, data=None, *, for_whom, service, **kwargs):
        super().__init__(data, for_whom=for_whom, key="dependency", **kwargs)
        usable = visible(Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED), for_whom).order_by("name")
        if data is None:  # what it needs already has a form of its own, which arrives here too
            usable = usable.exclude(pk=service.pk).exclude(pk__in=service.dependencies.values("needs"))
        self.fields["needs"].queryset = usable
