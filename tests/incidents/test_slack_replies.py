"""Answers from Slack: who is believed, what a button and a command do, and what is said to whom."""

import datetime as dt
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from incidents import lifecycle
from incidents.models import Incident
from incidents.replies import slack as replies
from notifications import links, outbox, slack_links
from notifications.models import ContactMethod, Notification, SeenRequest
from tests import factories
from tests.fakes import slack as fake

PAYLOADS = Path(__file__).parents[1] / "payloads"
ALICE, BOB, STRANGER = "U061F7AUR", "U0BOB0001", "U0NOBODY1"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def slack(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with fake.slack() as server:
        settings.PROVIDERS = {"slack": server.config}
        yield server


@pytest.fixture
def outside():
    """Slack: no session, no token of a form."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def members(alice, bob):
    for user, member in ((alice, ALICE), (bob, BOB)):
        user.contact_methods.all().delete()
        factories.ContactMethodFactory(user=user, channel="slack", address=member)


@pytest.fixture
def incident(slack, members, service):
    began = timezone.now() - dt.timedelta(minutes=2)
    found = lifecycle.trigger(service, title="Checkout is <down>", severity="critical", now=began)
    send_all()
    return found


def send_all():
    """Send what is due, also what waits a few seconds for its turn."""
    Notification.objects.filter(state="pending").update(due_at=timezone.now())
    outbox.deliver(clock=timezone.now)


@pytest.fixture
def press(slack, outside):
    """Press a button of the first message: `press(verb, member)`."""

    def run(verb, member=ALICE, *, headers=None, **more):
        ts = slack.messages[0]["ts"]
        body = slack.press_body(ts, f"watchbill:{verb}", member, **more)
        return post(outside, "interactive", body, headers or slack.signed(body))

    return run


@pytest.fixture
def type_(slack, outside):
    """Type a command and return what only the one who typed sees."""

    def run(command, text="", member=ALICE, **more):
        body = slack.command_body(command, text, member, **more)
        answer = post(outside, "commands", body, slack.signed(body))
        assert answer.status_code == 200
        given = answer.json()
        assert given["response_type"] == "ephemeral"
        return given["text"]

    return run


def post(client, door, body, headers, content_type=FORM):
    return client.post(f"/slack/{door}", body, content_type=content_type, headers=headers)


def status_of(incident):
    incident.refresh_from_db()
    return incident.status


# who is believed


def test_a_button_acknowledges_for_whoever_pressed_it(slack, incident, alice, press):
    assert press("acknowledge").status_code == 200
    assert status_of(incident) == "acknowledged"
    assert incident.acknowledged_by == alice
    assert incident.timeline.filter(kind="acknowledged").get().via == "slack"
    (said,) = slack.responses
    assert (said["response_type"], said["replace_original"]) == ("ephemeral", False)
    assert "The calls have stopped" in said["text"]
    assert "&lt;down&gt;" in said["text"]


def test_somebody_else_may_press_and_answers_for_themselves(incident, bob, press):
    press("acknowledge", BOB)
    assert status_of(incident) == "acknowledged"
    assert incident.acknowledged_by == bob


@pytest.mark.parametrize("verb, status", [("resolve", "resolved"), ("escalate", "triggered")])
def test_the_other_buttons_work_too(slack, incident, press, verb, status):
    body = urlencode(
        {
            "payload": json.dumps(
                {
                    "type": "block_actions",
                    "user": {"id": ALICE, "team_id": fake.TEAM},
                    "team": {"id": fake.TEAM},
                    "response_url": slack.url("/response/1"),
                    "actions": [{"type": "button", "value": token(incident, verb)}],
                }
            )
        }
    )
    assert post(Client(enforce_csrf_checks=True), "interactive", body, slack.signed(body)).status_code == 200
    assert status_of(incident) == status
    assert incident.timeline.filter(kind={"resolve": "resolved", "escalate": "escalated"}[verb], via="slack").exists()


def token(incident, verb):
    return links.token(Notification.objects.filter(topic=incident.topic).earliest("pk").uuid, verb)


def test_the_message_is_changed_in_place_and_loses_its_button(slack, incident, press):
    press("acknowledge")
    send_all()
    (message,) = slack.messages
    assert len(message["edits"]) == 1
    assert "ACKNOWLEDGED" in json.dumps(message["blocks"])
    assert "watchbill:acknowledge" not in json.dumps(message["blocks"])


def test_a_press_counts_once(slack, incident, press, outside):
    ts = slack.messages[0]["ts"]
    body = slack.press_body(ts, "watchbill:acknowledge", ALICE)
    headers = slack.signed(body)
    for _ in range(3):
        assert post(outside, "interactive", body, headers).status_code == 200
    assert incident.timeline.filter(kind="acknowledged").count() == 1
    assert len(slack.responses) == 1


def test_a_second_press_says_who_has_it(slack, incident, press):
    press("acknowledge")
    press("acknowledge", BOB)
    assert "Alice already has" in slack.responses[1]["text"]
    assert incident.timeline.filter(kind="acknowledged").count() == 1


DOORS = ["interactive", "commands", "events"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("how", ["unsigned", "other secret", "too old", "too new", "body changed", "no number"])
def test_what_slack_did_not_sign_changes_nothing(slack, incident, outside, door, how):
    body = slack.press_body(slack.messages[0]["ts"], "watchbill:acknowledge", ALICE)
    now = timezone.now()
    headers = {
        "unsigned": {},
        "other secret": slack.signed(body, secret="guessed"),
        "too old": slack.signed(body, now=now - dt.timedelta(minutes=6)),
        "too new": slack.signed(body, now=now + dt.timedelta(minutes=6)),
        "body changed": slack.signed(body + "&more=1"),
        "no number": {**slack.signed(body), "X-Slack-Request-Timestamp": "soon"},
    }[how]
    answer = post(outside, door, body, headers)
    assert answer.status_code == 401
    assert status_of(incident) == "triggered"
    assert not SeenRequest.objects.exists()


def test_without_an_account_nothing_is_believed(settings, slack, incident, press):
    settings.PROVIDERS = {}
    assert press("acknowledge").status_code == 401
    assert status_of(incident) == "triggered"


def test_the_secret_of_any_account_will_do(settings, slack, incident, press):
    settings.PROVIDERS = {}
    other = {**slack.config, "signing_secret": "another"}
    factories.ProviderFactory(vendor="slack", name="first", config=other)
    factories.ProviderFactory(vendor="slack", name="second", config=slack.config)
    assert press("acknowledge").status_code == 200
    assert status_of(incident) == "acknowledged"


@pytest.mark.parametrize("door", DOORS)
def test_a_huge_body_is_refused(slack, outside, door):
    body = "x" * (replies.BODY_BYTES + 1)
    assert post(outside, door, body, slack.signed(body)).status_code == 413


@pytest.mark.django_db
@pytest.mark.parametrize("door", DOORS)
def test_only_posts_are_taken(outside, door):
    assert outside.get(f"/slack/{door}").status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize(
    "door, body",
    [
        ("interactive", "payload=nonsense"),
        ("interactive", "payload=[]"),
        ("interactive", "payload=%7B%22user%22%3A1%7D"),
        ("commands", "text=1"),
        ("events", "nonsense"),
        ("events", "[]"),
    ],
)
def test_a_signed_body_that_makes_no_sense_is_a_400(slack, outside, door, body):
    assert post(outside, door, body, slack.signed(body)).status_code == 400


def test_a_token_that_we_did_not_make_changes_nothing(slack, incident, outside):
    slack.messages[0]["blocks"][-2]["elements"][0]["value"] = "AAAA" + token(incident, "acknowledge")[4:]
    body = slack.press_body(slack.messages[0]["ts"], "watchbill:acknowledge", ALICE)
    post(outside, "interactive", body, slack.signed(body))
    assert status_of(incident) == "triggered"
    assert "not one of ours" in slack.responses[0]["text"]


def test_an_observer_s_press_is_refused_with_the_reason(slack, incident, alice, press):
    alice.role = Role.OBSERVER
    alice.save()
    alice.memberships.update(role=Role.OBSERVER)
    press("acknowledge")
    assert status_of(incident) == "triggered"
    assert "only reads" in slack.responses[0]["text"]


def test_a_member_of_another_workspace_is_somebody_else(slack, incident, alice, press):
    ContactMethod.objects.filter(user=alice).update(options={"team": fake.TEAM})
    press("acknowledge", team="T0FOREIGN")
    assert status_of(incident) == "triggered"
    press("acknowledge")
    assert status_of(incident) == "acknowledged"


def test_an_unverified_member_is_nobody(slack, incident, alice, press):
    ContactMethod.objects.filter(user=alice).update(verified_at=None)
    press("acknowledge")
    assert status_of(incident) == "triggered"
    assert "/slack/link/" in slack.responses[0]["text"]


def test_a_slack_that_takes_no_answer_does_not_undo_the_verb(slack, incident, press):
    slack.next_answer("response", status=500, text="")
    assert press("acknowledge").status_code == 200
    assert status_of(incident) == "acknowledged"


def test_a_link_button_is_taken_and_does_nothing(slack, incident, press):
    assert press("open").status_code == 200
    assert slack.responses == []
    assert status_of(incident) == "triggered"


# a team's channel


def test_a_team_s_channel_and_the_incident_s_own_follow_it_to_the_end(slack, members, service, alice, outside):
    place = factories.DestinationFactory(channel="slack", address="C024BE91L", secret="")
    events = ["triggered", "acknowledged", "escalated", "note", "resolved"]
    factories.SubscriptionFactory(destination=place, service=service, opens_channel=True, events=events)
    began = timezone.now() - dt.timedelta(minutes=1)
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=began)
    send_all()
    (home,) = [one for one in slack.messages if one["channel"] == "C024BE91L"]
    (room,) = [one for one in slack.channels.values() if one["name"] == f"inc-{incident.pk}-checkout-is-down"]
    assert room["members"] == [ALICE]
    body = slack.press_body(home["ts"], "watchbill:acknowledge", BOB)
    post(outside, "interactive", body, slack.signed(body))
    assert status_of(incident) == "acknowledged"
    send_all()
    assert "ACKNOWLEDGED" in json.dumps(home["blocks"])
    lifecycle.add_note(incident.pk, text="The disk is full.", by=alice, now=timezone.now())
    send_all()
    (note,) = [one for one in slack.messages if one["thread_ts"]]
    assert (note["channel"], note["thread_ts"]) == ("C024BE91L", home["ts"])
    assert "The disk is full." in json.dumps(note["blocks"])
    lifecycle.resolve(incident.pk, by=alice, now=timezone.now())
    send_all()
    assert "RESOLVED" in json.dumps(home["blocks"])
    assert '"value"' not in json.dumps(home["blocks"])
    assert not room["is_archived"]
    lifecycle.close(incident.pk, by=alice, now=timezone.now())
    send_all()
    assert room["is_archived"]
    assert not Notification.objects.filter(state="failed").exists()


# linking an account


@pytest.fixture
def link_path(slack, incident, press):
    """The page that a stranger's press offers."""
    press("acknowledge", STRANGER, name="alice.w")
    assert status_of(incident) == "triggered"
    return re.search(r"<[^|]*(/slack/link/[^|]+)\|", slack.responses[-1]["text"]).group(1)


def test_a_stranger_is_offered_a_link_that_makes_them_somebody(slack, incident, charlie, press, link_path, client):
    assert "/login" in client.get(link_path).headers["Location"]
    client.force_login(charlie)
    asked = client.get(link_path)
    assert asked.status_code == 200
    for word in ("alice.w", STRANGER, "Charlie"):
        assert word in asked.content.decode()
    assert not charlie.contact_methods.filter(channel="slack").exists()
    assert client.post(link_path).status_code == 200
    method = charlie.contact_methods.get(channel="slack")
    assert (method.address, method.is_usable, method.options) == (STRANGER, True, {"team": fake.TEAM})
    press("acknowledge", STRANGER)
    assert status_of(incident) == "acknowledged"
    assert incident.acknowledged_by == charlie


def test_a_link_works_once(charlie, alice, link_path, client):
    client.force_login(charlie)
    client.post(link_path)
    assert client.post(link_path).status_code == 200  # pressed twice
    charlie.contact_methods.filter(channel="slack").delete()
    client.force_login(alice)
    answer = client.post(link_path)
    assert answer.status_code == 410
    assert not alice.contact_methods.filter(address_key=ContactMethod(address=STRANGER).address_key).exists()


def test_a_member_of_somebody_else_cannot_be_taken(charlie, members, client, settings):
    path = slack_links.address(ALICE, fake.TEAM, "x").removeprefix(settings.PUBLIC_URL)
    client.force_login(charlie)
    answer = client.post(path)
    assert answer.status_code == 400
    assert "belongs to another account" in answer.content.decode()
    assert not charlie.contact_methods.filter(channel="slack").exists()


def test_a_link_that_is_old_or_forged_does_nothing(charlie, client, settings, monkeypatch):
    client.force_login(charlie)
    assert client.get("/slack/link/forged").status_code == 404
    path = slack_links.address(ALICE, fake.TEAM, "x").removeprefix(settings.PUBLIC_URL)
    monkeypatch.setattr("django.core.signing.time.time", lambda: timezone.now().timestamp() + 601)
    answer = client.post(path)
    assert answer.status_code == 410
    assert not charlie.contact_methods.filter(channel="slack").exists()


def test_the_confirmation_is_a_form_of_ours(charlie, link_path):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(charlie)
    assert careful.post(link_path).status_code == 403
    assert careful.get(link_path).headers["Referrer-Policy"] == "strict-origin"  # its form needs an Origin


def test_an_unverified_address_of_ones_own_becomes_verified(charlie, link_path, client):
    factories.ContactMethodFactory(user=charlie, channel="slack", address=STRANGER, verified_at=None)
    client.force_login(charlie)
    client.post(link_path)
    assert charlie.contact_methods.get(channel="slack").verified_at


# commands


def test_oncall_says_who_is_called_level_by_level(members, service, type_):
    text = type_("/oncall")
    assert text == "*Checkout* (Shop): 1. Alice → 2. Bob"
    assert type_("/oncall", "checkout") == type_("/oncall", "Shop") == type_("/watchbill", "oncall CHECKOUT") == text
    assert "no service and no team “payroll”" in type_("/oncall", "payroll")


def test_oncall_says_until_when_in_the_reader_s_zone(members, team, alice, bob, type_):
    schedule = factories.ScheduleFactory(name="Primary", team=team, people=[alice, bob])
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule])
    factories.ServiceFactory(name="Search", team=team, policy=policy)
    assert re.search(r"\*Search\* \(Shop\): 1\. (Alice|Bob) \(until <!date\^\d+\^", type_("/oncall", "search"))


def test_oncall_says_when_nobody_would_be_called(members, team, type_):
    factories.ServiceFactory(name="Search", team=team, policy=None)
    assert "nobody is called" in type_("/oncall", "search")


def test_incident_lists_what_is_open(slack, incident, type_):
    text = type_("/incident")
    assert f"|#{incident.pk}> P1 critical · Checkout is &lt;down&gt; · Checkout · Triggered" in text
    assert type_("/incident", str(incident.pk)) == text
    lifecycle.resolve(incident.pk, by=None, now=timezone.now())
    assert type_("/incident") == "Nothing is open."
    assert "There is no incident #999" in type_("/incident", "999")


@pytest.mark.parametrize("text", ["new critical checkout Nobody can pay", "declare p1 Checkout: Nobody can pay"])
def test_incident_new_opens_one_and_calls_people(slack, members, service, alice, type_, text):
    said = type_("/incident", text)
    incident = Incident.objects.get()
    assert (incident.title, incident.severity, incident.service) == ("Nobody can pay", "critical", service)
    assert incident.timeline.first().by == alice
    assert incident.timeline.first().via == "slack"
    assert f"#{incident.pk}" in said
    assert Notification.objects.filter(topic=incident.topic).exists()


@pytest.mark.parametrize(
    "text, reason",
    [
        ("new", "how bad it is"),
        ("new terrible checkout x", "how bad it is"),
        ("new high payroll x", "no service “payroll x”"),
        ("new high checkout", "title"),
        ("frobnicate", "not something I know"),
    ],
)
def test_incident_new_says_what_is_missing(members, service, type_, text, reason):
    assert reason in type_("/incident", text)
    assert not Incident.objects.exists()


def test_an_observer_opens_nothing(members, service, alice, type_):
    alice.role = Role.OBSERVER
    alice.save()
    alice.memberships.update(role=Role.OBSERVER)
    assert "only reads" in type_("/incident", "new high checkout x")
    assert not Incident.objects.exists()


def test_the_longest_name_of_a_service_wins(members, service, team, type_):
    factories.ServiceFactory(name="Checkout API", slug="checkout-api", team=team)
    type_("/incident", "new high checkout api Slow")
    assert (Incident.objects.get().service.name, Incident.objects.get().title) == ("Checkout API", "Slow")


def test_ack_and_the_other_verbs_take_a_number(incident, type_):
    assert "Write the number" in type_("/ack")
    assert "You have" in type_("/ack", f"#{incident.pk}")
    assert status_of(incident) == "acknowledged"
    assert "timeline" in type_("/watchbill", f"note {incident.pk} it is the <database>")
    assert incident.timeline.filter(kind="note").get().text == "it is the <database>"
    assert "next level" in type_("/watchbill", f"escalate {incident.pk}")
    assert "resolved" in type_("/watchbill", f"resolve {incident.pk} restarted it")
    assert status_of(incident) == "resolved"
    assert incident.resolution_note == "restarted it"
    assert "There is no incident #999" in type_("/watchbill", "ack 999")
    assert "not something I know" in type_("/watchbill", "dance <!channel>")
    assert "<!channel>" not in type_("/watchbill", "dance <!channel>")


def test_a_command_counts_once(slack, members, service, outside):
    body = slack.command_body("/incident", "new critical checkout Nobody can pay", ALICE)
    headers = slack.signed(body)
    first, second = (post(outside, "commands", body, headers) for _ in range(2))
    assert (first.status_code, second.status_code, second.content) == (200, 200, b"")
    assert Incident.objects.count() == 1


@pytest.mark.parametrize("command, text", [("/oncall", ""), ("/incident", ""), ("/ack", "1"), ("/watchbill", "ack 1")])
def test_a_stranger_gets_a_link_and_no_news(slack, incident, type_, command, text):
    said = type_(command, text, member=STRANGER)
    assert "/slack/link/" in said
    assert "Checkout" not in said
    assert status_of(incident) == "triggered"


def test_everybody_gets_help(slack, db, type_):
    for text in ("", "help", "HELP"):
        assert "/incident new" in type_("/watchbill", text, member=STRANGER)


def test_the_documented_command_is_understood(slack, members, service, outside):
    given = json.loads((PAYLOADS / "slack_slash_command.json").read_text())
    body = urlencode({**given, "text": "declare p1 Checkout errors"})
    answer = post(outside, "commands", body, slack.signed(body))
    assert "is open and people are called: errors" in answer.json()["text"]


# events


def test_the_address_of_events_is_confirmed(slack, db, outside):
    body = (PAYLOADS / "slack_url_verification.json").read_text()
    answer = post(outside, "events", body, slack.signed(body), "application/json")
    assert answer.json() == {"challenge": json.loads(body)["challenge"]}


def test_a_mention_is_answered_once_however_often_it_comes(slack, members, service, outside):
    body = (PAYLOADS / "slack_event_callback.json").read_text()
    for retry in range(3):
        headers = slack.signed(body, now=timezone.now() - dt.timedelta(seconds=retry))
        headers["X-Slack-Retry-Num"] = str(retry)
        assert post(outside, "events", body, headers, "application/json").status_code == 200
    (said,) = slack.ephemerals
    assert (said["channel"], said["user"]) == ("C024BE91L", ALICE)
    assert said["text"] == "*Checkout* (Shop): 1. Alice → 2. Bob"


def test_a_mention_by_another_app_is_not_answered(slack, members, outside):
    given = json.loads((PAYLOADS / "slack_event_callback.json").read_text())
    given["event"]["bot_id"] = "B99"
    body = json.dumps(given)
    assert post(outside, "events", body, slack.signed(body), "application/json").status_code == 200
    assert slack.ephemerals == []


@pytest.mark.parametrize(
    "text, command",
    [
        ("<@U0BOT> who is on call for checkout?", "oncall checkout"),
        ("<@U0BOT|watchbill> Who's on-call?", "oncall "),
        ("<@U0BOT> ack 42", "ack 42"),
        ("hey", "hey"),
    ],
)
def test_a_sentence_becomes_a_command(text, command):
    assert replies._as_command(text) == command


@pytest.mark.django_db(transaction=True)
def test_the_whole_way_over_the_wire(live_server, slack, incident, alice):
    """The fake presses over HTTP, as the local Slack of a demonstration does."""
    status, _ = slack.press(slack.messages[0]["ts"], "watchbill:acknowledge", ALICE, live_server.url)
    assert status == 200
    assert status_of(incident) == "acknowledged"
    status, text = slack.command("/oncall", "checkout", ALICE, live_server.url)
    assert (status, json.loads(text)["text"]) == (200, "*Checkout* (Shop): 1. Alice → 2. Bob")
    assert slack.press(slack.messages[0]["ts"], "watchbill:open", ALICE, live_server.url, "guessed")[0] == 401
