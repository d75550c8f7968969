"""The pages of what keeps alerts quiet: silences, maintenance windows, and what is held now.

Everybody may look, responders change what is their team's. What belongs to no service, integration or team may hold
any alert, so the role for the whole platform decides. A form is asked what it would hold before it is saved: by its
button, or while somebody types, when static/js/quiet.js asks for the fragment `preview`.
"""

import datetime as dt
import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.permissions import may_once_seen, may_somewhere, visible
from alerts import maintenance, matching, quiet, silences
from alerts.forms.quiet import MaintenanceForm, SilenceForm
from alerts.models import Alert, MaintenanceWindow, Silence
from alerts.visibility import hide_origins, hush_holds
from core.errors import DomainError
from notifications.message import storable
from oncall import recurrences

A_PAGE = 50
SOON = dt.timedelta(hours=2)  # how long a silence is offered at first
EXTENDED = dt.timedelta(hours=1)
MOST_LABELS, LONGEST_VALUE = 12, 300
SILENCE_STATES = {
    "": "Active and pending",
    silences.ACTIVE: "Active",
    silences.PENDING: "Pending",
    silences.EXPIRED: "Expired",
    "all": "All",
}
WINDOW_STATES = {"": "Not over", "over": "Over", "all": "All"}
KINDS = {
    quiet.SILENCE: "A silence",
    quiet.MAINTENANCE: "Maintenance",
    quiet.INHIBITION: "Another alert",
    quiet.DEPENDENCY: "A service it needs",
    "rule": "A routing rule",
}


def _context(request, **more):
    return {
        "section": "alerts",
        "tab": "quiet",
        "now": timezone.now(),
        "may_respond": may_somewhere(request.user, "respond"),
        "held_count": _seen_alerts(request).exclude(held_by="").count(),
        **more,
    }


def _seen_alerts(request):
    return visible(Alert.objects.firing(), request.user)


def _ask_responder(request, record=None):
    """Refuse who may not change this record, or anything at all."""
    user = request.user
    if not (may_once_seen(user, "respond", record) if record else may_somewhere(user, "respond")):
        raise PermissionDenied(
            "Responders of its team do this, and where it belongs to no team, responders of the whole platform. "
            "Ask one of them, or an admin for the role."
        )


SILENCES = Silence.objects.select_related("owner", "service", "integration__service")
WINDOWS = MaintenanceWindow.objects.select_related("owner").prefetch_related("services", "teams")


def _silence(request, uuid):
    return get_object_or_404(visible(SILENCES.all(), request.user), uuid=uuid)


def _window(request, uuid):
    return get_object_or_404(visible(WINDOWS.all(), request.user), uuid=uuid)


def _text(request, name, limit=200):
    return storable(request.GET.get(name, "")).strip()[:limit]


def _page(request, rows):
    query = request.GET.copy()
    query.pop("page", None)
    return {"page": Paginator(rows, A_PAGE).get_page(request.GET.get("page")), "query": query.urlencode()}


def _held_counts(request, names):
    """`{name of what holds: how many firing alerts}`"""
    rows = _seen_alerts(request).filter(held_by__in=list(names)).order_by()
    return dict(rows.values_list("held_by").annotate(Count("pk")))


# --- silences -----------------------------------------------------------------------------------------------------


@login_required
@never_cache
def silence_list(request):
    now = timezone.now()
    state = request.GET.get("state", "")
    chosen = {"state": state if state in SILENCE_STATES else "", "q": _text(request, "q")}
    rows = visible(SILENCES.all(), request.user)
    if chosen["state"] == "":
        rows = rows.exclude(Q(expired_at__isnull=False) | Q(ends_at__lte=now))
    elif chosen["state"] != "all":
        rows = silences.in_state(rows, chosen["state"], now)
    if words := chosen["q"]:
        rows = rows.filter(
            Q(condition__icontains=words)
            | Q(reason__icontains=words)
            | Q(owner__name__icontains=words)
            | Q(made_by__icontains=words)
            | Q(service__name__icontains=words)
        )
    found = _page(request, silences.soonest_end_first(rows, now))
    counts = _held_counts(request, (silences.by_of(one) for one in found["page"]))
    for one in found["page"]:
        one.may_respond = may_once_seen(request.user, "respond", one)
        one.state, one.held = silences.state(one, now), counts.get(silences.by_of(one), 0)
    context = _context(
        request, kind="silences", chosen=chosen, states=SILENCE_STATES, is_filtered=any(chosen.values()), **found
    )
    return render(request, "alerts/silences.html", context)


@login_required
@never_cache
def silence_new(request):
    """Make a silence. `?alert=` fills in what its alert says, `?silence=` what an earlier one said."""
    _ask_responder(request)
    now = timezone.now()
    form = SilenceForm(
        request.POST or None,
        for_whom=request.user,
        span=(now, now + SOON),
        initial={} if request.POST else _filled_in(request),
    )
    return _silence_form(request, form, None, now)


def _filled_in(request):
    alerts = visible(Alert.objects.select_related("service", "integration"), request.user)
    if alert := _found(alerts, pk=request.GET.get("alert", "")):
        return {"condition": condition_like(alert), "service": alert.service.slug}
    if old := _found(visible(SILENCES.all(), request.user), uuid=request.GET.get("silence", "")):
        return _initial(old)
    condition = _text(request, "condition", matching.CONDITION_LIMIT)
    return {"condition": condition, "service": _text(request, "service")}


def _found(rows, **field):
    ((name, text),) = field.items()
    try:
        return rows.filter(**{name: uuid.UUID(text)}).first()
    except ValueError:
        return None


def condition_like(alert):
    """The text of a condition that means alerts like this one: its labels, or else its title."""
    labels = [(name, value) for name, value in alert.labels.items() if value and len(value) <= LONGEST_VALUE]
    for count in range(min(len(labels), MOST_LABELS), 0, -1):
        try:
            return matching.from_matchers([{"name": name, "value": value} for name, value in labels[:count]])
        except matching.Wrong:  # together they are too long
            continue
    return str(matching.Test(matching.Field("title"), "=", (alert.title,)))


def _initial(silence):
    return {
        "condition": silence.condition,
        "service": silence.service.slug if silence.service else "",
        "integration": str(silence.integration.uuid) if silence.integration else "",
        "reason": silence.reason,
    }


@login_required
@never_cache
def silence(request, uuid):
    """One silence: what it holds, and the form that changes it while it is not over."""
    now = timezone.now()
    found = _silence(request, uuid)
    if request.method == "POST":
        _ask_responder(request, found)
    form = None
    if may_once_seen(request.user, "respond", found) and silences.state(found, now) != silences.EXPIRED:
        form = SilenceForm(
            request.POST or None,
            for_whom=request.user,
            span=(found.starts_at, found.ends_at),
            initial=_initial(found),
        )
    return _silence_form(request, form, found, now)


def _silence_form(request, form, found, now):
    preview = None
    if form is not None and request.method == "POST":
        wants_preview = "preview" in request.POST or "X-Fragment" in request.headers
        if form.is_valid() or wants_preview:
            given = form.cleaned_data
            try:
                if wants_preview:
                    preview = silences.preview(
                        given.get("condition", ""),
                        integration=given.get("integration"),
                        service=given.get("service"),
                        now=now,
                        by=request.user,
                    )
                elif not form.may_save(**given):
                    pass
                elif found:
                    silences.edit(found.pk, **given, by=request.user, now=now)
                    messages.success(request, "The silence is saved. What it no longer holds is paged at once.")
                    return redirect("alerts:silences")
                else:
                    silences.create(**given, by=request.user, now=now)
                    messages.success(request, "The silence is made. Incidents that are open already go on.")
                    return redirect("alerts:silences")
            except DomainError as error:
                form.refuse_with(error)
    if "X-Fragment" in request.headers:
        return _fragment(request, {"preview": preview, "form": form, "now": now})
    held = _held_by(request, silences.by_of(found)) if found else []
    if found:
        found.state = silences.state(found, now)
    context = _context(request, kind="silences", form=form, silence=found, preview=preview, held=held)
    has_errors = form is not None and form.is_bound and form.errors and "preview" not in request.POST
    return render(request, "alerts/silence.html", context, status=400 if has_errors else 200)


def _fragment(request, context):
    response = render(request, "alerts/_quiet_preview.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def _held_by(request, name):
    rows = _seen_alerts(request).filter(held_by=name).select_related("service", "integration")
    return rows.order_by("-last_at")[:A_PAGE]


@login_required
@require_POST
def silence_extend(request, uuid):
    """Let it end an hour later."""
    found = _silence(request, uuid)
    _ask_responder(request, found)
    _do(request, "The silence ends an hour later.", silences.extend, found.pk, seconds=int(EXTENDED.total_seconds()))
    return redirect("alerts:silences")


@login_required
@never_cache
def silence_end(request, uuid):
    """Ask, then end it now."""
    found = _silence(request, uuid)
    _ask_responder(request, found)
    if request.method == "POST":
        _do(request, "The silence is over. What it held and still fires is paged now.", silences.expire, found.pk)
        return redirect("alerts:silences")
    return _confirm(
        request,
        heading="End this silence now?",
        text=f"{found.condition or 'All alerts'}: {found.reason}",
        count=_held_counts(request, [silences.by_of(found)]).get(silences.by_of(found), 0),
        button="End the silence",
        back=reverse("alerts:silences"),
        kind="silences",
    )


def _do(request, done, verb, pk, **values):
    """Let the person do this to one row, and say what came of it."""
    try:
        verb(pk, by=request.user, now=timezone.now(), **values)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, done)


def _confirm(request, **context):
    return render(request, "alerts/quiet_confirm.html", _context(request, **context))


# --- maintenance --------------------------------------------------------------------------------------------------


@login_required
@never_cache
def maintenance_list(request):
    now = timezone.now()
    state = request.GET.get("state", "")
    chosen = {"state": state if state in WINDOW_STATES else "", "q": _text(request, "q")}
    rows = visible(WINDOWS.all(), request.user)
    if words := chosen["q"]:
        rows = rows.filter(
            Q(name__icontains=words)
            | Q(reason__icontains=words)
            | Q(pk__in=MaintenanceWindow.objects.filter(services__name__icontains=words))
        )
    # Only the rule of a window knows whether it is over, so the rest of the choice is made here.
    if chosen["state"] == "":
        rows = rows.filter(Q(ends_at__gt=now) | ~Q(rrule=""), ended_at=None)
    windows = []
    for one in rows:
        one.state, one.coming = maintenance.state(one, now), maintenance.coming(one, now)
        one.repeats = recurrences.in_words(one.rrule)
        if chosen["state"] == "all" or (one.state == maintenance.OVER) == (chosen["state"] == "over"):
            windows.append(one)
    order = {maintenance.OPEN: 0, maintenance.PLANNED: 1, maintenance.DISABLED: 2, maintenance.OVER: 3}
    windows.sort(key=lambda one: (order[one.state], one.coming[0][0] if one.coming else now))
    found = _page(request, windows)
    counts = _held_counts(request, (maintenance.by_of(one) for one in found["page"]))
    for one in found["page"]:
        one.may_respond = may_once_seen(request.user, "respond", one)
        one.held = counts.get(maintenance.by_of(one), 0)
    context = _context(
        request, kind="maintenance", chosen=chosen, states=WINDOW_STATES, is_filtered=any(chosen.values()), **found
    )
    return render(request, "alerts/maintenance.html", context)


@login_required
@never_cache
def maintenance_new(request):
    _ask_responder(request)
    now = timezone.now()
    start = (now + dt.timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    form = MaintenanceForm(request.POST or None, for_whom=request.user, span=(start, start + SOON))
    return _window_form(request, form, None, now)


@login_required
@never_cache
def maintenance_window(request, uuid):
    """One window: when it is open, what it holds, and the form that changes it while it was not ended."""
    now = timezone.now()
    found = _window(request, uuid)
    if request.method == "POST":
        _ask_responder(request, found)
    form = None
    if may_once_seen(request.user, "respond", found) and not found.ended_at:
        form = MaintenanceForm(
            request.POST or None,
            for_whom=request.user,
            span=(found.starts_at, found.ends_at),
            initial={
                "name": found.name,
                "reason": found.reason,
                "services": [one.slug for one in found.services.all()],
                "teams": [one.slug for one in found.teams.all()],
                "condition": found.condition,
                "time_zone": found.time_zone,
                **MaintenanceForm.initial_of(found.rrule),
            },
        )
    return _window_form(request, form, found, now)


def _window_form(request, form, found, now):
    preview, times = None, []
    if form is not None and request.method == "POST":
        wants_preview = "preview" in request.POST or "X-Fragment" in request.headers
        is_valid = form.is_valid()
        given = form.cleaned_data
        try:
            if wants_preview:
                preview, times = _previewed(given, request.user, now)
            elif is_valid and not form.may_save(**given):
                pass
            elif is_valid and found:
                maintenance.edit(found.pk, **given, by=request.user, now=now)
                messages.success(request, "The window is saved. What it no longer holds is paged at once.")
                return redirect("alerts:maintenance")
            elif is_valid:
                maintenance.create(**given, by=request.user, now=now)
                messages.success(request, "The window is planned. Incidents that are open already go on.")
                return redirect("alerts:maintenance")
        except DomainError as error:
            form.refuse_with(error)
    if "X-Fragment" in request.headers:
        return _fragment(request, {"preview": preview, "times": times, "form": form, "now": now})
    held = []
    if found:
        found.state, found.coming = maintenance.state(found, now), maintenance.coming(found, now, count=5)
        found.repeats = recurrences.in_words(found.rrule)
        held = _held_by(request, maintenance.by_of(found))
    context = _context(request, kind="maintenance", form=form, window=found, preview=preview, times=times, held=held)
    has_errors = form is not None and form.is_bound and form.errors and "preview" not in request.POST
    return render(request, "alerts/maintenance_window.html", context, status=400 if has_errors else 200)


def _previewed(given, user, now):
    """What a window would mean among the alerts of the last days, and when it would be open."""
    services, teams = given.get("services") or (), given.get("teams") or ()
    times = []
    if given.get("starts_at") and given.get("ends_at"):
        row = MaintenanceWindow(
            starts_at=given["starts_at"],
            ends_at=given["ends_at"],
            rrule=given.get("rrule", ""),
            time_zone=given.get("time_zone") or "UTC",
        )
        maintenance.check_time(row, now)
        times = maintenance.coming(row, now, count=5)
    if not (services or teams or given.get("condition")):
        return None, times
    preview = silences.preview(given.get("condition", ""), services=services, teams=teams, now=now, by=user)
    return preview, times


@login_required
@require_POST
def maintenance_enable(request, uuid):
    """Let a window count again, or hold nothing for the time being. Asks before what it holds is paged."""
    found = _window(request, uuid)
    _ask_responder(request, found)
    is_enabled = request.POST.get("enabled") == "yes"
    by = maintenance.by_of(found)
    if not is_enabled and "sure" not in request.POST and (count := _held_counts(request, [by]).get(by)):
        return _confirm(
            request,
            heading="Disable this maintenance?",
            text=f"{found.name}. It holds nothing until it is enabled again.",
            count=count,
            button="Disable it",
            action=reverse("alerts:maintenance-enable", args=[found.uuid]),
            hidden={"enabled": "no", "sure": "yes"},
            back=reverse("alerts:maintenance"),
            kind="maintenance",
        )
    said = "counts again" if is_enabled else "holds nothing for now, and what it held is paged"
    _do(request, f"{found.name} {said}.", maintenance.enable, found.pk, is_enabled=is_enabled)
    return redirect("alerts:maintenance")


@login_required
@never_cache
def maintenance_end(request, uuid):
    """Ask, then end it for good."""
    found = _window(request, uuid)
    _ask_responder(request, found)
    if request.method == "POST":
        _do(request, "The window is over. What it held and still fires is paged now.", maintenance.end, found.pk)
        return redirect("alerts:maintenance")
    again = " It will not be open again." if found.rrule else ""
    return _confirm(
        request,
        heading="End this maintenance for good?",
        text=f"{found.name}.{again}",
        count=_held_counts(request, [maintenance.by_of(found)]).get(maintenance.by_of(found), 0),
        button="End the maintenance",
        back=reverse("alerts:maintenance"),
        kind="maintenance",
    )


# --- what is held -------------------------------------------------------------------------------------------------


@login_required
@never_cache
def held_list(request):
    """Every alert that fires and calls nobody, with what holds it and until when."""
    kind = request.GET.get("by", "")
    chosen = {"by": kind if kind in KINDS else "", "q": _text(request, "q")}
    rows = _seen_alerts(request).exclude(held_by="").select_related("service", "integration")
    if chosen["by"]:
        rows = rows.filter(held_by__startswith=f"{chosen['by']}:")
    if words := chosen["q"]:
        wanted = Q(title__icontains=words) | Q(service__name__icontains=words)
        if not request.user.access().hidden:  # the reason may name what is hidden, and a search would find it out
            wanted |= Q(held_why__icontains=words)
        rows = rows.filter(wanted)
    found = _page(request, rows.order_by("-held_at", "-last_at"))
    for one in found["page"]:
        one.may_respond = may_once_seen(request.user, "respond", one)
    hide_origins(found["page"], request.user)
    hush_holds(found["page"], request.user)
    link_holds(found["page"], request.user)
    context = _context(request, kind="held", chosen=chosen, kinds=KINDS, is_filtered=any(chosen.values()), **found)
    return render(request, "alerts/held.html", context)


def link_holds(alerts, user):
    """Give each alert the address of what holds it, where that has a page, and whether it can be let go by hand."""
    ids = {quiet.SILENCE: set(), quiet.MAINTENANCE: set()}
    for alert in alerts:
        kind, _, number = alert.held_by.partition(":")
        if kind in ids and number.isdecimal():
            ids[kind].add(int(number))
    pages = {
        f"{quiet.SILENCE}:{pk}": reverse("alerts:silence", args=[found])
        for pk, found in visible(Silence.objects.filter(pk__in=ids[quiet.SILENCE]), user).values_list("pk", "uuid")
    }
    windows = visible(MaintenanceWindow.objects.filter(pk__in=ids[quiet.MAINTENANCE]), user)
    pages |= {
        f"{quiet.MAINTENANCE}:{pk}": reverse("alerts:maintenance-window", args=[found])
        for pk, found in windows.values_list("pk", "uuid")
    }
    for alert in alerts:
        alert.hold_url = pages.get(alert.held_by, "")
        alert.can_be_released = alert.held_by.partition(":")[0] in quiet.RELEASED


@login_required
@require_POST
def release(request, pk):
    """Page for one held alert now, whatever holds it."""
    alert = get_object_or_404(visible(Alert.objects.select_related("service"), request.user), pk=pk)
    _ask_responder(request, alert)
    _do(request, "The alert is let go: its incident opens within seconds.", quiet.release, pk)
    return redirect("alerts:alert", pk) if request.POST.get("then") == "alert" else redirect("alerts:held")
