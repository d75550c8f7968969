"""How an incident, a post or a person makes the state of a component."""

import datetime as dt

import pytest

from incidents import lifecycle, merging
from statuspages import states
from statuspages.computing import component_states
from statuspages.models import Component
from statuspages.states import DEGRADED, MAINTENANCE, MAJOR, OPERATIONAL, PARTIAL, Rules
from tests import factories

RULES = Rules({"critical": MAJOR, "high": PARTIAL, "medium": DEGRADED})


# --- the rules ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("own", "needed", "rule", "state"),
    [
        ((), (), "less", OPERATIONAL),
        (("high", "medium"), (), "less", PARTIAL),
        (("low",), (), "less", OPERATIONAL),
        ((), ("critical",), "less", PARTIAL),
        ((), ("high",), "less", DEGRADED),
        ((), ("medium",), "less", DEGRADED),
        ((), ("low",), "less", OPERATIONAL),
        ((), ("critical",), "same", MAJOR),
        ((), ("critical",), "nothing", OPERATIONAL),
        (("medium",), ("critical",), "less", PARTIAL),
    ],
)
def test_a_service_is_as_bad_as_its_incidents_and_what_it_needs(own, needed, rule, state):
    assert states.of_service(own, needed, Rules(RULES.by_severity, rule)) == state


@pytest.mark.parametrize(
    ("services", "combines", "state"),
    [
        ([MAJOR, OPERATIONAL], "worst", MAJOR),
        ([MAJOR, OPERATIONAL], "all", PARTIAL),
        ([MAJOR, MAJOR], "all", MAJOR),
        ([DEGRADED, OPERATIONAL], "all", DEGRADED),
        ([], "all", OPERATIONAL),
    ],
)
def test_several_services_make_one_component(services, combines, state):
    assert states.of_component(services, combines=combines) == state


def test_what_a_person_set_wins_also_over_worse():
    assert states.of_component([MAJOR], posted=[MAJOR], manual=OPERATIONAL) == OPERATIONAL


def test_a_post_makes_it_worse_and_never_better():
    assert states.of_component([OPERATIONAL], posted=[DEGRADED]) == DEGRADED
    assert states.of_component([MAJOR], posted=[MAINTENANCE]) == MAJOR


# --- out of the database ------------------------------------------------------------------------------------------
@pytest.fixture
def state_of(page, now):
    def ask(component, at=now):
        page.refresh_from_db()
        rows = list(Component.objects.filter(page=page))
        return component_states(page, rows, now=at)[component.pk]

    return ask


@pytest.fixture
def trouble(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def test_an_incident_counts_until_it_is_over_whoever_has_it(shop, trouble, state_of, alice, now):
    assert state_of(shop) == MAJOR
    lifecycle.acknowledge(trouble.pk, by=alice, now=now)
    assert state_of(shop) == MAJOR
    lifecycle.resolve(trouble.pk, by=alice, now=now)
    assert state_of(shop) == OPERATIONAL


def test_a_snoozed_incident_still_counts(shop, trouble, state_of, alice, now):
    lifecycle.snooze(trouble.pk, until=now + dt.timedelta(hours=1), by=alice, now=now)
    assert state_of(shop) == MAJOR


def test_the_page_says_what_a_severity_means(page, shop, trouble, state_of):
    page.critical_state = DEGRADED
    page.save()
    assert state_of(shop) == DEGRADED


def test_trouble_far_down_the_chain_counts_by_the_rule_of_the_page(page, state_of, team, now):
    front, middle, deep = (factories.ServiceFactory(team=team) for _ in range(3))
    factories.DependencyFactory(service=front, needs=middle)
    factories.DependencyFactory(service=middle, needs=deep)
    shown, beside = (factories.ComponentFactory(page=page, services=[one]) for one in (front, deep))
    stranger = factories.ComponentFactory(page=page, services=[factories.ServiceFactory(team=team)])
    lifecycle.trigger(deep, title="No disk", severity="critical", now=now)
    assert [state_of(one) for one in (shown, beside, stranger)] == [PARTIAL, MAJOR, OPERATIONAL]
    page.needs_rule = "same"
    page.save()
    assert state_of(shown) == MAJOR
    page.needs_rule = "nothing"
    page.save()
    assert state_of(shown) == OPERATIONAL


def test_a_merged_incident_goes_on_for_its_own_service_as_long_as_the_other_one(page, state_of, team, alice, now):
    one, other = (factories.ServiceFactory(team=team) for _ in range(2))
    first, second = (factories.ComponentFactory(page=page, services=[service]) for service in (one, other))
    merged = lifecycle.trigger(one, title="Checkout is down", severity="high", now=now)
    into = lifecycle.trigger(other, title="The database is down", severity="critical", now=now)
    merging.merge(merged.pk, into=into.pk, by=alice, now=now)
    assert (state_of(first), state_of(second)) == (PARTIAL, MAJOR)
    lifecycle.resolve(into.pk, by=alice, now=now)
    assert (state_of(first), state_of(second)) == (OPERATIONAL, OPERATIONAL)


def test_an_open_post_gives_its_state_and_planned_maintenance_none_yet(page, shop, state_of, now):
    post = factories.PostFactory(page=page, kind="maintenance", stage="scheduled", ends_at=now + dt.timedelta(hours=1))
    factories.AffectedFactory(post=post, component=shop, state=MAINTENANCE)
    assert state_of(shop) == OPERATIONAL
    post.stage = "in_progress"
    post.save()
    assert state_of(shop) == MAINTENANCE
    post.stage, post.ended_at = "completed", now
    post.save()
    assert state_of(shop) == OPERATIONAL


def test_a_post_about_another_page_does_not_count(shop, state_of):
    factories.AffectedFactory(post=factories.PostFactory(), component=factories.ComponentFactory())
    assert state_of(shop) == OPERATIONAL


def test_a_state_set_by_hand_ends_at_its_time(shop, trouble, state_of, now):
    shop.manual_state, shop.manual_until = OPERATIONAL, now
    shop.save()
    assert state_of(shop, at=now.replace(hour=11)) == OPERATIONAL
    assert state_of(shop, at=now) == MAJOR
