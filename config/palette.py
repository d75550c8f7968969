"""The command palette: one field that leads to every page, incident, service, schedule and action one may see.

The browser asks for `results` while somebody types and shows them in a dialog; without script it is a page.
"""

import dataclasses
import re

from django.contrib.auth.decorators import login_required
from django.contrib.postgres.search import SearchQuery
from django.db.models import Q
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Team, User
from accounts.permissions import may, may_somewhere, visible
from catalog.models import Service
from core.pages import asked
from incidents import states
from incidents.models import WORDS, Incident
from notifications.message import storable
from oncall.models import Schedule

MOST = 6  # of each kind: more is what lists are for
RECENT = 2000  # incidents among which the words of a query are looked for
LONGEST = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A line of the palette. `also` are words that find it and are not shown; `keys` are pressed instead of it."""

    label: str
    url: str
    icon: str
    hint: str = ""
    also: str = ""
    keys: str = ""
    right: str = ""  # a verb that one may do somewhere
    action: str = ""  # done by the browser: static/js/palette.js


def _page(label, name, icon, also="", keys="", right=""):
    return Entry(label, reverse(name), icon, "", also, keys, right)


def _pages():
    return [
        _page("Overview", "dashboard", "squares-2x2", "dashboard home start", "g d"),
        _page("Incidents", "incidents", "fire", "list search", "g i"),
        _page("Alerts", "alerts:alerts", "bell-alert", "signals", "g a"),
        _page("Services", "services", "cube", "catalog directory", "g s"),
        _page("Status pages", "statuspages:status-pages", "signal", "customers public subscribers components"),
        _page("On call now", "oncall", "phone", "who board", "g o"),
        _page("Schedules", "schedules", "calendar-days", "rotation calendar"),
        _page("My shifts", "shifts", "clock", "swap time off holiday calendar feed"),
        _page("Coverage", "coverage", "shield-check", "gaps nobody"),
        _page("Notifications", "notifications", "paper-airplane", "messages pages sent delivery", "g n"),
        _page("Integrations", "alerts:integrations", "puzzle-piece", "sources doors keys monitoring"),
        _page("Heartbeats", "alerts:heartbeats", "heart", "cron dead man check"),
        _page("Silences", "alerts:silences", "bell-slash", "mute quiet"),
        _page("Maintenance", "alerts:maintenance", "wrench-screwdriver", "window planned"),
        _page("Held alerts", "alerts:held", "pause-circle", "suppressed"),
        _page("Postmortems", "postmortems:postmortems", "book-open", "learned reviews causes", "g p"),
        _page("Action items", "postmortems:items", "clipboard-document-check", "postmortem todo board"),
        _page("Figures of postmortems", "postmortems:figures", "chart-bar", "causes trends"),
        _page("My settings", "settings", "user-circle", "profile contact methods rules quiet hours push me"),
        _page("Security", "security", "lock-closed", "password passkey second factor"),
        _page("API tokens", "tokens", "key", "personal access"),
        _page("Sessions", "sessions", "computer-desktop", "signed in devices"),
        _page("My data", "privacy", "finger-print", "privacy export"),
        _page("Invite people", "people-invite", "user-plus", "add member", right="configure"),
        _page("Audit", "audit", "clipboard-document-list", "log changes who", right="administer"),
        _page("Admin", "admin:index", "cog-6-tooth", "configuration attention", right="configure"),
        _page("Help", "docs", "question-mark-circle", "documentation manual", "g h"),
        _page("First steps", "guide", "rocket-launch", "guide start test page"),
    ]


def _actions():
    availability = reverse("oncall") + "#me-now"
    keys, new = reverse("docs"), "an incident by hand trigger declare page somebody new"
    return [
        Entry("Open an incident", reverse("incident-new"), "plus", "", new, "c", "respond"),
        Entry("Say that I am busy, offline or away", availability, "moon", "", "availability vacation", "", "respond"),
        Entry("Silence alerts", reverse("alerts:silence-new"), "bell-slash", "", "new mute", "", "respond"),
        Entry("Plan maintenance", reverse("alerts:maintenance-new"), "calendar", "", "new window", "", "respond"),
        Entry("Write a postmortem", reverse("postmortems:new"), "pencil-square", "", "new learn", "", "respond"),
        Entry("Send myself a test page", reverse("guide") + "#test", "paper-airplane", "", "try reach"),
        Entry("Look dark", reverse("settings"), "moon", "Theme", "night mode", action="theme:dark"),
        Entry("Look light", reverse("settings"), "sun", "Theme", "day mode", action="theme:light"),
        Entry("Look as the device", reverse("settings"), "computer-desktop", "Theme", "system", action="theme:system"),
        Entry("Show exact times, or relative ones", keys, "clock", "", "hours zone", "t", action="times:"),
        Entry("Show all keys", keys, "command-line", "", "keyboard shortcuts", "?", action="opens:shortcuts"),
    ]


@login_required
@never_cache
@require_safe
def page(request):
    """What a query finds: the lines alone for the dialog, else a page with the same lines."""
    query = " ".join(storable(request.GET.get("q", "")).split())[:LONGEST]
    context = {"section": "", "query": query, "groups": found(request.user, query)}
    is_part = asked(request) == ["results"]
    response = render(request, "config/_results.html" if is_part else "config/palette.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def found(user, query):
    """`[(heading, [Entry])]` for a query, what fits best first; the same number of queries whatever is found."""
    words = query.lower().removeprefix("#").split()
    fixed = [("Actions", _fitting(user, _actions(), words)), ("Pages", _fitting(user, _pages(), words))]
    if not words:
        groups = [("Incidents", _open(user)), *reversed(fixed)]
    else:
        groups = [
            ("Incidents", _incidents(user, query, words)),
            *fixed,
            ("Services", _services(user, words)),
            ("Schedules", _schedules(user, words)),
            ("Teams", _teams(user, words)),
            ("People", _people(user, words)),
        ]
    return [(heading, entries) for heading, entries in groups if entries]


def _fitting(user, entries, words):
    """The entries whose words begin with those of the query, label before the rest."""
    may_see = [one for one in entries if not one.right or _has(user, one.right)]
    fits = []
    for place, one in enumerate(may_see):
        label, every = one.label.lower().split(), f"{one.label} {one.hint} {one.also}".lower().split()
        if all(any(each.startswith(word) for each in every) for word in words):
            is_label = all(any(each.startswith(word) for each in label) for word in words)
            fits.append((not is_label, place, one))
    return [one for _, _, one in sorted(fits, key=lambda fit: fit[:2])]


def _has(user, right):
    return may(user, right) if right == "administer" else may_somewhere(user, right)


def _open(user):
    return _entries(visible(Incident.objects.open(), user).order_by("-number"))


def _incidents(user, query, words):
    """By number, or by words: all of the newest incidents that have words that begin so."""
    digits = query.removeprefix("#").strip()
    wanted = Q(number=int(digits)) if re.fullmatch(r"[0-9]{1,19}", digits) else Q(pk=None)
    parts = [part for word in words for part in re.findall(r"\w+", word)]
    seen = visible(Incident.objects.all(), user)
    if parts and len("".join(parts)) > 1:
        # Looked for among the newest: a word of every incident would else read them all.
        newest = Incident.objects.order_by("-number").values("number")[:RECENT]
        asked_for = SearchQuery(" & ".join(f"{part}:*" for part in parts), search_type="raw", config="simple")
        said = Incident.objects.filter(number__in=newest).annotate(words=WORDS).filter(words=asked_for)
        wanted |= Q(number__in=said.values("number"))
    return _entries(seen.filter(wanted).order_by("-number"))


def _entries(incidents):
    rows = incidents.select_related("service")[:MOST]
    return [
        Entry(
            f"#{one.number} {one.title}",
            reverse("incident", args=[one.number]),
            "fire" if one.status in states.OPEN else "check-circle",
            f"{one.get_status_display()} · {one.service.name}",
        )
        for one in rows
    ]


def _all_of(fields, words):
    """The condition that each word stands somewhere in the fields."""
    wanted = Q()
    for word in words:
        one = Q()
        for field in fields:
            one |= Q(**{f"{field}__icontains": word})
        wanted &= one
    return wanted


def _services(user, words):
    rows = visible(Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED).select_related("team"), user)
    rows = rows.filter(_all_of(["name", "slug"], words))[:MOST]
    return [Entry(one.name, reverse("service", args=[one.slug]), "cube", f"Service · {one.team.name}") for one in rows]


def _schedules(user, words):
    rows = visible(Schedule.objects.select_related("team"), user).filter(_all_of(["name", "slug"], words))[:MOST]
    return [Entry(one.name, reverse("schedule", args=[one.slug]), "calendar-days", "Schedule") for one in rows]


def _teams(user, words):
    rows = visible(Team.objects.all(), user).filter(_all_of(["name", "slug"], words))[:MOST]
    return [Entry(one.name, f"{reverse('oncall')}?team={one.slug}", "user-group", "Who is on call") for one in rows]


def _people(user, words):
    """People are looked at in the admin, so only who may do that finds them."""
    if not may(user, "administer"):
        return []
    rows = User.objects.people().filter(_all_of(["name", "email"], words), is_active=True)[:MOST]
    return [Entry(str(one), reverse("admin:accounts_user_change", args=[one.pk]), "user", one.email) for one in rows]
