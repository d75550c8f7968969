"""The form that opens an incident by hand."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect, render
from django.utils import timezone

from accounts.permissions import may_somewhere, where_may
from catalog.models import Service
from core.errors import DomainError
from incidents import lifecycle
from incidents.models import Severity
from notifications.message import storable


@login_required
def new(request):
    """Open an incident by hand."""
    if not may_somewhere(request.user, "respond"):
        raise PermissionDenied
    error = ""
    if request.method == "POST":
        try:
            opened = lifecycle.trigger(
                _service(request.user, request.POST.get("service", "")),
                title=request.POST.get("title", ""),
                severity=request.POST.get("severity", ""),
                description=request.POST.get("description", "").strip(),
                by=request.user,
                now=timezone.now(),
            )
        except DomainError as refused:
            error = refused.message
        else:
            messages.success(request, f"Incident #{opened.pk} is open, and its first level is being called.")
            return redirect("incident", opened.pk)
    context = {
        "section": "incidents",
        "error": error,
        "typed": request.POST if request.method == "POST" else request.GET,
        "services": _services(request.user),
        "severities": Severity.choices,
    }
    return render(request, "incidents/new.html", context, status=400 if error else 200)


def _services(user):
    rows = Service.objects.exclude(lifecycle=Service.Lifecycle.ARCHIVED).select_related("team")
    return where_may(rows, user, "respond")


def _service(user, slug):
    found = _services(user).filter(slug=storable(slug)).first()
    if found is None:
        raise DomainError("Choose the service that is in trouble: its policy says who is called.")
    return found
