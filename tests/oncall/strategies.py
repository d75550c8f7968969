"""Random schedules for property tests, mostly where clocks change, months end and boundaries meet."""

import dataclasses
import datetime as dt
import functools
import itertools
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from oncall.rotation import Rotation, turns
from oncall.shifts import ROLES, FixedSpec, LayerSpec, OverrideSpec, ScheduleSpec, TimeOffSpec
from oncall.windows import Window

ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Asuncion",
    "America/Bogota",
    "America/Chicago",
    "America/Godthab",
    "America/Havana",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Phoenix",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Chisinau",
    "Europe/Dublin",
    "Europe/Istanbul",
    "Europe/London",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Easter",
    "Pacific/Kiritimati",
    "Pacific/Norfolk",
    "UTC",
)
PEOPLE = tuple(range(1, 7))
FIRST, LAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2041, 1, 1, tzinfo=dt.UTC)
# Changes of another kind or before 2020: a day that Apia never had, and a minute past midnight in St. John's.
OLDER = {
    "Pacific/Apia": (
        dt.datetime(2011, 12, 30, 10, tzinfo=dt.UTC),
        dt.datetime(2011, 9, 24, 14, tzinfo=dt.UTC),
    ),
    "Asia/Tehran": (dt.datetime(2007, 3, 20, 20, 30, tzinfo=dt.UTC),),
    "America/Sao_Paulo": (dt.datetime(2018, 11, 4, 3, tzinfo=dt.UTC), dt.datetime(2018, 2, 18, 2, tzinfo=dt.UTC)),
    "America/St_Johns": (
        dt.datetime(2010, 3, 14, 3, 31, tzinfo=dt.UTC),
        dt.datetime(2010, 11, 7, 2, 31, tzinfo=dt.UTC),
    ),
}
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
PERSON = st.sampled_from(PEOPLE)
REPLACED = st.one_of(st.none(), PERSON)
SLOTS = st.lists(
    st.one_of(
        PERSON.map(lambda person: [person]),
        PERSON.map(lambda person: [person]),
        st.lists(PERSON, max_size=3),
    ),
    min_size=0,
    max_size=5,
)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAYS = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True)
HOURS = st.lists(st.integers(0, 23), min_size=1, max_size=3, unique=True)
RULES = (
    "FREQ=HOURLY;INTERVAL={interval}",
    "FREQ=HOURLY;INTERVAL=2;BYDAY={days}",
    "FREQ=HOURLY;BYHOUR={hours}",
    "FREQ=DAILY;INTERVAL={interval}",
    "FREQ=DAILY;BYHOUR={hours}",
    "FREQ=DAILY;BYHOUR={hours};BYMINUTE=0,30",
    "FREQ=DAILY;BYDAY={days}",
    "FREQ=DAILY;BYMONTHDAY={month_day}",
    "FREQ=WEEKLY;BYDAY={days}",
    "FREQ=WEEKLY;INTERVAL={interval};BYDAY={days};WKST=SU",
    "FREQ=WEEKLY;INTERVAL={interval};BYDAY={days};BYHOUR={hours}",
    "FREQ=WEEKLY;INTERVAL={interval}",
    "FREQ=MONTHLY;BYDAY={nth}",
    "FREQ=MONTHLY;BYMONTHDAY={month_day}",
    "FREQ=MONTHLY;INTERVAL={interval};BYMONTHDAY=1,{month_day}",
    "FREQ=MONTHLY;BYDAY={days};BYSETPOS=1,-1",
    "FREQ=MONTHLY;INTERVAL={interval}",
    "FREQ=YEARLY;BYMONTH=2,3,10,11;BYDAY={nth}",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=YEARLY;BYWEEKNO=1,10,13,43,44;BYDAY={days}",
    "FREQ=YEARLY;BYYEARDAY=1,60,100,200,300,-1",
)


@functools.cache
def clock_changes(zone):
    """All UTC minutes from 2020 to 2040 at which the clock of the zone is put forward or back, found by looking."""
    tz = ZoneInfo(zone)
    found = []
    day = FIRST
    while day < LAST:
        if day.astimezone(tz).utcoffset() != (day + DAY).astimezone(tz).utcoffset():
            at = day
            while at.astimezone(tz).utcoffset() == (at + MINUTE).astimezone(tz).utcoffset():
                at += MINUTE
            found.append(at + MINUTE)
        day += DAY
    return (*found, *OLDER.get(zone, ()))


@dataclasses.dataclass(frozen=True)
class Situation:
    """A schedule and the span in which we ask about it."""

    schedule: ScheduleSpec
    start: dt.datetime
    end: dt.datetime

    @property
    def minutes(self):
        return int((self.end - self.start) / MINUTE)


@st.composite
def situations(draw):
    zone = draw(st.sampled_from(ZONES))
    focus = draw(focuses(zone))
    start = focus - draw(st.integers(0, 2 * 24 * 60)) * MINUTE
    end = start + draw(st.integers(24 * 60, 4 * 24 * 60)) * MINUTE
    roles = draw(st.sampled_from((ROLES[:1], ROLES[:2], ROLES)))
    layers = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        own_zone = draw(st.sampled_from((zone, zone, zone, *ZONES)))
        layers.append(draw(layers_of(number, own_zone, focus, roles)))
    # Where things may begin and end exactly: at the edges of the span, at the clock change, at handoffs.
    points = {start, end, focus}
    for layer in layers:
        points |= {begin for _, begin, _ in itertools.islice(turns(layer.rotation, start, end), 8)}
    moments = st.one_of(
        st.sampled_from(sorted(points)),
        st.integers(-24 * 60, 5 * 24 * 60).map(lambda minutes: start + minutes * MINUTE),
    )
    layers = tuple(draw(in_effect(layer, moments)) for layer in layers)
    schedule = ScheduleSpec(
        name="Random",
        layers=tuple(draw(st.permutations(layers))),
        overrides=tuple(
            OverrideSpec(number, draw(PERSON), *draw(spans(moments)), draw(st.sampled_from(roles)), draw(REPLACED))
            for number in draw(numbers(4))
        ),
        fixed=tuple(
            FixedSpec(number, draw(PERSON), *draw(spans(moments)), draw(st.sampled_from(roles)))
            for number in draw(numbers(2))
        ),
        time_off=tuple(TimeOffSpec(draw(PERSON), *draw(spans(moments))) for _ in draw(numbers(3))),
        skips_time_off=draw(st.booleans()),
    )
    return Situation(schedule, start, end)


@functools.cache
def numbers(most):
    """Some numbers, in any order: of none up to `most` things."""
    return st.lists(st.integers(1, most), max_size=most, unique=True)


def spans(moments):
    """Two times in order, of which the later comes later."""
    return st.tuples(moments, moments).map(sorted).map(lambda two: (two[0], max(two[1], two[0] + MINUTE)))


@functools.cache
def focuses(zone):
    """A UTC minute around which something happens."""
    changes = clock_changes(zone)
    ends_of_months = st.builds(
        lambda year, month, hour: dt.datetime(year, month, 1, hour, tzinfo=dt.UTC),
        st.integers(2020, 2040),
        st.integers(1, 12),
        st.integers(0, 23),
    )
    leap_days = st.sampled_from([dt.datetime(year, 2, 29, 12, tzinfo=dt.UTC) for year in range(2020, 2041, 4)])
    any_time = st.integers(0, (LAST - FIRST) // MINUTE).map(lambda minutes: FIRST + minutes * MINUTE)
    others = [ends_of_months, leap_days, any_time]
    return st.one_of(*[st.sampled_from(changes)] * 5, *others) if changes else st.one_of(*others)


@functools.cache
def times_of_day(time):
    """Full minutes, mostly around a time."""
    face = dt.datetime.combine(FIRST, time)
    near = st.sampled_from(
        (0, 0, 0, -120, -90, -61, -60, -59, -31, -30, -29, -15, -1, 0, 1, 15, 29, 30, 59, 60, 61, 120, 180)
    )
    return st.one_of(
        near.map(lambda minutes: (face + minutes * MINUTE).time()),
        near.map(lambda minutes: (face + minutes * MINUTE).time()),
        st.integers(0, 23).map(dt.time),
        st.builds(dt.time, st.integers(0, 23), st.integers(0, 59)),
        st.just(dt.time(0)),
    )


@st.composite
def layers_of(draw, number, zone, focus, roles):
    face = focus.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    rotation = draw(rotations(zone, face))
    near = draw(st.sampled_from((face.time(), rotation.handoff_time)))
    return LayerSpec(
        number=number,
        name=f"Layer {number}",
        position=draw(st.integers(1, 3)),
        rotation=rotation,
        slots=tuple(map(tuple, draw(SLOTS))),
        role=draw(st.sampled_from(roles)),
        first_slot=draw(st.integers(0, 5)),
        windows=draw(windows(near)),
    )


@st.composite
def in_effect(draw, layer, moments):
    """The layer, which may begin to hold, or end, around the span."""
    kind = draw(st.sampled_from(("always", "always", "from", "until", "between")))
    starts_at, ends_at = draw(spans(moments)) if kind != "always" else (None, None)
    return dataclasses.replace(
        layer,
        starts_at=starts_at if kind in ("from", "between") else None,
        ends_at=ends_at if kind in ("until", "between") else None,
    )


@functools.cache
def windows(time):
    """Restrictions that open and close mostly around a time."""
    times = times_of_day(time)
    days = st.one_of(
        st.integers(1, 127).map(lambda mask: tuple(day for day in range(7) if mask >> day & 1)),
        st.integers(0, 6).map(lambda day: (day,)),
        st.just((0, 1, 2, 3, 4)),
        st.just(tuple(range(7))),
    )
    one = st.builds(Window, days, times, times, st.one_of(st.none(), st.none(), st.integers(0, 6)))
    long = st.builds(
        lambda day, start, end, shorter: Window((day,), start, end, (day - shorter) % 7),
        *(st.integers(0, 6), times, times, st.integers(0, 2)),
    )
    return st.one_of(
        st.just(()),
        one.map(lambda window: (window,)),
        long.map(lambda window: (window,)),
        st.lists(one, max_size=3).map(tuple),
    )


@st.composite
def rotations(draw, zone, face):
    unit = draw(st.sampled_from(("hour", "day", "week", "month", "rrule", "rrule")))
    time = draw(times_of_day(face.time()))
    rule = ""
    days_old = 365 * 3
    if unit == "rrule":
        rule = draw(rules(face))
        days_old = 300 if "HOURLY" in rule else 365 * 3 if "DAILY" in rule else 365 * 12
    elif unit in ("week", "month"):
        days_old = 365 * 30
    elif unit == "day":
        days_old = draw(st.sampled_from((365, 365, 365 * 30)))
    begins = draw(st.sampled_from(("lately", "some day", "end of a month")))
    if begins == "end of a month":
        start = month_end(face.date(), draw(st.integers(0, days_old // 31)), draw(st.integers(28, 31)))
    else:
        start = face.date() - draw(st.integers(-2, 15) if begins == "lately" else st.integers(0, days_old)) * DAY
    start = max(start, dt.date(1990, 1, 1))
    most = {"hour": 40, "day": 10, "week": 5, "month": 14, "rrule": 1}[unit]
    return Rotation(unit, draw(st.integers(1, most)), start, time, zone, rule)


def month_end(date, months, day):
    """A late day of a month some months ago, the last if the month is shorter."""
    year, month = divmod(date.year * 12 + date.month - 1 - months, 12)
    following = dt.date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return min(following - DAY, dt.date(year, month + 1, 28) + (day - 28) * DAY)


@st.composite
def rules(draw, face):
    interval = draw(st.integers(1, 4))
    days, hours = ",".join(draw(DAYS)), ",".join(map(str, draw(HOURS)))
    nth = f"{draw(st.sampled_from((1, 2, 3, 4, -1, -2)))}{draw(st.sampled_from(WEEKDAYS))}"
    month_day = draw(st.sampled_from((1, 15, 28, 29, 30, 31, -1, -2)))
    rule = draw(st.sampled_from(RULES)).format(**locals())
    ends = draw(st.sampled_from(("", "", "", "COUNT", "day", "local", "UTC")))
    if ends == "COUNT":
        return f"{rule};COUNT={draw(st.integers(1, 60))}"
    until = face + draw(st.integers(-3 * 24, 3 * 24)) * HOUR
    forms = {"day": "%Y%m%d", "local": "%Y%m%dT%H%M%S", "UTC": "%Y%m%dT%H%M%SZ"}
    return f"{rule};UNTIL={until:{forms[ends]}}" if ends else rule
