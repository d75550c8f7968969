"""A wrong or unsafe setting is told with what to change, and every setting is explained."""

import re

import pytest
from django.conf import settings as project
from django.core import checks as django_checks
from django.core.exceptions import ImproperlyConfigured

from config import checks


@pytest.fixture(autouse=True)
def production(settings):
    """A site in production with nothing wrong."""
    settings.DEBUG = False
    settings.PUBLIC_URL = "https://oncall.example.com"
    settings.ALLOWED_HOSTS = ["oncall.example.com"]
    settings.SECRET_KEY = "kJ3v0mQ9zXr7Tt2LwY5bNc8HsPdFgAeU1oVi6RxE4M"
    settings.EMAIL_URL = "smtp://mail.example.com:25"
    settings.TRUSTED_PROXIES = ["1"]


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


def test_the_root_of_status_pages_as_files_is_a_whole_path(settings):
    settings.STATUS_EXPORT_ROOT = "status"
    assert "/srv/status" in found()["watchbill.E023"].hint
    settings.STATUS_EXPORT_ROOT = "/srv/status"
    assert found() == {}


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
        ("DEBUG", True, "E011"),
        ("ALLOWED_HOSTS", ["*"], "E012"),
        ("SECRET_KEY", "secret", "E013"),
        ("SECRET_KEY", "x" * 60, "E013"),
        ("SECRET_KEY", "django-insecure-3v0mQ9zXr7Tt2LwY5bNc8HsPdFgAeU1oVi6RxE4M", "E013"),
        ("SECRET_KEY", "fifty random characters, the same on every machine", "E013"),
        ("PUBLIC_URL", "http://oncall.example.com", "E016"),
    ],
)
def test_what_is_unsafe_in_production_stops_the_start(settings, name, value, check):
    setattr(settings, name, value)
    assert list(found()) == [f"watchbill.{check}"]
    assert found()[f"watchbill.{check}"].level == django_checks.ERROR
    with pytest.raises(ImproperlyConfigured, match=re.escape(found()[f"watchbill.{check}"].hint)):
        checks.refuse_unsafe()


def test_plain_http_is_allowed_to_who_says_that_it_is_known(settings):
    settings.PUBLIC_URL, settings.INSECURE_HTTP_OK = "http://10.0.0.5:8000", True
    assert found()["watchbill.W004"].level == django_checks.WARNING
    checks.refuse_unsafe()


def test_mails_that_nobody_gets_are_a_warning(settings):
    settings.EMAIL_URL = ""
    assert found()["watchbill.W005"].level == django_checks.WARNING
    checks.refuse_unsafe()


@pytest.mark.parametrize("origin", ["*", "status.example.com", "https://a.example/", "https://a.example/x", "null"])
def test_a_site_that_may_use_the_api_is_named_by_its_origin(settings, origin):
    settings.CORS_ALLOWED_ORIGINS = ["https://status.example.com", "http://localhost:3000", origin]
    assert f"“{origin}”" in found()["watchbill.E010"].msg


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


@pytest.mark.parametrize(
    "entries", [["proxy.internal"], ["1", "2"], ["10.0.0.0/8", "ten"], ["0.0.0.0/0"], ["99"], ["::/0"]]
)
def test_proxies_must_be_a_number_or_networks_and_never_everybody(settings, entries):
    settings.TRUSTED_PROXIES = entries
    assert "watchbill.E020" in found()


@pytest.mark.parametrize("entries", [["0"], ["2"], ["10.0.0.0/8", " fd00::/8"], ["192.0.2.7"]])
def test_proxies_that_can_be_read_are_fine(settings, entries):
    settings.TRUSTED_PROXIES = entries
    assert found() == {}


def test_a_site_with_tls_and_no_word_about_its_proxy_is_warned(settings):
    settings.TRUSTED_PROXIES = []
    assert "mostly 1" in found()["watchbill.W020"].hint


def test_a_limit_that_cannot_be_read_is_an_error_with_its_name(settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api": "many"}
    assert found()["watchbill.E021"].msg == "RATE_LIMIT_API is “many”, which is not a limit."
    assert "600/minute" in found()["watchbill.E021"].hint


def test_an_unknown_place_to_count_limits_is_an_error(settings):
    settings.RATE_LIMIT_STORE = "memcached"
    assert "watchbill.E022" in found()
