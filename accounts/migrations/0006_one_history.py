"""What the admin wrote down in a log of its own moves into the audit, so that there is one history."""

import json

from django.db import migrations

VERBS = {1: "created", 2: "changed", 3: "deleted"}
AT_ONCE = 1000


def _said(message):
    """The names of fields in what Django had written down, or the text as it is."""
    try:
        parts = json.loads(message or "[]")
        return ", ".join(name for part in parts for said in part.values() for name in said.get("fields", ()))
    except (ValueError, AttributeError, TypeError):
        return message


def move(apps, schema_editor):
    Entry = apps.get_model("accounts", "AuditEntry")
    Old = apps.get_model("admin", "LogEntry")
    while rows := list(Old.objects.select_related("content_type").order_by("pk")[:AT_ONCE]):
        Entry.objects.bulk_create(
            Entry(
                at=row.action_time,
                actor_id=row.user_id,
                verb=VERBS.get(row.action_flag, "changed"),
                kind=f"{row.content_type.app_label}.{row.content_type.model}" if row.content_type_id else "",
                object_id=(row.object_id or "")[:100],
                object_name=row.object_repr[:300],
                text=_said(row.change_message)[:500],
                via="admin",
            )
            for row in rows
        )
        Old.objects.filter(pk__lte=rows[-1].pk).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_apikey_scope_removed"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    # Back: entries stay where they are, because the audit gives nothing away.
    operations = [migrations.RunPython(move, migrations.RunPython.noop)]
