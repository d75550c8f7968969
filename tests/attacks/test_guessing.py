"""Guessing what opens something, letter by letter or by the clock: how long secrets are, and how they are compared."""

import ast
import base64
import math
import re
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

import accounts
from accounts import invitations, keys
from accounts.models import AccountMail, ApiKey
from core import limits
from core.errors import DomainError
from core.secrets import digest
from notifications import envelope, verification
from notifications import links as message_links
from notifications.channels import webpush
from oncall import feeds
from oncall.models import CalendarFeed
from postmortems.models import ShareLink
from statuspages.models import MagicLink, PartnerSession
from tests import factories
from tests.accounts.conftest import link_in

ROOT = Path(accounts.__file__).resolve().parent.parent
APPS = (
    "accounts",
    "alerts",
    "catalog",
    "config",
    "core",
    "incidents",
    "notifications",
    "oncall",
    "postmortems",
    "statuspages",
)
pytestmark = pytest.mark.django_db
ENOUGH = 128  # bits


def sources():
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, ast.parse(path.read_text())


def strength(text, signs=64):
    """The most bits that a random text of so many signs can have."""
    return len(text) * math.log2(signs)


def test_every_secret_that_is_made_has_at_least_128_bits(alice, bob, service, sent):
    integration, heartbeat = factories.IntegrationFactory(service=service), factories.HeartbeatFactory(service=service)
    _, token = keys.issue_key(bob, name="mine")
    _, feed = feeds.issue(bob, person=bob)
    invitations.invite("nora@example.com", by=alice, now=timezone.now())
    invitation = link_in(sent()[-1]).rpartition("/")[2]
    made = {
        "API key": token.rpartition("_")[2] if token.count("_") == 2 else token[len("wb_") + 13 :],
        "integration": integration.key,
        "heartbeat": heartbeat.key,
        "routing key": service.routing_key,
        "calendar feed": feed,
        "invitation": invitation,
    }
    weak = {
        name: text
        for name, text in made.items()
        if strength(text, 16 if re.fullmatch("[0-9a-f]+", text) else 64) < ENOUGH
    }
    assert weak == {}
    again = factories.IntegrationFactory(service=service).key, keys.issue_key(bob, name="other")[1]
    assert again[0] != integration.key and again[1] != token


def test_random_text_comes_from_the_secrets_of_the_machine():
    """`random` can be foretold. It is used only where nothing depends on that: whose turn it is."""
    users = set()
    for path, tree in sources():
        for node in ast.walk(tree):
            named = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if "random" in named or (isinstance(node, ast.ImportFrom) and node.module == "random"):
                users.add(str(path.relative_to(ROOT)))
    assert users <= {"notifications/turns.py", "notifications/results.py"}


def test_no_random_text_of_ours_is_short():
    """`token_urlsafe(n)` has 8n bits. What names and never opens anything may be shorter: those are listed."""
    names = {"accounts/models.py": 6, "accounts/privacy.py": 2, "core/embedded.py": 4, "config/supervisor.py": 4}
    names["config/demo.py"] = 9  # the password of the demo company, on this machine
    short = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
                "token_urlsafe",
                "token_hex",
                "token_bytes",
            ):
                size = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else 32
                place = str(path.relative_to(ROOT))
                if size * 8 < ENOUGH and size < names.get(place, 99):
                    short.append((place, node.lineno, size))
    assert short == []


SECRET_NAME = re.compile(
    r"(^|_)(mac|hmac|digest|signature|secret|secret_hash|code_hash|expected|given_key|proof|password)$"
)


# Both sides come from who asks, or both from the database: nothing is learnt by the time.
OF_ONE_PERSON = {"cleaned['password'] != cleaned['again']", "obj.secret != had"}


def _name(node):
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute):
            return node.attr
        key = node.slice
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
    return node.id if isinstance(node, ast.Name) else ""


def test_no_secret_is_compared_letter_by_letter():
    """`==` stops at the first letter that differs, and the clock tells how far somebody got."""
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
                both = [node.left, *node.comparators]
                if any(isinstance(one, ast.Constant) for one in both):
                    continue
                if any(SECRET_NAME.search(_name(one)) for one in both):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert {one.partition(": ")[2] for one in found} <= OF_ONE_PERSON


def test_what_is_looked_up_is_a_hash_or_has_no_meaning_without_the_rest():
    """A lookup in an index tells by the clock how much of what it looks for is there: so it never sees the secret."""
    columns = {
        ApiKey: ("prefix",),
        AccountMail: ("link_hash",),
        CalendarFeed: ("secret_hash",),
        MagicLink: ("token_hash",),
        PartnerSession: ("key_hash",),
        ShareLink: ("token_hash",),
    }
    for model, names in columns.items():
        for name in names:
            field = model._meta.get_field(name)
            assert field.max_length in (12, 64), (model, name)  # a public prefix, or a SHA-256
    assert len(digest("x")) == 64


def changed_by_one(text):
    """The text with each of its letters changed in turn."""
    for place in range(0, len(text), 5):
        other = "A" if text[place] != "A" else "B"
        yield text[:place] + other + text[place + 1 :]


def test_a_signed_text_that_is_almost_right_is_as_wrong_as_any_other(service, alice):
    row = factories.NotificationFactory(user=alice, contact_method=alice.contact_methods.get())
    read = {
        message_links.token(row.uuid, "acknowledge"): message_links.read,
        webpush.receipt_token(row.uuid): webpush.read_receipt,
        envelope.updates_url(row.uuid).rpartition("/")[2]: envelope.read_updates_token,
    }
    for token, open_it in read.items():
        open_it(token)
        said = set()
        for forged in changed_by_one(token):
            if base64.urlsafe_b64decode(forged.partition(":")[0] + "===") and forged != token:
                with pytest.raises(Exception) as refused:
                    open_it(forged)
                said.add(str(refused.value))
        assert len(said) == 1, said


GUESSED = {
    "/invitation/{}": 404,
    "/reset/{}": 404,
    "/ical/{}.ics": 404,
    "/l/{}": 404,
    "/mail/updates/{}": 404,
    "/status/link/{}": 404,
    "/status/shop/subscribe/confirm/{}": 404,
    "/status/shop/subscribe/{}": 404,
    "/status/shop/unsubscribe/{}": 404,
    "/postmortems/shared/{}": 404,
}


@pytest.mark.parametrize("path", GUESSED)
def test_guessing_a_secret_of_an_address_is_counted_and_slowed_down(db, settings, path):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "guesses": "5/minute", "public": "5/minute"}
    limits.forget()
    told = [Client(REMOTE_ADDR="203.0.113.9").get(path.format(f"{n:043d}")).status_code for n in range(12)]
    assert told[0] == GUESSED[path] and told[-1] == 429
    limits.forget()


def test_guessing_keys_of_the_api_is_counted_and_slowed_down(db, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "guesses": "5/minute"}
    limits.forget()
    told = []
    for number in range(12):
        headers = {"Authorization": f"Bearer wb_{number:012x}_{'A' * 43}"}
        told.append(Client(REMOTE_ADDR="203.0.113.9").get("/api/v1/incidents", headers=headers).status_code)
    assert told[0] == 401 and told[-1] == 429
    limits.forget()


def test_a_code_of_six_digits_is_tried_a_few_times_and_then_dead(alice):
    """How long it is waited between codes is in tests/notifications/test_verification.py."""
    now = timezone.now()
    method = factories.ContactMethodFactory(user=alice, channel="sms", address="+14155550188", verified_at=None)
    verification.send_code(method.pk, by=alice, now=now)
    told = []
    for number in range(12):
        with pytest.raises(DomainError) as refused:
            verification.confirm(method.pk, f"{number:06d}", by=alice, now=now)
        told.append(str(refused.value))
    method.refresh_from_db()
    assert method.verified_at is None and method.code_tries <= verification.MOST_TRIES
    assert len(set(told[verification.MOST_TRIES + 1 :])) == 1 and told[-1] != told[0]
