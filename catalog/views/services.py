"""The directory of services, and the page of one: how it is, who is called, what it needs, where to look."""

from collections import Counter

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts.models import Team
from accounts.permissions import may, may_somewhere, visible
from catalog import graph, policies, state
from catalog.board import Board
from catalog.forms import DependencyForm, LinkForm
from catalog.models import Dependency, Link, Service
from catalog.picture import Picture
from core.pages import respond
from notifications.message import storable
from oncall.models import EscalationPolicy

A_PAGE = 60
DEPTHS = {"1": "1 step", "2": "2 steps", "3": "3 steps"}
TROUBLE, NOBODY = "trouble", "nobody"
STATES = {TROUBLE: "Open incidents", **state.MARKS, NOBODY: "Nobody is called"}
IN_USE = "in-use"
LIFECYCLES = {IN_USE: "In use", **dict(Service.Lifecycle.choices), "all": "All"}


@login_required
@never_cache
def services(request):
    now, user = timezone.now(), request.user
    latest = state.newest()  # before what it shows: what changes meanwhile is told again
    teams = list(visible(Team.objects.order_by("name"), user))
    chosen = _chosen(request, teams)
    rows = list(visible(_wanted(chosen).select_related("team"), user))
    picture = Picture(user, now=now)
    silent = _call_nobody(rows)
    cards = [{"service": one, "node": picture.node(one), "calls_nobody": one.pk in silent} for one in rows]
    cards.sort(key=lambda card: (card["node"].order, card["service"].tier, card["service"].name.lower()))
    counts = Counter(name for card in cards for name in _names(card))
    if chosen["state"]:
        cards = [card for card in cards if chosen["state"] in _names(card)]
    page = Paginator(cards, A_PAGE).get_page(request.GET.get("page"))
    board = Board([card["service"] for card in page], [], now=now, reader=user)
    for card in page:
        card["now"] = board.service(card["service"])
    query = request.GET.copy()
    for name in ("page", "fragment"):
        query.pop(name, None)
    stateless = query.copy()
    stateless.pop("state", None)
    context = {
        "section": "services",
        "now": now,
        "latest": latest,
        "page": page,
        "query": query.urlencode(),
        "stateless": stateless.urlencode(),
        "chosen": chosen,
        "is_filtered": any(chosen[name] for name in ("q", "team", "state", "tier")) or chosen["lifecycle"] != IN_USE,
        "teams": teams,
        "states": STATES,
        "tiers": Service._meta.get_field("tier").choices,
        "lifecycles": LIFECYCLES,
        "counts": [(name, STATES[name], counts[name]) for name in STATES if counts[name] and name != TROUBLE],
        "total": len(rows),
        "may_configure": may_somewhere(user, "configure"),
    }
    return respond(request, "catalog/services.html", context, fragments=("directory",))


def _chosen(request, teams):
    """The filter of the address; an unknown word is as good as none."""

    def one_of(name, words, default=""):
        return request.GET.get(name) if request.GET.get(name) in words else default

    return {
        "q": storable(request.GET.get("q", "")).strip()[:100],
        "team": one_of("team", {one.slug for one in teams}),
        "state": one_of("state", STATES),
        "tier": one_of("tier", {"1", "2", "3"}),
        "lifecycle": one_of("lifecycle", LIFECYCLES, IN_USE),
    }


def _wanted(chosen):
    rows = Service.objects.all()
    if chosen["lifecycle"] == IN_USE:
        rows = rows.exclude(lifecycle=Service.Lifecycle.ARCHIVED)
    elif chosen["lifecycle"] != "all":
        rows = rows.filter(lifecycle=chosen["lifecycle"])
    if chosen["team"]:
        rows = rows.filter(team__slug=chosen["team"])
    if chosen["tier"]:
        rows = rows.filter(tier=chosen["tier"])
    if words := chosen["q"]:
        rows = rows.filter(Q(name__icontains=words) | Q(slug__icontains=words) | Q(description__icontains=words))
    return rows


def _call_nobody(rows):
    """The ids of those without a policy, or with one that has no levels."""
    copies = policies.copies_for(rows)
    return {pk for pk, policy in copies.items() if not policy.get("levels")}


def _names(card):
    """The names of the filters of state that a service is found by."""
    names = {card["node"].mark}
    if card["node"].state.is_trouble:
        names.add(TROUBLE)
    if card["node"].state.in_maintenance:
        names.add(state.MAINTENANCE)
    if card["calls_nobody"]:
        names.add(NOBODY)
    return names


# --- one service ------------------------------------------------------------------------------------------------


def find(request, slug):
    return get_object_or_404(visible(Service.objects.select_related("team", "policy"), request.user), slug=slug)


@login_required
@never_cache
def service(request, slug):
    return show(request, find(request, slug))


FRAGMENTS = ("head", "callees", "needs", "links", "picture")


def show(request, service, *, link_form=None, dependency_form=None):
    """The page of a service, or its fragments; with a form that was refused, and why."""
    now, user = timezone.now(), request.user
    latest = state.newest()
    picture = Picture(user, now=now)
    may_configure = may(user, "configure", service)
    depth = request.GET.get("depth") if request.GET.get("depth") in DEPTHS else "1"
    board = Board([service], [], now=now, reader=user).service(service)
    policy = EscalationPolicy.objects.filter(pk=board.policy["id"]).first() if board.policy else None
    context = {
        "section": "services",
        "now": now,
        "latest": latest,
        "service": service,
        "node": picture.node(service),
        "board": board,
        "policy": policy,
        "may_configure": may_configure,
        "may_see_policy": bool(policy) and may(user, "read", policy),
        "needs": _dependencies(user, service, picture, "service", "needs"),
        "needed_by": _dependencies(user, service, picture, "needs", "service"),
        "upstream_count": len(graph.upstream(picture.edges, service.pk)),
        "downstream_count": len(graph.downstream(picture.edges, service.pk)),
        "depth": depth,
        "depths": DEPTHS,
        "dependency_form": dependency_form,
        "links": _links(user, service, link_form, may_configure),
        "link_form": link_form,
    }
    if may_configure:
        context["dependency_form"] = dependency_form or DependencyForm(for_whom=user, service=service)
        is_new = link_form is not None and link_form.link.pk is None
        context["link_form"] = link_form if is_new else LinkForm(for_whom=user, link=Link(service=service))
    refused = [one for one in (link_form, dependency_form) if one is not None]
    status = 400 if refused else 200
    return respond(request, "catalog/service.html", context, fragments=FRAGMENTS, status=status)


def _dependencies(user, service, picture, end, other):
    """`[{"row": Dependency, "node": Node}]` of one side, the worst first."""
    rows = Dependency.objects.filter(**{end: service}).select_related(f"{other}__team")
    found = []
    for row in visible(rows, user):
        found.append({"row": row, "node": picture.node(getattr(row, other))})
    return sorted(found, key=lambda one: (one["node"].order, one["node"].service.name.lower()))


def _links(user, service, refused, may_configure):
    """The links, runbooks first; each with the form that changes it, for who may."""
    links = sorted(service.links.all(), key=lambda link: (Link.Kind.values.index(link.kind), link.label.lower()))
    for link in links if may_configure else ():
        is_refused = refused is not None and refused.link.pk == link.pk
        link.form = refused if is_refused else LinkForm(for_whom=user, link=link)
        link.is_open = is_refused
    return links
