"""The first steps of a new team: from nothing to a test page on one's own phone. The data say what is done."""

import dataclasses

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef
from django.utils.text import slugify

from accounts.models import Membership, Role, Team, User
from accounts.permissions import may, where_may
from alerts import keys
from alerts.models import Integration
from catalog import policies
from catalog.models import Service
from core.errors import DomainError
from incidents import lifecycle
from incidents.models import Incident, Severity
from notifications.message import Kind, storable
from notifications.models import Notification
from oncall.models import EscalationPolicy, Level, Target

DELAY_MINUTES = 5
TITLE = "Test page: acknowledge me"
State = Notification.State
ARRIVED = (State.SENT, State.DELIVERED, State.READ, State.ACKNOWLEDGED)
PUSH = "webpush"
MOST = 50  # services that are looked at; who has more needs no guide


@dataclasses.dataclass(frozen=True)
class Step:
    """One step: `name` is its part of the page, `said` what is done already."""

    name: str
    title: str
    is_done: bool
    said: str = ""


@dataclasses.dataclass
class Progress:
    """How far somebody is, and what the forms of the page are about."""

    team: Team | None
    service: Service | None  # whose policy calls somebody; that of the team before all
    calls_me: bool  # its first level calls them and nobody else
    calls: list
    integration: Integration | None
    methods: list
    has_push: bool
    steps: list

    @property
    def done(self):
        return sum(step.is_done for step in self.steps)

    @property
    def is_finished(self):
        return all(step.is_done for step in self.steps)

    @property
    def following(self):
        """The first step that is not done."""
        return next((step for step in self.steps if not step.is_done), None)


def progress(user, *, now):
    """How far somebody is, in a constant number of queries."""
    team = Team.objects.filter(memberships__user=user).order_by("name").first()
    service, calls = _service(team, now)
    integration = None
    if team is not None:
        of_team = Integration.objects.filter(is_enabled=True, service__team=team)
        last = F("last_event_at").desc(nulls_last=True)  # one that sends counts, however many others do not yet
        integration = of_team.select_related("service").order_by(last, "pk").first()
    methods = [one for one in user.contact_methods.order_by("pk") if one.is_usable]
    tests = Notification.objects.filter(user=user, kind__in=[Kind.TEST.value, Kind.PAGE.value], state__in=ARRIVED)
    has_arrived = tests.exists()
    has_answered = Incident.objects.filter(acknowledged_by=user).exists()
    is_sending = integration is not None and integration.last_event_at is not None
    steps = [
        Step("team", "Be in a team", team is not None, f"You are in {team}." if team else ""),
        Step("service", "Have a service that calls somebody", service is not None, _said(service, calls)),
        Step("integration", "Connect a monitoring tool", is_sending, f"{integration} sends." if is_sending else ""),
        Step("phone", "Be reachable", bool(methods), _reached(methods)),
        Step("test", "Get a test page", has_arrived, "A message reached you." if has_arrived else ""),
        Step("answer", "Acknowledge it", has_answered, "You have acknowledged an incident." if has_answered else ""),
    ]
    return Progress(
        team=team,
        service=service,
        calls_me=[one.pk for one in calls] == [user.pk],
        calls=calls,
        integration=integration,
        methods=methods,
        has_push=any(one.channel == PUSH for one in methods),
        steps=steps,
    )


def _service(team, now):
    """A service of the team whose first level calls somebody now, and those people."""
    if team is None:
        return None, []
    running = Service.objects.filter(team=team).exclude(lifecycle=Service.Lifecycle.ARCHIVED)
    has_door = Exists(Integration.objects.filter(service=OuterRef("pk")))
    services = list(running.annotate(has_door=has_door).order_by("-has_door", "tier", "name")[:MOST])
    chains = policies.escalation_chain(services, at=now)
    for service in services:
        for _, targets in chains[service.pk][:1]:
            if found := {one.user_id for _, called in targets for one in called if one.user_id}:
                return service, list(User.objects.filter(pk__in=found))
    return None, []


def _said(service, calls):
    return f"{service} calls {', '.join(map(str, calls))} first." if service else ""


def _reached(methods):
    if not methods:
        return ""
    return f"{len(methods)} verified address{'es' if len(methods) > 1 else ''}."


def may_make(user, team):
    """Whether the person may make what the first steps need: a team when they are in none, else what it owns."""
    return may(user, "administer") if team is None else may(user, "configure", team)


@transaction.atomic
def make_service(user, *, team, team_name, service_name):
    """Make a service whose policy calls this person, and the team it belongs to when they are in none.

    Raises DomainError with the sentence for the form.
    """
    if team is None:
        team = _made(Team(name=_name(team_name, "team"), slug=_slug(Team, team_name)))
        _made(Membership(team=team, user=user, role=Role.ADMIN))
    service_name = _name(service_name, "service")
    service = Service(name=service_name, slug=_slug(Service, service_name), team=team)
    has_default = EscalationPolicy.objects.filter(team=team, is_team_default=True).exists()
    policy_name = f"{team.name[:80]}: {user}"[:100] if has_default else team.name
    service.policy = _made(
        EscalationPolicy(
            name=_free(EscalationPolicy, policy_name),
            slug=_slug(EscalationPolicy, policy_name),
            team=team,
            is_team_default=not has_default,
        )
    )
    level = _made(Level(policy=service.policy, number=1, delay_minutes=DELAY_MINUTES))
    _made(Target(level=level, user=user))
    return _made(service)


@transaction.atomic
def make_integration(user, service_id):
    """Make the door of any program that posts JSON to a service: `(integration, text of its key)`.

    Raises DomainError when there is no such service for them.
    """
    service = where_may(Service.objects.all(), user, "configure").filter(pk=service_id).first()
    if service is None:
        raise DomainError("Choose a service of a team that you configure, or ask an admin of its team.")
    integration = Integration(name=f"{service.name}: first steps"[:100], source="generic", service=service)
    text = keys.issue_key(integration)
    return _made(integration), text


def page_me(user, *, now):
    """Open a test incident for a service that calls this person first, and nobody beside them.

    Raises DomainError when there is none: nobody else is woken up for a test.
    """
    here = progress(user, now=now)
    if here.service is None or not here.calls_me:
        raise DomainError(
            "No service of your team calls you first, and you alone, so a test would call others. "
            "Send a test message to your own address instead."
        )
    if not may(user, "respond", here.service):
        raise DomainError("You may read this service, and not open incidents for it. Ask an admin of the team.")
    return lifecycle.trigger(
        here.service,
        title=TITLE,
        severity=Severity.CRITICAL.value,
        description="A test of the first steps. Nothing is broken: acknowledge it, then resolve it.",
        by=user,
        now=now,
    )


def _made(row):
    """The row, saved; a DomainError says in a sentence what is wrong with it."""
    try:
        row.full_clean(exclude=["key_hash"])
    except ValidationError as error:
        raise DomainError(" ".join(error.messages)) from None
    try:
        row.save()
    except IntegrityError:  # the same was made in the same moment, by a second click or by somebody else
        raise DomainError("Somebody made the same just now. Look at what is there, then go on.") from None
    return row


def _name(text, what):
    text = " ".join(storable(text).split())
    if not text:
        raise DomainError(f"Write a name for the {what}.")
    if len(text) > 100:
        raise DomainError(f"The name of the {what} has more than 100 characters. Shorten it.")
    return text


def _free(model, name):
    """The name, with a number when another row has it."""
    taken = set(model.objects.filter(name__startswith=name[:90]).values_list("name", flat=True))
    return next(one for one in (name, *(f"{name[:95]} {n}" for n in range(2, 1000))) if one not in taken)


def _slug(model, name):
    base = slugify(storable(name))[:90] or "first"
    taken = set(model.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(one for one in (base, *(f"{base}-{n}" for n in range(2, 1000))) if one not in taken)
