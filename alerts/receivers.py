"""What the floors below report: an incident that ended takes its firing alerts with it."""

from django.db import connection
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.utils import timezone

from alerts import expiry, quiet, rules
from alerts.models import Alert, Rule
from catalog.signals import dependencies_changed
from incidents.signals import incident_changed, incidents_merged, incidents_unmerged


@receiver(incident_changed)
def end_alerts_of_resolved_incident(incident, verb, by, now, **kwargs):
    """After a resolve by hand the next event of the same key opens a new alert, and so new work."""
    if verb == "resolve":
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {Alert._meta.db_table} SET resolved_at = %s, resolved_why = %s, resolve_at = NULL "
                "WHERE incident_id = %s AND resolved_at IS NULL RETURNING inhibits",
                [now, f"its incident was resolved by {by or 'the system'}"[:200], incident.pk],
            )
            inhibits = [rule for (rules,) in cursor.fetchall() for rule in rules]
        quiet.recheck_inhibited(inhibits, now=now)
    if verb == "let_go" and incident.is_open and Alert.objects.filter(incident=incident).exists():
        expiry.resolve_burnt_out({incident.pk}, now=now)  # what went out again was all that fired
    if verb in ("resolve", "edit", "merge"):  # a service that others need has recovered, or its trouble is less severe
        quiet.after_incident_changed(incident, now=now)


@receiver(incidents_merged)
def move_alerts_of_merged_incident(source, target, **kwargs):
    """They go on in the other one. Each remembers its first incident, also when that is moved once more."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Alert._meta.db_table} SET incident_id = %s, merged_from_id = coalesce(merged_from_id, %s) "
            "WHERE incident_id = %s",
            [target.pk, source.pk, source.pk],
        )


@receiver(incidents_unmerged)
def take_alerts_back(source, target, now, **kwargs):
    """Returns how many of them fire, or None when it has none."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Alert._meta.db_table} SET incident_id = %s, merged_from_id = NULL "
            "WHERE merged_from_id = %s RETURNING resolved_at IS NULL",
            [source.pk, source.pk],
        )
        firing = [is_firing for (is_firing,) in cursor.fetchall()]
    return sum(firing) if firing else None


@receiver(dependencies_changed)
def look_at_what_dependencies_hold(service_ids, now, **kwargs):
    quiet.recheck_services(service_ids, now=now)


@receiver(pre_delete, sender=Rule)
def look_at_what_a_deleted_rule_suppressed(instance, **kwargs):
    """A rule also goes with its integration, its service or its policy: what it suppressed must not stay so."""
    rules.changed([instance.pk], now=timezone.now())
