"""What an address of the list asks for: filters, words, order, pages, and what is wrong in it."""

import datetime as dt

import pytest
from django.db import connection
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Role
from core.errors import DomainError
from incidents import searching
from incidents.searching import Search
from tests import factories

NOW = factories.NOW
DAY = dt.timedelta(days=1)


@pytest.fixture
def incident(service):
    """A function that makes an incident of the service “Checkout”."""

    def make(title="Checkout is down", **fields):
        return factories.IncidentFactory(**{"service": service, "title": title, "triggered_at": NOW, **fields})

    return make


@pytest.fixture
def found(bob):
    """A function that says which incidents an address finds, in their order; problems fail unless expected."""

    def find(query, *, user=bob, problems=0):
        search = Search(QueryDict(query), user=user, now=NOW)
        assert len(search.problems) == problems, search.problems
        return [one.title for one in search.page(search.rows()).rows]

    return find


def test_without_a_filter_the_open_ones_are_found_newest_first(incident, found):
    for title, status in (("Old", "triggered"), ("Over", "closed"), ("New", "investigating")):
        incident(title, status=status, resolved_at=NOW if status == "closed" else None)
    assert found("") == ["New", "Old"]
    assert found("state=all") == ["New", "Over", "Old"]
    assert found("status=all") == ["New", "Over", "Old"]
    assert found("state=closed") == ["Over"]
    assert found("state=triggered&state=closed") == ["Over", "Old"]
    assert found("state=triggered,closed") == ["Over", "Old"]


def test_filters_of_several_values_find_what_matches_any_and_all_filters_must_match(incident, found):
    other = factories.ServiceFactory(slug="search", name="Search")
    incident("A", severity="critical", priority="P1")
    incident("B", severity="high", priority="P2")
    incident("C", severity="high", priority="P2", service=other)
    incident("D", severity="low", priority="P4", service=other)
    assert found("severity=high&severity=low") == ["D", "C", "B"]
    assert found("severity=HIGH&service=search") == ["C"]
    assert found("priority=p1,P4") == ["D", "A"]
    assert found("service=checkout&service=search&severity=critical") == ["A"]
    assert found(f"team={other.team.slug}") == ["D", "C"]


def test_a_word_is_meant_in_whatever_case_it_is_written(bob, service):
    search = Search(QueryDict("state=Closed&severity=HIGH&priority=p1"), user=bob, now=NOW)
    assert search.problems == [] and search.query == "state=closed&priority=P1&severity=high"
    assert Search(QueryDict("state=ALL"), user=bob, now=NOW).query == "state=all"


def test_many_people_are_looked_up_at_once(bob, django_assert_num_queries):
    known = [factories.UserFactory(email=f"Person{n}@Example.com") for n in range(5)]
    named = [str(one.uuid) for one in known[:2]] + [one.email.upper() for one in known[2:]]
    params = QueryDict(mutable=True)
    params.setlist("responder", named)
    with django_assert_num_queries(1):
        search = Search(params, user=bob, now=NOW)
    assert search.problems == [] and sorted(search.chosen["responder"]) == sorted(named)


def test_people_are_found_as_assignees_and_as_responders(incident, found, alice, bob):
    incident("Hers", assignee=alice)
    joined = incident("Joined")
    factories.ResponderFactory(incident=joined, user=alice)
    declined = incident("Declined")
    factories.ResponderFactory(incident=declined, user=alice, declined_at=NOW)
    incident("His", assignee=bob)
    assert found(f"responder={alice.uuid}") == ["Joined", "Hers"]
    assert found(f"responder={alice.email.upper()}") == ["Joined", "Hers"]
    assert found("responder=me") == ["His"]
    assert found("responder=me&responder=" + str(alice.uuid)) == ["His", "Joined", "Hers"]
    assert found("responder=nobody") == ["Declined", "Joined"]
    assert found("responder=nobody&responder=me") == ["His", "Declined", "Joined"]


def test_times_are_spans_days_and_moments(incident, found):
    incident("Now", triggered_at=NOW - dt.timedelta(minutes=5))
    incident("Yesterday", triggered_at=NOW - DAY)
    incident("Last month", triggered_at=NOW - 30 * DAY)
    assert found("last=1h") == ["Now"]
    assert found("from=7d") == ["Now", "Yesterday"]
    assert found("from=7d&to=2h") == ["Yesterday"]
    assert found("from=2026-05-31") == ["Now", "Yesterday"]
    assert found("to=2026-05-31") == ["Yesterday", "Last month"]
    assert found("to=2026-05-31T11:00") == ["Last month"]
    assert found("from=2026-05-31&to=2026-05-31&sort=oldest") == ["Yesterday"]


def test_a_day_is_that_of_the_reader(incident, found, bob):
    bob.time_zone = "Asia/Tokyo"
    incident("Late in the evening, UTC", triggered_at=dt.datetime(2026, 5, 31, 20, tzinfo=dt.UTC))
    assert found("from=2026-06-01") == ["Late in the evening, UTC"]
    assert found("to=2026-05-31") == []


def test_merged_ones_can_be_left_out_or_looked_for(incident, found):
    target = incident("Goes on")
    over = {"status": "resolved", "resolved_at": NOW, "merged_at": NOW, "status_before_merge": "triggered"}
    incident("Merged", merged_into=target, **over)
    incident("Over", status="resolved", resolved_at=NOW)
    assert found("merged=yes") == ["Merged"]
    assert found("merged=no&state=all") == ["Over", "Goes on"]


def test_orders(incident, found):
    incident("Low, oldest", priority="P4", triggered_at=NOW - 3 * DAY)
    incident("High", priority="P1", triggered_at=NOW - 2 * DAY)
    incident("Low, newest", priority="P4", triggered_at=NOW - 5 * DAY)
    assert found("sort=newest") == ["Low, newest", "High", "Low, oldest"]
    assert found("sort=oldest") == ["Low, oldest", "High", "Low, newest"]
    assert found("sort=priority") == ["High", "Low, newest", "Low, oldest"]
    assert found("sort=longest") == ["Low, newest", "Low, oldest", "High"]
    assert found("sort=newest&last=30d") == ["High", "Low, oldest", "Low, newest"]


def test_longest_open_says_that_it_leaves_out_what_is_over(incident, found):
    incident("Over", status="closed", resolved_at=NOW)
    assert found("sort=longest&state=all", problems=1) == []


# --- words ----------------------------------------------------------------------------------------------------


def test_words_are_found_by_their_beginning_wherever_they_stand(incident, found):
    incident("Database is slow", description="The replica lags behind.")
    incident("Cache is cold", impact="Customers wait.", resolution_note="Restarted redis.")
    assert found("q=data") == ["Database is slow"]
    assert found("q=SLOW+replic") == ["Database is slow"]
    assert found("q=custom") == found("q=redis") == ["Cache is cold"]
    assert found("q=slow+cold") == []
    assert found("q=atabase") == []
    assert found("q=is") == ["Cache is cold", "Database is slow"]


def test_phrases_and_words_that_must_not_stand_there(incident, found):
    incident("Disk almost full on db-1")
    incident("Disk is full")
    assert found("q=%22almost full%22") == ["Disk almost full on db-1"]
    assert found("q=“almost full”") == ["Disk almost full on db-1"]
    assert found("q=%22almost full") == ["Disk almost full on db-1"]
    assert found("q=disk -almost") == ["Disk is full"]
    assert found("q=-almost") == ["Disk is full"]
    assert found("q=disk -%22is full%22") == ["Disk almost full on db-1"]
    assert found("q=db-1") == ["Disk almost full on db-1"]


def test_the_name_of_a_service_counts_as_a_word(incident, found):
    other = factories.ServiceFactory(slug="billing-api", name="Billing API")
    incident("It is slow", service=other)
    incident("It is slow too")
    assert found("q=billing") == found("q=bill slow") == found("q=%22billing api%22") == ["It is slow"]
    assert found("q=slow -billing") == ["It is slow too"]


def test_a_number_finds_that_incident_and_a_bare_one_words_too(incident, found):
    first = incident("First", status="closed", resolved_at=NOW)
    incident(f"Answered {first.pk} times")
    assert found(f"q=%23{first.pk}") == ["First"]
    assert found(f"q={first.pk}") == [f"Answered {first.pk} times", "First"]
    assert found("q=%230") == found("q=%23" + "9" * 30) == found("q=" + "9" * 30) == []


def test_a_search_looks_at_all_states_unless_it_says_which(incident, found):
    incident("Trouble over", status="closed", resolved_at=NOW)
    incident("Trouble open")
    assert found("q=trouble") == ["Trouble open", "Trouble over"]
    assert found("q=trouble&state=open") == found("q=trouble state:open") == ["Trouble open"]


def test_filters_can_be_written_into_the_search(incident, found):
    incident("Old", triggered_at=NOW - 9 * DAY)
    incident("New and critical", severity="critical")
    incident("New and low", severity="low")
    assert found("q=state:open service:checkout from:7d severity:critical,high") == ["New and critical"]
    assert found('q=SERVICE:"checkout" new sort:oldest') == ["New and critical", "New and low"]
    assert found("q=service:nothing", problems=1) == []
    assert found("q=colour:red") == []


# --- what is wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("state=nonsense", "“nonsense” is not a state. Use open, triggered"),
        ("priority=P9", "“P9” is not a priority. Use P1"),
        ("severity=bad", "“bad” is not a severity. Use critical"),
        ("service=nothing", "There is no service “nothing”"),
        ("team=nothing", "There is no team “nothing”"),
        ("responder=nobody@nowhere.example", "There is no person “nobody@nowhere.example”"),
        ("from=yesterday", "“yesterday” is not a time for “from”"),
        ("to=2026-13-01", "“2026-13-01” is not a time for “to”"),
        ("to=0001-01-01", "is not a time"),
        ("from=9999-12-31", "is not a time"),
        ("last=2026-06-01", "“2026-06-01” is not a time for “last”"),
        ("from=1d&to=7d", "The end of the time is before its beginning"),
        ("merged=perhaps", "“perhaps” is not a word for “merged”"),
        ("q=!!!", "A search needs a letter or a digit"),
    ],
)
def test_a_wrong_value_is_said_and_finds_nothing(incident, bob, query, said):
    incident()
    search = Search(QueryDict(query), user=bob, now=NOW)
    assert said in " ".join(search.problems)
    assert search.page(search.rows()).rows == []
    assert search.count(search.rows()) == (0, True)


def test_of_several_values_the_right_ones_count(incident, found):
    incident()
    assert found("service=checkout&service=nothing", problems=1) == ["Checkout is down"]


def test_a_wrong_order_is_said_and_the_newest_come_first(incident, found):
    incident()
    assert found("sort=colour", problems=1) == ["Checkout is down"]


def test_too_long_and_too_many_are_cut_and_said(incident, found):
    incident("word")
    assert found("q=" + "word " * 30, problems=1) == ["word"]
    assert len(found("q=" + "word" * 3000, problems=1)) == 0
    assert found("&".join(f"service={n}" for n in range(60)) + "&service=checkout", problems=51) == []


PIECES = st.sampled_from(
    ["'", '"', "\\", "\0", "-", "--", ":*", "&", "|", "!", "<->", "(", ")", "%", "_", "#", "🔥", "ſ", "\n", ";"]
    + ["state:", "service:", "from:", "'':*", "a", "502", "’", "é", "\u202e", "x" * 90, "$$", "{}", "\x1b", ":A", "''"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES | st.text(max_size=8), max_size=25).map("".join))
def test_no_search_breaks_anything(incident, bob, text):
    params = QueryDict(mutable=True)
    params["q"] = text
    search = Search(params, user=bob, now=NOW)
    rows = search.rows()
    search.page(rows), search.count(rows), search.chips()
    again = Search(QueryDict(search.query), user=bob, now=NOW)
    assert again.query == search.query or search.problems


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*searching.LISTS, *searching.SINGLES, "status"]),
    st.text(max_size=30) | st.sampled_from(["9" * 5000, "\0", "9999w", "2026-06-01T25:00", "0000-00-00", ",,,"]),
    st.sampled_from(list(searching.SORTS)),
)
def test_no_filter_breaks_anything(incident, bob, name, value, order):
    params = QueryDict(mutable=True)
    params["sort"], params[name] = order, value
    search = Search(params, user=bob, now=NOW)
    search.page(search.rows()), search.count(search.rows()), search.chips()


# --- pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "sort=oldest", "sort=priority", "sort=longest", "last=30d", "q=trouble"])
def test_pages_follow_each_other_forth_and_back_without_gaps_or_doubles(incident, bob, monkeypatch, query):
    for n in range(23):
        incident(f"Trouble {n}", priority=f"P{n % 3 + 1}", triggered_at=NOW - n % 4 * DAY)
    monkeypatch.setattr(searching, "A_PAGE", 5)
    search = Search(QueryDict(query), user=bob, now=NOW)
    rows = search.rows()
    pages, cursor = [], ""
    while True:
        page = search.page(rows, before=cursor)
        pages.append([one.pk for one in page.rows])
        assert bool(page.newer) is bool(cursor)
        if not page.older:
            break
        cursor, back = page.older, page.newer
    numbers = [number for page in pages for number in page]
    assert len(numbers) == len(set(numbers)) == 23
    assert numbers == [one.pk for one in sorted(rows, key=search.sort_key())]
    page = search.page(rows, after=page.newer)
    assert [one.pk for one in page.rows] == pages[-2] and page.older and page.newer
    first = search.page(rows, after=back)
    while first.newer:
        first = search.page(rows, after=first.newer)
    assert [one.pk for one in first.rows] == pages[0]


@pytest.mark.parametrize("cursor", ["x", "P1_2", "1_2_3", "9" * 40, "-1", "\0", "P9_1", "20260601T000000.000000_x"])
@pytest.mark.parametrize("sort", ["newest", "priority", "longest"])
def test_a_cursor_that_is_none_is_a_sentence(incident, bob, cursor, sort):
    search = Search(QueryDict(f"sort={sort}"), user=bob, now=NOW)
    if (cursor, sort) == ("P1_2", "priority"):
        assert search.page(search.rows(), before=cursor).rows == []
        return
    with pytest.raises(DomainError, match="not one of this list"):
        search.page(search.rows(), before=cursor)


def test_small_numbers_are_counted_and_large_ones_estimated(incident, bob, monkeypatch):
    for n in range(12):
        incident(f"Trouble {n}")
    search = Search(QueryDict(""), user=bob, now=NOW)
    assert search.count(search.rows()) == (12, True)
    monkeypatch.setattr(searching, "COUNTED", 5)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE incidents_incident")
    assert search.count(search.rows()) == (12, False)


def test_what_takes_too_long_is_a_sentence_and_the_connection_goes_on(db):
    with (
        pytest.raises(searching.TooSlow, match="Search narrower"),
        searching.time_limit(0.05),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(5)")
    with searching.time_limit(0.05):
        pass
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.1)")  # the limit ended with its block


# --- who sees what --------------------------------------------------------------------------------------------


def test_private_teams_are_hidden_in_rows_counts_and_filters(incident, found, bob):
    hidden = factories.TeamFactory(name="Hidden", slug="hidden", is_private=True)
    secret = factories.ServiceFactory(name="Vault", slug="vault", team=hidden)
    stranger = factories.UserFactory(role=Role.RESPONDER)
    incident("Vault is open", service=secret, team=hidden)
    incident("Checkout is down")
    assert found("q=open", user=stranger) == found("q=vault", user=stranger) == []
    assert found("", user=stranger) == ["Checkout is down"]
    assert found("service=vault", user=stranger, problems=1) == found("team=hidden", user=stranger, problems=1) == []
    search = Search(QueryDict(""), user=stranger, now=NOW)
    assert search.count(search.rows()) == (1, True)
    member = factories.MembershipFactory(team=hidden).user
    assert found("q=vault", user=member) == ["Vault is open"]
    incident("Vault, and hers", service=secret, team=hidden, assignee=stranger)
    assert found("", user=stranger) == ["Vault, and hers", "Checkout is down"]


def test_the_address_is_always_said_in_one_order(bob, service):
    search = Search(QueryDict("severity=low&state=closed&severity=critical&state=open&q=word"), user=bob, now=NOW)
    assert search.query == "q=word&state=closed&state=open&severity=critical&severity=low"
    assert Search(QueryDict(""), user=bob, now=NOW).query == ""
    assert Search(QueryDict("state=open&sort=newest"), user=bob, now=NOW).query == ""
    assert [chip.label for chip in search.chips()] == [
        "Search: word",
        "State: Closed",
        "State: Open",
        "Severity: Critical",
        "Severity: Low",
    ]
    assert search.chips()[0].without == "state=closed&state=open&severity=critical&severity=low"
