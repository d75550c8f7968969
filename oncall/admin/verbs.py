"""Forms that are saved by a verb, so that the admin refuses what the pages and the API refuse, at the same fields."""

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.forms.models import construct_instance
from django.utils import timezone

from core.admin import Admin
from core.errors import DomainError
from oncall.admin.zones import Zoned


def put_errors(form, error):
    """Let the sentences of a ValidationError stand at the fields they name."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for field, errors in error.error_dict.items():
        form.add_error(field if field in form.fields and field != NON_FIELD_ERRORS else None, errors)


class VerbForm(forms.ModelForm):
    """`act(now)` calls the verb. It is tried while the form is checked, and taken back, to learn what it refuses."""

    by = None

    def act(self, now):
        raise NotImplementedError

    def _post_clean(self):
        """The verb checks the row itself, and with all fields at hand, also those that are not on the page."""
        self.instance = construct_instance(self, self.instance, self._meta.fields, self._meta.exclude)
        if self.errors:
            return
        try:
            with transaction.atomic():
                self.act(timezone.now())
                transaction.set_rollback(True)
        except ValidationError as error:
            put_errors(self, error)
        except DomainError as error:
            self.add_error(None, error.message)


class VerbAdmin(Zoned, Admin):
    """A page whose rows are made, changed and taken back by verbs."""

    # What is not changed any more once it is there: `scheduling` has no verb for it.
    is_made_once = False

    def get_form(self, request, obj=None, change=False, **kwargs):
        form = super().get_form(request, obj, change=change, **kwargs)
        form.by = request.user
        return form

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and not (obj is not None and self.is_made_once)

    def save_model(self, request, obj, form, change):
        row = form.act(timezone.now())
        obj.pk, obj._state.adding = row.pk, False
        obj.refresh_from_db()

    def take_back(self, obj, by, now):
        """The verb that deletes what is to come and ends what runs."""
        raise NotImplementedError

    def refusal_to_delete(self, obj):
        if obj.end_at <= timezone.now():
            return f"“{obj}” is over, and history does not change."
        return super().refusal_to_delete(obj)

    def delete_model(self, request, obj):
        self.take_back(obj, request.user, timezone.now())

    def delete_queryset(self, request, queryset):
        for obj in queryset:
            self.delete_model(request, obj)
