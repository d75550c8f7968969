"""One factory per model, each good with no arguments."""

import datetime as dt
import hashlib

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
from core.secrets import digest
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
from postmortems import states as postmortem_states
from postmortems.models import (
    ActionItem,
    Comment,
    Factor,
    Image,
    Moment,
    Postmortem,
    Review,
    Revision,
    Section,
    ShareLink,
    Template,
    TemplateSection,
    Wanted,
)
from statuspages.models import (
    Affected,
    Audience,
    Component,
    ComponentGroup,
    Copy,
    Logo,
    MagicLink,
    Partner,
    PartnerSession,
    Post,
    PostTemplate,
    PostUpdate,
    Series,
    Span,
    StatusPage,
    Subscriber,
    Visit,
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


class PostmortemTemplateFactory(DjangoModelFactory):
    """Offered to every team, and without sections as it is."""

    class Meta:
        model = Template

    name = factory.Sequence(lambda n: f"Template {n}")


class TemplateSectionFactory(DjangoModelFactory):
    class Meta:
        model = TemplateSection

    template = factory.SubFactory(PostmortemTemplateFactory)
    title = factory.Sequence(lambda n: f"Part {n}")
    help = "What belongs here."
    body = "It began with…"
    position = factory.Sequence(int)


class PostmortemFactory(DjangoModelFactory):
    """A draft about a resolved incident of its team, as a bare row: `drafting.start` does more.

    `status=` fills the times that a status needs. `incidents=` is a list.
    """

    class Meta:
        model = Postmortem
        skip_postgeneration_save = True

    title = "Checkout was down"
    team = factory.SubFactory(TeamFactory)
    severity = "critical"
    status = postmortem_states.DRAFT
    impact_began_at = NOW - dt.timedelta(days=1)
    impact_ended_at = NOW - dt.timedelta(hours=23)
    created_at = NOW
    changed_at = NOW

    @factory.lazy_attribute
    def published_at(self):
        return NOW if self.status == postmortem_states.PUBLISHED else None

    @factory.lazy_attribute
    def archived_at(self):
        return NOW if self.status == postmortem_states.ARCHIVED else None

    @factory.post_generation
    def incidents(self, create, extracted, **kwargs):
        if extracted is None:
            extracted = [
                IncidentFactory(
                    service__team=self.team,
                    status=states.RESOLVED,
                    triggered_at=self.impact_began_at,
                    resolved_at=self.impact_ended_at,
                )
            ]
        self.incidents.set(extracted)


class SectionFactory(DjangoModelFactory):
    """A section with its first revision."""

    class Meta:
        model = Section
        skip_postgeneration_save = True

    postmortem = factory.SubFactory(PostmortemFactory)
    title = "What happened"
    body = "The certificate expired."
    position = factory.Sequence(int)

    @factory.post_generation
    def revision(self, create, extracted, **kwargs):
        if extracted is not False:
            RevisionFactory(section=self, version=self.version, title=self.title, body=self.body)


class RevisionFactory(DjangoModelFactory):
    """`section=` has one with its version already: give another version, or take that one."""

    class Meta:
        model = Revision

    section = factory.SubFactory(SectionFactory, revision=False)
    version = 1
    title = factory.SelfAttribute("section.title")
    body = factory.SelfAttribute("section.body")
    at = NOW


class MomentFactory(DjangoModelFactory):
    """Written by hand; `source=`, `reference=` and `said=` make it one that was drawn."""

    class Meta:
        model = Moment

    postmortem = factory.SubFactory(PostmortemFactory)
    at = NOW - dt.timedelta(hours=24)
    text = "The first customer called."
    source = Moment.Source.OWN


class FactorFactory(DjangoModelFactory):
    class Meta:
        model = Factor

    postmortem = factory.SubFactory(PostmortemFactory)
    cause = factory.Sequence(lambda n: f"Cause {n}")
    position = factory.Sequence(int)


class ReviewFactory(DjangoModelFactory):
    """Asked, and not answered yet."""

    class Meta:
        model = Review

    postmortem = factory.SubFactory(PostmortemFactory)
    user = factory.SubFactory(UserFactory)
    asked_at = NOW


class CommentFactory(DjangoModelFactory):
    class Meta:
        model = Comment

    postmortem = factory.SubFactory(PostmortemFactory)
    text = "Who was asked first?"
    by = factory.SubFactory(UserFactory)
    at = NOW


class ActionItemFactory(DjangoModelFactory):
    """Open, and due in two weeks. `status=` fills the end that a status needs."""

    class Meta:
        model = ActionItem

    postmortem = factory.SubFactory(PostmortemFactory)
    text = "Renew certificates by machine"
    owner = factory.SubFactory(UserFactory)
    due_on = NOW.date() + dt.timedelta(days=14)
    status = ActionItem.Status.OPEN
    created_at = NOW
    changed_at = NOW

    @factory.lazy_attribute
    def ended_at(self):
        return None if self.status in ActionItem.OPEN else NOW


class ImageFactory(DjangoModelFactory):
    """One grey pixel."""

    class Meta:
        model = Image

    postmortem = factory.SubFactory(PostmortemFactory)
    name = "graph.png"
    body = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6368000000820081"
        "77cd72b60000000049454e44ae426082"
    )
    content_type = "image/png"
    size = factory.LazyAttribute(lambda image: len(image.body))
    width = 1
    height = 1
    at = NOW


class ShareLinkFactory(DjangoModelFactory):
    """Good at NOW for a week. `token=` is the text of the link."""

    class Meta:
        model = ShareLink

    class Params:
        token = factory.Sequence(lambda n: f"token-{n}")

    postmortem = factory.SubFactory(PostmortemFactory, status=postmortem_states.PUBLISHED)
    token_hash = factory.LazyAttribute(lambda link: hashlib.sha256(link.token.encode()).hexdigest())
    made_at = NOW
    expires_at = NOW + dt.timedelta(days=7)


class WantedFactory(DjangoModelFactory):
    """A resolved incident that ought to have a postmortem; the reminder is due in two days."""

    class Meta:
        model = Wanted

    incident = factory.SubFactory(
        IncidentFactory, status=states.RESOLVED, resolved_at=NOW, triggered_at=NOW - dt.timedelta(hours=1)
    )
    since = NOW
    due_at = NOW + dt.timedelta(hours=48)


class StatusPageFactory(DjangoModelFactory):
    """A private page in English and UTC that no team keeps."""

    class Meta:
        model = StatusPage

    name = factory.Sequence(lambda n: f"Status page {n}")
    slug = factory.Sequence(lambda n: f"page-{n}")
    created_at = NOW - dt.timedelta(days=200)


class LogoFactory(DjangoModelFactory):
    """A picture of one pixel."""

    class Meta:
        model = Logo

    page = factory.SubFactory(StatusPageFactory)
    body = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f6"
        "1738550000000049454e44ae426082"
    )
    content_type = "image/png"
    width = 1
    height = 1
    changed_at = NOW


class CopyFactory(DjangoModelFactory):
    """A copy that nobody computed: it has one file, the page itself."""

    class Meta:
        model = Copy

    page = factory.SubFactory(StatusPageFactory)
    version = 1
    files = factory.LazyAttribute(lambda copy: {"": ["text/html; charset=utf-8", f"<h1>{copy.page.name}</h1>"]})
    made_at = NOW


class ComponentGroupFactory(DjangoModelFactory):
    class Meta:
        model = ComponentGroup

    page = factory.SubFactory(StatusPageFactory)
    name = factory.Sequence(lambda n: f"Group {n}")


class ComponentFactory(DjangoModelFactory):
    """Operational since it was made, 200 days ago. `services=` is a list; as it is, it stands for none."""

    class Meta:
        model = Component
        skip_postgeneration_save = True

    page = factory.SubFactory(StatusPageFactory)
    name = factory.Sequence(lambda n: f"Component {n}")
    state_since = NOW - dt.timedelta(days=200)
    created_at = NOW - dt.timedelta(days=200)

    @factory.post_generation
    def services(self, create, extracted, **kwargs):
        self.services.set(extracted or ())


class SpanFactory(DjangoModelFactory):
    """An hour of partial outage that ended a day ago."""

    class Meta:
        model = Span

    component = factory.SubFactory(ComponentFactory)
    state = "partial_outage"
    began_at = NOW - dt.timedelta(hours=25)
    ended_at = NOW - dt.timedelta(hours=24)


class SeriesFactory(DjangoModelFactory):
    """An hour on the first Sunday of each month, first in six days. `components=` is a list."""

    class Meta:
        model = Series
        skip_postgeneration_save = True

    page = factory.SubFactory(StatusPageFactory)
    title = factory.Sequence(lambda n: f"Database work {n}")
    body = "The shop is read-only for a moment."
    starts_at = NOW + dt.timedelta(days=6)
    ends_at = NOW + dt.timedelta(days=6, hours=1)
    rrule = "FREQ=MONTHLY;BYDAY=1SU"

    @factory.post_generation
    def components(self, create, extracted, **kwargs):
        self.components.set(extracted or ())


class PostFactory(DjangoModelFactory):
    """A post about trouble that began ten minutes ago and goes on, without an update."""

    class Meta:
        model = Post

    page = factory.SubFactory(StatusPageFactory)
    kind = "incident"
    title = factory.Sequence(lambda n: f"Payments fail {n}")
    stage = "investigating"
    impact = "major"
    starts_at = NOW - dt.timedelta(minutes=10)
    created_at = NOW - dt.timedelta(minutes=10)
    changed_at = NOW - dt.timedelta(minutes=10)


class AffectedFactory(DjangoModelFactory):
    """The component is one of the post's page."""

    class Meta:
        model = Affected

    post = factory.SubFactory(PostFactory)
    component = factory.SubFactory(ComponentFactory, page=factory.SelfAttribute("..post.page"))
    state = "partial_outage"


class PostUpdateFactory(DjangoModelFactory):
    """Told already: nothing waits."""

    class Meta:
        model = PostUpdate

    post = factory.SubFactory(PostFactory)
    stage = factory.SelfAttribute("post.stage")
    body = "We look into it."
    at = NOW - dt.timedelta(minutes=10)


class PostTemplateFactory(DjangoModelFactory):
    """Offered on every page."""

    class Meta:
        model = PostTemplate

    name = factory.Sequence(lambda n: f"Template {n}")
    title = "Payments fail"
    body = "We see failing payments and look into it."


class SubscriberFactory(DjangoModelFactory):
    """Told of everything on a page by mail. `address=` is where; `components=` are those that it is told of."""

    class Meta:
        model = Subscriber
        skip_postgeneration_save = True

    class Params:
        address = factory.Sequence(lambda n: f"reader{n}@elsewhere.example")
        token = factory.Sequence(lambda n: f"question-{n}")

    page = factory.SubFactory(StatusPageFactory, audience=Audience.PUBLIC)
    channel = "email"
    destination = factory.SubFactory(
        DestinationFactory,
        name=factory.Sequence(lambda n: f"subscriber {n}"),
        channel=factory.SelfAttribute("..channel"),
        address=factory.SelfAttribute("..address"),
        is_outside=True,
    )
    token_hash = factory.LazyAttribute(lambda one: digest(one.token))
    asked_at = NOW - dt.timedelta(days=2)
    confirmed_at = NOW - dt.timedelta(days=2)

    @factory.post_generation
    def components(self, create, extracted, **kwargs):
        self.components.set(extracted or ())


class PartnerFactory(DjangoModelFactory):
    """Open without an end. `pages=` is a list; as it is, one page that partners read."""

    class Meta:
        model = Partner
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Partner {n}")
    email = factory.Sequence(lambda n: f"partner{n}@elsewhere.example")
    created_at = NOW - dt.timedelta(days=10)

    @factory.post_generation
    def pages(self, create, extracted, **kwargs):
        self.pages.set([StatusPageFactory(audience=Audience.PARTNERS)] if extracted is None else extracted)


class MagicLinkFactory(DjangoModelFactory):
    """Sent at NOW; `token=` is what stands in the mail."""

    class Meta:
        model = MagicLink

    class Params:
        token = factory.Sequence(lambda n: f"link-{n}")

    partner = factory.SubFactory(PartnerFactory)
    token_hash = factory.LazyAttribute(lambda one: digest(one.token))
    created_at = NOW
    expires_at = NOW + dt.timedelta(minutes=15)


class PartnerSessionFactory(DjangoModelFactory):
    """Begun at NOW; `key=` is the value of the cookie."""

    class Meta:
        model = PartnerSession

    class Params:
        key = factory.Sequence(lambda n: f"session-{n}")

    partner = factory.SubFactory(PartnerFactory)
    key_hash = factory.LazyAttribute(lambda one: digest(one.key))
    created_at = NOW
    seen_at = factory.LazyAttribute(lambda one: one.created_at)
    expires_at = factory.LazyAttribute(lambda one: one.created_at + dt.timedelta(days=30))
    address = "192.0.2.7"
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class VisitFactory(DjangoModelFactory):
    class Meta:
        model = Visit

    partner = factory.SubFactory(PartnerFactory)
    page = factory.SubFactory(StatusPageFactory)
    at = NOW
    what = "/"
    address = "192.0.2.7"
