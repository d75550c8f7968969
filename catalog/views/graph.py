"""The graph of all services, as a drawing and as a table, and the data that the drawing is made of."""

import hashlib
import json

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control, patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.permissions import may_somewhere
from catalog import state
from catalog.picture import Picture
from catalog.views.services import DEPTHS
from core.pages import respond

AFFECTED = "affected"
MARKS = {**state.MARKS, state.RISK: "At risk: needs one in trouble"}


@login_required
@never_cache
def graph(request):
    now = timezone.now()
    latest = state.newest()
    picture = Picture(request.user, now=now)
    nodes = list(picture.nodes.values())
    teams = {node.service.team.slug: node.service.team.name for node in nodes}
    chosen = {
        "team": request.GET.get("team") if request.GET.get("team") in teams else "",
        "state": request.GET.get("state") if request.GET.get("state") in {AFFECTED, *MARKS} else "",
    }
    shown = [node for node in nodes if _is_wanted(node, chosen)]
    shown.sort(key=lambda node: (node.order, node.service.tier, node.service.name.lower()))
    context = {
        "section": "services",
        "now": now,
        "latest": latest,
        "nodes": shown,
        "total": len(nodes),
        "edge_count": len(picture.edges),
        "teams": sorted(teams.items(), key=lambda one: one[1].lower()),
        "marks": MARKS,
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "may_configure": may_somewhere(request.user, "configure"),
    }
    return respond(request, "catalog/graph.html", context, fragments=("table",))


def _is_wanted(node, chosen):
    if chosen["team"] and node.service.team.slug != chosen["team"]:
        return False
    if chosen["state"] == AFFECTED:
        return node.is_affected
    return not chosen["state"] or node.mark == chosen["state"]


@login_required
@require_GET
def data(request):
    """The graph as JSON; `?around=` a service and `?depth=` give its neighbourhood. With an ETag: news are cheap."""
    picture = Picture(request.user, now=timezone.now())
    keep = None
    if slug := request.GET.get("around"):
        found = next((pk for pk, node in picture.nodes.items() if node.service.slug == slug), None)
        if found is None:
            raise Http404
        keep = picture.around(found, int(request.GET["depth"]) if request.GET.get("depth") in DEPTHS else 1)
    body = json.dumps(picture.data(keep), separators=(",", ":"))
    response = HttpResponse(body, content_type="application/json")
    response["ETag"] = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    patch_cache_control(response, private=True, no_cache=True)
    patch_vary_headers(response, ["Cookie"])
    return get_conditional_response(request, etag=response["ETag"], response=response)
