"""The admin follows the table of roles: who may open, change and push what, on every page, and what leaks nowhere."""

import datetime as dt

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, Role, Team
from catalog.models import Dependency, Service
from config import admin_menu
from notifications.models import Alarm
from oncall.models import CoverageCheck, EscalationPolicy, Override, Participant, Schedule, Target
from tests import factories
from tests.admin.test_pages import MAKE, REGISTERED, an_event, url

SOON, LATER = timezone.now() + dt.timedelta(days=1), timezone.now() + dt.timedelta(days=2)

# Whose a page is: TEAM pages are for admins of teams, who find the rows of their teams; OURS for the platform's only.
TEAM, OURS = "team", "platform"
# Model: whose page, what may be done there at all (add, change, delete), its buttons. `team:` before a verb says that
# the admins of a team may not do it.
ALL, SHOWN = ("add", "change", "delete"), ()
PAGES = {
    "accounts.accountmail": (OURS, SHOWN, ""),
    "accounts.apikey": (
        TEAM,
        ("add", "change"),
        "new_key_hour new_key new_key_week new_key_at_once end_old_key revoke",
    ),
    "accounts.groupmapping": (OURS, ALL, ""),
    "accounts.team": (TEAM, ("platform add", "change", "platform delete"), ""),
    "accounts.user": (OURS, ALL, "send_invitation end_sessions unlock reset_second_factor"),
    "alerts.alert": (TEAM, SHOWN, ""),
    "alerts.changeevent": (TEAM, SHOWN, ""),
    "alerts.heartbeat": (TEAM, ALL, "arm pause resume new_key"),
    "alerts.inboundevent": (TEAM, SHOWN, "try_again"),
    "alerts.inhibitionrule": (TEAM, ALL, ""),
    "alerts.integration": (TEAM, ALL, "new_key replace_key new_key_at_once end_old_key"),
    "alerts.maintenancewindow": (TEAM, SHOWN, ""),
    "alerts.presence": (OURS, SHOWN, ""),
    "alerts.rule": (TEAM, ALL, "enable disable"),
    "alerts.seensignature": (OURS, SHOWN, ""),
    "alerts.silence": (TEAM, SHOWN, ""),
    "automation.hypothesis": (TEAM, SHOWN, ""),
    "automation.recommendedaction": (TEAM, SHOWN, ""),
    "alerts.topic": (TEAM, SHOWN, "confirm_again"),
    "catalog.service": (TEAM, ALL, ""),
    "core.counter": (OURS, SHOWN, ""),
    "core.idempotencykey": (OURS, SHOWN, ""),
    "core.pulse": (OURS, SHOWN, ""),
    "core.workerbeat": (OURS, SHOWN, ""),
    "django_q.failure": (OURS, SHOWN, ""),
    "django_q.ormq": (OURS, SHOWN, ""),
    "incidents.incident": (TEAM, SHOWN, ""),
    "incidents.savedview": (TEAM, ALL, ""),
    "incidents.subscription": (TEAM, ALL, ""),
    "incidents.timelineentry": (TEAM, SHOWN, ""),
    "notifications.alarm": (OURS, SHOWN, "clear"),
    "notifications.allowance": (OURS, SHOWN, ""),
    "notifications.attempt": (OURS, SHOWN, ""),
    "notifications.circuit": (OURS, SHOWN, "close"),
    "notifications.contactmethod": (OURS, ALL, "send_test"),
    "notifications.destination": (OURS, ALL, "send_test"),
    "notifications.notification": (OURS, SHOWN, ""),
    "notifications.notificationrule": (OURS, ALL, ""),
    "notifications.provider": (OURS, ALL, "close_circuit"),
    "notifications.quiethours": (OURS, ALL, ""),
    "notifications.seenrequest": (OURS, SHOWN, ""),
    "notifications.wording": (OURS, ALL, ""),
    "oncall.availability": (OURS, ("add", "change"), ""),
    "oncall.calendarfeed": (TEAM, SHOWN, "revoke"),
    "oncall.calendarimport": (TEAM, ALL, "read_now"),
    "oncall.coveragecheck": (TEAM, SHOWN, ""),
    "oncall.escalationpolicy": (TEAM, ALL, ""),
    "oncall.fixedshift": (TEAM, ALL, ""),
    "oncall.holiday": (TEAM, ALL, ""),
    "oncall.offer": (TEAM, SHOWN, "approve accept decline"),
    "oncall.override": (TEAM, ("add", "delete"), ""),
    "oncall.schedule": (TEAM, ALL, ""),
    "oncall.shiftrequest": (TEAM, SHOWN, "cancel"),
    "oncall.timeoff": (OURS, ("add", "delete"), ""),
    "postmortems.actionitem": (TEAM, SHOWN, ""),
    "postmortems.postmortem": (TEAM, SHOWN, ""),
    "postmortems.template": (TEAM, ALL, ""),
    "postmortems.wanted": (TEAM, SHOWN, ""),
    "statuspages.partner": (TEAM, ALL, "send_link end_sessions"),
    "statuspages.partnersession": (TEAM, SHOWN, "revoke"),
    "statuspages.post": (TEAM, SHOWN, ""),
    "statuspages.posttemplate": (TEAM, ALL, ""),
    "statuspages.series": (TEAM, SHOWN, ""),
    "statuspages.statuspage": (TEAM, ALL, "compute"),
    "statuspages.subscriber": (TEAM, SHOWN, "end"),
    "statuspages.visit": (TEAM, SHOWN, ""),
}
# Who asks for what is of whom, and what they get: "all" that the page offers, "gone" as if it did not exist, "no".
ASKED = {
    TEAM: [
        ("nobody", "own", "sign in"),
        ("observer", "own", "no"),
        ("responder", "own", "no"),
        ("lead", "own", "all"),
        ("lead", "other", "gone"),
        ("lead", "private", "gone"),
        ("root", "own", "all"),
        ("root", "private", "all"),
    ],
    OURS: [
        ("nobody", "own", "sign in"),
        ("observer", "own", "no"),
        ("responder", "own", "no"),
        ("lead", "own", "no"),
        ("root", "own", "all"),
    ],
}


class House:
    """Three teams: `own`, which Leah leads; `other`, seen by everybody; `private`, of which only its members know."""

    def __init__(self):
        self.own = factories.TeamFactory(name="Own", slug="own")
        self.other = factories.TeamFactory(name="Other", slug="other")
        self.private = factories.TeamFactory(name="Secretive", slug="secretive", is_private=True)
        self.nobody = None
        self.observer = self._member("Otto", Role.OBSERVER)
        self.responder = self._member("Rosa", Role.RESPONDER)
        self.lead = factories.UserFactory(name="Leah", role=Role.OBSERVER)
        factories.MembershipFactory(team=self.own, user=self.lead, role=Role.ADMIN)
        self.root = factories.UserFactory(name="Root", role=Role.ADMIN)

    def _member(self, name, role):
        user = factories.UserFactory(name=name, role=role)
        factories.MembershipFactory(team=self.own, user=user, role=role)
        return user


@pytest.fixture
def house(db):
    return House()


@pytest.fixture
def leah(client, house):
    """Leah's browser: an observer who leads one team."""
    client.force_login(house.lead)
    return client


def a_policy(team, **fields):
    return factories.EscalationPolicyFactory(team=team, **fields)


def a_service(team, **fields):
    return factories.ServiceFactory(team=team, policy=None, **fields)


def an_integration(team, **fields):
    return factories.IntegrationFactory(service=a_service(team), **fields)


def a_schedule(team, **fields):
    return factories.ScheduleFactory(team=team, **fields)


def a_check(team):
    return CoverageCheck.objects.create(team=team, checked_at=factories.NOW, problems=[])


def a_status_page(team, **fields):
    return factories.StatusPageFactory(team=team, **fields)


def a_partner(team, **fields):
    return factories.PartnerFactory(pages=[a_status_page(team, audience="partners")], **fields)


def a_request(team):
    return factories.ShiftRequestFactory(schedule=a_schedule(team))


IN = {
    "accounts.apikey": lambda team: factories.ApiKeyFactory(team=team, scopes=["*:read"]),
    "accounts.team": lambda team: team,
    "alerts.alert": lambda team: factories.AlertFactory(service=a_service(team)),
    "alerts.changeevent": lambda team: factories.ChangeEventFactory(service=a_service(team)),
    "alerts.heartbeat": lambda team: factories.HeartbeatFactory(service=a_service(team)),
    "alerts.inboundevent": lambda team: in_team(an_event(), team),
    "alerts.inhibitionrule": lambda team: factories.InhibitionRuleFactory(integration=an_integration(team)),
    "alerts.integration": an_integration,
    "alerts.maintenancewindow": lambda team: factories.MaintenanceWindowFactory(teams=[team]),
    "alerts.rule": lambda team: factories.RuleFactory(integration=an_integration(team)),
    "alerts.silence": lambda team: factories.SilenceFactory(service=a_service(team)),
    "automation.hypothesis": lambda team: factories.HypothesisFactory(incident__service=a_service(team)),
    "automation.recommendedaction": lambda team: factories.RecommendedActionFactory(incident__service=a_service(team)),
    "alerts.topic": lambda team: factories.TopicFactory(integration=an_integration(team, source="cloudwatch")),
    "catalog.service": a_service,
    "incidents.incident": lambda team: factories.IncidentFactory(service=a_service(team)),
    "incidents.savedview": lambda team: factories.SavedViewFactory(team=team),
    "incidents.subscription": lambda team: factories.SubscriptionFactory(team=team),
    "incidents.timelineentry": lambda team: factories.TimelineEntryFactory(
        incident=factories.IncidentFactory(service=a_service(team))
    ),
    "oncall.calendarfeed": lambda team: factories.CalendarFeedFactory(person=None, team=team),
    "oncall.calendarimport": lambda team: factories.CalendarImportFactory(schedule=a_schedule(team)),
    "oncall.coveragecheck": a_check,
    "oncall.escalationpolicy": a_policy,
    "oncall.fixedshift": lambda team: factories.FixedShiftFactory(
        schedule=a_schedule(team), start_at=SOON, end_at=LATER
    ),
    "oncall.holiday": lambda team: factories.HolidayFactory(team=team),
    "oncall.offer": lambda team: factories.OfferFactory(request=a_request(team)),
    "oncall.override": lambda team: factories.OverrideFactory(schedule=a_schedule(team), start_at=SOON, end_at=LATER),
    "oncall.schedule": a_schedule,
    "oncall.shiftrequest": a_request,
    "postmortems.actionitem": lambda team: factories.ActionItemFactory(postmortem__team=team),
    "postmortems.postmortem": lambda team: factories.PostmortemFactory(team=team),
    "postmortems.template": lambda team: factories.PostmortemTemplateFactory(team=team),
    "postmortems.wanted": lambda team: factories.WantedFactory(incident__service=a_service(team)),
    "statuspages.partner": a_partner,
    "statuspages.partnersession": lambda team: factories.PartnerSessionFactory(partner=a_partner(team)),
    "statuspages.post": lambda team: factories.PostFactory(page=a_status_page(team)),
    "statuspages.posttemplate": lambda team: factories.PostTemplateFactory(page=a_status_page(team)),
    "statuspages.series": lambda team: factories.SeriesFactory(page=a_status_page(team)),
    "statuspages.statuspage": a_status_page,
    "statuspages.subscriber": lambda team: factories.SubscriberFactory(page=a_status_page(team)),
    "statuspages.visit": lambda team: factories.VisitFactory(partner=a_partner(team), page=None),
}


def model_of(label):
    return next(model for model in REGISTERED if model._meta.label_lower == label)


def in_team(event, team):
    type(event).objects.filter(pk=event.pk).update(service=a_service(team), integration=an_integration(team))
    return event


def made(label, house, whose):
    if label == "oncall.timeoff":  # what is over is not deleted by anybody
        return factories.TimeOffFactory(start_at=SOON, end_at=LATER)
    return IN[label](getattr(house, whose)) if label in IN else MAKE[model_of(label)]()


REFUSED = (302, 403)  # what is not there leads to the front page, what nobody may do there is refused
TO_THE_AUDIT = "audit"


def expected(label, who, outcome):
    """What each action answers: a status, several, or where it leads."""
    owner, verbs, buttons = PAGES[label]
    may = {verb for verb in verbs if not verb.startswith("platform ")}
    if who == "root":
        may = {verb.removeprefix("platform ") for verb in verbs}
    if outcome in ("sign in", "no"):
        actions = ("list", "add", "change", "save", "delete", "delete now", "history", *buttons.split())
        found = dict.fromkeys(actions, 302 if outcome == "sign in" else 403)
        return found | ({"history": 302} if who == "lead" else {})
    is_there = outcome == "all"
    found = {"list": 200, "add": 200 if "add" in may else 403}
    # What is not there leads to the front page with a sentence, the same for what never was.
    found["change"] = 200 if is_there else 302
    # The audit is for admins of the platform.
    found["history"] = (TO_THE_AUDIT if who == "root" else 403) if is_there else 302
    found["delete"] = 403 if "delete" not in may else 200 if is_there else 302
    if not is_there:
        found["save"] = found["delete now"] = REFUSED
    return found | dict.fromkeys(buttons.split(), 200 if is_there else 404)


def asked(client, model, row, action):
    if action == "list":
        return client.get(url(model, "changelist"))
    if action == "add":
        return client.get(url(model, "add"))
    if action == "save":
        return client.post(url(model, "change", row.pk), {})
    if action == "delete now":
        return client.post(url(model, "delete", row.pk), {"post": "yes"})
    if action == "history":
        return client.get(url(model, "history", row.pk), follow=False)
    if action in ("change", "delete"):
        return client.get(url(model, action, row.pk))
    return client.get(url(model, "do", row.pk, action))


def test_every_page_of_the_admin_has_a_row_in_the_table():
    assert sorted(PAGES) == sorted(model._meta.label_lower for model in REGISTERED)
    for model in REGISTERED:
        buttons = PAGES[model._meta.label_lower][2].split()
        assert sorted(admin.site._registry[model].buttons) == sorted(buttons), model
    assert {label for label, (owner, *_) in PAGES.items() if owner == TEAM} == set(IN)


@pytest.mark.parametrize("label", sorted(PAGES))
def test_every_page_answers_each_person_as_the_table_says(client, house, label):
    model = model_of(label)
    wrong = []
    for who, whose, outcome in ASKED[PAGES[label][0]]:
        client.logout()
        if user := getattr(house, who):
            client.force_login(user)
        row = made(label, house, whose)
        for action, status in expected(label, who, outcome).items():
            answer = asked(client, model, row, action)
            got = answer.status_code
            if got == 302 and answer.url.startswith(f"{reverse('audit')}?object="):
                got = TO_THE_AUDIT
            if got != status and got not in (status if isinstance(status, tuple) else ()):
                wrong.append((who, whose, action, got, f"and not {status}"))
        if outcome == "sign in" and "login" not in asked(client, model, row, "list").url:
            wrong.append((who, "is not led to sign in"))
        assert model._base_manager.filter(pk=row.pk).exists()
        if label == "oncall.coveragecheck" or label not in IN:
            row.delete()  # another one of the same name, or of the same team, cannot be made
    assert wrong == []


@pytest.mark.parametrize("label", sorted(label for label, (owner, *_) in PAGES.items() if owner == TEAM))
def test_lists_searches_and_pickers_of_a_team_admin_have_their_rows_only(leah, house, label):
    model = model_of(label)
    rows = {whose: made(label, house, whose) for whose in ("own", "other", "private")}
    listed = leah.get(url(model, "changelist")).context["cl"]
    assert [one.pk for one in listed.queryset] == [rows["own"].pk]
    assert listed.result_count == listed.full_result_count or listed.full_result_count is None
    shown = leah.get(url(model, "changelist")).content.decode()
    assert "Secretive" not in shown and "Other" not in shown, "also not among the filters"


# --- entering -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["observer", "responder"])
def test_who_may_configure_nothing_is_told_so_and_not_sent_round_in_a_circle(client, house, who):
    client.force_login(getattr(house, who))
    assert client.get(reverse("admin:login"), follow=True).status_code == 403
    for name in ("admin:index", "admin:jsi18n"):
        answer = client.get(reverse(name), follow=True)
        assert answer.status_code == 403
        text = answer.content.decode()
        assert "The admin is for admins of the platform and of teams." in text, (name, answer.redirect_chain, text)


def test_what_django_calls_staff_opens_nothing(client, house):
    person = factories.UserFactory(role=Role.RESPONDER, is_staff=True, is_superuser=True)
    client.force_login(person)
    assert client.get(reverse("admin:index")).status_code == 403


def test_somebody_who_is_deactivated_is_out_at_once(leah, house):
    assert leah.get(reverse("admin:index")).status_code == 200
    type(house.lead).objects.filter(pk=house.lead.pk).update(is_active=False)
    assert leah.get(reverse("admin:index")).status_code == 302


def test_the_menu_has_what_one_may_open(rf, house):
    def titles(user):
        request = rf.get("/admin/")
        request.user = user
        return {item["title"] for group in admin_menu.navigation(request) for item in group["items"]}

    assert {"Services", "Schedules", "Teams"} <= titles(house.lead)
    assert not {"Users", "Alarms", "Providers", "Audit", "Contact methods"} & titles(house.lead)
    assert {"Users", "Alarms", "Audit"} <= titles(house.root)


def test_the_front_page_tells_a_team_admin_of_their_teams(leah, house):
    for team in (house.own, house.other, house.private):
        a_service(team, name=f"Service of {team}")
        a_policy(team, name=f"Policy of {team}", calls=[])
        in_team(an_event(), team)
    Alarm.objects.create(key="a", text="The mail server is down.", raised_at=factories.NOW, last_at=factories.NOW)
    texts = " ".join(matter.text for matter in admin_menu.matters(house.lead, timezone.now()))
    assert "Service of Own" in texts and "Policy of Own" in texts and "decided: 1." in texts
    assert "Other" not in texts and "Secretive" not in texts and "mail" not in texts
    everything = " ".join(matter.text for matter in admin_menu.matters(house.root, timezone.now()))
    assert "Service of Secretive" in everything and "decided: 3." in everything


# --- pickers ------------------------------------------------------------------------------------------------------
def picked(client, model, field, term=""):
    query = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": field}
    answer = client.get(reverse("admin:autocomplete"), query | {"term": term})
    assert answer.status_code in (200, 403)
    return {one["text"] for one in answer.json()["results"]} if answer.status_code == 200 else set()


def test_pickers_offer_teams_services_and_policies_that_one_leads(leah, house):
    for team in (house.own, house.other, house.private):
        a_service(team, name=f"Service of {team}")
        a_policy(team, name=f"Policy of {team}")
    assert picked(leah, Service, "team") == {"Own"}
    assert picked(leah, model_of("alerts.heartbeat"), "service") == {"Service of Own"}
    assert picked(leah, Service, "policy") == {"Policy of Own"}, "an observer elsewhere cannot have others called"
    Membership.objects.create(team=house.other, user=house.lead, role=Role.RESPONDER)
    assert picked(leah, Service, "policy") == {"Policy of Own", "Policy of Other"}
    assert picked(leah, Service, "team") == {"Own"}


def test_pickers_of_people_have_no_machines_and_nobody_who_left(leah, house):
    factories.UserFactory(name="Machine", is_machine=True)
    factories.UserFactory(name="Gone", is_active=False)
    assert picked(leah, Override, "user") == {"Otto", "Rosa", "Leah", "Root"}


def test_pickers_tell_no_address_letter_by_letter(leah, house):
    factories.UserFactory(name="Dora", email="dora.secret@example.com")
    assert picked(leah, Override, "user", "dora.s") == set()
    assert picked(leah, Override, "user", "Dora") == {"Dora"}
    assert picked(leah, Override, "user", "dora.secret@example.com") == {"Dora"}


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ("notifications.notificationrule", "contact_method"),
        ("notifications.attempt", "notification"),
        ("incidents.timelineentry", "incident"),
        ("accounts.auditentry", "team"),
        ("admin.logentry", "content_type"),
    ],
)
def test_pickers_of_what_one_may_not_see_find_nothing(leah, house, label, field):
    from django.apps import apps

    factories.NotificationRuleFactory()
    factories.AttemptFactory()
    factories.IncidentFactory(service=a_service(house.private))
    assert "Secretive" not in picked(leah, apps.get_model(label), field)
    if label != "accounts.auditentry":
        assert picked(leah, apps.get_model(label), field) == set()


# --- attacks ------------------------------------------------------------------------------------------------------
@pytest.fixture
def form_of(leah):
    """What Leah's browser would send back from a page, as a dict to alter."""
    from tests.admin.conftest import Fields

    def fields(address):
        answer = leah.get(address)
        assert answer.status_code == 200
        found = Fields(answer.context["opts"].model_name)
        found.feed(answer.content.decode())
        return found.data

    return fields


@pytest.mark.parametrize("whose", ["other", "private"])
def test_a_service_cannot_be_put_into_a_team_of_others(leah, house, form_of, whose):
    service = a_service(house.own)
    page = url(Service, "change", service.pk)
    answer = leah.post(page, form_of(page) | {"team": getattr(house, whose).pk})
    assert answer.status_code == 200 and answer.context["adminform"].errors["team"]
    service.refresh_from_db()
    assert service.team == house.own


@pytest.mark.parametrize("whose", ["other", "private"])
def test_a_service_cannot_call_the_policy_of_a_team_of_others(leah, house, form_of, whose):
    policy = a_policy(getattr(house, whose), name="Hush")
    page = url(Service, "change", a_service(house.own).pk)
    answer = leah.post(page, form_of(page) | {"policy": policy.pk})
    assert answer.context["adminform"].errors["policy"]
    assert "Hush" not in answer.content.decode()


def test_a_policy_that_an_admin_chose_for_the_service_stays_when_the_page_is_saved(leah, house, form_of):
    policy = a_policy(house.private)
    service = a_service(house.own)
    Service.objects.filter(pk=service.pk).update(policy=policy)
    page = url(Service, "change", service.pk)
    assert leah.post(page, form_of(page) | {"description": "Shop"}).status_code == 302
    service.refresh_from_db()
    assert (service.policy, service.description) == (policy, "Shop")


def test_a_policy_cannot_call_hidden_schedules_and_keeps_those_that_an_admin_put_there(leah, house, form_of):
    hidden, chosen = a_schedule(house.private), a_schedule(house.private)
    policy = a_policy(house.own, calls=[chosen])
    page = url(EscalationPolicy, "change", policy.pk)
    data = form_of(page)
    answer = leah.post(page, data | {"levels-0-schedules": [chosen.pk, hidden.pk]})
    assert answer.status_code == 200
    assert not Target.objects.filter(schedule=hidden).exists()
    assert leah.post(page, data | {"repeats": 2}).status_code == 302
    assert Target.objects.filter(schedule=chosen).exists(), "nobody who is called is lost"


def test_a_machine_cannot_be_put_on_call(leah, house, form_of):
    machine = factories.UserFactory(name="Machine", email="machine@example.com", is_machine=True)
    schedule = a_schedule(house.own, people=[house.responder])
    page = url(Schedule, "change", schedule.pk)
    for text in (str(machine.pk), machine.email):
        answer = leah.post(page, form_of(page) | {"layers-0-slots": ["place", text]})
        assert answer.status_code == 200
    assert not Participant.objects.filter(user=machine).exists()


def test_rows_are_not_added_for_services_and_schedules_of_others(leah, house):
    person = house.responder
    for team in (house.other, house.private):
        span = {"start_at_0": "2030-01-01", "start_at_1": "09:00", "end_at_0": "2030-01-02", "end_at_1": "09:00"}
        data = {"schedule": a_schedule(team).pk, "user": person.pk, "role": "PRIMARY", **span}
        answer = leah.post(url(Override, "add"), data)
        assert answer.status_code == 200 and answer.context["adminform"].errors["schedule"]
    assert not Override.objects.exists()


def test_what_belongs_to_no_team_is_added_by_admins_of_the_platform(leah, house, said):
    holiday = model_of("oncall.holiday")
    answer = leah.post(url(holiday, "add"), {"day": "2030-01-01", "name": "New Year", "team": ""})
    assert "would not belong to a team that you lead" in said(answer)
    assert not holiday.objects.exists()
    leah.post(url(holiday, "add"), {"day": "2030-01-01", "name": "New Year", "team": house.own.pk})
    assert holiday.objects.get().team == house.own


def test_inlines_cannot_take_the_rows_of_others(leah, house, form_of):
    """The number of a dependency of another service, sent as a row of one's own."""
    theirs = factories.DependencyFactory(service=a_service(house.other), needs=a_service(house.other))
    own = a_service(house.own)
    page = url(Service, "change", own.pk)
    data = form_of(page) | {
        "dependencies-TOTAL_FORMS": 1,
        "dependencies-INITIAL_FORMS": 1,
        "dependencies-0-id": theirs.pk,
        "dependencies-0-service": own.pk,
        "dependencies-0-needs": theirs.needs_id,
        "dependencies-0-DELETE": "on",
    }
    leah.post(page, data)
    theirs.refresh_from_db()
    assert Dependency.objects.get().service == theirs.service


def test_hidden_dependencies_are_not_shown_and_stay(leah, house, form_of):
    own = a_service(house.own)
    hidden = factories.DependencyFactory(service=own, needs=a_service(house.private, name="Vault"))
    page = url(Service, "change", own.pk)
    assert "Vault" not in leah.get(page).content.decode()
    assert leah.post(page, form_of(page) | {"description": "Shop"}).status_code == 302
    assert Dependency.objects.get() == hidden


def test_a_circle_through_a_hidden_service_does_not_name_it(leah, house, form_of):
    vault = a_service(house.private, name="Vault")
    own, last = a_service(house.own, name="Shop"), a_service(house.own, name="Ledger")
    factories.DependencyFactory(service=last, needs=vault)
    factories.DependencyFactory(service=vault, needs=own)
    page = url(Service, "change", own.pk)
    number = int(form_of(page)["dependencies-TOTAL_FORMS"])
    new = {"dependencies-TOTAL_FORMS": number + 1, f"dependencies-{number}-needs": last.pk}
    answer = leah.post(page, form_of(page) | new).content.decode()
    assert "circle" in answer and "(private)" in answer and "Vault" not in answer


def test_sentences_on_a_page_name_nothing_hidden(leah, house):
    """The coverage of a team, why an alert is held, and what became of a request."""
    vault = a_service(house.private, name="Vault")
    secret = factories.AlertFactory(service=vault, title="Vault is open")
    check = a_check(house.own)
    type(check).objects.update(problems=[{"text": "Nobody is on call for Vault."}])
    held = factories.AlertFactory(
        service=a_service(house.own),
        integration=an_integration(house.private, name="Vault door"),
        held_by="dependency:1",
        held_why="Vault has the open incident #7 (critical), and Shop needs Vault.",
    )
    event = in_team(an_event(), house.own)
    said = [{"alert_id": str(secret.pk), "outcome": "new_incident", "reasons": ["Service Vault: it is named."]}]
    type(event).objects.filter(pk=event.pk).update(result=said, body=b'{"service": "Vault"}', error="Vault")
    for row in (check, held, event):
        answer = leah.get(url(type(row), "change", row.pk))
        assert answer.status_code == 200
        assert "Vault" not in answer.content.decode(), row


def test_bulk_actions_reach_rows_of_others_never(leah, house):
    theirs = [a_service(house.other), a_service(house.private)]
    for action in ("delete_selected",):
        data = {"action": action, "_selected_action": [one.pk for one in theirs], "post": "yes"}
        leah.post(url(Service, "changelist"), data)
    events = [in_team(an_event(), team) for team in (house.other, house.private)]
    data = {"action": "try_again", "_selected_action": [one.pk for one in events], "confirmed": "yes"}
    leah.post(url(type(events[0]), "changelist"), data)
    assert Service.objects.filter(pk__in=[one.pk for one in theirs]).count() == 2
    assert {type(one).objects.get(pk=one.pk).state for one in events} == {"poison"}


def test_deleting_takes_nothing_of_others_along_and_does_not_name_it(leah, house):
    own = a_service(house.own)
    factories.DependencyFactory(service=a_service(house.private, name="Vault"), needs=own)
    page = leah.get(url(Service, "delete", own.pk)).content.decode()
    assert "dependencys of others" in page or "dependencies of others" in page
    assert "Vault" not in page
    assert leah.post(url(Service, "delete", own.pk), {"post": "yes"}).status_code == 403
    assert Dependency.objects.exists()


@pytest.mark.parametrize(
    ("label", "query"),
    [
        ("alerts.heartbeat", {"service__team__name__startswith": "S"}),
        ("alerts.heartbeat", {"service__routing_key__startswith": "a"}),
        ("alerts.integration", {"signing_secret__startswith": "a"}),
        ("alerts.integration", {"key_hash__startswith": "a"}),
        ("catalog.service", {"team__slug": "secretive"}),
        ("catalog.service", {"routing_key__startswith": "a"}),
        ("catalog.service", {"policy__team__name__startswith": "S"}),
        ("oncall.override", {"user__email__startswith": "a"}),
        ("oncall.override", {"user__password__startswith": "a"}),
        ("accounts.team", {"members__email__startswith": "a"}),
        ("accounts.apikey", {"secret_hash__startswith": "a"}),
    ],
)
@pytest.mark.logs_errors
def test_filters_that_no_page_offers_guess_nothing(leah, house, label, query):
    made(label, house, "own")
    assert leah.get(url(model_of(label), "changelist"), query).status_code == 400


@pytest.mark.logs_errors
def test_rows_are_named_by_no_other_field(leah, house):
    service = a_service(house.own)
    assert leah.get(url(Service, "change", service.routing_key), {"_to_field": "routing_key"}).status_code == 400


def test_events_of_others_are_not_filled_into_the_test_of_the_routing(leah, house):
    event = in_team(an_event(), house.private)
    answer = leah.get(reverse("admin:alerts_rule_rehearse"), {"event": event.pk})
    assert "This event is not kept any more" in answer.content.decode()
    form = answer.context["form"]
    assert not form.fields["integration"].queryset.exists() and not form.fields["service"].queryset.exists()


def test_a_rehearsal_tells_nothing_of_others(leah, house):
    a_service(house.private, name="Vault", slug="vault")
    ours = a_service(house.own, name="Shop", slug="shop")
    door = factories.IntegrationFactory(service=ours)
    vault = Service.objects.get(slug="vault")
    factories.RuleFactory(name="To Vault", condition='title = "other"', service=vault)
    for named, count in (("vault", 0), ("shop", 1)):
        body = f'{{"title": "Slow", "service": "{named}"}}'
        answer = leah.post(reverse("admin:alerts_rule_rehearse"), {"integration": door.pk, "body": body})
        assert len(answer.context["found"].outcomes) == count
        assert "Vault" not in answer.content.decode()


# --- teams and their members --------------------------------------------------------------------------------------
def test_a_team_admin_arranges_the_members_of_the_team(leah, house, form_of):
    charlie = factories.UserFactory(name="Charlie")
    page = url(Team, "change", house.own.pk)
    data = form_of(page)
    number = int(data["memberships-TOTAL_FORMS"])
    data |= {
        "description": "We sell.",
        "is_private": "on",
        "name": "Root",
        "memberships-TOTAL_FORMS": number + 1,
        f"memberships-{number}-user": charlie.pk,
        f"memberships-{number}-team": house.own.pk,
        f"memberships-{number}-role": "admin",
    }
    assert leah.post(page, data).status_code == 302
    house.own.refresh_from_db()
    assert (house.own.name, house.own.description, house.own.is_private) == ("Own", "We sell.", True)
    assert Membership.objects.get(user=charlie).role == "admin"
    charlie.refresh_from_db()
    assert charlie.role == Role.RESPONDER, "the role for the platform is not theirs to give"


def test_a_team_admin_gives_nobody_a_place_in_another_team(leah, house, form_of):
    page = url(Team, "change", house.own.pk)
    data = form_of(page)
    number = int(data["memberships-TOTAL_FORMS"])
    data |= {
        "memberships-TOTAL_FORMS": number + 1,
        f"memberships-{number}-user": house.root.pk,
        f"memberships-{number}-team": house.private.pk,
        f"memberships-{number}-role": "admin",
    }
    leah.post(page, data)
    assert not Membership.objects.filter(team=house.private).exists()


# --- cost ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", ["changelist", "change"])
@pytest.mark.parametrize("label", ["catalog.service", "alerts.rule", "oncall.schedule", "accounts.team"])
def test_asking_the_roles_costs_at_most_two_queries(client, house, label, page):
    model = model_of(label)
    row = made(label, house, "own")
    cost = {}
    for who in ("root", "lead", "root", "lead"):  # the second time is counted: the first fills what is kept
        client.force_login(getattr(house, who))
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url(model, page, *([row.pk] if page == "change" else []))).status_code == 200
        cost[who] = [one["sql"] for one in queries]
    assert len(cost["lead"]) <= len(cost["root"]) + 2, "\n".join(cost["lead"])
