"""The same thing once more, or at another door: every signed text, link and answer is for one use, at one place.

Shown elsewhere: links of messages used twice or late (tests/incidents/test_links.py), invitations and resets
(tests/accounts), codes of an app and recovery codes (test_second_factor.py), the answer of a provider
(test_single_sign_on.py), signatures of senders, of Amazon SNS, of Slack, Twilio and Telegram (tests/alerts,
tests/incidents), idempotency keys of others (tests/api/test_idempotency.py), feeds that were revoked
(tests/oncall/test_feeds.py).
"""

import datetime as dt
import hashlib
import json

import pytest
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.utils import timezone
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from accounts import invitations, keys, resets
from core import limits
from core.errors import DomainError
from incidents import lifecycle
from notifications import envelope, links, telegram_links
from notifications.channels import webpush
from notifications.models import Notification
from oncall import feeds
from tests import factories
from tests.accounts.conftest import link_in

pytestmark = pytest.mark.django_db


def page_of(person, **fields):
    """A message to somebody at the address that they have."""
    return factories.NotificationFactory(user=person, contact_method=person.contact_methods.get(), **fields)


# --- at another door ------------------------------------------------------------------------------------------
@pytest.fixture
def signed(alice, service, sent):
    """One of every text that opens something, by name."""
    now = timezone.now()
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    row = Notification.objects.get(topic=incident.topic, user=alice)
    invitations.invite("nora@example.com", by=alice, now=now)
    invitation = link_in(sent(now)[-1]).rpartition("/")[2]
    factories.UserFactory(email="erin@example.com", password="long and winding")
    resets.ask("erin@example.com", now=now)
    return {
        "link": links.token(row.uuid, "acknowledge"),
        "receipt": webpush.receipt_token(row.uuid),
        "updates": envelope.updates_url(row.uuid).rpartition("/")[2],
        "invitation": invitation,
        "reset": link_in(sent(now)[-1]).rpartition("/")[2],
        "feed": feeds.issue(alice, person=alice)[1],
        "token": keys.issue_key(alice, name="x")[1],
        "telegram": telegram_links.make(alice, now=now),
        "integration": factories.IntegrationFactory(service=service).key,
        "session": "a" * 32,
    }


def at_link(text):
    return Client().post(f"/l/{text}").status_code in (200, 302)


def at_receipt(text):
    answer = Client().post("/push/receipt", {"token": text, "state": "shown"}, content_type="application/json")
    return answer.status_code not in (403, 429)


def at_updates(text):
    return Client().get(f"/mail/updates/{text}").status_code == 200


def at_invitation(text):
    return Client().get(f"/invitation/{text}").status_code == 200


def at_reset(text):
    return Client().get(f"/reset/{text}").status_code == 200


def at_feed(text):
    return Client().get(f"/ical/{text}.ics").status_code == 200


def at_api(text):
    return Client().get("/api/v1/incidents", headers={"Authorization": f"Bearer {text}"}).status_code == 200


def at_telegram(text):
    try:
        telegram_links.take(text, 4711, now=timezone.now())
    except DomainError:
        return False
    return True


DOORS = {
    "link": at_link,
    "receipt": at_receipt,
    "updates": at_updates,
    "invitation": at_invitation,
    "reset": at_reset,
    "feed": at_feed,
    "token": at_api,
    "telegram": at_telegram,
}


@pytest.mark.parametrize("door", DOORS)
def test_what_opens_one_door_opens_no_other(signed, door):
    opened = set()
    for name, text in signed.items():
        limits.forget()
        if DOORS[door](text):
            opened.add(name)
    assert opened == {door}


def test_a_link_for_one_verb_or_message_is_none_for_another(alice):
    """Parts of two genuine links, put together."""
    one, other = (page_of(alice) for _ in range(2))
    mac = links.base64.urlsafe_b64decode(links.token(one.uuid, "acknowledge") + "==")[: links.MAC_BYTES]
    for payload in (other.uuid.bytes + b"acknowledge", one.uuid.bytes + b"resolve", one.uuid.bytes + b"acknowledge "):
        forged = links.base64.urlsafe_b64encode(mac + payload).rstrip(b"=").decode()
        with pytest.raises(DomainError):
            links.read(forged)


@pytest.mark.parametrize(
    "spelling", [lambda text: text + "=", lambda text: text + "==", str.lower, str.upper, lambda text: f" {text}"]
)
def test_another_spelling_of_a_link_is_not_another_link(alice, spelling):
    """What was used is remembered by what it means, not by how it is written."""
    row = page_of(alice, link_expires_at=timezone.now() + dt.timedelta(hours=1))
    token = links.token(row.uuid, "acknowledge")
    assert links.use(row.pk, "acknowledge", now=timezone.now())
    with pytest.raises(DomainError):
        links.open_link(spelling(token), now=timezone.now())


def test_a_code_for_telegram_links_one_chat(alice):
    now = timezone.now()
    code = telegram_links.make(alice, now=now)
    telegram_links.take(code, 1001, now=now)
    with pytest.raises(DomainError):
        telegram_links.take(code, 1002, now=now)
    with pytest.raises(DomainError):
        telegram_links.take(telegram_links.make(alice, now=now - dt.timedelta(days=2)), 1003, now=now)


# --- a passkey ------------------------------------------------------------------------------------------------
ORIGIN = "https://testserver"


class Passkey:
    """A key of a person as an authenticator keeps it: it signs what a page asks for."""

    def __init__(self, person):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id, self.person = b"credential-of-the-tests", person
        public = ES256.from_cryptography_key(self.key.public_key())
        data = self._data(0x45, AttestedCredentialData.create(b"\0" * 16, self.id, public))
        attestation = AttestationObject.create("none", data, {})
        client = CollectedClientData.create("webauthn.create", b"x" * 32, ORIGIN)
        credential = {
            "id": websafe_encode(self.id),
            "rawId": websafe_encode(self.id),
            "type": "public-key",
            "response": {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(attestation)},
            "clientExtensionResults": {"credProps": {"rk": True}},
        }
        Authenticator.objects.create(
            user=person, type=Authenticator.Type.WEBAUTHN, data={"name": "Key", "credential": credential}
        )

    @staticmethod
    def _data(flags, credential=None):
        return AuthenticatorData.create(hashlib.sha256(b"testserver").digest(), flags, 7, credential or b"")

    def answers(self, challenge, origin=ORIGIN):
        """The assertion for this challenge, as the page's script posts it."""
        client = CollectedClientData.create("webauthn.get", challenge, origin)
        data = self._data(0x05)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return json.dumps(
            {
                "id": websafe_encode(self.id),
                "rawId": websafe_encode(self.id),
                "type": "public-key",
                "response": {
                    "clientDataJSON": websafe_encode(client),
                    "authenticatorData": websafe_encode(data),
                    "signature": websafe_encode(signature),
                    "userHandle": websafe_encode(user_pk_to_url_str(self.person).encode()),
                },
                "clientExtensionResults": {},
            }
        )


def challenge(client):
    """What the page to sign in with a passkey asks the browser to sign."""
    options = client.get("/login/passkey", headers={"X-Requested-With": "XMLHttpRequest"}).json()
    return options["request_options"]["publicKey"]["challenge"]


@pytest.fixture
def passkey(alice, settings):
    settings.PUBLIC_URL = ORIGIN
    return Passkey(alice)


def is_in(client):
    return "_auth_user_id" in client.session


def test_a_passkey_signs_in(client, passkey):
    """Else the tests below would prove nothing."""
    client.post("/login/passkey", {"credential": passkey.answers(challenge(client))})
    assert is_in(client)


def test_the_answer_of_a_passkey_works_once_and_in_the_browser_that_asked(client, passkey):
    answer = passkey.answers(challenge(client))
    thief = Client()
    thief.post("/login/passkey", {"credential": answer})
    assert not is_in(thief)
    challenge(thief)
    thief.post("/login/passkey", {"credential": answer})
    assert not is_in(thief)
    client.post("/login/passkey", {"credential": answer})
    assert is_in(client)
    client.post("/logout")
    client.post("/login/passkey", {"credential": answer})
    assert not is_in(client)


def test_an_answer_for_another_site_is_none_for_us(client, passkey):
    client.post("/login/passkey", {"credential": passkey.answers(challenge(client), "https://evil.example")})
    assert not is_in(client)


def test_the_key_of_another_opens_nothing(client, passkey, bob):
    stolen = passkey.answers(challenge(client))
    passkey.key = ec.generate_private_key(ec.SECP256R1())
    client.post("/login/passkey", {"credential": passkey.answers(challenge(client))})
    assert not is_in(client) and stolen


@pytest.mark.parametrize("field", [{"is_active": False}, {"is_machine": True}])
def test_a_passkey_of_who_may_not_sign_in_opens_nothing(client, passkey, field):
    asked = challenge(client)
    type(passkey.person).objects.filter(pk=passkey.person.pk).update(**field)
    client.post("/login/passkey", {"credential": passkey.answers(asked)})
    assert client.get("/settings").status_code == 302
