"""The next four weeks of a schedule, as lines of a week and as a table, with what is wrong in them."""

import dataclasses
import datetime as dt

from django.template.loader import render_to_string

from accounts.models import User
from core.zones import zone_or_none
from oncall import drawing, lookup, reports, shifts
from oncall.models import Duty
from oncall.models.schedules import is_zone

WEEKS = 4
SPAN = dt.timedelta(weeks=WEEKS)
# The table tells the first ones; the lines show all.
MOST_ROWS = 120
MOST_SENTENCES = 20
LANE = 26  # the height of a bar with its margin, in pixels


@dataclasses.dataclass(frozen=True)
class Week:
    """One line: its days and bars, with places in percent."""

    label: str
    days: tuple
    bars: tuple
    gaps: tuple
    height: int
    now: float | None

    @property
    def gap_height(self):
        return self.height - 4


@dataclasses.dataclass(frozen=True)
class Role:
    """One role of the schedule in the span."""

    label: str
    weeks: tuple
    rows: tuple
    left_out: int
    gap_count: int
    is_shadow: bool


def names_of(user_ids):
    """`{user id: name}`."""
    people = User.objects.filter(pk__in={pk for pk in user_ids if pk})
    return {user.pk: str(user) if user.is_active else f"{user} (deactivated)" for user in people}


def saved(schedule, *, now, hush=str):
    """The fragment for the schedule as it is in the database. `hush` takes names out of sentences."""
    spec = lookup.specs([schedule.pk], start=now, end=now + SPAN)[schedule.pk]
    unknown = sorted({one.rotation.zone for one in spec.layers if not is_zone(one.rotation.zone)})
    if unknown:  # an upgrade of the system may take a zone away, and here is where that is repaired
        sentences = [f"“{zone}” is not a time zone any more, so nobody is called. Choose another." for zone in unknown]
        return render(schedule, None, now=now, sentences=sentences)
    return render(schedule, spec, now=now, hush=hush)


def render(schedule, spec, *, now, sentences=(), is_draft=False, hush=str):
    """The fragment. Without a `spec` it says only what is wrong."""
    tz = zone_or_none(schedule.time_zone)
    problems = reports.of_draft(schedule, spec, start=now, end=now + SPAN, now=now).problems if spec and tz else ()
    context = {
        "is_draft": is_draft,
        "sentences": list(dict.fromkeys(sentences))[:MOST_SENTENCES],
        "problems": [hush(one.text) for one in problems[:MOST_SENTENCES]],
        "more_problems": max(0, len(problems) - MOST_SENTENCES),
        "zone": schedule.time_zone,
        "roles": roles(spec, tz, now) if spec and tz else (),
        "has_spec": bool(spec and tz),
    }
    return render_to_string("admin/oncall/preview.html", context)


def roles(spec, tz, now):
    """Roles that have a layer, a fixed shift or an override; the primary one always."""
    used = {one.role for one in (*spec.layers, *spec.fixed, *spec.overrides)} | {shifts.PRIMARY}
    finals = {role: shifts.final(spec, now, now + SPAN, role) for role in shifts.ROLES if role in used}
    people = {one.user_id for spans in finals.values() for span in spans for one in span.people}
    names = names_of(people)
    colours = drawing.colours(people)
    return tuple(_role(role, spans, names, colours, tz, now) for role, spans in finals.items())


def _role(role, spans, names, colours, tz, now):
    is_shadow = role == shifts.SHADOW
    gaps = [] if is_shadow else shifts.gaps(spans)
    told = [
        (one.start_at, one.end_at, names.get(one.user_id, "?"), _why(one.person, names))
        for one in shifts.shifts(spans)
    ]
    told += [(start, end, "", "") for start, end in gaps]
    told.sort(key=lambda one: one[:2])
    rows = tuple((_clock(start, tz), _clock(end, tz), name, why) for start, end, name, why in told[:MOST_ROWS])
    return Role(
        label=Duty(role).label,
        weeks=_weeks(spans, gaps, names, colours, tz, now),
        rows=rows,
        left_out=max(0, len(told) - MOST_ROWS),
        gap_count=len(gaps),
        is_shadow=is_shadow,
    )


def _why(person, names):
    why = person.why
    if person.instead_of and person.instead_of in names:
        why = f"{why}, instead of {names[person.instead_of]}"
    return f"{why}; has time off then, so somebody should cover" if person.is_off else why


def _weeks(spans, gaps, names, colours, tz, now):
    monday = drawing.start_of(drawing.WEEK, now.astimezone(tz).date())
    found = []
    for number in range(WEEKS + 1):
        period = drawing.period(drawing.WEEK, monday + dt.timedelta(weeks=number), tz)
        if not period.shows(now, now + SPAN):
            continue
        days = drawing.days(period, tz)
        within = [one for one in spans if period.shows(one.start_at, one.end_at)]
        bars = [
            {
                "x": one.x,
                "width": one.width,
                "y": LANE * one.lane + 2,
                "colour": colours.get(one.user_id, 0),
                "name": ", ".join(names.get(pk, "?") for pk in one.people),
                "title": f"{', '.join(names.get(pk, '?') for pk in one.people)}: "
                f"{_clock(one.start_at, tz)} to {_clock(one.end_at, tz)}",
            }
            for one in drawing.final_bars(period, within, days)
        ]
        holes = [
            {
                "x": x,
                "width": max(drawing.LEAST, period.place(end) - x),
                "title": f"Nobody: {_clock(start, tz)} to {_clock(end, tz)}",
            }
            for start, end in gaps
            if period.shows(start, end)
            for x in [period.place(start)]
        ]
        found.append(
            Week(
                label=f"{period.first:%d %b}",
                days=tuple(days),
                bars=tuple(bars),
                gaps=tuple(holes),
                height=LANE * (1 + max((one["y"] for one in bars), default=0) // LANE),
                now=period.place(now) if period.start <= now < period.end else None,
            )
        )
    return tuple(found)


def _clock(at, tz):
    return f"{at.astimezone(tz):%a %d %b %Y %H:%M}"
