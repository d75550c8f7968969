"""What is done to many incidents of the list at once: each says what came of it."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_POST

from accounts.permissions import may_somewhere
from core.errors import DomainError
from incidents import bulk
from incidents.views.calls import number_of
from incidents.views.saved import address_of


@login_required
@require_POST
def do(request):
    """Do one verb to the selected incidents, then show the list with a result for each."""
    if not may_somewhere(request.user, "respond"):
        raise PermissionDenied("Responders do this. Ask an admin for the role.")
    verb = request.POST.get("verb", "")
    numbers = [number_of(text) for text in request.POST.getlist("number")]
    try:
        results = bulk.do_many(
            verb,
            [number for number in numbers if number is not None],
            by=request.user,
            now=timezone.now(),
            note=request.POST.get("note", ""),
            into=number_of(request.POST.get("into", "")),
        )
    except DomainError as error:
        messages.error(request, error.message)
    else:
        _tell(request, verb, results)
    return redirect(address_of(request.POST.get("query", "")))


def _tell(request, verb, results):
    """One message: how many, and below it a line for each. Bad news come first, and stay until they are put away."""
    lines = sorted(results, key=lambda one: one.is_done)
    items = format_html_join("", "<li>{}</li>", ((one.text,) for one in lines))
    text = format_html('<span>{}</span><ul class="results">{}</ul>', bulk.said(verb, results), items)
    good = all(one.is_done for one in results)
    (messages.success if good else messages.warning)(request, text)
