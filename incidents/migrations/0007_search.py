"""The words of incidents can be searched. The index is built beside the work that goes on; it may take minutes."""

import django.contrib.postgres.search
import django.db.models.functions.text
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


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
    ]
