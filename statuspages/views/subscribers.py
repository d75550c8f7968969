"""Who is told what is posted on a status page: everybody may look, and its admins end a subscription."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from core.errors import DomainError
from statuspages import subscribing
from statuspages.models import Subscriber
from statuspages.views.keeping import chosen_of, confirm, context_of, find, paged

SUBSCRIBED = {"": "Told", "waiting": "Not confirmed", "ended": "Ended", "all": "All"}


@login_required
@never_cache
def subscribers(request, slug):
    """Who is told what is posted. Addresses are masked, as everywhere."""
    found = find(request, slug)
    chosen = {
        "state": chosen_of(request, "state", SUBSCRIBED),
        "channel": chosen_of(request, "channel", dict(Subscriber.Channel.choices)),
    }
    rows = Subscriber.objects.filter(page=found)
    counts = rows.aggregate(
        told=Count("pk", filter=Q(confirmed_at__isnull=False, ended_at__isnull=True)),
        waiting=Count("pk", filter=Q(confirmed_at__isnull=True, ended_at__isnull=True)),
    )
    if chosen["state"] == "":
        rows = rows.told()
    elif chosen["state"] == "waiting":
        rows = rows.filter(confirmed_at__isnull=True, ended_at__isnull=True)
    elif chosen["state"] == "ended":
        rows = rows.filter(ended_at__isnull=False)
    if chosen["channel"]:
        rows = rows.filter(channel=chosen["channel"])
    context = context_of(
        request,
        found,
        tab="subscribers",
        chosen=chosen,
        states=SUBSCRIBED,
        channels=Subscriber.Channel.choices,
        counts=counts,
        is_filtered=any(chosen.values()),
        **paged(request, rows.select_related("destination").prefetch_related("components")),
    )
    return render(request, "statuspages/keep_subscribers.html", context)


@login_required
@never_cache
def subscriber_end(request, slug, uuid):
    """Ask, then tell this address nothing any more."""
    found = find(request, slug, "configure")
    one = get_object_or_404(Subscriber.objects.select_related("destination"), page=found, uuid=uuid)
    if request.method == "POST":
        try:
            subscribing.stop(one.uuid, by=request.user, now=timezone.now())
        except DomainError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, "The subscription is ended: nothing more is sent there.")
        return redirect("statuspages:status-subscribers", found.slug)
    return confirm(
        request,
        found,
        heading="End this subscription?",
        text=f"{one} is told nothing of this page any more. Whoever reads there can subscribe again.",
        button="End the subscription",
        back=reverse("statuspages:status-subscribers", args=[found.slug]),
    )
