"""The page that says who is on call now, service by service, and where people say whether they can be called."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from oncall.models import Availability
from tests import factories

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def page_of(bob):
    """A function that gets the page as text, with white space as a browser shows it."""

    def get(query="", *, user=bob):
        client = Client()
        client.force_login(user)
        answer = client.get(f"/oncall{query}")
        assert answer.status_code == 200
        content = answer.content.decode()
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content[content.index("<main") :]))

    return get


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


@pytest.fixture
def schedule(team, alice, bob):
    """Alice and Bob by turns, a day each from midnight to midnight in UTC; today Bob."""
    found = factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])
    yesterday = timezone.now().date() - dt.timedelta(days=1)
    found.layers.update(unit="day", start_date=yesterday, handoff_time=dt.time(0, 0))
    return found


@pytest.fixture
def service(team, schedule, alice):
    policy = factories.EscalationPolicyFactory(name="Shop", slug="shop", team=team, calls=[schedule, alice])
    return factories.ServiceFactory(name="Checkout", slug="checkout", team=team, policy=policy, tier=1)


def test_it_says_who_is_called_for_a_service_until_when_and_who_is_next(service, page_of):
    tomorrow = timezone.now() + dt.timedelta(days=1)
    text = page_of()
    assert re.search(r"Checkout Tier 1 Shop · Shop Level 1 at once Bob You Primary on call until", text)
    assert re.search(rf"until {tomorrow:%a %d %b}, 00:00 UTC \( in .*? \), then Alice Shop on call", text)
    assert re.search(r"Level 2 after 5 min Alice Named in the policy", text)


def test_the_most_important_services_come_first(service, team, page_of):
    other = factories.EscalationPolicyFactory(team=team, calls=[factories.UserFactory()])
    for name, tier in (("A toy", 3), ("Z tills", 1), ("B search", 2)):
        factories.ServiceFactory(name=name, team=team, policy=other if tier == 3 else None, tier=tier)
    text = page_of()
    text = text[text.index("Services") :]  # above it stands what the reader is called for
    assert re.search(r"Checkout Tier 1 .* Z tills Tier 1 .* B search Tier 2 .* A toy Tier 3", text)


def test_services_of_a_team_with_the_same_policy_stand_together_whatever_their_tier(service, team, page_of):
    factories.ServiceFactory(name="Web shop", slug="web-shop", team=team, policy=service.policy, tier=2)
    factories.ServiceFactory(name="Theirs", team=factories.TeamFactory(name="Other"), policy=service.policy, tier=1)
    text = page_of("?team=all")
    board = text[text.index("Services") :]
    assert re.search(
        r"Checkout Tier 1 Web shop Tier 2 Shop · Shop Level 1 .*? Theirs Tier 1 Other · Shop Level 1", board
    )
    assert board.count("Level 1") == 2
    assert "You are called now at level 1 for Checkout , Theirs , Web shop ." in text


def test_whom_several_levels_call_stands_there_once_with_all_of_them(service, team, schedule, alice, charlie, page_of):
    calls = [schedule, schedule, charlie, alice, charlie]
    service.policy = factories.EscalationPolicyFactory(name="Long", team=team, calls=calls)
    service.save()
    text = page_of()
    text = text[text.index("Services") :]
    assert re.search(r"Level 1 at once , Level 2 after 5 min Bob You Primary on call until", text)
    assert re.search(r"Level 3 after 15 min , Level 5 after 50 min Charlie Named in the policy", text)
    assert re.search(r"Level 4 after 30 min Alice Named in the policy", text)
    assert (text.count("Bob You"), text.count("Charlie")) == (1, 1)


def test_who_is_on_call_and_named_as_well_stands_there_once(service, team, schedule, bob, page_of):
    service.policy = factories.EscalationPolicyFactory(team=team, calls=[bob, schedule])
    service.save()
    text = page_of()
    text = text[text.index("Services") :]
    assert re.search(r"Level 1 at once , Level 2 after 5 min Bob You Primary on call until .*? then Alice", text)
    assert "Named in the policy at level 1" in text and text.count("Bob You") == 1


def test_a_level_that_calls_nobody_keeps_its_place(service, team, alice, page_of):
    service.policy = factories.EscalationPolicyFactory(team=team, calls=[alice, alice, alice])
    service.policy.levels.get(number=2).targets.all().delete()
    service.save()
    text = page_of()
    assert re.search(r"Level 1 at once , Level 3 after 15 min Alice .*? Level 2 after 5 min No targets: nobody", text)


def test_an_override_is_the_reason_in_words(service, schedule, charlie, page_of):
    now = timezone.now()
    factories.OverrideFactory(schedule=schedule, user=charlie, start_at=now - HOUR, end_at=now + HOUR)
    text = page_of()
    assert re.search(r"Charlie Primary on call until .*? By an override, in place of Bob", text)


def test_a_swap_is_the_reason_in_words(service, schedule, charlie, bob, page_of):
    now = timezone.now()
    offer = factories.OfferFactory(request__schedule=schedule, request__requester=bob, user=charlie, state="applied")
    factories.OverrideFactory(
        schedule=schedule, user=charlie, replaces=bob, offer=offer, start_at=now - HOUR, end_at=now + HOUR
    )
    assert "By a swap, in place of Bob" in page_of()


def test_time_off_is_said(service, schedule, bob, page_of):
    now = timezone.now()
    factories.TimeOffFactory(user=bob, start_at=now - HOUR, end_at=now + HOUR)
    assert "Has time off now: somebody should take this shift." in page_of()


def test_a_gap_is_loud(service, schedule, page_of):
    schedule.layers.all().delete()
    text = page_of()
    assert "Nobody is on call in Shop on call." in text
    assert "Nobody can be reached at any level" not in text  # Alice is left


def test_who_comes_next_may_be_nobody(service, schedule, page_of):
    schedule.layers.update(unit="week", ends_at=timezone.now() + HOUR)
    assert re.search(r"\( in .*? \), then nobody", page_of())


def test_people_who_cannot_be_reached_are_loud(service, schedule, alice, bob, page_of):
    bob.contact_methods.all().delete()
    assert "No verified contact method: cannot be reached." in page_of()
    assert "Nobody can be reached at any level" not in page_of()
    alice.is_active = False
    alice.save()
    text = page_of()
    assert "Deactivated: is never called." in text and "Nobody can be reached at any level." in text


def test_a_service_without_a_policy_is_loud(team, page_of):
    factories.ServiceFactory(name="Orphan", team=team, policy=None)
    factories.ServiceFactory(
        name="Empty", team=team, policy=factories.EscalationPolicyFactory(name="Void", team=team, calls=[])
    )
    text = page_of()
    assert "No escalation policy: nobody is called." in text
    assert "The policy Void has no levels: nobody is called." in text


def test_the_default_policy_of_the_team_counts(team, bob, page_of):
    factories.EscalationPolicyFactory(name="Default", team=team, is_team_default=True, calls=[bob])
    factories.ServiceFactory(name="Orphan", team=team, policy=None)
    assert re.search(r"Orphan Tier 3 Shop · Default Level 1 at once Bob", page_of())


def test_who_is_busy_is_shown_with_the_note_and_the_next_role_is_called(service, schedule, bob, charlie, page_of):
    second = factories.LayerFactory(schedule=schedule, role="SECONDARY", people=[charlie])
    assert "Charlie" not in page_of()
    factories.AvailabilityFactory(user=bob, since_at=timezone.now() - HOUR, note="on a train")
    text = page_of()
    assert re.search(r"Bob You Primary Busy Busy: on a train", text) and re.search(r"Charlie Secondary", text)
    second.delete()
    assert "Charlie" not in page_of()


def test_when_nobody_is_available_it_says_that_they_are_called_all_the_same(service, alice, bob, page_of):
    for user in (alice, bob):
        factories.AvailabilityFactory(user=user, since_at=timezone.now() - HOUR)
    assert "those who are busy, offline or away are called all the same" in page_of()


# --- filters --------------------------------------------------------------------------------------------------
@pytest.fixture
def foreign(db):
    """A service of another team."""
    return factories.ServiceFactory(name="Search", slug="search", team=factories.TeamFactory(name="Web", slug="web"))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Checkout"]),
        ("?team=mine", ["Checkout"]),
        ("?team=all", ["Checkout", "Search"]),
        ("?team=web", ["Search"]),
        ("?team=nonsense", ["Checkout"]),
        ("?team=%00", ["Checkout"]),
        ("?team=all&q=SEAR", ["Search"]),
        ("?team=all&q=%00", ["Checkout", "Search"]),
        ("?q=search", []),
        ("?q=%25", []),
    ],
)
def test_filters(service, foreign, signed_in, query, names):
    page = signed_in.get(f"/oncall{query}").content.decode()
    assert re.findall(r'<h3 id="service-\d+"><a[^>]*>(\w+)</a></h3>', page) == names
    assert ("No service matches" in page) is (not names)


def test_who_has_no_team_sees_all(service, foreign, charlie, page_of):
    text = page_of(user=charlie)
    assert "Checkout" in text and "Search" in text and "My teams" not in text


def test_archived_services_are_not_shown(service, page_of):
    service.lifecycle = "archived"
    service.save()
    assert "Checkout" not in page_of()


def test_schedules_that_no_service_calls_and_teams_without_any_are_shown(service, schedule, team, bob, page_of):
    factories.ScheduleFactory(name="Phones", team=team, people=[bob])
    factories.ScheduleFactory(name="Nobody's", team=team)
    web = factories.TeamFactory(name="Web", slug="web")
    text = page_of("?team=all")
    loose = text[text.index("Schedules that no service calls") :]
    assert re.search(r"Phones Bob You Primary", loose) and "Nobody is on call in Nobody&#x27;s." in loose
    assert "Shop on call" not in loose
    assert "Without a schedule: Web." in loose
    factories.ServiceFactory(team=web, policy=None)
    assert "Without a schedule" not in page_of()


def test_a_shadow_alone_is_nobody(team, bob, page_of):
    schedule = factories.ScheduleFactory(name="Phones", team=team)
    factories.LayerFactory(schedule=schedule, role="SHADOW", people=[bob])
    text = page_of()
    assert re.search(r"Phones Nobody is on call in Phones. Bob You Shadow", text)


def test_it_costs_the_same_for_one_service_and_for_many(service, team, bob, signed_in, django_assert_max_num_queries):
    def add(number):
        for _ in range(number):
            one = factories.ScheduleFactory(team=team, people=[bob])
            policy = factories.EscalationPolicyFactory(team=team, calls=[one, bob])
            factories.ServiceFactory(team=team, policy=policy)
            factories.ScheduleFactory(team=team, people=[bob])

    add(1)
    with django_assert_max_num_queries(29) as few:
        signed_in.get("/oncall")
    add(9)
    with django_assert_max_num_queries(len(few)):
        assert signed_in.get("/oncall").status_code == 200


# --- availability ---------------------------------------------------------------------------------------------
def say(client, **form):
    return client.post("/oncall/availability", form, follow=True)


def test_saying_that_one_is_busy_tells_what_it_does(service, signed_in, bob):
    content = say(signed_in, status="busy", note="on a train").content.decode()
    assert "You are busy. You are skipped while anybody else can be called." in content
    assert Availability.objects.get(user=bob).note == "on a train"
    assert "I am available" in content
    assert "You are available" in say(signed_in, status="available").content.decode()
    assert Availability.objects.get(user=bob).status == "available"


def test_until_is_a_time_in_the_readers_zone(signed_in, bob):
    bob.time_zone = "Europe/Berlin"
    bob.save()
    assert b"Until (Europe/Berlin)" in signed_in.get("/oncall").content
    say(signed_in, status="away", until_at="2099-07-01T09:00")
    assert Availability.objects.get(user=bob).until_at == dt.datetime(2099, 7, 1, 7, tzinfo=dt.UTC)
    assert b'value="2099-07-01T09:00"' in signed_in.get("/oncall").content


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"status": "away"}, "Say until when you are away."),
        ({"status": "busy", "until_at": "2020-01-01T09:00"}, "This time is over."),
        ({"status": "busy", "until_at": "tomorrow"}, "Write a date and a time"),
        ({"status": "busy", "until_at": "9999-12-31T23:59"}, "Write a date and a time"),
        ({"status": "busy", "until_at": "2099-13-41T00:00"}, "Write a date and a time"),
        ({"status": "asleep"}, "Select a valid choice"),
        ({"status": "busy", "note": "x" * 201}, "at most 200 characters"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(signed_in, bob, form, sentence):
    answer = signed_in.post("/oncall/availability", {"note": "back <soon>", **form})
    content = answer.content.decode()
    assert answer.status_code == 400 and sentence in content
    assert 'aria-invalid="true"' in content
    assert form.get("note") or 'value="back &lt;soon&gt;"' in content
    assert not Availability.objects.filter(user=bob).exists()


def test_observers_read_only(service, client):
    client.force_login(factories.UserFactory(role=Role.OBSERVER))
    assert b"/oncall/availability" not in client.get("/oncall").content
    assert client.post("/oncall/availability", {"status": "busy"}).status_code == 403


def test_it_asks_who_you_are(client, db):
    assert client.get("/oncall").headers["Location"] == "/login?next=/oncall"
    assert client.post("/oncall/availability").headers["Location"] == "/login?next=/oncall/availability"


def test_it_needs_no_inline_scripts_or_foreign_addresses(service, signed_in):
    content = signed_in.get("/oncall").content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", content)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", content)
