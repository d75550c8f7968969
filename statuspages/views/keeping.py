"""The pages on which responders keep a status page: how its components are and why, and what was posted.

Everybody may look, and responders of the page's team post and set states. Times are shown in the zone of the page,
which is the one that its readers see.
"""

import datetime as dt

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Max, Q
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts.models import Team
from accounts.permissions import may, may_once_seen, may_somewhere, visible
from catalog.models import Service
from core.errors import DomainError
from notifications.message import storable
from notifications.models import Notification
from statuspages import publishing, reasons, recurring, states
from statuspages.keeping_forms import StateForm
from statuspages.models import Audience, Component, Copy, Post, StatusPage, Subscriber

A_PAGE = 50
LATE = dt.timedelta(minutes=15)  # a copy is made anew at least every 10 minutes while something is open
LAST_NOTICES = 5
STATES = dict(states.COMPONENT_STATES)
TROUBLE = "trouble"
KINDS = {"": "Everything", **dict(Post.Kind.choices)}
SHOWN = {"": "Open and over", "open": "Open", "over": "Over"}


def context_of(request, status_page, /, **more):
    """What every page about one status page needs."""
    return {
        "section": "status",
        "now": timezone.now(),
        "zone": status_page.time_zone,
        "status_page": status_page,
        "may_respond": may(request.user, "respond", status_page),
        "may_configure": may(request.user, "configure", status_page),
        **more,
    }


def find(request, slug, verb="read"):
    """The page of this slug. Raises Http404, and PermissionDenied when it is not the person's to do this with."""
    page = get_object_or_404(visible(StatusPage.objects.select_related("team"), request.user), slug=slug)
    if not may(request.user, verb, page):
        who = f"of the team {page.team}" if page.team else "of the whole platform"
        whom = "Responders" if verb == "respond" else "Admins"
        raise PermissionDenied(f"{whom} {who} do this. Ask one of them, or an admin for the role.")
    return page


def chosen_of(request, name, words):
    """A word of the filter; an unknown one is as good as none."""
    value = request.GET.get(name, "")
    return value if value in words else ""


def paged(request, rows):
    """A page of the rows, and the rest of the address for the links to others."""
    query = request.GET.copy()
    query.pop("page", None)
    return {"page": Paginator(rows, A_PAGE).get_page(request.GET.get("page")), "query": query.urlencode()}


def confirm(request, page, **context):
    """Ask before something is done that cannot be taken back."""
    return render(request, "statuspages/keep_confirm.html", context_of(request, page, **context))


# --- the list -----------------------------------------------------------------------------------------------------


@login_required
@never_cache
def pages(request):
    user = request.user
    teams = list(visible(Team.objects.order_by("name"), user))
    filters = {TROUBLE: "Any trouble", **STATES}
    chosen = {
        "state": chosen_of(request, "state", filters),
        "audience": chosen_of(request, "audience", dict(Audience.choices)),
        "team": chosen_of(request, "team", {one.slug for one in teams}),
    }
    rows = visible(StatusPage.objects.select_related("team"), user)
    if chosen["audience"]:
        rows = rows.filter(audience=chosen["audience"])
    if chosen["team"]:
        rows = rows.filter(team__slug=chosen["team"])
    rows = list(rows)
    _fill(rows)
    if chosen["state"] == TROUBLE:
        rows = [one for one in rows if one.state in states.TROUBLE]
    elif chosen["state"]:
        rows = [one for one in rows if one.state == chosen["state"]]
    rows.sort(key=lambda one: (-states.RANKS[one.state], one.name.lower()))
    found = paged(request, rows)
    for one in found["page"]:
        one.may_respond = may_once_seen(user, "respond", one)
    context = {
        "section": "status",
        "now": timezone.now(),
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "states": filters,
        "audiences": Audience.choices,
        "teams": teams,
        "may_configure": may_somewhere(user, "configure"),
        **found,
    }
    return render(request, "statuspages/keep_list.html", context)


def _fill(rows):
    """Give each page its state, and how much is on it: the same number of queries however many there are."""
    numbers = [one.pk for one in rows]
    by_page = {pk: [] for pk in numbers}
    for pk, state in Component.objects.filter(page__in=numbers).values_list("page_id", "state"):
        by_page[pk].append(state)
    posts = _counts(Post.objects.going_on().exclude(stage=states.SCHEDULED), numbers)
    planned = _counts(Post.objects.filter(stage=states.SCHEDULED), numbers)
    subscribers = _counts(Subscriber.objects.told(), numbers)
    for one in rows:
        found = by_page[one.pk]
        one.state, one.components_count = states.worst(found), len(found)
        one.state_label = STATES[one.state]
        one.open_count, one.planned_count = posts.get(one.pk, 0), planned.get(one.pk, 0)
        one.subscribers_count = subscribers.get(one.pk, 0)


def _counts(rows, pages):
    rows = rows.filter(page__in=pages).order_by().values_list("page")
    return dict(rows.annotate(Count("pk")))


# --- one page -----------------------------------------------------------------------------------------------------


@login_required
@never_cache
def page(request, slug):
    """How the page is now, and why."""
    found, user, now = find(request, slug), request.user, timezone.now()
    rows = found.components.select_related("group", "manual_by").prefetch_related("services")
    components = list(rows.order_by("group__position", "group__name", "position", "pk"))
    why, posted = reasons.of_components(found, components, user), reasons.posted(found)
    seen = set(visible(Service.objects.filter(components__page=found), user).values_list("pk", flat=True))
    for one in components:
        one.is_manual = bool(one.manual_state) and (one.manual_until is None or one.manual_until > now)
        one.reasons, one.posted = why[one.pk], posted[one.pk]
        one.shown_services = [service for service in one.services.all() if service.pk in seen]
        one.is_unexplained = one.state in states.TROUBLE and not (one.is_manual or one.reasons or one.posted)
    posts = list(
        Post.objects.filter(page=found)
        .going_on()
        .select_related("incident")
        .prefetch_related("components", "updates")
        .order_by("starts_at")
    )
    open_posts = [one for one in posts if one.stage != states.SCHEDULED]
    hide_incidents(open_posts, user)
    copy = Copy.objects.filter(page=found).defer("content", "files").first()
    series = [{"row": one, "coming": recurring.coming(one, now, count=1)} for one in found.series.all()]
    context = context_of(
        request,
        found,
        groups=_grouped(components),
        state=states.worst([one.state for one in components]),
        open_posts=open_posts,
        planned=[one for one in posts if one.stage == states.SCHEDULED],
        series=series,
        copy=copy,
        is_late=bool(copy and copy.refresh_at and now - copy.refresh_at > LATE),
        notices=_notices(found),
        subscribers_count=Subscriber.objects.told().filter(page=found).count(),
    )
    context["state_label"] = STATES[context["state"]]
    return render(request, "statuspages/keep_page.html", context)


def _grouped(components):
    """`[(group or None, components)]` in the order of the page, those without a group first."""
    found = {}
    for one in sorted(components, key=lambda one: one.group is not None):
        found.setdefault(one.group, []).append(one)
    return list(found.items())


def hide_incidents(posts, user):
    """Take the linked incidents away that the person may not see."""
    numbers = {one.incident_id for one in posts if one.incident_id}
    model = Post._meta.get_field("incident").related_model
    seen = set(visible(model.objects.filter(pk__in=numbers), user).values_list("pk", flat=True)) if numbers else set()
    for one in posts:
        one.shown_incident = one.incident if one.incident_id in seen else None


def _notices(page):
    """What the subscribers were told last, by post: how many messages there were and what became of them."""
    posts = {publishing.topic_of(one): one for one in page.posts.order_by("-changed_at")[: 4 * LAST_NOTICES]}
    rows = Notification.objects.filter(topic__in=list(posts)).order_by().values("topic", "state")
    found = {}
    for row in rows.annotate(count=Count("pk"), last_at=Max("created_at")):
        one = found.setdefault(row["topic"], {"post": posts[row["topic"]], "count": 0, "last_at": row["last_at"]})
        one["count"] += row["count"]
        one["last_at"] = max(one["last_at"], row["last_at"])
        one.setdefault("states", []).append((Notification.State(row["state"]).label, row["count"]))
    return sorted(found.values(), key=lambda one: one["last_at"], reverse=True)[:LAST_NOTICES]


@login_required
@never_cache
def history(request, slug):
    """Everything that was posted, newest first."""
    found = find(request, slug)
    chosen = {
        "kind": chosen_of(request, "kind", KINDS),
        "shown": chosen_of(request, "shown", SHOWN),
        "q": storable(request.GET.get("q", "")).strip()[:100],
    }
    rows = Post.objects.filter(page=found).select_related("incident").prefetch_related("components")
    if chosen["kind"]:
        rows = rows.filter(kind=chosen["kind"])
    if chosen["shown"]:
        rows = rows.filter(ended_at__isnull=chosen["shown"] == "open")
    if text := chosen["q"]:
        said = Post.objects.filter(updates__body__icontains=text).values("pk")
        rows = rows.filter(Q(title__icontains=text) | Q(pk__in=said))
    seen = paged(request, rows)
    hide_incidents(list(seen["page"]), request.user)
    context = context_of(
        request,
        found,
        tab="history",
        chosen=chosen,
        kinds=KINDS,
        shown=SHOWN,
        is_filtered=any(chosen.values()),
        **seen,
    )
    return render(request, "statuspages/keep_history.html", context)


# --- a state by hand ----------------------------------------------------------------------------------------------


@login_required
@never_cache
def state(request, slug, uuid):
    """Set the state of a component by hand, until a time or until somebody ends it."""
    found = find(request, slug, "respond")
    component = get_object_or_404(Component.objects.select_related("page"), page=found, uuid=uuid)
    form = StateForm(request.POST or None, for_whom=request.user, component=component)
    if request.method == "POST" and form.is_valid():
        try:
            publishing.set_state(component.uuid, **form.cleaned_data, by=request.user, now=timezone.now())
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, f"{component} is set by hand. The page shows it within two seconds.")
            return redirect("statuspages:status-page", found.slug)
    context = context_of(request, found, form=form, component=component)
    has_errors = form.is_bound and form.errors
    return render(request, "statuspages/keep_state.html", context, status=400 if has_errors else 200)


@login_required
@never_cache
def state_clear(request, slug, uuid):
    """Ask, then let incidents and posts decide again."""
    found = find(request, slug, "respond")
    component = get_object_or_404(Component, page=found, uuid=uuid)
    if request.method == "POST":
        try:
            publishing.clear_state(component.uuid, by=request.user, now=timezone.now())
        except DomainError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"Incidents and posts decide how {component} is.")
        return redirect("statuspages:status-page", found.slug)
    label = component.get_manual_state_display()
    return confirm(
        request,
        found,
        heading=f"Let {component} be what its incidents say?",
        text=f"It is set to “{label}” by hand." if label else "It is not set by hand at present.",
        button="End the state set by hand",
        back=reverse("statuspages:status-page", args=[found.slug]),
    )
