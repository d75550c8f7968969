"""Secrets at rest: what stands in the database, what is read, and how keys are changed."""

import importlib

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import connection, migrations

from core import secrets
from notifications.models import ContactMethod, Provider
from tests import factories

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
HOOK = "https://hooks.example.com/T0/SECRET"


def stored(row, column):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        return cursor.fetchone()[0]


@pytest.fixture
def method(db):
    return factories.ContactMethodFactory(channel="webhook", address=HOOK, secret="whsec_abc")


def test_an_address_and_its_secret_cannot_be_read_in_the_database(method):
    for column in ("address", "secret", "options"):
        assert stored(method, column).startswith("enc:")
        assert "SECRET" not in stored(method, column) and "whsec" not in stored(method, column)
    method.refresh_from_db()
    assert (method.address, method.secret, method.options) == (HOOK, "whsec_abc", {})


def test_the_settings_of_a_provider_cannot_be_read_in_the_database(db):
    provider = factories.ProviderFactory(config={"auth_token": "hush", "numbers": [1, 2], "umlaut": "Ünlü"})
    assert "hush" not in stored(provider, "config")
    assert Provider.objects.get().config == {"auth_token": "hush", "numbers": [1, 2], "umlaut": "Ünlü"}


def test_an_encrypted_field_cannot_be_searched_by_accident(method):
    with pytest.raises(FieldError, match="Use its fingerprint"):
        ContactMethod.objects.filter(address=HOOK).exists()


def test_an_address_is_found_by_its_fingerprint(method):
    assert ContactMethod.objects.get(address_key__in=secrets.fingerprints(HOOK)) == method
    assert not ContactMethod.objects.filter(address_key__in=secrets.fingerprints(HOOK + "x")).exists()


def test_the_fingerprint_is_keyed(method, settings):
    before = secrets.fingerprint(HOOK)
    settings.ENCRYPTION_KEYS = [NEW]
    assert secrets.fingerprint(HOOK) != before


def test_two_equal_texts_are_stored_differently(db):
    assert secrets.encrypt("same") != secrets.encrypt("same")


def test_nothing_stays_nothing(db):
    assert secrets.encrypt("") == "" == secrets.decrypt("")


def test_text_from_before_there_was_encryption_is_read_as_it_is(method):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notifications_contactmethod SET address = %s WHERE id = %s", [HOOK, method.pk])
    method.refresh_from_db()
    assert method.address == HOOK


def test_the_key_follows_the_secret_key_and_its_fallbacks(method, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key", [settings.SECRET_KEY]
    method.refresh_from_db()
    assert method.address == HOOK
    assert ContactMethod.objects.get(address_key__in=secrets.fingerprints(HOOK)) == method


def test_keys_of_one_s_own_lose_nothing_that_was_written_before(method, settings):
    settings.ENCRYPTION_KEYS = [NEW]
    method.refresh_from_db()
    assert method.address == HOOK


def test_a_lost_key_makes_no_page_fail_and_says_what_is_wrong(method, settings):
    settings.SECRET_KEY = "another key"
    method.refresh_from_db()
    assert method.address == secrets.UNREADABLE
    assert method.options == {}


def test_rotation_makes_the_old_key_superfluous(settings, db):
    settings.ENCRYPTION_KEYS = [OLD]
    method = factories.ContactMethodFactory(channel="webhook", address=HOOK, secret="whsec_abc")
    provider = factories.ProviderFactory(config={"auth_token": "hush"})
    integration = factories.IntegrationFactory(signing_secret="a secret of twelve")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert ContactMethod.objects.filter(address_key__in=secrets.fingerprints(HOOK)).exists(), "found meanwhile"
    call_command("rotate_secrets")
    settings.ENCRYPTION_KEYS = [NEW]
    method.refresh_from_db()
    provider.refresh_from_db()
    integration.refresh_from_db()
    assert integration.signing_secret == "a secret of twelve"
    assert (method.address, method.secret) == (HOOK, "whsec_abc")
    assert provider.config == {"auth_token": "hush"}
    assert ContactMethod.objects.get(address_key__in=secrets.fingerprints(HOOK)) == method


def test_rotation_leaves_alone_what_it_cannot_read(settings, db, capsys):
    settings.ENCRYPTION_KEYS = [OLD]
    method = factories.ContactMethodFactory(channel="webhook", address=HOOK)
    settings.ENCRYPTION_KEYS = [NEW]
    call_command("rotate_secrets")
    assert "1 rows could not be read" in capsys.readouterr().out
    settings.ENCRYPTION_KEYS = [OLD]
    method.refresh_from_db()
    assert method.address == HOOK


def test_addresses_from_before_are_encrypted_by_the_migration(method):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_contactmethod "
            "SET address = %s, secret = 'whsec_old', address_key = '' WHERE id = %s",
            [HOOK, method.pk],
        )
    migration = importlib.import_module("notifications.migrations.0003_addresses_encrypted")
    migration.encrypt(apps, None)
    assert stored(method, "address").startswith("enc:")
    assert stored(method, "secret").startswith("enc:")
    assert ContactMethod.objects.get(address_key__in=secrets.fingerprints(HOOK)).secret == "whsec_old"
    migration.decrypt(apps, None)
    assert (stored(method, "address"), stored(method, "secret")) == (HOOK, "whsec_old")


def test_messages_from_before_keep_only_what_may_be_shown(db):
    migration = importlib.import_module("notifications.migrations.0003_addresses_encrypted")
    (sql,) = [one for one in migration.Migration.operations if isinstance(one, migrations.RunSQL)]
    shown = {
        "https://user:pass@hooks.example.com:8443/T0/SECRET?x=1": "https://hooks.example.com/…",
        "http://[2001:db8::1]:80/SECRET": "http://[2001:db8::1]/…",
        "alice@example.com": "alice@example.com",
    }
    rows = {text: factories.NotificationFactory(address=text) for text in shown}
    with connection.cursor() as cursor:
        cursor.execute(sql.sql)
    for text, wanted in shown.items():
        rows[text].refresh_from_db()
        assert rows[text].address == wanted


def test_signing_secrets_from_before_are_encrypted_by_the_migration(db):
    integration = factories.IntegrationFactory(signing_secret="a secret of twelve")
    assert stored(integration, "signing_secret").startswith("enc:")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE alerts_integration SET signing_secret = 'from before' WHERE id = %s", [integration.pk])
    integration.refresh_from_db()
    assert integration.signing_secret == "from before"
    migration = importlib.import_module("alerts.migrations.0003_signing_secrets_encrypted")
    migration.encrypt(apps, None)
    assert stored(integration, "signing_secret").startswith("enc:")
    integration.refresh_from_db()
    assert integration.signing_secret == "from before"
    migration.decrypt(apps, None)
    assert stored(integration, "signing_secret") == "from before"


def test_every_column_that_is_named_like_a_secret_is_encrypted_or_a_hash():
    """What is named here is known: see docs/security.md."""
    known = {
        "catalog.Service.routing_key",  # only sends alerts, and is shown
        "core.IdempotencyKey.key",  # chosen by who sends it
        "alerts.SeenSignature.token",  # of what was sent and used up
    }
    found = set()
    for model in apps.get_models():
        if model.__module__.split(".")[0] not in ("core", "accounts", "notifications", "oncall", "catalog", "alerts"):
            continue
        for field in model._meta.concrete_fields:
            is_text = field.get_internal_type() in ("CharField", "TextField", "JSONField", "URLField")
            is_named = any(word in field.name for word in ("secret", "token", "password", "api_key", "routing_key"))
            is_safe = isinstance(field, secrets.EncryptedTextField | secrets.FingerprintField) or "hash" in field.name
            if is_text and is_named and not is_safe and field.name != "password":  # a hash by Django
                found.add(f"{model._meta.label}.{field.name}")
    assert found <= known, found - known
