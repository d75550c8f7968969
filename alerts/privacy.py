"""What is stored here about a person: what they made quiet, and what sources wrote about them."""

from accounts.privacy import erases, exports, rows
from alerts.models import Alert, ChangeEvent, MaintenanceWindow, Silence


@exports("silences", "alerts.Silence.owner", "alerts.MaintenanceWindow.owner")
def _quiet(person):
    return {
        "silences": rows(Silence.objects.filter(owner=person), "condition", "reason"),
        "maintenance_windows": rows(MaintenanceWindow.objects.filter(owner=person), "name", "reason"),
    }


@erases
def _erase(person, traces, now):
    traces.replace_in(Alert, "title", "description", "labels", "links", "held_why", "resolved_why")
    traces.replace_in(ChangeEvent, "title", "description", "labels", "links")
    traces.replace_in(Silence, "reason", "made_by")
    traces.replace_in(MaintenanceWindow, "reason")
