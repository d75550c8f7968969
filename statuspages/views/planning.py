"""Maintenance on a status page: once, and again and again."""

import datetime as dt

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from core.errors import DomainError
from oncall import recurrences
from statuspages import publishing, recurring, states
from statuspages.keeping_forms import MaintenanceForm, SeriesForm
from statuspages.models import Post, Series
from statuspages.views.keeping import confirm, context_of, find
from statuspages.views.posting import (
    filled_again,
    is_asked,
    preview_of,
    previewed,
    subscribers_of,
    template_of,
)

LASTS = dt.timedelta(hours=2)
NEXT_TIMES = 3


def _span(now):
    """When a new one is offered: from the next full hour but one."""
    start = (now + dt.timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    return start, start + LASTS


def _names(page, chosen):
    """`[(name, state in words)]` of the components that were ticked."""
    label = dict(states.COMPONENT_STATES)[states.MAINTENANCE]
    return [(one.name, label) for one in page.components.all() if str(one.uuid) in (chosen or ())]


@login_required
@never_cache
def maintenance_new(request, slug):
    """Plan maintenance that comes once."""
    page, now = find(request, slug, "respond"), timezone.now()
    begin = {"for_whom": request.user, "page": page, "span": _span(now)}
    if request.method == "POST" and "fill" in request.POST:
        template = template_of(page, Post.Kind.MAINTENANCE, request.POST.get("template"))
        form = MaintenanceForm(**begin, initial=filled_again(MaintenanceForm(**begin), request, template))
    else:
        form = MaintenanceForm(request.POST if request.method == "POST" else None, **begin)
    preview = None
    if form.is_bound:
        is_valid = form.is_valid()
        if is_asked(request):
            preview = _preview(page, form)
        elif is_valid and (post := _planned(request, page, form, now)):
            messages.success(request, f"“{post.title}” is planned. The page shows it within two seconds.")
            return redirect("statuspages:status-post", page.slug, post.uuid)
        if "X-Fragment" in request.headers:
            return previewed(request, page, preview)
    context = context_of(request, page, form=form, preview=preview, subscribers_count=subscribers_of(page))
    has_errors = form.is_bound and form.errors and preview is None
    return render(request, "statuspages/keep_maintenance_new.html", context, status=400 if has_errors else 200)


def _preview(page, form):
    given = form.cleaned_data
    found = preview_of(form, _names(page, given.get("components")))
    times = [(given["starts_at"], given["ends_at"])] if given.get("starts_at") and given.get("ends_at") else []
    return {**found, "stage": "Scheduled", "stage_word": states.SCHEDULED, "times": times, "zone": page.time_zone}


def _planned(request, page, form, now):
    try:
        return publishing.plan_maintenance(page.pk, **form.values(), by=request.user, now=now)
    except DomainError as error:
        form.refuse(error)
        return None


# --- again and again ----------------------------------------------------------------------------------------------


@login_required
@never_cache
def series_list(request, slug):
    """What comes again and again, each with its next times."""
    page, now = find(request, slug), timezone.now()
    rows = list(page.series.prefetch_related("components"))
    for one in rows:
        one.coming = recurring.coming(one, now, count=NEXT_TIMES) if one.is_enabled else []
        one.repeats = recurrences.in_words(one.rrule)
    rows.sort(key=lambda one: (not one.coming, one.coming[0][0] if one.coming else now))
    return render(request, "statuspages/keep_series_list.html", context_of(request, page, tab="series", rows=rows))


@login_required
@never_cache
def series_new(request, slug):
    page, now = find(request, slug, "respond"), timezone.now()
    form = SeriesForm(
        request.POST if request.method == "POST" else None, for_whom=request.user, page=page, span=_span(now)
    )
    return _series_form(request, page, None, form, now)


@login_required
@never_cache
def series(request, slug, uuid):
    page, now = find(request, slug, "respond"), timezone.now()
    row = get_object_or_404(Series.objects.prefetch_related("components"), page=page, uuid=uuid)
    form = SeriesForm(
        request.POST if request.method == "POST" else None,
        for_whom=request.user,
        page=page,
        span=(row.starts_at, row.ends_at),
        series=row,
    )
    return _series_form(request, page, row, form, now)


def _series_form(request, page, row, form, now):
    preview = None
    if form.is_bound:
        is_valid = form.is_valid()
        if is_asked(request):
            preview = _series_preview(page, form, now)
        elif is_valid and _saved(request, page, row, form, now):
            messages.success(request, "It is saved. Times that are announced already stay as they are.")
            return redirect("statuspages:status-series-list", page.slug)
        if "X-Fragment" in request.headers:
            return previewed(request, page, preview)
    times = recurring.coming(row, now, count=NEXT_TIMES) if row else []
    context = context_of(request, page, tab="series", form=form, series=row, preview=preview, times=times)
    has_errors = form.is_bound and form.errors and preview is None
    return render(request, "statuspages/keep_series.html", context, status=400 if has_errors else 200)


def _series_preview(page, form, now):
    given = form.cleaned_data
    times = []
    if not form.errors.keys() & {"starts_at", "ends_at", "rrule", "time_zone", "repeats"}:
        names = ("starts_at", "ends_at", "rrule", "time_zone")
        times = recurring.coming(Series(**{name: given[name] for name in names}), now, count=NEXT_TIMES)
    found = preview_of(form, _names(page, given.get("components")))
    return {**found, "stage": "Scheduled", "stage_word": states.SCHEDULED, "times": times, "zone": page.time_zone}


def _saved(request, page, row, form, now):
    try:
        return recurring.save(page.pk, series=row and row.uuid, **form.values(), now=now)
    except DomainError as error:
        form.refuse_with(error)
        return None


@login_required
@never_cache
def series_remove(request, slug, uuid):
    """Ask, then announce no further times."""
    page = find(request, slug, "respond")
    row = get_object_or_404(Series, page=page, uuid=uuid)
    if request.method == "POST":
        recurring.remove(row.uuid)
        messages.success(request, f"“{row.title}” comes no more. What is announced already stays on the page.")
        return redirect("statuspages:status-series-list", page.slug)
    return confirm(
        request,
        page,
        heading="Delete this recurring maintenance?",
        text=f"“{row.title}”: no further times are announced. What is announced already stays on the page.",
        button="Delete it",
        back=reverse("statuspages:status-series-list", args=[page.slug]),
    )
