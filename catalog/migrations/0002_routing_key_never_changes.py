"""A routing key stands in other people's configuration: the database refuses to change it."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION catalog_refuse_routing_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The routing key of service % never changes. Make a new service instead.', OLD.name
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER routing_key_never_changes BEFORE UPDATE OF routing_key ON catalog_service
    FOR EACH ROW WHEN (OLD.routing_key IS DISTINCT FROM NEW.routing_key)
    EXECUTE FUNCTION catalog_refuse_routing_key_change();
"""

BACKWARD = """
DROP TRIGGER routing_key_never_changes ON catalog_service;
DROP FUNCTION catalog_refuse_routing_key_change();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
