"""The cast of the notification tests: Alice, Bob and Charlie, with the channels they can be reached on."""

import datetime
import itertools

import pytest

from accounts.models import Role, User
from notifications import outbox
from notifications.message import Action, Message
from notifications.models import ContactMethod, Notification, NotificationRule
from tests.fakes.sink import sink as run_sink
from tests.fakes.smtp import mail_server

NOW = datetime.datetime(2026, 5, 4, 10, 15, tzinfo=datetime.UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_numbers = itertools.count(1)


def after(**span):
    """A time after NOW."""
    return NOW + datetime.timedelta(**span)


def make_person(name, **fields):
    return User.objects.create(email=f"{name.lower()}-{next(_numbers)}@example.com", name=name, **fields)


def make_method(person, channel="webhook", address="http://127.0.0.1:9/", **fields):
    fields = {"verified_at": NOW, "secret": SECRET if channel == "webhook" else "", **fields}
    return ContactMethod.objects.create(user=person, channel=channel, address=address, **fields)


def make_rule(method, delay_minutes=0, urgency="high"):
    return NotificationRule.objects.create(
        user=method.user, contact_method=method, delay_minutes=delay_minutes, urgency=urgency
    )


def make_message(**fields):
    return Message(
        **{
            "title": "Checkout errors",
            "body": "5 % of orders fail.",
            "url": "https://oncall.example.com/incidents/42",
            "fields": (("Service", "Checkout"),),
            "actions": (Action("Acknowledge", "acknowledge"), Action("Escalate", "escalate")),
            "thread": "incident-42",
            "subject": "[#42] Checkout errors",
            **fields,
        }
    )


def page(person, *, now=NOW, number=1, topic="incident:42", message=None, **fields):
    """Page one person and return the rows it wrote."""
    key = f"{topic}:p{number}"
    message = message or make_message()
    outbox.plan_many([outbox.Page(key, topic, person.pk, message, **fields)], now=now)
    return list(Notification.objects.filter(plan_key__startswith=f"{key}:u{person.pk}:").order_by("due_at", "pk"))


@pytest.fixture
def alice(db):
    return make_person("Alice")


@pytest.fixture
def bob(db):
    return make_person("Bob")


@pytest.fixture
def charlie(db):
    return make_person("Charlie")


@pytest.fixture
def admin(db):
    return make_person("Ada", role=Role.ADMIN)


@pytest.fixture
def sink(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with run_sink() as server:
        yield server


@pytest.fixture
def smtp(settings):
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.host, server.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield server
