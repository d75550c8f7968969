"""Secrets at rest: fields that are encrypted in the database, and the keys for them.

`ENCRYPTION_KEYS` lists Fernet keys: the first one encrypts, all of them decrypt. Behind them come keys derived from
SECRET_KEY and its fallbacks, so that nothing has to be set to begin with, and setting it later loses nothing.
`manage.py rotate_secrets` writes everything anew with the first key, so that an old one can be taken out. Encrypted
text is different each time, so a row is looked up by a `FingerprintField` beside it.
"""

import base64
import functools
import hashlib
import hmac
import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models, transaction

MARK = "enc:"  # text without it was written before there was encryption, and is read as it is
UNREADABLE = "(unreadable: it was encrypted with a key that is not in ENCRYPTION_KEYS)"


def keys():
    """The Fernet keys, the one that encrypts first."""
    return (*settings.ENCRYPTION_KEYS, *_derived((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)))


@functools.lru_cache(maxsize=8)
def _derived(secrets):
    return tuple(
        base64.urlsafe_b64encode(hashlib.sha256(b"core.secrets:" + secret.encode()).digest()).decode()
        for secret in secrets
    )


@functools.lru_cache(maxsize=8)
def _fernet(texts):
    return MultiFernet([Fernet(text) for text in texts])


def encrypt(text):
    """The text as it is stored; "" stays ""."""
    return f"{MARK}{_fernet(keys()).encrypt(text.encode()).decode()}" if text else ""


def decrypt(stored):
    """The text that `encrypt` stored, or UNREADABLE when none of the keys fits."""
    return _decrypt(stored, keys()) if stored.startswith(MARK) else stored


@functools.lru_cache(maxsize=20_000)
def _decrypt(stored, texts):
    try:
        return _fernet(texts).decrypt(stored.removeprefix(MARK).encode()).decode()
    except InvalidToken:
        return UNREADABLE


def digest(text):
    """SHA-256 of a secret that we made, as it is stored: with its random bits a slow hash would only slow requests."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def fingerprint(text):
    """What a FingerprintField stores for the text: a keyed hash, so that nobody can try addresses against it."""
    return _fingerprint(text, keys()[0]) if text else ""


def fingerprints(text):
    """The fingerprints that a stored text may have, for `__in`: while keys are rotated there are several."""
    return [_fingerprint(text, key) for key in keys()] if text else [""]


def _fingerprint(text, key):
    return hmac.digest(key.encode(), text.encode(), hashlib.sha256).hex()


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database. It cannot be searched; put a FingerprintField beside it."""

    def get_prep_value(self, value):
        value = super().get_prep_value(value)
        return value if value is None else encrypt(value)

    def from_db_value(self, value, expression, connection):
        return value if value is None else decrypt(value)

    def get_lookup(self, name):
        if name != "isnull":
            raise FieldError(f"{self.name} is encrypted and cannot be searched. Use its fingerprint.")
        return super().get_lookup(name)


class EncryptedJSONField(EncryptedTextField):
    """JSON that is encrypted in the database."""

    def get_prep_value(self, value):
        return None if value is None else encrypt(json.dumps(value))

    def from_db_value(self, value, expression, connection):
        text = super().from_db_value(value, expression, connection)
        try:
            return None if text is None else json.loads(text or "{}")
        except ValueError:  # unreadable: whoever needs a value of it says which one is missing
            return {}

    def value_to_string(self, obj):
        return json.dumps(self.value_from_object(obj))

    def to_python(self, value):
        return json.loads(value) if isinstance(value, str) and value else value


class FingerprintField(models.CharField):
    """The fingerprint of another field of the row, kept by itself: `FingerprintField(of="address")`."""

    def __init__(self, *args, of="", **kwargs):
        self.of = of
        super().__init__(*args, **{"max_length": 64, "editable": False, "blank": True, "default": "", **kwargs})

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "of": self.of}

    def pre_save(self, model_instance, add):
        value = fingerprint(getattr(model_instance, self.of) or "")
        setattr(model_instance, self.attname, value)
        return value


def rotate():
    """Write every encrypted value anew with the first key. Returns how many rows, and how many stay unreadable."""
    written = unreadable = 0
    for model in apps.get_models():
        fields = [one for one in model._meta.concrete_fields if isinstance(one, EncryptedTextField)]
        if not fields:
            continue
        names = [one.attname for one in fields]
        marks = [one.attname for one in model._meta.concrete_fields if isinstance(one, FingerprintField)]
        stored = [models.functions.Cast(one.attname, models.TextField()) for one in fields]
        for pk in list(model._base_manager.values_list("pk", flat=True)):
            with transaction.atomic():
                row = model._base_manager.select_for_update(of=("self",)).filter(pk=pk).first()
                if row is None:
                    continue
                raw = model._base_manager.filter(pk=pk).values_list(*stored).first()
                if any(decrypt(text or "") == UNREADABLE for text in raw):
                    unreadable += 1  # it stays as it is, for the day on which its key turns up
                    continue
                row.save(update_fields=[*names, *marks])
                written += 1
    return written, unreadable
