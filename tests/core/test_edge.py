"""What stands around Django: which other sites may use the API, and how much a request may send."""

import asyncio

import pytest

from core.bodies import Bodies
from core.cors import Cors

LISTED, FOREIGN = "https://status.example.com", "https://evil.example"


async def echo(scope, receive, send):
    """An application that reads the whole body and says how long it was."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-size", b"%d" % size)]})
    await send({"type": "http.response.body", "body": b"ok"})


def ask(app, path="/api/v1/incidents", method="GET", headers=(), chunks=(b"",)):
    """The status and the headers of one request."""
    sent, left = [], list(chunks)
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in dict(headers).items()],
    }

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start = sent[0]
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}


def test_by_default_no_other_site_may_use_the_api():
    for headers in ({"origin": FOREIGN}, {"origin": "null"}, {"origin": FOREIGN, **PREFLIGHT}):
        _, answer = ask(Cors(echo), headers=headers, method="OPTIONS")
        assert not any(name.startswith("access-control") for name in answer)


def test_a_listed_site_may_read_answers_but_never_with_cookies(settings):
    settings.CORS_ALLOWED_ORIGINS = [LISTED]
    status, answer = ask(Cors(echo), headers={"origin": LISTED})
    assert (status, answer["access-control-allow-origin"], answer["vary"]) == (200, LISTED, "Origin")
    assert "retry-after" in answer["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer


def test_a_listed_site_may_ask_before_it_sends(settings):
    settings.CORS_ALLOWED_ORIGINS = [LISTED]
    status, answer = ask(Cors(echo), method="OPTIONS", headers={"origin": LISTED, **PREFLIGHT})
    assert (status, answer["access-control-allow-origin"]) == (204, LISTED)
    assert "POST" in answer["access-control-allow-methods"]
    assert {"authorization", "idempotency-key"} <= set(answer["access-control-allow-headers"].split(", "))
    assert "access-control-allow-credentials" not in answer


@pytest.mark.parametrize(
    "origin",
    [FOREIGN, "null", "http://status.example.com", "https://status.example.com.evil.example", LISTED + ":8443", "*"],
)
def test_a_site_that_is_not_listed_reads_nothing(settings, origin):
    settings.CORS_ALLOWED_ORIGINS = [LISTED]
    for method, headers in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        _, answer = ask(Cors(echo), method=method, headers={"origin": origin, **headers})
        assert "access-control-allow-origin" not in answer
        assert answer["vary"] == "Origin"


def test_pages_are_never_for_other_sites(settings):
    settings.CORS_ALLOWED_ORIGINS = [LISTED]
    _, answer = ask(Cors(echo), path="/settings", headers={"origin": LISTED})
    assert "access-control-allow-origin" not in answer


def test_a_body_within_the_limit_arrives_whole(settings):
    settings.MAX_BODY_BYTES = 100
    assert ask(Bodies(echo), chunks=(b"x" * 60, b"x" * 40)) == (200, {"x-size": "100"})


@pytest.mark.parametrize(
    "headers", [{}, {"content-length": "5"}, {"content-length": "101"}, {"content-length": "9" * 40}]
)
def test_a_body_beyond_the_limit_is_refused_whatever_its_length_says(settings, headers):
    settings.MAX_BODY_BYTES = 100
    status, answer = ask(Bodies(echo), method="POST", headers=headers, chunks=(b"x" * 60, b"x" * 41, b"x" * 10**6))
    assert status == 413
    assert (answer["cache-control"], answer["connection"]) == ("no-store", "close")


def test_no_more_is_read_than_is_needed_to_refuse(settings):
    settings.MAX_BODY_BYTES = 100
    chunks = [b"x" * 101] + [b"x" * 1000] * 50
    left = list(chunks)
    sent = []

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/login", "method": "POST", "headers": []}
    asyncio.run(Bodies(echo)(scope, receive, send))
    assert (sent[0]["status"], len(left)) == (413, 50)
