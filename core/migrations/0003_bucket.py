from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0002_idempotency_key"),
    ]

    operations = [
        migrations.CreateModel(
            name="Bucket",
            fields=[
                (
                    "key",
                    models.CharField(
                        help_text="The limit, and whom it is counted for.",
                        max_length=200,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("full_at", models.FloatField(help_text="Seconds since 1970.")),
            ],
            options={
                "verbose_name": "bucket",
            },
        ),
        # A bucket may be lost, and half of the page stays free so that a change moves no index.
        migrations.RunSQL(
            "ALTER TABLE core_bucket SET UNLOGGED; ALTER TABLE core_bucket SET (fillfactor = 50);",
            migrations.RunSQL.noop,
        ),
    ]
