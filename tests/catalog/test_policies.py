"""Whom a service calls at a time, level by level."""

from catalog import policies
from oncall import lookup
from tests import factories


def test_who_of_a_service_goes_level_by_level(team, alice, bob, now):
    schedule = factories.ScheduleFactory(name="Shop on call", team=team, people=[bob])
    policy = factories.EscalationPolicyFactory(team=team, calls=[schedule, alice])
    service = factories.ServiceFactory(team=team, policy=policy)
    first, second = lookup.who(service, at=now)
    assert (first.user_id, first.level, first.role, first.via) == (bob.pk, 1, "PRIMARY", "layer")
    assert (first.schedule_id, first.until) == (schedule.pk, now.replace(day=8, hour=9))
    assert (second.user_id, second.level, second.role, second.via) == (alice.pk, 2, "", "policy")


def test_who_of_a_service_says_who_is_unavailable_and_who_is_replaced(team, alice, bob, charlie, now):
    schedule = factories.ScheduleFactory(team=team, people=[bob])
    factories.LayerFactory(schedule=schedule, role="SECONDARY", people=[charlie])
    factories.OverrideFactory(schedule=schedule, user=alice)
    factories.AvailabilityFactory(user=alice, note="on a train")
    service = factories.ServiceFactory(
        team=team, policy=factories.EscalationPolicyFactory(team=team, calls=[schedule])
    )
    first, second = lookup.who(service, at=now)
    assert (first.user_id, first.via, first.instead_of) == (alice.pk, "override", bob.pk)
    assert first.unavailable == "Alice is busy (on a train)"
    assert (second.user_id, second.role, second.unavailable) == (charlie.pk, "SECONDARY", "")


def test_a_service_that_calls_nobody_has_no_answers(team, now):
    bare = factories.ServiceFactory(team=team, policy=None)
    gap = factories.ServiceFactory(
        team=team, policy=factories.EscalationPolicyFactory(team=team, calls=[factories.ScheduleFactory(team=team)])
    )
    assert lookup.who(bare, at=now) == lookup.who(gap, at=now) == []
    found = policies.escalation_chain([bare, gap], at=now)
    assert found[bare.pk] == []
    ((level, ((target, (called,)),)),) = found[gap.pk]
    assert (level["number"], called.user_id) == (1, None) and "nobody is on call" in called.problem


def test_the_chain_of_many_services_costs_as_much_as_that_of_one(team, bob, now, django_assert_max_num_queries):
    def one():
        schedule = factories.ScheduleFactory(team=team, people=[bob])
        return factories.ServiceFactory(
            team=team, policy=factories.EscalationPolicyFactory(team=team, calls=[schedule])
        )

    services = [one()]
    with django_assert_max_num_queries(10) as few:
        policies.escalation_chain(services, at=now)
    services += [one() for _ in range(5)]
    with django_assert_max_num_queries(len(few)):
        assert len(policies.escalation_chain(services, at=now)) == 6
