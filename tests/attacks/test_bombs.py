"""Small requests that would become large work: packed, deep, long, or in very many parts.

The door for alerts has the like in tests/alerts (test_fuzz.py, test_sources_any.py), every field of the API in
tests/api/test_bad_input.py, calendars in tests/oncall (test_ical.py, test_imports.py).
"""

import gzip
import zlib

import pytest
from aiohttp import web
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from alerts.models import InboundEvent
from core import http, limits
from incidents.models import Incident
from oncall.models import CalendarImport
from tests import factories
from tests.alerts.test_door import server as server
from tests.fakes.server import Server, running

UNPACKED = b"[" + b"0," * 8_000_000 + b"0]"  # 16 MB that become 16 KB
PACKED = {"gzip": gzip.compress(UNPACKED), "deflate": zlib.compress(UNPACKED)}
DEEP = {"lists": b"[" * 200_000, "objects": b'{"a":' * 200_000, "closed": b"[" * 50_000 + b"]" * 50_000}


@pytest.fixture
def browser(alice):
    client = Client()
    client.force_login(alice)
    return client


# --- packed ---------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("coding", PACKED)
def test_the_door_unpacks_nothing(server, service, coding):
    """What is packed is taken as the bytes that it is, or refused: never as what it would become."""
    integration = factories.IntegrationFactory(service=service)
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    reply = server.post(f"/in/generic/{integration.key}", PACKED[coding], headers)
    assert reply.status in (202, 400, 413, 415)
    assert all(len(bytes(row.body)) <= len(PACKED[coding]) for row in InboundEvent.objects.all())


@pytest.mark.django_db
@pytest.mark.parametrize("coding", PACKED)
def test_the_api_unpacks_nothing(browser, coding):
    for path in ("/api/v1/incidents", "/api/v1/calendar-imports", "/api/v1/silences"):
        answer = browser.generic(
            "POST", path, PACKED[coding], content_type="application/json", headers={"Content-Encoding": coding}
        )
        assert answer.status_code == 400
    assert not Incident.objects.exists()


class Packer(Server):
    """A web server whose every answer is a bomb."""

    def routes(self, app):
        app.router.add_route("*", "/{path:.*}", self._answer)

    async def _answer(self, request):
        coding = request.match_info["path"]
        return web.Response(body=PACKED[coding], headers={"Content-Encoding": coding, "Content-Type": "text/plain"})


@pytest.mark.parametrize("coding", PACKED)
def test_answers_of_others_are_not_unpacked(settings, coding):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with running(Packer()) as packer:
        reply = http.get(packer.url(f"/{coding}"), body_bytes=1024 * 1024)
    assert len(reply.body) <= len(PACKED[coding])


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["a.ics", "a.ics.gz"])
def test_an_uploaded_calendar_is_not_unpacked(browser, team, name):
    schedule = factories.ScheduleFactory(team=team)
    upload = SimpleUploadedFile(name, PACKED["gzip"], content_type="text/calendar")
    form = {
        "name": "Bomb",
        "schedule": schedule.pk,
        "kind": "shifts",
        "upload": upload,
        "file": upload,
        "_save": "Save",
    }
    answer = browser.post(reverse("admin:oncall_calendarimport_add"), form)
    assert answer.status_code == 200
    assert not CalendarImport.objects.exists()


# --- deep and long --------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("depth", DEEP)
def test_pages_that_read_json_survive_a_deep_one(browser, depth):
    for path in ("/push/subscribe", "/push/unsubscribe", "/push/receipt"):
        answer = browser.post(path, DEEP[depth], content_type="application/json")
        assert answer.status_code in (204, 400, 403), path
    for path in ("/slack/interactive", "/slack/events", "/telegram/webhook", "/mail/bounces"):
        limits.forget()
        answer = Client().post(path, DEEP[depth], content_type="application/json")
        assert answer.status_code in (400, 401, 403, 404, 413), path


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["9" * 5000, "1e400", "-1e400", "1" + "0" * 4299, "0." + "1" * 5000])
def test_a_number_beyond_all_bounds_is_refused(browser, service, number):
    body = f'{{"service": "{service.slug}", "title": "x", "severity": {number}}}'
    assert browser.post("/api/v1/incidents", body, content_type="application/json").status_code == 400
    limits.forget()
    for query in ("page", "number", "at", "limit", "cursor", "user"):
        assert browser.get(f"/api/v1/incidents?{query}={number}").status_code in (200, 400, 404), query


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["9" * 19, "9" * 30, "9" * 4000])
def test_a_number_in_an_address_that_no_row_can_have_is_not_there(browser, number):
    for path in (
        f"/incidents/{number}",
        f"/audit/{number}",
        f"/settings/contacts/{number}",
        f"/api/v1/alerts/{number}",
    ):
        limits.forget()
        assert browser.get(path).status_code == 404, path
    for path in (
        f"/settings/rules/{number}/remove",
        f"/settings/sessions/{number}/end",
        f"/incidents/{number}/do/note",
    ):
        assert browser.post(path).status_code in (302, 404), path
    assert browser.get(f"/?page={number}").status_code in (200, 404)
    assert browser.get(f"/alerts?page={number}").status_code in (200, 404)


@pytest.mark.django_db
def test_long_names_and_long_values_are_refused_or_cut(browser, service):
    long = "x" * 1_000_000
    answer = browser.post(
        "/api/v1/incidents",
        {"service": service.slug, "title": long, "severity": "high", long: 1},
        content_type="application/json",
    )
    assert answer.status_code == 400 and len(answer.content) < 10_000
    limits.forget()
    form = {"title": long, "service": service.pk, "severity": "high", "description": long}
    assert browser.post("/incidents/new", form).status_code in (200, 302, 400)
    for incident in Incident.objects.all():
        assert len(incident.title) <= 1000
    for name in ("q", "next", "search", "state"):
        assert browser.get("/", {name: long[:60_000]}).status_code < 500


# --- in very many parts ---------------------------------------------------------------------------------------
def multipart(parts, *, filename=""):
    named = f'; filename="{filename}"' if filename else ""
    one = f'--b\r\nContent-Disposition: form-data; name="a"{named}\r\n\r\nx\r\n'
    return one.encode() * parts + b"--b--\r\n"


@pytest.mark.logs_errors
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (multipart(60_000), "multipart/form-data; boundary=b"),
        (multipart(100, filename="f"), "multipart/form-data; boundary=b"),
        (b"a=1&" * 100_000, "application/x-www-form-urlencoded"),
        (b"--b\r\n" * 200_000, "multipart/form-data; boundary=b"),
        (multipart(3), f"multipart/form-data; boundary={'b' * 5000}"),
        (b"x", "multipart/form-data"),
    ],
    ids=["parts", "files", "fields", "empty parts", "a long boundary", "no boundary"],
)
def test_a_form_in_very_many_parts_is_refused_with_a_sentence(db, alice, body, kind):
    for path in ("/login", "/reset", "/settings/profile", "/l/" + "A" * 43, "/mail/bounces", "/slack/commands"):
        limits.forget()
        client = Client()
        client.force_login(alice)
        answer = client.generic("POST", path, body, content_type=kind)
        assert answer.status_code in (200, 302, 400, 401, 403, 404, 413), (path, answer.status_code)
        if answer.status_code == 400:
            assert len(answer.content) < 100_000


@pytest.mark.logs_errors
@pytest.mark.django_db
def test_very_many_fields_in_an_address_are_refused_or_left_alone(browser):
    for path in ("/", "/alerts", "/silences", "/schedules", "/audit", "/api/v1/incidents", "/admin/catalog/service/"):
        limits.forget()
        answer = browser.get(path, QUERY_STRING="&".join(f"a{n}=1" for n in range(5000)))
        assert answer.status_code < 500, path
        answer = browser.get(path, QUERY_STRING="state=open&" * 5000)
        assert answer.status_code < 500, path
