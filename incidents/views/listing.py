"""The list of incidents: filters in the address, search, saved views, and what is done to many at once."""

import re

from django.contrib.auth.decorators import login_required
from django.db.models import CharField, Count, F, Q, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, NullIf
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts.models import Team, User
from accounts.permissions import may_once_seen, may_somewhere, visible
from catalog.models import Service
from core.errors import DomainError
from core.pages import asked, respond
from incidents import saved_views, searching, states
from incidents.bulk import MOST_AT_ONCE, VERBS
from incidents.models import Incident, Priority, Severity, TimelineEntry
from incidents.searching import Page, Search
from incidents.views.calls import next_calls, number_of

# What is a tab for everybody: a name, and its filters.
TABS = [
    ("Open", ""),
    ("Mine", "responder=me"),
    ("Triggered", "state=triggered"),
    ("Over", "state=closed&state=resolved"),
    ("All", "state=all"),
]
MOST_CHOICES = 300  # of one filter in the form; the rest is found by writing service:its-slug
SHOWN = "X-Shown"  # the numbers that a page shows when it asks for its rows anew


@login_required
@never_cache
def incidents(request):
    now = timezone.now()
    counts = _counts(request.user)  # first of all: what changes while we read the rest is told again
    search = Search(request.GET, user=request.user, now=now)
    rows = search.rows()
    page, counted = _found(search, rows, request, counts)
    shown = _with_those_gone(page.rows, search, rows, request) if asked(request) else page.rows
    calls = next_calls([one for one in shown if one.is_open], now=now)
    for one in shown:
        one.next_call, one.may_respond = calls.get(one.pk), may_once_seen(request.user, "respond", one)
    context = {
        "section": "incidents",
        "now": now,
        "latest": counts["latest"],
        "search": search,
        "chips": search.chips(),
        "shown": shown,
        "page": page,
        "counted": counted,
        "tabs": [{"name": name, "query": query, "is_on": query == search.query} for name, query in TABS],
        "open_count": counts["open"],
        "triggered_count": counts["triggered"],
        "may_open": may_somewhere(request.user, "respond"),
        "bulk": {"most": MOST_AT_ONCE, "may": any(one.may_respond for one in shown), "verbs": VERBS},
        **_views(search, request.user),
    }
    if not asked(request):
        context |= {
            "filters": _filters(search, request.user),
            "lasts": searching.LASTS,
            "sorts": [(value, label) for value, (label, _) in searching.SORTS.items()],
            "merged_words": searching.MERGED,
            "from_day": _day(search.single["from"]),
            "to_day": _day(search.single["to"]),
        }
    answer = respond(request, "incidents/list.html", context, fragments=("tabs", "chosen", "rows"))
    if request.headers.get("HX-Trigger") == "finder":  # the address says what the form says
        query = search.query if not search.problems else request.GET.urlencode()
        answer["HX-Replace-Url"] = f"{request.path}{'?' if query else ''}{query}"
    return answer


def _counts(user):
    """How many incidents are open, how many of them wait, and the newest entry of the timeline: in one statement."""
    newest = Subquery(TimelineEntry.objects.order_by("-id").values("pk")[:1])
    none = Count("pk") * 0  # what stands beside counts has to count as well
    return (
        visible(Incident.objects.open(), user)
        .order_by()
        .aggregate(
            open=Count("pk"),
            triggered=Count("pk", filter=Q(status=states.TRIGGERED)),
            latest=Coalesce(newest, none),
        )
    )


def _found(search, rows, request, counts):
    """A page of the rows, and how many match as `(number, whether it is exact)`."""
    listed = rows.select_related("service", "team", "assignee").defer("description", "resolution_note")
    before, after = request.GET.get("before", ""), request.GET.get("after", "")
    try:
        try:
            page = search.page(listed, before=before, after=after)
        except searching.TooSlow:
            raise
        except DomainError as error:
            search.problems.append(error.message)
            page = search.page(listed)
    except searching.TooSlow as error:
        search.problems.append(error.message)
        return Page([]), (None, False)
    if not (page.newer or page.older):
        return page, (len(page.rows), True)
    return page, (counts["open"], True) if search.is_all_open else search.count(rows)


def _with_those_gone(found, search, rows, request):
    """The rows, with those that the reader's page shows and that match no more, in their places and marked.

    What one reads or is about to press does not vanish under one's finger. A reload takes them away.
    """
    numbers = {number_of(text) for text in request.headers.get(SHOWN, "").split(",")[: 2 * searching.A_PAGE]}
    numbers -= {None, *(one.pk for one in found)}
    if not numbers:
        return found
    try:
        numbers -= search.still(rows, numbers)  # these only moved to another page
    except searching.TooSlow:
        return found
    people = Incident.objects.select_related("service", "team", "assignee", "resolved_by")
    gone = list(visible(people.filter(pk__in=numbers), request.user))
    for one in gone:
        one.has_gone = True
    return sorted([*found, *gone], key=search.sort_key())


def _views(search, user):
    """The saved views as tabs, and that which is on."""
    found = list(saved_views.of(user).select_related("team", "owner"))
    for one in found:
        one.is_on = bool(one.query) and one.query == search.query
        one.may_change = saved_views.may_change(user, one)
    teams = Team.objects.filter(pk__in=saved_views.teams_of(user))
    return {"views": found, "view": next((one for one in found if one.is_on), None), "own_teams": teams}


def _day(text):
    """What a field for a day can show."""
    return text if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else ""


def _named(user):
    """The services, teams and people to choose from, by name: `{filter: [(value, label)]}` in one statement."""
    people = User.objects.people().filter(is_active=True).exclude(pk=user.pk)
    name = Coalesce(NullIf("name", Value("")), "email", output_field=CharField())
    rows = {
        "service": visible(Service.objects.annotate(value=F("slug"), label=F("name")), user),
        "team": visible(Team.objects.annotate(value=F("slug"), label=F("name")), user),
        "responder": people.annotate(value=Cast("uuid", TextField()), label=name),
    }
    first, *others = (
        each.annotate(filter=Value(which)).order_by("label").values_list("filter", "value", "label")[:MOST_CHOICES]
        for which, each in rows.items()
    )
    found = {which: [] for which in rows}
    for which, value, label in first.union(*others, all=True):
        found[which].append((value, label))
    return {which: sorted(options, key=lambda option: option[1].casefold()) for which, options in found.items()}


def _filters(search, user):
    """The filters of the form: `{name, label, options: [(value, label, is chosen)]}`."""
    named = _named(user)
    options = {
        "state": [*searching.STATES, ("all", "All")],
        "priority": Priority.choices,
        "severity": Severity.choices,
        "service": named["service"],
        "team": named["team"],
        "responder": [("me", "Me"), ("nobody", "Nobody"), *named["responder"]],
    }
    chosen = {value for name, value in search.pairs() if name == "state"} or {"open"}
    chosen = {**search.chosen, "state": chosen}
    return [
        {
            "name": name,
            "label": label,
            "options": [(value, text, value in chosen[name]) for value, text in options[name]],
            "is_long": len(options[name]) > 10,
        }
        for name, label in searching.LISTS.items()
    ]
