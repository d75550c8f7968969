"""Every page of the admin opens, costs a constant number of queries, and says in words what it refuses."""

import datetime as dt

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ
from django_q.signing import SignedPackage

from accounts.models import AccountMail, ApiKey, AuditEntry, GroupMapping, Membership, Team, User
from alerts.models import (
    Alert,
    ChangeEvent,
    Heartbeat,
    InboundEvent,
    InhibitionRule,
    Integration,
    MaintenanceWindow,
    Presence,
    Rule,
    SeenSignature,
    Silence,
    Topic,
)
from automation.models import Hypothesis, RecommendedAction
from catalog.models import Dependency, Link, Service
from core.models import Bucket, Counter, IdempotencyKey, Pulse, WorkerBeat
from incidents.models import Follower, Incident, Responder, SavedView, Subscription, Task, TimelineEntry
from notifications.models import (
    Alarm,
    Allowance,
    Attempt,
    Circuit,
    ContactMethod,
    Destination,
    Notification,
    NotificationRule,
    Provider,
    QuietHours,
    SeenRequest,
    Wording,
)
from oncall.models import (
    Availability,
    CalendarFeed,
    CalendarImport,
    CoverageCheck,
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
    Component,
    ComponentGroup,
    Copy,
    Logo,
    MagicLink,
    Nudge,
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
from tests import factories

# Edited on the page of what they belong to.
PARTS = {
    *(Membership, Layer, Participant, Restriction, Level, Target),
    *(Dependency, Link, Follower, Responder, Task),
    *(Affected, Component, ComponentGroup, Copy, Logo, PostUpdate),
    *(TemplateSection, Section, Revision, Moment, Factor, Review, Comment, Image, ShareLink),
}
# The audit has a page of its own; what is left of a limit is of no use to anybody, nor is a hash, nor what is computed
# within a second, nor the times that the bars of a status page show.
ELSEWHERE = {AuditEntry, Bucket, MagicLink, Nudge, Span}
OURS = {"core", "accounts", "notifications", "oncall", "catalog", "incidents", "alerts", "automation"}
OURS |= {"statuspages", "postmortems"}


def an_event(number=1, **fields):
    fields = {"state": InboundEvent.State.POISON, "error": "KeyError: 'title'", "attempts": 8, **fields}
    integration = factories.IntegrationFactory()
    return InboundEvent.objects.create(
        source="generic",
        scope=f"integration:{integration.pk}",
        integration=integration,
        service=integration.service,
        body=b'{"title": "Disk full"}',
        headers={"content-type": "application/json"},
        result=[{"outcome": "opened"}],
        **fields,
    )


def an_alarm(number=1):
    return Alarm.objects.create(
        key=f"event:{number}", text="Nobody was paged.", raised_at=factories.NOW, last_at=factories.NOW
    )


def a_schedule(number=1):
    return factories.ScheduleFactory(people=[factories.UserFactory(), factories.UserFactory()])


def a_check(number=1):
    problems = [{"kind": "gap", "text": "Nobody is on call in Nights."}]
    return CoverageCheck.objects.create(team=factories.TeamFactory(), checked_at=factories.NOW, problems=problems)


def a_policy(number=1):
    return factories.EscalationPolicyFactory(calls=[a_schedule(), factories.UserFactory()])


def an_incident(number=1):
    incident = factories.IncidentFactory()
    user = factories.UserFactory()
    factories.TimelineEntryFactory(incident=incident, by=user, data={"why": "because"})
    factories.AlertFactory(incident=incident, service=incident.service)
    return incident


def an_alert(number=1):
    return factories.AlertFactory(integration=factories.IntegrationFactory(), incident=factories.IncidentFactory())


def a_failure(number=1):
    now = timezone.now()
    return Failure.objects.create(
        id=f"{number:032}",
        name=f"task {number}",
        func="core.tasks.canary",
        started=now,
        stopped=now,
        success=False,
        result="Traceback",
    )


def a_wake_up(number=1):
    payload = SignedPackage.dumps({"id": f"{number:032}", "name": f"wake {number}", "func": "core.tasks.canary"})
    return OrmQ.objects.create(key="watchbill", payload=payload, lock=timezone.now())


def a_wording(number=1):
    kinds = ["page", "update", "acknowledged", "resolved", "handoff", "bundle", "test", "verification", "notice"]
    return factories.WordingFactory(kind=kinds[number])


def a_signature(number=1):
    return SeenSignature.objects.create(
        integration=factories.IntegrationFactory(), signature=f"v1={number}", seen_at=factories.NOW
    )


def an_answer(number=1):
    return IdempotencyKey.objects.create(
        key=f"key {number}", route="/api/v1/alerts", principal="key:1", request_hash="0", status=202, response={"a": 1}
    )


def a_key(number=1):
    return factories.ApiKeyFactory()


IN_RETURN = {
    "return_role": "PRIMARY",
    "return_start_at": factories.NOW,
    "return_end_at": factories.NOW + dt.timedelta(hours=1),
}
MAKE = {
    User: lambda number=1: factories.ContactMethodFactory().user,
    Team: lambda number=1: factories.MembershipFactory().team,
    ApiKey: a_key,
    GroupMapping: lambda number=1: GroupMapping.objects.create(group=f"group {number}", role="observer"),
    AccountMail: lambda number=1: AccountMail.objects.create(
        kind="reset", address=f"a{number}@example.com", subject="A new password", body="https://example.com/x"
    ),
    ContactMethod: lambda number=1: factories.ContactMethodFactory(),
    NotificationRule: lambda number=1: factories.NotificationRuleFactory(),
    Notification: lambda number=1: factories.AttemptFactory().notification,
    Attempt: lambda number=1: factories.AttemptFactory(),
    Alarm: an_alarm,
    Hypothesis: lambda number=1: factories.HypothesisFactory(),
    RecommendedAction: lambda number=1: factories.RecommendedActionFactory(),
    QuietHours: lambda number=1: factories.QuietHoursFactory(),
    Destination: lambda number=1: factories.SubscriptionFactory().destination,
    Subscription: lambda number=1: factories.SubscriptionFactory(),
    SavedView: lambda number=1: factories.SavedViewFactory(),
    Provider: lambda number=1: factories.ProviderFactory(),
    Wording: a_wording,
    Circuit: lambda number=1: Circuit.objects.create(
        name=f"sms-{number}", failures=5, opened_until=factories.NOW, changed_at=factories.NOW
    ),
    Allowance: lambda number=1: Allowance.objects.create(name=f"sms-{number}", tokens=1, at=factories.NOW),
    SeenRequest: lambda number=1: SeenRequest.objects.create(key=f"sms-{number}", at=factories.NOW),
    Schedule: a_schedule,
    Override: lambda number=1: factories.OverrideFactory(replaces=factories.UserFactory()),
    FixedShift: lambda number=1: factories.FixedShiftFactory(),
    TimeOff: lambda number=1: factories.TimeOffFactory(),
    Availability: lambda number=1: factories.AvailabilityFactory(),
    Holiday: lambda number=1: factories.HolidayFactory(team=factories.TeamFactory()),
    ShiftRequest: lambda number=1: factories.OfferFactory().request,
    Offer: lambda number=1: factories.OfferFactory(return_schedule=a_schedule(), **IN_RETURN),
    CalendarFeed: lambda number=1: factories.CalendarFeedFactory(),
    CalendarImport: lambda number=1: factories.CalendarImportFactory(warnings=["“Standup” names nobody."]),
    CoverageCheck: a_check,
    EscalationPolicy: a_policy,
    Service: lambda number=1: factories.IntegrationFactory().service,
    Incident: an_incident,
    TimelineEntry: lambda number=1: factories.TimelineEntryFactory(by=factories.UserFactory()),
    Integration: lambda number=1: factories.IntegrationFactory(),
    InboundEvent: an_event,
    Alert: an_alert,
    SeenSignature: a_signature,
    Rule: lambda number=1: factories.RuleFactory(),
    ChangeEvent: lambda number=1: factories.ChangeEventFactory(),
    Topic: lambda number=1: factories.TopicFactory(),
    Silence: lambda number=1: factories.SilenceFactory(),
    MaintenanceWindow: lambda number=1: factories.MaintenanceWindowFactory(),
    InhibitionRule: lambda number=1: factories.InhibitionRuleFactory(),
    Heartbeat: lambda number=1: factories.HeartbeatFactory(),
    Presence: lambda number=1: Presence.objects.update_or_create(id=number, defaults={"beat_at": factories.NOW})[0],
    StatusPage: lambda number=1: factories.ComponentFactory(services=[factories.ServiceFactory()]).page,
    Post: lambda number=1: factories.PostUpdateFactory().post,
    Series: lambda number=1: factories.SeriesFactory(),
    PostTemplate: lambda number=1: factories.PostTemplateFactory(),
    Subscriber: lambda number=1: factories.SubscriberFactory(),
    Partner: lambda number=1: factories.PartnerSessionFactory().partner,
    PartnerSession: lambda number=1: factories.PartnerSessionFactory(),
    Visit: lambda number=1: factories.VisitFactory(),
    Template: lambda number=1: factories.TemplateSectionFactory().template,
    Postmortem: lambda number=1: factories.PostmortemFactory(owner=factories.UserFactory()),
    ActionItem: lambda number=1: factories.ActionItemFactory(),
    Wanted: lambda number=1: factories.WantedFactory(),
    Pulse: lambda number=1: Pulse.objects.create(name=f"ticker {number}", beat_at=factories.NOW),
    WorkerBeat: lambda number=1: WorkerBeat.objects.create(worker_id=f"w{number}", beat_at=factories.NOW),
    Counter: lambda number=1: Counter.objects.create(name=f"pages_{number}", value=1),
    IdempotencyKey: an_answer,
    Failure: a_failure,
    OrmQ: a_wake_up,
}
REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_model_has_a_page_or_is_part_of_one():
    ours = {model for model in apps.get_models() if model._meta.app_label in OURS}
    assert ours - set(admin.site._registry) == PARTS | ELSEWHERE


def test_index_opens(browser):
    assert browser.get(reverse("admin:index")).status_code == 200


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_page_opens(browser, model):
    row = MAKE[model]()
    page = browser.get(url(model, "change", row.pk))
    assert page.status_code == 200
    assert browser.get(url(model, "history", row.pk), follow=True).status_code == 200
    listed = browser.get(url(model, "changelist"))
    assert listed.status_code == 200
    assert url(model, "change", row.pk).split("?")[0] in listed.content.decode()
    may_add = admin.site._registry[model].has_add_permission(listed.wsgi_request)
    assert browser.get(url(model, "add")).status_code == (200 if may_add else 403)


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_list_can_be_searched(browser, model):
    MAKE[model]()
    if admin.site._registry[model].search_fields:
        assert browser.get(url(model, "changelist"), {"q": "1"}).status_code == 200


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_list_costs_the_same_however_long_it_is(browser, model):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(url(model, "changelist")).status_code == 200
        return len(queries)

    MAKE[model](1)
    MAKE[model](2)
    cost()  # content types and the like are kept from now on
    few = cost()
    for number in range(3, 9):
        MAKE[model](number)
    assert cost() <= few


@pytest.mark.parametrize(
    "model", [Incident, TimelineEntry, Alert, Notification, Attempt, InboundEvent, Counter, Pulse, WorkerBeat, Failure]
)
def test_what_happened_is_read_only(browser, model):
    row = MAKE[model]()
    assert browser.get(url(model, "add")).status_code == 403
    assert browser.post(url(model, "change", row.pk), {}).status_code == 403
    assert browser.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    browser.post(url(model, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert model.objects.filter(pk=row.pk).exists()


def test_json_is_shown_readably(browser):
    event = an_event()
    page = browser.get(url(InboundEvent, "change", event.pk)).content.decode()
    assert "&quot;title&quot;: &quot;Disk full&quot;" in page
    assert "KeyError" in page


# --- deleting -----------------------------------------------------------------------------------------------------
@pytest.fixture
def told(alice, service):
    """Alice is on a timeline."""
    incident = factories.IncidentFactory(service=service)
    factories.TimelineEntryFactory(incident=incident, by=alice)
    return incident


def test_deleting_a_person_on_a_timeline_says_to_deactivate(browser, said, alice, told):
    response = browser.post(url(User, "delete", alice.pk), {"post": "yes"})
    assert response.url == url(User, "change", alice.pk)
    assert "Alice cannot be deleted, because of 1 timeline entry. What happened stays told" in said(response)
    assert "Deactivate the person instead" in said(response)
    assert User.objects.filter(pk=alice.pk).exists()


def test_deleting_several_people_in_the_list_says_the_same(browser, said, alice, charlie, told):
    data = {"action": "delete_selected", "_selected_action": [alice.pk, charlie.pk], "post": "yes"}
    response = browser.post(url(User, "changelist"), data)
    assert response.status_code == 302
    assert "Deactivate the person instead" in said(response)
    assert User.objects.filter(pk__in=[alice.pk, charlie.pk]).count() == 2


def test_deleting_a_service_with_incidents_says_to_archive(browser, said, told):
    response = browser.get(url(Service, "delete", told.service_id))
    assert "Archive the service instead" in said(response)
    assert "1 incident" in said(response)


def test_a_schedule_that_a_policy_calls_stays(browser, said):
    schedule = a_schedule()
    factories.EscalationPolicyFactory(calls=[schedule])
    response = browser.post(url(Schedule, "delete", schedule.pk), {"post": "yes"})
    assert "Take it out of those policies first." in said(response)
    assert Schedule.objects.filter(pk=schedule.pk).exists()


def test_a_person_whom_nothing_needs_is_deleted(browser, charlie):
    factories.ApiKeyFactory(user=charlie)
    factories.NotificationRuleFactory(user=charlie, contact_method=charlie.contact_methods.get())
    assert browser.get(url(User, "delete", charlie.pk)).status_code == 200
    browser.post(url(User, "delete", charlie.pk), {"post": "yes"})
    assert not User.objects.filter(pk=charlie.pk).exists()


def test_people_whom_nothing_needs_are_deleted_from_the_list(browser, bob, charlie):
    data = {"action": "delete_selected", "_selected_action": [bob.pk, charlie.pk], "post": "yes"}
    browser.post(url(User, "changelist"), data)
    assert not User.objects.filter(pk__in=[bob.pk, charlie.pk]).exists()


def test_an_integration_with_seen_signatures_is_deleted(browser):
    signature = a_signature()
    browser.post(url(Integration, "delete", signature.integration_id), {"post": "yes"})
    assert not Integration.objects.exists()


# --- buttons ------------------------------------------------------------------------------------------------------
def test_a_given_up_event_is_tried_again(browser, said):
    event = an_event(due_at=None)
    do = url(InboundEvent, "do", event.pk, "try_again")
    assert do in browser.get(url(InboundEvent, "change", event.pk)).content.decode()
    assert "is decided again" in browser.get(do).content.decode()
    assert InboundEvent.objects.get().state == InboundEvent.State.POISON, "looking changes nothing"
    before = timezone.now()
    response = browser.post(do)
    assert "is tried again" in said(response)
    event.refresh_from_db()
    assert (event.state, event.error) == (InboundEvent.State.FAILED, "KeyError: 'title'")
    assert event.due_at >= before


def test_given_up_events_are_tried_again_from_the_list(browser, said):
    poison, decided = an_event(), an_event(state=InboundEvent.State.DECIDED, error="")
    data = {"action": "try_again", "_selected_action": [poison.pk, decided.pk]}
    asked = browser.post(url(InboundEvent, "changelist"), data)
    assert asked.status_code == 200
    assert "people may be paged" in asked.content.decode()
    response = browser.post(url(InboundEvent, "changelist"), {**data, "confirmed": "yes"})
    assert "only one that failed can be tried again" in said(response)
    poison.refresh_from_db()
    decided.refresh_from_db()
    assert (poison.state, decided.state) == (InboundEvent.State.FAILED, InboundEvent.State.DECIDED)


def test_events_are_filtered_by_state(browser):
    an_event()
    an_event(state=InboundEvent.State.DECIDED)
    listed = browser.get(url(InboundEvent, "changelist"), {"state__exact": "poison"})
    assert listed.context["cl"].result_count == 1


def test_an_alarm_is_cleared(browser):
    alarm = an_alarm()
    browser.post(url(Alarm, "do", alarm.pk, "clear"))
    alarm.refresh_from_db()
    assert alarm.cleared_at


def test_a_button_that_a_page_has_not_is_not_found(browser):
    assert browser.post(url(Alarm, "do", an_alarm().pk, "delete_model")).status_code == 404


def test_a_responder_has_no_admin(client, bob):
    client.force_login(bob)
    alarm = an_alarm()
    assert client.get(reverse("admin:index")).status_code == 403
    client.post(url(Alarm, "do", alarm.pk, "clear"))
    alarm.refresh_from_db()
    assert alarm.cleared_at is None


# --- rules of the database ----------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_what_two_people_save_at_the_same_moment_is_a_message(browser, said, monkeypatch):
    """The form saw nothing wrong, the database does."""
    factories.TeamFactory(name="Shop", slug="shop")
    monkeypatch.setattr(Team, "validate_unique", lambda self, exclude=None: None)
    data = {"name": "Shop", "slug": "shop-2", "description": ""}
    data |= {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    response = browser.post(url(Team, "add"), data)
    assert response.status_code == 302
    assert "Nothing was saved" in said(response)
    assert Team.objects.count() == 1


def test_only_two_modules_know_the_skin():
    from django.conf import settings

    knowing = [
        path.relative_to(settings.BASE_DIR).as_posix()
        for app in (*OURS, "config")
        for path in (settings.BASE_DIR / app).rglob("*.py")
        if "import unfold" in path.read_text() or "from unfold" in path.read_text()
    ]
    assert sorted(knowing) == ["core/admin.py", "core/admin_fields.py"]


# --- garbage in addresses and forms -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("oncall_override", {"schedule": "x"}),
        ("oncall_override", {"user": "\0"}),
        ("oncall_override", {"replaces": "9" * 30}),
        ("oncall_override", {"start_at": "x"}),
        ("oncall_schedule", {"team": "é" * 500}),
        ("oncall_timeoff", {"end_at": "9999"}),
        ("oncall_holiday", {"day": "2026-02-30", "team": "-"}),
        ("oncall_schedule", {"_popup": "1", "no_such_field": "x", "layers": "x", "name": "\0"}),
    ],
)
def test_what_an_address_cannot_fill_in_stays_empty(browser, page, query):
    assert browser.get(reverse(f"admin:{page}_add"), query).status_code == 200


def test_an_address_fills_in_times_and_people(browser, alice):
    answer = browser.get(reverse("admin:oncall_timeoff_add"), {"user": alice.pk, "start_at": "2027-06-01T09:00"})
    content = answer.content.decode()
    assert 'value="2027-06-01"' in content and 'value="09:00:00"' in content
    assert f'<option value="{alice.pk}" selected>' in content


@pytest.mark.parametrize("key", ["x", "\0", "9" * 30, "é" * 500])
def test_a_key_that_is_none_is_an_error_at_its_field(browser, key):
    answer = browser.post(reverse("admin:oncall_override_add"), {"schedule": key, "user": key})
    assert answer.status_code == 200
    assert set(answer.context["adminform"].errors) >= {"schedule", "user"}


def test_a_key_that_is_none_is_an_error_in_a_level_too(browser, team):
    data = {"name": "P", "slug": "p", "team": team.pk, "levels-TOTAL_FORMS": 1, "levels-INITIAL_FORMS": 0}
    answer = browser.post(reverse("admin:oncall_escalationpolicy_add"), data | {"levels-0-people": ["x", "\0"]})
    assert answer.status_code == 200
    assert not EscalationPolicy.objects.exists()


@pytest.mark.parametrize("query", [{"role": "\0"}, {"start_at__year": "9" * 20}])
def test_a_filter_that_is_none_is_a_sentence(browser, said, query):
    answer = browser.get(reverse("admin:oncall_override_changelist"), query)
    assert answer.status_code == 302
    assert "All rows are shown" in said(answer)
    assert browser.get(answer["Location"]).status_code == 200


def test_a_picker_looks_for_any_text(browser, alice):
    query = {"app_label": "oncall", "model_name": "override", "field_name": "user", "term": "Al\0ice"}
    found = browser.get(reverse("admin:autocomplete"), query).json()["results"]
    assert [one["text"] for one in found] == [str(alice)]
