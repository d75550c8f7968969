"""Which address is told, and after how long."""

import datetime

from notifications.rules import Method, Reach, Rule, plan

NOW = datetime.datetime(2026, 5, 4, 10, 15, tzinfo=datetime.UTC)
EMAIL = Method(1, "email", shown="bob@example.com")
SMS = Method(2, "sms", shown="+49301234567")
UNVERIFIED = Method(3, "webhook", shown="https://example.com/bob", is_verified=False)
DISABLED = Method(4, "email", shown="old@example.com", disabled_reason="No such person here.")


def bob(*methods, rules=(), **fields):
    return Reach(5, "Bob", methods=methods, rules=tuple(rules), **fields)


def keys(planned):
    return [each.rule_key for each in planned]


def test_without_rules_every_verified_address_is_told_at_once():
    planned, reasons = plan(bob(EMAIL, SMS, UNVERIFIED, DISABLED), urgency="high", now=NOW)
    assert keys(planned) == ["m1d0", "m2d0"]
    assert all(each.due_at == NOW for each in planned)
    assert reasons == []


def test_rules_decide_where_and_when():
    rules = [Rule(2, "high", 5), Rule(1, "high", 0), Rule(1, "high", 10)]
    planned, reasons = plan(bob(EMAIL, SMS, rules=rules), urgency="high", now=NOW)
    assert [(each.channel, each.due_at - NOW) for each in planned] == [
        ("email", datetime.timedelta(0)),
        ("sms", datetime.timedelta(minutes=5)),
        ("email", datetime.timedelta(minutes=10)),
    ]
    assert reasons == []


def test_rules_of_another_urgency_do_not_count():
    planned, _ = plan(bob(EMAIL, SMS, rules=[Rule(1, "low", 30)]), urgency="high", now=NOW)
    assert keys(planned) == ["m1d0", "m2d0"]


def test_a_rule_for_an_unusable_address_is_skipped_with_a_reason():
    rules = [Rule(3, "high", 0), Rule(1, "high", 1)]
    planned, reasons = plan(bob(EMAIL, UNVERIFIED, rules=rules), urgency="high", now=NOW)
    assert keys(planned) == ["m1d1"]
    assert reasons == ["A rule of Bob for high urgency was skipped: webhook https://example.com/bob is not verified."]


def test_rules_that_leave_nothing_fall_back_to_every_verified_address():
    rules = [Rule(4, "high", 0), Rule(99, "high", 0)]
    planned, reasons = plan(bob(EMAIL, DISABLED, rules=rules), urgency="high", now=NOW)
    assert keys(planned) == ["m1d0"]
    assert "is disabled (No such person here)" in reasons[0]
    assert "no longer exists" in reasons[1]
    assert "every verified contact method is used at once" in reasons[2]


def test_the_same_address_and_delay_is_told_once():
    planned, _ = plan(bob(EMAIL, rules=[Rule(1, "high", 5), Rule(1, "high", 5)]), urgency="high", now=NOW)
    assert keys(planned) == ["m1d5"]


def test_nobody_to_tell_says_what_to_do():
    planned, reasons = plan(bob(UNVERIFIED), urgency="high", now=NOW)
    assert planned == []
    assert reasons[-1] == (
        "Bob has no verified contact method. Add one under Contact methods in their settings and verify it."
    )


def test_an_inactive_person_is_never_paged():
    planned, reasons = plan(bob(EMAIL, is_active=False), urgency="high", now=NOW)
    assert planned == []
    assert "not active" in reasons[0]
