"""A page with two components: Shop stands for Checkout, and Search for nothing."""

import pytest

from tests import factories
from tests.fakes.sink import sink as run_sink
from tests.fakes.smtp import mail_server


@pytest.fixture
def page(db):
    return factories.StatusPageFactory(name="Example Shop", slug="shop", audience="public")


@pytest.fixture
def shop(page, service):
    return factories.ComponentFactory(page=page, name="Shop", position=1, services=[service])


@pytest.fixture
def search(page):
    return factories.ComponentFactory(page=page, name="Search", position=2)


@pytest.fixture
def smtp(settings):
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.host, server.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield server


@pytest.fixture
def sink():
    with run_sink() as server:
        yield server
