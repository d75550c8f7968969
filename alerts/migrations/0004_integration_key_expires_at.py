from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0003_signing_secrets_encrypted")]

    operations = [
        migrations.AddField(
            model_name="integration",
            name="key_expires_at",
            field=models.DateTimeField(
                blank=True,
                help_text="From then on no key of it works and what it sends is refused. Empty: it works for ever.",
                null=True,
                verbose_name="key expires at",
            ),
        ),
    ]
