"""What people type on the pages of heartbeats."""

from django import forms
from django.db.models import Q

from accounts.permissions import visible, where_may
from alerts import heartbeats
from alerts.forms.quiet import LinesField
from alerts.models import Heartbeat, Integration
from catalog.models import Service
from incidents.models import Severity
from oncall.forms import Form, TextField

UNITS = [(1, "seconds"), (60, "minutes"), (3600, "hours"), (86400, "days")]


class HeartbeatForm(Form):
    """A heartbeat, new or there already. Times are a number and its unit."""

    name = TextField(
        label="Name", max_length=100, help_text="What gives the sign of life. Opsgenie's address names it by this too."
    )
    service = forms.ModelChoiceField(
        Service.objects.none(),
        label="Service",
        empty_label="Choose a service",
        help_text="Whose people are called when it stays away.",
    )
    severity = forms.ChoiceField(label="Severity of a miss", choices=Severity.choices)
    interval = forms.IntegerField(label="Expected every", min_value=1, max_value=40_000_000)
    interval_unit = forms.TypedChoiceField(label="Unit", choices=UNITS, coerce=int)
    grace = forms.IntegerField(
        label="May be late by",
        min_value=0,
        max_value=40_000_000,
        help_text="At least as long as the job may take longer than usual.",
    )
    grace_unit = forms.TypedChoiceField(label="Unit", choices=UNITS, coerce=int)
    description = LinesField(
        label="What to do",
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stands in the incident.",
    )
    integration = forms.ModelChoiceField(
        Integration.objects.none(),
        label="Integration",
        required=False,
        empty_label="Any of the service or its team",
        help_text="Whose key may ping it by name, in place of Opsgenie, or at its OnCall heartbeat address.",
    )

    def __init__(self, data=None, *, for_whom, heartbeat=None):
        row = heartbeat or Heartbeat()
        interval, interval_unit = _split(row.interval_seconds)
        grace, grace_unit = _split(row.grace_seconds)
        initial = {
            "name": row.name,
            "service": row.service_id,
            "severity": row.severity,
            "interval": interval,
            "interval_unit": interval_unit,
            "grace": grace,
            "grace_unit": grace_unit,
            "description": row.description,
            "integration": row.integration_id,
        }
        super().__init__(data, for_whom=for_whom, initial=initial)
        self.row = row
        # What was chosen before stays, also where somebody else configures it.
        usable = where_may(Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED), for_whom, "configure")
        self.fields["service"].queryset = Service.objects.filter(Q(pk__in=usable.values("pk")) | Q(pk=row.service_id))
        doors = where_may(Integration.objects.all(), for_whom, "configure")
        kept = visible(Integration.objects.filter(pk=row.integration_id), for_whom)
        self.fields["integration"].queryset = Integration.objects.filter(
            Q(pk__in=doors.values("pk")) | Q(pk__in=kept.values("pk"))
        )
        self.keeps_integration = bool(row.integration_id) and not kept.exists()

    def clean_name(self):
        name = self.cleaned_data["name"]
        if Heartbeat.objects.filter(name=name).exclude(pk=self.row.pk).exists():
            raise forms.ValidationError(f"There is a heartbeat “{name}” already. Choose another name.")
        return name

    def clean(self):
        cleaned = super().clean()
        for name, shortest in (("interval", heartbeats.SHORTEST_SECONDS), ("grace", 0)):
            if cleaned.get(name) is None or cleaned.get(f"{name}_unit") is None:
                continue
            seconds = cleaned[name] * cleaned[f"{name}_unit"]
            if not shortest <= seconds <= heartbeats.LONGEST_SECONDS:
                self.add_error(name, f"Choose a time from {shortest} seconds to 366 days.")
            cleaned[f"{name}_seconds"] = seconds
        return cleaned

    def filled(self):
        """The row with what was typed, not saved."""
        for name in ("name", "service", "severity", "interval_seconds", "grace_seconds", "description", "integration"):
            if name != "integration" or self.cleaned_data[name] or not self.keeps_integration:
                setattr(self.row, name, self.cleaned_data[name])
        return self.row


def _split(seconds):
    """`(number, unit)` in the largest unit that holds it whole."""
    unit = next(size for size, _ in reversed(UNITS) if seconds % size == 0 and (seconds or size == 60))
    return seconds // unit, unit
