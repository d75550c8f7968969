"""What is edited on the page of a service: its links, and what it needs. For admins of its team."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.permissions import may, visible
from catalog import dependencies
from catalog.forms import DependencyForm, LinkForm
from catalog.models import Dependency, Link
from catalog.views.services import find, show
from core.errors import DomainError


def _mine(request, slug):
    """The service, which the person may configure."""
    service = find(request, slug)
    if not may(request.user, "configure", service):
        raise PermissionDenied("Admins of its team change a service. Ask one of them.")
    return service


@login_required
@require_POST
def link_add(request, slug):
    service = _mine(request, slug)
    return _save_link(request, service, Link(service=service))


@login_required
@require_POST
def link_change(request, slug, pk):
    service = _mine(request, slug)
    return _save_link(request, service, get_object_or_404(Link, service=service, pk=pk))


def _save_link(request, service, link):
    form = LinkForm(request.POST, for_whom=request.user, link=link)
    if not form.is_valid():
        return show(request, service, link_form=form)
    try:
        with transaction.atomic():
            form.filled().save()
    except IntegrityError:  # somebody added the same just now
        form.add_error("url", "The service has a link to this address already. Change that one.")
        return show(request, service, link_form=form)
    messages.success(request, f"The link “{link.label}” is saved.")
    return redirect("service", service.slug)


@login_required
@require_POST
def link_remove(request, slug, pk):
    service = _mine(request, slug)
    link = get_object_or_404(Link, service=service, pk=pk)
    label = link.label
    link.delete()
    messages.success(request, f"The link “{label}” is removed.")
    return redirect("service", service.slug)


@login_required
@require_POST
def dependency_save(request, slug):
    """Write down that the service needs another, or change the note of what it needs already."""
    service = _mine(request, slug)
    form = DependencyForm(request.POST, for_whom=request.user, service=service)
    if form.is_valid():
        try:
            row = dependencies.add(service, now=timezone.now(), **form.cleaned_data)
        except DomainError as error:
            form.refuse(DomainError(request.user.hushed()(error.message)))
        else:
            messages.success(request, f"{row.service} needs {row.needs}: saved.")
            return redirect("service", service.slug)
    return show(request, service, dependency_form=form)


@login_required
@require_POST
def dependency_remove(request, slug, pk):
    service = _mine(request, slug)
    row = get_object_or_404(visible(Dependency.objects.select_related("needs"), request.user), service=service, pk=pk)
    dependencies.remove(row, now=timezone.now())
    messages.success(request, f"{service} does not need {row.needs} any more.")
    return redirect("service", service.slug)
