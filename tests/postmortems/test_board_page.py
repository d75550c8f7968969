"""Action items: on the board over all postmortems, on their postmortem, and the figures."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from postmortems.models import ActionItem
from tests import factories

DAY = dt.timedelta(days=1)


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


@pytest.fixture
def today():
    return timezone.now().date()


@pytest.fixture
def postmortem(team):
    return factories.PostmortemFactory(team=team, status="published", title="Checkout was down")


@pytest.fixture
def page(postmortem):
    return f"/postmortems/{postmortem.number}"


def words(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def column(answer, status):
    return answer.content.decode().partition(f'id="column-{status}"')[2].partition("</section>")[0]


def test_the_board_has_a_column_for_each_state_and_ones_own_first(signed_in, postmortem, bob, alice, today):
    hers = factories.ActionItemFactory(postmortem=postmortem, owner=alice, text="Hers", due_on=today - DAY)
    factories.ActionItemFactory(postmortem=postmortem, owner=bob, text="Mine", due_on=today + 9 * DAY)
    factories.ActionItemFactory(
        postmortem=postmortem, owner=bob, text="Over", status="completed", ended_at=timezone.now()
    )
    board = signed_in.get("/postmortems/items")
    open_ones = column(board, "open")
    assert open_ones.index("Mine") < open_ones.index("Hers")
    assert "late, due" in open_ones.partition(str(hers.uuid))[2]
    assert "Over" in column(board, "completed") and "Over" not in open_ones
    assert "Checkout was down" in open_ones


def test_the_board_is_narrowed_by_owner_team_priority_and_what_is_late(
    signed_in, postmortem, bob, alice, charlie, today
):
    values = {"postmortem": postmortem, "due_on": today + DAY}
    factories.ActionItemFactory(**values, owner=bob, text="Of Bob", priority="low")
    factories.ActionItemFactory(
        postmortem=postmortem, owner=alice, text="Of Alice", due_on=today - DAY, priority="high"
    )
    factories.ActionItemFactory(**values, owner=None, text="Of nobody")
    other = factories.PostmortemFactory(status="published")
    factories.ActionItemFactory(postmortem=other, owner=charlie, text="Elsewhere", due_on=today + DAY)
    everything = {"Of Bob", "Of Alice", "Of nobody", "Elsewhere"}
    for query, wanted in [
        ("", everything),
        ("owner=me", {"Of Bob"}),
        (f"owner={alice.uuid}", {"Of Alice"}),
        ("owner=nobody", {"Of nobody"}),
        ("team=shop", everything - {"Elsewhere"}),
        ("priority=high", {"Of Alice"}),
        ("overdue=yes", {"Of Alice"}),
        ("owner=x", set()),
        ("team=%00", everything),
        ("priority=9", set()),
    ]:
        html = signed_in.get(f"/postmortems/items?{query}").content.decode()
        assert {text for text in everything if f'pm-item-text">{text}<' in html} == wanted, query


def test_an_item_moves_by_its_buttons_and_comes_back_to_where_one_was(signed_in, postmortem, bob):
    item = factories.ActionItemFactory(postmortem=postmortem, owner=bob)
    to = f"/postmortems/items/{item.uuid}/move"
    answer = signed_in.post(to, {"status": "in_progress", "next": "/postmortems/items?owner=me"})
    assert answer.headers["Location"] == "/postmortems/items?owner=me"
    for elsewhere in ("//evil.example", "incident", "x"):  # the names of pages are no addresses either
        answer = signed_in.post(to, {"status": "completed", "next": elsewhere})
        assert answer.headers["Location"].startswith(f"/postmortems/{postmortem.number}#")
    item.refresh_from_db()
    assert item.status == "completed" and item.ended_at
    assert "Open it again first" in words(signed_in.post(to, {"status": "cancelled"}, follow=True))
    for status in ("", "burned", "\0"):
        assert "An action item is open" in words(signed_in.post(to, {"status": status}, follow=True)), status
    fragment = signed_in.post(
        to, {"status": "open", "next": "/postmortems/items"}, headers={"X-Fragment": "board"}, follow=True
    )
    assert 'data-fragment="board"' in fragment.content.decode() and "<main" not in fragment.content.decode()


def test_its_owner_moves_an_item_though_they_only_read_else(postmortem):
    reader = factories.UserFactory(role=Role.OBSERVER)
    mine = factories.ActionItemFactory(postmortem=postmortem, owner=reader)
    others = factories.ActionItemFactory(postmortem=postmortem)
    client = Client()
    client.force_login(reader)
    client.post(f"/postmortems/items/{mine.uuid}/move", {"status": "completed"})
    assert client.post(f"/postmortems/items/{others.uuid}/move", {"status": "completed"}).status_code == 403
    mine.refresh_from_db(), others.refresh_from_db()
    assert (mine.status, others.status) == ("completed", "open")


def test_items_of_hidden_postmortems_are_on_nobodys_board(signed_in, bob):
    secret = factories.PostmortemFactory(visibility="team", status="published")
    item = factories.ActionItemFactory(postmortem=secret, text="Secret work")
    assert "Secret work" not in words(signed_in.get("/postmortems/items"))
    assert signed_in.get(f"/postmortems/items/{item.uuid}").status_code == 404
    assert signed_in.post(f"/postmortems/items/{item.uuid}/move", {"status": "completed"}).status_code == 404


def test_an_item_is_added_and_changed_on_its_postmortem(signed_in, postmortem, page, bob, alice):
    form = {"text": "Renew by machine", "owner": str(alice.uuid), "due_on": "2026-12-01", "priority": "high"}
    signed_in.post(f"{page}/items", form | {"link": "https://linear.app/shop/issue/ENG-5"})
    item = ActionItem.objects.get()
    said = words(signed_in.get(page))
    assert "Renew by machine" in said and "Alice" in said and "due 1 Dec 2026" in said and "ENG-5" in said
    to = f"/postmortems/items/{item.uuid}"
    assert "Renew by machine" in signed_in.get(to).content.decode()
    signed_in.post(to, {"text": "Renew them all", "owner": "", "due_on": "", "priority": "low", "link": ""})
    item.refresh_from_db()
    assert (item.text, item.owner, item.due_on, item.priority, item.link) == ("Renew them all", None, None, "low", "")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"text": ""}, "This field is required"),
        ({"text": "x" * 501}, "at most 500 characters"),
        ({"due_on": "soon"}, "Write a day, for example"),
        ({"due_on": "0001-01-01"}, "between 1990 and 2100"),
        ({"owner": "nobody"}, "Choose somebody of the list"),
        ({"priority": "now"}, "Select a valid choice"),
        ({"link": "javascript:alert(1)"}, "Write the whole address of the issue"),
    ],
)
def test_an_item_that_is_wrong_says_what_to_change_and_keeps_the_rest(signed_in, postmortem, page, wrong, said):
    form = {"text": "Kept text", "priority": "medium", "owner": "", "due_on": "", "link": ""} | wrong
    answer = signed_in.post(f"{page}/items", form)
    assert answer.status_code == 400 and said in words(answer)
    assert "Kept text" in answer.content.decode() or "text" in wrong
    assert not ActionItem.objects.exists()
    item = factories.ActionItemFactory(postmortem=postmortem, text="As it was")
    answer = signed_in.post(f"/postmortems/items/{item.uuid}", form)
    assert answer.status_code == 400 and said in words(answer)
    item.refresh_from_db()
    assert item.text == "As it was"


def test_without_any_the_board_says_where_they_come_from(signed_in, db):
    assert "Nothing is to be done" in words(signed_in.get("/postmortems/items"))


def test_the_figures_name_what_comes_again_and_what_is_left(signed_in, team, bob, today):
    now = timezone.now()
    times = {"impact_began_at": now - 5 * DAY, "impact_ended_at": now - 4 * DAY}
    for number in range(2):
        one = factories.PostmortemFactory(team=team, status="published", **times)
        factories.FactorFactory(postmortem=one, cause=("Expired certificate", "expired  Certificate")[number])
        factories.ActionItemFactory(postmortem=one, owner=bob, due_on=today - DAY)
    factories.FactorFactory(postmortem=one, cause="Once only")
    said = words(signed_in.get("/postmortems/figures"))
    assert "xpired" in said and "Once only" not in said
    assert re.search(r"Open action items 2 .*Late action items 2", said)
    for days in ("90", "x", "%00", "9" * 40, "-1"):
        assert signed_in.get(f"/postmortems/figures?days={days}").status_code == 200
