"""What people type on the pages of silences and maintenance. Times are wall-clock times in the reader's own zone."""

from django import forms

from accounts.models import Team
from accounts.permissions import may, where_may
from alerts import matching
from alerts.models import Integration, Silence
from catalog.models import Service
from notifications.message import storable
from oncall.forms import Form, RecurrenceForm, TextField

CONDITION_HELP = (
    'Which alerts, for example env = "staging" and severity in ("low", "info"). A bare name is a label; =~ takes a '
    'regular expression for the whole value. Matchers of Alertmanager work too: {alertname="DiskFull", env=~"dev|qa"}.'
)


class LinesField(forms.CharField):
    """Some lines of text; what the database refuses is left out."""

    def to_python(self, value):
        return super().to_python(storable(value) if isinstance(value, str) else value)


def condition_field(**options):
    return LinesField(
        required=False,
        max_length=matching.CONDITION_LIMIT,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
        **options,
    )


class QuietForm(Form):
    """What both kinds share."""

    condition = condition_field(label="Condition", help_text=CONDITION_HELP)
    everything = forms.BooleanField(label="Yes, it may hold nearly every alert", required=False)

    # Where a field shows what a verb refused.
    FIELDS = {
        "condition": "condition",
        "matches_everything": "condition",
        "means_nothing": "condition",
        "reason_required": "reason",
        "name_required": "name",
        "ends_before_it_starts": "ends_at",
        "ends_in_the_past": "ends_at",
        "too_long": "ends_at",
        "starts_in_the_past": "starts_at",
        "never_open": "ends_at",
        "time_zone": "time_zone",
        "rrule": "rrule",
    }

    def __init__(self, *args, span, asks_everything=False, **kwargs):
        super().__init__(*args, **kwargs)
        starts_at, ends_at = span
        self.fields["starts_at"] = self.time("From", exact=starts_at)
        self.fields["ends_at"] = self.time("Until", exact=ends_at)
        self.asks_everything = asks_everything or "everything" in self.data

    def refuse_with(self, error):
        """Show a DomainError at the field that it is about."""
        self.asks_everything |= error.code == "matches_everything"
        name = self.FIELDS.get(error.code)
        self.add_error(name if name in self.fields else None, error.message)

    def refuse_all(self, what):
        """Refuse what nothing narrows to a team, since it may hold anybody's alerts."""
        self.add_error(None, f"Choose {what}: only responders of the whole platform hold alerts of any team.")


class SilenceForm(QuietForm):
    service = forms.ModelChoiceField(
        Service.objects.none(), label="Service", required=False, to_field_name="slug", empty_label="Any service"
    )
    integration = forms.ModelChoiceField(
        Integration.objects.none(),
        label="Integration",
        required=False,
        to_field_name="uuid",
        empty_label="Any source",
        help_text="Only alerts that come in here.",
    )
    reason = TextField(
        label="Reason", max_length=500, help_text="Others read it at three in the morning: what is going on?"
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["service"].queryset = where_may(Service.objects.order_by("name"), self.for_whom, "respond")
        self.fields["integration"].queryset = where_may(Integration.objects.order_by("name"), self.for_whom, "respond")
        self.order_fields(["condition", "everything", "service", "integration", "starts_at", "ends_at", "reason"])

    def may_save(self, *, service, integration, **values):
        """Whether the person may hold these alerts; refuses the form otherwise."""
        if not may(self.for_whom, "respond", Silence(service=service, integration=integration)):
            self.refuse_all("a service or an integration of your team")
        return not self.errors


SEVERAL = "Several with Ctrl, on a Mac with ⌘."


class MaintenanceForm(RecurrenceForm, QuietForm):
    name = TextField(label="Name", max_length=200, help_text="What is worked on.")
    reason = TextField(label="Reason", required=False, max_length=500)
    services = forms.ModelMultipleChoiceField(
        Service.objects.none(), label="Services", required=False, to_field_name="slug", help_text=SEVERAL
    )
    teams = forms.ModelMultipleChoiceField(
        Team.objects.none(),
        label="Teams",
        required=False,
        to_field_name="slug",
        help_text=f"All services of these teams. {SEVERAL}",
    )
    repeats = forms.ChoiceField(label="Repeats", choices=[("", "Once"), *RecurrenceForm.REPEATS], required=False)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["services"].queryset = where_may(Service.objects.order_by("name"), self.for_whom, "respond")
        self.fields["teams"].queryset = where_may(Team.objects.order_by("name"), self.for_whom, "respond")
        self.fields["condition"].help_text = f"Empty: all alerts of what is chosen above. {CONDITION_HELP}"

    def may_save(self, *, services, teams, **values):
        """Whether the person may hold these alerts; refuses the form otherwise."""
        if not (services or teams) and not may(self.for_whom, "respond"):
            self.refuse_all("services of your team, or the team")
        return not self.errors
