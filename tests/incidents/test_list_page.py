"""The list of incidents, as a person without scripts sees it."""

import datetime as dt
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from incidents import lifecycle, searching
from incidents.models import Incident
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def incident(service):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now() - MINUTE)


@pytest.fixture
def page(bob):
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def text_of(page):
    """A function that gets a page as text, with white space as a browser shows it."""

    def get(path, **headers):
        answer = page.get(path, headers=headers)
        assert answer.status_code == 200, answer.status_code
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))

    return get


def shown(answer):
    return [int(number) for number in re.findall(rb'<tr role="row" id="incident-(\d+)"', answer.content)]


def test_the_list_says_what_is_wrong_who_has_it_and_who_is_called_next(incident, text_of):
    text = text_of("/incidents")
    assert f"#{incident.pk}" in text and "Checkout is down" in text and "P1 Critical" in text and "Triggered" in text
    assert re.search(r"Bob is called in [34] m \d+ s", text)
    assert "1 incident " in text


def test_a_list_that_counts_nothing_listens_from_the_newest_entry_on(page, service):
    long_ago = timezone.now() - dt.timedelta(days=30)
    over = factories.IncidentFactory(service=service, status="closed", triggered_at=long_ago)
    entry = factories.TimelineEntryFactory(incident=over)
    assert page.get("/incidents").context["latest"] == entry.pk


def test_a_broken_copy_of_a_policy_does_not_hide_the_incidents(incident, text_of):
    Incident.objects.update(policy={"name": "Shop", "levels": [{"number": 1}]})
    assert "Checkout is down" in text_of("/incidents")


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("", True),
        ("state=triggered", True),
        ("status=mine", False),
        ("state=nonsense", False),
        ("team=shop", True),
        ("team=other", False),
        ("q=DOWN", True),
        ("q=%00", True),
        ("team=%00", True),
        ("team=sh%00op", True),
        (f"q={'9' * 5000}", False),
        ("before=nonsense", True),
        ("after=1&before=1", True),
        ("sort=%F0%9F%94%A5", True),
    ],
)
def test_filters(incident, text_of, query, is_found):
    text = text_of(f"/incidents?{query}")
    assert ("Checkout is down" in text) is is_found
    assert ("No incident matches" in text) is not is_found


def test_what_is_wrong_in_an_address_is_said(incident, text_of):
    assert "“nonsense” is not a state." in text_of("/incidents?state=nonsense")
    assert "This page is not one of this list." in text_of("/incidents?before=nonsense")


def test_an_open_list_of_any_length_is_counted_to_the_last(service, page, monkeypatch):
    monkeypatch.setattr(searching, "A_PAGE", 2)
    monkeypatch.setattr(searching, "COUNTED", 3)
    for _ in range(7):
        factories.IncidentFactory(service=service, triggered_at=timezone.now())
    assert b'id="counted">7 incidents<' in page.get("/incidents?sort=oldest").content


def test_words_that_no_open_incident_has_can_be_looked_for_in_all(incident, bob, page):
    lifecycle.resolve(incident.pk, by=bob, now=timezone.now())
    content = page.get("/incidents?q=checkout+%26down&state=open").content.decode()
    assert '<a class="button" href="/incidents?q=checkout%20%26down">Search in all states</a>' in content
    assert "Checkout is down" in page.get("/incidents?q=checkout%20%26down").content.decode()


def test_the_form_offers_services_teams_and_people_by_name(incident, page, bob):
    factories.ServiceFactory(name="Accounts", slug="accounts")
    factories.ServiceFactory(name="Vault", team__is_private=True)
    nameless = factories.UserFactory(name="", email="aa@example.com")
    factories.UserFactory(name="Gone", is_active=False)
    offered = {one["name"]: one["options"] for one in page.get("/incidents?service=checkout").context["filters"]}
    assert offered["service"] == [("accounts", "Accounts", False), ("checkout", "Checkout", True)]
    people = offered["responder"]
    assert people[:3] == [
        ("me", "Me", False),
        ("nobody", "Nobody", False),
        (str(nameless.uuid), "aa@example.com", False),
    ]
    names = [name for _, name, _ in people]
    assert str(bob) not in names and "Gone" not in names and len(set(names)) == len(names)


def test_each_filter_that_is_on_is_a_chip_that_takes_it_away(incident, page):
    content = page.get("/incidents?severity=critical&severity=high&q=down").content.decode()
    assert 'href="/incidents?q=down&amp;severity=high" aria-label="Remove the filter Severity: Critical"' in content
    assert (
        'href="/incidents?severity=critical&amp;severity=high" aria-label="Remove the filter Search: down"' in content
    )
    assert '<a class="button button-small button-quiet" href="/incidents">Clear</a>' in content
    assert '<input type="checkbox" name="severity" value="critical" checked>' in content


def test_nothing_open_says_so_and_leads_to_the_past(incident, bob, text_of):
    lifecycle.resolve(incident.pk, by=bob, now=timezone.now())
    assert "All quiet" in text_of("/incidents")
    assert "Checkout is down" in text_of("/incidents?state=all")


def test_long_lists_have_pages_that_keep_the_filters(service, page):
    now = timezone.now()
    for number in range(120):
        factories.IncidentFactory(service=service, title=f"Trouble {number}", triggered_at=now)
    first = page.get("/incidents?q=trouble&severity=critical&severity=high")
    (more,) = re.findall(r'rel="next" href="([^"]+)"', first.content.decode())
    assert "q=trouble&amp;severity=critical&amp;severity=high&amp;before=" in more
    assert b"120 incidents" in first.content and b'rel="prev"' not in first.content
    second = page.get("/incidents" + more.replace("&amp;", "&"))
    assert shown(first)[-1] - 1 == shown(second)[0] and len(shown(second)) == 50
    (back,) = re.findall(r'rel="prev" href="([^"]+)"', second.content.decode())
    assert shown(page.get("/incidents" + back.replace("&amp;", "&"))) == shown(first)


def test_what_takes_too_long_is_said_and_not_an_error(incident, text_of, monkeypatch):
    monkeypatch.setattr(searching, "time_limit", lambda *args, **options: _too_slow())
    assert "This search takes too long. Search narrower" in text_of("/incidents?q=down")


def _too_slow():
    raise searching.slow()


def test_the_list_costs_the_same_for_one_incident_and_for_many(service, page, incident):
    def queries(path):
        with CaptureQueriesContext(connection) as found:
            page.get(path)
        return len(found)

    few = queries("/incidents")
    for number in range(30):
        lifecycle.trigger(service, title=f"Trouble {number}", severity="high", now=timezone.now())
    assert queries("/incidents") <= few < 12
    Incident.objects.update(status="acknowledged", next_escalation_at=None)
    for _ in range(30):
        factories.IncidentFactory(service=service, triggered_at=timezone.now())
    assert queries("/incidents") <= few  # with a second page, which is counted
    assert queries("/incidents?fragment=rows") < few


def test_the_rows_alone_can_be_asked_for(incident, page):
    answer = page.get("/incidents", headers={"X-Fragment": "tabs,chosen,rows"})
    assert re.findall(rb'data-fragment="(\w+)"', answer.content) == [b"tabs", b"chosen", b"rows", b"messages"]
    assert page.get("/incidents?fragment=nonsense").status_code == 404


def test_rows_that_match_no_more_stay_in_their_place_until_the_page_is_loaded_anew(service, bob, page):
    now = timezone.now()
    rows = [lifecycle.trigger(service, title=f"Trouble {n}", severity="high", now=now) for n in range(3)]
    lifecycle.resolve(rows[1].pk, by=bob, now=now)
    numbers = [one.pk for one in reversed(rows)]
    headers = {"X-Fragment": "rows", "X-Shown": ",".join(map(str, [*numbers, "x", 999_999]))}
    answer = page.get("/incidents", headers=headers)
    assert shown(answer) == numbers
    assert answer.content.count(b"has-gone") == 1 and b"by Bob; matches no more" in answer.content
    assert shown(page.get("/incidents", headers={"X-Fragment": "rows"})) == [numbers[0], numbers[2]]
    assert shown(page.get("/incidents", headers={"X-Shown": headers["X-Shown"]})) == [numbers[0], numbers[2]]


def test_rows_of_hidden_teams_cannot_be_kept(page, db):
    hidden = factories.IncidentFactory(service__team__is_private=True, triggered_at=timezone.now())
    assert shown(page.get("/incidents", headers={"X-Fragment": "rows", "X-Shown": str(hidden.pk)})) == []


def test_the_form_of_the_filters_gets_the_address_that_says_the_same(incident, page):
    headers = {"X-Fragment": "rows", "HX-Trigger": "finder"}
    answer = page.get("/incidents?q=down&state=open&last=&from=&sort=newest", headers=headers)
    assert answer.headers["HX-Replace-Url"] == "/incidents?q=down&state=open"
    wrong = page.get("/incidents?team=nowhere", headers=headers)
    assert wrong.headers["HX-Replace-Url"] == "/incidents?team=nowhere"


def test_acknowledging_in_the_list_leads_back_to_the_list(incident, page):
    content = page.get("/incidents?team=shop").content.decode()
    assert 'name="next" value="/incidents?team=shop"' in content
    answer = page.post(f"/incidents/{incident.pk}/do/acknowledge", {"next": "/incidents?team=shop"})
    assert answer.headers["Location"] == "/incidents?team=shop"


def test_what_people_write_is_shown_as_text(service, page):
    evil = "<script>alert(1)</script>"
    lifecycle.trigger(service, title=evil, severity="high", now=timezone.now())
    content = page.get("/incidents", {"q": evil, "team": evil, "from": evil}).content
    assert evil.encode() not in content and b"&lt;script&gt;" in content
