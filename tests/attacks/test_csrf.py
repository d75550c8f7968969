"""A page elsewhere, open in a responder's browser, posts to every address there is.

Which addresses need no token, and what stands in its place, is in tests/config/test_forms.py.
"""

import re

import pytest
from django.test import Client

from core import limits
from tests import factories
from tests.attacks import addresses
from tests.config.test_forms import PROOFS

pytestmark = pytest.mark.django_db
VALUES = {
    "pk": 1,
    "number": 1,
    "uuid": addresses.NOBODYS,
    "slug": "shop",
    "kind": "email",
    "urgency": "high",
    "verb": "acknowledge",
    "prefix": "0" * 12,
    "token": "A" * 43,
    "secret": "A" * 43,
    "provider_id": "corp",
    "name": "channels",
    "verdict": "approve",
}
UNSAFE = ("post", "put", "patch", "delete")
# Answers that need no token because nothing is done with what is sent: the address only leads on.
READS = {"health", "health/ready", "metrics"}
# Answered by the signed token in the body, whoever's session comes along.
BY_TOKEN = "api/v1/notifications/acknowledge"


def is_exempt(pattern):
    view = pattern.callback
    return f"{view.__module__}.{view.__qualname__}" in PROOFS


def forms():
    return [route for route, pattern in addresses.pages() if not is_exempt(pattern) and route not in READS]


def careful(person=None):
    client = Client(enforce_csrf_checks=True)
    if person:
        client.force_login(person)
    return client


@pytest.mark.parametrize("sender", ["nothing", "another site", "a token of the attacker's own"])
def test_every_page_refuses_a_form_of_another_site(alice, team, sender):
    client = careful(alice)
    headers = {"another site": {"origin": "https://evil.example"}}.get(sender, {})
    fields = {"a token of the attacker's own": {"csrfmiddlewaretoken": "A" * 64}}.get(sender, {})
    before = addresses.picture()
    taken = []
    for route in forms():
        for method in UNSAFE:
            limits.forget()
            answer = getattr(client, method)(addresses.fill(route, VALUES), fields, headers=headers)
            if answer.status_code not in (403, 405):
                taken.append((method, route, answer.status_code))
    assert taken == []
    assert addresses.changed(before, addresses.picture()) == []


def test_looking_changes_nothing(alice, team, service):
    """What GET does, a link or an image of another site does too."""
    values = {**VALUES, "number": factories.IncidentFactory(service=service).pk}
    factories.ScheduleFactory(slug="shop", team=team, people=[alice])
    client = careful(alice)
    client.get("/settings")  # makes the keys for push, once
    before = addresses.picture()
    changed = {}
    for route, pattern in addresses.pages():
        if is_exempt(pattern) or route in READS:
            continue
        limits.forget()
        client.get(addresses.fill(route, values))
        if now := addresses.changed(before, addresses.picture()):
            changed[route], before = now, addresses.picture()
    assert changed == {}


def test_signing_somebody_in_as_the_attacker_needs_a_token_too(db):
    factories.UserFactory(email="eve@example.com", password="long and winding")
    client = careful()
    answer = client.post("/login", {"username": "eve@example.com", "password": "long and winding"})
    assert answer.status_code == 403 and "_auth_user_id" not in client.session


def test_signing_somebody_out_needs_a_press(alice):
    client = careful(alice)
    assert client.get("/logout").status_code in (200, 302, 405)
    assert client.get("/settings").status_code == 200


def test_a_link_of_the_attackers_provider_signs_nobody_in(client, db):
    """An answer of the provider that this browser did not ask for: the attacker's own code and state."""
    answer = client.get("/login/sso/corp/callback?code=theirs&state=theirs")
    assert answer.status_code == 302 and answer.url.startswith("/login")
    assert "_auth_user_id" not in client.session


def routes_of_the_api():
    for route, pattern in addresses.walk():
        if route.startswith("api/v1/") and addresses.is_api(pattern):
            for method in list(getattr(pattern.callback, "actions", None) or ()):
                if method in UNSAFE:
                    yield method, route


def test_the_api_takes_no_session_without_the_token(alice, team):
    client = careful(alice)
    before = addresses.picture()
    taken, asked = [], 0
    for method, route in routes_of_the_api():
        path = "/" + re.sub(r"\(\?P<(\w+)>.*?\)(?=[/$]|$)", lambda found: str(VALUES.get(found[1], "1")), route)
        path = re.sub(r"[\^$\\]", "", path)
        if path.strip("/") == BY_TOKEN:
            continue
        limits.forget()
        asked += 1
        answer = getattr(client, method)(path, {"title": "x"}, content_type="application/json")
        if answer.status_code not in (403, 404) or (answer.status_code == 403 and b"CSRF" not in answer.content):
            taken.append((method, path, answer.status_code))
    assert asked > 50 and taken == []
    assert addresses.changed(before, addresses.picture()) == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_the_api_reads_no_form_that_a_page_elsewhere_could_send(alice, service, kind):
    """Such a request asks no permission of the browser first; with the token it is not read either."""
    client = Client()
    client.force_login(alice)
    body = f'{{"service": "{service.slug}", "title": "x", "severity": "high"}}'
    assert client.post("/api/v1/incidents", body, content_type=kind).status_code in (400, 415)


@pytest.mark.parametrize(
    "path",
    ["/admin/accounts/user/add/", "/admin/accounts/team/add/", "/admin/catalog/service/add/", "/admin/logout/"],
)
def test_the_admin_refuses_a_form_of_another_site(alice, path):
    client = careful(alice)
    assert client.post(path, {}).status_code == 403
    assert client.post(path, {}, headers={"origin": "https://evil.example"}).status_code == 403
