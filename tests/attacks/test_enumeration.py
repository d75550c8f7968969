"""Who has an account here? Every door that takes a name answers alike whether there is such a person.

Passwords and lockouts are in tests/accounts/test_sign_in.py, resets in test_resets.py, the links of mails in
test_invitations.py.
"""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from core import limits
from tests import factories
from tests.accounts.test_single_sign_on import corp, running, sign_in  # noqa: F401

pytestmark = pytest.mark.django_db
PASSWORD = "long and winding"


@pytest.fixture
def people():
    """One of each kind of account, by what they are."""
    make = factories.UserFactory
    return {
        "somebody": make(email="dora@example.com", password=PASSWORD),
        "an admin": make(email="root@example.com", password=PASSWORD, role=Role.ADMIN),
        "deactivated": make(email="old@example.com", password=PASSWORD, is_active=False),
        "a machine": make(email="machine@example.com", password=PASSWORD, is_machine=True),
        "invited": make(email="new@example.com"),
        "break-glass": make(email="glass@example.com", password=PASSWORD, is_break_glass=True),
    }


def said(answer, email):
    """What an answer says, without what differs each time."""
    text = answer.content.decode().replace(email, "somebody")
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text)
    headers = {
        name: value for name, value in answer.items() if name not in ("Content-Length", "Content-Security-Policy")
    }
    headers = {name: value for name, value in headers.items() if not name.startswith("RateLimit")}
    return answer.status_code, text, sorted(headers)


def work(queries):
    """The statements, without their values."""
    return [re.sub(r"'[^']*'|\d+", "?", one["sql"]).partition(" /*")[0] for one in queries]


def test_a_wrong_password_costs_the_same_statements_whoever_it_is(people):
    """The clock shows what the statements are."""
    done = {}
    for kind, email in {"nobody": "nobody@example.com", **{kind: one.email for kind, one in people.items()}}.items():
        limits.forget()
        client = Client(REMOTE_ADDR="192.0.2.9")
        with CaptureQueriesContext(connection) as queries:
            answer = client.post("/login", {"username": email, "password": "guess"})
        done[kind] = said(answer, email), work(queries)
    assert {kind for kind in done if done[kind][0] != done["nobody"][0]} == set()
    assert {kind for kind in done if done[kind][1] != done["nobody"][1]} == set()


def test_the_page_to_sign_in_with_a_passkey_names_nobody(people, settings):
    settings.PUBLIC_URL = "https://testserver"
    shown = set()
    for email in ("nobody@example.com", *(one.email for one in people.values())):
        answer = Client().get(
            "/login/passkey", {"email": email, "username": email}, headers={"X-Requested-With": "XMLHttpRequest"}
        )
        options = answer.json()["request_options"]["publicKey"]
        options.pop("challenge")
        shown.add(repr(options))
    assert len(shown) == 1


@pytest.mark.parametrize(
    "path",
    [
        "users",
        "users?email=dora@example.com",
        "users/me",
        "teams",
        "on-call/find-current?user=dora@example.com",
        "audit",
    ],
)
def test_the_api_names_nobody_to_who_is_not_signed_in(people, path):
    answer = Client().get(f"/api/v1/{path}")
    assert answer.status_code == 401 and b"example.com" not in answer.content


def test_a_number_of_somebody_is_as_closed_as_one_of_nobody(people):
    known = Client().get(f"/api/v1/users/{people['somebody'].uuid}")
    unknown = Client().get("/api/v1/users/00000000-0000-4000-8000-000000000001")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


@pytest.mark.parametrize("kind", ["somebody", "an admin", "deactivated", "a machine", "nobody"])
def test_a_provider_that_does_not_vouch_for_an_address_learns_nothing(client, corp, people, kind, settings):  # noqa: F811
    email = people[kind].email if kind in people else "nobody@example.com"
    corp.says(email=email, email_verified=False)
    answer = sign_in(client, corp)
    assert "_auth_user_id" not in client.session
    text = client.get(answer.url).content.decode()
    assert f"does not vouch for the address {email}" in text


@pytest.mark.parametrize(
    "path",
    [
        "/invitation/{}",
        "/reset/{}",
        "/l/{}",
        "/ical/{}.ics",
        "/mail/updates/{}",
        "/status/link/{}",
        "/status/shop/subscribe/confirm/{}",
        "/status/shop/subscribe/{}",
        "/status/shop/unsubscribe/{}",
    ],
)
def test_a_page_for_a_wrong_secret_names_nobody(people, path):
    factories.SubscriberFactory(page__slug="shop", address="dora@example.com")
    answer = Client().get(path.format("A" * 43))
    assert answer.status_code == 404 and b"@example.com" not in answer.content


def test_pickers_and_searches_ask_to_sign_in(people, team):
    for path in (
        "/admin/autocomplete/?term=d&app_label=accounts&model_name=membership&field_name=user",
        "/people/invite",
        "/audit?by=dora",
    ):
        answer = Client().get(path)
        assert answer.status_code == 302 and b"dora" not in answer.content


def test_errors_of_pages_that_need_no_account_name_nobody(people, service):
    """What is not there and what one may not see are the same page for who is not signed in."""
    incident = factories.IncidentFactory(service=service)
    there, nowhere = Client().get(f"/incidents/{incident.pk}"), Client().get("/incidents/99999999")
    assert there.status_code == nowhere.status_code == 302
    assert there.url.partition("?")[0] == nowhere.url.partition("?")[0]


@pytest.mark.parametrize("kind", ["told", "asked", "gone", "nobody"])
def test_who_subscribes_hears_the_same_whoever_is_told_already(kind):
    page = factories.StatusPageFactory(slug="shop", audience="public")
    factories.SubscriberFactory(page=page, address="told@example.com")
    factories.SubscriberFactory(page=page, address="asked@example.com", confirmed_at=None)
    factories.SubscriberFactory(page=page, address="gone@example.com", ended_at=factories.NOW)
    limits.forget()
    given = {"channel": "email", "address": f"{kind}@example.com", "scope": "everything"}
    answer = Client().post("/status/shop/subscribe", given)
    assert said(answer, given["address"]) == said(
        Client().post("/status/shop/subscribe", given | {"address": "new@example.com"}), "new@example.com"
    )


def test_who_asks_for_a_link_of_a_partner_hears_the_same_whoever_is_one():
    factories.PartnerFactory(email="dana@example.com")
    factories.PartnerFactory(email="old@example.com", is_enabled=False)
    done = {}
    for email in ("dana@example.com", "old@example.com", "nobody@example.com"):
        limits.forget()
        with CaptureQueriesContext(connection) as queries:
            answer = Client().post("/status/partner", {"email": email})
        done[email] = said(answer, email), work(queries)
    assert done["dana@example.com"] == done["old@example.com"] == done["nobody@example.com"]
