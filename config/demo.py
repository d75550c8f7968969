"""The demo company: a shop with three teams, one of them private, so that the first start has somebody to page."""

import datetime as dt
import json
import os
import secrets

from django.conf import settings
from django.db import transaction

from accounts.keys import issue_key, issue_machine_key
from accounts.models import Membership, Role, Team, User
from alerts import heartbeats, maintenance
from alerts.keys import issue_key as issue_integration_key
from alerts.models import Heartbeat, Integration, Rule
from catalog import dependencies
from catalog.models import Link, Service
from config import demo_past, demo_told
from core import secrets as secrets_at_rest
from incidents.models import Subscription
from notifications.models import ContactMethod, Destination, NotificationRule, QuietHours, Urgency
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
from statuspages import copying

PEOPLE = [
    ("alice", "Alice Ahmadi", Role.RESPONDER, "Europe/Berlin"),
    ("bob", "Bob Brandt", Role.RESPONDER, "Europe/Berlin"),
    ("charlie", "Charlie Costa", Role.RESPONDER, "America/New_York"),
    ("dora", "Dora Desai", Role.RESPONDER, "Asia/Kolkata"),
    ("erin", "Erin Eriksen", Role.OBSERVER, "Europe/Stockholm"),  # looks on, but for her own team
]
TEAMS = {
    "shop": ("Shop", ["alice", "bob"]),
    "platform": ("Platform", ["charlie", "dora"]),
    "security": ("Security", ["erin"]),
}
LEADS = {"alice", "erin"}  # admins of their team
PRIVATE = {"security"}
SERVICES = [
    ("checkout-api", "Checkout API", "shop", 1, "Takes the orders. When it is down, nobody can buy."),
    ("search", "Search", "shop", 2, "Finds products."),
    ("payments", "Payments", "platform", 1, "Talks to the banks."),
    ("postgres-main", "PostgreSQL main", "platform", 1, "The database behind the shop."),
    ("vault", "Vault", "security", 2, "Keeps the secrets of the machines. Only the team Security sees it."),
    ("web-shop", "Web shop", "shop", 1, "What customers see in their browser."),
    ("mobile-api", "Mobile API", "shop", 2, "Behind the apps for phones."),
    ("recommendations", "Recommendations", "shop", 3, "“You may also like”. The shop works without it."),
    ("orders", "Orders", "platform", 1, "From the basket to the parcel."),
    ("mailer", "Mailer", "platform", 3, "Sends receipts and newsletters."),
    ("redis", "Redis", "platform", 2, "Sessions and baskets."),
    ("kafka", "Kafka", "platform", 2, "Carries events between the services."),
    ("kubernetes", "Kubernetes", "platform", 1, "Runs everything that is ours."),
]
# service: what it needs
NEEDS = {
    "web-shop": ["checkout-api", "search", "recommendations", "redis"],
    "mobile-api": ["checkout-api", "search", "redis"],
    "checkout-api": ["orders", "redis"],
    "recommendations": ["kafka", "search"],
    "orders": ["postgres-main", "kafka", "payments"],
    "mailer": ["kafka"],
    "payments": ["kubernetes", "vault"],
    "search": ["kubernetes"],
    "kafka": ["kubernetes"],
    "redis": ["kubernetes"],
}
LINKS = [
    ("checkout-api", "runbook", "When checkout is slow", "https://wiki.example.com/runbooks/checkout"),
    ("checkout-api", "dashboard", "Orders a minute", "https://grafana.example.com/d/checkout"),
    ("checkout-api", "repository", "Code", "https://git.example.com/shop/checkout-api"),
    ("checkout-api", "chat", "#shop-oncall", "https://chat.example.com/channels/shop-oncall"),
    ("payments", "runbook", "A bank does not answer", "https://wiki.example.com/runbooks/payments"),
    ("payments", "dashboard", "Payments by bank", "https://grafana.example.com/d/payments"),
    ("postgres-main", "runbook", "Fail over to the replica", "https://wiki.example.com/runbooks/postgres-failover"),
    ("postgres-main", "dashboard", "Connections and locks", "https://grafana.example.com/d/postgres"),
    ("kafka", "runbook", "Consumers fall behind", "https://wiki.example.com/runbooks/kafka-lag"),
    ("kubernetes", "runbook", "A node is not ready", "https://wiki.example.com/runbooks/kubernetes-node"),
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
        teams[slug] = Team.objects.create(name=name, slug=slug, is_private=slug in PRIVATE)
        for key in members:
            role = Role.ADMIN if key in LEADS else Role.RESPONDER
            Membership.objects.create(team=teams[slug], user=people[key], role=role)
        _policy(teams[slug], [people[key] for key in members], admin, now)
    _follow_the_sun(teams["platform"], people)
    _seconds(teams["shop"], people)
    _exceptions(teams["shop"], people, now)
    for person in people.values():  # low urgency waits for the morning
        QuietHours.objects.create(user=person, days=[0, 1, 2, 3, 4, 5, 6], start_time=dt.time(22), end_time=dt.time(7))
    services = {
        slug: Service.objects.create(name=name, slug=slug, team=teams[team], tier=tier, description=description)
        for slug, name, team, tier, description in SERVICES
    }
    keys, integrations = {}, {}
    for source, name in (
        ("generic", "Scripts and everything else"),
        ("alertmanager", "Alertmanager"),
        ("pagerduty", "Tools that speak PagerDuty"),
    ):
        integration = Integration(name=name, source=source, service=services["checkout-api"])
        keys[source] = issue_integration_key(integration)
        integration.save()
        integrations[source] = integration
    _quiet(services, admin, now)
    _, api_key = issue_key(admin, name="Demo")
    issue_machine_key(
        name="Deploy script of the shop",
        scopes=["alerts:write", "incidents:read"],
        role=Role.RESPONDER,
        team=teams["shop"],
        by=admin,
    )
    issue_key(
        people["alice"],
        name="Laptop",
        scopes=["incidents:write", "oncall:read"],
        expires_at=now + dt.timedelta(days=90),
        is_personal=True,
    )
    page = demo_told.make_pages(teams, services, admin, now=now)
    demo_past.fill(
        people,
        services,
        integrations,
        admin,
        now=now,
        told=demo_told.tell(page, people),
        after_each=demo_told.keep_states,
    )
    demo_told.tell_now(page, people, admin, now=now)
    demo_told.write_postmortems(people, teams, now=now)
    copying.refresh_due(now=now)
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


def _quiet(services, owner, now):
    """What keeps the company asleep: what needs what, where to look, a rule, a weekly window, and a heartbeat."""
    for slug in ("checkout-api", "search", "payments"):
        dependencies.add(services[slug], services["postgres-main"], holds_alerts=slug != "payments", now=now)
    dependencies.add(services["checkout-api"], services["payments"], note="No order without a payment.", now=now)
    for slug, needed in NEEDS.items():
        for one in needed:
            dependencies.add(services[slug], services[one], now=now)
    for slug, kind, label, url in LINKS:
        Link.objects.create(service=services[slug], kind=kind, label=label, url=url)
    Rule.objects.create(
        name="Staging wakes nobody", condition='labels.env in ("staging", "dev")', action=Rule.Action.SUPPRESS
    )
    Rule.objects.create(
        name="Database alerts go to the database",
        position=200,
        condition='labels.job = "postgres" or title =~ ".*PostgreSQL.*"',
        service=services["postgres-main"],
    )
    sunday = (now + dt.timedelta(days=6 - now.weekday())).replace(hour=3, minute=0, second=0, microsecond=0)
    if sunday <= now:
        sunday += dt.timedelta(days=7)
    maintenance.create(
        name="Weekly database work",
        reason="Vacuum and minor updates",
        services=[services["postgres-main"]],
        starts_at=sunday,
        ends_at=sunday + dt.timedelta(hours=1),
        rrule="FREQ=WEEKLY",
        by=owner,
        now=now,
    )
    backup = Heartbeat(
        name="Nightly backup",
        description="The last line of the backup script pings it.",
        service=services["postgres-main"],
        interval_seconds=24 * 3600,
        grace_seconds=3600,
    )
    heartbeats.save(backup, now=now)


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


# --- the fakes: servers of this machine that stand in for Slack, Twilio and Teams -----------------------------------
# person: (member of Slack, telephone number). Invented, and never called outside this machine.
REACHED = {
    "alice": ("U0ALICE01", "+4915550100001"),
    "bob": ("U0BOB0001", "+4915550100002"),
    "charlie": ("U0CHARL01", "+12025550103"),
    "dora": ("U0DORA001", "+919555010004"),
    "admin": ("U0ADMIN01", "+4915550100009"),
}
FAKES_PORTS = 4  # the page, Slack, Twilio, Teams
FAKE_SID, FAKE_TOKEN = "AC" + "a" * 32, "12345"
FAKE_SLACK_TOKEN, FAKE_SLACK_SECRET = "xoxb-1234567890-abcdefghijkl", "8f742231b10e8888abcd99yyyzzz85a5"


def stage_url(port):
    return f"http://127.0.0.1:{port}"


def fakes_command(port, app_url):
    """The arguments of Python that run the fakes."""
    names = {}
    for key, (member, number) in REACHED.items():
        names |= {member: key.capitalize(), number: key.capitalize()}
    return ["-m", "tests.fakes", "--app-url", app_url, "--port", str(port), "--names", json.dumps(names)]


def fakes_environment(port):
    """What makes the product take the fakes for the services."""
    allowed = [*settings.HTTP_ALLOW_PRIVATE, "127.0.0.1"]
    return {
        "SLACK_BOT_TOKEN": FAKE_SLACK_TOKEN,
        "SLACK_SIGNING_SECRET": FAKE_SLACK_SECRET,
        "SLACK_BASE_URL": f"http://127.0.0.1:{port + 1}/api/",
        "TWILIO_ACCOUNT_SID": FAKE_SID,
        "TWILIO_AUTH_TOKEN": FAKE_TOKEN,
        "TWILIO_FROM_NUMBER": "+15005550006",
        "TWILIO_MESSAGING_SERVICE_SID": "",
        "TWILIO_BASE_URL": f"http://127.0.0.1:{port + 2}",
        "HTTP_ALLOW_PRIVATE": ",".join(dict.fromkeys(allowed)),
    }


@transaction.atomic
def use_fakes(port, *, now):
    """Give the people of the demo company a Slack member and a telephone, and its teams places.

    Twice is harmless: whoever has them keeps the rules as they are by now.
    """
    for key, (member, number) in REACHED.items():
        person = User.objects.filter(email=f"{key}@example.com").first()
        if person is None:
            continue
        wanted = []
        for channel, address, delay in (("slack", member, 0), ("sms", number, 0), ("voice", number, 1)):
            method, is_new = _method(person, channel, address, now)
            if is_new:
                wanted.append((Urgency.HIGH, method, delay))
        if wanted and not person.notification_rules.exists():  # from now on, what has no rule is not used
            mails = person.contact_methods.filter(channel="email")
            wanted += [(urgency, method, 0) for method in mails for urgency in Urgency]
        for urgency, method, delay in wanted:
            NotificationRule.objects.create(user=person, urgency=urgency, contact_method=method, delay_minutes=delay)
    for slug in TEAMS:
        team = Team.objects.filter(slug=slug).first()
        if team is None:
            continue
        _place(f"{team.name} in Slack", team, "slack", f"C0{slug.upper()}01"[:9], now)
        _place(f"{team.name} in Teams", team, "teams", f"http://127.0.0.1:{port + 3}/workflows/{slug}", now)


def _method(person, channel, address, now):
    """The contact method, and whether it was made just now."""
    found = person.contact_methods.filter(channel=channel, address_key__in=secrets_at_rest.fingerprints(address))
    if method := found.first():
        return method, False
    fields = {"user": person, "channel": channel, "address": address, "label": "fake", "verified_at": now}
    return ContactMethod.objects.create(**fields), True


def _place(name, team, channel, address, now):
    place, _ = Destination.objects.get_or_create(name=name, defaults={"channel": channel, "address": address})
    if place.address != address or place.disabled_reason:  # another port than the last time
        place.address, place.disabled_reason = address, ""
        place.save(update_fields=["address", "address_key", "disabled_reason"])
    Subscription.objects.get_or_create(destination=place, team=team)


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
