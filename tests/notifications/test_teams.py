"""Microsoft Teams through a flow's webhook: the card, its limits, and what the answers mean."""

import pytest

from core.errors import SendError
from notifications import changes
from notifications.channels.base import DeadAddress
from notifications.channels.teams import BODY_BYTES, Teams, escape
from notifications.message import Kind
from notifications.models import Notification
from tests.factories import DestinationFactory
from tests.fakes import teams as fake
from tests.notifications.chat import outgoing
from tests.notifications.conftest import NOW, make_message

PATH = "/workflows/abc/triggers/manual/paths/invoke?sig=SECRET"


@pytest.fixture
def teams(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with fake.teams() as server:
        yield server


def send(teams, **fields):
    return Teams().send(teams.url(PATH), outgoing(**fields))


def test_the_card_says_it_in_words_and_colour_with_links_that_answer(teams):
    accepted = send(teams, notes=("This page is 3 min late.",))
    assert not accepted.is_delivered  # 202 says that the flow began
    assert teams.paths == [PATH]
    (card,) = teams.cards
    assert card["version"] == "1.4"
    assert card["fallbackText"] == "🔴 CRITICAL: Checkout errors"
    word, title, notes, facts, text = card["body"]
    assert (word["text"], word["color"]) == ("🔴 CRITICAL", "Attention")
    assert (title["text"], title["style"]) == ("Checkout errors", "heading")
    assert "3 min late" in notes["text"]
    assert facts["facts"] == [{"title": "Service", "value": "Checkout"}]
    assert text["text"] == "5 % of orders fail."
    assert all(block.get("wrap", True) for block in card["body"])
    assert [(one["type"], one["title"], one["url"]) for one in card["actions"]] == [
        ("Action.OpenUrl", "Acknowledge", "https://oncall.example.com/l/acknowledge"),
        ("Action.OpenUrl", "Resolve", "https://oncall.example.com/l/resolve"),
        ("Action.OpenUrl", "Escalate", "https://oncall.example.com/l/escalate"),
        ("Action.OpenUrl", "Open", "https://oncall.example.com/incidents/42"),
    ]


def test_a_resolved_incident_is_good_news(teams):
    send(teams, message={"kind": Kind.RESOLVED, "actions": ()})
    assert (teams.cards[0]["body"][0]["text"], teams.cards[0]["body"][0]["color"]) == ("✅ RESOLVED", "Good")


@pytest.mark.parametrize("filler", ["x", "*", "é", "🔴", '"\\', "\n"])
def test_the_longest_message_fits(teams, filler):
    send(
        teams,
        notes=(filler * 3000,),
        message={
            "title": "T" + filler * 1000,
            "body": "B" + filler * 50_000,
            "fields": tuple((f"name {filler * 200}", f"value {filler * 5000}") for _ in range(60)),
        },
    )
    assert len(teams.cards) == 1
    assert teams.sizes[0] <= BODY_BYTES
    assert len(teams.cards[0]["actions"]) == 4


def test_markdown_of_an_alert_is_shown_as_it_is(teams):
    send(teams, message={"body": "*bold* [click](https://evil.example) C:\\temp", "title": "a_b_c"})
    card = teams.cards[0]
    assert card["body"][1]["text"] == r"a\_b\_c"
    assert card["body"][-1]["text"] == r"\*bold\* \[click\](https://evil.example) C:\\temp"
    assert escape("plain text.") == "plain text."


def test_lines_stay_lines(teams):
    send(teams, message={"body": "one\ntwo\n\n\nthree"})
    assert teams.cards[0]["body"][-1]["text"] == "one\n\ntwo\n\nthree"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_flow_that_is_gone_is_a_dead_address(teams, status):
    teams.next_answer(status=status)
    with pytest.raises(DeadAddress, match="Make a new one") as error:
        send(teams)
    assert "SECRET" not in error.value.message


@pytest.mark.parametrize("status", [400, 413])
def test_a_card_that_is_refused_goes_out_as_text_with_links(teams, status):
    teams.next_answer(status=status, text="Bad card")
    send(teams, notes=("This page is 3 min late.",), message={"body": "*" * 9000})
    (card,) = teams.cards
    assert all(one["type"] == "TextBlock" for one in card["body"])
    assert "actions" not in card
    text = card["body"][0]["text"]
    for words in ("Checkout errors", "3 min late", "/l/acknowledge", "/incidents/42"):
        assert words in text


def test_a_card_that_is_refused_is_not_tried_for_ever_and_the_reason_is_kept(teams):
    teams.next_answer(status=400, text='{"error":{"code":"TriggerInputSchemaMismatch"}}', times=2)
    with pytest.raises(SendError, match="TriggerInputSchemaMismatch") as error:
        send(teams)
    assert error.value.permanent
    assert not isinstance(error.value, DeadAddress)


@pytest.mark.parametrize("status", [429, 500, 502])
def test_trouble_that_passes_is_tried_again(teams, status):
    teams.next_answer(status=status, headers={"Retry-After": "12"})
    with pytest.raises(SendError) as error:
        send(teams)
    assert (error.value.permanent, error.value.retry_after) == (False, 12)


@pytest.mark.parametrize("hidden, is_permanent", [(429, False), (500, False), (413, True)])
def test_an_error_inside_a_success_is_an_error(teams, hidden, is_permanent):
    text = f"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {hidden} with …"
    teams.next_answer(status=200, text=text)
    with pytest.raises(SendError, match=str(hidden)) as error:
        send(teams)
    assert error.value.permanent == is_permanent


@pytest.mark.parametrize("status, text", [(200, "1"), (202, "")])
def test_both_ways_of_success_count(teams, status, text):
    teams.next_answer(status=status, text=text)
    assert str(status) in send(teams).answer


def test_it_is_for_teams_and_its_address_is_a_secret():
    channel = Teams()
    assert (channel.is_for_people, channel.is_for_teams, channel.can_update) == (False, True, False)
    address = "https://prod-01.westeurope.logic.azure.com/workflows/1?sig=SECRET"
    assert channel.problem_with(address) == ""
    assert channel.shown(address) == "https://prod-01.westeurope.logic.azure.com/…"
    assert channel.lane(address) == "teams prod-01.westeurope.logic.azure.com"


@pytest.mark.django_db
@pytest.mark.parametrize("kind, is_told", [(Kind.ACKNOWLEDGED, True), (Kind.RESOLVED, True), (Kind.UPDATE, False)])
def test_only_an_answer_and_the_end_are_told(kind, is_told):
    place = DestinationFactory(channel="teams", address="https://prod-01.westeurope.logic.azure.com/workflows/1")
    news = changes.News("incident:42", "incident:42:x", make_message(kind=kind), place)
    changes.tell_places([news], now=NOW)
    assert Notification.objects.filter(destination=place).exists() == is_told
