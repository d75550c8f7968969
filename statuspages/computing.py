"""In which state each component is: gathered from open incidents, from what services need, from posts and people."""

import collections

from django.db.models import Q

from catalog import graph
from catalog.models import Dependency
from incidents import states as incident_states
from incidents.models import Incident
from statuspages import states
from statuspages.models import Affected, Component, Post


def component_states(page, components, *, now, at=None):
    """`{component id: state}` of these components of the page, in the same number of statements for every page.

    An incident counts until it is over, also while it is snoozed or somebody has it. One that was merged goes on for
    its own service as long as the other one does. With `at` it is as it was then, as far as incidents and posts tell.
    """
    services = _services(page)
    own, posted = (_severities(), _posted(page)) if at is None else (_severities_at(at), _posted_at(page, at))
    needed = _needed(list(Dependency.objects.order_by().values_list("service_id", "needs_id")), own)
    rules = page.rules

    def state_of(component):
        found = [states.of_service(own[one], needed[one], rules) for one in services[component.pk]]
        manual = component.manual_state if is_manual(component, now) else None
        return states.of_component(found, combines=component.combines, posted=posted[component.pk], manual=manual)

    return {component.pk: state_of(component) for component in components}


def is_manual(component, now):
    """Whether a person set the state, and it is not over."""
    return bool(component.manual_state) and (component.manual_until is None or now < component.manual_until)


def _services(page):
    found = collections.defaultdict(list)
    pairs = Component.services.through.objects.filter(component__page=page).order_by()
    for component_id, service_id in pairs.values_list("component_id", "service_id"):
        found[component_id].append(service_id)
    return found


def services_of(page):
    """The services that make the states of the page: those of its components, and all that these need."""
    shown = [(None, service_id) for services in _services(page).values() for service_id in services]
    return graph.upstream([*Dependency.objects.order_by().values_list("service_id", "needs_id"), *shown], None)


def _severities():
    """`{service id: severities of its open incidents}`."""
    return _by_service(Incident.objects.open(), Incident.objects.filter(merged_into__status__in=incident_states.OPEN))


def _severities_at(at):
    begun = Incident.objects.filter(triggered_at__lte=at)
    merged = begun.filter(merged_into__triggered_at__lte=at)
    return _by_service(
        begun.filter(Q(resolved_at=None) | Q(resolved_at__gt=at)),
        merged.filter(Q(merged_into__resolved_at=None) | Q(merged_into__resolved_at__gt=at)),
    )


def _by_service(*rows):
    pairs = (some.order_by().values_list("service_id", "severity") for some in rows)
    found = collections.defaultdict(set)
    for service_id, severity in next(pairs).union(next(pairs)):
        found[service_id].add(severity)
    return found


def _needed(edges, own):
    """`{service id: severities of what it needs}`: one walk for a severity, however many services are in trouble."""
    found = collections.defaultdict(set)
    for severity in set().union(*own.values()):
        # Let all that have it need one thing more: whatever needs that, directly or through others, is meant. They
        # are found too, which changes nothing, since their own trouble is no less.
        troubled = [(service_id, None) for service_id, severities in own.items() if severity in severities]
        for service_id in graph.downstream([*edges, *troubled], None):
            found[service_id].add(severity)
    return found


def _posted(page):
    """`{component id: states}` that open posts give: of maintenance only while it goes on."""
    return _by_component(Affected.objects.filter(post__page=page, post__ended_at=None))


def _posted_at(page, at):
    rows = Affected.objects.filter(post__page=page, post__created_at__lte=at)
    rows = rows.filter(Q(post__ended_at=None) | Q(post__ended_at__gt=at))
    return _by_component(rows.exclude(post__kind=Post.Kind.MAINTENANCE, post__starts_at__gt=at))


def _by_component(rows):
    rows = rows.exclude(state="").exclude(post__kind=Post.Kind.MAINTENANCE, post__stage=states.SCHEDULED)
    found = collections.defaultdict(list)
    for component_id, state in rows.order_by().values_list("component_id", "state"):
        found[component_id].append(state)
    return found
