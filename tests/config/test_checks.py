"""A wrong or unsafe setting is told with what to change, and every setting is explained."""

import re

import pytest
from django.conf import settings as project
from django.core import checks as django_checks

from config import checks


@pytest.fixture(autouse=True)
def production(settings):
    """A site in production with nothing wrong."""
    settings.DEBUG = False
    settings.PUBLIC_URL = "https://oncall.example.com"
    settings.ALLOWED_HOSTS = ["oncall.example.com"]
    settings.SECRET_KEY = "kJ3v0mQ9zXr7Tt2LwY5bNc8HsPdFgAeU1oVi6RxE4M"
    settings.EMAIL_URL = "smtp://mail.example.com:25"


def found():
    return {one.id: one for one in (*checks.check_values(), *checks.check_production())}


def test_a_site_with_nothing_wrong_is_quiet():
    assert found() == {}


def test_checks_run_with_all_others(settings):
    settings.RETRY_DELAYS_SECONDS = [0]
    assert "watchbill.E004" in {one.id for one in django_checks.run_checks(tags=[checks.TAG])}


@pytest.mark.parametrize(
    "url", ["oncall.example.com", "ftp://x", "https://", "http://[::1", "https://a.example/path", "https://a:0", ""]
)
def test_public_url_must_be_the_address_of_a_site(settings, url):
    settings.PUBLIC_URL = url
    assert "https://oncall.example.com" in found()["watchbill.E001"].hint


def test_an_unknown_time_zone_is_an_error(settings):
    settings.TIME_ZONE = "Mars/Olympus"
    assert "Mars/Olympus" in found()["watchbill.E002"].msg


def test_an_sla_of_nothing_is_an_error(settings):
    settings.SLA_TARGET_SECONDS = {**settings.SLA_TARGET_SECONDS, "P2": 0}
    assert found()["watchbill.E003"].msg == "SLA_P2_SECONDS is 0."


@pytest.mark.parametrize("name", ["LINK_HOURS", "INGEST_MAX_BODY_BYTES", "INGEST_QUEUE_LIMIT", "RAW_EVENT_DAYS"])
def test_a_number_that_is_too_small_is_an_error(settings, name):
    setattr(settings, name, 0)
    assert found()["watchbill.E003"].msg == f"{name} is 0."


def test_never_correlating_is_allowed(settings):
    settings.CORRELATION_WINDOW_SECONDS = 0
    assert found() == {}


@pytest.mark.parametrize("delays", [[], [5, 0, 20], [-1]])
def test_retry_delays_must_be_positive(settings, delays):
    settings.RETRY_DELAYS_SECONDS = delays
    assert "5,10,20" in found()["watchbill.E004"].hint


def test_an_unknown_priority_is_an_error(settings):
    settings.HIGH_URGENCY_PRIORITIES = ["P1", "P9"]
    assert "P9" in found()["watchbill.E005"].msg


def test_a_private_network_that_is_none_is_an_error(settings):
    settings.HTTP_ALLOW_PRIVATE = ["*", "10.1.0.0/16", "my-host"]
    assert "my-host" in found()["watchbill.E006"].msg


def test_a_redis_url_of_another_kind_is_an_error(settings):
    settings.REDIS_URL = "localhost:6379"
    assert "redis://host:6379/0" in found()["watchbill.E007"].hint


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("DEBUG", True, "W001"),
        ("ALLOWED_HOSTS", ["*"], "W002"),
        ("SECRET_KEY", "secret", "W003"),
        ("SECRET_KEY", "x" * 60, "W003"),
        ("PUBLIC_URL", "http://oncall.example.com", "W004"),
        ("EMAIL_URL", "", "W005"),
    ],
)
def test_what_is_unsafe_in_production_is_a_warning(settings, name, value, check):
    setattr(settings, name, value)
    assert list(found()) == [f"watchbill.{check}"]
    assert found()[f"watchbill.{check}"].level == django_checks.WARNING


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"])
def test_trying_it_out_on_one_machine_is_quiet(settings, url):
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS, settings.EMAIL_URL = url, ["*"], ""
    assert found() == {}


def test_no_secret_is_told(settings):
    settings.SECRET_KEY, settings.REDIS_URL = "hush", "http://:hush@redis"
    assert "hush" not in str([(one.msg, one.hint) for one in found().values()])


# --- docs/configuration.md ----------------------------------------------------------------------------------------
def read_names():
    text = (project.BASE_DIR / "config" / "settings.py").read_text()
    return set(re.findall(r"\benv\.\w+\(\s*\"([A-Z0-9_]+)\"", text))


def explained_names():
    text = (project.BASE_DIR / "docs" / "configuration.md").read_text()
    return re.findall(r"^\| `([A-Z0-9_]+)` \|", text, re.MULTILINE)


def test_every_setting_is_explained_once():
    assert sorted(read_names()) == sorted(explained_names())
