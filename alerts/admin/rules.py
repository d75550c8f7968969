"""Routing rules, and the page that shows what they would do with an event."""

import json
import re

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import F
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from alerts import rules
from alerts.models import InboundEvent, Integration, Rule, source_choices
from alerts.rehearsal import rehearse, seen
from alerts.routing import DAYS
from catalog.models import Service
from core.admin import Admin, button, display
from core.admin_fields import choices_field, lines_widget, moment_widget, select_widget, time_widget, zone_field

CONDITION_SHOWN = 100
NO_ZONE = [("", "None")]
# A larger body is not filled into the page; it can still be pasted.
EVENT_LIMIT = 256 * 1024
HEADER = re.compile(r"(:?[^\s:]+):\s*(.*)")


# --- rules --------------------------------------------------------------------------------------------------------


class RuleForm(forms.ModelForm):
    days = choices_field(
        choices=list(enumerate(DAYS)),
        coerce=int,
        required=False,
        empty_value=[],
        help_text="None ticked: every day. A rule past midnight counts for the day on which it begins.",
    )
    time_zone = zone_field()

    class Meta:
        model = Rule
        fields = rules.CONFIGURED
        widgets = {"condition": lines_widget(4), "starts_at": time_widget(), "ends_at": time_widget()}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # A page that only shows has no fields of its own.
        if zone := self.fields.get("time_zone"):
            zone.required, zone.initial = False, ""
            zone.choices = NO_ZONE + list(zone.choices)
            zone.help_text = "In which the days and times are meant."

    def _post_clean(self):
        super()._post_clean()
        for field, sentence in rules.problems(self.instance).items():
            if field not in self.errors:
                self.add_error(field or None, sentence)


@admin.register(Rule)
class RuleAdmin(Admin):
    """Asked about each new event: those of its integration first, by position, then the global ones."""

    form = RuleForm
    list_display = ("position", "name", "asked_for", "short_condition", "when", "effect", "is_enabled")
    list_display_links = ("name",)
    list_filter = ("is_enabled", "action", "integration", "service")
    list_select_related = ("integration", "service", "policy")
    search_fields = ("name", "condition", "title", "service__name")
    # As they are asked.
    ordering = (F("integration__name").asc(nulls_last=True), "position", "id")
    autocomplete_fields = ("integration", "service", "policy")
    buttons = ("enable", "disable")
    save_as = True
    list_before_template = "admin/alerts/rules_before.html"
    fieldsets = (
        (None, {"fields": ("name", "integration", "position", "is_enabled")}),
        (
            "Which alerts",
            {
                "fields": ("condition",),
                "description": 'For example: labels.env = "prod" and (severity in ("critical", "high") or not title '
                'contains "test"). Comparisons: = != =~ !~ in contains exists. Fields: title description severity '
                "service source integration action key labels.… payload.…",
            },
        ),
        (
            "When",
            {
                "fields": ("days", ("starts_at", "ends_at"), "time_zone"),
                "description": "All empty: always.",
            },
        ),
        (
            "What becomes of them",
            {
                "fields": (
                    "action",
                    "service",
                    "policy",
                    ("severity", "priority"),
                    "title",
                    "pages_nobody",
                    "goes_on",
                ),
                "description": "What is left empty stays as it is. An alert that came by the key of a service, or "
                "that may name its service and does, keeps that service.",
            },
        ),
    )

    class Media:
        css = {"all": ("alerts/admin.css",)}

    @admin.display(description="asked for", ordering="integration__name")
    def asked_for(self, obj):
        return obj.integration.name if obj.integration_id else "every integration, last"

    @admin.display(description="condition")
    def short_condition(self, obj):
        text = obj.condition or "every alert"
        return text if len(text) <= CONDITION_SHOWN else f"{text[: CONDITION_SHOWN - 1]}…"

    @admin.display(description="when")
    def when(self, obj):
        days = ", ".join(DAYS[day][:3] for day in sorted(obj.days) if day < len(DAYS))
        times = f"{obj.starts_at:%H:%M}–{obj.ends_at:%H:%M}" if obj.starts_at and obj.ends_at else ""
        return " ".join(filter(None, [days, times, obj.time_zone if days or times else ""])) or "always"

    @display(description="effect", label={"drop": "danger", "suppress": "warning", "route": "info"})
    def effect(self, obj):
        if obj.action != Rule.Action.ROUTE:
            return obj.action, obj.action
        parts = [
            obj.service and f"service {obj.service.name}",
            obj.policy and f"policy {obj.policy.name}",
            obj.severity,
            obj.priority,
            obj.title and "new title",
            obj.pages_nobody and "pages nobody",
        ]
        return "route", ", ".join(filter(None, parts)) + (" …" if obj.goes_on else "")

    def get_urls(self):
        view = self.admin_site.admin_view(self.rehearsal_view)
        return [path("test/", view, name="alerts_rule_rehearse"), *super().get_urls()]

    def changelist_view(self, request, extra_context=None):
        links = rehearsal_links(request, "Test routing")
        return super().changelist_view(request, {"rehearsal_links": links, **(extra_context or {})})

    def shown_links(self, request, obj):
        chosen = {"integration": obj.integration_id} if obj.integration_id else {}
        return rehearsal_links(request, "Test routing", **chosen)

    def rehearsal_view(self, request):
        """What would become of a request that somebody pastes. Writes nothing."""
        if not may_rehearse(request):
            raise PermissionDenied
        found, problem = None, ""
        if request.method == "POST":
            form = RehearsalForm(request.POST, by=request.user)
            if form.is_valid():
                found = seen(form.rehearse(now=timezone.now()), request.user)
        else:
            initial, problem = _initial(request)
            form = RehearsalForm(initial=initial, by=request.user)
        context = {
            **self.admin_site.each_context(request),
            "title": "Test routing",
            "opts": self.opts,
            "form": form,
            "found": found,
            "problem": problem,
            "answer": json.dumps(found.answer, indent=2, ensure_ascii=False) if found and found.answer else "",
        }
        return TemplateResponse(request, "admin/alerts/rehearsal.html", context)

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        if change:
            rules.changed([obj.pk], now=timezone.now())

    def shown_buttons(self, request, obj):
        unfit = "enable" if obj.is_enabled else "disable"
        return [one for one in super().shown_buttons(request, obj) if one.name != unfit]

    @button("Enable", confirm="The rule counts again for events that come in from now on.")
    def enable(self, request, obj):
        return self._switch(obj, True)

    @button(
        "Disable",
        confirm="The rule is no longer asked. What it suppressed and still fires is looked at again, and may page.",
    )
    def disable(self, request, obj):
        return self._switch(obj, False)

    def _switch(self, obj, is_enabled):
        obj.is_enabled = is_enabled
        obj.save(update_fields=["is_enabled"])
        rules.changed([obj.pk], now=timezone.now())
        return f"{obj.name} is {'enabled' if is_enabled else 'disabled'}."


# --- the test page ------------------------------------------------------------------------------------------------
def may_rehearse(request):
    """Whether this person may see what would happen: whoever may change rules."""
    return request.user.may_somewhere("configure")


def rehearsal_links(request, label, **chosen):
    """The link to the test page, with an integration or an event filled in: `[(label, url)]`; [] without the right."""
    if not may_rehearse(request):
        return []
    query = {name: quote(value) for name, value in chosen.items()}
    url = reverse("admin:alerts_rule_rehearse")
    return [(label, f"{url}?{urlencode(query)}" if query else url)]


class RehearsalForm(forms.Form):
    integration = forms.ModelChoiceField(
        Integration.objects.all(),
        required=False,
        widget=select_widget(()),
        empty_label="None: the routing key of a service",
        help_text="Through which it comes in.",
    )
    service = forms.ModelChoiceField(
        Service.objects.all(),
        required=False,
        widget=select_widget(()),
        empty_label="None",
        help_text="Without an integration: the service whose routing key is used.",
    )
    source = forms.ChoiceField(
        choices=source_choices,
        required=False,
        initial="generic",
        widget=select_widget(()),
        help_text="Without an integration: what sends to that service.",
    )
    body = forms.CharField(
        label="Payload",
        strip=False,
        widget=lines_widget(14),
        help_text="The body of the request, as the sender sends it.",
        error_messages={"required": "Paste the body of a request."},
    )
    headers = forms.CharField(
        required=False,
        widget=lines_widget(3),
        help_text="Only for sources that look at them: one a line, such as X-GitHub-Event: deployment_status.",
    )
    at = forms.DateTimeField(label="Time", required=False, widget=moment_widget())

    def __init__(self, *args, by, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("integration", "service"):
            self.fields[name].queryset = by.where_may(self.fields[name].queryset, "configure")
        self.fields[
            "at"
        ].help_text = f"When it comes in. Empty: now. Time zone: {timezone.get_current_timezone_name()}."

    def clean_body(self):
        # A browser writes each line break as two characters.
        return self.cleaned_data["body"].replace("\r\n", "\n")

    def clean_headers(self):
        headers = {}
        for line in self.cleaned_data["headers"].splitlines():
            if not line.strip():
                continue
            match = HEADER.fullmatch(line.strip())
            if match is None:
                raise ValidationError(f"“{line.strip()[:60]}” is no header. Write one a line, such as X-Name: value.")
            headers[match[1].lower()] = match[2]
        return headers

    def clean(self):
        cleaned = super().clean()
        if not cleaned.get("integration") and not cleaned.get("service") and not self.errors:
            self.add_error("integration", "Choose an integration, or a service whose routing key is used.")
        return cleaned

    def rehearse(self, *, now):
        """The Rehearsal of what was filled in."""
        given = self.cleaned_data
        return rehearse(
            given["integration"],
            given["body"].encode("utf-8", "replace"),
            given["headers"],
            at=given["at"] or now,
            service=given["service"],
            source=given["source"] or "generic",
        )


def _initial(request):
    """What an address fills in, and a sentence when it cannot: `?event=`, `?integration=`, `?service=`."""
    initial = {name: request.GET[name] for name in ("integration", "service", "source") if name in request.GET}
    if "event" not in request.GET:
        return initial, ""
    try:
        row = request.user.where_may(InboundEvent.objects.all(), "configure").get(pk=request.GET["event"])
    except (InboundEvent.DoesNotExist, ValidationError):
        return initial, "This event is not kept any more. Paste the payload of another."
    initial |= {"integration": row.integration_id, "service": row.service_id, "source": row.source}
    if row.integration_id:
        initial["service"] = None
    initial["headers"] = "\n".join(f"{name}: {value}" for name, value in row.headers.items())
    body = bytes(row.body)
    if len(body) > EVENT_LIMIT:
        return (
            initial,
            f"The payload of this event is too large to be filled in ({len(body) // 1024} KiB). Paste a part of it.",
        )
    initial["body"] = body.decode("utf-8", "replace")
    return initial, ""
