"""The demo company: a shop with two teams, so that the first start has somebody to page."""

import datetime as dt
import json
import os
import secrets

from django.conf import settings
from django.db import transaction

from accounts.auth import issue_key
from accounts.models import Membership, Role, Team, User
from alerts.keys import issue_key as issue_integration_key
from alerts.models import Integration
from catalog.models import Service
from notifications.models import ContactMethod
from oncall import lookup
from oncall.models import (
    Duty,
    EscalationPolicy,
    Holiday,
    Layer,
    Level,
    NobodyAction,
    Override,
    Participant,
    Restriction,
    Schedule,
    ShiftRequest,
    Target,
    TimeOff,
)

PEOPLE = [
    ("alice", "Alice Ahmadi", Role.RESPONDER, "Europe/Berlin"),
    ("bob", "Bob Brandt", Role.RESPONDER, "Europe/Berlin"),
    ("charlie", "Charlie Costa", Role.RESPONDER, "America/New_York"),
    ("dora", "Dora Desai", Role.RESPONDER, "Asia/Kolkata"),
]
TEAMS = {"shop": ("Shop", ["alice", "bob"]), "platform": ("Platform", ["charlie", "dora"])}
SERVICES = [
    ("checkout-api", "Checkout API", "shop", 1, "Takes the orders. When it is down, nobody can buy."),
    ("search", "Search", "shop", 2, "Finds products."),
    ("payments", "Payments", "platform", 1, "Talks to the banks."),
    ("postgres-main", "PostgreSQL main", "platform", 1, "The database behind the shop."),
]


def path():
    return settings.WATCHBILL_HOME / "demo.json"


def is_wanted():
    """Only an empty house is filled."""
    return not User.objects.exists()


@transaction.atomic
def fill(*, base_url, now):
    """Fill an empty database with the demo company and write demo.json. Returns its content."""
    admin_password = new_password()
    admin = User.objects.create_superuser("admin@example.com", admin_password, name="Ada Admin")
    people, responders = {}, []
    for key, name, role, zone in PEOPLE:
        password = new_password()
        person = User.objects.create_user(f"{key}@example.com", password, name=name, role=role, time_zone=zone)
        people[key] = person
        responders.append({"name": name, "email": person.email, "password": password})
    for person in (admin, *people.values()):
        ContactMethod.objects.create(user=person, channel="email", address=person.email, verified_at=now, label="work")
    teams = {}
    for slug, (name, members) in TEAMS.items():
        teams[slug] = Team.objects.create(name=name, slug=slug)
        for key in members:
            Membership.objects.create(team=teams[slug], user=people[key])
        _policy(teams[slug], [people[key] for key in members], admin, now)
    _follow_the_sun(teams["platform"], people)
    _seconds(teams["shop"], people)
    _exceptions(teams["shop"], people, now)
    services = {
        slug: Service.objects.create(name=name, slug=slug, team=teams[team], tier=tier, description=description)
        for slug, name, team, tier, description in SERVICES
    }
    keys = {}
    for source, name in (
        ("generic", "Scripts and everything else"),
        ("alertmanager", "Alertmanager"),
        ("pagerduty", "Tools that speak PagerDuty"),
    ):
        integration = Integration(name=name, source=source, service=services["checkout-api"])
        keys[source] = issue_integration_key(integration)
        integration.save()
    _, api_key = issue_key(admin, name="Demo")
    content = {
        "base_url": base_url,
        "admin": {"email": admin.email, "password": admin_password},
        "responders": responders,
        "api_key": api_key,
        "integrations": urls(base_url, keys),
        "keys": keys,
        "mail_dir": str(settings.MAIL_DIR),
    }
    write(content)
    return content


def _policy(team, members, admin, now):
    schedule = Schedule.objects.create(
        name=f"{team.name} on call", slug=f"{team.slug}-on-call", team=team, time_zone=members[0].time_zone
    )
    monday = now.date() - dt.timedelta(days=now.weekday() + 7)
    _layer(schedule, members, name="Weekly", start_date=monday)
    policy = EscalationPolicy.objects.create(
        name=f"{team.name}: call until answered",
        slug=f"{team.slug}-default",
        team=team,
        is_team_default=True,
        nobody_action=NobodyAction.FALLBACK,
        fallback_user=admin,
    )
    first = Level.objects.create(policy=policy, number=1, delay_minutes=1)
    Target.objects.create(level=first, schedule=schedule)
    second = Level.objects.create(policy=policy, number=2, delay_minutes=5)
    for person in members:
        Target.objects.create(level=second, user=person)
    last = Level.objects.create(policy=policy, number=3, delay_minutes=10)
    Target.objects.create(level=last, user=admin)


def _layer(schedule, members, **fields):
    """A layer on top of those there are."""
    layer = Layer.objects.create(schedule=schedule, position=schedule.layers.count() + 1, **fields)
    for position, person in enumerate(members):
        Participant.objects.create(layer=layer, user=person, position=position)
    return layer


def _seconds(team, people):
    """Whoever is not primary is secondary, and the second level calls them before it calls everybody."""
    schedule = team.schedules.get()
    start = schedule.layers.get().start_date
    _layer(schedule, [people["bob"], people["alice"]], name="Weekly", start_date=start, role=Duty.SECONDARY)
    level = Level.objects.get(policy__team=team, number=2)
    level.targets.all().delete()
    Target.objects.create(level=level, schedule=schedule, role=Duty.SECONDARY)


def _follow_the_sun(team, people):
    """On working days everybody has their own daytime; the weekly rotation has what is left."""
    schedule = team.schedules.get()
    start = schedule.layers.earliest("position").start_date
    for name, key in (("India, daytime", "dora"), ("America, daytime", "charlie")):
        person = people[key]
        layer = _layer(
            schedule, [person], name=name, unit=Layer.Unit.DAY, start_date=start, time_zone=person.time_zone
        )
        Restriction.objects.create(layer=layer, days=[0, 1, 2, 3, 4], start_time=dt.time(9), end_time=dt.time(17))


def _exceptions(team, people, now):
    """An override, somebody with time off, somebody who asks for cover, and a holiday."""
    schedule = team.schedules.get()
    day = now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(days=1)
    Override.objects.create(
        schedule=schedule,
        user=people["charlie"],
        start_at=day,
        end_at=day + dt.timedelta(hours=6),
        reason="The others are at the offsite",
    )
    (_, shift) = lookup.next_shift(people["alice"].pk, after=day)
    off_at = shift.start_at + dt.timedelta(days=2)
    TimeOff.objects.create(
        user=people["alice"],
        start_at=off_at,
        end_at=off_at + dt.timedelta(days=1),
        reason="Family",
    )
    ShiftRequest.objects.create(
        schedule=schedule,
        role=shift.person.role,
        requester=people["alice"],
        start_at=off_at,
        end_at=off_at + dt.timedelta(days=1),
        note="I have a day off. Who can take it?",
        created_at=now,
    )
    Holiday.objects.create(day=dt.date(now.year + 1, 1, 1), name="New Year")


def urls(base_url, keys):
    """`{source: full URL}`, and the routing key that PagerDuty events carry in their body."""
    return {
        "generic": f"{base_url}/in/generic/{keys['generic']}",
        "alertmanager": f"{base_url}/in/alertmanager/{keys['alertmanager']}",
        "pagerduty": f"{base_url}/v2/enqueue",
        "routing_key": keys["pagerduty"],
    }


def refresh(*, base_url):
    """Rewrite the addresses in demo.json, since the port may have changed. Returns its content or None."""
    if not path().exists():
        return None
    content = json.loads(path().read_text())
    content["base_url"] = base_url
    content["integrations"] = urls(base_url, content["keys"])
    content["mail_dir"] = str(settings.MAIL_DIR)
    write(content)
    return content


def write(content):
    """Write demo.json so that only its owner reads it: it holds passwords."""
    temporary = path().with_suffix(".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    temporary.replace(path())


def new_password():
    return secrets.token_urlsafe(9)


def banner(content):
    """What the first screen says: where, who, and the one line that pages somebody."""
    people = "\n".join(f"    {one['email']:24} {one['password']}   ({one['name']})" for one in content["responders"])
    body = '{"title": "Checkout is down", "severity": "critical", "dedup_key": "checkout-down"}'
    return f"""
  Watchbill runs at {content["base_url"]}

  Sign in there, or in the admin at {content["base_url"]}/admin/ :
    {content["admin"]["email"]:24} {content["admin"]["password"]}   (admin)
{people}

  Page somebody:
    curl -X POST {content["integrations"]["generic"]} -d '{body}'

  The page lands as a mail in {content["mail_dir"]} ; open the link in it.
  All of this stands in {path()}
"""
