"""What private teams hide of rows that have never heard of an incident."""

from django.db.models import Q, TextField, Value
from django.db.models.functions import Cast, Concat

from accounts.visibility import hidden_rows
from incidents.models import Incident
from notifications.models import Notification


@hidden_rows(Notification)
def messages_of_hidden_incidents(access, user):
    """Messages to others about incidents of hidden teams, and the bundles with one in it."""
    topic = Concat(Value("incident:"), Cast("pk", TextField()))
    topics = Incident.objects.filter(team__in=access.hidden).annotate(topic_text=topic).values("topic_text")
    about = Notification.objects.filter(topic__in=topics)
    bundles = about.filter(bundle__isnull=False).values("bundle")
    return ~Q(user=user) & (Q(topic__in=topics) | Q(pk__in=bundles))
