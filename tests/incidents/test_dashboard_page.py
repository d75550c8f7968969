"""The overview: what is wrong now, whose it is, who is called, and how it went lately."""

import datetime as dt
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role
from core.models import Pulse, WorkerBeat
from incidents import lifecycle
from incidents.views import dashboard
from notifications import alarms
from tests import factories

MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)


def words_of(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).strip()


@pytest.fixture
def look(bob):
    """A function that opens the overview as somebody and returns the answer; `.words` is what one reads."""

    def look(user=bob, path="/", **headers):
        client = Client()
        client.force_login(user)
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200
        answer.words = words_of(answer.content.decode())
        return answer

    return look


def opened(service, *, minutes=3, **fields):
    fields = {"title": "Checkout is down", "severity": "critical"} | fields
    return lifecycle.trigger(service, now=timezone.now() - minutes * MINUTE, **fields)


def groups(answer):
    return {one.key: [row.pk for row in one.rows] for one in answer.context["groups"]}


# --- what is wrong --------------------------------------------------------------------------------------------


def test_one_reads_what_is_wrong_how_bad_since_when_and_who_is_called_next(service, look, charlie):
    one = opened(service)
    text = look(charlie).words
    assert "1 incident waits for somebody" in text and "1 P1" in text
    assert f"Checkout is down #{one.pk} · Checkout · Shop P1 Critical Triggered" in text
    assert re.search(r"\b3 m \d+ s Bob is called in 1 m \d+ s", text)


def test_the_wait_for_the_next_call_runs_down(service, look, charlie):
    one = opened(service, minutes=2)
    row = look(charlie).context["groups"][0].rows[0]
    until, whole, left = row.fuse
    assert (until, whole) == (one.next_escalation_at, 300) and 170 < left <= 180


def test_what_somebody_has_is_said_to_be_in_hand(service, look, alice, charlie):
    one = opened(service)
    lifecycle.acknowledge(one.pk, by=alice, now=timezone.now())
    text = look(charlie).words
    assert "1 open incident, and somebody has it" in text and "Acknowledged Alice" in text


def test_a_snoozed_incident_says_when_it_calls_again(service, look, alice, charlie):
    one = opened(service)
    lifecycle.snooze(one.pk, by=alice, until=timezone.now() + 60 * MINUTE, now=timezone.now())
    assert re.search(r"Snoozed, calls again in 59 m \d+ s", look(charlie).words)


def test_without_any_incident_it_says_that_all_is_quiet_and_what_to_do_next(look, alice):
    text = look(alice).words
    assert "All quiet: nothing is open" in text and "Connect a tool" in text and "Open an incident" in text


def test_an_observer_is_not_offered_work(service, look):
    factories.UserFactory(email="eve@example.com", role=Role.OBSERVER)
    eve = factories.UserFactory(email="olga@example.com", role=Role.OBSERVER)
    assert "Connect a tool" not in look(eve).words
    opened(service)
    assert "Acknowledge incident" not in look(eve).content.decode()


def test_whoever_may_respond_acknowledges_from_here_and_stays_here(service, client, bob):
    one = opened(service)
    client.force_login(bob)
    assert f'aria-label="Acknowledge incident {one.pk}"' in client.get("/").content.decode()
    answer = client.post(f"/incidents/{one.pk}/do/acknowledge", {"next": "/"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/" and "1 open incident" in words_of(answer.content.decode())


# --- whose it is, and in which order --------------------------------------------------------------------------


def test_mine_come_first_then_the_others_by_priority(service, look, alice, bob):
    low = opened(service, severity="low")
    critical = opened(service, severity="critical")
    his = opened(service, severity="medium")
    lifecycle.acknowledge(his.pk, by=bob, now=timezone.now())
    found = groups(look(bob))
    assert found == {"mine": [his.pk], "P1": [critical.pk], "P4": [low.pk]}
    assert list(found) == ["mine", "P1", "P4"]


def test_what_i_was_paged_for_is_mine_until_somebody_else_has_it(service, look, alice, bob):
    one = opened(service)  # calls Alice
    assert groups(look(alice)) == {"mine": [one.pk]}
    assert groups(look(bob)) == {"P1": [one.pk]}
    lifecycle.acknowledge(one.pk, by=bob, now=timezone.now())
    assert groups(look(alice)) == {"P1": [one.pk]}
    assert groups(look(bob)) == {"mine": [one.pk]}


def test_what_i_help_with_is_mine_until_i_decline(service, look, bob):
    one = opened(service)
    helps = factories.ResponderFactory(incident=one, user=bob)
    assert groups(look(bob)) == {"mine": [one.pk]}
    helps.declined_at = timezone.now()
    helps.save()
    assert groups(look(bob)) == {"P1": [one.pk]}


def test_in_a_priority_those_that_wait_come_first_then_the_newest(service, look, alice, charlie):
    ones = [opened(service) for _ in range(3)]
    lifecycle.acknowledge(ones[2].pk, by=alice, now=timezone.now())
    assert groups(look(charlie)) == {"P1": [ones[1].pk, ones[0].pk, ones[2].pk]}


def test_of_very_many_it_shows_the_most_urgent_and_counts_all(service, look, alice, charlie):
    for number in range(dashboard.SHOWN + 5):
        factories.IncidentFactory(service=service, title=f"Low {number}", severity="low", priority="P4")
    urgent = opened(service)
    answer = look(charlie)
    assert sum(len(rows) for rows in groups(answer).values()) == dashboard.SHOWN
    assert groups(answer)["P1"] == [urgent.pk]
    assert answer.context["open_count"] == dashboard.SHOWN + 6
    assert "6 more P4 not shown here" in answer.words and "All 56 open incidents" in answer.words


# --- what is hidden stays hidden ------------------------------------------------------------------------------


def test_private_teams_are_neither_shown_nor_counted(service, look, alice, charlie):
    team = factories.TeamFactory(name="Secret", slug="secret", is_private=True)
    policy = factories.EscalationPolicyFactory(name="Secret policy", team=team, calls=[alice])
    vault = factories.ServiceFactory(name="Vault", slug="vault", team=team, policy=policy)
    one = opened(vault, title="The vault is open")
    answer = look(charlie)
    assert "All quiet" in answer.words and answer.context["open_count"] == 0
    assert "vault" not in answer.content.decode().lower() and "Secret" not in answer.words
    assert answer.context["noisy"] == [] and not answer.context["has_trends"]
    assert groups(look(alice)) == {"mine": [one.pk]}


def test_whoever_was_called_by_a_private_team_sees_it_and_may_take_it(look, bob, alice):
    team = factories.TeamFactory(name="Secret", slug="secret", is_private=True)
    policy = factories.EscalationPolicyFactory(name="Secret policy", team=team, calls=[bob])
    vault = factories.ServiceFactory(name="Vault", slug="vault", team=team, policy=policy)
    one = opened(vault, title="The vault is open")
    answer = look(bob)
    assert groups(answer) == {"mine": [one.pk]}
    assert f'aria-label="Acknowledge incident {one.pk}"' in answer.content.decode()


# --- who is on call -------------------------------------------------------------------------------------------


def test_it_says_who_is_called_for_the_services_of_my_teams(service, look, bob):
    strange = factories.TeamFactory(name="Strangers")
    factories.ServiceFactory(name="Foreign", team=strange)
    text = look(bob).words
    assert re.search(r"On call now Everybody Checkout 1 Alice 2 Bob \(you\)", text)
    assert "Foreign" not in text


def test_it_says_for_which_services_nobody_is_called(service, look, team):
    factories.ServiceFactory(name="Search", team=team, policy=None)
    assert "Nobody is called for Search: no escalation policy." in look().words


def test_a_person_of_no_team_sees_everybody(service, look, charlie):
    assert "On call now Everybody Checkout 1 Alice 2 Bob" in look(charlie).words


# --- how it went ----------------------------------------------------------------------------------------------


def test_the_figures_are_of_the_last_days_and_of_the_week_before(service, look, bob):
    now = timezone.now()
    for days, seconds in ((0, 60), (1, 180), (9, 600)):
        at = now - days * DAY - 30 * MINUTE
        factories.IncidentFactory(
            service=service,
            status="closed",
            priority="P1",
            triggered_at=at,
            acknowledged_at=at + dt.timedelta(seconds=seconds),
            resolved_at=at + 20 * MINUTE,
        )
    answer = look()
    assert (answer.context["this_week"]["mtta_seconds"], answer.context["this_week"]["percent"]) == (120, 100)
    assert (answer.context["last_week"]["mtta_seconds"], answer.context["last_week"]["percent"]) == (600, 0)
    assert "Time to acknowledge 2 m 0 s" in answer.words and "Within target 100 %" in answer.words
    assert len(answer.context["days"]) == 14
    assert answer.content.count(b'data-mtta="60"') + answer.content.count(b'data-mtta="180"') == 2


def test_a_day_is_one_of_the_readers_zone(service, look, bob):
    bob.time_zone = "Pacific/Auckland"
    bob.save()
    at = timezone.now() - 3 * DAY
    factories.IncidentFactory(service=service, triggered_at=at)
    counted = {one["date"]: one["opened"] for one in look(bob).context["days"]}
    from_there = at.astimezone(dashboard.zone_of("Pacific/Auckland")).date()
    assert counted[from_there] == 1 and sum(counted.values()) == 1


def test_the_noisiest_service_is_the_one_with_the_most_incidents_of_the_week(service, look, team, alice):
    quiet = factories.ServiceFactory(name="Quiet", team=team, policy=service.policy)
    opened(quiet, severity="low")
    for severity in ("critical", "low"):
        opened(service, severity=severity)
    for _ in range(3):
        factories.IncidentFactory(service=quiet, triggered_at=timezone.now() - 8 * DAY)
    text = look().words
    assert "Noisy services incidents in 7 days Checkout 2 incidents, 1 urgent Quiet 1 incident" in text


# --- the product itself ---------------------------------------------------------------------------------------


def test_alarms_of_the_system_are_loud(look, db):
    alarms.raise_alarm("tests", "No channel could reach Alice.", now=timezone.now())
    assert "itself needs help No channel could reach Alice." in look().words


def test_the_panel_about_the_product_says_what_runs_and_what_to_start(look, db):
    text = look(path="/health/panel").words
    assert "Failing: Escalations advance on time No ticker runs: it has never run." in text
    Pulse.objects.create(name="ticker", beat_at=timezone.now())
    WorkerBeat.objects.create(worker_id="one", beat_at=timezone.now())


def test_the_panel_is_fine_when_all_runs_and_a_fragment_for_the_overview(look, db):
    Pulse.objects.create(name="ticker", beat_at=timezone.now())
    WorkerBeat.objects.create(worker_id="one", beat_at=timezone.now())
    answer = look(path="/health/panel", **{"X-Fragment": "panel"})
    assert b"<html" not in answer.content and b"Failing" not in answer.content
    assert "Fine: Escalations advance on time Fine: Messages are sent" in answer.words


# --- how it is fetched ----------------------------------------------------------------------------------------


def test_only_the_parts_that_are_asked_for_are_worked_out(service, look):
    opened(service)
    answer = look(**{"X-Fragment": "board"})
    assert 'data-fragment="board"' in answer.content.decode() and "<html" not in answer.content.decode()
    assert "duty" not in answer.context and "days" not in answer.context


def test_a_page_that_fetches_itself_leaves_messages_to_the_form_that_they_answer(service, client, bob):
    one = opened(service)
    client.force_login(bob)
    client.post(f"/incidents/{one.pk}/do/acknowledge", {"next": "/"})
    news = client.get("/", headers={"X-Fragment": "board", "X-News": "1"})
    assert b"Nobody else is called" not in news.content and b"messages" not in news.content
    assert b"Nobody else is called" in client.get("/", headers={"X-Fragment": "board"}).content


@pytest.mark.parametrize(("headers", "most"), [({}, 22), ({"X-Fragment": "board", "X-News": "1"}, 12)])
def test_it_asks_as_often_for_one_incident_as_for_many(service, client, alice, bob, headers, most):
    client.force_login(bob)
    client.get("/", headers=headers)  # the first request of a session notes that it was used
    counted = []
    for number in (1, 19, 180):
        for each in range(number):
            one = opened(service, severity=["critical", "high", "low"][each % 3])
            if each % 4 == 1:
                lifecycle.acknowledge(one.pk, by=alice, now=timezone.now())
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/", headers=headers).status_code == 200
        counted.append(len(queries))
    assert len(set(counted)) == 1 and counted[0] <= most, counted


def test_the_tab_and_the_page_listen_from_the_newest_entry_on(service, look):
    over = factories.IncidentFactory(service=service, status="closed", triggered_at=timezone.now() - 30 * DAY)
    entry = factories.TimelineEntryFactory(incident=over)
    answer = look()
    assert answer.context["latest"] == entry.pk
    opened(service)
    assert "<title>(1) Overview" in look().content.decode()
