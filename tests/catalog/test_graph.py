"""The graph of services: circles, what is above and below, and that no two people close a circle together."""

import threading

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Role
from catalog import dependencies, graph
from catalog.models import Dependency
from core.errors import DomainError
from tests import factories

SHOP = [("shop", "payments"), ("shop", "search"), ("payments", "database"), ("search", "database")]


def test_upstream_is_all_that_a_service_needs_and_downstream_all_that_need_it():
    assert graph.upstream(SHOP, "shop") == {"payments", "search", "database"}
    assert graph.upstream(SHOP, "database") == set()
    assert graph.downstream(SHOP, "database") == {"payments", "search", "shop"}
    assert graph.downstream(SHOP, "shop") == set()
    assert graph.upstream([], "shop") == set()


def test_a_circle_is_named_from_the_new_edge_on():
    assert graph.cycle(SHOP, ("database", "shop")) in (
        ["database", "shop", "payments", "database"],
        ["database", "shop", "search", "database"],
    )
    assert graph.cycle(SHOP, ("shop", "database")) is None
    assert graph.cycle(SHOP, ("shop", "shop")) == ["shop", "shop"]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30))
def test_edges_that_are_asked_one_by_one_never_make_a_circle(wanted):
    edges = []
    for new in wanted:
        path = graph.cycle(edges, new)
        if path is None:
            edges.append(new)
        else:
            assert path[0] == path[-1] == new[0] and path[1] == new[1]
            assert set(zip(path[1:], path[2:], strict=False)) <= set(edges)
    for node in range(9):
        assert node not in graph.upstream(edges, node)
        assert all(node in graph.upstream(edges, below) for below in graph.downstream(edges, node))


@pytest.fixture
def chain(db):
    """Shop needs Payments, which needs Database."""
    shop, payments, database = (factories.ServiceFactory(name=name) for name in ("Shop", "Payments", "Database"))
    factories.DependencyFactory(service=shop, needs=payments)
    factories.DependencyFactory(service=payments, needs=database)
    return shop, payments, database


def test_a_circle_is_refused_with_its_names(chain, now):
    shop, _, database = chain
    with pytest.raises(DomainError, match="circle: Database needs Shop needs Payments needs Database"):
        dependencies.add(database, shop, now=now)
    with pytest.raises(DomainError, match="Shop cannot need itself"):
        dependencies.add(shop, shop, now=now)
    dependencies.add(shop, database, holds_alerts=True, note="sessions", now=now)
    assert Dependency.objects.count() == 3


def test_adding_what_is_there_changes_it_and_removing_it_forgets_it(chain, now):
    shop, payments, _ = chain
    dependencies.add(shop, payments, holds_alerts=False, note="cards", now=now)
    row = Dependency.objects.get(service=shop)
    assert (row.holds_alerts, row.note) == (False, "cards")
    dependencies.remove(row, now=now)
    assert not Dependency.objects.filter(service=shop).exists()


@pytest.mark.django_db(transaction=True)
def test_two_people_cannot_close_a_circle_at_the_same_moment(now):
    shop, payments = (factories.ServiceFactory(name=name) for name in ("Shop", "Payments"))
    has_added, refused = threading.Event(), []

    def other():
        has_added.wait(10)
        try:
            dependencies.add(payments, shop, now=now)
        except DomainError as error:
            refused.append(error.message)
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    with transaction.atomic():
        dependencies.add(shop, payments, now=now)
        has_added.set()
        thread.join(0.5)
        assert thread.is_alive(), "the other one did not wait for us"
    thread.join(10)
    assert refused == [
        "This would be a circle: Payments needs Shop needs Payments. Take one of these dependencies out first."
    ]
    assert Dependency.objects.count() == 1


def test_the_admin_names_the_circle_and_saves_nothing(chain, admin_page):
    shop, _, database = chain
    answer = admin_page(database, {"needs": shop.pk})
    assert "circle: Database needs Shop needs Payments needs Database" in answer
    assert not Dependency.objects.filter(service=database).exists()


def test_the_admin_adds_what_closes_no_circle(chain, admin_page):
    shop, _, database = chain
    admin_page(shop, {"needs": database.pk, "holds_alerts": "on"})
    assert Dependency.objects.get(service=shop, needs=database).holds_alerts


@pytest.fixture
def admin_page(client, alice):
    """A function that adds a dependency on the page of a service, and returns what the page then says."""
    from tests.admin.conftest import Fields

    alice.role = Role.ADMIN
    alice.save()
    client.force_login(alice)

    def save(service, values):
        url = f"/admin/catalog/service/{service.pk}/change/"
        fields = Fields("service")
        fields.feed(client.get(url).content.decode())
        number = int(fields.data["dependencies-TOTAL_FORMS"])
        data = {f"dependencies-{number}-{name}": value for name, value in values.items()}
        data |= {"dependencies-TOTAL_FORMS": number + 1, f"dependencies-{number}-service": service.pk}
        answer = client.post(url, {**fields.data, **data}, follow=True)
        return answer.content.decode()

    return save
