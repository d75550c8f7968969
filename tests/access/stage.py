"""The stage of the access matrix: three teams with one of everything, and people with every role."""

import datetime as dt
import types

from django.utils import timezone

from accounts.models import AuditEntry, Role
from notifications.models import Notification
from tests import factories

HOUR = dt.timedelta(hours=1)
# Whom a request comes from. The roles in brackets are those for the platform; "own" is the team they are all in, but
# for the admin, who is in none.
ACTORS = ("anonymous", "observer", "responder", "team responder", "team admin", "admin")


def people(own):
    """`{actor: User}`; nobody for the anonymous one."""
    roles = {
        "observer": (Role.OBSERVER, Role.OBSERVER),
        "responder": (Role.RESPONDER, Role.OBSERVER),
        "team responder": (Role.OBSERVER, Role.RESPONDER),
        "team admin": (Role.OBSERVER, Role.ADMIN),
    }
    found = {"anonymous": None, "admin": factories.UserFactory(name="Admin", role=Role.ADMIN)}
    for actor, (platform, in_team) in roles.items():
        found[actor] = factories.UserFactory(name=actor.title(), role=platform)
        factories.MembershipFactory(team=own, user=found[actor], role=in_team)
    return found


def furnish(team):
    """One of everything that a team can have. Times are around now, since what is asked over HTTP reads the clock."""
    now = timezone.now().replace(microsecond=0)
    member = factories.UserFactory(role=Role.OBSERVER)
    factories.MembershipFactory(team=team, user=member, role=Role.ADMIN)
    method = factories.ContactMethodFactory(user=member)
    one = types.SimpleNamespace(team=team, member=member, now=now, day=now.date() + dt.timedelta(days=40))
    one.schedule = factories.ScheduleFactory(team=team, people=[member])
    one.policy = factories.EscalationPolicyFactory(team=team, calls=[member])
    one.service = factories.ServiceFactory(team=team, policy=one.policy)
    one.needed = factories.ServiceFactory(team=team, policy=one.policy)
    one.dependency = factories.DependencyFactory(service=one.service, needs=one.needed)
    one.other = factories.ServiceFactory(team=team, policy=one.policy)
    one.link = factories.LinkFactory(service=one.service)
    coming = {"start_at": now + HOUR, "end_at": now + 2 * HOUR}
    one.override = factories.OverrideFactory(schedule=one.schedule, user=member, **coming)
    one.shift = factories.FixedShiftFactory(schedule=one.schedule, user=member, **coming)
    one.request = factories.ShiftRequestFactory(
        schedule=one.schedule, requester=member, start_at=now + 3 * HOUR, end_at=now + 4 * HOUR
    )
    one.offer = factories.OfferFactory(request=one.request)
    one.holiday = factories.HolidayFactory(team=team)
    one.calendar = factories.CalendarImportFactory(schedule=one.schedule, url="")
    one.integration = factories.IntegrationFactory(service=one.service)
    one.rule = factories.RuleFactory(integration=one.integration)
    span = {"starts_at": now - HOUR, "ends_at": now + HOUR}
    one.silence = factories.SilenceFactory(service=one.service, **span)
    one.window = factories.MaintenanceWindowFactory(services=[one.service], **span)
    one.inhibition = factories.InhibitionRuleFactory(integration=one.integration)
    one.heartbeat = factories.HeartbeatFactory(service=one.service)
    one.incident = factories.IncidentFactory(service=one.service, triggered_at=now - HOUR)
    one.second = factories.IncidentFactory(service=one.service, triggered_at=now - HOUR)
    one.helper = factories.ResponderFactory(incident=one.incident)
    one.task = factories.TaskFactory(incident=one.incident)
    one.view = factories.SavedViewFactory(owner=member, team=team)
    one.hypothesis = factories.HypothesisFactory(incident=one.incident)
    one.recommended = factories.RecommendedActionFactory(incident=one.incident)
    times = dict.fromkeys(("first_at", "last_at", "changed_at"), now)
    one.alert = factories.AlertFactory(
        service=one.service, integration=one.integration, incident=one.incident, **times
    )
    one.held = factories.AlertFactory(service=one.service, held_by="silence:1", held_why="Disk", held_at=now, **times)
    one.change = factories.ChangeEventFactory(service=one.service)
    one.postmortem = factories.PostmortemFactory(team=team, status="published", incidents=[one.incident])
    one.section = factories.SectionFactory(postmortem=one.postmortem)
    one.moment = factories.MomentFactory(postmortem=one.postmortem)
    one.factor = factories.FactorFactory(postmortem=one.postmortem)
    one.comment = factories.CommentFactory(postmortem=one.postmortem)
    one.review = factories.ReviewFactory(postmortem=one.postmortem)
    one.item = factories.ActionItemFactory(postmortem=one.postmortem)
    one.picture = factories.ImageFactory(postmortem=one.postmortem)
    one.share = factories.ShareLinkFactory(postmortem=one.postmortem, token=f"share-{team.pk}")
    one.status_page = factories.StatusPageFactory(team=team, audience="partners")
    one.group = factories.ComponentGroupFactory(page=one.status_page)
    one.component = factories.ComponentFactory(page=one.status_page, group=one.group, services=[one.service])
    one.post = factories.PostFactory(page=one.status_page, incident=one.incident)
    one.post_update = factories.PostUpdateFactory(post=one.post)
    one.series = factories.SeriesFactory(page=one.status_page, starts_at=now, ends_at=now + HOUR)
    one.template = factories.PostTemplateFactory(page=one.status_page)
    one.subscriber = factories.SubscriberFactory(page=one.status_page)
    one.partner = factories.PartnerFactory(pages=[one.status_page])
    one.partner_session = factories.PartnerSessionFactory(
        partner=one.partner, created_at=now, seen_at=now, expires_at=now + 24 * HOUR
    )
    one.readers_page = factories.StatusPageFactory(team=team)
    html = ["text/html; charset=utf-8", "<h1>Status</h1>"]
    factories.CopyFactory(page=one.readers_page, files={"": html, "history": html})
    one.notification = factories.NotificationFactory(
        user=member, contact_method=method, topic=one.incident.topic, created_at=now, state=Notification.State.PENDING
    )
    one.off = factories.TimeOffFactory(user=member, start_at=now + 20 * HOUR, end_at=now + 30 * HOUR)
    one.feed = factories.CalendarFeedFactory(owner=member)
    one.entry = AuditEntry.objects.latest("pk")
    one.key = factories.ApiKeyFactory(
        user=factories.UserFactory(is_machine=True), team=team, name=f"Key of {team.name}", scopes=["*:read"]
    )
    return one
