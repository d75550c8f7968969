"""Who is on call now: the people of each level of each service, with what keeps them from being called."""

import dataclasses
import datetime as dt

from accounts.models import Membership, User
from accounts.visibility import hushed
from catalog import policies
from catalog.models import Service
from notifications import numbers, planning
from notifications.models import ContactMethod, channels
from oncall import lookup, shifts
from oncall.models import Availability, Duty, Schedule, TargetKind

LOOK_AHEAD = dt.timedelta(days=35)  # more than four weekly shifts


@dataclasses.dataclass
class Line:
    """One person of a level or of a schedule, as the page says it. Nobody: without a person; `trouble` says why."""

    person: User | None
    schedule: Schedule | None = None
    role: str = ""
    trouble: str = ""
    availability: Availability | None = None
    until: dt.datetime | None = None
    following: list | None = None  # who comes next; empty is nobody, None is no change within what we look at
    why: str = ""
    instead_of: User | None = None
    is_off: bool = False
    is_shadow: bool = False
    is_named: bool = True  # by the policy, not by a schedule
    # Numbers of the levels that name them, besides a schedule.
    named_at: list = dataclasses.field(default_factory=list)
    ways: tuple = ()  # the channels on which they are reached
    phone: str = ""  # for those who may see it

    @property
    def initial(self):
        return str(self.person)[:1].upper() if self.person else ""

    @property
    def is_free(self):
        return self.person is not None and not self.trouble and not self.availability

    @property
    def is_called_by_schedule(self):
        return self.person is not None and not self.is_named and not self.is_shadow

    @property
    def identity(self):
        """Two lines with the same say the same."""
        return self.person, self.schedule, self.role, self.until, self.is_named, self.trouble


@dataclasses.dataclass
class LevelNow:
    number: int
    after_minutes: int
    lines: list

    @property
    def is_dead(self):
        return all(line.trouble for line in self.lines)


@dataclasses.dataclass
class Calls:
    """People, and all the levels that call them; without people a level that calls nobody."""

    levels: list
    lines: list


@dataclasses.dataclass
class ServiceNow:
    service: Service
    policy: dict
    levels: list
    others: list = dataclasses.field(default_factory=list)  # services of the same team that call the same people

    @property
    def services(self):
        return [self.service, *self.others]

    @property
    def calls(self):
        """`[Calls]` in the order of the levels, with each person of a schedule once, however many levels call them."""
        at = {}  # identity -> the line, and its levels by their numbers
        for level in self.levels:
            for line in level.lines:
                at.setdefault(line.identity, (line, {}))[1][level.number] = level
        by_schedule = {}
        for identity, (line, _) in at.items():
            if line.is_called_by_schedule:
                by_schedule.setdefault(line.person, identity)
        for identity, (line, levels) in list(at.items()):
            if line.person is not None and line.is_named and line.person in by_schedule:
                kept, its_levels = at[by_schedule[line.person]]
                kept.named_at = sorted(levels)
                its_levels.update(levels)
                del at[identity]
        found = {(level.number,): Calls([level], []) for level in self.levels if not level.lines}
        for line, levels in at.values():
            numbers = tuple(sorted(levels))
            found.setdefault(numbers, Calls([levels[one] for one in numbers], [])).lines.append(line)
        return [found[numbers] for numbers in sorted(found)]

    @property
    def trouble(self):
        """Why nobody would be called, as a sentence, or ""."""
        if not self.policy:
            return "No escalation policy: nobody is called."
        if not self.levels:
            return f"The policy {self.policy['name']} has no levels: nobody is called."
        if all(level.is_dead for level in self.levels):
            return "Nobody can be reached at any level."
        return ""

    @property
    def first(self):
        """The people of the first level, whom an alert calls at once."""
        lines = self.levels[0].lines if self.levels else ()
        return list(dict.fromkeys(line.person for line in lines if line.person and not line.is_shadow))

    @property
    def is_spared(self):
        """Whether everybody who can be reached is busy, offline or away, so that they are called all the same."""
        return not self.trouble and not any(line.is_free for level in self.levels for line in level.lines)


class Board:
    """Who is on call now for these services, and in these schedules, in a constant number of queries.

    The reader sees the services and schedules given. A policy may call the schedule of a team that is hidden from
    them: then it says who is called, and not the schedule's name.
    """

    def __init__(self, services, schedules, *, now, reader):
        self.now, self._services, self._schedules = now, services, schedules
        self._policies = policies.copies_for(services)
        self._hush = hushed(reader)
        self._hidden = reader.access().hidden
        self._chains = policies.chain_of(self._policies, at=now)
        loose = {one.pk for one in schedules}
        called = {
            target["id"]
            for policy in self._policies.values()
            for level in policy.get("levels", ())
            for target in level["targets"]
            if target["kind"] == TargetKind.SCHEDULE
        }
        self._by_id = Schedule.objects.in_bulk(called | loose)
        self._specs = lookup.specs(self._by_id, start=now, end=now + LOOK_AHEAD)
        self._spans = {}
        self._rosters = {pk: shifts.roster(self._specs[pk], now) for pk in loose}
        people = self._people()
        self._users = User.objects.in_bulk(people)
        self._reaches = planning.reaches(people)
        said = Availability.objects.filter(user_id__in=people).exclude(status=Availability.Status.AVAILABLE)
        self._said = {one.user_id: one for one in said if one.holds(now)}
        self._phones = _phones(people - {reader.pk}, reader)
        self._reader = reader
        self._mine = []

    def _people(self):
        """Everybody whom the page may name."""
        found = [
            (one.schedule_id, one)
            for levels in self._chains.values()
            for _, targets in levels
            for _, each in targets
            for one in each
        ]
        found += [(pk, one) for pk, roster in self._rosters.items() for each in roster.values() for one in each]
        people = {one.user_id for _, one in found} | {one.instead_of for _, one in found}
        for schedule_id, one in found:
            if schedule_id is not None:
                people.update(self._turnover(schedule_id, one)[1] or ())
        return people - {None}

    def _turnover(self, schedule_id, one):
        """When somebody who is on call now stops, and the ids of those who follow; (None, None) without a handoff."""
        key = schedule_id, one.role
        if key not in self._spans:
            self._spans[key] = shifts.final(self._specs[schedule_id], self.now, self.now + LOOK_AHEAD, one.role)
        for span in self._spans[key]:
            people = [each.user_id for each in span.people]
            if one.user_id not in people:
                return span.start_at, people
        return None, None

    def tiers(self):
        """`[(label, [ServiceNow])]`, the most important first."""
        found = {}
        for service in self._services:
            found.setdefault(service.get_tier_display(), []).append(self.service(service))
        return list(found.items())

    def service(self, service):
        levels, minutes = [], 0
        for level, targets in self._chains[service.pk]:
            lines = [self._called(target, one) for target, people in targets for one in people]
            levels.append(LevelNow(level["number"], minutes, lines))
            minutes += level["delay_minutes"]
        mine = [one.number for one in levels if any(self._is_reader(line) for line in one.lines)]
        if mine:
            self._mine.append((service, mine[0]))
        policy = self._policies[service.pk]
        return ServiceNow(service, policy | {"name": self._hush(policy["name"])} if policy else policy, levels)

    def _is_reader(self, line):
        return line.person is not None and line.person.pk == self._reader.pk and not line.is_shadow

    def mine(self):
        """`[(number of a level, [Service])]` that call the reader now, each at its first such level.

        Of those that `service` was asked about.
        """
        found = {}
        for service, number in self._mine:
            found.setdefault(number, []).append(service)
        return sorted(found.items())

    def _called(self, target, one):
        if one.user_id is None:
            schedule = self._shown(target["id"])
            return Line(None, schedule, trouble=self._hush(f"{one.problem[:1].upper()}{one.problem[1:]}."))
        if one.schedule_id is None:
            return self._line(one.user_id)
        return self._on_call(one.schedule_id, one)

    def _on_call(self, schedule_id, one):
        until, following = self._turnover(schedule_id, one)
        line = self._line(one.user_id, is_shadow=one.role == shifts.SHADOW)
        line.schedule = self._shown(schedule_id)
        line.is_named = False
        line.role = Duty(one.role).label
        line.until = until
        line.following = following if following is None else self._named(following)
        line.why = one.via if one.via in (shifts.OVERRIDE, shifts.SWAP, shifts.FIXED) else ""
        line.instead_of = self._users.get(one.instead_of)
        line.is_off = one.is_off
        return line

    def _shown(self, schedule_id):
        schedule = self._by_id.get(schedule_id)
        return None if schedule is None or schedule.team_id in self._hidden else schedule

    def _line(self, user_id, *, is_shadow=False):
        person, reach = self._users.get(user_id), self._reaches.get(user_id)
        trouble = ""
        if person is None or reach is None:
            person, trouble = None, "A person who no longer exists was meant."
        elif not person.is_active:
            trouble = "Deactivated: is never called."
        elif not is_shadow and not any(method.is_usable for method in reach.methods):
            trouble = "No verified contact method: cannot be reached."
        usable = reach.methods if reach and person and person.is_active else ()
        ways = dict.fromkeys(
            channels.get(one.channel).label for one in usable if one.is_usable and one.channel in channels
        )
        return Line(
            person,
            trouble=trouble,
            availability=self._said.get(user_id),
            is_shadow=is_shadow,
            ways=tuple(ways),
            phone=self._phones.get(user_id, ""),
        )

    def _named(self, user_ids):
        return [self._users[pk] for pk in user_ids if pk in self._users]

    def loose(self):
        """`[(team, [(schedule, [Line])])]` of the schedules that no service calls."""
        found = {}
        for schedule in self._schedules:
            lines = [self._on_call(schedule.pk, one) for each in self._rosters[schedule.pk].values() for one in each]
            if not any(not line.is_shadow for line in lines):
                lines.insert(0, Line(None, schedule, trouble=f"Nobody is on call in {schedule.name}."))
            found.setdefault(schedule.team, []).append((schedule, lines))
        return list(found.items())


def together(services):
    """The ServiceNows with each policy of a team once: the first has the services of the others too."""
    found = {}
    for one in services:
        policy = one.policy["id"] if one.policy else None
        first = found.setdefault((policy, one.service.team_id if policy else one.service.pk), one)
        if first is not one:
            first.others.append(one.service)
    return list(found.values())


def _phones(user_ids, reader):
    """`{user_id: number}` at which they are called, of those whose numbers the reader may see."""
    access = reader.access() if reader.is_active else None
    if access is None or not user_ids:
        return {}
    if not access.allows("contacts"):
        teams = access.own_teams("contacts")
        if not teams:
            return {}
        user_ids = set(Membership.objects.filter(team__in=teams, user__in=user_ids).values_list("user_id", flat=True))
    return numbers.to_call(ContactMethod.objects.filter(user_id__in=user_ids, user__is_active=True))
