"""What people type on the pages that keep a status page. Times are wall-clock times in the zone of the page."""

import re
import uuid

from django import forms
from django.db.models import Q

from accounts.permissions import visible
from core.zones import zone_of
from incidents.models import Incident
from notifications.message import storable
from oncall.forms import Form, RecurrenceForm, TextField
from statuspages import states
from statuspages.models import Post, PostTemplate

LONGEST_BODY = 10_000
NOT_AFFECTED, AS_COMPUTED = "", "computed"
COMPONENT_CHOICES = [
    (NOT_AFFECTED, "Not affected"),
    (AS_COMPUTED, "As its incidents say"),
    *states.COMPONENT_STATES,
]
NUMBER = re.compile(r"#?\s*([0-9]{1,18})")


class BodyField(forms.CharField):
    """What readers are told, in Markdown; what the database refuses in text is left out."""

    widget = forms.Textarea(attrs={"rows": 6})

    def __init__(self, **kwargs):
        super().__init__(max_length=LONGEST_BODY, **kwargs)

    def to_python(self, value):
        return super().to_python(storable(value) if isinstance(value, str) else value)


class PageForm(Form):
    """A form about one status page. Its times are of the page's zone, which is the one that readers see."""

    def __init__(self, *args, page, **kwargs):
        super().__init__(*args, **kwargs)
        self.page, self.tz = page, zone_of(page.time_zone)

    def refuse_with(self, error):
        """Show a DomainError at the field that its code names, else above the form."""
        self.add_error(error.code if error.code in self.fields else None, error.message)


class TemplateFields:
    """The picker of templates: what it fills in stays to be changed."""

    def offer_templates(self, kind):
        rows = PostTemplate.objects.filter(Q(page=self.page) | Q(page=None), kind=kind).order_by("name", "pk")
        self.templates = list(rows)
        if self.templates:
            choices = [("", "None"), *((str(one.uuid), one.name) for one in self.templates)]
            self.fields["template"] = forms.ChoiceField(label="Template", required=False, choices=choices)

    @staticmethod
    def filled(template, names):
        """The values of a template for the fields of these names."""
        values = {"title": template.title, "stage": template.stage, "body": template.body}
        return {name: value for name, value in values.items() if name in names and value}


class ComponentFields:
    """A choice for each component of the page: whether it is affected, and how."""

    def offer_components(self, chosen=None):
        """`chosen` is {uuid: state or ""} of those that are affected already."""
        self.components = list(self.page.components.select_related("group"))
        for one in self.components:
            state = None if chosen is None else chosen.get(str(one.uuid))
            self.fields[f"state-{one.uuid}"] = forms.ChoiceField(
                label=one.name,
                required=False,
                choices=COMPONENT_CHOICES,
                initial=NOT_AFFECTED if state is None else state or AS_COMPUTED,
            )

    @property
    def component_fields(self):
        return [self[f"state-{one.uuid}"] for one in self.components]

    def chosen_components(self):
        """`{uuid: state}` of those that are affected; an empty state is what their incidents say."""
        found = {str(one.uuid): self.cleaned_data.get(f"state-{one.uuid}", "") for one in self.components}
        return {key: "" if state == AS_COMPUTED else state for key, state in found.items() if state != NOT_AFFECTED}


class PostForm(TemplateFields, ComponentFields, PageForm):
    """A new post about trouble."""

    title = TextField(label="Title", max_length=200, help_text="What readers notice, such as “Payments fail”.")
    stage = forms.ChoiceField(label="Stage", choices=states.INCIDENT_STAGES, initial=states.INVESTIGATING)
    impact = forms.ChoiceField(
        label="Impact",
        required=False,
        choices=[("", "By the worst state of the components"), *states.IMPACTS],
    )
    body = BodyField(label="What readers are told", help_text="Markdown. Say what they notice and what you do.")
    incident = TextField(
        label="Our incident", required=False, max_length=40, help_text="Its number. Readers never see it."
    )
    is_told = forms.BooleanField(label="Tell the subscribers", required=False, initial=True)

    def __init__(self, *args, chosen=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.offer_templates(Post.Kind.INCIDENT)
        self.offer_components(chosen)

    def clean_incident(self):
        return read_incident(self.cleaned_data["incident"], self.for_whom)

    def values(self):
        """What the verb takes."""
        given = {name: self.cleaned_data[name] for name in ("title", "stage", "body", "incident", "is_told")}
        return {**given, "impact": self.cleaned_data["impact"] or None, "components": self.chosen_components()}


def read_incident(text, user):
    """The incident of a number that somebody typed, of those they may see; None for nothing."""
    if not text:
        return None
    found = NUMBER.fullmatch(text)
    rows = visible(Incident.objects.all(), user)
    incident = rows.filter(pk=int(found[1])).first() if found else None
    if incident is None:
        raise forms.ValidationError(f"There is no incident “{text}” that you may see. Write its number, such as 42.")
    return incident


class UpdateForm(TemplateFields, ComponentFields, PageForm):
    """The next update of a post."""

    stage = forms.ChoiceField(label="Stage")
    body = BodyField(
        label="What readers are told", required=False, help_text="Markdown. Empty only when the stage says enough."
    )
    is_told = forms.BooleanField(label="Tell the subscribers", required=False, initial=True)

    def __init__(self, *args, post, **kwargs):
        super().__init__(*args, page=post.page, **kwargs)
        self.post = post
        is_maintenance = post.kind == Post.Kind.MAINTENANCE
        self.fields["stage"].choices = states.MAINTENANCE_STAGES if is_maintenance else states.INCIDENT_STAGES
        self.fields["stage"].initial = post.stage
        self.offer_templates(post.kind)
        self.affected = {str(one.component.uuid): one.state for one in post.affected.all()}
        self.components = []
        if not is_maintenance:
            self.offer_components(self.affected)

    def values(self):
        """What the verb takes."""
        given = {name: self.cleaned_data[name] for name in ("stage", "body", "is_told")}
        return {**given, "components": self.changed_components()}

    def changed_components(self):
        """`{uuid: state}` of those that change; None takes one out of the post."""
        chosen = self.chosen_components()
        changed = {key: state for key, state in chosen.items() if self.affected.get(key) != state}
        gone = self.affected.keys() - chosen.keys() if self.components else ()
        return {**changed, **dict.fromkeys(gone)}


class UpdateTextForm(PageForm):
    body = BodyField(label="What readers are told", help_text="Markdown. Nobody is told again.")


class PostHeadForm(PageForm):
    """What stands above the updates of a post."""

    title = TextField(label="Title", max_length=200)
    impact = forms.ChoiceField(label="Impact", choices=states.IMPACTS)

    def __init__(self, *args, post, **kwargs):
        super().__init__(*args, page=post.page, **kwargs)
        self.fields["title"].initial, self.fields["impact"].initial = post.title, post.impact
        if post.kind == Post.Kind.MAINTENANCE:
            self.fields["starts_at"] = self.time("Starts", exact=post.starts_at)
            self.fields["ends_at"] = self.time("Ends", exact=post.ends_at)
            self.fields["goes_by_itself"] = by_itself_field(initial=post.goes_by_itself)


def by_itself_field(**options):
    return forms.BooleanField(label="Begins and ends by itself, at these times", required=False, **options)


class ChosenComponents(forms.MultipleChoiceField):
    """Components of the page, named by their UUIDs; the value is a list of these as text."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, page, **kwargs):
        choices = [(str(one.uuid), one.name) for one in page.components.all()]
        super().__init__(label="Components", required=False, choices=choices, **kwargs)


class MaintenanceForm(TemplateFields, PageForm):
    """Maintenance that comes once."""

    title = TextField(label="Title", max_length=200, help_text="Such as “Database upgrade”.")
    body = BodyField(label="What readers are told", help_text="Markdown. What is done, and what they notice.")
    is_told = forms.BooleanField(label="Tell the subscribers", required=False, initial=True)

    def __init__(self, *args, span, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["starts_at"] = self.time("Starts", exact=span[0])
        self.fields["ends_at"] = self.time("Ends", exact=span[1])
        self.fields["components"] = ChosenComponents(self.page)
        self.fields["goes_by_itself"] = by_itself_field(initial=True)
        self.offer_templates(Post.Kind.MAINTENANCE)

    def values(self):
        """What the verb takes."""
        names = ("title", "body", "starts_at", "ends_at", "components", "goes_by_itself", "is_told")
        return {name: self.cleaned_data[name] for name in names}


class SeriesForm(RecurrenceForm, PageForm):
    """Maintenance that comes again and again."""

    whose_zone = "that of the page"

    title = TextField(label="Title", max_length=200, help_text="Such as “Weekly database work”.")
    body = BodyField(label="What readers are told", help_text="Markdown. What is done, and what they notice.")
    announced_days = forms.IntegerField(
        label="Announced so many days before", min_value=1, max_value=60, initial=7, help_text="1 to 60."
    )
    is_enabled = forms.BooleanField(label="Goes on: further times are announced", required=False, initial=True)

    def __init__(self, *args, span, series=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["starts_at"] = self.time("The first time starts", exact=span[0])
        self.fields["ends_at"] = self.time("The first time ends", exact=span[1])
        self.fields["components"] = ChosenComponents(self.page)
        if series is not None:
            self.initial = {
                **{name: getattr(series, name) for name in ("title", "body", "announced_days", "is_enabled")},
                "time_zone": series.time_zone,
                "components": [str(one.uuid) for one in series.components.all()],
                **self.initial_of(series.rrule),
                **self.initial,
            }

    def values(self):
        """What the verb takes."""
        names = ("title", "body", "starts_at", "ends_at", "components", "rrule", "time_zone", "announced_days")
        return {name: self.cleaned_data[name] for name in (*names, "is_enabled")}


class StateForm(PageForm):
    """The state of a component that somebody sets by hand."""

    state = forms.ChoiceField(label="State", choices=states.COMPONENT_STATES)
    reason = TextField(
        label="Reason", required=False, max_length=300, help_text="For your own people; readers don't see it."
    )

    def __init__(self, *args, component, **kwargs):
        super().__init__(*args, page=component.page, **kwargs)
        self.fields["state"].initial = component.manual_state or component.state
        self.fields["reason"].initial = component.manual_reason
        self.fields["until"] = self.time("Ends", exact=component.manual_until, required=False)
        self.fields["until"].help_text = "Empty: until somebody ends it."
        self.order_fields(["state", "until", "reason"])


def as_uuid(text):
    """A UUID that somebody typed, or None."""
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None
