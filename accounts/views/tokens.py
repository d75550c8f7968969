"""A person's own tokens: keys that act as them. Everything here is about who is signed in."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import keys
from accounts.models import ApiKey
from accounts.token_forms import RotateForm, TokenForm
from core.errors import DomainError

STATES = {
    "": "All",
    ApiKey.VALID: "Valid",
    ApiKey.EXPIRED: "Expired",
    ApiKey.REVOKED: "Revoked",
}
CHIPS = {ApiKey.VALID: "resolved", ApiKey.EXPIRED: "pending", ApiKey.REVOKED: "cancelled"}
MOST = 100  # that work at a time; more is a mistake or mischief


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def listed(request):
    """My tokens, and a form for another. The text of a new one is in the answer to that form, and never again."""
    now = timezone.now()
    form = TokenForm(request.POST if request.method == "POST" else None, user=request.user)
    if request.method == "POST" and form.is_valid():
        if request.user.is_machine:
            raise PermissionDenied
        if request.user.api_keys.in_state(ApiKey.VALID, now=now).count() < MOST:
            chosen = form.cleaned_data
            key, text = keys.issue_key(
                request.user,
                name=chosen["name"],
                scopes=chosen["scopes"],
                team=chosen["team"],
                expires_at=form.expires_at(now),
                is_personal=True,
            )
            return _shown(request, key, text, "New token")
        form.add_error(None, f"You have {MOST} tokens that work. Revoke those that you no longer use first.")
    state = request.GET.get("state", "")
    state = state if state in STATES else ""
    rows = request.user.api_keys.select_related("team").order_by("-created_at")
    shown = list(rows.in_state(state, now=now) if state else rows)
    for row in shown:
        row.state = row.state_at(now)
        row.chip = CHIPS[row.state]
        row.ends_soon = row.state == ApiKey.VALID and row.expires_at and row.expires_at <= now + keys.ENDS_SOON
        row.two_work = row.state == ApiKey.VALID and keys.old_secret_works(row, now=now)
    context = {
        "section": "settings",
        "tab": "tokens",
        "now": now,
        "tokens": shown,
        "ending": [row for row in shown if row.ends_soon],
        "states": [(value, label, value == state) for value, label in STATES.items()],
        "state": state,
        "form": form,
        "general": form.non_field_errors(),
    }
    return render(request, "accounts/tokens.html", context, status=400 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def rotate(request, prefix):
    """Give one of my tokens a new text, which the answer shows."""
    key, now = _own(request, prefix), timezone.now()
    form = RotateForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            key, text = keys.rotate(key.pk, by=request.user, now=now, overlap=form.span())
        except DomainError as error:
            form.add_error(None, error.message)
        else:
            return _shown(request, key, text, "New text")
    context = {"section": "settings", "key": key, "form": form, "general": form.non_field_errors()}
    return render(request, "accounts/token_rotate.html", context, status=400 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request, prefix):
    """End one of my tokens, after the question whether it is meant."""
    key = _own(request, prefix)
    if request.method != "POST":
        return render(request, "accounts/token_revoke.html", {"section": "settings", "key": key})
    try:
        keys.revoke(key.pk, by=request.user, now=timezone.now())
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"{key.name} is revoked. It stops working within seconds.")
    return redirect("tokens")


@login_required
@require_POST
def stop_old(request, prefix):
    """End the text that one of my tokens had before."""
    key = keys.stop_old(_own(request, prefix).pk, by=request.user)
    messages.success(request, f"The old text of {key.name} stopped working.")
    return redirect("tokens")


def _own(request, prefix):
    return get_object_or_404(ApiKey.objects.select_related("team"), prefix=prefix, user=request.user)


def _shown(request, key, text, title):
    context = {
        "section": "settings",
        "key": key,
        "text": text,
        "title": title,
        "header": f"Authorization: Bearer {text}",
        "two_work": keys.old_secret_works(key, now=timezone.now()),
    }
    return render(request, "accounts/token_made.html", context)
