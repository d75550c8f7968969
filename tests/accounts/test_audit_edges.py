"""Whichever way configuration is changed, by the API, the admin or a page: what the tables saw, the audit tells.

Triggers stand witness. They see every row that is written to a table of configuration, however it is written, and
each row that they saw must have its entry.
"""

import datetime as dt

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import ForeignKey
from django.urls import reverse
from django.utils import timezone

from accounts import audited
from accounts.models import AuditEntry, GroupMapping, Role, User
from alerts.models import MaintenanceWindow, Silence
from config.api import router
from core.secrets import EncryptedTextField, FingerprintField
from oncall.models import FixedShift, Override, TimeOff
from tests import factories
from tests.admin.conftest import Fields
from tests.admin.test_pages import MAKE
from tests.api.conftest import api, calls, soon  # noqa: F401  (fixtures)

AUDITED = audited.audited_models()


@pytest.fixture
def witness(db):
    """What the tables of configuration saw since it was last asked: `{(kind, pk)}`."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("CREATE TEMP TABLE witness (kind text, pk bigint) ON COMMIT DROP")
        cursor.execute(
            """
            CREATE FUNCTION pg_temp.see() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE
                before jsonb; after jsonb; ignored text[] := TG_ARGV[1]::text[];
            BEGIN
                IF TG_OP <> 'INSERT' THEN before := to_jsonb(OLD) - ignored; END IF;
                IF TG_OP <> 'DELETE' THEN after := to_jsonb(NEW) - ignored; END IF;
                IF before IS DISTINCT FROM after THEN
                    INSERT INTO witness VALUES (TG_ARGV[0], COALESCE(before->>'id', after->>'id')::bigint);
                END IF;
                RETURN NULL;
            END $$
            """
        )
        for model in AUDITED:
            names = {*audited.NEVER, *getattr(model, "audit_ignores", ())} - {"id"}
            columns = [
                field.column
                for field in model._meta.concrete_fields
                # What is encrypted is another text each time that it is written.
                if field.name in names or isinstance(field, (EncryptedTextField, FingerprintField))
            ]
            cursor.execute(
                f"CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON {model._meta.db_table} FOR EACH ROW "
                f"EXECUTE FUNCTION pg_temp.see('{model._meta.label_lower}', '{{{','.join(columns)}}}')"
            )

    def seen():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM witness RETURNING kind, pk")
            return {(kind, str(pk)) for kind, pk in cursor.fetchall()}

    return seen


@pytest.fixture
def told(witness):
    """Ask after each step: what the tables saw is in the audit, done by this person, by this way."""

    def look(by, via, *, at_least=None):
        seen = witness()
        rows = AuditEntry.objects.filter(pk__gt=look.newest).order_by("pk")
        look.newest = max([look.newest, *rows.values_list("pk", flat=True)])
        rows = list(rows)
        entries = {(one.kind, one.object_id) for one in rows}
        assert seen <= entries, f"unseen by the audit: {seen - entries}"
        assert {(one.actor, one.via) for one in rows} <= {(by, via)}, [vars(one) for one in rows]
        assert all(one.address and one.request_id for one in rows)
        if at_least:
            assert at_least in {(one.verb, one.kind) for one in rows}
        return rows

    look.newest = 0

    def begin():
        witness()
        look.newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0

    look.begin = begin
    return look


def test_the_witness_sees_what_the_audit_must_not_miss(team, told):
    told.begin()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_team SET name = 'By hand'")
    with pytest.raises(AssertionError, match="unseen"):
        told(None, "command")


# --- the API --------------------------------------------------------------------------------------------------------
TARGET = {"user": "alice@example.com"}
LAYER = {
    "name": "Weekly",
    "start_date": "2026-01-05",
    "handoff_time": "09:00:00",
    "participants": ["alice@example.com", "bob@example.com"],
}
# prefix: (what a POST to it makes, its body, what a PATCH changes)
ADDRESSES = {
    "integrations": (
        "alerts.integration",
        {"name": "Prometheus", "source": "prometheus", "service": "checkout"},
        {"name": "Other"},
    ),
    "routing-rules": ("alerts.rule", {"name": "R", "action": "route", "service": "checkout"}, {"name": "Other"}),
    "silences": (
        "alerts.silence",
        {"condition": 'labels.env == "dev"', "ends_at": "soon:3", "reason": "Quiet"},
        None,
    ),
    "maintenance-windows": (
        "alerts.maintenancewindow",
        {"name": "M", "services": ["checkout"], "starts_at": "soon:1", "ends_at": "soon:2"},
        None,
    ),
    "inhibition-rules": (
        "alerts.inhibitionrule",
        {"name": "I", "source": 'severity == "critical"', "target": 'severity == "low"', "equal": ["labels.host"]},
        {"name": "Other"},
    ),
    "heartbeats": ("alerts.heartbeat", {"name": "backup", "service": "checkout"}, {"interval_seconds": 900}),
    "services": ("catalog.service", {"name": "Pay", "team": "shop"}, {"tier": 1}),
    "services/checkout/links": (
        "catalog.link",
        {"kind": "runbook", "label": "Slow", "url": "https://wiki.example.com/slow"},
        {"label": "Other"},
    ),
    "dependencies": ("catalog.dependency", {"service": "checkout", "needs": "needed"}, None),
    "teams": (
        "accounts.team",
        {"name": "Data", "members": [{"user": "bob@example.com", "role": "admin"}]},
        {"members": [{"user": "alice@example.com", "role": "responder"}]},
    ),
    "users": ("accounts.user", {"email": "eve@example.com", "name": "Eve"}, {"role": "observer"}),
    "api-keys": ("accounts.apikey", {"name": "deploy", "scopes": ["alerts:write"]}, None),
    "schedules": (
        "oncall.schedule",
        {"name": "Nights", "team": "shop", "layers": [LAYER]},
        {"description": "Other", "layers": [{**LAYER, "name": "Changed", "participants": ["bob@example.com"]}]},
    ),
    "schedules/first/overrides": (
        "oncall.override",
        {"user": "bob@example.com", "start_at": "soon:1", "end_at": "soon:2"},
        None,
    ),
    "policies": (
        "oncall.escalationpolicy",
        {"name": "P", "team": "shop", "levels": [{"delay_minutes": 5, "targets": [TARGET]}]},
        {"levels": [{"delay_minutes": 9, "targets": [{"user": "bob@example.com"}]}]},
    ),
    "on-call": (
        "oncall.fixedshift",
        {"schedule": "first", "user": "bob@example.com", "start_at": "soon:1", "end_at": "soon:2"},
        {"note": "Other"},
    ),
    "time-off": (
        "oncall.timeoff",
        {"user": "bob@example.com", "start_at": "soon:24", "end_at": "soon:48"},
        {"reason": "Other"},
    ),
    "calendar-feeds": ("oncall.calendarfeed", {"schedule": "first", "name": "phone"}, None),
    "calendar-imports": (
        "oncall.calendarimport",
        {"name": "C", "kind": "holidays", "team": "shop", "url": "https://calendar.example.com/x.ics"},
        {"name": "Other"},
    ),
    "holidays": ("oncall.holiday", {"day": "2030-05-01", "name": "Labour Day"}, {"name": "Other"}),
    "saved-views": ("incidents.savedview", {"name": "Mine", "query": "severity=critical"}, {"name": "Other"}),
    "status-pages": ("statuspages.statuspage", {"name": "Other", "slug": "other"}, {"description": "Other"}),
    "status-pages/shop/groups": ("statuspages.componentgroup", {"name": "Money"}, {"name": "Other"}),
    "status-pages/shop/components": (
        "statuspages.component",
        {"name": "Paying", "services": ["checkout"]},
        {"name": "Other", "services": []},
    ),
    "status-pages/shop/series": (
        "statuspages.series",
        {
            "title": "Work",
            "body": "Short breaks.",
            "starts_at": "soon:1",
            "ends_at": "soon:2",
            "rrule": "FREQ=WEEKLY",
        },
        {"title": "Other"},
    ),
    "status-pages/shop/templates": (
        "statuspages.posttemplate",
        {"name": "Bank", "body": "The bank is slow."},
        {"name": "Other"},
    ),
    "partners": (
        "statuspages.partner",
        {"name": "Pia", "email": "pia@example.com", "pages": ["shop"]},
        {"company": "Other"},
    ),
}
ENDED = {"users": "", "silences": "expire", "maintenance-windows": "end"}
NO_CONFIGURATION = {
    "action-items",
    "actions",
    "alerts",
    "audit",
    "availability",  # below: its address is the person
    "change-events",
    "escalate",
    "hypotheses",
    "incidents",
    "incidents/bulk",
    "notifications",
    "notify",
    "oncall/current",
    "postmortems",
    "schedules/first/swaps",
    "status-pages/shop/posts",
    "status-pages/shop/subscribers",
}


@pytest.fixture
def shop(service, alice, bob, team):
    """What the bodies name."""
    factories.ServiceFactory(name="Needed", slug="needed", team=team)
    factories.ScheduleFactory(name="First", slug="first", team=team, people=[alice, bob])
    factories.StatusPageFactory(name="Shop", slug="shop", team=team)


NAMES = {"schedules": "first", "services": "checkout", "status-pages": "shop"}  # the one whose parts the table has


def _named(prefix):
    """A prefix of the router as the table has it. Parts of a postmortem are no configuration either."""
    if prefix.startswith("postmortems/"):
        return "postmortems"
    kind, last = prefix.partition("/")[0], prefix.rpartition("/")[2]
    return prefix if "(?P" not in prefix else f"{kind}/{NAMES[kind]}/{last}"


def prefixes():
    return {_named(prefix) for prefix, _, _ in router.registry}


def test_every_address_of_the_api_is_in_the_table():
    assert prefixes() - NO_CONFIGURATION == set(ADDRESSES)


@pytest.mark.parametrize("prefix", ADDRESSES)
def test_what_the_api_changes_is_recorded(prefix, api, alice, shop, soon, told):  # noqa: F811
    kind, body, changes = ADDRESSES[prefix]
    body = {
        name: soon(int(value.removeprefix("soon:"))) if str(value).startswith("soon:") else value
        for name, value in body.items()
    }
    told.begin()
    answer = api.post(f"/api/v1/{prefix}", body)
    assert answer.status_code == 201, answer.data
    rows = told(alice, "api", at_least=("created", kind))
    pk = next(one.object_id for one in rows if one.kind == kind and one.verb == "created")
    view = next(view for one, view, _ in router.registry if _named(one) == prefix and hasattr(view, "lookup_field"))
    model = next(one for one in AUDITED if one._meta.label_lower == kind)
    row = model.objects.get(pk=pk)
    url = f"/api/v1/{prefix}/{getattr(row, view.lookup_field.replace('number', 'pk'))}"
    if changes is not None:
        answer = api.patch(url, changes)
        assert answer.status_code == 200, answer.data
        assert told(alice, "api")
    answer = api.delete(url)
    if prefix in ENDED:  # ended, not deleted
        assert answer.status_code == 405
        answer = api.post(f"{url}/{ENDED[prefix]}") if ENDED[prefix] else api.patch(url, {"is_active": False})
    assert answer.status_code in (200, 204), answer.data
    assert told(alice, "api")


def test_availability_by_the_api_is_recorded(api, alice, told):  # noqa: F811
    told.begin()
    answer = api.put(f"/api/v1/availability/{alice.uuid}", {"status": "offline"})
    assert answer.status_code in (200, 201), answer.data
    told(alice, "api", at_least=("created", "oncall.availability"))


# --- the admin ------------------------------------------------------------------------------------------------------
REGISTERED = [model for model in AUDITED if model in admin.site._registry]


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def ada(db):
    user = User.objects.create_superuser("ada@example.com", "correct horse", name="Ada")
    return user


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


TEXTS = ("name", "label", "reason", "note", "title", "description", "group")
OTHERS = {
    "oncall.availability": {"note": "Other"},
    "notifications.notificationrule": {"delay_minutes": "17"},
    "notifications.quiethours": {"start_time": "01:11"},
    "incidents.savedview": {"query": "severity=low"},
    "incidents.subscription": {"minimum_severity": "critical"},
    "notifications.destination": {"name": "Other", "address": "https://93.184.215.14/hook"},
}
SHOWN_ONLY = {
    "alerts.maintenancewindow",
    "alerts.silence",
    "oncall.calendarfeed",
    "oncall.override",
    "oncall.timeoff",
    "statuspages.series",
}


def ahead(**names):
    """Rows that are over cannot be changed any more, so these are to come."""
    start = timezone.now() + dt.timedelta(hours=1)
    return {names.get("start", "start_at"): start, names.get("end", "end_at"): start + dt.timedelta(hours=1)}


HERE = {
    GroupMapping: lambda: GroupMapping.objects.create(group="sre", role=Role.RESPONDER),
    FixedShift: lambda: factories.FixedShiftFactory(**ahead()),
    Override: lambda: factories.OverrideFactory(**ahead()),
    TimeOff: lambda: factories.TimeOffFactory(**ahead()),
    Silence: lambda: factories.SilenceFactory(**ahead(start="starts_at", end="ends_at")),
    MaintenanceWindow: lambda: factories.MaintenanceWindowFactory(**ahead(start="starts_at", end="ends_at")),
}


def made(model):
    return HERE.get(model, MAKE.get(model))()


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_what_the_admin_deletes_is_recorded(model, browser, ada, told):
    row = made(model)
    model_admin = admin.site._registry[model]
    told.begin()
    answer = browser.post(url(model, "delete", row.pk), {"post": "yes"})
    if model._base_manager.filter(pk=row.pk).exists():
        assert answer.status_code in (302, 403), "a sentence says why it stays"
        assert told(ada, "admin") == [] or model_admin.instead_of_deleting
        return
    told(ada, "admin", at_least=("deleted", model._meta.label_lower))


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_what_the_admin_changes_is_recorded(model, browser, ada, told):
    row = made(model)
    page = browser.get(url(model, "change", row.pk))
    fields = Fields(model._meta.model_name)
    fields.feed(page.content.decode())
    data = fields.data
    kind = model._meta.label_lower
    change = OTHERS.get(kind, {name: "Other" for name in TEXTS if name in data and isinstance(data[name], str)})
    if 'name="_save"' not in page.content.decode():
        assert kind in SHOWN_ONLY, "nothing can be changed there"
        return
    told.begin()
    answer = browser.post(url(model, "change", row.pk), {**data, **change})
    assert answer.status_code == 302, answer.content.decode()
    told(ada, "admin", at_least=("changed", kind))


# --- pages ----------------------------------------------------------------------------------------------------------
def test_what_a_person_changes_on_the_settings_page_is_recorded(client, bob, told):
    client.force_login(bob)
    told.begin()
    answer = client.post(reverse("settings-profile"), {"name": "Robert", "time_zone": "Europe/Berlin"})
    assert answer.status_code == 302
    (one,) = told(bob, "web", at_least=("changed", "accounts.user"))
    assert one.changes == {"name": ["Bob", "Robert"], "time_zone": ["UTC", "Europe/Berlin"]}


def test_every_foreign_key_of_what_is_audited_is_said_by_name():
    for model in AUDITED:
        for field in model._meta.concrete_fields:
            if isinstance(field, ForeignKey):
                assert "__str__" in vars(field.related_model) or field.related_model._meta.proxy, field
