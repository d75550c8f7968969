"""The page that says who is on call now, until when, and who is next."""

import datetime as dt

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts.models import Team, User
from oncall import lookup, shifts

LOOK_AHEAD = dt.timedelta(days=35)  # more than four weekly shifts


@login_required
@never_cache
def oncall(request):
    now = timezone.now()
    teams = lookup.teams_now(at=now)
    schedules = [schedule for _, rows in teams for schedule, _ in rows]
    specs = lookup.specs([one.pk for one in schedules], start=now, end=now + LOOK_AHEAD)
    spans = {pk: _spans(shifts.final(spec, now, now + LOOK_AHEAD)) for pk, spec in specs.items()}
    people = User.objects.in_bulk({user_id for found in spans.values() for user_id, *_ in found if user_id})
    for _, rows in teams:
        for schedule, person in rows:
            schedule.now = _line(spans[schedule.pk], 0, people, now + LOOK_AHEAD)
            schedule.next = _line(spans[schedule.pk], 1, people, now + LOOK_AHEAD)
            schedule.why = person.why if person else ""
    with_schedule = {team.pk for team, _ in teams}
    context = {
        "section": "oncall",
        "now": now,
        "teams": teams,
        "teams_without": [team for team in Team.objects.all() if team.pk not in with_schedule],
    }
    return render(request, "oncall/oncall.html", context)


def _spans(final):
    """The final schedule with the shifts of one person that follow each other as one: `[(user id, start, end)]`."""
    spans = []
    for shift in final:
        if spans and spans[-1][0] == shift.user_id:
            spans[-1] = (shift.user_id, spans[-1][1], shift.end_at)
        else:
            spans.append((shift.user_id, shift.start_at, shift.end_at))
    return spans


def _line(spans, place, people, horizon):
    """One span in words; `ends_at` is None where it goes on beyond what we looked at."""
    if place >= len(spans):
        return None
    user_id, start_at, end_at = spans[place]
    return {"person": people.get(user_id), "starts_at": start_at, "ends_at": end_at if end_at < horizon else None}
