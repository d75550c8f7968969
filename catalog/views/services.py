"""The directory of services."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from accounts.permissions import visible
from catalog.models import Service


@login_required
@never_cache
def services(request):
    found = visible(Service.objects.select_related("team"), request.user).order_by("tier", "name")
    return render(request, "catalog/services.html", {"section": "services", "services": found})
