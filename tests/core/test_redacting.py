"""No secret stands in the log: in a message, its arguments, a traceback, or the value of a setting."""

import io
import logging

import pytest

from core import redacting
from core.redacting import MASK, Redacting, redacted

SECRET = "Sup3rS3cretValue99"


@pytest.fixture(autouse=True)
def fresh():
    redacting._values.cache_clear()
    yield
    redacting._values.cache_clear()


@pytest.fixture
def log():
    """A logger with the filter, and what it wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Redacting())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, stream


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"{{'Authorization': 'Basic {SECRET}='}}",
        f'"authorization": "GenieKey {SECRET}"',
        f"b'authorization', b'Bearer {SECRET}'",
        f"Cookie: sessionid={SECRET}; csrftoken={SECRET}",
        f"POST /in/generic/{SECRET} failed",
        f"Internal Server Error: /l/{SECRET}:abc:def",
        f"https://oncall.example.com/ical/{SECRET}.ics",
        f"GET /postmortems/shared/{SECRET}/images/1 500",
        f"POST /status/link/{SECRET} 500",
        f"the key wb_0123456789ab_{SECRET} is not known",
        f"whsec_{SECRET}",
        f"xoxb-{SECRET}",
        f"https://api.telegram.org/bot123456:AA{SECRET}/sendMessage",
        f"https://hooks.slack.com/services/T0/B0/{SECRET}",
        f"https://discord.com/api/webhooks/1234/{SECRET}",
        f"postgres://watchbill:{SECRET}@db/watchbill",
        f"smtp+tls://user:{SECRET}@mail:587",
        f'{{"routing_key": "{SECRET}"}}',
        f"password={SECRET}&next=/",
        f"auth_token: '{SECRET}'",
        f"client_secret={SECRET}",
    ],
)
def test_what_looks_like_a_secret_is_masked(text):
    assert SECRET not in redacted(text)
    assert MASK in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "The incident 42 was acknowledged by Alice.",
        "Could not reach https://hooks.example.com: it answered 503.",
        "The event 0199f0c2a4b87f6e8a3d0c1b2a394857 could not be decided.",
        "GET /incidents/42 took 3 s",
        "kube-system/coredns-5d78c9869d-abcde is down",
        "There is no source “x”. Use /in/<source>/<key> with one of: generic.",
        "The token has expired. Log in again.",
    ],
)
def test_an_ordinary_line_stays_as_it_is(text):
    assert redacted(text) == text


def test_arguments_are_masked_too(log):
    logger, stream = log
    logger.warning("Refused %s with %r", "/in/grafana/" + SECRET, {"Authorization": "Bearer " + SECRET})
    assert SECRET not in stream.getvalue() and "/in/grafana/" in stream.getvalue()


def test_a_traceback_is_masked_too(log):
    logger, stream = log
    try:
        raise ValueError(f"https://user:{SECRET}@hooks.example.com")
    except ValueError:
        logger.exception("It broke")
    assert SECRET not in stream.getvalue()
    assert "Traceback" in stream.getvalue() and "hooks.example.com" in stream.getvalue()


def test_a_line_whose_arguments_do_not_fit_is_not_lost(log):
    logger, stream = log
    logger.warning("%d of %d", *["one"])
    assert "of" in stream.getvalue() and "one" in stream.getvalue()


def test_the_secrets_of_the_settings_are_masked_wherever_they_stand(settings):
    settings.SECRET_KEY, settings.ENCRYPTION_KEYS = "a-key-of-the-settings", ["another-key-of-them"]
    settings.DATABASE_URL = "postgres://u:p%40ssw0rd-db@host/name"
    settings.PROVIDERS = {"twilio": {"auth_token": "0123456789twilio", "account_sid": "AC1234567890"}}
    settings.OIDC_PROVIDERS = [{"id": "corp", "client_secret": "a-secret-of-corp"}]
    words = (
        "a-key-of-the-settings another-key-of-them p@ssw0rd-db p%40ssw0rd-db 0123456789twilio a-secret-of-corp "
        "AC1234567890"
    )
    assert redacted(words) == f"{MASK} {MASK} {MASK} {MASK} {MASK} {MASK} AC1234567890"
