"""Every model is configuration, whose changes leave entries, or stands here with a reason why not."""

import json

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import audit, audited
from accounts.models import AuditEntry, Membership, Role, Team, User
from alerts.models import Heartbeat, Integration
from notifications.models import ContactMethod
from oncall.models import Level, Participant
from tests import factories
from tests.accounts.test_audit import dump

RECORD = "it is a record of what happened, not what was configured"
WORK = "work in progress of the product, which it does by itself"
SIGNAL = "recorded by what django-allauth says of it: accounts/receivers.py"
PACKAGE = "a package's own bookkeeping"
POST = "posting, telling more, editing and removing are recorded by statuspages.publishing"
WRITTEN = "what people do with it is recorded by the verbs of the postmortems"
NOT_AUDITED = {
    "accounts.AuditEntry": "the audit itself",
    "accounts.AccountMail": WORK,
    "account.EmailAddress": PACKAGE,
    "account.EmailConfirmation": PACKAGE,
    "admin.LogEntry": "not written any more: the audit is the one history",
    "alerts.Alert": RECORD,
    "alerts.ChangeEvent": RECORD,
    "alerts.InboundEvent": RECORD,
    "alerts.Presence": WORK,
    "alerts.SeenSignature": RECORD,
    "alerts.Topic": "a subscription that Amazon asks for and the product confirms; shown with its integration",
    "auth.Group": "not used: roles say what a person may do",
    "auth.Permission": "not used: roles say what a person may do",
    "automation.Hypothesis": "a record: the timeline of its incident says who reviewed it",
    "automation.RecommendedAction": "a record: the timeline of its incident says who reviewed it",
    "axes.AccessAttempt": "failures of signing in are entries by themselves",
    "axes.AccessAttemptExpiration": PACKAGE,
    "axes.AccessFailureLog": PACKAGE,
    "axes.AccessLog": PACKAGE,
    "contenttypes.ContentType": PACKAGE,
    "core.Bucket": WORK,
    "core.Counter": WORK,
    "core.IdempotencyKey": WORK,
    "core.Pulse": WORK,
    "core.WorkerBeat": WORK,
    "django_q.Failure": PACKAGE,
    "django_q.OrmQ": PACKAGE,
    "django_q.Schedule": PACKAGE,
    "django_q.Success": PACKAGE,
    "django_q.Task": PACKAGE,
    "incidents.Incident": "its timeline tells who did what",
    "incidents.Follower": "who hears of an incident, and no right",
    "incidents.Responder": "the timeline of the incident tells who did what",
    "incidents.Task": "the timeline of the incident tells who did what",
    "incidents.TimelineEntry": RECORD,
    "mfa.Authenticator": SIGNAL,
    "notifications.Alarm": RECORD,
    "notifications.Allowance": WORK,
    "notifications.Attempt": RECORD,
    "notifications.Circuit": WORK,
    "notifications.Notification": RECORD,
    "notifications.SeenRequest": RECORD,
    "oncall.CoverageCheck": WORK,
    "oncall.Offer": "what comes of it is an override, and that is recorded",
    "oncall.ShiftRequest": "what comes of it is an override, and that is recorded",
    "postmortems.ActionItem": WRITTEN,
    "postmortems.Comment": "a record: it says who wrote it, and who resolved it",
    "postmortems.Factor": WRITTEN,
    "postmortems.Image": WRITTEN,
    "postmortems.Moment": "a record: a line says who changed it, and what was drawn",
    "postmortems.Postmortem": WRITTEN,
    "postmortems.Review": "a record: it says who asked whom, and what they said",
    "postmortems.Revision": RECORD,
    "postmortems.Section": "its revisions tell who wrote what",
    "postmortems.ShareLink": WRITTEN,
    "postmortems.Wanted": "the timeline of the incident tells who declined it",
    "sessions.Session": "signing in and out is recorded",
    "socialaccount.SocialAccount": SIGNAL,
    "socialaccount.SocialApp": "not used: providers of single sign-on are settings",
    "socialaccount.SocialToken": "not used: no token of a provider is kept",
    "statuspages.Affected": POST,
    "statuspages.Copy": WORK,
    "statuspages.Logo": "a picture; that it was replaced or removed is recorded at its page",
    "statuspages.MagicLink": "asked for by a partner; what comes of it is a visit",
    "statuspages.Nudge": WORK,
    "statuspages.PartnerSession": "the visits of a partner tell of it; that it was revoked is recorded",
    "statuspages.Post": POST,
    "statuspages.PostUpdate": POST,
    "statuspages.Span": RECORD,
    "statuspages.Subscriber": "readers do this by themselves; who ended one stands in the row",
    "statuspages.Visit": RECORD,
    "usersessions.UserSession": "signing in, and ending a session, is recorded",
}


@pytest.fixture
def entries(db):
    """The entries since the test began, oldest first."""
    return lambda **found: list(AuditEntry.objects.filter(pk__gt=start, **found).order_by("pk"))


start = 0


@pytest.fixture
def begin(db):
    """Call it where the test begins to look."""

    def mark():
        global start
        start = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0

    mark()
    yield mark


def test_every_model_is_audited_or_has_a_reason_not_to_be():
    ours = {model._meta.label for model in audited.audited_models()}
    # What the packages of the tests bring is not installed with the product.
    everything = {model._meta.label for model in apps.get_models() if model._meta.app_label != "oauth2_provider"}
    assert everything - ours == set(NOT_AUDITED)


def test_what_a_model_says_of_its_audit_names_fields_that_it_has():
    for model in audited.audited_models():
        names = {field.name for field in model._meta.get_fields()}
        assert names >= set(getattr(model, "audit_ignores", ())), model
        for field, attribute in getattr(model, "audit_shown", {}).items():
            assert field in names and hasattr(model, attribute), model
        for step in filter(None, [getattr(model, "audit_parent", "").split("__")[0]]):
            assert step in names, model


# --- every way to write ---------------------------------------------------------------------------------------------
def test_creating_changing_and_deleting_a_row_is_seen(team, begin, entries):
    begin()
    service = factories.ServiceFactory(team=team, name="Pay", policy=None)
    service.name, service.tier = "Payments", 1
    service.save()
    service.save()
    service.delete()
    created, changed, deleted = entries()
    assert created.verb == "created" and created.changes["name"] == [None, "Pay"]
    assert changed.changes == {"name": ["Pay", "Payments"], "tier": ["Tier 3", "Tier 1"]}
    assert deleted.verb == "deleted" and deleted.changes["name"] == ["Payments", None]
    assert {one.object_id for one in entries()} == {created.object_id}
    assert {one.team for one in entries()} == {team}


def test_many_rows_changed_at_once_are_seen(team, begin, entries):
    people = [factories.UserFactory() for _ in range(3)]
    begin()
    Membership.objects.bulk_create(Membership(team=team, user=one) for one in people)
    assert {one.object_name for one in entries(verb="created")} == {f"{one} in Shop" for one in people}
    team.memberships.update(role=Role.ADMIN)
    assert [one.changes for one in entries(verb="changed")] == 3 * [{"role": ["Responder", "Admin"]}]
    rows = list(team.memberships.all())
    for row in rows:
        row.role = Role.OBSERVER
    Membership.objects.bulk_update(rows, ["role"])
    assert [one.changes for one in entries(verb="changed")][3:] == 3 * [{"role": ["Admin", "Observer"]}]
    team.memberships.all().delete()
    assert len(entries(verb="deleted")) == 3


def test_an_update_that_moves_rows_out_of_its_own_filter_is_seen(team, begin, entries):
    begin()
    Team.objects.filter(name="Shop").update(name="Other")
    assert [one.changes for one in entries()] == [{"name": ["Shop", "Other"]}]


def test_what_goes_with_a_deleted_row_is_seen(alice, begin, entries):
    policy = factories.EscalationPolicyFactory(calls=[alice])
    begin()
    policy.delete()
    assert {one.kind for one in entries(verb="deleted")} == {
        "oncall.escalationpolicy",
        "oncall.level",
        "oncall.target",
    }


def test_sets_of_other_rows_are_seen_from_both_sides(team, begin, entries):
    one, two = factories.ServiceFactory(name="One"), factories.ServiceFactory(name="Two")
    window = factories.MaintenanceWindowFactory(services=[one])
    begin()
    window.services.add(two)
    two.maintenance_windows.remove(window)
    window.services.set([two])
    two.maintenance_windows.clear()
    found = [entry.changes["services"] for entry in entries()]
    assert found[:2] == [[["One"], ["One", "Two"]], [["One", "Two"], ["One"]]]
    assert found[-1] == [["Two"], []]
    assert {entry.object_id for entry in entries()} == {str(window.pk)}


def test_a_value_that_the_database_counts_is_the_one_that_came_of_it(begin, entries):
    from django.db.models import F

    level = factories.EscalationPolicyFactory(calls=[factories.UserFactory()]).levels.get()
    begin()
    level.delay_minutes = F("delay_minutes") + 1
    level.save()
    Level.objects.filter(pk=level.pk).update(delay_minutes=F("delay_minutes") * 2)
    assert [one.changes for one in entries()] == [{"delay_minutes": [5, 6]}, {"delay_minutes": [6, 12]}]


def test_rows_whose_number_nobody_would_know_are_refused(team, bob):
    with pytest.raises(TypeError, match="audit"):
        Membership.objects.bulk_create([Membership(team=team, user=bob)], ignore_conflicts=True)


def test_a_row_that_is_loaded_in_part_is_seen(team, begin, entries):
    begin()
    part = Team.objects.only("name").get(pk=team.pk)
    part.name = "Other"
    part.save()
    assert [one.changes for one in entries()] == [{"name": ["Shop", "Other"]}]


def test_quiet_is_over_after_the_block(team, begin, entries):
    begin()
    with audit.quiet():
        Team.objects.update(name="Calendar")
    Team.objects.update(name="Person")
    assert [one.changes["name"] for one in entries()] == [["Calendar", "Person"]]


# --- what it costs --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", audited.audited_models(), ids=lambda model: model._meta.label)
def test_bookkeeping_costs_not_one_statement(db, model):
    for name in getattr(model, "audit_ignores", ()):
        field = model._meta.get_field(name)
        with CaptureQueriesContext(connection) as queries:
            model.objects.filter(pk=0).update(**{name: field.get_default() if not field.is_relation else None})
        assert len(queries) == 1, name


def test_a_ping_of_a_heartbeat_and_the_use_of_an_integration_leave_no_entry(begin, entries, now):
    heartbeat, integration = factories.HeartbeatFactory(), factories.IntegrationFactory()
    begin()
    heartbeat.last_ping_at = heartbeat.due_at = now
    heartbeat.save(update_fields=["last_ping_at", "due_at"])
    Heartbeat.objects.bulk_update([heartbeat], ["missed_at", "due_at"])
    Integration.objects.filter(pk=integration.pk).update(last_event_at=now)
    assert not entries()


def test_many_rows_cost_as_many_statements_as_one(alice):
    schedule = factories.ScheduleFactory(people=[alice])
    layer = schedule.layers.get()

    def cost(count):
        people = [factories.UserFactory() for _ in range(count)]
        rows = [Participant(layer=layer, user=one, position=number + 10) for number, one in enumerate(people)]
        with CaptureQueriesContext(connection) as queries:
            Participant.objects.bulk_create(rows)
            Participant.objects.filter(pk__in=[row.pk for row in rows]).update(position=99)
        return len(queries)

    assert cost(1) == cost(12) <= 12


def test_one_change_costs_two_statements_more(team):
    team.name = "Other"
    with CaptureQueriesContext(connection) as queries:
        team.save()
    assert [query["sql"].split()[0] for query in queries if "SAVEPOINT" not in query["sql"]] == [
        "SELECT",
        "UPDATE",
        "INSERT",
    ]


# --- secrets --------------------------------------------------------------------------------------------------------
def test_no_secret_is_in_any_entry(alice, team):
    plant = "PLANTED-7f3a"
    method = factories.ContactMethodFactory(
        channel="webhook", address=f"https://hooks.example.com/{plant}", secret=plant
    )
    method.options, method.label = {"token": plant}, "changed"
    method.save()
    ContactMethod.objects.filter(pk=method.pk).update(secret=f"{plant}2", code_hash=plant)
    factories.ProviderFactory(config={"auth_token": plant, "account_sid": plant}).delete()
    integration = factories.IntegrationFactory(signing_secret=plant, key_hash=f"{plant}3")
    integration.options = {"mode": "seen", "inner": [{"api_token": plant}], "password": plant}
    integration.save()
    factories.CalendarImportFactory(url=f"https://calendar.example.com/{plant}.ics").delete()
    factories.CalendarFeedFactory(secret_hash=plant)
    key = factories.ApiKeyFactory(user=alice)
    key.secret_hash = plant
    key.save()
    alice.set_password(plant)
    alice.save()
    text = dump()
    assert plant not in text
    for shown in ("(secret, changed)", "https://calendar.example.com/…", "seen"):
        assert shown in text
    assert alice.password not in text and integration.service.routing_key not in text


def test_a_phone_number_is_shown_as_others_may_read_it(alice):
    method = factories.ContactMethodFactory(channel="sms", address="+4915112345678")
    method.address = "+4915112349978"
    method.save()
    assert "+49151123" not in dump()
    one = AuditEntry.objects.filter(kind="notifications.contactmethod").latest("pk")
    assert one.changes["address"] == ["••• 5678", "••• 9978"]


def test_a_long_value_is_cut_and_text_of_any_kind_is_kept(team, begin, entries):
    begin()
    team.description = "é'\"; DROP TABLE accounts_auditentry; --" + 5000 * "x"
    team.save()
    (one,) = entries()
    assert len(json.dumps(one.changes)) < 700
    assert one.changes["description"][1].endswith(f"({len(team.description)} characters)")


def test_people_and_groups_of_django_are_sets_too(begin, entries):
    user = factories.UserFactory()
    begin()
    user.groups.add(Group.objects.create(name="Old"))
    assert User.objects.filter(groups__name="Old").exists()
    assert not entries() or entries()[0].changes == {"groups": [[], ["Old"]]}
