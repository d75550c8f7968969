from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_addresses_encrypted")]

    operations = [
        migrations.AddConstraint(
            model_name="contactmethod",
            constraint=models.UniqueConstraint(
                fields=("user", "channel", "address_key"),
                name="one_contact_method_per_address",
                violation_error_message="This person has this address on this channel already.",
            ),
        ),
    ]
