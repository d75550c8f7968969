"""Inviting people, accepting an invitation, and a new password for who forgot theirs.

Looking at a link changes nothing, because mail scanners open every link. A page with one in its address says by
`core.headers` that the address may not travel on, and no cache keeps it.
"""

import time

from allauth.account.internal.flows.login import Login, perform_login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import invitations, resets
from accounts.models import Role, User
from accounts.people_forms import AcceptForm, ForgottenForm, InviteForm, NewPasswordForm
from accounts.permissions import leads_person, may_somewhere
from core import limits
from core.buckets import Limit
from core.errors import DomainError

ASKED = (
    "If there is an account with this address, a mail is on its way to it. It comes within a minute; look among the "
    "unwanted ones too. No mail? Then the address is none of ours, or three were sent within the hour."
)
# One address asks for somebody, not for everybody.
RESETS = Limit("resets", 20, 3600)


# --- inviting -------------------------------------------------------------------------------------------------------
@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request):
    """The form, and those who were invited and have not come yet."""
    if not may_somewhere(request.user, "configure"):
        raise PermissionDenied
    now = timezone.now()
    form = InviteForm(request.POST if request.method == "POST" else None, user=request.user)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            person = invitations.invite(
                wanted["email"],
                name=wanted["name"],
                role=wanted.get("role", Role.OBSERVER),
                team=wanted["team"],
                team_role=wanted["team_role"],
                by=request.user,
                now=now,
            )
        except DomainError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"An invitation to {person.email} is on its way.")
            return redirect("people-invite")
    context = {"section": "people", "form": form, "now": now, "waiting": invitations.waiting(request.user, now=now)}
    return render(request, "accounts/invite.html", context, status=400 if form.errors else 200)


@login_required
@never_cache
@require_POST
def invitation_do(request, pk, verb):
    """Send an invitation again, or withdraw it."""
    person = get_object_or_404(User.objects.filter(invitations.WAITING), pk=pk)
    if not may_somewhere(request.user, "configure") or not leads_person(request.user, person):
        raise Http404
    try:
        if verb == "again":
            invitations.send_again(person, by=request.user, now=timezone.now())
            messages.success(
                request, f"A new link is on its way to {person.email}. The old one does not work any more."
            )
        elif verb == "withdraw":
            invitations.withdraw(person, by=request.user, now=timezone.now())
            messages.success(request, f"The invitation to {person.email} is withdrawn.")
        else:
            raise Http404
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("people-invite")


# --- accepting ------------------------------------------------------------------------------------------------------
@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request, token):
    """Choose a name and a password (POST), and be signed in."""
    now = timezone.now()
    try:
        row = invitations.find(token, now=now)
        form = _typed(request, AcceptForm, initial={"name": row.user.name, "time_zone": _zone(row.user)})
        if form.is_bound and form.is_valid():
            person = _saved(form, lambda typed: invitations.accept(token, **typed, now=now))
            if person is not None:
                messages.success(
                    request, f"Welcome, {person}. Now say how you can be reached: without it no page arrives."
                )
                return perform_login(request, Login(user=person, redirect_url=reverse("settings")))
    except DomainError as error:
        return _refused(request, "This invitation cannot be used", error)
    context = {"form": form, "person": row.user, "inviter": row.by}
    return render(request, "accounts/invitation.html", context, status=400 if form.errors else 200)


def _zone(person):
    return person.time_zone if person.time_zone != "UTC" else settings.TIME_ZONE


# --- forgotten passwords --------------------------------------------------------------------------------------------
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def forgotten(request):
    """Ask for a mail with a link. The answer is the same for every address."""
    form = _typed(request, ForgottenForm)
    is_asked = False
    if form.is_bound and form.is_valid():
        who = limits.address_block(limits.client_address(request))
        verdict = limits.limiter().check(RESETS, who, now=time.time(), is_exact=True)
        if verdict.is_allowed:
            resets.ask(form.cleaned_data["email"], now=timezone.now())
            is_asked = True
        else:
            form.add_error(
                None, f"Too many were asked for from here. Wait {verdict.retry_after} seconds, then try again."
            )
    context = {"form": form, "asked": ASKED if is_asked else ""}
    status = 429 if form.is_bound and form.general else 400 if form.errors else 200
    return render(request, "accounts/forgotten.html", context, status=status)


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def reset(request, token):
    """Choose a new password (POST). It signs nobody in: the second factor is asked for as ever."""
    now = timezone.now()
    try:
        row = resets.find(token, now=now)
        form = _typed(request, NewPasswordForm)
        if form.is_bound and form.is_valid():
            person = _saved(form, lambda typed: resets.set_password(token, typed["password"], now=now))
            if person is not None:
                messages.success(request, "Your new password is set, and every session is ended. Sign in with it.")
                return redirect("login")
    except DomainError as error:
        return _refused(request, "This link cannot be used", error)
    context = {"form": form, "person": row.user}
    return render(request, "accounts/reset.html", context, status=400 if form.errors else 200)


def _typed(request, kind, **options):
    return kind(request.POST if request.method == "POST" else None, **options)


def _saved(form, verb):
    """What the verb returns; None when the password is none, and the form says why."""
    typed = {name: value for name, value in form.cleaned_data.items() if name != "again"}
    try:
        return verb(typed)
    except ValidationError as error:
        form.add_error("password", error.messages)
        return None


def _refused(request, title, error):
    context = {"title": title, "sentence": error.message}
    return render(request, "accounts/link_refused.html", context, status=error.status)
