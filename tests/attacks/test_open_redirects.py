"""A link to us that leads elsewhere: every `next` and everything else that an answer might lead to."""

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.test import Client

from core import limits
from tests import factories
from tests.accounts.test_second_factor import code, first_step, second_step, with_app  # noqa: F401
from tests.accounts.test_second_factor import dora as dora
from tests.accounts.test_single_sign_on import corp, running, sign_in  # noqa: F401
from tests.attacks import addresses
from tests.attacks.test_csrf import READS, VALUES

pytestmark = pytest.mark.django_db
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "HtTpS://evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "//testserver@evil.example",
    "https://testserver@evil.example",
    "https://testserver.evil.example",
    "https://testserver\\@evil.example",
    "/%09/evil.example",
    "/%5cevil.example",
    "//evil%E3%80%82example",
    "\x00//evil.example",
    "/..//evil.example",
    "ftp://testserver/",
]


def leads_home(address):
    """Whether a browser at this site stays at it, with what it does to `\\` and control characters (WHATWG URL)."""
    seen = "".join(sign for sign in address if sign not in "\t\n\r").strip("".join(map(chr, range(33))))
    seen = seen.replace("\\", "/")
    there = urlsplit(seen)
    if there.scheme or seen.startswith("//"):
        return there.scheme in ("http", "https") and there.netloc == "testserver"
    return True


def test_the_judge_of_these_tests_knows_where_they_lead():
    away = [one for one in ELSEWHERE if not leads_home(one)]
    assert len(away) > 18 and leads_home("/shifts") and leads_home("http://testserver/shifts")


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_no_page_leads_elsewhere_whatever_it_is_asked(alice, wanted):
    """Every address without an argument, as somebody and as nobody, with the wish in the query and in the form."""
    led = []
    for person in (alice, None):
        client = Client()
        if person:
            client.force_login(person)
        for path in (
            "/login",
            "/logout",
            "/account/security",
            "/account/confirm",
            "/admin/login/",
            "/reset",
            "/shifts",
        ):
            for method in ("get", "post"):
                limits.forget()
                names = dict.fromkeys(("next", "then", "back", "url", "redirect", "return_to", "continue"), wanted)
                target = f"{path}?next={quote(wanted)}"
                answer = getattr(client, method)(target, names if method == "post" else None)
                if answer.has_header("Location") and not leads_home(answer["Location"]):
                    led.append((method, path, answer["Location"]))
                if method == "get" and answer.status_code == 200:
                    text = answer.content.decode()
                    if not leads_home(wanted) and f'href="{wanted}"' in text:
                        led.append((method, path, "a link"))
            if person:
                client.force_login(person)
    assert led == []


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_signing_in_in_two_steps_leads_home(client, with_app, wanted):  # noqa: F811
    first_step(client, with_app, next=wanted)
    answer = second_step(client, code())
    assert "_auth_user_id" in client.session
    assert leads_home(answer["Location"])


@pytest.mark.parametrize("wanted", ["//evil.example", "/\\evil.example", "javascript:alert(1)", "https:evil.example"])
def test_signing_in_through_a_provider_leads_home(client, corp, dora, wanted):  # noqa: F811
    answer = sign_in(client, corp, f"/login/sso/corp?next={quote(wanted)}")
    assert "_auth_user_id" in client.session and leads_home(answer["Location"])


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_acting_on_an_incident_leads_home(client, alice, service, wanted):
    incident = factories.IncidentFactory(service=service)
    client.force_login(alice)
    answer = client.post(f"/incidents/{incident.pk}/do/acknowledge", {"next": wanted})
    assert answer.status_code == 302 and leads_home(answer["Location"])


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_the_dialogs_of_a_schedule_lead_home(client, alice, team, wanted):
    schedule = factories.ScheduleFactory(team=team, people=[alice])
    client.force_login(alice)
    path = f"/schedules/{schedule.slug}/overrides/new"
    page = client.get(f"{path}?next={quote(wanted)}")
    assert page.status_code == 200
    if not leads_home(wanted):
        assert f'href="{wanted}"' not in page.content.decode()
    form = {"user": alice.pk, "start": "2030-01-01T00:00", "end": "2030-01-02T00:00", "next": wanted, "zone": "UTC"}
    answer = client.post(f"/schedules/{schedule.slug}/overrides", form)
    if answer.has_header("Location"):
        assert leads_home(answer["Location"])


def test_who_is_asked_to_sign_in_is_led_back_to_a_path_of_ours(client, db):
    """The address that was asked for is passed on, also when it looks like another site."""
    for path in ("//evil.example/", "/\\evil.example", "/incidents/1"):
        answer = client.get(path)
        if answer.has_header("Location"):
            assert leads_home(answer["Location"])
            (wanted,) = parse_qs(urlsplit(answer["Location"]).query).get("next", ["/"])
            assert leads_home(client.get(f"/login?next={quote(wanted)}").wsgi_request.path)


def test_no_address_answers_with_a_redirect_to_elsewhere(client, alice):
    """Each address there is, once, with the wish under the usual names."""
    client.force_login(alice)
    led = []
    for route, _ in addresses.pages():
        if route in READS:
            continue
        limits.forget()
        answer = client.get(f"{addresses.fill(route, VALUES)}?next=//evil.example&url=//evil.example")
        if answer.has_header("Location") and not leads_home(answer["Location"]):
            led.append((route, answer["Location"]))
    assert led == []
