"""Inviting, sessions and privacy in the admin: buttons on a person's page, and the mails about accounts."""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from accounts import audit, invitations, privacy, sessions
from accounts.models import AccountMail
from accounts.views.own import export_answer
from core.admin import ReadOnlyAdmin, button, display
from core.admin_fields import switch, text_field
from core.errors import DomainError


class EraseForm(forms.Form):
    address = text_field(
        label="Address of the person",
        max_length=254,
        help_text="Type the address of the person, to be sure that it is them.",
        error_messages={"required": "Type the address of the person."},
    )
    force = switch(
        label="Leave places empty", help_text="Also where turns in schedules or places in policies become empty."
    )

    def __init__(self, *args, person, **kwargs):
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_address(self):
        if self.cleaned_data["address"].strip().lower() != self.person.email.lower():
            raise forms.ValidationError("This is another address. Nothing was changed.")
        return self.person.email


class PeopleMixin:
    """What an admin does for a person, or about them."""

    people_buttons = ("send_invitation", "end_sessions")

    def shown_buttons(self, request, obj):
        hidden = set()
        if obj.last_login or obj.has_usable_password() or not obj.is_active:
            hidden.add("send_invitation")
        if obj.erased_at:
            hidden |= set(self.people_buttons)
        return [one for one in super().shown_buttons(request, obj) if one.name not in hidden]

    def shown_links(self, request, obj):
        ours = [("Invitations", reverse("people-invite")), ("Export or erase", self._privacy_url(obj))]
        return [*super().shown_links(request, obj), *ours]

    @button(
        "Send invitation",
        confirm="They get a mail with a link to choose a password. A link that was sent before stops working.",
    )
    def send_invitation(self, request, obj):
        invitations.send_again(obj, by=request.user, now=timezone.now())
        return f"An invitation to {obj.email} is on its way."

    @button(
        "End all sessions",
        confirm="They are signed out everywhere within a minute. Their password and their tokens stay as they are.",
    )
    def end_sessions(self, request, obj):
        count = sessions.end_all(obj)
        audit.record("session ended", obj, text=f"{count} of them, by an admin.")
        return f"{count} session{'s' * (count != 1)} of {obj} ended." if count else f"{obj} was signed in nowhere."

    # --- export and erase
    def get_urls(self):
        view = self.admin_site.admin_view(self.privacy_view)
        return [path("<path:object_id>/privacy/", view, name="accounts_user_privacy"), *super().get_urls()]

    def _privacy_url(self, obj):
        return reverse(f"{self.admin_site.name}:accounts_user_privacy", args=[quote(obj.pk)])

    def privacy_view(self, request, object_id):
        """All that is stored about the person as a file, and the way to erase them."""
        person = self.get_object(request, unquote(object_id))
        if person is None:
            raise Http404
        if not request.user.may("administer"):
            raise PermissionDenied
        if request.method == "POST" and "export" in request.POST:
            return export_answer(person, by=request.user)
        now = timezone.now()
        form = EraseForm(request.POST if request.method == "POST" else None, person=person)
        if request.method == "POST" and form.is_valid():
            try:
                erased = privacy.erase(person, by=request.user, now=now, force=form.cleaned_data["force"])
            except DomainError:
                messages.error(request, "Nothing was changed. What forbids it stands on this page.")
            else:
                return self._erased(request, person, erased)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Export or erase {person}",
            "opts": self.opts,
            "person": person,
            "form": form,
            "obstacles": privacy.obstacles_to(person, by=request.user, now=now),
        }
        status = 400 if form.errors else 200
        return TemplateResponse(request, "admin/accounts/privacy.html", context, status=status)

    def _erased(self, request, person, erased):
        messages.success(request, f"The person is erased. What they did stays as “{erased.pseudonym}”.")
        if erased.keeps_name:
            messages.warning(
                request, "Others have the same name, so it stays in texts: nobody can tell who was meant."
            )
        if erased.mentions:
            messages.warning(
                request, f"The name or an address still stands in {'; '.join(erased.mentions)}. Change it by hand."
            )
        return redirect(self.change_url(person))


@admin.register(AccountMail)
class AccountMailAdmin(ReadOnlyAdmin):
    """Mails about accounts. What they say is never shown: it may have a link that signs in."""

    list_display = ("created_at", "kind", "address", "state", "attempts", "error")
    list_filter = ("kind",)
    list_select_related = ("user", "by")
    search_fields = ("address", "user__name", "user__email")
    fields = (
        *("kind", "user", "by", "address", "subject", "created_at", "state", "attempts", "due_at", "sent_at", "error"),
        *("link_expires_at", "link_end", "link_ended_at"),
    )
    readonly_fields = ("state",)

    @display(description="state", label={"sent": "success", "failed": "danger", "waits": "warning", "ended": "info"})
    def state(self, obj):
        if obj.sent_at:
            return "sent"
        if obj.due_at:
            return "waits"
        return "failed" if obj.error else "ended"

    def get_readonly_fields(self, request, obj=None):
        hidden = {"body", "link_hash", "lease_token", "lease_until"}
        return [name for name in super().get_readonly_fields(request, obj) if name not in hidden]
