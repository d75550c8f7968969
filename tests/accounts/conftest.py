"""A mail server to send account mails to, and a way to be signed in."""

import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts import mail
from tests.fakes.smtp import mail_server


@pytest.fixture
def smtp(settings):
    """A real mail server that keeps what it gets."""
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.host, server.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.DEFAULT_FROM_EMAIL = "Watchbill <watchbill@example.org>"
        yield server


@pytest.fixture
def sent(smtp):
    """Send what is due at a time, or now; returns the mails so far."""

    def send(now=None):
        mail.deliver(now=now or timezone.now())
        return smtp.mails

    return send


@pytest.fixture
def browser():
    """A new browser, signed in as somebody or nobody."""

    def make(person=None, **options):
        client = Client(**options)
        if person is not None:
            client.force_login(person)
        return client

    return make


def link_in(message):
    """The address in a mail, without the site."""
    return re.search(r"https?://\S+?(/(?:invitation|reset)/\S+)", text_of(message))[1]


def text_of(message):
    return message.get_content() if hasattr(message, "get_content") else str(message)
