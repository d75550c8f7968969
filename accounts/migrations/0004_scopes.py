"""A key's one scope becomes a list of scopes. The next migration takes the old column away."""

from django.db import migrations

SCOPES = {"read": ["*:read"], "alerts": ["alerts:write"], "write": ["*:write"]}


def forwards(apps, schema_editor):
    keys = apps.get_model("accounts", "ApiKey").objects
    for scope, scopes in SCOPES.items():
        keys.filter(scope=scope, scopes=[]).update(scopes=scopes)


def backwards(apps, schema_editor):
    """The old words are coarser. A key gets the one that lets it do most of what it does, and never writes more."""
    keys = apps.get_model("accounts", "ApiKey").objects
    keys.update(scope="read")
    keys.filter(scopes__contains=["alerts:write"]).update(scope="alerts")
    keys.filter(scopes__contains=["*:write"]).update(scope="write")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_audit_is_append_only"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
