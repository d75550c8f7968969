"""Numbers of others: whatever is somebody's own is not there for anybody else, and asking changes nothing.

What belongs to teams, for every role, is in tests/access, and the admin in tests/admin/test_roles.py.
"""

import base64
import datetime as dt
import json
import re
import types
import uuid

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.utils import timezone

from accounts import invitations, keys
from accounts.models import Role
from core import limits
from notifications import push, verification
from notifications.channels.webpush import WebPush
from notifications.models import ContactMethod
from oncall import feeds
from tests import factories
from tests.attacks import addresses

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)
POINT = ec.generate_private_key(ec.SECP256R1()).public_key()
POINT = POINT.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
BROWSER = {
    "endpoint": "https://push.example.com/send/1",
    "keys": {"p256dh": base64.urlsafe_b64encode(POINT).rstrip(b"=").decode(), "auth": "A" * 22},
}


@pytest.fixture
def victim(team, alice):
    """Charlie, with one of everything that a person can have of their own."""
    now = timezone.now().replace(microsecond=0)
    push.public_key()  # made when first asked for
    person = factories.UserFactory(name="Vera", email="vera@example.com", role=Role.RESPONDER)
    one = types.SimpleNamespace(person=person, now=now)
    one.method = factories.ContactMethodFactory(user=person, address="+14155550177", channel="sms", verified_at=None)
    verification.send_code(one.method.pk, by=person, now=now)
    one.rule = factories.NotificationRuleFactory(user=person, contact_method=one.method)
    one.quiet = factories.QuietHoursFactory(user=person)
    one.token, one.text = keys.issue_key(person, name="deploy", scopes=["*:write"], is_personal=True)
    one.feed = factories.CalendarFeedFactory(owner=person)
    one.off = factories.TimeOffFactory(user=person, start_at=now + 20 * HOUR, end_at=now + 30 * HOUR)
    one.browser = Client()
    one.browser.force_login(person)
    one.browser.get("/settings/sessions")
    one.session = UserSession.objects.get(user=person)
    one.passkey = Authenticator.objects.create(user=person, type=Authenticator.Type.WEBAUTHN, data={"name": "Key"})
    one.invited = invitations.invite("nora@example.com", by=alice, now=now, role=Role.RESPONDER)
    address = WebPush().normal(json.dumps(BROWSER))
    one.push = ContactMethod.objects.create(user=person, channel="webpush", address=address, verified_at=now)
    schedule = factories.ScheduleFactory(team=team, people=[person])
    one.request = factories.ShiftRequestFactory(
        schedule=schedule, requester=person, start_at=now + HOUR, end_at=now + 2 * HOUR
    )
    one.offer = factories.OfferFactory(request=one.request)
    return one


@pytest.fixture
def thief(victim):
    """A responder whose own things look the same."""
    return factories.UserFactory(name="Theo", email="theo@example.com", role=Role.RESPONDER)


# Address: what of the victim's stands in it. Whatever has a number and belongs to a person.
PERSONAL = {
    "account/security/passkeys/<int:pk>": lambda one: {"pk": one.passkey.pk},
    "account/security/passkeys/<int:pk>/remove": lambda one: {"pk": one.passkey.pk},
    "people/invite/<int:pk>/<slug:verb>": lambda one: {"pk": one.invited.pk, "verb": "again"},
    "settings/tokens/<slug:prefix>/rotate": lambda one: {"prefix": one.token.prefix},
    "settings/tokens/<slug:prefix>/stop-old": lambda one: {"prefix": one.token.prefix},
    "settings/tokens/<slug:prefix>/revoke": lambda one: {"prefix": one.token.prefix},
    "settings/sessions/<int:pk>/end": lambda one: {"pk": one.session.pk},
    "settings/contacts/<int:pk>": lambda one: {"pk": one.method.pk},
    "settings/contacts/<int:pk>/code": lambda one: {"pk": one.method.pk},
    "settings/contacts/<int:pk>/verify": lambda one: {"pk": one.method.pk},
    "settings/contacts/<int:pk>/test": lambda one: {"pk": one.method.pk},
    "settings/contacts/<int:pk>/again": lambda one: {"pk": one.method.pk},
    "settings/contacts/<int:pk>/remove": lambda one: {"pk": one.method.pk},
    "settings/tests/<uuid:uuid>": lambda one: {"uuid": one.test},
    "settings/rules/<int:pk>": lambda one: {"pk": one.rule.pk},
    "settings/rules/<int:pk>/remove": lambda one: {"pk": one.rule.pk},
    "settings/quiet/<int:pk>/remove": lambda one: {"pk": one.quiet.pk},
    "shifts/requests/<uuid:uuid>/cancel": lambda one: {"uuid": one.request.uuid},
    "shifts/offers/<uuid:uuid>/<slug:verb>": lambda one: {"uuid": one.offer.uuid, "verb": "accept"},
    "shifts/time-off/<uuid:uuid>/remove": lambda one: {"uuid": one.off.uuid},
    "shifts/feeds/<uuid:uuid>/revoke": lambda one: {"uuid": one.feed.uuid},
}
# Addresses with something in them that is no person's: asked for every role in tests/access, or opened by a secret.
OF_TEAMS_OR_SECRET = {
    "audit/<int:pk>",
    "login/sso/<slug:provider_id>",
    "login/sso/<slug:provider_id>/callback",
    "invitation/<str:token>",
    "reset/<str:token>",
    "incidents/<int:number>",
    "incidents/<int:number>/alerts",
    "incidents/<int:number>/proposals",
    "incidents/<int:number>/proposals/<slug:kind>/<uuid:uuid>/<slug:verdict>",
    "l/<str:token>/proposals",
    "l/<str:token>/proposals/<slug:kind>/<uuid:uuid>/<slug:verdict>",
    "services/<slug:slug>",
    "services/<slug:slug>/changes",
    "services/<slug:slug>/dependencies",
    "services/<slug:slug>/dependencies/<int:pk>/remove",
    "services/<slug:slug>/incidents",
    "services/<slug:slug>/links",
    "services/<slug:slug>/links/<int:pk>",
    "services/<slug:slug>/links/<int:pk>/remove",
    "status-pages/<slug:slug>",
    "status-pages/<slug:slug>/history",
    "status-pages/<slug:slug>/components/<uuid:uuid>/state",
    "status-pages/<slug:slug>/components/<uuid:uuid>/clear",
    "status-pages/<slug:slug>/subscribers",
    "status-pages/<slug:slug>/subscribers/<uuid:uuid>/end",
    "status-pages/<slug:slug>/posts/new",
    "status-pages/<slug:slug>/posts/<uuid:uuid>",
    "status-pages/<slug:slug>/posts/<uuid:uuid>/edit",
    "status-pages/<slug:slug>/posts/<uuid:uuid>/delete",
    "status-pages/<slug:slug>/posts/<uuid:uuid>/updates/<uuid:update>",
    "status-pages/<slug:slug>/maintenance/new",
    "status-pages/<slug:slug>/recurring",
    "status-pages/<slug:slug>/recurring/new",
    "status-pages/<slug:slug>/recurring/<uuid:uuid>",
    "status-pages/<slug:slug>/recurring/<uuid:uuid>/delete",
    "incidents/<int:number>/status-pages",
    "docs/<path:name>",
    "incidents/<int:number>/similar",
    "incidents/<int:number>/changes",
    "incidents/<int:number>/do/<slug:verb>",
    "incidents/views/<int:pk>/<slug:verb>",
    "incidents/<int:number>/merge",
    "incidents/<int:number>/preview",
    "alerts/<uuid:pk>",
    "integrations/<uuid:uuid>",
    "integrations/<uuid:uuid>/retry",
    "silences/<uuid:uuid>",
    "silences/<uuid:uuid>/extend",
    "silences/<uuid:uuid>/end",
    "maintenance/<uuid:uuid>",
    "maintenance/<uuid:uuid>/enable",
    "maintenance/<uuid:uuid>/end",
    "held/<uuid:pk>/release",
    "heartbeats/<uuid:uuid>",
    "heartbeats/<uuid:uuid>/edit",
    "heartbeats/<uuid:uuid>/<slug:verb>",
    "notifications/<uuid:uuid>",
    "notifications/<uuid:uuid>/<slug:verb>",
    "settings/contacts/new/<slug:kind>",
    "settings/rules/<slug:urgency>/add",
    "mail/updates/<str:token>",
    "ical/<str:secret>.ics",
    "schedules/<slug:slug>",
    "schedules/<slug:slug>/shift",
    "schedules/<slug:slug>/shift/take",
    "schedules/<slug:slug>/requests",
    "schedules/<slug:slug>/overrides",
    "schedules/<slug:slug>/overrides/new",
    "schedules/<slug:slug>/overrides/<int:number>",
    "schedules/<slug:slug>/overrides/<int:number>/remove",
    "shifts/requests/<uuid:uuid>/take",
    "shifts/requests/<uuid:uuid>/offer",
    "shifts/requests/<uuid:uuid>/decline",
    "status/<slug:slug>",
    "status/<slug:slug>/<page_file:path>",
    "status/<slug:slug>/subscribe",
    "status/<slug:slug>/subscribe/confirm/<str:token>",
    "status/<slug:slug>/subscribe/<str:token>",
    "status/<slug:slug>/unsubscribe/<str:token>",
    "status/link/<str:token>",
    "status/partner/sessions/<uuid:uuid>/end",
    "postmortems/items/<uuid:uuid>",
    "postmortems/items/<uuid:uuid>/move",
    "postmortems/shared/<str:token>",
    "postmortems/shared/<str:token>/images/<uuid:uuid>",
    "postmortems/wanted/<int:number>",
    "postmortems/<int:number>",
    "postmortems/<int:number>.md",
    "postmortems/<int:number>.pdf",
    "postmortems/<int:number>/edit",
    "postmortems/<int:number>/preview",
    "postmortems/<int:number>/sections/<uuid:uuid>",
    "postmortems/<int:number>/sections/<uuid:uuid>/versions",
    "postmortems/<int:number>/timeline",
    "postmortems/<int:number>/timeline/redraw",
    "postmortems/<int:number>/timeline/add",
    "postmortems/<int:number>/timeline/<uuid:uuid>",
    "postmortems/<int:number>/factors",
    "postmortems/<int:number>/incidents",
    "postmortems/<int:number>/images",
    "postmortems/<int:number>/images/<uuid:uuid>",
    "postmortems/<int:number>/reviewers",
    "postmortems/<int:number>/verdict",
    "postmortems/<int:number>/do/<slug:verb>",
    "postmortems/<int:number>/comments",
    "postmortems/<int:number>/comments/<uuid:uuid>/resolve",
    "postmortems/<int:number>/items",
    "postmortems/<int:number>/links",
    "postmortems/<int:number>/links/<uuid:uuid>/revoke",
    "incidents/<int:number>/postmortem",
    "l/<str:token>",
    "slack/link/<str:token>",
    "twilio/voice/menu/<str:token>",
}
FORMS = {
    "settings/contacts/<int:pk>": {"address": "+14155550199", "label": "mine"},
    "settings/contacts/<int:pk>/verify": {"code": "123456"},
    "settings/rules/<int:pk>": {"delay_minutes": 500},
    "settings/tokens/<slug:prefix>/rotate": {"overlap": "none"},
    "account/security/passkeys/<int:pk>": {"name": "Mine"},
}


def test_every_address_with_something_in_it_is_tried_here_or_elsewhere():
    found = {route for route, _ in addresses.pages() if "<" in route}
    assert found - set(PERSONAL) - OF_TEAMS_OR_SECRET == set()
    assert set(PERSONAL) | OF_TEAMS_OR_SECRET <= found


@pytest.mark.parametrize("route", PERSONAL)
def test_what_is_somebodys_own_is_not_there_for_another(victim, thief, route):
    victim.test = factories.NotificationFactory(user=victim.person, contact_method=victim.method, kind="test").uuid
    browser = Client()
    browser.force_login(thief)
    session = browser.session
    session["account_authentication_methods"] = [{"method": "password", "at": victim.now.timestamp()}]
    session.save()  # allauth asks who changes a passkey for the password again: this one has just typed theirs
    path = addresses.fill(route, PERSONAL[route](victim))
    before = addresses.picture()
    assert browser.get(path).status_code in (403, 404, 405), path
    answer = browser.post(path, FORMS.get(route, {}))
    assert answer.status_code in (302, 403, 404, 405, 409), path  # 302: back to one's own page, with a sentence
    assert addresses.changed(before, addresses.picture()) == []
    assert victim.browser.get("/settings").status_code == 200


@pytest.mark.parametrize("route", ["settings/contacts/<int:pk>", "settings/tests/<uuid:uuid>"])
def test_what_is_not_there_and_what_is_anothers_are_told_apart_by_nothing(victim, thief, route):
    victim.test = factories.NotificationFactory(user=victim.person, contact_method=victim.method, kind="test").uuid
    browser = Client()
    browser.force_login(thief)
    there = browser.get(addresses.fill(route, PERSONAL[route](victim)))
    nowhere = browser.get(addresses.fill(route, {"pk": 987654321, "uuid": uuid.uuid4()}))
    assert (there.status_code, text_of(there)) == (nowhere.status_code, text_of(nowhere))


def text_of(page):
    """What a page says, without the token of its forms and the address that they come back to."""
    return re.sub(r'name="(csrfmiddlewaretoken|next)" value="[^"]*"', "", page.content.decode())


def test_numbers_of_others_in_a_form_are_not_taken(victim, thief):
    """The address is one's own, and what is named inside is not."""
    browser = Client()
    browser.force_login(thief)
    before = addresses.picture()
    for path, form in {
        "/settings/rules/high/add": {"contact_method": victim.method.pk, "delay_minutes": 0},
        "/shifts/time-off": {"user": victim.person.pk, "start_at": "2030-01-01T00:00", "end_at": "2030-01-02T00:00"},
    }.items():
        key = "rule-high" if "rules" in path else ""
        prefixed = form | {f"{key}-{name}": value for name, value in form.items()}
        assert browser.post(path, prefixed).status_code in (302, 400, 403, 404), path
    assert not victim.person.notification_rules.exclude(pk=victim.rule.pk).exists()
    assert not thief.notification_rules.exists()
    assert victim.person.time_off.count() == 1
    assert set(addresses.changed(before, addresses.picture())) <= {"oncall.TimeOff"}  # their own, if any


def test_a_browser_of_somebody_else_is_not_signed_off(victim, thief):
    browser = Client()
    browser.force_login(thief)
    body = {"subscription": BROWSER}
    browser.post("/push/unsubscribe", body, content_type="application/json")
    assert ContactMethod.objects.filter(pk=victim.push.pk).exists()
    asked = browser.post("/push/subscribe", {**body, "is_question": True}, content_type="application/json")
    assert asked.json() == {"is_on": False}


def test_an_export_has_nothing_of_others_whatever_is_asked_for(victim, thief):
    browser = Client()
    browser.force_login(thief)
    named = {"user": victim.person.pk, "person": str(victim.person.uuid), "email": victim.person.email}
    answer = browser.post("/settings/privacy/export", named)
    text = b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode()
    assert "theo@example.com" in text
    assert not any(one in text for one in ("Vera", "vera@example.com", "+14155550177", victim.token.prefix))


# Addresses of the API with somebody's own in them: (path, change).
API = {
    "calendar-feeds/{feed.uuid}": {},
    "api-keys/{token.prefix}": {"name": "mine"},
    "api-keys/{token.prefix}/rotate": {},
    "api-keys/{token.prefix}/stop-old": {},
    "api-keys/{token.prefix}/revoke": {},
    "time-off/{off.uuid}": {"reason": "mine", "start_at": "2030-01-01T00:00:00Z", "end_at": "2030-01-02T00:00:00Z"},
    "availability/{person.uuid}": {"status": "busy"},
    "users/{person.uuid}": {"name": "mine", "is_active": False},
}


@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize("way", ["session", "token"])
def test_the_api_changes_nothing_of_somebody_else(victim, thief, path, way):
    client = Client()
    headers = {}
    if way == "session":
        client.force_login(thief)
    else:
        _, text = keys.issue_key(thief, name="mine", scopes=["*:write"], is_personal=True)
        headers = {"Authorization": f"Bearer {text}"}
    address = "/api/v1/" + path.format(**vars(victim))
    before = addresses.picture("accounts.ApiKey")
    stored = victim.token.__class__.objects.values().get(pk=victim.token.pk)
    for method in ("put", "patch", "post", "delete"):
        limits.forget()
        answer = getattr(client, method)(address, API[path], content_type="application/json", headers=headers)
        assert answer.status_code in (403, 404, 405), (method, answer.status_code)
    assert addresses.changed(before, addresses.picture("accounts.ApiKey")) == []
    assert victim.token.__class__.objects.values().get(pk=victim.token.pk) == stored


def test_a_feed_shows_no_more_than_its_owner_may_see(victim, thief):
    """A calendar of a hidden team cannot be had by its name, and one made before it was hidden shows nothing of it."""
    hidden = factories.TeamFactory(name="Hidden", slug="hidden")
    schedule = factories.ScheduleFactory(team=hidden, name="Hidden nights", people=[victim.person])
    _, secret = feeds.issue(thief, schedule=schedule)
    assert b"Hidden" in Client().get(f"/ical/{secret}.ics").content
    hidden.is_private = True
    hidden.save()
    answer = Client().get(f"/ical/{secret}.ics")
    assert answer.status_code == 404 or b"Hidden" not in answer.content
    client = Client()
    client.force_login(thief)
    asked = client.post("/api/v1/calendar-feeds", {"schedule": schedule.slug}, content_type="application/json")
    assert asked.status_code == 400 and "Hidden" not in asked.content.decode()
