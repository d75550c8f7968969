"""The cast and the stage: Alice (owner), Bob (same team), Charlie (stranger), their team and their service."""

import logging
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import TransactionTestCase

from accounts.models import Role
from core import limits
from tests import emptying, factories

ROOT = Path(__file__).parent
TransactionTestCase._fixture_teardown = emptying.empty_tables


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also compare 100,000 random schedules with a brute force")


def pytest_configure(config):
    config.addinivalue_line("markers", "logs_errors: an error in the log is expected here; elsewhere it fails a test")


# Files that take long without having many tests: begun last, one of them would keep one of two processes busy alone.
SLOW = ("crash", "access", "browser", "attacks", "journeys", "senders")


def pytest_collection_modifyitems(items):
    folder = {item: item.path.relative_to(ROOT).parts[0] for item in items}
    items.sort(key=lambda item: SLOW.index(folder[item]) if folder[item] in SLOW else len(SLOW))


class _Errors(logging.Handler):
    """Keeps what is logged at ERROR or above."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_error_is_logged(request):
    """Fail a test that logs an error, unless it is marked `logs_errors`."""
    errors = _Errors()
    root = logging.getLogger()
    root.addHandler(errors)
    yield
    root.removeHandler(errors)
    if errors.lines and not request.node.get_closest_marker("logs_errors"):
        pytest.fail("An error was logged:\n" + "\n".join(errors.lines), pytrace=False)


@pytest.fixture(autouse=True)
def quick_settings(settings):
    """Nothing leaves the process, and passwords cost nothing."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    settings.RATE_LIMIT_STORE = "process"  # and what one test used of a limit is not missing in the next
    limits.forget()
    settings.STATIC_ROOT = None  # nothing was collected, and WhiteNoise would warn
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def now():
    """Monday 1 June 2026, 12:00 UTC."""
    return factories.NOW


@pytest.fixture
def team(db):
    return factories.TeamFactory(name="Shop", slug="shop")


@pytest.fixture
def alice(team):
    """The owner: an admin, and admin of her team."""
    user = _person("Alice", role=Role.ADMIN)
    factories.MembershipFactory(team=team, user=user, role=Role.ADMIN)
    return user


@pytest.fixture
def bob(team):
    """A responder of Alice's team."""
    user = _person("Bob")
    factories.MembershipFactory(team=team, user=user)
    return user


@pytest.fixture
def charlie(db):
    """A responder of no team."""
    return _person("Charlie")


@pytest.fixture
def service(team, alice, bob):
    """Checkout of the team Shop. Its policy calls Alice, 5 minutes later Bob, waits 10 minutes, and begins again."""
    policy = factories.EscalationPolicyFactory(name="Shop", slug="shop", team=team, calls=[alice, bob])
    return factories.ServiceFactory(name="Checkout", slug="checkout", team=team, policy=policy)


def _person(name, **fields):
    user = factories.UserFactory(name=name, email=f"{name.lower()}@example.com", **fields)
    factories.ContactMethodFactory(user=user)
    return user
