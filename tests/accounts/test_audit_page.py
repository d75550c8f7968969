"""The audit as people read it: found by any filter, told in words, harmless in a spreadsheet, for admins only."""

import asyncio
import csv
import datetime as dt
import importlib
import io

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from accounts import audit
from accounts.keys import issue_key
from accounts.models import AuditEntry, Role, Team
from accounts.views.audit import A_PAGE
from tests import factories

PAGE = "/audit"


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def story(alice, bob, team, now):
    """Four entries to look for."""
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(
                at=now,
                actor=alice,
                verb="changed",
                kind="catalog.service",
                object_id="7",
                object_name="Checkout",
                team=team,
                changes={"tier": ["Tier 3", "Tier 1"], "team": ["Shop", "<script>alert(1)</script>"]},
                via="admin",
                address="192.0.2.7",
                agent="Firefox",
                request_id="a" * 32,
            ),
            AuditEntry(
                at=now,
                actor=alice,
                verb="created",
                kind="catalog.dependency",
                object_id="3",
                object_name="Checkout needs Pay",
                about="catalog.service:7",
                via="admin",
                request_id="a" * 32,
            ),
            AuditEntry(at=now - dt.timedelta(days=3), actor=bob, verb="signed in", via="web", address="2001:db8::1"),
            AuditEntry(
                at=now - dt.timedelta(days=9), actor_name="=cmd|' /C calc'!A0", verb="sign-in failed", via="web"
            ),
        ]
    )
    return list(AuditEntry.objects.order_by("-pk")[:4])[::-1]


def found(browser, **query):
    return [one.entry for one in browser.get(PAGE, query).context["entries"]]


# --- who may read ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["audit", "audit-export", "audit-entry"])
def test_only_admins_of_the_platform_read_the_audit(client, bob, team, story, name):
    url = reverse(name, args=[story[0].pk] if name == "audit-entry" else [])
    assert client.get(url).status_code == 302
    membership = bob.memberships.get()
    membership.role = Role.ADMIN
    membership.save()
    client.force_login(bob)
    assert client.get(url).status_code == 403
    assert PAGE not in client.get(reverse("settings")).content.decode()


def test_nothing_is_written_to_the_audit_by_its_pages(browser, story):
    assert browser.post(PAGE).status_code == 405
    assert browser.post(f"{PAGE}/{story[0].pk}").status_code == 405


def test_the_menu_leads_an_admin_there(browser, story):
    assert f'href="{PAGE}"' in browser.get(reverse("settings")).content.decode()
    assert PAGE in browser.get(reverse("admin:index")).content.decode()


# --- finding --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"who": "bob", "verb": "signed in", "address": "2001:db8:0::1"}, [2]),
        ({"who": "alice@example.com", "kind": "catalog.service"}, [0]),
        ({"verb": "sign-in failed"}, [3]),
        ({"kind": "catalog.dependency"}, [1]),
        ({"object": "catalog.service:7"}, [0, 1]),
        ({"team": "shop", "kind": "catalog.service"}, [0]),
        ({"via": "admin", "since": "2026-06-01", "until": "2026-06-01"}, [0, 1]),
        ({"until": "2026-05-29", "since": "2026-05-29"}, [2]),
        ({"until": "2026-05-31"}, [2, 3]),
        ({"address": "192.0.2.7"}, [0]),
        ({"address": "not an address"}, []),
        ({"since": "2026-02-31"}, []),
        ({"q": "tier 1"}, [0]),
        ({"q": "needs pay"}, [1]),
        ({"q": "cmd|"}, [3]),
        ({"team": "nobody's"}, []),
        ({"object": "x\0"}, []),
    ],
)
def test_entries_are_found(browser, story, query, numbers):
    assert {one.pk for one in found(browser, **query)} == {story[number].pk for number in numbers}


def test_pages_are_in_order_and_none_is_left_out(browser, now):
    AuditEntry.objects.bulk_create(AuditEntry(at=now, verb="did", text=str(n)) for n in range(2 * A_PAGE + 5))
    seen, before = [], ""
    while before is not None:
        context = browser.get(PAGE, {"verb": "did", "before": before}).context
        seen += [int(one.entry.text) for one in context["entries"]]
        before = context["oldest"]
    assert seen == list(range(2 * A_PAGE + 5))[::-1]


def test_a_page_costs_the_same_with_many_entries(browser, alice, team, now):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(PAGE).status_code == 200
        return len(queries)

    cost()
    before = cost()
    for _ in range(30):
        audit.record("did", team, by=factories.UserFactory())
    assert cost() == before <= 9


def test_an_empty_answer_says_what_to_do(browser):
    assert "No entry matches" in browser.get(PAGE, {"q": "nothing like this"}).content.decode()


# --- reading --------------------------------------------------------------------------------------------------------
def test_an_entry_shows_before_and_after_and_the_rest_of_its_step(browser, story):
    page = browser.get(reverse("audit-entry", args=[story[0].pk]))
    text = page.content.decode()
    assert page.context["entry"].changes[0] == ("team", "Shop", "<script>alert(1)</script>")
    assert "&lt;script&gt;alert(1)" in text and "<script>alert(1)" not in text
    assert "Tier 3" in text and "192.0.2.7" in text and "Firefox" in text
    assert [one.entry for one in page.context["same_step"]] == [story[1]]
    assert f"/admin/catalog/service/{story[0].object_id}/change/" in text
    assert "<script>alert(1)" not in browser.get(PAGE).content.decode()


def test_the_history_button_of_the_admin_leads_to_the_audit(browser, team):
    team.name = "Other"
    team.save()
    answer = browser.get(reverse("admin:accounts_team_history", args=[team.pk]), follow=True)
    assert answer.redirect_chain == [(f"/audit?object=accounts.team%3A{team.pk}", 302)]
    assert {"created", "changed"} <= {one.entry.verb for one in answer.context["entries"]}
    assert "The history of <strong>" in answer.content.decode()


# --- one history ----------------------------------------------------------------------------------------------------
def test_the_admin_writes_no_log_of_its_own(browser, team):
    data = {"name": "Other", "slug": "other", "description": ""}
    data |= {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    browser.post(reverse("admin:accounts_team_add"), data)
    made = Team.objects.get(slug="other")
    browser.post(reverse("admin:accounts_team_delete", args=[made.pk]), {"post": "yes"})
    assert not LogEntry.objects.exists()
    verbs = AuditEntry.objects.filter(kind="accounts.team", object_id=made.pk).order_by("pk")
    assert [(one.verb, one.via) for one in verbs] == [("created", "admin"), ("deleted", "admin")]


def test_a_button_of_the_admin_is_recorded_by_its_label(browser, alice, now):
    from notifications.models import Alarm

    alarm = Alarm.objects.create(key="event:1", text="Nobody was paged.", raised_at=now, last_at=now)
    browser.post(reverse("admin:notifications_alarm_do", args=[alarm.pk, "clear"]))
    one = AuditEntry.objects.get(kind="notifications.alarm")
    assert (one.verb, one.actor, one.via) == ("did", alice, "admin")
    assert one.text


def test_what_the_admin_had_written_down_has_moved(alice, team, now):
    for number in range(3):
        LogEntry.objects.create(
            user=alice,
            content_type=ContentType.objects.get_for_model(Team),
            object_id=str(team.pk),
            object_repr=f"Shop {number}",
            action_flag=CHANGE,
            action_time=now,
            change_message='[{"changed": {"fields": ["Name"]}}]',
        )
    migration = importlib.import_module("accounts.migrations.0006_one_history")
    migration.move(apps, None)
    assert not LogEntry.objects.exists()
    rows = AuditEntry.objects.filter(object_name__startswith="Shop ").order_by("pk")
    assert [one.object_name for one in rows] == ["Shop 0", "Shop 1", "Shop 2"]
    one = rows[0]
    assert (one.at, one.actor, one.verb, one.kind, one.text, one.via) == (
        now,
        alice,
        "changed",
        "accounts.team",
        "Name",
        "admin",
    )


# --- the file -------------------------------------------------------------------------------------------------------
def rows_of(response):
    return list(csv.DictReader(io.StringIO(response.getvalue().decode())))


def test_the_file_has_what_the_filter_finds_and_no_formula(browser, alice, story):
    rows = rows_of(browser.get(reverse("audit-export"), {"until": "2026-06-01"}))
    assert [one["verb"] for one in rows] == ["sign-in failed", "signed in", "created", "changed"]
    assert rows[0]["name"] == "'=cmd|' /C calc'!A0"
    assert rows[3]["changes"] == "team: Shop → <script>alert(1)</script>; tier: Tier 3 → Tier 1"
    assert (rows[3]["person"], rows[3]["team"], rows[3]["address"]) == ("alice@example.com", "shop", "192.0.2.7")
    one = AuditEntry.objects.get(verb="exported")
    assert (one.actor, one.via) == (alice, "web")
    assert "until “2026-06-01”" in one.text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " ="])
def test_no_cell_begins_like_a_formula(browser, start):
    audit.record("did", text="x", actor_name=f"{start}1+1", object_name=f"{start}1+1")
    (row,) = rows_of(browser.get(reverse("audit-export"), {"verb": "did"}))
    assert row["name"][0] == row["object"][0] == "'"


def test_a_file_of_many_parts_has_every_row_once(browser, now, monkeypatch):
    from accounts.views import audit as pages

    monkeypatch.setattr(pages, "AT_ONCE", 7)
    AuditEntry.objects.bulk_create(AuditEntry(at=now, verb="did", text=str(n)) for n in range(30))
    rows = rows_of(browser.get(reverse("audit-export"), {"verb": "did"}))
    assert [int(one["text"]) for one in rows] == list(range(30))[::-1]


@pytest.mark.django_db(transaction=True)
def test_the_file_is_streamed_by_an_asgi_server_too():
    alice = factories.UserFactory(role=Role.ADMIN)
    browser = AsyncClient()

    async def fetch():
        await browser.aforce_login(alice)
        response = await browser.get(reverse("audit-export"))
        assert response.is_async
        return b"".join([part async for part in response.streaming_content]).decode()

    rows = list(csv.DictReader(io.StringIO(asyncio.run(fetch()))))
    assert {"created", "signed in", "exported"} <= {one["verb"] for one in rows}
    assert AuditEntry.objects.get(verb="exported").actor == alice


# --- the API --------------------------------------------------------------------------------------------------------
@pytest.fixture
def api(alice):
    client = APIClient()
    client.force_authenticate(alice)
    return client


def test_the_api_lists_and_shows_entries(api, alice, story):
    listed = api.get("/api/v1/audit", {"object": "catalog.service:7", "kind": "catalog.service"})
    assert listed.status_code == 200, listed.data
    (one,) = listed.data["results"]
    assert one["actor"]["email"] == "alice@example.com"
    assert one["object"] == {"kind": "catalog.service", "id": "7", "name": "Checkout", "about": ""}
    assert one["changes"]["tier"] == ["Tier 3", "Tier 1"]
    assert one["team"] == "shop" and one["address"] == "192.0.2.7"
    assert api.get(f"/api/v1/audit/{one['id']}").data == one


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"who": "bob", "verb": "signed in", "via": "web", "address": "2001:db8::1"}, [2]),
        ({"since": "2026-05-29T00:00:00Z", "until": "2026-06-01T00:00:00Z"}, [2]),
        ({"q": "needs"}, [1]),
        ({"team": "shop", "kind": "catalog.service"}, [0]),
        ({"request_id": "a" * 32}, [0, 1]),
        ({"q": "\0"}, []),
    ],
)
def test_the_api_filters(api, story, query, numbers):
    answer = api.get("/api/v1/audit", query)
    assert answer.status_code in (200, 400), answer.data
    assert {one["id"] for one in answer.data.get("results", ())} == {story[number].pk for number in numbers}


def test_the_api_says_what_is_no_address(api, story):
    answer = api.get("/api/v1/audit", {"address": "here"})
    assert answer.status_code == 400
    assert "no IP address" in answer.data["detail"]


def test_the_api_changes_nothing(api, story):
    url = f"/api/v1/audit/{story[0].pk}"
    assert [getattr(api, verb)(url).status_code for verb in ("put", "patch", "delete")] == [405] * 3
    assert api.post("/api/v1/audit", {}).status_code == 405


def test_the_api_asks_for_an_admin_and_for_the_scope(alice, bob, team, story):
    def status(user, **fields):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_key(user, name='k', **fields)[1]}")
        return client.get("/api/v1/audit").status_code

    assert APIClient().get("/api/v1/audit").status_code == 401
    assert status(alice, scopes=["audit:read"]) == 200
    assert status(alice, scopes=["incidents:read"]) == 403
    assert status(alice, scopes=["audit:read"], team=team) == 403
    assert status(bob, scopes=["audit:read"]) == 403


def test_what_a_command_did_is_no_step_with_what_others_did(browser, team):
    with audit.acting(name="manage.py x", via="command"):
        one = audit.record("did", team)
    AuditEntry.objects.bulk_create(
        [AuditEntry(at=one.at, verb="did", text="alone"), AuditEntry(at=one.at, verb="did")]
    )
    alone = AuditEntry.objects.get(text="alone")
    assert browser.get(reverse("audit-entry", args=[alone.pk])).context["same_step"] == []
