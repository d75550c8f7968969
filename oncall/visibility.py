"""What private teams hide of messages and alarms about schedules and coverage."""

from django.db.models import Q

from accounts.models import Team
from accounts.visibility import hidden_rows, named_in, said_in_texts
from notifications.models import Notification
from notifications.visibility import alarms_about
from oncall.models import CalendarImport, EscalationPolicy, Schedule, ShiftRequest

said_in_texts(Team, Schedule, EscalationPolicy)
alarms_about("^(?:schedule-broken|handoffs-failed):([0-9]{1,18})$", Schedule)
alarms_about("^(?:coverage|coverage-failed):([0-9]{1,18})$", Team)
alarms_about("^calendar:([0-9]{1,18})$", CalendarImport)


@hidden_rows(Notification)
def messages_of_hidden_schedules(access, user):
    """Messages to others about handoffs, requests for a shift, and the coverage of hidden teams."""
    schedules = Schedule.objects.filter(team__in=access.hidden)
    requests = ShiftRequest.objects.filter(schedule__team__in=access.hidden)
    teams = Team.objects.filter(pk__in=access.hidden)
    about = (
        Q(topic__startswith="handoff:") & Q(named_in("topic", "^handoff:([0-9]{1,18}):", schedules))
        | Q(topic__startswith="shift-request:") & Q(named_in("topic", "^shift-request:([0-9]{1,18}):", requests))
        | Q(topic__startswith="coverage:") & Q(named_in("topic", "^coverage:([0-9]{1,18})$", teams))
    )
    return ~Q(user=user) & about
