"""The pages of incidents and of their alerts, as a person without scripts sees them."""

import datetime as dt
import re

import pytest
from django.conf import settings as project
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.views.defaults import server_error

from accounts.models import Role
from core.templatetags import pages
from incidents import lifecycle, timeline
from incidents.models import Incident
from notifications import alarms
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now() - MINUTE)


@pytest.fixture
def page_of(alice, bob):
    """A function that signs somebody in and gets a page as text, with white space as a browser shows it."""

    def get(path, *, user=bob, **headers):
        client = Client()
        client.force_login(user)
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200, answer.status_code
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))

    return get


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


@pytest.mark.parametrize(
    "path", ["/", "/incidents", "/incidents/new", "/incidents/1", "/incidents/1/alerts", "/oncall"]
)
def test_every_page_asks_who_you_are(client, db, path):
    assert client.get(path).headers["Location"] == f"/login?next={path}"


def test_signing_in_with_the_address_in_any_case(client, db):
    factories.UserFactory(email="dora@example.com", password="long and winding")
    answer = client.post("/login", {"username": "Dora@Example.com", "password": "long and winding"})
    assert answer.headers["Location"] == "/"


def test_a_wrong_password_is_said_in_words(client, bob):
    answer = client.post("/login", {"username": bob.email, "password": "guess"})
    assert b"do not belong together" in answer.content
    assert f'value="{bob.email}"'.encode() in answer.content


def test_a_broken_copy_of_a_policy_does_not_hide_the_incidents(incident, page_of):
    Incident.objects.update(policy={"name": "Shop", "levels": [{"number": 1}]})
    assert "Checkout is down" in page_of("/") and "Checkout is down" in page_of(f"/incidents/{incident.pk}")


def test_alarms_of_the_system_are_loud(page_of, db):
    alarms.raise_alarm("tests", "No channel could reach Alice.", now=timezone.now())
    assert "itself needs help No channel could reach Alice." in page_of("/")
    alarms.clear_alarm("tests", now=timezone.now())
    assert "itself needs help" not in page_of("/")


def test_an_incident_shows_its_people_and_why_they_were_paged(incident, page_of):
    text = page_of(f"/incidents/{incident.pk}")
    assert "Level 1, round 1: Alice paged." in text
    assert "Level 1: Alice, named in the policy." in text and "Alice by email at once." in text
    assert "Who was paged Alice Pending" in text
    assert re.search(r"waiting 1 m \d+ s ?, target in 1 m \d+ s", text)


def test_the_buttons_are_the_legal_verbs(incident, bob, signed_in):
    def buttons():
        content = signed_in.get(f"/incidents/{incident.pk}").content.decode()
        return set(re.findall(rf"action=\"/incidents/{incident.pk}/do/([\w-]+)", content))

    always, while_open = {"note", "edit", "add-task", "update", "follow"}, {"join", "add-responder"}
    assert buttons() == {"acknowledge", "resolve", "escalate", "reassign", "snooze", *always, *while_open}
    lifecycle.acknowledge(incident.pk, by=bob, now=timezone.now())
    assert buttons() == {"start", "remediate", "resolve", "escalate", "reassign", "snooze", *always, *while_open}
    lifecycle.resolve(incident.pk, by=bob, now=timezone.now())
    assert buttons() == {"close", *always}
    lifecycle.close(incident.pk, by=bob, now=timezone.now())
    assert buttons() == {"note", "follow"}


def do(client, incident, verb, **form):
    return client.post(f"/incidents/{incident.pk}/do/{verb}", form, follow=True).content.decode()


def test_acknowledging_on_the_page(incident, bob, signed_in):
    assert "Nobody else is called." in do(signed_in, incident, "acknowledge")
    incident.refresh_from_db()
    assert (incident.acknowledged_by, incident.timeline.last().via) == (bob, "web")


def test_no_form_leads_to_a_foreign_site(incident, signed_in):
    for url in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", "nowhere"):
        answer = signed_in.post(f"/incidents/{incident.pk}/do/escalate", {"next": url})
        assert answer.headers["Location"] == f"/incidents/{incident.pk}"


def test_the_whole_way_on_the_page(incident, alice, signed_in):
    for verb in ("acknowledge", "start", "remediate"):
        do(signed_in, incident, verb)
    assert "It was the cache." in do(signed_in, incident, "note", text="It was the cache.")
    assert "Reassigned to Alice by Bob." in do(signed_in, incident, "reassign", to=alice.pk)
    do(signed_in, incident, "resolve", note="Restarted the cache.")
    assert "Resolution:</strong> Restarted the cache." in do(signed_in, incident, "close")
    incident.refresh_from_db()
    assert incident.status == "closed"


def test_an_illegal_move_is_a_message(incident, signed_in):
    assert "Acknowledge it first." in do(signed_in, incident, "start")


@pytest.mark.parametrize("to", ["", "x", "9999999999999999999999", "9" * 5000, "1\0"])
def test_reassigning_to_nobody_asks_for_a_person(incident, signed_in, to):
    assert "Choose the person" in do(signed_in, incident, "reassign", to=to)


def test_an_unknown_verb_does_not_exist(incident, signed_in):
    assert signed_in.post(f"/incidents/{incident.pk}/do/delete").status_code == 404


def test_a_verb_needs_a_post_and_the_token_of_its_form(incident, bob):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(bob)
    assert strict.get(f"/incidents/{incident.pk}/do/acknowledge").status_code == 405
    refused = strict.post(f"/incidents/{incident.pk}/do/acknowledge")
    assert refused.status_code == 403 and b"reload the page" in refused.content
    incident.refresh_from_db()
    assert incident.status == "triggered"


def test_observers_read_and_have_no_buttons(incident, client):
    client.force_login(factories.UserFactory(role=Role.OBSERVER))
    for path in ("/", f"/incidents/{incident.pk}"):
        verbs = set(re.findall(rb"action=\"/incidents/\d+/do/([\w-]+)", client.get(path).content))
        assert verbs <= {b"follow"}, path  # to be told of updates takes no role
    assert client.post(f"/incidents/{incident.pk}/do/acknowledge").status_code == 403
    assert client.get("/incidents/new").status_code == 403
    incident.refresh_from_db()
    assert incident.status == "triggered"


def test_observers_are_not_offered_work(incident, signed_in):
    observer = factories.UserFactory(role=Role.OBSERVER, name="Olga")
    assert b"Olga" not in signed_in.get(f"/incidents/{incident.pk}").content
    assert "Choose the person" in do(signed_in, incident, "reassign", to=observer.pk)


def test_opening_an_incident_by_hand_pages(service, bob, signed_in):
    form = {"service": "checkout", "severity": "high", "title": "Nobody can pay", "description": "Since noon."}
    answer = signed_in.post("/incidents/new", form)
    opened = Incident.objects.get()
    assert answer.headers["Location"] == f"/incidents/{opened.pk}"
    assert (opened.title, opened.priority, opened.timeline.first().by) == ("Nobody can pay", "P2", bob)
    assert opened.timeline.filter(kind="paged").exists()


def test_zero_bytes_in_what_people_write_are_left_out(service, signed_in):
    form = {"service": "check\0out", "severity": "high", "title": "Nobody\0 can pay", "description": "\0Since noon."}
    signed_in.post("/incidents/new", form)
    opened = Incident.objects.get()
    assert (opened.title, opened.description) == ("Nobody can pay", "Since noon.")
    assert "It was the cache." in do(signed_in, opened, "note", text="It was\0 the cache.")
    do(signed_in, opened, "resolve", note="Restarted\0 it.")
    opened.refresh_from_db()
    assert opened.resolution_note == "Restarted it."


def test_a_service_of_zero_bytes_asks_for_a_service(service, signed_in):
    answer = signed_in.post("/incidents/new", {"service": "\0", "severity": "high", "title": "Nobody can pay"})
    assert answer.status_code == 400 and b"Choose the service" in answer.content


def test_a_form_that_is_not_complete_keeps_what_was_typed(service, signed_in):
    form = {"service": "checkout", "severity": "high", "title": "  ", "description": "Since noon."}
    answer = signed_in.post("/incidents/new", form)
    assert answer.status_code == 400
    assert b"one line that says what is wrong" in answer.content and b"Since noon." in answer.content
    assert b'<option value="checkout" selected>' in answer.content


def test_a_page_answers_its_fragments_alone(incident, signed_in):
    path = f"/incidents/{incident.pk}"
    answer = signed_in.get(path, headers={"X-Fragment": "head,timeline"})
    assert b"<html" not in answer.content
    assert re.findall(rb'data-fragment="(\w+)"', answer.content) == [b"head", b"timeline", b"messages"]
    assert "X-Fragment" in answer.headers["Vary"] and "no-store" in answer.headers["Cache-Control"]
    assert re.findall(rb'data-fragment="(\w+)"', signed_in.get("/incidents?fragment=rows").content) == [
        b"rows",
        b"messages",
    ]
    assert signed_in.get("/?fragment=nonsense").status_code == 404


def test_what_people_write_is_shown_as_text(service, signed_in):
    evil = "<script>alert(1)</script>"
    opened = lifecycle.trigger(service, title=evil, description=evil, severity="high", now=timezone.now())
    do(signed_in, opened, "note", text=evil)
    for path in ("/", f"/incidents/{opened.pk}"):
        content = signed_in.get(path).content
        assert evil.encode() not in content and b"&lt;script&gt;" in content


def test_a_very_long_timeline_begins_with_its_end(incident, signed_in):
    for number in range(201):
        factories.TimelineEntryFactory(incident=incident, text=f"note {number}.")
    content = signed_in.get(f"/incidents/{incident.pk}").content
    assert b"Show 3 older entries" in content and b"note 0." not in content
    assert b"note 0." in signed_in.get(f"/incidents/{incident.pk}?all").content


@pytest.mark.parametrize("path", ["/incidents/4711", "/incidents/99999999999999999999999999", "/nowhere"])
def test_what_is_not_there_leads_on(signed_in, path):
    answer = signed_in.get(path)
    assert answer.status_code == 404 and b"Go to the open incidents" in answer.content


def test_the_page_after_a_crash_needs_no_database(rf):
    answer = server_error(rf.get("/"))
    assert answer.status_code == 500 and b"/health/ready" in answer.content


def test_alerts_are_a_panel_and_a_page(incident, service, page_of, signed_in):
    factories.AlertFactory(incident=incident, service=service, title="Errors above 5 %", labels={"env": "prod"})
    path = reverse("alerts:panel", args=[incident.pk])
    assert f'hx-get="{path}"' in signed_in.get(f"/incidents/{incident.pk}").content.decode()
    assert "Errors above 5 % Firing" in page_of(path) and "env=prod" in page_of(path)
    assert b"<html" not in signed_in.get(path, headers={"X-Fragment": "panel"}).content


def test_no_page_needs_inline_scripts_or_foreign_addresses(incident, signed_in):
    for path in ("/", "/incidents", f"/incidents/{incident.pk}", "/incidents/new", "/oncall", "/nowhere"):
        content = signed_in.get(path).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)", content)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", content)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", content)


@pytest.mark.parametrize(
    "name",
    [
        "watchbill.css",
        "oncall.css",
        "live.js",
        "link.js",
        "times.js",
        "fragments.js",
        "messages.js",
        "app.js",
        "copy.js",
    ],
)
def test_scripts_and_styles_name_no_foreign_address(name):
    folder = project.BASE_DIR / "static" / name.rpartition(".")[2]
    # “innerHTML” in quotes is the name of a way to morph, and no HTML that is written.
    assert not re.search(r"https?://|@import|\beval\b|[^\"]innerHTML", (folder / name).read_text())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (42, "42 s"), (190, "3 m 10 s"), (8040, "2 h 14 m"), (273_600, "3 d 4 h")],
)
def test_spans_in_words(seconds, text):
    assert pages.words(seconds) == text


def test_a_time_is_relative_with_the_absolute_one_in_the_readers_zone(now):
    said = pages.since({"now": now, "zone": "Europe/Berlin"}, now - 3 * MINUTE)
    assert said == (
        '<time datetime="2026-06-01T11:57:00+00:00" title="Mon 01 Jun 2026, 13:57:00 CEST" data-relative="ago">'
        "3 m 0 s ago</time>"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(190, "in 3 m 10 s"), (1, "in 1 s"), (0, "now"), (-29, "now"), (-31, "31 s late")]
)
def test_what_is_due_is_soon_or_now_or_late(now, seconds, text):
    assert pages.relative("in", now + dt.timedelta(seconds=seconds), now) == text


def test_a_note_is_markdown_and_what_the_system_says_is_not(incident, bob, now):
    lifecycle.add_note(incident.pk, text="The **disk** is full <b>now</b>, see `df`.", by=bob, now=now)
    timeline.record(incident, "changed", "Title **kept**.", at=now, via="web")
    client = Client()
    client.force_login(bob)
    page = client.get(f"/incidents/{incident.pk}").content.decode()
    assert "The <strong>disk</strong> is full &lt;b&gt;now&lt;/b&gt;, see <code>df</code>." in page
    assert "Title **kept**." in page
