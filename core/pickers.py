"""Choosing rows in the admin by typing: one, several, or people in an order. Knows nothing of the skin."""

import re

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.db.models.functions import Lower
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

# Rows that wait to be filled, for browsers without our script; with it, a button adds more.
SPARE_PICKERS = 2
MOST_PLACES = 200


def picker(field, **options):
    """Choose several rows that the foreign key `field` may point to, by typing."""
    return PickedField(
        queryset=field.remote_field.model._base_manager.all(),
        widget=PickSeveral(field, admin.site),
        required=False,
        **options,
    )


class PickedField(forms.ModelMultipleChoiceField):
    """Several rows. The page narrows `queryset` to what its reader may choose."""

    @property
    def picks(self):
        """The foreign key that the rows are picked for."""
        return self.widget.field


def _is_key(text):
    return text.isascii() and text.isdigit() and len(text) < 19


class _Pick:
    """A picker that is shown again, beside its error, also where a key was sent that is none."""

    def optgroups(self, name, value, attrs=None):
        return super().optgroups(name, [one for one in value if _is_key(str(one))], attrs)


class PickOne(_Pick, AutocompleteSelect):
    """One row."""


class PickSeveral(_Pick, AutocompleteSelectMultiple):
    """Several rows, in no order."""


class _Places(AutocompleteSelectMultiple):
    """Pickers below each other, one a place. All have the same name, so their order on the page is what arrives.

    A marker stands before each place: the value is flat, for example `["place", "7", "9", "place", "nobody"]`.
    """

    MARK, NOBODY = "place", "nobody"

    class Media:
        js = ("core/in_order.js",)

    def value_from_datadict(self, data, files, name):
        return list(data.getlist(name)) if hasattr(data, "getlist") else data.get(name, [])

    def value_omitted_from_data(self, data, files, name):
        return False

    def flat(self, places):
        """Places as they arrive from the page."""
        return [
            value
            for people in places
            for value in (self.MARK, *(str(pk) for pk in people), *([] if people else [self.NOBODY]))
        ]

    def places(self, value):
        """What arrived, by place; a place that nobody filled in is none."""
        places = []
        for one in value or ():
            if one == self.MARK or not places:
                places.append([])
            if one != self.MARK and one.strip():
                places[-1].append(one)
        return [people for people in places if people]

    def optgroups(self, name, value, attrs=None):
        people = [self.people[pk] for pk in value if pk in self.people]
        options = [
            self.create_option(name, one.pk, one if getattr(one, "is_active", True) else f"{one} (deactivated)", 1, at)
            for at, one in enumerate(people)
        ]
        return [(None, options, 0)]

    def render(self, name, value, attrs=None, renderer=None):
        places = self.places(value)
        # Those that the form knows already need no query.
        self.people = {str(one.pk): one for one in getattr(self, "known", ())}
        if missing := {pk for people in places for pk in people if _is_key(pk)} - set(self.people):
            self.people |= {str(one.pk): one for one in self.choices.queryset.filter(pk__in=missing)}
        rows = [self._row(name, people, attrs, renderer, at) for at, people in enumerate(places)]
        spare = range(len(places), len(places) + SPARE_PICKERS)
        rows += [self._row(name, [], attrs, renderer, at) for at in spare]
        return format_html(
            '<div class="wb-places"><ol class="wb-in-order">{}</ol>'
            '<button type="button" class="wb-button" data-add hidden>Add a place</button></div>',
            format_html_join("", "{}", ((row,) for row in rows)),
        )

    def _row(self, name, people, attrs, renderer, at):
        attrs = attrs or {}
        ids = {"id": f"{attrs.get('id', name)}_{at}", "aria-label": "People of this place"}
        picked = [one for one in people if one in self.people]
        typed = ", ".join(one for one in people if one not in self.people and one != self.NOBODY)
        return format_html(
            '<li><input type="hidden" name="{name}" value="{mark}">{picker}'
            '<noscript><input type="text" name="{name}" value="{typed}" aria-label="Their email addresses" '
            'placeholder="Email addresses"></noscript>'
            '<label class="wb-nobody"><input type="checkbox" name="{name}" value="{nobody}"{checked}> nobody</label>'
            '<button type="button" data-move="up" aria-label="Move up" title="Move up">↑</button>'
            '<button type="button" data-move="down" aria-label="Move down" title="Move down">↓</button>'
            '<button type="button" data-remove aria-label="Remove this place" title="Remove">×</button></li>',
            name=name,
            mark=self.MARK,
            picker=super().render(name, picked, {**attrs, **ids}, renderer),
            typed=typed,
            nobody=self.NOBODY,
            checked=mark_safe(" checked") if self.NOBODY in people else "",
        )


class PeopleInOrderField(forms.Field):
    """Places in an order, each with one or more people, or with nobody on purpose. Somebody may stand twice.

    The value is a list of lists of rows. `field` is the foreign key that points to them. They are picked, or typed
    by email address where the browser runs no script. `initial` is a list of lists of keys.
    """

    def __init__(self, field, **options):
        super().__init__(widget=_Places(field, admin.site), required=False, **options)
        self.picks, self.queryset = field, field.remote_field.model._base_manager.all()

    @property
    def queryset(self):
        """Who may be chosen; the page narrows it. Who stands there already may stay."""
        return self._queryset

    @queryset.setter
    def queryset(self, queryset):
        self._queryset = queryset
        self.widget.choices = forms.models.ModelChoiceIterator(forms.ModelChoiceField(queryset))

    def __deepcopy__(self, memo):
        copied = super().__deepcopy__(memo)
        copied.widget.choices = self.widget.choices
        return copied

    def prepare_value(self, value):
        flat = not value or isinstance(value[0], str)
        return value if flat else self.widget.flat(value)

    def clean(self, value):
        places = [self._split(people) for people in self.widget.places(value)]
        if len(places) > MOST_PLACES:
            raise ValidationError(f"These are too many places. Use at most {MOST_PLACES}.")
        named = {one for people in places for one in people} - {_Places.NOBODY}
        rows = self._found(named)
        if unknown := sorted(named - set(rows)):
            raise ValidationError(f"Nobody here is “{unknown[0][:80]}”. Choose the people from the list.")
        found = []
        for people in places:
            if _Places.NOBODY in people and len(people) > 1:
                raise ValidationError("A place is marked “nobody” and has people. Choose one of the two.")
            found.append(list(dict.fromkeys(rows[one] for one in people if one != _Places.NOBODY)))
        return found

    def _split(self, people):
        return [word.casefold() for one in people for word in re.split(r"[\s,;]+", one) if word]

    def _found(self, named):
        """The rows by what names them: a key, or the name with which a person signs in."""
        keys = {one for one in named if _is_key(one)}
        rows = {str(row.pk): row for row in getattr(self.widget, "known", ())}
        if missing := keys - set(rows):
            rows |= {str(row.pk): row for row in self.queryset.filter(pk__in=missing)}
        field = self.queryset.model.USERNAME_FIELD
        if typed := {one for one in named - keys if "\0" not in one}:
            found = self.queryset.annotate(in_lower_case=Lower(field)).filter(in_lower_case__in=typed)
            rows |= {row.in_lower_case: row for row in found}
        return rows

    def has_changed(self, initial, data):
        return self.widget.places(self.prepare_value(initial)) != self.widget.places(data)
