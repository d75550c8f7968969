"""Who is on call: 1,000 schedules of 5 layers and 10 people, a year of final schedule, and a page with 20 layers.

Each figure is taken twice, for rotations that began this year and in 1990: age must not matter.
"""

import datetime as dt
import gc
import random
import sys
import time

from bench import house

from django.core.management import call_command  # isort: skip
from django.test import Client  # isort: skip

from accounts.models import Team, User  # isort: skip
from oncall import lookup, rotation, shifts, windows  # isort: skip
from oncall.models import Layer, Participant, Restriction, Schedule  # isort: skip

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney", "UTC")
LAYERS, PEOPLE = 5, 10
WORKDAYS = {"days": [0, 1, 2, 3, 4], "start_time": dt.time(9), "end_time": dt.time(17)}
NIGHTS = {"days": [0, 1, 2, 3, 4, 5, 6], "start_time": dt.time(22), "end_time": dt.time(6)}
# Unit, every, recurrence rule, restriction: one layer of each in every schedule.
SHAPES = [
    ("week", 1, "", None),
    ("day", 1, "", WORKDAYS),
    ("hour", 12, "", None),
    ("month", 1, "", NIGHTS),
    ("rrule", 1, "FREQ=WEEKLY;BYDAY=MO,TH", WORKDAYS),
]


def seed(count, year, layers=LAYERS, crew="bench"):
    """`count` schedules whose rotations began in `year`, all of the same crew. Returns their ids."""
    team, _ = Team.objects.get_or_create(name="Bench", slug="bench-team")
    people = list(User.objects.filter(email__startswith=f"{crew}-")[:PEOPLE])
    if not people:
        people = User.objects.bulk_create(
            [User(email=f"{crew}-{number}@example.com", name=f"Person {number}") for number in range(PEOPLE)]
        )
    first = Schedule.objects.count()
    schedules = Schedule.objects.bulk_create(
        [
            Schedule(name=f"Schedule {number}", slug=f"schedule-{number}", team=team, time_zone=ZONES[number % 5])
            for number in range(first, first + count)
        ]
    )
    rows = []
    for schedule in schedules:
        for place in range(layers):
            unit, every, rule, _ = SHAPES[place % len(SHAPES)]
            rows.append(
                Layer(
                    schedule=schedule,
                    name=f"Layer {place + 1}",
                    position=place + 1,
                    unit=unit,
                    every=every,
                    rule=rule,
                    start_date=dt.date(year, 1, 1 + place % 28),
                )
            )
    rows = Layer.objects.bulk_create(rows, batch_size=1000)
    Participant.objects.bulk_create(
        [
            Participant(layer=layer, user=person, position=position)
            for layer in rows
            for position, person in enumerate(people)
        ],
        batch_size=5000,
    )
    Restriction.objects.bulk_create(
        [
            Restriction(layer=layer, **restriction)
            for layer in rows
            if (restriction := SHAPES[(layer.position - 1) % len(SHAPES)][3])
        ],
        batch_size=5000,
    )
    return [one.pk for one in schedules]


def times(calls):
    """The milliseconds of each call."""
    found = []
    for call in calls:
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    return found


def said(found):
    return "   ".join(
        f"{name} {house.percentile(found, share):8.3f} ms" for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))
    )


def moments(count):
    generator = random.Random(7)
    return [NOW + dt.timedelta(minutes=generator.randrange(-500_000, 500_000)) for _ in range(count)]


def who(ids, year):
    schedules = Schedule.objects.in_bulk(ids)
    pairs = list(zip(ids, moments(len(ids)), strict=True))
    lookup.who(schedules[ids[0]], at=NOW)  # the connection is open
    found = times([lambda pk=pk, at=at: lookup.who(schedules[pk], at=at) for pk, at in pairs])
    print(f"who(at), with the database, from {year}    {said(found)}   (wanted p99 < 5 ms)")
    specs = lookup.specs(ids, start=NOW, end=NOW)
    found = times([lambda pk=pk, at=at: shifts.roster(specs[pk], at) for pk, at in pairs])
    print(f"who(at), pure, from {year}                 {said(found)}   (wanted p99 < 0.3 ms)")
    found = times([lambda: lookup.who_many(ids, at=NOW)] * 3)
    print(f"who(at) of all {len(ids)} in one call, {year}   {said(found)}")


def finals(ids, year):
    specs = lookup.specs(ids[:100], start=NOW, end=NOW + dt.timedelta(days=365))
    end = NOW + dt.timedelta(days=365)
    found = times([lambda spec=spec: shifts.final(spec, NOW, end) for spec in specs.values()])
    print(f"final schedule of a year, from {year}      {said(found)}   (wanted < 50 ms)")
    # Every thirtieth call or so, the garbage collector walks all that this bench has loaded. Without that:
    gc.collect()
    gc.freeze()
    found = times([lambda spec=spec: shifts.final(spec, NOW, end) for spec in specs.values()])
    print(f"the same with the heap frozen, from {year} {said(found)}")
    gc.unfreeze()
    rows = list(Schedule.objects.filter(pk__in=ids[:50]))
    found = times([lambda one=one: lookup.final(one, start=NOW, end=end) for one in rows])
    print(f"the same with the database, from {year}    {said(found)}")


def cold_rule(year):
    """The first question to a rule that has to be walked from its first day; the answers after it are remembered."""
    rule = "FREQ=MONTHLY;BYDAY=1MO,3TH"
    one = rotation.Rotation("rrule", 1, dt.date(year, 1, 1), dt.time(9), "Europe/Berlin", rule)
    first = times([lambda: rotation.turn(one, NOW)])
    then = said(times([lambda: rotation.turn(one, NOW)] * 500))
    print(f"a rule by months, from {year}: first {first[0]:.1f} ms, then {then}")
    window = (windows.Window((0, 1, 2, 3, 4), dt.time(9), dt.time(17)),)
    first = times([lambda: windows.ordinal(one, window, rotation.turn(one, NOW))])
    print(f"  with a restriction: first {first[0]:.1f} ms")


def page(year):
    crew = f"page-{year}"
    seed(5, year, crew=crew)  # the people stand in other schedules too, where double bookings are looked for
    (pk,) = seed(1, year, layers=20, crew=crew)
    schedule = Schedule.objects.get(pk=pk)
    client = Client()
    client.force_login(User.objects.create_superuser(f"bench-page-{year}@example.com", "x"))
    for view in ("week", "2weeks", "month"):
        url = f"/schedules/{schedule.slug}?view={view}"
        assert client.get(url).status_code == 200
        found = said(times([lambda url=url: client.get(url)] * 20))
        print(f"page of 20 layers, {view:7}, from {year}      {found}   (wanted < 200 ms)")


def main(count):
    call_command("migrate", verbosity=0)
    for year in (2026, 1990):
        ids = seed(count, year)
        who(ids, year)
        finals(ids, year)
        cold_rule(year)
    for year in (2026, 1990):
        page(year)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"schedules: {count} of {LAYERS} layers and {PEOPLE} people on {house.machine()}")
    try:
        main(count)
    finally:
        house.close()
