from django.db import connection, migrations

import core.secrets

BATCH = 500


def encrypt(apps, schema_editor):
    """Save each secret once: its field encrypts it. Twice is harmless, and one that is left plain can be read too."""
    rows = apps.get_model("alerts", "Integration").objects.order_by("pk")
    for row in rows.only("pk", "signing_secret").iterator(BATCH):
        if row.signing_secret:
            row.save(update_fields=["signing_secret"])


def decrypt(apps, schema_editor):
    table = apps.get_model("alerts", "Integration")._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, signing_secret FROM {table} WHERE signing_secret <> ''")
        for pk, stored in cursor.fetchall():
            cursor.execute(f"UPDATE {table} SET signing_secret = %s WHERE id = %s", [core.secrets.decrypt(stored), pk])


class Migration(migrations.Migration):
    dependencies = [("alerts", "0002_shaping_noise")]

    operations = [
        migrations.AlterField(
            model_name="integration",
            name="signing_secret",
            field=core.secrets.EncryptedTextField(
                blank=True, help_text="When set, every request must carry a valid HMAC signature."
            ),
        ),
        migrations.RunPython(encrypt, decrypt),
    ]
