"""A private team with all that a team can have, and a public one that is tied to it wherever two teams can be.

Every text of the private team has WORD in it, and the numbers of its incidents begin at FIRST: whoever finds one of
them in what a stranger gets has found a leak.
"""

import datetime as dt
import re
import types

from django.db import connection
from django.utils import timezone

from accounts.models import Role
from alerts.models import InboundEvent
from incidents import lifecycle
from notifications import alarms
from notifications.message import Kind
from notifications.models import Notification
from oncall.models import CoverageCheck
from tests import factories

WORD = "Zugspitze"
FIRST = 918273001
HOUR = dt.timedelta(hours=1)


def strangers():
    """`{who: person}` of those from whom the private team is hidden, each with another role."""
    shop = factories.TeamFactory(name="Warehouse", slug="warehouse")
    found = {
        "observer": factories.UserFactory(name="Olga", role=Role.OBSERVER),
        "responder": factories.UserFactory(name="Rita"),
        "admin of another team": factories.UserFactory(name="Ada", role=Role.OBSERVER),
    }
    factories.MembershipFactory(team=shop, user=found["admin of another team"], role=Role.ADMIN)
    return found


def build(service):
    """The private team beside that of the service. Returns what was made, by name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('incidents_incident', 'number'), %s, false)", [FIRST])
    now = timezone.now()
    world = types.SimpleNamespace(now=now, service=service)
    world.team = team = factories.TeamFactory(name=f"{WORD} team", slug="zugspitze-team", is_private=True)
    world.member = factories.UserFactory(name="Dora", email="dora@example.com", role=Role.OBSERVER)
    method = factories.ContactMethodFactory(user=world.member)
    factories.MembershipFactory(team=team, user=world.member, role=Role.ADMIN)
    world.schedule = factories.ScheduleFactory(
        name=f"{WORD} nights", slug="zugspitze-nights", team=team, people=[world.member]
    )
    world.empty = factories.ScheduleFactory(name=f"{WORD} days", slug="zugspitze-days", team=team, people=[])
    world.policy = factories.EscalationPolicyFactory(
        name=f"{WORD} policy", slug="zugspitze-policy", team=team, calls=[world.schedule]
    )
    world.hidden = hidden = factories.ServiceFactory(
        name=f"{WORD} ledger", slug="zugspitze-ledger", team=team, policy=world.policy
    )
    _doors(world)
    world.incident = lifecycle.trigger(
        hidden,
        title=f"{WORD} is down",
        severity="critical",
        description=f"{WORD} answers nothing.",
        now=now - HOUR / 2,
        by=world.member,
    )
    lifecycle.add_note(world.incident.pk, text=f"{WORD} was restarted.", by=world.member, now=now)
    _alerts(world)
    _ties(world)
    _messages(world, method)
    return world


def _doors(world):
    world.integration = factories.IntegrationFactory(
        name=f"{WORD} Prometheus", service=world.hidden, last_event_at=world.now
    )
    world.rule = factories.RuleFactory(name=f"{WORD} rule", integration=world.integration)
    world.global_rule = factories.RuleFactory(name=f"{WORD} to ledger", service=world.hidden)
    world.heartbeat = factories.HeartbeatFactory(
        name=f"{WORD} backup", service=world.hidden, description=f"Call {WORD}."
    )
    span = {"starts_at": world.now - HOUR, "ends_at": world.now + HOUR}
    world.silence = factories.SilenceFactory(
        condition=f'host = "{WORD}"', reason=f"{WORD} disk", service=world.hidden, **span
    )
    world.door_silence = factories.SilenceFactory(
        condition='env = "any"', reason=f"{WORD} door", integration=world.integration, **span
    )
    world.window = factories.MaintenanceWindowFactory(
        name=f"{WORD} move", reason=f"{WORD} moves", services=[world.hidden], **span
    )
    world.inhibition = factories.InhibitionRuleFactory(name=f"{WORD} node", integration=world.integration)


def _alerts(world):
    times = dict.fromkeys(("first_at", "last_at", "changed_at"), world.now)
    world.alert = factories.AlertFactory(
        service=world.hidden,
        integration=world.integration,
        incident=world.incident,
        title=f"{WORD} 500",
        description=f"{WORD} log",
        labels={"host": WORD},
        dedup_key=f"{WORD}/1",
        **times,
    )
    world.held = factories.AlertFactory(
        service=world.hidden,
        title=f"{WORD} slow",
        labels={"host": WORD},
        held_by=f"silence:{world.silence.pk}",
        held_why=f"Silence by Dora: {WORD} disk",
        held_at=world.now,
        **times,
    )
    world.change = factories.ChangeEventFactory(service=world.hidden, title=f"Deployed {WORD}")
    # Another team's alert that only this incident holds, or the stranger's service whose incident it joined.
    world.joined = factories.AlertFactory(
        service=world.service, incident=world.incident, title=f"Joined {WORD}", **times
    )
    world.event = _event(world.integration, [world.alert], world)


def _event(integration, alerts, world, body=b""):
    return InboundEvent.objects.create(
        source="generic",
        scope=f"integration:{integration.pk}",
        integration=integration,
        body=body or f'{{"title": "{WORD} 500"}}'.encode(),
        state=InboundEvent.State.DECIDED,
        received_at=world.now,
        result=[
            {
                "alert_id": str(one.pk),
                "incident": one.incident_id,
                "outcome": "new_incident",
                "reasons": [
                    f"Rule “{WORD} to ledger”: no, host is not {WORD}.",
                    f"Held: Silence by Dora: {WORD} disk",
                    f"Service {one.service.name}: the event names it.",
                ],
            }
            for one in alerts
        ],
    )


def _ties(world):
    """What the public team has to do with the private one."""
    now, service = world.now, world.service
    times = dict.fromkeys(("first_at", "last_at", "changed_at"), now)
    edge = factories.DependencyFactory(service=service, needs=world.hidden)
    level = factories.LevelFactory(policy=service.policy, delay_minutes=5)
    factories.TargetFactory(level=level, schedule=world.schedule)
    factories.TargetFactory(level=level, schedule=world.empty)
    number = world.incident.pk
    reasons = {
        f"dependency:{edge.pk}": f"{WORD} ledger has the open incident #{number} (critical), and {service.name} "
        f"needs {WORD} ledger.",
        f"silence:{world.door_silence.pk}": f"Silence by Dora until 12:00 UTC: {WORD} door",
        f"maintenance:{world.window.pk}": f"Maintenance “{WORD} move” until 12:00 UTC: {WORD} moves",
        f"inhibition:{world.inhibition.pk}": f"Inhibited by “{WORD} 500”, which fires: rule “{WORD} node”.",
    }
    world.tied = [
        factories.AlertFactory(
            service=service,
            integration=world.integration,
            title=f"Checkout waits {place}",
            held_by=by,
            held_why=why,
            held_at=now,
            **times,
        )
        for place, (by, why) in enumerate(reasons.items())
    ]
    world.public_door = factories.IntegrationFactory(name="Shop Prometheus", service=service, last_event_at=now)
    mine = factories.AlertFactory(service=service, integration=world.public_door, title="Checkout is slow", **times)
    world.mixed = _event(world.public_door, [mine, world.alert], world)
    world.mine = mine
    world.public = lifecycle.trigger(service, title="Checkout is down", severity="high", now=now)
    for _ in range(2):  # up to the level that calls the schedule of the private team
        lifecycle.escalate(world.public.pk, by=None, now=now)
    factories.HeartbeatFactory(name="shop-backup", service=service, integration=world.integration)


def _messages(world, method):
    now = world.now
    place = factories.DestinationFactory(name="ops channel")
    factories.SubscriptionFactory(destination=place, team=world.team)
    CoverageCheck.objects.update_or_create(team=world.team, defaults={"problems": [], "checked_at": now})
    request = factories.ShiftRequestFactory(schedule=world.schedule, requester=world.member)
    for topic in (
        f"coverage:{world.team.pk}",
        f"handoff:{world.schedule.pk}:PRIMARY:20260601T120000.0",
        f"shift-request:{request.pk}:asked",
        f"silence:{world.silence.pk}:20260601T120000",
    ):
        factories.NotificationFactory(
            topic=topic,
            user=world.member,
            contact_method=method,
            kind=Kind.NOTICE,
            message={"title": f"{WORD} {topic}", "body": WORD},
        )
    factories.NotificationFactory(
        topic=world.incident.topic,
        user=None,
        contact_method=None,
        destination=place,
        channel=place.channel,
        address="#ops",
        message={"title": f"{WORD} is down", "body": WORD},
    )
    admin = factories.ContactMethodFactory(user=factories.UserFactory(name="Root", role=Role.ADMIN)).user
    world.admin = admin
    for key in (
        f"escalation:{world.incident.topic}",
        f"unreachable:{world.incident.topic}:{world.member.pk}",
        f"refused:{world.integration.pk}",
        f"coverage:{world.team.pk}",
        f"schedule-broken:{world.schedule.pk}",
        f"quiet-broken:silence:{world.silence.pk}",
        f"held-failed:{world.held.pk}",
        f"event:{world.event.pk}",
        f"destination:{place.pk}",
    ):
        alarms.raise_alarm(key, f"{WORD} {key}", now=now)
    alarms.raise_alarm("circuit:mail", "The mail server does not answer.", now=now)
    alarms.raise_alarm(f"escalation:{world.public.topic}", "Nobody can be reached for Checkout.", now=now)


def secrets_of(world):
    """What no stranger may get: texts and ids."""
    rows = (world.integration, world.heartbeat, world.silence, world.door_silence, world.window)
    ids = [str(row.uuid) for row in rows]
    ids += [str(one.pk) for one in (world.alert, world.held, world.joined, world.event)]
    ids += [str(one) for one in Notification.objects.filter(topic=world.incident.topic).values_list("uuid", flat=True)]
    return [WORD.lower(), str(world.incident.pk), *ids]


def leaks(world, text):
    """Which of the secrets the text has in it."""
    text = text.lower()
    return [one for one in secrets_of(world) if re.search(rf"(?<![0-9a-f]){re.escape(one)}", text)]
