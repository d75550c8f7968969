"""What the page of a schedule shows, in the words, colours and addresses that the templates write."""

import dataclasses
import datetime as dt
from collections import Counter
from urllib.parse import urlencode

from django.urls import reverse

from accounts.models import User
from core.zones import zone_of
from oncall import drawing, shifts
from oncall.models import Duty

MINE, SCHEDULE = "mine", "schedule"
ZONES = (MINE, SCHEDULE)
TIMELINE, CALENDAR = "timeline", "calendar"
SHAPES = {TIMELINE: "Timeline", CALENDAR: "Calendar"}
DEFAULTS = {"view": drawing.WEEK, "shape": TIMELINE, "zone": MINE, "date": ""}
ROOM_FOR_NAMES, ROOM_FOR_SUBTITLES, ROOM_FOR_FIRST_NAMES = 11, 8, 3.6  # percent of the line
FINAL_HEIGHT, HEIGHT, SPACE = 46, 28, 4  # of bars, and between them, in px


def zones(user, schedule):
    """The IANA names of the reader's zone and the schedule's."""
    return {MINE: zone_of(user.time_zone).key, SCHEDULE: schedule.time_zone}


def address(name, *args, **query):
    """The address of a page, with what stands behind the question mark."""
    query = urlencode(query)
    return reverse(name, args=args) + (f"?{query}" if query else "")


def stamp(at):
    """A moment as an address writes it: 2026-06-01T09:00:00Z."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


class Links:
    """Addresses of this schedule that keep what the reader has chosen."""

    def __init__(self, schedule, chosen):
        self.slug = schedule.slug
        self.chosen = chosen
        self._page = reverse("schedule", args=[schedule.slug])
        self._shift = reverse("schedule-shift", args=[schedule.slug])
        self._new = reverse("override-new", args=[schedule.slug])
        self._override = {}

    def page(self, **changes):
        values = {**self.chosen, **changes}
        query = urlencode({name: value for name, value in values.items() if value != DEFAULTS[name]})
        return f"{self._page}?{query}" if query else self._page

    def shift(self, shift, period):
        at = max(shift.start_at, period.start) if period else shift.start_at
        return f"{self._shift}?{self._query(role=shift.person.role, user=shift.user_id, at=stamp(at))}"

    def new(self, **values):
        return f"{self._new}?{self._query(**values)}"

    def override(self, number):
        return f"{reverse('override', args=[self.slug, number])}?{self._query()}"

    def _query(self, **values):
        return urlencode({**values, "zone": self.chosen["zone"]})


@dataclasses.dataclass
class Pen:
    """Turns bars into what the template writes: names, colours, words and addresses."""

    people: dict
    colours: dict
    me: User
    tz: dt.tzinfo
    links: Links
    now: dt.datetime
    wanted: list
    may_respond: bool

    def __post_init__(self):
        self._names = {pk: str(user) for pk, user in self.people.items()}
        firsts = Counter(name.split()[0] for name in self._names.values())
        # A first name only where it tells two people apart.
        self._shorts = {
            pk: name.split()[0] if firsts[name.split()[0]] == 1 else name for pk, name in self._names.items()
        }
        self._initials = {
            pk: "".join(word[0] for word in name.split()[:2]).upper() for pk, name in self._names.items()
        }

    def name(self, user_id):
        return self._names.get(user_id, "somebody who was deleted")

    def fitting(self, user_id, width):
        """A name that a bar of so many percent can hold; its title has the whole one."""
        if width >= ROOM_FOR_NAMES:
            return self.name(user_id)
        return (self._shorts if width >= ROOM_FOR_FIRST_NAMES else self._initials).get(user_id, "?")

    def names(self, user_ids):
        return ", ".join(self.name(one) for one in user_ids)

    def colour(self, user_id):
        return f"person-{self.colours.get(user_id, 0)}"

    def when(self, at):
        face = at.astimezone(self.tz)
        return f"{face:%a} {face.day} {face:%b %H:%M}"

    def span(self, start, end):
        return f"{self.when(start)} – {self.when(end)}"

    def cut_span(self, one, period):
        start = "since before" if one.start_at < period.start else self.when(one.start_at)
        return f"{start} – {'goes on' if one.end_at > period.end else self.when(one.end_at)}"

    def is_wanted(self, shift):
        """Whether the person asks for cover of this shift."""
        return any(
            one.requester_id == shift.user_id
            and one.role == shift.person.role
            and one.start_at < shift.end_at
            and one.end_at > shift.start_at
            for one in self.wanted
        )

    def bar(self, one, *, height=HEIGHT, text="", classes="", title="", url="", is_dialog=False, sub=""):
        if one.width < ROOM_FOR_SUBTITLES:
            classes += " is-narrow" if one.width >= ROOM_FOR_FIRST_NAMES else " is-narrow is-tiny"
        if one.is_cut_before:
            classes += " goes-before"
        if one.is_cut_after:
            classes += " goes-on"
        return {
            "x": f"{one.x:g}",  # as text, which templates write as it is
            "y": one.lane * (height + SPACE),
            "width": f"{one.width:g}",
            "height": height,
            "classes": classes,
            "text": text,
            "sub": sub if one.width >= ROOM_FOR_SUBTITLES else "",
            "title": title,
            "url": url,
            "is_dialog": is_dialog,
        }


def user_ids(spec):
    found = {user_id for layer in spec.layers for slot in layer.slots for user_id in slot}
    found.update(one.user_id for one in (*spec.fixed, *spec.overrides, *spec.time_off))
    return found | {one.replaces for one in spec.overrides if one.replaces}


def colours(spec):
    """A colour for everybody; those of the layers come first, so that a guest changes nobody's."""
    return drawing.colours(
        {user_id for layer in spec.layers for slot in layer.slots for user_id in slot}, user_ids(spec)
    )


def heading(day, view, holidays, today, links):
    date = day.date
    label = {drawing.MONTH: f"{date.day}", drawing.TWO_WEEKS: f"{date:%a} {date.day}"}.get(
        view, f"{date:%a} {date.day} {date:%b}"
    )
    names = holidays.get(date, [])
    return {
        "x": day.x,
        "width": day.width,
        "label": label,
        "long": f"{date:%A} {date.day} {date:%B %Y}",
        "length": "" if day.hours == 24 else f"{day.hours:g} h",
        "is_weekend": day.is_weekend,
        "is_today": date == today,
        "holiday": ", ".join(names),
        "start_ms": int(day.start_at.timestamp() * 1000),
        "url": links.page(view=drawing.DAY, date=date.isoformat()),
    }


# --- the timeline ---------------------------------------------------------------------------------------------
def groups(period, days, spec, finals, pen):
    """The rows of the timeline in groups: the result first, then what it comes from, highest first."""
    result = [_final_row(period, days, role, spans, pen) for role, spans in finals.items()]
    causes = [
        *_override_rows(period, spec, pen),
        *_fixed_rows(period, spec, pen),
        *_layer_rows(period, days, spec, pen),
        *_off_rows(period, spec, pen),
    ]
    return [("Who is on call", result), ("Where it comes from", causes)]


def _row(kind, label, bars, *, note="", height=HEIGHT, **more):
    lanes = max((one["y"] for one in bars), default=0) // (height + SPACE) + 1
    return {
        "kind": kind,
        "label": label,
        "note": note,
        "bars": bars,
        "height": lanes * (height + SPACE) - SPACE,
        **more,
    }


def _final_row(period, days, role, spans, pen):
    label = Duty(role).label
    bars = [_final_bar(period, one, label, pen) for one in drawing.final_bars(period, spans, days)]
    row = _row("final", label, bars, height=FINAL_HEIGHT, role=role)
    if role != shifts.SHADOW:  # a shadow is no cover, so its absence is no gap
        row["bars"] = [
            *bars,
            *(_gap_bar(period, one, role, label, pen, row["height"]) for one in drawing.gap_bars(period, spans)),
        ]
    return row


def _final_bar(period, one, label, pen):
    past = " is-past" if one.end_at <= pen.now else ""
    when = pen.cut_span(one, period)
    if one.shift is None:
        day = one.start_at.astimezone(pen.tz).date().isoformat()
        return pen.bar(
            one,
            height=FINAL_HEIGHT,
            text=pen.names(one.people) if one.width >= ROOM_FOR_SUBTITLES else f"{one.count} ×",
            sub=f"{one.count} shifts",
            classes="bar-many" + past,
            title=f"{one.count} shifts of {pen.names(one.people)}, {when}. Open the day to see each.",
            url=pen.links.page(view=drawing.DAY, date=day),
        )
    person = one.shift.person
    classes, words = pen.colour(one.user_id) + past, []
    if one.user_id == pen.me.pk:
        classes += " is-me"
    if person.is_off:
        classes += " is-off"
        words.append("has time off")
    if person.via != shifts.LAYER:
        classes += " is-exception"
        words.append(person.via)
    if person.instead_of:
        words.append(f"instead of {pen.name(person.instead_of)}")
    if pen.is_wanted(one.shift):
        classes += " is-wanted"
        words.append("asks for cover")
    return pen.bar(
        one,
        height=FINAL_HEIGHT,
        text=pen.fitting(one.user_id, one.width),
        sub="; ".join(words) or ("" if one.is_cut_after else f"until {pen.when(one.end_at)}"),
        classes=classes,
        title=f"{pen.name(one.user_id)}, {label.lower()}, {when}" + (f" ({', '.join(words)})" if words else ""),
        url=pen.links.shift(one.shift, period),
        is_dialog=True,
    )


def _gap_bar(period, one, role, label, pen, height):
    url = ""
    if pen.may_respond and one.end_at > pen.now:
        start, end = max(one.start_at, period.start, pen.now), min(one.end_at, period.end)
        url = pen.links.new(start=stamp(start), end=stamp(end), role=role)
    when = pen.cut_span(one, period)
    bar = pen.bar(
        one,
        text="Nobody" if one.width >= ROOM_FOR_FIRST_NAMES else "!",
        sub=when,
        classes="bar-gap" + (" is-past" if one.end_at <= pen.now else ""),
        title=f"Nobody is on call as {label.lower()}, {when}",
        url=url,
        is_dialog=bool(url),
    )
    return {**bar, "y": 0, "height": height}


def _override_rows(period, spec, pen):
    shown = [one for one in spec.overrides if period.shows(one.start_at, one.end_at)]
    bars = []
    for one in drawing.stacked(
        drawing.bar(period, each.start_at, each.end_at, (each.user_id,), each) for each in shown
    ):
        override = one.shift
        instead = f" instead of {pen.name(override.replaces)}" if override.replaces else ""
        role = "" if override.role == shifts.PRIMARY else f", {Duty(override.role).label.lower()}"
        bars.append(
            pen.bar(
                one,
                text=pen.fitting(override.user_id, one.width) + (instead if one.width > ROOM_FOR_NAMES else ""),
                classes=pen.colour(override.user_id),
                title=f"{override.via.capitalize()}: {pen.name(override.user_id)}{instead}{role}, "
                f"{pen.span(override.start_at, override.end_at)}",
                url=pen.links.override(override.number),
                is_dialog=True,
            )
        )
    return [_row("override", "Overrides", bars, note="" if bars else "none here")]


def _fixed_rows(period, spec, pen):
    shown = [one for one in spec.fixed if period.shows(one.start_at, one.end_at)]
    bars = [
        pen.bar(
            one,
            text=pen.fitting(one.user_id, one.width),
            classes=pen.colour(one.user_id),
            title=f"Fixed shift: {pen.name(one.user_id)}, {pen.span(one.start_at, one.end_at)}",
        )
        for one in drawing.stacked(
            drawing.bar(period, each.start_at, each.end_at, (each.user_id,), each) for each in shown
        )
    ]
    return [_row("fixed", "Fixed shifts", bars)] if bars else []


def _layer_rows(period, days, spec, pen):
    rows = {}
    for layer in sorted(
        spec.layers, key=lambda one: (one.role != shifts.PRIMARY, one.role, -one.position, -one.number)
    ):
        if (layer.ends_at and layer.ends_at <= period.start) or (layer.starts_at and layer.starts_at >= period.end):
            continue
        found = drawing.layer_bars(period, layer, days)
        bars = [_layer_bar(period, one, layer, pen) for one in found]
        bars += [
            pen.bar(
                one,
                classes="bar-off",
                title=f"{pen.name(one.user_id)} has time off, {pen.span(one.start_at, one.end_at)}",
            )
            for one in drawing.off_bars(period, found, spec.time_off)
        ]
        # A layer that was changed and the one that follows it are one row.
        key = layer.role, layer.position, layer.name
        if key in rows:
            rows[key]["bars"] += bars
        else:
            role = "" if layer.role == shifts.PRIMARY else Duty(layer.role).label
            rows[key] = _row("layer", layer.name, bars, note=role)
    return list(rows.values())


def _layer_bar(period, one, layer, pen):
    when = pen.cut_span(one, period)
    if not one.people:
        return pen.bar(one, text="empty", classes="bar-empty", title=f"{layer.name}: an empty slot, {when}")
    several = f"{one.count} turns of " if one.count > 1 else ""
    classes = "bar-many" if one.count > 1 else pen.colour(one.user_id)
    names = pen.names(one.people)
    if one.count > 1 and one.width < ROOM_FOR_SUBTITLES:
        text = f"{one.count} ×"
    else:
        text = ", ".join(pen.fitting(each, one.width / len(one.people)) for each in one.people)
    return pen.bar(one, text=text, classes=classes, title=f"{layer.name}: {several}{names}, {when}")


def _off_rows(period, spec, pen):
    shown = {(one.user_id, one.start_at, one.end_at): one for one in spec.time_off}
    bars = [
        pen.bar(
            one,
            text=pen.fitting(one.user_id, one.width),
            classes=f"bar-hatched {pen.colour(one.user_id)}",
            title=f"Time off: {pen.name(one.user_id)}, {pen.span(one.start_at, one.end_at)}",
        )
        for one in drawing.stacked(
            drawing.bar(period, each.start_at, each.end_at, (each.user_id,), each)
            for each in shown.values()
            if period.shows(each.start_at, each.end_at)
        )
    ]
    return [_row("off", "Time off", bars)] if bars else []


# --- the calendar ---------------------------------------------------------------------------------------------
def weeks(period, days, finals, pen, holidays, today):
    found = drawing.calendar(days, finals)
    with_roles = len(finals) > 1
    return [
        [one and _calendar_day(*one, period, pen, holidays, today, with_roles) for one in week]
        for week in drawing.weeks(found)
    ]


def _calendar_day(day, entries, period, pen, holidays, today, with_roles):
    date = day.date
    return {
        "number": date.day,
        "weekday": f"{date:%a}",
        "month": f"{date:%b}",
        "long": f"{date:%A} {date.day} {date:%B}",
        "url": pen.links.page(view=drawing.DAY, date=date.isoformat(), shape=TIMELINE),
        "is_today": date == today,
        "is_weekend": day.is_weekend,
        "is_past": day.end_at <= pen.now,
        "length": "" if day.hours == 24 else f"{day.hours:g} h",
        "holiday": ", ".join(holidays.get(date, [])),
        "entries": [
            _entry(one, period, pen, with_roles)
            for one in sorted(entries, key=lambda each: shifts.ROLES.index(each.role))  # stays in order of time
        ],
    }


def _entry(one, period, pen, with_roles):
    start, end = (f"{at.astimezone(pen.tz):%H:%M}" for at in (one.start_at, one.end_at))
    if one.is_whole_day:
        when = "all day"
    elif not one.begins:
        when = f"until {end}"
    else:
        when = f"{start} – {end}" if one.ends else f"from {start}"
    role = Duty(one.role).label if with_roles and one.role != shifts.PRIMARY else ""
    if one.shift is None:
        url = ""
        if pen.may_respond and one.end_at > pen.now:
            start_at = max(one.start_at, pen.now)
            url = pen.links.new(start=stamp(start_at), end=stamp(one.end_at), role=one.role)
        return {"when": when, "text": "Nobody", "role": role, "classes": "entry-gap", "url": url, "words": ""}
    person = one.shift.person
    words = [person.via] if person.via != shifts.LAYER else []
    if person.is_off:
        words.append("has time off")
    if pen.is_wanted(one.shift):
        words.append("asks for cover")
    classes = pen.colour(person.user_id) + (" is-off" if person.is_off else "")
    return {
        "when": when,
        "text": pen.name(person.user_id),
        "role": role,
        "classes": classes + (" is-me" if person.user_id == pen.me.pk else ""),
        "url": pen.links.shift(dataclasses.replace(one.shift, start_at=one.start_at), None),
        "words": ", ".join(words),
    }
