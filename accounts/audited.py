"""What is configuration: models whose every change leaves an entry in the audit.

A model says so by its manager, `objects = audited.Rows.as_manager()`; then saving, deleting, `update`, `bulk_create`
and sets of other rows are seen, in the caller's transaction. It may say besides:

- `audit_ignores`: fields that are bookkeeping. A change of nothing else costs not even a query.
- `audit_shown`: {field: attribute} that shows a value as others may read it.
- `audit_parent`: the path to what it is a part of; its history has the entry too.

Secrets are only said to be there: what is encrypted, and what is named like one.
"""

import datetime as dt
import functools
import json
import re

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models, transaction
from django.db.models import signals

from accounts import audit
from core.secrets import EncryptedTextField, FingerprintField

SECRET = re.compile(r"password|passwd|secret|token|_hash$|_key$|^key$|credential|private", re.IGNORECASE)
MASK, MASK_CHANGED = "(secret)", "(secret, changed)"
LONGEST = 500
NEVER = {"id", "uuid", "created_at"}  # say nothing that the entry does not


# --- every way to write rows ----------------------------------------------------------------------------------------
class Rows(models.QuerySet):
    """Rows of configuration: what changes many of them at once is seen too."""

    def update(self, **values):
        names = _watched(self.model, values)
        if not names or audit.is_quiet():
            return super().update(**values)
        with transaction.atomic(using=self.db):
            before = _loaded(self.model, list(self.order_by().values_list("pk", flat=True)))
            count = super().update(**values)
            after = _loaded(self.model, list(before))
            changed = [(before[pk], row, _difference(before[pk], row, names)) for pk, row in after.items()]
            audit.write([_entry("changed", row, changes) for _, row, changes in changed if changes])
        return count

    update.alters_data = True

    def bulk_create(self, objs, **options):
        if audit.is_quiet():
            return super().bulk_create(objs, **options)
        if options.get("ignore_conflicts") or options.get("update_conflicts"):
            raise TypeError("Which rows came about would not be known, so the audit could not tell of them.")
        with transaction.atomic(using=self.db):
            rows = super().bulk_create(objs, **options)
            there = _loaded(self.model, [row.pk for row in rows])
            audit.write([_entry("created", row, _first_values(row)) for row in there.values()])
        return rows

    bulk_create.alters_data = True


def listen():
    """Hear of what is saved and deleted, for every audited model. Called once, when all models are there."""
    for model in audited_models():
        signals.pre_save.connect(_before_save, sender=model, dispatch_uid="audit")
        signals.post_save.connect(_after_save, sender=model, dispatch_uid="audit")
        signals.pre_delete.connect(_before_delete, sender=model, dispatch_uid="audit")
        for field in model._meta.local_many_to_many:
            if field.remote_field.through._meta.auto_created:
                signals.m2m_changed.connect(_set_changed, sender=field.remote_field.through, dispatch_uid="audit")


def audited_models():
    """The models that are configuration."""
    return [model for model in apps.get_models() if is_audited(model)]


def is_audited(model):
    """Whether changes of this model leave entries."""
    return issubclass(model._default_manager._queryset_class, Rows)


def _before_save(sender, instance, update_fields, **kwargs):
    names = _watched(sender, update_fields)
    if audit.is_quiet() or not names or instance.pk is None:
        return
    # A row that a fixture brings may be there already.
    if not instance._state.adding or kwargs.get("raw"):
        instance._audit_before = _loaded(sender, [instance.pk]).get(instance.pk)


def _after_save(sender, instance, created, update_fields, **kwargs):
    before = instance.__dict__.pop("_audit_before", None)
    if audit.is_quiet():
        return
    if created:
        audit.write([_entry("created", instance, _first_values(instance))])
    elif before is not None:
        after = instance
        if any(hasattr(value, "resolve_expression") for value in instance.__dict__.values()):
            after = _loaded(sender, [instance.pk])[instance.pk]  # only the database knows what came of it
        if changes := _difference(before, after, _watched(sender, update_fields)):
            audit.write([_entry("changed", after, changes)])


def _before_delete(sender, instance, **kwargs):
    if not audit.is_quiet():
        changes = {name: [value, None] for name, (_, value) in _first_values(instance).items()}
        audit.write([_entry("deleted", instance, changes)])


def _set_changed(sender, instance, action, reverse, model, pk_set, **kwargs):
    """A set of other rows: what was in it before, and after. From the other side it is the set of each row there."""
    field = next(
        one
        for one in (model if reverse else type(instance))._meta.local_many_to_many
        if one.remote_field.through is sender
    )
    step, _, what = action.partition("_")
    if audit.is_quiet() or step not in ("pre", "post"):
        return
    if not reverse:
        owners = [instance]
    elif pk_set is not None:
        owners = list(model._default_manager.filter(pk__in=pk_set))
    else:  # cleared from the other side: afterwards nobody knows which they were
        owners = list(model._default_manager.filter(**{field.name: instance})) if step == "pre" else ()
        owners = owners or instance.__dict__.pop("_audit_owners", [])
        instance._audit_owners = owners if step == "pre" else []
    kept = instance.__dict__.setdefault("_audit_sets", {})
    entries = []
    for owner in owners:
        names = sorted(str(one) for one in getattr(owner, field.name).all())
        if step == "pre":
            kept[field.name, owner.pk] = names
            continue
        before = kept.pop((field.name, owner.pk), [])
        if before != names:
            entries.append(_entry("changed", owner, {field.name: [before, names]}))
    audit.write(entries)


# --- what changed ---------------------------------------------------------------------------------------------------
def _watched(model, names=None):
    """The fields, of these or of all, that are worth an entry."""
    ignored = NEVER | {*getattr(model, "audit_ignores", ())}
    fields = [
        field
        for field in model._meta.concrete_fields
        if field.name not in ignored and not field.primary_key and not isinstance(field, FingerprintField)
    ]
    if names is not None:
        fields = [field for field in fields if field.name in names or field.attname in names]
    return [field for field in fields if not getattr(field, "auto_now", False)]


def _loaded(model, pks):
    """`{pk: row}` as they are in the database, with what they point to: names are said, not numbers."""
    near = _near(model)
    rows = model._base_manager.filter(pk__in=pks).order_by("pk")
    return {row.pk: row for row in (rows.select_related(*near) if near else rows)}


@functools.cache
def _near(model):
    """The rows that an entry names: what a row points to, and what that is a part of."""
    found = set()
    for field in model._meta.concrete_fields:
        if field.many_to_one or field.one_to_one:
            parent = getattr(field.related_model, "audit_parent", "")
            found |= {field.name, f"{field.name}__{parent}" if parent else field.name}
    return (*sorted(found | set(filter(None, [getattr(model, "audit_parent", "")]))),)


def _difference(before, after, fields):
    changes = {}
    for field in fields:
        old, new = _value(before, field), _value(after, field)
        if old == new:
            continue
        shown = [_shown(before, field), _shown(after, field)]
        if shown[0] == shown[1]:
            shown[1] = MASK_CHANGED if shown[1] == MASK else f"{shown[1]} (changed)"
        changes[field.name] = shown
    return changes


def _first_values(row):
    """What a new row says, but for what is empty."""
    shown = {field.name: _shown(row, field) for field in _watched(type(row))}
    return {name: [None, value] for name, value in shown.items() if value not in (None, "", [], {})}


def _value(row, field):
    """The value as it comes from the database, whatever was assigned."""
    value = getattr(row, field.attname)
    if isinstance(value, tuple):
        return list(value)
    try:
        return field.to_python(value) if isinstance(value, str) else value
    except ValidationError:
        return value


def _shown(row, field):
    """The value as the audit may say it, in JSON."""
    value = _value(row, field)
    if value is None:
        return None
    if shown_as := getattr(row, "audit_shown", {}).get(field.name):
        return cut(getattr(row, shown_as)) if value else ""
    if isinstance(field, EncryptedTextField) or (isinstance(value, str) and SECRET.search(field.name)):
        return MASK if value else ""
    if field.many_to_one or field.one_to_one:
        try:
            return cut(str(getattr(row, field.name)))
        except ObjectDoesNotExist:
            return f"#{value}"
    if field.flatchoices and not isinstance(value, (list, dict)):
        return cut(str(dict(field.flatchoices).get(value, value)))
    return cut(masked(value))


def masked(value):
    """A value without the secrets in it: in a dict, what is named like one."""
    if isinstance(value, dict):
        return {str(key): MASK if SECRET.search(str(key)) and one else masked(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [masked(one) for one in value]
    return value


def cut(value):
    """A value that is not longer than a person reads, as JSON can say it."""
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (dict, list)):
        text = json.dumps(value, default=str, ensure_ascii=False)
        return json.loads(json.dumps(value, default=str)) if len(text) <= 4 * LONGEST else cut(text)
    text = str(value).replace("\0", "")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _entry(verb, row, changes):
    parent = _parent(row)
    said = {"about": f"{parent._meta.label_lower}:{parent.pk}"} if parent is not None else {}
    made = audit.entry(verb, row, changes=changes, **said)
    if parent is not None and str(parent) not in made.object_name:
        made.object_name = f"{parent}: {made.object_name}"[:300]
    return made


def _parent(row):
    path = getattr(row, "audit_parent", "")
    for name in filter(None, path.split("__")):
        try:
            row = getattr(row, name)
        except ObjectDoesNotExist:
            return None
        if row is None:
            return None
    return row if path else None
