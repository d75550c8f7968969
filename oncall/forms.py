"""What people type on the pages of shifts. Times are wall-clock times in the reader's own zone."""

import datetime as dt

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.dateparse import parse_datetime

from core.zones import zone_of, zone_or_none
from notifications.message import storable
from oncall import rotation
from oncall.models import Availability

FIRST, LAST = dt.datetime(1990, 1, 1), dt.datetime(2100, 1, 1)  # noqa: DTZ001 - wall-clock times


class TimeField(forms.Field):
    """A wall-clock time in a zone; its value is the UTC moment.

    `exact` is the moment that the field began with: left as it is, it means that very moment, although the field
    shows no seconds and a clock that is put back shows a time twice.
    """

    widget = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})
    default_error_messages = {
        "required": "Choose a date and a time.",
        "invalid": "Write a date and a time, for example 2026-06-01 09:00.",
    }

    def __init__(self, *, tz, exact=None, **kwargs):
        self.tz, self.exact = tz, exact
        kwargs.setdefault("initial", exact and shown(exact, tz))
        super().__init__(**kwargs)

    def to_python(self, value):
        if value in self.empty_values:
            return None
        try:
            wall = parse_datetime(str(value).strip())
        except ValueError:
            wall = None
        if wall is None or wall.tzinfo or not FIRST <= wall < LAST:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        if self.exact and wall == shown(self.exact, self.tz):
            return self.exact
        return rotation.moment(wall, self.tz)


def shown(at, tz):
    """What a field shows for a moment: the wall-clock time without seconds."""
    return rotation.wall_clock(at, tz).replace(second=0, microsecond=0)


class Form(forms.Form):
    """A form of one verb. `for_whom` reads the times; `key` keeps the fields of several forms on a page apart."""

    required_css_class = "required"

    def __init__(self, data=None, *, for_whom, key="", **kwargs):
        self.tz = zone_of(for_whom.time_zone)
        self.for_whom, self.key = for_whom, key or self.__class__.__name__.lower()
        super().__init__(data, auto_id=f"{self.key}-%s", **kwargs)

    def time(self, label, *, exact=None, required=True, **kwargs):
        return TimeField(label=f"{label} ({self.tz.key})", tz=self.tz, exact=exact, required=required, **kwargs)

    def refuse(self, error):
        """Show what a verb refused: at the field where it is ours, else above the form."""
        if isinstance(error, ValidationError):
            found = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
        else:
            found = {NON_FIELD_ERRORS: [error.message]}
        for name, sentences in found.items():
            for sentence in sentences:
                self.add_error(name if name in self.fields else None, sentence)


class TextField(forms.CharField):
    """One line; what the database refuses in text is left out."""

    def to_python(self, value):
        return super().to_python(storable(value) if isinstance(value, str) else value)


class RecurrenceForm(Form):
    """A Form with how often something comes again: by one of the usual rules, or by one of one's own.

    `whose_zone` says in words whose the form's own zone is, which counts when none is named.
    """

    OWN = "own"
    REPEATS = (
        ("FREQ=DAILY", "Every day"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "Monday to Friday"),
        ("FREQ=WEEKLY", "Every week"),
        ("FREQ=WEEKLY;INTERVAL=2", "Every other week"),
        ("FREQ=MONTHLY", "Every month on the same date"),
        (OWN, "By the rule below"),
    )
    whose_zone = "yours"

    repeats = forms.ChoiceField(label="Repeats", choices=REPEATS, initial="FREQ=WEEKLY")
    rrule = TextField(
        label="Recurrence rule",
        required=False,
        max_length=1000,
        help_text="As in iCalendar: FREQ=MONTHLY;BYDAY=1SU is the first Sunday of each month.",
    )
    time_zone = TextField(label="Repeats by the clock of", required=False, max_length=64)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        field = self.fields["time_zone"]
        field.help_text = f"A time zone such as Europe/Berlin. Empty: {self.whose_zone}."
        field.widget.attrs["placeholder"] = self.tz.key

    def clean_time_zone(self):
        name = self.cleaned_data["time_zone"] or self.tz.key
        if zone_or_none(name) is None:
            raise ValidationError(f"“{name}” is no time zone. Use one like Europe/Berlin.")
        return name

    def clean(self):
        """Leave the rule that was chosen in `rrule`; it is empty where it may be once and is."""
        cleaned = super().clean()
        repeats = cleaned.pop("repeats", "")
        if repeats != self.OWN:
            cleaned["rrule"] = repeats
        elif not cleaned.get("rrule"):
            self.add_error("rrule", "Write the rule, or choose how it repeats.")
        return cleaned

    @classmethod
    def initial_of(cls, rrule):
        """What the two fields of the recurrence begin with."""
        known = dict(cls.base_fields["repeats"].choices)
        return {"repeats": rrule} if rrule in known else {"repeats": cls.OWN, "rrule": rrule}


class AvailabilityForm(Form):
    """Begins with what the person said last; who is available opens it to say something else."""

    status = forms.ChoiceField(label="I am", choices=Availability.Status.choices)
    note = TextField(label="Note", required=False, max_length=200)

    def __init__(self, *args, said=None, **kwargs):
        initial = {"status": said.status, "note": said.note} if said else {"status": Availability.Status.BUSY}
        super().__init__(*args, initial=initial, **kwargs)
        self.fields["until_at"] = self.time("Until", exact=said and said.until_at, required=False)
        self.order_fields(["status", "until_at", "note"])


class PartForm(Form):
    """Which part of a requested span somebody takes. It begins with `span`, what is still open."""

    def __init__(self, *args, span, **kwargs):
        super().__init__(*args, **kwargs)
        start_at, end_at = span
        self.fields["start_at"] = self.time("From", exact=start_at)
        self.fields["end_at"] = self.time("Until", exact=end_at)


class OfferForm(PartForm):
    """Take a span or a part of it, for a shift of one's own in return. `shifts` are `[(value, label)]`."""

    returned = forms.ChoiceField(label="In return", error_messages={"required": "Choose a shift of yours."})
    note = TextField(label="Note", required=False, max_length=200)

    def __init__(self, *args, shifts, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["returned"].choices = [("", "Choose a shift of yours"), *shifts]
        self.order_fields(["returned", "start_at", "end_at", "note"])


class TimeOffForm(Form):
    reason = TextField(label="Reason", required=False, max_length=200)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["start_at"] = self.time("From")
        self.fields["end_at"] = self.time("Until")
        self.order_fields(["start_at", "end_at", "reason"])


class FeedForm(Form):
    """What a calendar feed shows: `mine`, a team or a schedule."""

    MINE = "mine"
    subject = forms.ChoiceField(label="Shows")
    name = TextField(label="Name", required=False, max_length=100, help_text="Where you use it, for example “phone”.")

    def __init__(self, *args, teams, schedules, **kwargs):
        super().__init__(*args, **kwargs)
        self.owners = {f"team:{one.slug}": {"team": one} for one in teams}
        self.owners |= {f"schedule:{one.slug}": {"schedule": one} for one in schedules}
        self.owners[self.MINE] = {"person": self.for_whom}
        self.fields["subject"].choices = [
            (self.MINE, "My shifts"),
            ("Teams", [(f"team:{one.slug}", one.name) for one in teams]),
            ("Schedules", [(f"schedule:{one.slug}", one.name) for one in schedules]),
        ]
