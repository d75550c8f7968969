"""The graph of services in a real browser: drawn, found, live, and edited."""

import pytest
from django.utils import timezone

from catalog.models import Dependency, Service
from incidents import lifecycle
from tests import factories
from tests.browser.policy import strict
from tests.browser.stage import expect, mark, was_not_reloaded


@pytest.fixture
def many(house, service):
    """200 services and 400 dependencies in layers, as a company has them."""
    team, policy = service.team, service.policy
    names = ["Orders", "Billing", "Search", "Catalog", "Pricing", "Stock", "Ledger", "Profile", "Media", "Events"]
    sizes = [16, 28, 44, 50, 36, 18, 7]
    made = Service.objects.bulk_create(
        Service(name=f"{names[number % 10]} {number // 10 + 1}", slug=f"node-{number}", team=team, policy=policy)
        for number in range(sum(sizes))
    )
    layers, start = [], 0
    for size in sizes:
        layers.append(made[start : start + size])
        start += size
    edges = set()
    for depth, layer in enumerate(layers[:-1]):
        for place, one in enumerate(layer):
            below = layers[depth + 1]
            middle = place * len(below) // len(layer)
            for step in (0, 1, 3 if place % 3 else 2)[: 2 + place % 2]:
                edges.add((one, below[(middle + step) % len(below)]))
    edges = sorted(edges, key=lambda pair: (pair[0].pk, pair[1].pk))[:399]
    Dependency.objects.bulk_create(Dependency(service=one, needs=other) for one, other in edges)
    factories.DependencyFactory(service=made[0], needs=service)
    return made


@pytest.fixture
def chain(house, team, service):
    web, data = (factories.ServiceFactory(name=name, slug=name.lower(), team=team) for name in ("Web", "Data"))
    factories.DependencyFactory(service=web, needs=service)
    factories.DependencyFactory(service=service, needs=data)
    return web, data


def node(page, name):
    return page.locator(f'.node[data-slug="{name}"]')


def test_a_graph_that_cannot_be_loaded_says_so(open_page, chain, alice):
    page = open_page("/services", alice, service_workers="block")
    page.route("**/services/graph/data*", lambda route: route.fulfill(status=503))
    page.goto("/services/graph")
    expect(page.locator(".graph-nothing")).to_contain_text("The graph could not be loaded.")


def test_two_hundred_services_are_drawn_and_one_is_found(open_page, many, alice):
    lifecycle.trigger(many[-1], title="Disk is full", severity="critical", now=timezone.now())
    page = open_page("/services/graph", alice, viewport={"width": 1440, "height": 900})
    expect(page.locator(".node")).to_have_count(200)
    assert page.locator(".edge").count() >= 300
    expect(node(page, many[-1].slug)).to_be_in_viewport()  # where it is bad
    expect(page.locator(".graph-map")).to_be_visible()
    page.get_by_label("Find a service").fill("Checkout")
    page.keyboard.press("Enter")
    expect(node(page, "checkout")).to_be_in_viewport()
    expect(node(page, "checkout")).to_be_focused()
    expect(page.locator(".graph-about")).to_contain_text("Checkout")
    expect(node(page, many[0].slug)).not_to_have_class("node is-pale")  # it needs the checkout
    page.get_by_label("State").select_option("affected")
    expect(page.locator(".node[data-mark=fine]")).to_have_count(0)
    expect(node(page, many[-1].slug)).to_be_visible()
    assert "state=affected" in page.url


def test_a_change_of_state_recolours_the_graph_without_moving_it(open_page, chain, service, alice):
    page = open_page("/services/graph", alice)
    expect(node(page, "data")).to_have_attribute("data-mark", "fine")
    expect(page.locator("#connection")).to_have_text("Live")
    mark(page)
    before = node(page, "web").get_attribute("transform")
    first = node(page, "web").element_handle()
    lifecycle.trigger(chain[1], title="Full", severity="critical", now=timezone.now())
    expect(node(page, "data")).to_have_attribute("data-mark", "critical")
    expect(node(page, "web")).to_have_attribute("data-mark", "risk")
    expect(page.locator(".graph-table tbody tr").first).to_contain_text("Critical")
    assert node(page, "web").get_attribute("transform") == before
    assert first.evaluate("element => element.isConnected")  # it was not drawn anew
    assert was_not_reloaded(page)


def test_the_keyboard_goes_along_the_dependencies(open_page, chain, service, alice):
    page = open_page("/services/graph", alice)
    expect(page.locator(".node")).to_have_count(3)
    page.locator(".node[tabindex='0']").focus()
    expect(node(page, "web")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(node(page, "checkout")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(node(page, "data")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    about = page.locator(".graph-about")
    expect(about).to_contain_text("Checkout")
    about.get_by_role("button", name="Data").click()
    expect(about.get_by_role("link", name="Data")).to_be_visible()
    page.keyboard.press("Escape")
    expect(about).to_be_hidden()
    expect(node(page, "data")).to_be_focused()


def test_a_circle_is_refused_with_its_names_and_a_dependency_appears(open_page, chain, service, alice):
    page = open_page("/services/data", alice)
    mark(page)
    page.get_by_text("Add a dependency").click()
    page.get_by_label("Needs", exact=True).select_option(label="Web")
    page.get_by_role("button", name="Add the dependency").click()
    refused = page.get_by_role("alert")
    expect(refused).to_contain_text("This would be a circle: Data needs Web needs Checkout needs Data.")
    assert was_not_reloaded(page)
    factories.ServiceFactory(name="Disk", slug="disk", team=service.team)
    page.goto("/services/data")
    mark(page)
    page.get_by_text("Add a dependency").click()
    page.get_by_label("Needs", exact=True).select_option(label="Disk")
    page.get_by_role("button", name="Add the dependency").click()
    expect(page.locator("[data-fragment=needs]")).to_contain_text("Disk")
    expect(node(page, "disk")).to_be_visible()
    assert was_not_reloaded(page)


def test_a_link_is_added_in_place(open_page, chain, alice):
    page = open_page("/services/checkout", alice)
    mark(page)
    page.get_by_text("Add a link").click()
    page.locator("#link-new-label").fill("When it is slow")
    page.locator("#link-new-url").fill("https://wiki.example.com/slow")
    page.get_by_role("button", name="Add the link").click()
    expect(page.get_by_role("link", name="When it is slow")).to_be_visible()
    expect(page.locator("#link-new-label")).to_have_value("")
    assert was_not_reloaded(page)


def test_the_pages_hold_to_the_strict_policy(open_page, chain, alice):
    page = open_page("/services", alice)
    with strict(page):
        for path in ("/services", "/services/checkout", "/services/graph"):
            page.goto(path)
            if path != "/services":
                expect(page.locator(".node").first).to_be_visible()
