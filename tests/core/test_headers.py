"""What every answer tells the browser, whether Django makes it or the door."""

import pytest
from django.test import Client

from accounts.models import Role
from core import headers
from tests import factories

OURS = {
    "default-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "worker-src 'self'",
}


SECRETS = ("/l/some-token", "/ical/some-secret.ics", "/mail/updates/some-token")


def policy(answer):
    return set(answer.headers["Content-Security-Policy"].split("; "))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        *("/login", "/health", "/nothing/here", "/api/v1/incidents", "/api/nothing", "/sw.js"),
        *(
            "/status/partner",
            "/status/link/some-token",
            "/status/shop/subscribe",
            "/status/shop/unsubscribe/some-token",
        ),
    ],
)
def test_every_answer_is_guarded(client, path):
    answer = client.get(path)
    assert policy(answer) >= OURS
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] in ("same-origin", "strict-origin", "no-referrer")


def test_the_socket_of_live_pages_may_be_opened(client, db, settings):
    connect = next(one for one in policy(client.get("/health")) if one.startswith("connect-src"))
    assert connect.split()[1:] == ["'self'", f"ws{settings.PUBLIC_URL[4:]}"]


def test_only_the_admin_may_evaluate_what_its_skin_needs(client, alice):
    alice.role = Role.ADMIN
    alice.save()
    client.force_login(alice)
    found = policy(client.get("/admin/"))
    assert {"script-src 'self' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'", "default-src 'none'"} <= found
    assert "form-action 'self'" in found and "frame-ancestors 'none'" in found
    assert not any(one.startswith("script-src") and "unsafe-inline" in one for one in found)


def test_pages_with_people_and_secrets_are_not_kept(client, alice):
    client.force_login(alice)
    factories.StatusPageFactory(slug="shop", audience="public")
    ours = ("/", "/oncall", "/settings", "/notifications", "/api/v1/users", "/api/v1/integrations", "/login")
    for path in (*ours, "/status/partner", "/status/link/some-token", "/status/shop/subscribe"):
        assert "no-store" in client.get(path).headers["Cache-Control"], path


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*SECRETS, "/status/shop/unsubscribe/some-token"])
def test_an_address_with_a_secret_in_it_is_told_to_nobody(client, path):
    assert client.get(path).headers["Referrer-Policy"] == "no-referrer"


def test_a_form_at_an_address_with_a_secret_can_still_be_sent(client, alice):
    """With no-referrer a browser sends “Origin: null” with the form, and the check of its token refuses that."""
    client.force_login(alice)
    for path in ("/slack/link/some-token", "/status/link/some-token", "/status/shop/subscribe/some-token"):
        assert client.get(path).headers["Referrer-Policy"] == "strict-origin", path


def test_transport_is_strict_when_the_site_has_tls(client, db, settings):
    assert "Strict-Transport-Security" not in client.get("/health").headers
    settings.SECURE_HSTS_SECONDS = 31_536_000
    assert client.get("/health").headers["Strict-Transport-Security"] == "max-age=31536000"
    assert (b"strict-transport-security", b"max-age=31536000") in headers.plain()


def test_a_nonce_is_new_for_each_answer(settings, rf):
    from csp.middleware import CSPMiddleware
    from django.http import HttpResponse

    seen = set()
    for _ in range(3):
        middleware = CSPMiddleware(lambda request: HttpResponse(f'<style nonce="{request.csp_nonce}">'))
        answer = middleware(rf.get("/"))
        nonce = answer.content.decode().split('"')[1]
        assert f"'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        seen.add(nonce)
    assert len(seen) == 3


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "testserver.evil.example"])
def test_a_request_for_another_host_is_refused_with_a_sentence(client, db, settings, host):
    settings.ALLOWED_HOSTS = ["oncall.example.com", "127.0.0.1"]
    answer = client.get("/login", headers={"host": host})
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.content.decode() and host not in answer.content.decode()


def test_no_page_is_served_to_a_frame(client, db):
    assert "frame-ancestors 'none'" in policy(client.get("/login"))


def test_the_check_of_forms_is_on_for_sign_in(db, alice):
    careful = Client(enforce_csrf_checks=True)
    answer = careful.post("/login", {"username": alice.email, "password": "x"})
    assert answer.status_code == 403 and "too old" in answer.content.decode()
