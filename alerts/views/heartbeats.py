"""The pages of heartbeats: which are up, late or missing, and how to send one. Everybody may look."""

import datetime as dt
from urllib.parse import quote

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import Team
from accounts.permissions import may, may_once_seen, may_somewhere, visible
from alerts import heartbeats, presence
from alerts.forms.heartbeats import HeartbeatForm
from alerts.models import Heartbeat
from alerts.setup import NO_KEY
from notifications.message import storable

A_PAGE = 50
LAST_MISSES = 20
CHIPS = {"new": "pending", "up": "delivered", "late": "acknowledged", "missing": "failed", "paused": "cancelled"}
WORDS = {"new": "Waits for its first ping", "up": "Up", "late": "Late", "missing": "Missing", "paused": "Paused"}
FILTERS = {
    "missing": Q(is_enabled=True, missed_at__isnull=False),
    "up": Q(is_enabled=True, missed_at=None, armed_at__isnull=False),
    "new": Q(is_enabled=True, armed_at=None),
    "paused": Q(is_enabled=False),
}


@login_required
@never_cache
def listed(request):
    """All heartbeats, the missing ones first."""
    now = timezone.now()
    chosen = {name: storable(request.GET.get(name, "")).strip()[:100] for name in ("q", "state", "team")}
    rows = visible(Heartbeat.objects.select_related("service__team"), request.user)
    rows = rows.order_by("missed_at", "name", "pk")
    if chosen["q"]:
        rows = rows.filter(Q(name__icontains=chosen["q"]) | Q(service__name__icontains=chosen["q"]))
    if chosen["state"] in FILTERS:
        rows = rows.filter(FILTERS[chosen["state"]])
    if chosen["team"]:
        rows = rows.filter(service__team__slug=chosen["team"])
    page = Paginator(rows, A_PAGE).get_page(request.GET.get("page"))
    for row in page.object_list:
        _describe(row, now)
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": page,
        "query": query.urlencode(),
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "states": [(name, WORDS[name]) for name in FILTERS],
        "teams": visible(Team.objects.order_by("name"), request.user),
    }
    return _render(request, "heartbeats", now=now, **context)


@login_required
@never_cache
def one(request, uuid):
    return _show(request, _found(request, uuid))


def _found(request, uuid):
    rows = Heartbeat.objects.select_related("service__team", "integration__service")
    return get_object_or_404(visible(rows, request.user), uuid=uuid)


@login_required
@never_cache
def new(request):
    """Make a heartbeat. The answer shows its key, this once."""
    if not may_somewhere(request.user, "configure"):
        raise PermissionDenied
    form = HeartbeatForm(request.POST or None, for_whom=request.user)
    if not (request.method == "POST" and form.is_valid()):
        return _render(request, "heartbeat_form", form=form, status=400 if form.errors else 200)
    heartbeat = form.filled()
    key = heartbeats.save(heartbeat, now=timezone.now())
    return _show(request, heartbeat, key=key)


@login_required
@never_cache
def edit(request, uuid):
    heartbeat = _found(request, uuid)
    _ask(request, "configure", heartbeat)
    form = HeartbeatForm(request.POST or None, for_whom=request.user, heartbeat=heartbeat)
    if not (request.method == "POST" and form.is_valid()):
        known = {"form": form, "heartbeat": heartbeat, "name": Heartbeat.objects.get(pk=heartbeat.pk).name}
        return _render(request, "heartbeat_form", **known, status=400 if form.errors else 200)
    heartbeats.save(form.filled(), now=timezone.now())
    messages.success(request, f"{heartbeat.name} is saved.")
    return redirect("alerts:heartbeat", uuid)


@login_required
@never_cache
def act(request, uuid, verb):
    """Pause, go on, arm by hand, issue a new key, delete: what cannot be taken back asks first."""
    question = QUESTIONS.get(verb)
    if not question and verb not in ("arm", "resume"):
        raise Http404
    heartbeat = _found(request, uuid)
    _ask(request, question[0] if question else "respond", heartbeat)
    if question and request.method != "POST":
        context = dict(zip(("title", "text", "button", "keep"), question[1:], strict=True))
        return _render(request, "heartbeat_ask", heartbeat=heartbeat, **context)
    return _act(request, heartbeat, verb)


# verb -> (permission, question, what happens, the button, the way out)
QUESTIONS = {
    "pause": (
        "respond",
        "Pause",
        "Nobody is told when it stays away, until somebody lets it go on. If it is missing now, its alert ends.",
        "Pause it",
        "Keep it running",
    ),
    "key": (
        "configure",
        "Issue a new key for",
        "The old address stops working at once. Until its sender has the new one, the heartbeat goes missing.",
        "Issue a new key",
        "Keep the old one",
    ),
    "delete": (
        "configure",
        "Delete",
        "Its address stops working, and nobody is told any more when it stays away. If it is missing now, its alert "
        "ends. Its past alerts stay.",
        "Delete it",
        "Keep it",
    ),
}


@require_POST
def _act(request, heartbeat, verb):
    now = timezone.now()
    if verb == "key":
        return _show(request, heartbeat, key=heartbeats.new_key(heartbeat))
    if verb == "delete":
        heartbeats.remove(heartbeat, now=now)
        messages.success(request, f"{heartbeat.name} is deleted.")
        return redirect("alerts:heartbeats")
    if verb == "arm":
        heartbeats.arm(heartbeat, now=now)
        said = f"{heartbeat.name} is armed: the next ping is expected within " + heartbeats.span(
            heartbeat.interval_seconds
        )
    else:
        heartbeats.set_enabled(heartbeat, verb == "resume", now=now)
        said = f"{heartbeat.name} goes on" if verb == "resume" else f"{heartbeat.name} is paused"
    messages.success(request, f"{said}.")
    return redirect("alerts:heartbeat", heartbeat.uuid)


def _ask(request, verb, heartbeat):
    if not may_once_seen(request.user, verb, heartbeat):
        who = "Admins" if verb == "configure" else "Responders"
        raise PermissionDenied(f"{who} of the team {heartbeat.service.team} do this. Ask one of them.")


def _show(request, heartbeat, key=""):
    now = timezone.now()
    _describe(heartbeat, now)
    misses = visible(heartbeats.alerts_of(heartbeat), request.user)[:LAST_MISSES]
    # Another team's door may ping it; its name is theirs.
    integration = heartbeat.integration
    if integration and not may(request.user, "read", integration):
        integration = None
    return _render(
        request,
        "heartbeat",
        now=now,
        heartbeat=heartbeat,
        key=key,
        address=heartbeats.address(key or NO_KEY),
        integration=integration,
        examples=_examples(heartbeat, key or NO_KEY, integration),
        misses=[(alert, ((alert.resolved_at or now) - alert.first_at).total_seconds()) for alert in misses],
        last_misses=LAST_MISSES,
    )


def _describe(heartbeat, now):
    heartbeat.state = heartbeats.state(heartbeat, now=now)
    heartbeat.chip, heartbeat.word = CHIPS[heartbeat.state], WORDS[heartbeat.state]
    heartbeat.every, heartbeat.grace = (
        heartbeats.span(heartbeat.interval_seconds),
        heartbeats.span(heartbeat.grace_seconds),
    )
    heartbeat.expected_at = heartbeat.due_at and heartbeat.due_at - dt.timedelta(seconds=heartbeat.grace_seconds)


def _examples(heartbeat, key, integration):
    """`[(title, text to copy, note)]`"""
    url = heartbeats.address(key)
    call = f"curl -fsS -m 10 --retry 5 --retry-connrefused -o /dev/null {url}"
    again = max(10, heartbeat.interval_seconds // 2)
    examples = [
        ("Shell", call, "Any GET, HEAD, POST or PUT is a ping; its body does not matter."),
        ("cron", f"15 3 * * *  /usr/local/bin/backup && {call}", "Only a job that ended well gives its sign of life."),
        (
            "Alertmanager, as a dead man's switch",
            "# Prometheus, a rule that always fires:\n"
            "- alert: Watchdog\n"
            "  expr: vector(1)\n\n"
            "# alertmanager.yml:\n"
            "route:\n"
            "  routes:\n"
            '    - matchers: [alertname="Watchdog"]\n'
            "      receiver: watchdog\n"
            "      group_wait: 0s\n"
            f"      group_interval: {again}s\n"
            f"      repeat_interval: {again}s\n"
            "receivers:\n"
            "  - name: watchdog\n"
            "    webhook_configs:\n"
            f"      - url: {url}\n"
            "        send_resolved: false",
            "When Prometheus, Alertmanager or the way between them and us breaks, the pings stop.",
        ),
        (
            "Opsgenie's clients",
            f"curl -fsS -m 10 --retry 5 -H 'Authorization: GenieKey INTEGRATION_KEY' \\\n"
            f"  {settings.PUBLIC_URL}/v2/heartbeats/{quote(heartbeat.name, safe='')}/ping",
            "With the key of an Opsgenie integration of "
            + (f"its own, {integration.name}." if integration else "the same service or team."),
        ),
    ]
    if settings.MAIL_IN_PORT:
        examples.append(("Mail", f"{key}@{settings.MAIL_IN_DOMAIN}", "Every mail to this address is a ping."))
    return examples


def _render(request, name, /, *, status=200, heartbeat=None, **context):
    def allows(verb):
        return may_once_seen(request.user, verb, heartbeat) if heartbeat else may_somewhere(request.user, verb)

    common = {
        "section": "alerts",
        "tab": "heartbeats",
        "heartbeat": heartbeat,
        "may_respond": allows("respond"),
        "may_configure": allows("configure"),
        "is_away": presence.is_away(timezone.now()),
        "new_url": reverse("alerts:heartbeat-new"),
    }
    return render(request, f"alerts/{name}.html", common | context, status=status)
