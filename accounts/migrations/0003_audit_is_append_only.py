"""The audit is what happened: the database refuses to change or delete an entry, but for retention and erasure."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION accounts_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Said by accounts/audit.py for the length of one transaction, and by nobody else.
    IF TG_OP = 'DELETE' AND current_setting('watchbill.audit_retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    -- Said by accounts/privacy.py in the same way: who is erased gets a pseudonym. Everything else stays as it was.
    IF TG_OP = 'UPDATE' AND current_setting('watchbill.erasing', true) = 'on'
        AND to_jsonb(NEW) - '{actor_name,object_name,changes,text}'::text[]
            = to_jsonb(OLD) - '{actor_name,object_name,changes,text}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The audit is append-only: entry % cannot be changed or deleted.', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_refuse_audit_change();
"""

BACKWARD = """
DROP TRIGGER audit_is_append_only ON accounts_auditentry;
DROP FUNCTION accounts_refuse_audit_change();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_access")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
