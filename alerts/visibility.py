"""What private teams hide of alerts, and of messages and alarms about silences, integrations and alerts."""

import re

from django.db.models import Q, UUIDField

from accounts.visibility import hidden_rows, hushed, named_in, said_in_texts, visible
from alerts import quiet
from alerts.models import (
    Alert,
    Heartbeat,
    InboundEvent,
    InhibitionRule,
    Integration,
    MaintenanceWindow,
    Rule,
    Silence,
)
from incidents.models import Incident
from notifications.models import Notification
from notifications.visibility import alarms_about

UUID = "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$"

said_in_texts(Integration, Rule, MaintenanceWindow, InhibitionRule, Heartbeat)
alarms_about("^(?:refused|unreadable|topic|rate:integration):([0-9]{1,18})(?::|$)", Integration)
alarms_about("^rule-broken:([0-9]{1,18})$", Rule)
alarms_about("^(?:silence-failed|quiet-broken:silence):([0-9]{1,18})$", Silence)
alarms_about("^quiet-broken:maintenance:([0-9]{1,18})$", MaintenanceWindow)
alarms_about("^quiet-broken:inhibition:([0-9]{1,18})$", InhibitionRule)
alarms_about(f"^(?:expiry-failed|held-failed):{UUID}", Alert, UUIDField)
alarms_about(f"^event:{UUID}", InboundEvent, UUIDField)


@hidden_rows(Notification)
def messages_of_hidden_silences(access, user):
    """Messages to others about silences that hold for what is hidden, also those that hold for any service.

    The message names alerts, whoever's they are, so where one is hidden only a silence of one's own team is safe.
    """
    rows = visible(Silence.objects.filter(Q(service__isnull=False) | Q(integration__isnull=False)), user)
    about = named_in("topic", "^silence:([0-9]{1,18}):", rows)
    return ~Q(user=user) & Q(topic__startswith="silence:") & ~Q(about)


def reasons_hushed(user):
    """A function `reasons -> reasons` for why something was decided about an alert, without what is hidden."""
    if not user.access().hidden:
        return list
    hush = hushed(user)

    def said(reasons):
        for reason in map(str, reasons):
            text = hush(reason)
            if reason.startswith(HELD):
                yield "Held."  # why, the alert itself says as far as it may
            elif text == reason or not reason.startswith(RULE):
                yield text

    return lambda reasons: list(said(reasons))


HELD, RULE = "Held: ", "Rule “"  # how these reasons begin
UNSAID = {
    quiet.SILENCE: "A silence holds it.",
    quiet.MAINTENANCE: "Maintenance holds it.",
    quiet.INHIBITION: "Another alert holds it, which fires.",
    quiet.DEPENDENCY: "A service that it needs has an open incident.",
}
NUMBER = re.compile(r" open incident #(\d{1,18}) \(")


def hide_origins(alerts, user):
    """Take away the integrations that the person may not see: an alert may come to a service by any team's door."""
    if user.access().hidden:
        known = _seen(Integration, {alert.integration_id for alert in alerts}, user)
        for alert in alerts:
            if alert.integration_id and alert.integration_id not in known:
                alert.integration = None


def hush_holds(alerts, user):
    """Say why alerts are held without what the person may not see. Asks nothing while no team is hidden."""
    held = [alert for alert in alerts if alert.held_why]
    if not held or not user.access().hidden:
        return
    said = _holds_that_may_be_said(held, user)
    hush = hushed(user)
    for alert in held:
        kind = alert.held_by.partition(":")[0]
        if kind in UNSAID and alert.pk not in said:
            alert.held_by, alert.held_why = kind, UNSAID[kind]
        alert.held_why = hush(alert.held_why)


def _holds_that_may_be_said(held, user):
    """The keys of the alerts whose reason speaks of what the person may see."""
    by_kind = {}
    for alert in held:
        kind, _, number = alert.held_by.partition(":")
        by_kind.setdefault(kind, []).append((alert, int(number) if number.isdecimal() else 0))
    said = set()
    for kind, model in ((quiet.SILENCE, Silence), (quiet.MAINTENANCE, MaintenanceWindow)):
        if rows := by_kind.get(kind):
            seen = _seen(model, {number for _, number in rows}, user)
            said |= {alert.pk for alert, number in rows if number in seen}
    if rows := by_kind.get(quiet.DEPENDENCY):
        numbers = {alert.pk: int(found[1]) for alert, _ in rows if (found := NUMBER.search(alert.held_why))}
        seen = _seen(Incident, set(numbers.values()), user)
        said |= {pk for pk, number in numbers.items() if number in seen}
    if rows := by_kind.get(quiet.INHIBITION):
        signed = [one for _, number in rows for one in (number, -number)]
        sources = visible(Alert.objects.firing().filter(inhibits__overlap=signed), user)
        titles = set(sources.order_by().values_list("title", flat=True))
        # The sentence names the alert that holds it by its title, which may have been cut.
        said |= {alert.pk for alert, _ in rows if any(f"“{title}”"[:400] in alert.held_why for title in titles)}
    return said


def _seen(model, numbers, user):
    return set(visible(model._base_manager.filter(pk__in=numbers), user).values_list("pk", flat=True))
