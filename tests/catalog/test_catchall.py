"""The service that takes the rest of a team."""

import pytest

from catalog.catchall import catch_all
from catalog.models import Service
from tests import factories
from tests.threads import at_once


def test_it_is_made_once_for_each_team(team):
    other = factories.TeamFactory()
    rest = catch_all(team)
    assert rest.is_catch_all and rest.team == team and rest.name == "Shop: Everything else"
    assert catch_all(team) == rest != catch_all(other)


def test_one_that_somebody_chose_is_used(team):
    chosen = factories.ServiceFactory(team=team, is_catch_all=True)
    assert catch_all(team) == chosen


def test_another_service_of_its_name_is_no_obstacle(team):
    factories.ServiceFactory(name="Shop: Everything else", slug="shop-everything-else")
    assert catch_all(team).name == "Shop: Everything else 2"


@pytest.mark.django_db(transaction=True)
def test_several_at_once_get_the_same(team):
    found = at_once(*[lambda: catch_all(team)] * 6)
    assert len({one.pk for one in found}) == 1 and Service.objects.filter(is_catch_all=True).count() == 1
