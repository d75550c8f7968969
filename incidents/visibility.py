"""What private teams hide of messages and alarms, whose models have never heard of an incident."""

from django.db.models import Q, TextField, Value
from django.db.models.functions import Cast, Concat

from accounts.visibility import hidden_rows, said_in_texts
from catalog.models import Service
from incidents.models import Incident
from notifications.models import Notification
from notifications.visibility import alarms_about

said_in_texts(Service)
alarms_about("^(?:escalation:incident|escalation-failed|snooze|unreachable:incident):([0-9]{1,18})(?::|$)", Incident)


@hidden_rows(Notification)
def messages_of_hidden_incidents(access, user):
    """Messages to others about incidents of hidden teams, and the bundles with one in it."""
    topic = Concat(Value("incident:"), Cast("pk", TextField()), output_field=TextField())
    topics = Incident.objects.filter(team__in=access.hidden).annotate(topic_text=topic).values("topic_text")
    about = Notification.objects.filter(topic__in=topics)
    bundles = about.filter(bundle__isnull=False).values("bundle")
    return ~Q(user=user) & (Q(topic__in=topics) | Q(pk__in=bundles))
