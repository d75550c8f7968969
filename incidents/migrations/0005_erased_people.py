"""The timeline stays append-only, but for the name of somebody who is erased: a pseudonym may take its place."""

from django.db import migrations

FORWARD = """
CREATE OR REPLACE FUNCTION incidents_refuse_timeline_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Said by accounts/privacy.py for the length of one transaction, and by nobody else.
    IF TG_OP = 'UPDATE' AND current_setting('watchbill.erasing', true) = 'on'
        AND to_jsonb(NEW) - '{text,data}'::text[] = to_jsonb(OLD) - '{text,data}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The timeline is append-only: entry % cannot be changed or deleted.', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""

BACKWARD = """
CREATE OR REPLACE FUNCTION incidents_refuse_timeline_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The timeline is append-only: entry % cannot be changed or deleted.', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("incidents", "0004_groups_and_snooze")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
