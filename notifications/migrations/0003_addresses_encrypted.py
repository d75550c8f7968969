from django.db import connection, migrations

from core import secrets

BATCH = 500


def encrypt(apps, schema_editor):
    """Save each address once: its fields encrypt it and keep its fingerprint. Twice is harmless."""
    model = apps.get_model("notifications", "ContactMethod")
    for row in model.objects.order_by("pk").iterator(BATCH):
        row.save(update_fields=["address", "address_key", "secret", "options"])


def decrypt(apps, schema_editor):
    table = apps.get_model("notifications", "ContactMethod")._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, address, secret FROM {table}")
        for pk, address, secret in cursor.fetchall():
            cursor.execute(
                f"UPDATE {table} SET address = %s, secret = %s WHERE id = %s",
                [secrets.decrypt(address), secrets.decrypt(secret), pk],
            )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_reaching_people")]

    operations = [
        migrations.RunPython(encrypt, decrypt),
        # Messages keep what may be shown only. There is no way back, and none is needed: nobody sends to it.
        migrations.RunSQL(
            "UPDATE notifications_notification "
            r"SET address = regexp_replace(address, '^(https?://)([^/@]*@)?(\[[^]]*\]|[^/:?#]+).*$', '\1\3/…') "
            "WHERE address ~ '^https?://'",
            migrations.RunSQL.noop,
        ),
    ]
