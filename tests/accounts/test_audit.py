"""What the audit takes down, who it says it was, and that nobody takes anything back."""

import asyncio
import datetime as dt

import pytest
from axes.signals import user_locked_out
from django.contrib.auth import authenticate
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.utils import timezone

from accounts import audit, signals
from accounts.models import AuditEntry, Role
from core.announce import announce
from core.models import Counter
from tests import factories


@pytest.fixture
def entries(db):
    """The entries since now, oldest first."""
    newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return lambda **found: list(AuditEntry.objects.filter(pk__gt=newest, **found).order_by("pk"))


# --- append-only ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditentry SET text = 'nothing happened'",
        "UPDATE accounts_auditentry SET actor_id = NULL",
        "DELETE FROM accounts_auditentry",
    ],
)
def test_the_database_refuses_to_change_or_delete_an_entry(team, statement):
    before = list(AuditEntry.objects.values_list("pk", "text", "actor"))
    assert before
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert list(AuditEntry.objects.values_list("pk", "text", "actor")) == before


def test_what_is_rolled_back_leaves_no_entry(team, entries):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        team.name = "Other"
        team.save()
        assert entries(verb="changed")
        raise ZeroDivisionError
    assert not entries()


# --- who, and from where --------------------------------------------------------------------------------------------
def test_a_request_says_who_it_was_and_from_where(rf, alice, team, settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]

    def view(request):
        team.name = "Other"
        team.save()
        return HttpResponse()

    request = rf.post(
        "/admin/x", headers={"user-agent": "Firefox", "x-forwarded-for": "192.0.2.7"}, REMOTE_ADDR="10.1.1.1"
    )
    request.user = alice
    audit.Origin(view)(request)
    one = AuditEntry.objects.latest("pk")
    assert (one.actor, one.via, one.address, one.agent) == (alice, "admin", "192.0.2.7", "Firefox")
    assert one.changes == {"name": ["Shop", "Other"]}
    assert (one.team, one.kind, one.object_id) == (team, "accounts.team", str(team.pk))
    assert one.request_id


@pytest.mark.django_db(transaction=True)
def test_a_view_in_a_thread_of_an_asgi_server_says_it_too():
    from asgiref.sync import sync_to_async

    alice, team = factories.UserFactory(name="Alice"), factories.TeamFactory()

    def view(request):
        team.name = "Other"
        team.save()
        return HttpResponse()

    async def get_response(request):
        return await sync_to_async(view)(request)

    async def two_at_once():
        requests = [AsyncRequestFactory().post("/teams"), AsyncRequestFactory().post("/api/v1/teams")]
        requests[0].user = alice
        await audit.Origin(get_response)(requests[0])
        return audit._origin.get()

    assert asyncio.run(two_at_once()) is None, "nothing of it is left for the next request"
    one = AuditEntry.objects.get(verb="changed")
    assert (one.actor, one.via, one.address) == (alice, "web", "127.0.0.1")


def test_without_a_request_it_was_a_command_or_the_product(team, settings):
    team.name = "Second"
    team.save()
    settings.ROLE = "worker"
    team.name = "Third"
    team.save()
    last, before = AuditEntry.objects.order_by("-pk")[:2]
    assert (before.actor, before.via) == (None, "command") and before.actor_name
    assert (last.actor, last.via, last.actor_name) == (None, "system", "Watchbill")


def test_somebody_who_acts_by_another_way_is_named(alice, team):
    with audit.acting(by=alice, via="slack"):
        team.name = "Other"
        team.save()
    one = AuditEntry.objects.latest("pk")
    assert (one.actor, one.via) == (alice, "slack")


def test_what_is_done_in_one_request_is_one_step(rf, alice):
    def view(request):
        policy = factories.EscalationPolicyFactory(calls=[alice])
        policy.levels.first().targets.all().delete()
        return HttpResponse()

    request = rf.post("/policies")
    request.user = alice
    audit.Origin(view)(request)
    policy = AuditEntry.objects.get(kind="oncall.escalationpolicy")
    steps = AuditEntry.objects.of(f"oncall.escalationpolicy:{policy.object_id}").order_by("pk")
    assert [(one.kind, one.verb) for one in steps] == [
        ("oncall.escalationpolicy", "created"),
        ("oncall.level", "created"),
        ("oncall.target", "created"),
        ("oncall.target", "deleted"),
    ]
    assert {one.request_id for one in steps} == {policy.request_id}
    assert all(policy.object_name in one.object_name for one in steps), "each names what it is a part of"


def test_a_key_names_itself_beside_the_person_it_acts_as(client, alice, team):
    row, text = factories_key(alice)
    answer = client.post(
        "/api/v1/teams", {"name": "New"}, content_type="application/json", headers={"authorization": f"Bearer {text}"}
    )
    assert answer.status_code == 201, answer.content
    one = AuditEntry.objects.get(kind="accounts.team", object_name="New")
    assert (one.actor, one.actor_name, one.via) == (alice, str(row), "api")
    assert text not in dump()


def factories_key(user):
    from accounts.keys import issue_key

    return issue_key(user, name="deploy")


def dump():
    """Everything that the audit holds, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(accounts_auditentry::text, E'\\n') FROM accounts_auditentry")
        return cursor.fetchone()[0] or ""


# --- signing in -----------------------------------------------------------------------------------------------------
def test_signing_in_and_out_is_recorded(client, entries, db):
    user = factories.UserFactory(email="dora@example.com", password="correct horse battery")
    client.post(
        "/login", {"username": "dora@example.com", "password": "correct horse battery"}, REMOTE_ADDR="192.0.2.9"
    )
    client.post("/logout", REMOTE_ADDR="192.0.2.9")
    found = [(one.verb, one.actor, one.address, one.via) for one in entries(verb__startswith="signed")]
    assert found == [("signed in", user, "192.0.2.9", "web"), ("signed out", user, "192.0.2.9", "web")]
    assert "correct horse battery" not in dump()


def test_a_failed_sign_in_keeps_the_address_that_was_tried_and_never_the_password(client, db, entries):
    client.post("/login", {"username": "nobody@example.com", "password": "hunter2 hunter2"})
    (one,) = entries(verb="sign-in failed")
    assert (one.actor, one.actor_name, one.address) == (None, "nobody@example.com", "127.0.0.1")
    assert "hunter2" not in dump()


def test_a_password_typed_into_the_wrong_field_is_not_kept(rf, db, entries):
    with audit._from(audit._Origin(rf.post("/login"))):
        authenticate(rf.post("/login"), email="my secret password", password="x")
    (one,) = entries(verb="sign-in failed")
    assert one.actor_name == "(no email address)"
    assert "my secret password" not in dump()


def test_whoever_guesses_does_not_fill_the_disk(rf, db, entries):
    for number in range(3 * audit.FAILURES_A_MINUTE):
        with audit._from(audit._Origin(rf.post("/login", REMOTE_ADDR="192.0.2.1"))):
            audit.record_failure("sign-in failed", name=f"{'x' * 300}{number}@example.com")
    with audit._from(audit._Origin(rf.post("/login", REMOTE_ADDR="192.0.2.2"))):
        audit.record_failure("sign-in failed", name="other@example.com")
    found = entries(verb="sign-in failed")
    assert len(found) == audit.FAILURES_A_MINUTE + 1
    assert "are counted" in found[audit.FAILURES_A_MINUTE - 1].text
    assert Counter.objects.get(name=audit.FAILURES).value == 3 * audit.FAILURES_A_MINUTE + 1
    assert found[0].actor_name == "(no email address)" or len(found[0].actor_name) <= 254


def test_lockout_unlocking_break_glass_and_factors_are_recorded(rf, alice, bob, now, entries):
    user_locked_out.send("axes", request=rf.post("/login"), username="bob@example.com", ip_address="192.0.2.1")
    announce(signals.account_unlocked, user=bob, by=alice, now=now)
    announce(signals.second_factor_reset, user=bob, by=alice, count=2, now=now)
    announce(signals.break_glass_used, user=bob, address="192.0.2.1", now=now)
    announce(signals.groups_applied, user=bob, groups=["sre"], now=now)
    found = [(one.verb, one.actor or one.actor_name, one.object_name) for one in entries()]
    assert ("locked out", "bob@example.com", "") in found
    assert ("unlocked", alice, "Bob") in found
    assert ("second factor removed", alice, "Bob") in found
    assert ("break-glass used", bob, "Bob") in found
    assert ("changed", bob, "Bob") in found


def test_a_changed_role_and_password_are_recorded(alice, bob, entries):
    bob.role = Role.OBSERVER
    bob.set_password("a new one")
    bob.save()
    membership = bob.memberships.get()
    membership.role = Role.ADMIN
    membership.save()
    person, place = entries(verb="changed")
    assert person.changes["role"] == ["Responder", "Observer"]
    assert person.changes["password"] == ["(secret)", "(secret, changed)"]
    assert place.changes == {"role": ["Responder", "Admin"]}
    assert place.about == f"accounts.team:{membership.team_id}"


def test_a_hash_that_is_made_anew_at_a_sign_in_is_no_change_of_the_password(bob, entries, settings):
    bob.set_password("correct horse battery")
    bob.save()
    before, there = bob.password, len(entries())
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher", *settings.PASSWORD_HASHERS]
    assert bob.check_password("correct horse battery")
    assert bob.password != before and len(entries()) == there


def test_a_switch_that_is_named_like_a_secret_is_said(team, entries):
    team.is_private = True
    team.save()
    assert [one.changes for one in entries()] == [{"is_private": [False, True]}]


# --- retention ------------------------------------------------------------------------------------------------------
def old(count, at):
    AuditEntry.objects.bulk_create(AuditEntry(at=at, verb="changed", text="long ago") for _ in range(count))


def test_old_entries_are_deleted_in_batches_and_that_is_an_entry(db, now, settings, monkeypatch):
    settings.AUDIT_DAYS = 30
    monkeypatch.setattr(audit, "PRUNED_AT_ONCE", 2)
    old(5, now - dt.timedelta(days=31))
    old(1, now - dt.timedelta(days=29))
    assert audit.prune(now=now) == 5
    assert AuditEntry.objects.filter(text="long ago").count() == 1
    one = AuditEntry.objects.get(verb="pruned")
    assert one.text == "5 entries from before 2026-05-02 12:00 UTC are deleted: AUDIT_DAYS is 30."
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_auditentry")
    assert audit.prune(now=now) == 0
    assert AuditEntry.objects.filter(verb="pruned").count() == 1


def test_zero_days_keep_everything(db, now, settings):
    settings.AUDIT_DAYS = 0
    old(1, now - dt.timedelta(days=9999))
    assert audit.prune(now=now) == 0
    assert AuditEntry.objects.filter(text="long ago").exists()


def test_the_housekeeping_deletes_old_entries(db):
    from core import due

    assert audit.prune in due.housekeepers()


def test_an_entry_is_dated_when_it_is_written(team):
    team.name = "Other"
    team.save()
    assert abs(AuditEntry.objects.latest("pk").at - timezone.now()) < dt.timedelta(minutes=1)


def test_the_factory_of_requests_is_no_person(team):
    with audit._from(audit._Origin(RequestFactory().get("/"))):
        one = audit.record("did", team, text="x" * 900)
    assert one.actor is None and len(one.text) == 500
