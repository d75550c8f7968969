"""Erasing a person: what goes, what stays under a pseudonym, and when it is refused."""

import datetime as dt
import io

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from axes.models import AccessLog
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from accounts import audit, mail, privacy
from accounts.models import AccountMail, ApiKey, AuditEntry, Role, User
from core.models import IdempotencyKey
from incidents import lifecycle, timeline
from incidents.models import Incident, TimelineEntry
from notifications import alarms
from notifications.models import Notification
from tests import factories

pytestmark = pytest.mark.django_db

NAME, EMAIL, NUMBER = "Zoë Quarterstaff", "zoe.quarterstaff@example.com", "+4915112345678"


@pytest.fixture
def zoe(team, now):
    """Somebody about whom a lot is stored."""
    person = factories.UserFactory(name=NAME, email=EMAIL, password="secret", last_login=now)
    factories.MembershipFactory(team=team, user=person)
    return person


@pytest.fixture
def traces(zoe, service, alice, now):
    """What she left: in history, in what others wrote, and in what packages keep."""
    phone = factories.ContactMethodFactory(user=zoe, channel="sms", address=NUMBER)
    mailbox = factories.ContactMethodFactory(user=zoe)
    factories.NotificationRuleFactory(user=zoe, contact_method=phone)
    factories.QuietHoursFactory(user=zoe)
    incident = lifecycle.trigger(service, title=f"{NAME} broke it", severity="critical", by=zoe, now=now)
    lifecycle.reassign(incident.pk, to=zoe, by=alice, now=now)
    lifecycle.acknowledge(incident.pk, by=zoe, now=now)
    timeline.record(incident, "note", f"I called {NAME} ({EMAIL}, {NUMBER}).", at=now, by=alice, names=[NAME])
    lifecycle.resolve(incident.pk, by=zoe, now=now, note=f"Thank you, {NAME}!")
    row = factories.NotificationFactory(user=zoe, contact_method=mailbox, message={"title": NAME, "body": NUMBER})
    factories.AttemptFactory(notification=row, error=f"No such mailbox: {EMAIL}")
    hers = alice.contact_methods.get()
    factories.NotificationFactory(
        user=alice, contact_method=hers, message={"title": "t", "body": f"{NAME} acknowledged it."}
    )
    alarms.raise_alarm("unreachable:x", f"No channel could reach {NAME}.", now=now)
    factories.TimeOffFactory(user=zoe, reason="Operation", start_at=now - dt.timedelta(days=9), end_at=now)
    factories.OverrideFactory(
        user=zoe, reason=f"{NAME} helps", start_at=now - dt.timedelta(days=9), end_at=now - dt.timedelta(days=8)
    )
    factories.CalendarFeedFactory(owner=zoe, person=zoe)
    factories.ApiKeyFactory(user=zoe)
    ApiKey.objects.update(is_personal=True)
    factories.AlertFactory(title=f"{NAME} deployed", labels={"owner": EMAIL}, service=service)
    factories.SilenceFactory(owner=zoe, reason=f"{NAME} says so")
    EmailAddress.objects.create(user=zoe, email=EMAIL)
    SocialAccount.objects.create(user=zoe, provider="sso", uid="7", extra_data={"email": EMAIL, "name": NAME})
    Authenticator.objects.create(user=zoe, type="totp", data={})
    AccessLog.objects.create(username=EMAIL, ip_address="203.0.113.1")
    mail.write("notice", zoe, f"Hello {NAME}", "…", now=now)
    audit.record("changed", zoe, by=alice, changes={"name": ["Zoë Oldname", NAME]}, text=f"{NAME} married.")
    timeline.record(incident, "note", "Ask Zoë Oldname.", at=now, by=alice)
    IdempotencyKey.objects.create(
        key="k",
        route="/",
        principal="key:1",
        request_hash="0",
        status=200,
        response={"by": {"email": EMAIL, "name": NAME}},
    )
    Notification.objects.update(due_at=None, state="sent")
    return incident


def everything():
    """All that the database holds, as text: every column of every table."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"SELECT row_to_json(one)::text FROM {table} one")
            found += [f"{model._meta.label} {row[0]}" for row in cursor.fetchall()]
    return found


def test_nothing_in_the_database_names_the_person_any_more(zoe, traces, alice, now):
    before = "\n".join(everything())
    texts = (NAME, "Zoë Oldname", EMAIL, NUMBER)
    assert all(text in before for text in texts)
    privacy.erase(zoe, by=alice, now=now)
    left = [line for line in everything() if any(text.lower() in line.lower() for text in texts)]
    assert left == []


def test_what_they_did_stays_under_a_pseudonym(zoe, traces, alice, now, browser):
    erased = privacy.erase(zoe, by=alice, now=now)
    assert erased.pseudonym.startswith("Former member ")
    incident = Incident.objects.get(pk=traces.pk)
    assert incident.acknowledged_by.name == erased.pseudonym
    note = TimelineEntry.objects.get(incident=traces, text__startswith="I called")
    assert note.text == f"I called {erased.pseudonym} ({erased.pseudonym}, {erased.pseudonym})."
    assert note.data == {"names": [erased.pseudonym]} and note.by == alice
    assert erased.pseudonym in browser(alice).get(f"/incidents/{traces.pk}").content.decode()


def test_what_lets_them_in_and_reaches_them_is_gone(zoe, traces, alice, now, browser):
    client = browser(zoe)
    client.get("/settings/sessions")
    privacy.erase(zoe, by=alice, now=now)
    zoe.refresh_from_db()
    assert not zoe.is_active and not zoe.has_usable_password() and zoe.erased_at == now
    assert client.get("/settings/sessions").status_code == 302
    for rows in (zoe.contact_methods, zoe.notification_rules, zoe.quiet_hours, zoe.api_keys, zoe.memberships):
        assert not rows.exists()
    for model in (EmailAddress, SocialAccount, Authenticator, AccountMail):
        assert not model.objects.filter(user=zoe).exists()


def test_the_audit_says_who_erased_whom_without_the_name(zoe, traces, alice, now):
    erased = privacy.erase(zoe, by=alice, now=now)
    entry = AuditEntry.objects.get(verb="erased")
    assert entry.actor == alice and entry.object_name == erased.pseudonym
    assert NAME not in str(list(AuditEntry.objects.values()))


def test_names_of_others_are_left_alone(zoe, service, alice, now):
    factories.UserFactory(name=f"{NAME} Junior")
    incident = lifecycle.trigger(service, title="x", severity="low", by=alice, now=now)
    timeline.record(incident, "note", f"{NAME} Junior, {NAME} and {NAME}s.", at=now, by=alice)
    lifecycle.resolve(incident.pk, by=alice, now=now)
    erased = privacy.erase(zoe, by=alice, now=now)
    text = TimelineEntry.objects.get(kind="note").text
    assert text == f"{NAME} Junior, {erased.pseudonym} and {NAME}s."


def test_where_others_have_the_same_name_it_stays_and_that_is_said(zoe, service, alice, now):
    factories.UserFactory(name=NAME)
    incident = lifecycle.trigger(service, title="x", severity="low", by=alice, now=now)
    timeline.record(incident, "note", f"{NAME} ({EMAIL}) knows.", at=now, by=alice)
    lifecycle.resolve(incident.pk, by=alice, now=now)
    erased = privacy.erase(zoe, by=alice, now=now)
    assert erased.keeps_name
    assert TimelineEntry.objects.get(kind="note").text == f"{NAME} ({erased.pseudonym}) knows."


def test_addresses_that_only_contain_theirs_are_left_alone(zoe, service, alice, now):
    incident = lifecycle.trigger(service, title="x", severity="low", by=alice, now=now)
    timeline.record(incident, "note", f"not.{EMAIL}, {EMAIL}.au, {EMAIL.upper()}.", at=now, by=alice)
    lifecycle.resolve(incident.pk, by=alice, now=now)
    erased = privacy.erase(zoe, by=alice, now=now)
    assert TimelineEntry.objects.get(kind="note").text == f"not.{EMAIL}, {EMAIL}.au, {erased.pseudonym}."


def test_configuration_is_not_rewritten_but_said(zoe, service, alice, now):
    service.description = f"Ask {NAME}."
    service.save()
    assert "service, description: 1" in privacy.erase(zoe, by=alice, now=now).mentions
    service.refresh_from_db()
    assert service.description == f"Ask {NAME}."


# --- the history stays closed ---------------------------------------------------------------------------------------
def test_the_timeline_and_the_audit_stay_append_only_afterwards(zoe, traces, alice, now):
    privacy.erase(zoe, by=alice, now=now)
    for model in (TimelineEntry, AuditEntry):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            model.objects.update(text="something else")


def test_while_somebody_is_erased_nothing_but_words_can_change(zoe, traces, now):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL watchbill.erasing = 'on'")
        for statement in (
            "UPDATE incidents_timelineentry SET at = now()",
            "UPDATE incidents_timelineentry SET by_id = NULL, text = ''",
            "DELETE FROM incidents_timelineentry",
            "UPDATE accounts_auditentry SET verb = 'x'",
            "UPDATE accounts_auditentry SET actor_id = NULL",
            "DELETE FROM accounts_auditentry",
        ):
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                cursor.execute(statement)


# --- when it is refused ---------------------------------------------------------------------------------------------
def refusal(person, **said):
    with pytest.raises(privacy.Refused) as refused:
        privacy.erase(person, **said)
    assert User.objects.get(pk=person.pk).erased_at is None
    return refused.value.message


def test_nobody_erases_themselves(alice, zoe, now):
    zoe.role = Role.ADMIN
    zoe.save()
    assert "cannot erase yourself" in refusal(zoe, by=zoe, now=now)


def test_the_only_admin_is_not_erased(alice, now):
    assert "only active admin" in refusal(alice, now=now)


def test_who_is_on_call_is_not_erased_even_by_force(zoe, team, alice, now):
    factories.ScheduleFactory(name="Nights", team=team, people=[zoe])
    assert "on call now in Nights" in refusal(zoe, by=alice, now=now, force=True)


def test_who_has_an_open_incident_is_not_erased(zoe, service, alice, now):
    incident = lifecycle.trigger(service, title="x", severity="critical", by=alice, now=now)
    lifecycle.reassign(incident.pk, to=zoe, by=alice, now=now)
    assert f"has incident #{incident.pk}" in refusal(zoe, by=alice, now=now, force=True)


def test_whom_an_escalation_will_call_is_not_erased(zoe, team, alice, now):
    policy = factories.EscalationPolicyFactory(team=team, calls=[alice, zoe])
    lifecycle.trigger(
        factories.ServiceFactory(team=team, policy=policy), title="x", severity="critical", by=alice, now=now
    )
    assert "is calling people" in refusal(zoe, by=alice, now=now, force=True)


def test_coverage_is_not_lost_in_silence(zoe, team, alice, bob, now):
    schedule = factories.ScheduleFactory(name="Nights", team=team, people=[alice, zoe])
    policy = factories.EscalationPolicyFactory(name="Shop policy", team=team, calls=[zoe], fallback_user=zoe)
    span = {"start_at": now + dt.timedelta(days=1), "end_at": now + dt.timedelta(days=2)}
    factories.OverrideFactory(schedule=schedule, user=zoe, **span)
    factories.FixedShiftFactory(schedule=schedule, user=zoe, **span)
    factories.OverrideFactory(schedule=schedule, user=alice)
    text = refusal(zoe, by=alice, now=now)
    for part in ("in the rotation of Nights", "an override in Nights", "a fixed shift in Nights", "calls", "fallback"):
        assert part in text
    erased = privacy.erase(zoe, by=alice, now=now, force=True)
    assert len(erased.forced) == 5
    assert policy.levels.get().targets.get().user.name == erased.pseudonym


def test_whatever_fails_leaves_the_person_as_they_were(zoe, traces, alice, now, monkeypatch):
    def fail(person, moment_traces, moment):
        raise RuntimeError

    monkeypatch.setattr(privacy, "_erasures", [*privacy._erasures, fail])
    with pytest.raises(RuntimeError), transaction.atomic():
        privacy.erase(zoe, by=alice, now=now)
    zoe.refresh_from_db()
    assert zoe.name == NAME and zoe.contact_methods.count() == 2


# --- the command and the admin --------------------------------------------------------------------------------------
def test_the_command_asks_for_the_address_again(zoe, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt: "other@example.com")
    with pytest.raises(CommandError, match="another address"):
        call_command("erase_person", EMAIL)
    zoe.refresh_from_db()
    assert zoe.erased_at is None


def test_the_command_says_what_forbids_it_and_what_force_leaves_empty(zoe, alice, team):
    factories.EscalationPolicyFactory(name="Shop policy", team=team, calls=[zoe])
    with pytest.raises(CommandError, match="With --force"):
        call_command("erase_person", EMAIL, yes=True)
    out = io.StringIO()
    call_command("erase_person", EMAIL, yes=True, force=True, stdout=out)
    assert "Left as it is: Shop policy, level 1 calls" in out.getvalue()
    assert User.objects.get(pk=zoe.pk).erased_at


def test_an_admin_types_the_address_to_erase_somebody(zoe, alice, browser):
    client, path = browser(alice), f"/admin/accounts/user/{zoe.pk}/privacy/"
    assert client.get(path).status_code == 200
    assert client.post(path, {"address": "bob@example.com"}).status_code == 400
    zoe.refresh_from_db()
    assert zoe.erased_at is None
    answer = client.post(path, {"address": EMAIL.upper()})
    zoe.refresh_from_db()
    assert answer.status_code == 302 and zoe.erased_at


def test_admins_of_teams_erase_nobody(zoe, team, browser):
    lead = factories.UserFactory(role=Role.OBSERVER)
    factories.MembershipFactory(team=team, user=lead, role=Role.ADMIN)
    answer = browser(lead).post(f"/admin/accounts/user/{zoe.pk}/privacy/", {"address": EMAIL})
    assert answer.status_code in (302, 403, 404)
    zoe.refresh_from_db()
    assert zoe.erased_at is None


def test_the_page_says_what_forbids_it(alice, browser):
    page = browser(alice).get(f"/admin/accounts/user/{alice.pk}/privacy/").content.decode()
    assert "You cannot erase yourself" in page and "only active admin" in page
