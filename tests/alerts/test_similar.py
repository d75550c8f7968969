"""What stands beside an incident: earlier ones like it, changes before it, and the ends of its alerts."""

import datetime as dt

import pytest
from django.db import connection

from alerts import changes, similar
from incidents import lifecycle, merging
from incidents.models import Incident
from incidents.timeline import beside_of
from tests import factories
from tests.alerts.sending import resolve, trigger

MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)


def incident_of(event):
    return Incident.objects.get(pk=event.result[0]["incident"])


def numbers(found):
    return [one.incident.pk for one in found]


def make(title, *, service, **fields):
    return factories.IncidentFactory(title=title, service=service, **fields)


# --- similar ------------------------------------------------------------------------------------------------------


def test_the_same_alert_comes_first_and_says_how_it_ended(send, alice, bob, now):
    old = incident_of(send(trigger("disk", title="Disk full on db-1")))
    lifecycle.acknowledge(old.pk, by=bob, now=now)
    for text in ("Looking.", "It is the log.", "Rotated it."):
        lifecycle.add_note(old.pk, text=text, by=bob, now=now)
    lifecycle.resolve(old.pk, by=bob, now=now + 10 * MINUTE, note="Rotated the log.")
    make("Disk full on db-1", service=old.service, status="resolved")
    new = incident_of(send(trigger("disk", title="Disk full on db-1"), at=now + HOUR))
    first, second = similar.find(new, alice)
    assert (first.incident, first.is_same_alert, first.took_seconds) == (old, True, 600)
    assert first.incident.resolution_note == "Rotated the log." and first.incident.resolved_by == bob
    assert [note.text for note in first.notes] == ["It is the log.", "Rotated it."]
    assert not second.is_same_alert


def test_words_that_few_have_find_it_in_any_service(service, alice):
    other = factories.ServiceFactory(team=service.team)
    old = make("Kernel panic on zeppelin", service=other, status="resolved")
    make("Certificate of mail expires", service=other)
    new = make("Zeppelin has a kernel panic", service=service)
    assert numbers(similar.find(new, alice)) == [old.pk]


def test_of_two_alike_that_of_the_same_service_comes_first(service, alice):
    other = factories.ServiceFactory(team=service.team)
    mine = make("Latency of checkout is high", service=service)
    make("Latency of checkout is high", service=other)
    new = make("Latency of checkout is high", service=service)
    assert numbers(similar.find(new, alice))[0] == mine.pk


def test_later_ones_merged_ones_and_what_is_not_alike_are_no_help(service, alice, now):
    old = make("Latency of checkout is high", service=service)
    make("Certificate expires", service=service)
    new = make("Latency of checkout is high", service=service)
    make("Latency of checkout is high", service=service)
    merging.merge(old.pk, into=new.pk, by=alice, now=now)
    assert numbers(similar.find(new, alice)) == []


def test_only_what_the_reader_may_see_is_found(service, alice, charlie):
    hidden = factories.ServiceFactory(team=factories.TeamFactory(is_private=True))
    make("Kernel panic on zeppelin", service=hidden)
    new = make("Kernel panic on zeppelin", service=service)
    assert numbers(similar.find(new, charlie)) == []


def test_there_is_a_limit_and_the_newest_of_equals_come_first(service, alice):
    old = [make("Latency of checkout is high", service=service) for _ in range(8)]
    new = make("Latency of checkout is high", service=service)
    assert numbers(similar.find(new, alice)) == [one.pk for one in old[:-6:-1]]
    assert len(similar.find(new, alice, limit=2)) == 2


def test_a_title_without_words_finds_nothing_of_other_services(service, alice):
    other = factories.ServiceFactory(team=service.team)
    make("!!!", service=other)
    assert similar.find(make("!!!", service=service), alice) == []


def test_it_asks_a_bounded_number_of_questions_and_reads_no_table_as_a_whole(
    send, alice, now, django_assert_max_num_queries
):
    for hour in range(6):
        old = incident_of(send(trigger("disk", title="Disk full on db-1"), at=now + hour * HOUR))
        lifecycle.resolve(old.pk, by=alice, now=now + hour * HOUR + MINUTE)
    new = incident_of(send(trigger("disk", title="Disk full on db-1"), at=now + 7 * HOUR))
    with django_assert_max_num_queries(11):
        assert len(similar.find(new, alice)) == 5


def test_a_word_that_many_have_is_not_searched(service, alice):
    Incident.objects.bulk_create(
        factories.IncidentFactory.build(title=f"Checkout slow {number % 3}", service=service, team=service.team)
        for number in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE incidents_incident")
    words = similar._words("Checkout slow zeppelin")
    assert words["checkout"][1] > similar.RARE and words["zeppelin"][1] == 0
    assert words["zeppelin"][0] > words["checkout"][0]


# --- changes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def test_changes_of_the_service_and_of_what_it_needs_are_shown_the_newest_first(incident, service, alice, now):
    needed, far, other = (factories.ServiceFactory(team=service.team) for _ in range(3))
    factories.DependencyFactory(service=service, needs=needed)
    factories.DependencyFactory(service=needed, needs=far)
    for place, hours, title in (
        (service, 1, "own"),
        (needed, 2, "needed"),
        (far, 3, "far"),
        (None, 4, "of all"),
        (other, 1, "other"),
        (service, 25, "long ago"),
        (service, -1, "during"),
    ):
        factories.ChangeEventFactory(service=place, title=title, at=now - hours * HOUR)
    found = changes.around(incident, alice)
    assert [one.title for one in found] == ["during", "own", "needed", "far", "of all"]
    assert [one.is_before for one in found] == [False, True, True, True, True]
    assert [one.is_of_needed for one in found] == [False, False, True, True, False]


def test_what_was_changed_after_the_end_is_not_shown(incident, service, alice, now):
    lifecycle.resolve(incident.pk, by=alice, now=now + HOUR)
    incident.refresh_from_db()
    factories.ChangeEventFactory(service=service, at=now + 2 * HOUR)
    assert changes.around(incident, alice) == []


def test_changes_of_a_hidden_service_are_not_shown(incident, service, charlie, now):
    hidden = factories.ServiceFactory(team=factories.TeamFactory(is_private=True))
    factories.DependencyFactory(service=service, needs=hidden)
    factories.ChangeEventFactory(service=hidden, at=now - HOUR)
    assert changes.around(incident, charlie) == []


def test_only_an_address_of_the_web_is_a_link(incident, service, alice, now):
    links = [{"href": "javascript:alert(1)"}, "ftp://x", {"url": "https://ci.example.com/7"}]
    factories.ChangeEventFactory(service=service, at=now - HOUR, links=links)
    assert changes.around(incident, alice)[0].address == "https://ci.example.com/7"


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["similar", "changes"])
def test_a_panel_is_a_part_of_the_page_and_a_page_of_its_own(incident, alice, client, what):
    client.force_login(alice)
    page = client.get(f"/incidents/{incident.pk}/{what}")
    part = client.get(f"/incidents/{incident.pk}/{what}", headers={"X-Fragment": "x"})
    assert page.status_code == part.status_code == 200
    assert b"<html" in page.content and b"<html" not in part.content
    assert "X-Fragment" in part.headers["Vary"]


def test_the_panels_show_what_was_found(incident, service, alice, client, now):
    make("Checkout is down", service=service)
    new = lifecycle.trigger(service, title="Checkout is down", severity="high", now=now)
    lifecycle.resolve(incident.pk, by=alice, now=now + MINUTE, note="Restarted <b>it</b>.")
    factories.ChangeEventFactory(service=service, title="Deployed <i>42</i>", at=now - HOUR)
    client.force_login(alice)
    text = client.get(f"/incidents/{new.pk}/similar").content.decode()
    assert f"#{incident.pk} Checkout is down" in text and "Restarted &lt;b&gt;it&lt;/b&gt;." in text
    assert "resolved by Alice" in text
    assert "Deployed &lt;i&gt;42&lt;/i&gt;" in client.get(f"/incidents/{new.pk}/changes").content.decode()


def test_a_panel_of_a_hidden_incident_is_not_there(charlie, client):
    hidden = make("Secret", service=factories.ServiceFactory(team=factories.TeamFactory(is_private=True)))
    client.force_login(charlie)
    for what in ("similar", "changes"):
        assert client.get(f"/incidents/{hidden.pk}/{what}").status_code == 404


# --- beside the timeline ------------------------------------------------------------------------------------------


def test_the_timeline_can_mix_in_what_alerts_and_changes_say(send, service, alice, now):
    incident = incident_of(send(trigger("disk"), trigger("cpu", title="CPU is hot"))[0])
    factories.ChangeEventFactory(service=service, title="Deployed 42", at=now - HOUR, links=["https://ci.example.com"])
    send(resolve("disk"), at=now + MINUTE)
    lifecycle.resolve(incident.pk, by=alice, now=now + HOUR)
    incident.refresh_from_db()
    found = beside_of(incident, alice, since=now - 24 * HOUR, until=now + 2 * HOUR)
    assert [(one.kind, one.text) for one in found] == [
        ("change", "Change of Checkout: Deployed 42"),
        ("alert", "Alert over: Disk full (the source says it is over)"),
    ]
    assert found[0].url == "https://ci.example.com" and found[1].url.startswith("/alerts/")
    assert beside_of(incident, alice, since=now, until=now) == []
