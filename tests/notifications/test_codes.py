"""Reply codes: small, unique for a number, the same for an incident."""

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications import codes
from notifications.message import Kind
from notifications.models import Notification
from tests.factories import NotificationFactory
from tests.notifications.conftest import NOW, after, make_method

NUMBER, OTHER = "+14155550123", "+14155550199"


@pytest.fixture
def phone(alice):
    return make_method(alice, "sms", NUMBER)


def row(method, topic="incident:42", at=NOW, state="sent", **fields):
    return NotificationFactory(
        user=method.user, contact_method=method, topic=topic, created_at=at, state=state, sent_at=at, **fields
    )


def give(*rows, now=NOW):
    codes.give(rows, now=now)
    stored = dict(Notification.objects.values_list("pk", "reply_code"))
    assert all(each.reply_code == stored[each.pk] for each in rows)
    return [each.reply_code for each in rows]


def test_codes_count_up_for_a_number(phone):
    assert give(row(phone, "incident:7"), row(phone, "incident:9"), row(phone, "incident:8")) == [1, 2, 3]


def test_an_incident_keeps_its_code_at_a_number(phone):
    assert give(row(phone, "incident:7"), row(phone, "incident:9")) == [1, 2]
    late = after(hours=23)
    assert give(row(phone, "incident:9", at=late), row(phone, "incident:10", at=late), now=late) == [2, 3]


def test_another_number_counts_for_itself(phone, bob):
    assert give(row(phone), row(make_method(bob, "sms", OTHER))) == [1, 1]


def test_two_people_with_one_number_never_share_a_code(phone, alice, bob):
    shared = make_method(bob, "sms", NUMBER)
    mine, theirs = row(phone, "incident:7"), row(shared, "incident:7")
    assert give(mine) == [1]
    assert give(theirs) == [2]
    assert codes.find("sms", NUMBER, 1, now=NOW).user == alice
    assert codes.find("sms", NUMBER, 2, now=NOW).user == bob


def test_a_code_is_free_again_after_a_day(phone):
    assert give(row(phone, "incident:7")) == [1]
    later = after(hours=24)
    assert codes.find("sms", NUMBER, 1, now=later) is None
    assert give(row(phone, "incident:8", at=later), now=later) == [1]
    assert codes.find("sms", NUMBER, 1, now=later).topic == "incident:8"


def test_a_bundle_has_a_code_of_its_own(phone):
    assert give(row(phone, "incident:7"), row(phone, "incident:7", kind=Kind.BUNDLE)) == [1, 2]


def test_only_messages_that_can_be_answered_get_a_code(phone, alice):
    mail = make_method(alice, "email", "alice@example.com")
    assert give(row(mail), row(phone, kind=Kind.TEST), row(phone, kind=Kind.VERIFICATION)) == [None, None, None]
    assert give(row(phone, kind=Kind.UPDATE)) == [1]


def test_a_code_that_was_given_stays(phone):
    one = row(phone, reply_code=9)
    assert give(one) == [9]
    assert give(row(phone)) == [9]


def test_the_number_of_statements_does_not_grow(phone, alice):
    def statements(rows):
        with CaptureQueriesContext(connection) as queries:
            codes.give(rows, now=NOW)
        return len(queries)

    few = statements([row(phone)])
    phones = [make_method(alice, "sms", f"+1415555{number:04}") for number in range(200, 220)]
    assert statements([row(each, f"incident:{each.pk}") for each in phones]) == few
    assert statements([row(phone, kind=Kind.TEST)]) == 0


def test_a_number_may_be_written_in_any_way(phone):
    give(row(phone))
    assert codes.find("sms", "+1 (415) 555-0123", 1, now=NOW) is not None


@pytest.mark.parametrize("fields", [{"verified_at": None}, {"disabled_reason": "Gone."}])
def test_an_address_that_is_not_used_finds_nothing(phone, fields):
    give(row(phone))
    type(phone).objects.filter(pk=phone.pk).update(**fields)
    assert codes.find("sms", NUMBER, 1, now=NOW) is None
    assert codes.last("sms", NUMBER, now=NOW) is None


@pytest.mark.parametrize("code", [0, -1, 2, 32768, 10**9])
def test_a_code_that_nobody_got_finds_nothing(phone, code):
    give(row(phone))
    assert codes.find("sms", NUMBER, code, now=NOW) is None


def test_the_last_page_is_the_one_that_went_out_last(phone):
    first = row(phone, "incident:7", at=after(minutes=5))
    second = row(phone, "incident:8", at=after(minutes=1))
    row(phone, "incident:9", at=after(minutes=9), state="pending")
    row(phone, "incident:9", at=after(minutes=9), state="cancelled")
    row(phone, "incident:9", at=after(minutes=9), kind=Kind.RESOLVED)
    row(phone, "incident:9", at=after(minutes=9), bundle=second)
    assert codes.last("sms", NUMBER, now=after(minutes=10)) == first
    assert codes.last("sms", OTHER, now=after(minutes=10)) is None
    assert codes.last("sms", NUMBER, now=NOW + datetime.timedelta(days=2)) is None
