"""Scripts of others in our pages: stored in every text there is, or sent along in an address."""

from urllib.parse import quote

import pytest
from django.contrib import admin
from django.test import Client

from accounts.models import AuditEntry
from alerts.event import clean_links
from core import limits
from notifications import outbox
from notifications.models import Notification
from tests import factories
from tests.attacks import addresses, planted
from tests.attacks.test_csrf import READS, VALUES, is_exempt
from tests.fakes.smtp import mail_server

pytestmark = pytest.mark.django_db


@pytest.fixture
def house(service, alice):
    return planted.company(service, alice)


@pytest.fixture
def browser(alice):
    """Its own name for itself is an attack too: it stands in the list of sessions."""
    client = Client(headers={"user-agent": f"Mozilla {planted.TEXTS[1]}"})
    client.force_login(alice)
    client.get("/settings/sessions")
    return client


def text_of(answer):
    return b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode("utf-8", "replace")


def is_page(answer):
    return answer.headers.get("Content-Type", "").startswith(("text/html", "image/svg"))


def walked(browser, paths):
    """`{path: what works of the attacks}`, and how many pages there were."""
    found, shown = {}, 0
    for path in paths:
        limits.forget()
        answer = browser.get(path)
        if answer.status_code >= 500:
            found[path] = answer.status_code
        elif answer.status_code == 200 and is_page(answer):
            shown += 1
            if smuggled := planted.smuggled(text_of(answer)):
                found[path.partition("?")[0]] = smuggled[:4]
    return found, shown


@pytest.mark.parametrize("text", planted.TEXTS)
def test_the_reader_of_these_tests_sees_an_attack_that_came_through(text):
    raw = f'<title>{text}</title><a href="{text}">x</a><p title="{text}">{text}</p><textarea>{text}</textarea>'
    assert planted.smuggled(raw + planted.RUN * ("{{" in text))


def test_what_is_escaped_is_no_attack():
    assert (
        planted.smuggled(f"<p title='{quote(planted.SCRIPT)}'>&lt;script&gt;{planted.MARK}&lt;/script&gt;</p>") == []
    )


def test_nothing_stored_runs_in_any_page(house, browser):
    found, shown = walked(browser, planted.paths_of(house))
    assert found == {} and shown > 30


def test_the_pages_do_show_what_was_planted(house, browser):
    """Else the test above would prove nothing."""
    shown = [path for path in planted.paths_of(house) if planted.MARK in text_of(browser.get(path))]
    assert len(shown) > 20, shown


def test_nothing_stored_runs_in_the_admin(house, browser):
    found, shown = walked(browser, planted.admin_paths())
    assert found == {} and shown > len(admin.site._registry)


def test_nothing_sent_along_runs_in_any_page(house, browser):
    """In every field of every search and in those that pages read from their address."""
    names = "q search query page next user role zone at start end of state status service team severity source kind"
    names = f"{names} by verb from since until view span object days text title reason condition labels error code iss"
    paths = []
    values = {**VALUES, "number": house.incident.pk, "slug": house.schedule.slug}
    for route, pattern in addresses.pages():
        if route not in READS and not is_exempt(pattern):
            for text in (planted.TEXTS[1], planted.TEXTS[3], planted.TEXTS[4]):
                query = "&".join(f"{name}={quote(text)}" for name in names.split())
                paths.append(f"{addresses.fill(route, values)}?{query}")
    found, shown = walked(browser, paths)
    assert found == {} and shown > 60


def test_nothing_in_a_path_runs_on_the_page_that_says_it_is_not_there(house, browser):
    for text in planted.TEXTS:
        for prefix in ("/", "/schedules/", "/incidents/", "/l/", "/invitation/", "/reset/", "/admin/", "/ical/"):
            limits.forget()
            answer = browser.get(prefix + quote(text, safe=""))
            assert not is_page(answer) or planted.smuggled(text_of(answer)) == [], (prefix, text)


def test_nothing_in_a_form_that_is_shown_again_runs(house, browser, alice):
    for path, form in {
        "/login": ("username", "password", "next"),
        "/reset": ("email",),
        "/incidents/new": ("title", "description", "service", "severity"),
        "/silences/new": ("condition", "reason", "service", "ends_at"),
        "/maintenance/new": ("name", "reason", "condition"),
        "/heartbeats/new": ("name", "description", "interval_seconds"),
        "/settings/profile": ("profile-name", "profile-time_zone", "name", "time_zone"),
        "/settings/contacts/new/email": ("address", "label"),
        "/settings/tokens": ("name", "scopes"),
        "/people/invite": ("email", "name"),
        f"/schedules/{house.schedule.slug}/overrides": ("start", "end", "user", "reason", "zone", "next"),
        "/shifts/time-off": ("start_at", "end_at", "reason", "start", "end"),
    }.items():
        for text in planted.TEXTS:
            limits.forget()
            client = Client() if path in ("/login", "/reset") else browser
            answer = client.post(path, dict.fromkeys(form, text))
            assert answer.status_code < 500
            if answer.status_code != 302 and is_page(answer):
                assert planted.smuggled(text_of(answer)) == [], (path, text)


def test_answers_that_are_no_pages_are_never_taken_for_one(house, browser):
    """JSON, CSV and calendars have the texts as they are: the browser must not guess what they are."""
    paths = ["/api/v1/incidents", "/api/v1/alerts", "/api/v1/services", "/api/schema", "/audit/export.csv"]
    for path in [*paths, "/api/v1/nothing<script>", "/sw.js", "/manifest.webmanifest"]:
        answer = browser.get(path)
        assert not is_page(answer), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path


@pytest.mark.parametrize(
    "href",
    [
        planted.TEXTS[5],
        " javascript:x",
        "java\nscript:x",
        "\x01javascript:x",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "https:evil",
        planted.SCRIPT,
    ],
)
def test_a_link_of_an_alert_leads_to_a_web_page_or_is_none(href):
    assert all(
        one["href"].startswith(("https://", "http://")) for one in clean_links([{"href": href, "text": "x"}, href])
    )


def test_nothing_runs_in_a_mail(house, settings, now):
    rows = [row for row in Notification.objects.filter(channel="email", user__isnull=False)]
    assert rows
    for row in rows:
        method = factories.ContactMethodFactory(user=row.user, address=f"m{row.pk}@example.com")
        Notification.objects.filter(pk=row.pk).update(
            contact_method=method, state=Notification.State.PENDING, due_at=now, lease_until=None
        )
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.host, server.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        outbox.deliver(now=now)
        mails = server.mails
    assert mails
    for mail in mails:
        part = mail.get_body(("html",))
        assert part is not None and planted.smuggled(part.get_content()) == []


def test_the_audit_shows_an_attack_as_text(house, browser):
    entry = AuditEntry.objects.filter(object_name=planted.SCRIPT).first()
    page = text_of(browser.get(f"/audit/{entry.pk}"))
    assert "&lt;script&gt;" in page and planted.smuggled(page) == []
