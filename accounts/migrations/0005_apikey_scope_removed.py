from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_scopes"),
    ]

    operations = [migrations.RemoveField(model_name="apikey", name="scope")]
