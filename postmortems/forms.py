"""What people type on the pages of postmortems. Times are wall-clock times in the reader's own zone."""

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Team, User
from accounts.permissions import where_may
from notifications.message import storable
from oncall.forms import Form, TextField
from postmortems.models import ActionItem, Postmortem, Template

LONGEST_SUMMARY, LONGEST_LINE, LONGEST_COMMENT = 5_000, 2_000, 5_000


class LinesField(forms.CharField):
    """Some lines of text; what the database refuses is left out."""

    widget = forms.Textarea

    def to_python(self, value):
        return super().to_python(storable(value) if isinstance(value, str) else value)


class PersonField(forms.ModelChoiceField):
    default_error_messages = {"invalid_choice": "Choose somebody of the list."}

    def __init__(self, **options):
        super().__init__(User.objects.none(), required=False, to_field_name="uuid", **options)

    def to_python(self, value):
        try:
            return super().to_python(value)
        except ValidationError as error:  # no UUID is like a UUID of nobody
            raise ValidationError(self.error_messages["invalid_choice"], code="invalid_choice") from error


def people_of(team, *besides):
    """Who can be named for a team: those who answer for it, and who is named already."""
    named = [one.pk for one in besides if one]
    return (User.objects.who_may("respond", team) | User.objects.filter(pk__in=named)).order_by("name", "email")


class NewForm(Form):
    """Which incidents a postmortem is about. What is left empty follows from the first of them."""

    incidents = TextField(label="Incidents", max_length=500, help_text="Their numbers, for example 41 or 41, 42.")
    title = TextField(label="Title", required=False, max_length=300, help_text="Empty: that of the incident.")
    team = forms.ModelChoiceField(
        Team.objects.none(),
        label="Team",
        required=False,
        to_field_name="slug",
        empty_label="That of the incident",
    )
    template = forms.ModelChoiceField(
        Template.objects.none(), label="Template", required=False, empty_label="The first of the team"
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = where_may(Team.objects.order_by("name"), self.for_whom, "respond")
        self.fields["template"].queryset = self.for_whom.visible(Template.objects.select_related("team"))
        self.fields["template"].label_from_instance = lambda one: f"{one} ({one.team})" if one.team else str(one)

    def clean_incidents(self):
        """The numbers, each once, in the order in which they were typed."""
        parts = self.cleaned_data["incidents"].replace("#", " ").replace(",", " ").split()
        for part in parts:
            if not (part.isascii() and part.isdigit() and len(part) < 19):
                raise ValidationError(f"“{part[:30]}” is not the number of an incident. Write for example 41, 42.")
        return list(dict.fromkeys(int(part) for part in parts))


class HeadForm(Form):
    """Title, summary, times and owner: what stands above the sections."""

    title = TextField(label="Title", max_length=300)
    summary = LinesField(
        label="Summary",
        required=False,
        max_length=LONGEST_SUMMARY,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="In a few sentences, for who reads no more. Markdown works.",
    )
    owner = PersonField(label="Owner", empty_label="Nobody")
    visibility = forms.ChoiceField(label="Who may read it", choices=Postmortem.Visibility.choices)

    def __init__(self, *args, postmortem, **kwargs):
        initial = {
            "title": postmortem.title,
            "summary": postmortem.summary,
            "owner": postmortem.owner.uuid if postmortem.owner else "",
            "visibility": postmortem.visibility,
        }
        super().__init__(*args, prefix="head", initial=initial, **kwargs)
        self.fields["owner"].queryset = people_of(postmortem.team, postmortem.owner)
        self.fields["impact_began_at"] = self.time("Impact began", exact=postmortem.impact_began_at)
        self.fields["impact_ended_at"] = self.time("Impact ended", exact=postmortem.impact_ended_at, required=False)
        for field in self.fields.values():
            field.show_hidden_initial = True  # only what its writer changed is saved: others may change the rest


class MomentForm(Form):
    text = LinesField(label="What happened", max_length=LONGEST_LINE, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args, exact, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["at"] = self.time("When", exact=exact)
        self.order_fields(["at", "text"])


class FactorForm(Form):
    cause = TextField(
        label="Cause",
        max_length=100,
        help_text="A few words, the same ones each time: expired certificate. The field offers what others wrote.",
        widget=forms.TextInput(attrs={"list": "causes", "autocomplete": "off"}),
    )
    text = LinesField(
        label="How it contributed",
        required=False,
        max_length=LONGEST_LINE,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    is_root = forms.BooleanField(label="The main cause", required=False)


class CommentForm(Form):
    text = LinesField(label="Comment", max_length=LONGEST_COMMENT, widget=forms.Textarea(attrs={"rows": 2}))


class ItemForm(Form):
    text = TextField(label="What is to be done", max_length=500)
    owner = PersonField(label="Owner", empty_label="Nobody yet")
    due_on = forms.DateField(
        label="Due",
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={"invalid": "Write a day, for example 2026-06-01."},
    )
    priority = forms.ChoiceField(
        label="Priority", choices=ActionItem.Priority.choices, initial=ActionItem.Priority.MEDIUM
    )
    link = forms.CharField(
        label="Issue",
        required=False,
        max_length=500,
        help_text="Its address in Jira, Linear or elsewhere.",
        widget=forms.URLInput,
    )

    def __init__(self, *args, team, item=None, **kwargs):
        if item:
            kwargs["initial"] = {
                "text": item.text,
                "owner": item.owner.uuid if item.owner else "",
                "due_on": item.due_on,
                "priority": item.priority,
                "link": item.link,
            }
        super().__init__(*args, **kwargs)
        self.fields["owner"].queryset = people_of(team, item and item.owner)

    def clean_due_on(self):
        day = self.cleaned_data["due_on"]
        if day and not 1990 <= day.year < 2100:
            raise ValidationError("Choose a day between 1990 and 2100.")
        return day


class ShareForm(Form):
    days = forms.IntegerField(
        label="Days",
        min_value=1,
        max_value=90,
        initial=14,
        help_text="For so long the address shows the postmortem to whoever has it.",
        error_messages={"invalid": "Write a number of days, for example 14."},
    )
