"""The page that says what is wrong in the schedules of a team, and how to mend it."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from tests import factories

DAY = dt.timedelta(days=1)


@pytest.fixture
def page_of(bob):
    """A function that gets the page as text, with white space as a browser shows it."""

    def get(query="", *, user=bob, as_html=False):
        client = Client()
        client.force_login(user)
        answer = client.get(f"/coverage{query}")
        assert answer.status_code == 200
        content = answer.content.decode()
        content = content[content.index("<main") :]
        return content if as_html else re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content))

    return get


@pytest.fixture
def schedule(team, alice, bob):
    return factories.ScheduleFactory(name="Shop on call", slug="shop-on-call", team=team, people=[alice, bob])


def test_it_is_friendly_when_all_is_fine(schedule, team, page_of):
    factories.EscalationPolicyFactory(name="Shop", team=team, calls=[schedule])
    text = page_of()
    assert "All is covered" in text and "Every minute of the next 28 days has somebody who can be reached" in text
    assert "Shop Covered" in text and "to mend" not in text


def test_the_load_of_each_person_is_a_table_with_bars(schedule, page_of):
    content = page_of(as_html=True)
    assert "Who carries how much" in content and content.count("<tbody") == 1
    assert len(re.findall(r'<rect class="load-part" width="[\d.]+" height="8"/>', content)) == 2
    assert re.search(r'<rect class="load-part" width="100\.0"', content)


def test_a_gap_says_how_to_mend_it_and_leads_there(schedule, team, alice, page_of):
    factories.EscalationPolicyFactory(name="Shop", team=team, calls=[schedule])
    ends_at = timezone.now().replace(microsecond=0) + 3 * DAY
    schedule.layers.update(ends_at=ends_at)
    text, content = page_of(), page_of(as_html=True)
    assert re.search(r"Gaps Somebody has to take these spans", text)
    assert "Nobody is on call as primary in Shop on call" in text
    assert "Shop Not covered" in text and "Nobody would be reached then." in text
    stamp = f"{ends_at:%Y-%m-%dT%H}%3A{ends_at:%M}%3A{ends_at:%S}Z"
    assert f"/schedules/shop-on-call/overrides/new?start={stamp}" in content
    assert "/admin/" not in content
    alice.is_staff = True
    alice.save()
    assert f"/admin/oncall/schedule/{schedule.pk}/change/" in page_of(user=alice, as_html=True)


def test_the_link_opens_the_form_of_an_override_for_the_span(schedule, page_of, bob):
    schedule.layers.update(ends_at=timezone.now() + 3 * DAY)
    url = re.search(r'href="(/schedules/shop-on-call/overrides/new[^"]+)"', page_of(as_html=True))[1]
    client = Client()
    client.force_login(bob)
    assert client.get(url.replace("&amp;", "&")).status_code == 200


def test_people_whom_nothing_reaches_are_named(schedule, bob, page_of):
    bob.contact_methods.all().delete()
    text = page_of()
    assert "People whom nothing reaches" in text and "Bob has no verified contact method" in text


def test_many_problems_of_one_kind_are_cut(schedule, bob, page_of):
    now = timezone.now()
    for number in range(1, 21):
        start_at = now + number * DAY
        factories.TimeOffFactory(user=bob, start_at=start_at, end_at=start_at + dt.timedelta(hours=1))
    schedule.layers.get().participants.exclude(user=bob).delete()
    text = page_of()
    assert "And 8 more of this kind." in text and "21 things to mend" in text


def test_how_far_to_look_and_which_team_are_chosen(schedule, page_of):
    other = factories.TeamFactory(name="Web", slug="web")
    schedule.layers.update(ends_at=timezone.now() + 10 * DAY)
    assert "to mend" not in page_of("?days=7") and "1 thing to mend" in page_of("?days=14")
    assert "The team Web has no schedule" in page_of("?team=web")
    for query in ("?days=999999999", "?days=x&team=%00", f"?team={other.slug}&days="):
        page_of(query)


def test_without_a_team_it_says_what_to_do(client, charlie):
    client.force_login(charlie)
    assert b"No team yet" in client.get("/coverage").content


def test_observers_read_without_links_to_change_anything(schedule, page_of):
    schedule.layers.update(ends_at=timezone.now() + 3 * DAY)
    content = page_of("?team=shop", user=factories.UserFactory(role=Role.OBSERVER), as_html=True)
    assert "Gaps" in content and "/overrides/new" not in content


def test_it_asks_who_you_are(client, db):
    assert client.get("/coverage").headers["Location"] == "/login?next=/coverage"


def test_it_costs_the_same_for_one_schedule_and_for_many(team, bob, client, django_assert_max_num_queries):
    client.force_login(bob)

    def add(number):
        for _ in range(number):
            one = factories.ScheduleFactory(team=team, people=[bob])
            factories.EscalationPolicyFactory(team=team, calls=[one])

    add(1)
    with django_assert_max_num_queries(40) as few:
        client.get("/coverage?days=7")
    add(4)
    with django_assert_max_num_queries(len(few)):
        assert client.get("/coverage?days=7").status_code == 200


def test_it_needs_no_inline_scripts_or_foreign_addresses(schedule, page_of):
    content = page_of(as_html=True)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", content)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", content)
