"""The words of incidents can be searched, and long lists are read in their order.

The indexes are built beside the work that goes on; it may take minutes. Those of two keys become part of longer ones.
"""

import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.text
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

OPEN = ("triggered", "acknowledged", "investigating", "remediating")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("incidents", "0006_working_together")]

    operations = [
        AddIndexConcurrently(
            model_name="incident",
            index=GinIndex(
                django.contrib.postgres.search.SearchVector(
                    "title",
                    "impact",
                    "resolution_note",
                    django.db.models.functions.text.Left("description", 4000),
                    config="simple",
                ),
                name="incident_by_words",
            ),
        ),
        *(
            AddIndexConcurrently(model_name="incident", index=models.Index(fields=[name, "-number"], name=index))
            for name, index in (
                ("service", "incident_by_service"),
                ("team", "incident_by_team"),
                ("priority", "incident_by_priority"),
                ("severity", "incident_by_severity"),
            )
        ),
        AddIndexConcurrently(
            model_name="incident",
            index=models.Index(fields=["-number"], name="incident_open", condition=models.Q(("status__in", OPEN))),
        ),
        migrations.AlterField(
            model_name="incident",
            name="service",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="incidents",
                to="catalog.service",
            ),
        ),
        migrations.AlterField(
            model_name="incident",
            name="team",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="incidents",
                to="accounts.team",
            ),
        ),
    ]
