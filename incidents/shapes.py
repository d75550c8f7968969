"""What the API takes and gives of incidents."""

from rest_framework import serializers

from accounts.api import PersonField, PersonShape
from accounts.models import User
from catalog.api import ServiceField
from core.rest import MomentField, Shape
from incidents import checklist, lifecycle, messages, responding, states, updates
from incidents.models import Incident, Priority, Responder, Severity, Task, TimelineEntry
from notifications.api import NotificationSummaryShape

LONGEST_TEXT = 20_000
LARGEST_NUMBER = 2**63 - 1


class IncidentShape(Shape):
    service = serializers.SlugRelatedField("slug", read_only=True)
    team = serializers.SlugRelatedField("slug", read_only=True)
    assignee = PersonField(read_only=True)
    acknowledged_by = PersonField(read_only=True)
    resolved_by = PersonField(read_only=True)
    merged_into = serializers.SerializerMethodField(help_text="The number of the one in which its work goes on.")
    policy = serializers.CharField(source="policy.name", default=None, read_only=True, allow_null=True)
    verbs = serializers.SerializerMethodField(help_text="What may be done now.")
    web_url = serializers.SerializerMethodField()

    class Meta:
        model = Incident
        fields = [
            "number",
            "title",
            "description",
            "impact",
            "status",
            "severity",
            "priority",
            "urgency",
            "service",
            "team",
            "assignee",
            "triggered_at",
            "acknowledged_at",
            "acknowledged_by",
            "resolved_at",
            "resolved_by",
            "resolution_note",
            "closed_at",
            "merged_into",
            "merged_at",
            "policy",
            "escalation_level",
            "escalation_round",
            "next_escalation_at",
            "snoozed_until",
            "verbs",
            "web_url",
        ]
        read_only_fields = fields

    def get_verbs(self, incident) -> list[str]:
        return states.verbs(incident.status) + (["unmerge"] if incident.merged_into_id else [])

    def get_merged_into(self, incident) -> int | None:
        number = incident.merged_into_id
        user = self.context["user"]
        if number and user.access().hidden and not user.visible(Incident.objects.filter(pk=number)).exists():
            return None
        return number

    def get_web_url(self, incident) -> str:
        return messages.url_of(incident)


class NewIncidentShape(serializers.Serializer):
    service = ServiceField()
    title = serializers.CharField(max_length=1024)
    severity = serializers.ChoiceField(Severity.choices)
    description = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_TEXT)
    priority = serializers.ChoiceField(Priority.choices, required=False, help_text="Left out: from the severity.")


class IncidentEditShape(serializers.Serializer):
    title = serializers.CharField(required=False, max_length=1024)
    description = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_TEXT)
    impact = serializers.CharField(
        required=False, allow_blank=True, max_length=lifecycle.LONGEST_IMPACT, help_text="What users notice."
    )
    severity = serializers.ChoiceField(Severity.choices, required=False, help_text="The priority stays as it is.")
    priority = serializers.ChoiceField(Priority.choices, required=False)


class ResolveShape(serializers.Serializer):
    note = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_TEXT, help_text="What it was.")


class ReassignShape(serializers.Serializer):
    user = PersonField(queryset=User.objects.all())


class SnoozeShape(serializers.Serializer):
    """Either `until` or `minutes`."""

    until = MomentField(required=False, help_text="A time in the future, at most 7 days away.")
    minutes = serializers.IntegerField(required=False, min_value=1, max_value=10080)

    def validate(self, fields):
        if len(fields) != 1:
            raise serializers.ValidationError("Give either “until” with a time or “minutes” with a number.")
        return fields


class NoteShape(serializers.Serializer):
    text = serializers.CharField(max_length=LONGEST_TEXT)


class MergeShape(serializers.Serializer):
    into = serializers.IntegerField(min_value=1, max_value=LARGEST_NUMBER, help_text="The one that goes on.")


class AddRespondersShape(serializers.Serializer):
    """`user` for one person, `users` for several."""

    user = PersonField(queryset=User.objects.all(), required=False)
    users = serializers.ListField(
        child=PersonField(queryset=User.objects.all()), required=False, min_length=1, max_length=50
    )
    role = serializers.ChoiceField(Responder.Role.choices, required=False)
    message = serializers.CharField(required=False, allow_blank=True, max_length=responding.LONGEST_MESSAGE)

    def validate(self, fields):
        if ("user" in fields) == ("users" in fields):
            raise serializers.ValidationError("Give either “user” with one person or “users” with a list of them.")
        people = fields.pop("users", None) or [fields.pop("user")]
        return {**fields, "people": people}


class ResponderEditShape(serializers.Serializer):
    """`role`, or `state` of oneself."""

    role = serializers.ChoiceField(Responder.Role.choices, required=False)
    state = serializers.ChoiceField(
        [("joined", "Joined"), ("declined", "Declined")], required=False, help_text="Only of oneself."
    )
    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=responding.LONGEST_MESSAGE, help_text="Why one declines."
    )

    def validate(self, fields):
        if ("role" in fields) == ("state" in fields):
            raise serializers.ValidationError("Give either “role” or “state”.")
        return fields


class TaskShape(Shape):
    assignee = PersonField(read_only=True)
    created_by = PersonField(read_only=True)
    done_by = PersonField(read_only=True)

    class Meta:
        model = Task
        fields = ["id", "text", "assignee", "created_by", "created_at", "done_by", "done_at"]
        read_only_fields = fields


class NewTaskShape(serializers.Serializer):
    text = serializers.CharField(max_length=checklist.LONGEST_TEXT)
    assignee = PersonField(queryset=User.objects.all(), required=False, allow_null=True)


class TaskEditShape(serializers.Serializer):
    text = serializers.CharField(required=False, max_length=checklist.LONGEST_TEXT)
    assignee = PersonField(queryset=User.objects.all(), required=False, allow_null=True, help_text="null: nobody.")
    is_done = serializers.BooleanField(required=False)


class UpdateShape(serializers.Serializer):
    text = serializers.CharField(max_length=updates.LONGEST, help_text="What stakeholders should know.")


class FollowersShape(serializers.Serializer):
    """Who hears of updates and of the end."""

    is_following = serializers.BooleanField(help_text="Whether you do.")
    count = serializers.IntegerField()


class EscalateShape(serializers.Serializer):
    """Either `incident`, or what a new incident needs."""

    incident = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_NUMBER)
    service = ServiceField(required=False)
    title = serializers.CharField(required=False, max_length=1024)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_TEXT)
    priority = serializers.ChoiceField(Priority.choices, required=False)

    def validate(self, fields):
        if "incident" in fields:
            return {"incident": fields["incident"]}
        missing = [name for name in ("service", "title", "severity") if name not in fields]
        if missing:
            raise serializers.ValidationError(
                "Give “incident” with the number of an incident to escalate, or “service”, “title” and “severity” "
                f"to open one. Missing: {', '.join(missing)}."
            )
        return fields


class TimelineShape(Shape):
    by = PersonField(read_only=True)
    reasons = serializers.ListField(
        child=serializers.CharField(), source="data.reasons", default=list, read_only=True, help_text="Why."
    )

    class Meta:
        model = TimelineEntry
        fields = ["id", "kind", "at", "by", "via", "text", "reasons"]
        read_only_fields = fields


class ResponderShape(serializers.Serializer):
    """Somebody who was told about the incident, has it, or was asked to help."""

    user = PersonShape()
    is_assignee = serializers.BooleanField()
    role = serializers.ChoiceField(
        Responder.Role.choices, allow_null=True, help_text="Null: nobody asked them to help, and they did not join."
    )
    joined_at = MomentField(allow_null=True)
    declined_at = MomentField(allow_null=True)
    first_told_at = MomentField(allow_null=True)
    acknowledged_at = MomentField(allow_null=True)
    channels = serializers.ListField(child=serializers.CharField())


class MetricsShape(serializers.Serializer):
    time_to_acknowledge_seconds = serializers.FloatField(allow_null=True)
    time_to_resolve_seconds = serializers.FloatField(allow_null=True)
    target_seconds = serializers.IntegerField()
    target_met = serializers.BooleanField(allow_null=True, help_text="Null while the target can still be met.")
    response_seconds = serializers.FloatField(allow_null=True, help_text="To the first answer: taken, or resolved.")
    is_escalated = serializers.BooleanField(help_text="Whether more than the first level was called.")
    escalation_level = serializers.IntegerField()
    escalation_round = serializers.IntegerField()


class IncidentSummaryShape(serializers.Serializer):
    total = serializers.IntegerField()
    open = serializers.IntegerField()
    by_status = serializers.DictField(child=serializers.IntegerField())
    by_severity = serializers.DictField(child=serializers.IntegerField())
    mtta_seconds = serializers.FloatField(allow_null=True)
    mttr_seconds = serializers.FloatField(allow_null=True)
    acknowledged = serializers.IntegerField()
    acknowledged_within_target = serializers.IntegerField()
    target_compliance = serializers.FloatField(allow_null=True, help_text="A share from 0 to 1.")


class SummaryWithAnswersShape(NotificationSummaryShape):
    average_response_time_seconds = serializers.FloatField(
        allow_null=True, help_text="Of the incidents that these messages paged for: from trigger to the first answer."
    )
    sla_compliance_rate = serializers.FloatField(
        allow_null=True,
        help_text="The share of them, from 0 to 1, that was answered within its target.",
    )
    escalation_rate = serializers.FloatField(
        allow_null=True, help_text="The share of them for which more than the first level was called."
    )


class AcknowledgeShape(serializers.Serializer):
    token = serializers.CharField(max_length=500, help_text="The last part of a link in a message: /l/TOKEN.")


class AcknowledgedShape(serializers.Serializer):
    detail = serializers.CharField(help_text="What came of it, in a sentence.")
    incidents = serializers.ListField(child=serializers.IntegerField(), help_text="Their numbers.")
