"""One factory per model, each good with no arguments."""

import datetime as dt

import factory
from factory.django import DjangoModelFactory

from accounts.keys import issue_key
from accounts.models import ApiKey, Membership, Role, Team, User
from alerts import keys
from alerts.models import (
    Alert,
    ChangeEvent,
    Heartbeat,
    InhibitionRule,
    Integration,
    MaintenanceWindow,
    Rule,
    Silence,
    Topic,
)
from automation.models import Hypothesis, RecommendedAction
from catalog.models import Dependency, Link, Service
from incidents import states
from incidents.models import Follower, Incident, Responder, SavedView, Subscription, Task, TimelineEntry
from incidents.priorities import priority_of, urgency_of
from notifications.models import (
    Attempt,
    ContactMethod,
    Destination,
    Notification,
    NotificationRule,
    Provider,
    QuietHours,
    Wording,
)
from oncall import chain
from oncall.models import (
    Availability,
    CalendarFeed,
    CalendarImport,
    EscalationPolicy,
    FixedShift,
    Holiday,
    Layer,
    Level,
    Offer,
    Override,
    Participant,
    Restriction,
    Schedule,
    ShiftRequest,
    Target,
    TimeOff,
)

# A Monday, far from a clock change. The fixture `now` is the same.
NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)


class UserFactory(DjangoModelFactory):
    """A responder without a way to reach them; `password=` makes signing in possible."""

    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.Sequence(lambda n: f"person{n}@example.com")
    role = Role.RESPONDER

    @classmethod
    def _create(cls, model_class, *args, password=None, **fields):
        return model_class.objects.create_user(password=password, **fields)


class TeamFactory(DjangoModelFactory):
    class Meta:
        model = Team

    name = factory.Sequence(lambda n: f"Team {n}")
    slug = factory.Sequence(lambda n: f"team-{n}")


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    team = factory.SubFactory(TeamFactory)
    user = factory.SubFactory(UserFactory)


class ApiKeyFactory(DjangoModelFactory):
    """A key with its text at hand: `key.text` is what the caller sends. `scopes=`, `team=` … as in issue_key."""

    class Meta:
        model = ApiKey

    user = factory.SubFactory(UserFactory)
    name = "deploy script"

    @classmethod
    def _create(cls, model_class, *args, user, **fields):
        key, text = issue_key(user, **fields)
        key.text = text
        return key


class ContactMethodFactory(DjangoModelFactory):
    """A verified mail address, by default that of its person."""

    class Meta:
        model = ContactMethod

    user = factory.SubFactory(UserFactory)
    channel = "email"
    address = factory.LazyAttribute(lambda method: method.user.email)
    verified_at = NOW - dt.timedelta(days=30)


class NotificationRuleFactory(DjangoModelFactory):
    class Meta:
        model = NotificationRule

    user = factory.SubFactory(UserFactory)
    contact_method = factory.SubFactory(ContactMethodFactory, user=factory.SelfAttribute("..user"))


class NotificationFactory(DjangoModelFactory):
    """A page by mail that is still to be sent."""

    class Meta:
        model = Notification

    plan_key = factory.Sequence(lambda n: f"incident:{n}:r0:l1:u1:m1")
    topic = factory.Sequence(lambda n: f"incident:{n}")
    user = factory.SubFactory(UserFactory)
    contact_method = factory.SubFactory(ContactMethodFactory, user=factory.SelfAttribute("..user"))
    channel = factory.SelfAttribute("contact_method.channel")
    address = factory.SelfAttribute("contact_method.shown")
    urgency = "high"
    message = factory.LazyFunction(lambda: {"title": "P1 Checkout is down", "body": "Nobody can pay."})
    created_at = NOW
    planned_at = factory.SelfAttribute("created_at")
    due_at = factory.SelfAttribute("planned_at")


class AttemptFactory(DjangoModelFactory):
    class Meta:
        model = Attempt

    notification = factory.SubFactory(NotificationFactory)
    number = 1
    lease_token = factory.Faker("uuid4")
    started_at = NOW
    finished_at = NOW + dt.timedelta(seconds=1)
    ok = True


class DestinationFactory(DjangoModelFactory):
    """A webhook of a team. Nothing answers there."""

    class Meta:
        model = Destination

    name = factory.Sequence(lambda n: f"Destination {n}")
    channel = "webhook"
    address = factory.Sequence(lambda n: f"http://127.0.0.1:9/{n}")
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class SubscriptionFactory(DjangoModelFactory):
    """A destination that hears everything of a team; `service=` makes it one service's."""

    class Meta:
        model = Subscription

    destination = factory.SubFactory(DestinationFactory)
    service = None
    team = factory.Maybe("service", yes_declaration=None, no_declaration=factory.SubFactory(TeamFactory))


class ProviderFactory(DjangoModelFactory):
    """An account at Twilio."""

    class Meta:
        model = Provider

    vendor = "twilio"
    name = factory.Sequence(lambda n: f"account {n}")
    config = factory.LazyFunction(
        lambda: {"account_sid": "AC" + "0" * 32, "auth_token": "12345", "from_number": "+15005550006"}
    )


class QuietHoursFactory(DjangoModelFactory):
    """Every night from 22:00 to 07:00."""

    class Meta:
        model = QuietHours

    user = factory.SubFactory(UserFactory)
    days = factory.LazyFunction(lambda: [0, 1, 2, 3, 4, 5, 6])
    start_time = dt.time(22)
    end_time = dt.time(7)


class WordingFactory(DjangoModelFactory):
    class Meta:
        model = Wording

    kind = "page"
    channel = ""
    title = "{{ title }}"
    body = "{{ body }}"


class ScheduleFactory(DjangoModelFactory):
    """A schedule without layers: nobody is on call. `people=[alice, bob]` gives it one weekly layer."""

    class Meta:
        model = Schedule
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Schedule {n}")
    slug = factory.Sequence(lambda n: f"schedule-{n}")
    team = factory.SubFactory(TeamFactory)

    @factory.post_generation
    def people(self, create, people, **kwargs):
        if people:
            LayerFactory(schedule=self, people=people)


class LayerFactory(DjangoModelFactory):
    """A weekly rotation that began on Monday 5 January 2026 at 09:00; `people=[alice, bob]` fills it in this order."""

    class Meta:
        model = Layer
        skip_postgeneration_save = True

    schedule = factory.SubFactory(ScheduleFactory)
    start_date = dt.date(2026, 1, 5)

    @factory.post_generation
    def people(self, create, people, **kwargs):
        for position, user in enumerate(people or ()):
            ParticipantFactory(layer=self, user=user, position=position)


class ParticipantFactory(DjangoModelFactory):
    class Meta:
        model = Participant

    layer = factory.SubFactory(LayerFactory)
    user = factory.SubFactory(UserFactory)


class OverrideFactory(DjangoModelFactory):
    """Somebody takes the hour around NOW."""

    class Meta:
        model = Override

    schedule = factory.SubFactory(ScheduleFactory)
    user = factory.SubFactory(UserFactory)
    start_at = NOW - dt.timedelta(minutes=30)
    end_at = NOW + dt.timedelta(minutes=30)


class RestrictionFactory(DjangoModelFactory):
    """Monday to Friday, 09:00 until 17:00."""

    class Meta:
        model = Restriction

    layer = factory.SubFactory(LayerFactory)
    days = factory.LazyFunction(lambda: [0, 1, 2, 3, 4])
    start_time = dt.time(9)
    end_time = dt.time(17)


class FixedShiftFactory(DjangoModelFactory):
    """Somebody has the hour around NOW."""

    class Meta:
        model = FixedShift

    schedule = factory.SubFactory(ScheduleFactory)
    user = factory.SubFactory(UserFactory)
    start_at = NOW - dt.timedelta(minutes=30)
    end_at = NOW + dt.timedelta(minutes=30)


class TimeOffFactory(DjangoModelFactory):
    """Somebody is off for the day around NOW."""

    class Meta:
        model = TimeOff

    user = factory.SubFactory(UserFactory)
    start_at = NOW - dt.timedelta(hours=12)
    end_at = NOW + dt.timedelta(hours=12)


class AvailabilityFactory(DjangoModelFactory):
    """Somebody is busy since an hour, without an end."""

    class Meta:
        model = Availability

    user = factory.SubFactory(UserFactory)
    status = Availability.Status.BUSY
    since_at = NOW - dt.timedelta(hours=1)


class HolidayFactory(DjangoModelFactory):
    class Meta:
        model = Holiday

    day = NOW.date()
    name = factory.Sequence(lambda n: f"Holiday {n}")


class ShiftRequestFactory(DjangoModelFactory):
    """Somebody asks the team for cover of a day that begins an hour after NOW."""

    class Meta:
        model = ShiftRequest

    schedule = factory.SubFactory(ScheduleFactory)
    requester = factory.SubFactory(UserFactory)
    start_at = NOW + dt.timedelta(hours=1)
    end_at = NOW + dt.timedelta(hours=25)
    created_at = NOW


class OfferFactory(DjangoModelFactory):
    """Somebody offers to take all that is asked for."""

    class Meta:
        model = Offer

    request = factory.SubFactory(ShiftRequestFactory)
    user = factory.SubFactory(UserFactory)
    start_at = factory.SelfAttribute("request.start_at")
    end_at = factory.SelfAttribute("request.end_at")
    created_at = NOW


class CalendarFeedFactory(DjangoModelFactory):
    """A feed of its owner's own shifts. Nobody knows its address."""

    class Meta:
        model = CalendarFeed

    owner = factory.SubFactory(UserFactory)
    person = factory.SelfAttribute("owner")
    secret_hash = factory.Sequence(lambda n: f"{n:064x}")


class CalendarImportFactory(DjangoModelFactory):
    class Meta:
        model = CalendarImport

    name = factory.Sequence(lambda n: f"Calendar {n}")
    schedule = factory.SubFactory(ScheduleFactory)
    url = factory.Sequence(lambda n: f"https://calendar.example.com/{n}.ics")


class EscalationPolicyFactory(DjangoModelFactory):
    """A policy with one level that calls a person who can be reached.

    `calls=[alice, schedule]` makes one level for each instead, 5, 10, 15 … minutes apart; `calls=[]` makes none.
    """

    class Meta:
        model = EscalationPolicy
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Policy {n}")
    slug = factory.Sequence(lambda n: f"policy-{n}")
    team = factory.SubFactory(TeamFactory)

    @factory.post_generation
    def calls(self, create, calls, **kwargs):
        if calls is None:
            calls = [ContactMethodFactory().user]
        for number, one in enumerate(calls, start=1):
            level = LevelFactory(policy=self, number=number, delay_minutes=5 * number)
            TargetFactory(level=level, **{"schedule" if isinstance(one, Schedule) else "user": one})


class LevelFactory(DjangoModelFactory):
    """A level without targets."""

    class Meta:
        model = Level

    policy = factory.SubFactory(EscalationPolicyFactory, calls=[])
    number = factory.LazyAttribute(lambda level: level.policy.levels.count() + 1)


class TargetFactory(DjangoModelFactory):
    """A person; `schedule=` makes it a schedule."""

    class Meta:
        model = Target

    level = factory.SubFactory(LevelFactory)
    schedule = None
    user = factory.Maybe("schedule", yes_declaration=None, no_declaration=factory.SubFactory(UserFactory))


class ServiceFactory(DjangoModelFactory):
    class Meta:
        model = Service

    name = factory.Sequence(lambda n: f"Service {n}")
    slug = factory.Sequence(lambda n: f"service-{n}")
    team = factory.SubFactory(TeamFactory)
    policy = factory.SubFactory(EscalationPolicyFactory, team=factory.SelfAttribute("..team"))


class IncidentFactory(DjangoModelFactory):
    """A triggered incident as a bare row: nobody was paged and the timeline is empty. `lifecycle.trigger` does more.

    `status=` fills the times that a status needs.
    """

    class Meta:
        model = Incident

    service = factory.SubFactory(ServiceFactory)
    team = factory.SelfAttribute("service.team")
    title = "Checkout is down"
    severity = "critical"
    priority = factory.LazyAttribute(lambda incident: priority_of(incident.severity))
    urgency = factory.LazyAttribute(lambda incident: urgency_of(incident.priority))
    triggered_at = NOW - dt.timedelta(minutes=5)

    @factory.lazy_attribute
    def policy(self):
        policy_id = self.service.policy_id
        return chain.copies([policy_id])[policy_id] if policy_id else {}

    @factory.lazy_attribute
    def acknowledged_at(self):
        is_taken = self.status in (states.ACKNOWLEDGED, states.INVESTIGATING, states.REMEDIATING)
        return self.triggered_at + dt.timedelta(minutes=2) if is_taken else None

    @factory.lazy_attribute
    def resolved_at(self):
        is_over = self.status in (states.RESOLVED, states.CLOSED)
        return self.triggered_at + dt.timedelta(minutes=4) if is_over else None

    @factory.lazy_attribute
    def closed_at(self):
        return self.triggered_at + dt.timedelta(minutes=5) if self.status == states.CLOSED else None

    status = states.TRIGGERED


class ResponderFactory(DjangoModelFactory):
    class Meta:
        model = Responder

    incident = factory.SubFactory(IncidentFactory)
    user = factory.SubFactory(UserFactory)
    added_at = NOW


class TaskFactory(DjangoModelFactory):
    class Meta:
        model = Task

    incident = factory.SubFactory(IncidentFactory)
    text = "Call the provider"
    created_at = NOW


class FollowerFactory(DjangoModelFactory):
    class Meta:
        model = Follower

    incident = factory.SubFactory(IncidentFactory)
    user = factory.SubFactory(UserFactory)
    since = NOW


class SavedViewFactory(DjangoModelFactory):
    class Meta:
        model = SavedView

    name = factory.Sequence(lambda n: f"View {n}")
    query = "severity=critical"
    owner = factory.SubFactory(UserFactory)
    created_at = NOW


class TimelineEntryFactory(DjangoModelFactory):
    class Meta:
        model = TimelineEntry

    incident = factory.SubFactory(IncidentFactory)
    kind = "note"
    at = NOW
    text = "The database is full."


class HypothesisFactory(DjangoModelFactory):
    class Meta:
        model = Hypothesis

    incident = factory.SubFactory(IncidentFactory)
    text = "The disk of the database is full."
    source = "Root cause agent"
    confidence = 0.8
    proposed_at = NOW


class RecommendedActionFactory(DjangoModelFactory):
    class Meta:
        model = RecommendedAction

    incident = factory.SubFactory(IncidentFactory)
    text = "Delete the logs of last month."
    source = "Root cause agent"
    proposed_at = NOW


class IntegrationFactory(DjangoModelFactory):
    """A door with its key at hand: `integration.key` is the text that a sender uses."""

    class Meta:
        model = Integration

    name = factory.Sequence(lambda n: f"Integration {n}")
    source = "generic"
    service = factory.SubFactory(ServiceFactory)

    @classmethod
    def _create(cls, model_class, *args, **fields):
        integration = model_class(**fields)
        integration.key = keys.issue_key(integration)
        integration.save()
        return integration


class AlertFactory(DjangoModelFactory):
    """A firing alert; `resolved_at=` ends it."""

    class Meta:
        model = Alert

    scope = factory.LazyAttribute(
        lambda alert: f"integration:{alert.integration.pk}" if alert.integration else f"service:{alert.service.pk}"
    )
    dedup_key = factory.Sequence(lambda n: f"checkout/errors/{n}")
    source = "generic"
    integration = None
    service = factory.SubFactory(ServiceFactory)
    severity = "critical"
    title = "Checkout answers 500"
    first_at = NOW - dt.timedelta(minutes=5)
    last_at = NOW - dt.timedelta(minutes=5)
    changed_at = NOW - dt.timedelta(minutes=5)


class ChangeEventFactory(DjangoModelFactory):
    """A deployment ten minutes ago."""

    class Meta:
        model = ChangeEvent

    service = factory.SubFactory(ServiceFactory)
    source = "change"
    title = factory.Sequence(lambda n: f"Deployed checkout 2.{n}.0")
    at = NOW - dt.timedelta(minutes=10)
    received_at = NOW - dt.timedelta(minutes=10)


class TopicFactory(DjangoModelFactory):
    """A confirmed topic of Amazon SNS."""

    class Meta:
        model = Topic

    integration = factory.SubFactory(IntegrationFactory, source="cloudwatch")
    arn = factory.Sequence(lambda n: f"arn:aws:sns:eu-west-1:123456789012:alarms-{n}")
    state = Topic.State.CONFIRMED
    seen_at = NOW - dt.timedelta(hours=1)


class RuleFactory(DjangoModelFactory):
    """A global routing rule that matches every alert and, as it is, changes its severity only."""

    class Meta:
        model = Rule

    name = factory.Sequence(lambda n: f"Rule {n}")
    severity = "low"


class DependencyFactory(DjangoModelFactory):
    """One service needs another, and holds its alerts back while that one is in trouble."""

    class Meta:
        model = Dependency

    service = factory.SubFactory(ServiceFactory)
    needs = factory.SubFactory(ServiceFactory)
    holds_alerts = True


class LinkFactory(DjangoModelFactory):
    class Meta:
        model = Link

    service = factory.SubFactory(ServiceFactory)
    label = "When it is slow"
    url = factory.Sequence(lambda n: f"https://wiki.example.com/runbooks/{n}")


class SilenceFactory(DjangoModelFactory):
    """Active at NOW for an hour; holds the alerts of the environment “staging”."""

    class Meta:
        model = Silence

    condition = 'env = "staging"'
    starts_at = NOW - dt.timedelta(hours=1)
    ends_at = NOW + dt.timedelta(hours=1)
    reason = "Disk work"


class MaintenanceWindowFactory(DjangoModelFactory):
    """Open at NOW for an hour, once. `services=` and `teams=` are lists; as it is, it means nothing."""

    class Meta:
        model = MaintenanceWindow
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Maintenance {n}")
    starts_at = NOW - dt.timedelta(hours=1)
    ends_at = NOW + dt.timedelta(hours=1)

    @factory.post_generation
    def services(self, create, extracted, **kwargs):
        self.services.set(extracted or ())

    @factory.post_generation
    def teams(self, create, extracted, **kwargs):
        self.teams.set(extracted or ())


class InhibitionRuleFactory(DjangoModelFactory):
    """While a node is down, what runs on it is held."""

    class Meta:
        model = InhibitionRule

    name = factory.Sequence(lambda n: f"Node down {n}")
    source = 'alertname = "NodeDown"'
    target = 'alertname != "NodeDown"'
    equal = ["host"]


class HeartbeatFactory(DjangoModelFactory):
    """Expected every 5 minutes, up to 1 late, and not armed yet; `heartbeat.key` is the text that a sender uses."""

    class Meta:
        model = Heartbeat

    name = factory.Sequence(lambda n: f"backup-{n}")
    service = factory.SubFactory(ServiceFactory)

    @classmethod
    def _create(cls, model_class, *args, **fields):
        heartbeat = model_class(**fields)
        heartbeat.key = keys.issue_key(heartbeat)
        heartbeat.save()
        return heartbeat
