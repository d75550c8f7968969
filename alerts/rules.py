"""Routing rules as people change them: what must hold for one, and what follows when one has changed."""

from alerts import matching, quiet
from alerts.destinations import broken_rule_key
from alerts.models import Rule
from core.zones import zone_or_none
from notifications import alarms

# What people set.
CONFIGURED = (
    "name",
    "integration",
    "position",
    "is_enabled",
    "condition",
    "days",
    "starts_at",
    "ends_at",
    "time_zone",
    "action",
    "service",
    "policy",
    "severity",
    "priority",
    "title",
    "pages_nobody",
    "goes_on",
)
# What a rule can do beside its action.
EFFECTS = ("service", "policy", "severity", "priority", "title", "pages_nobody")


def problems(rule):
    """What is wrong with a Rule that is to be saved: `{field: sentence}`, under "" what concerns all of it."""
    found = {}
    if rule.condition.strip():
        try:
            matching.parse(rule.condition)
        except matching.Wrong as error:
            found["condition"] = _sentence(error)
    try:
        matching.check_template(rule.title)
    except matching.Wrong as error:
        found["title"] = _sentence(error)
    if any(day not in range(7) for day in rule.days):
        found["days"] = "Days are numbers from 0 for Monday to 6 for Sunday."
    if (rule.starts_at is None) != (rule.ends_at is None):
        missing = "starts_at" if rule.starts_at is None else "ends_at"
        found[missing] = "Give both times, or leave both empty for the whole day."
    elif rule.starts_at is not None and rule.starts_at == rule.ends_at:
        found["ends_at"] = "Both times are the same. Leave both empty for the whole day."
    if rule.time_zone and zone_or_none(rule.time_zone) is None:
        found["time_zone"] = f"“{rule.time_zone}” is not a time zone. Choose one like Europe/Berlin."
    elif not rule.time_zone and (rule.days or rule.starts_at is not None or rule.ends_at is not None):
        found["time_zone"] = "Say in which time zone the days and times are meant, such as Europe/Berlin."
    if rule.action == Rule.Action.ROUTE and not any(getattr(rule, name) for name in EFFECTS):
        found[""] = (
            "The rule does nothing. Choose a service, a policy, a severity, a priority or a title, page nobody, "
            "or suppress or drop what matches."
        )
    return found


def _sentence(error):
    text = str(error)
    return text[0].upper() + text[1:]


def changed(rule_ids, *, now):
    """What follows when these rules were saved or are about to be deleted (a receiver sees to that), in the same
    transaction: alerts that one of them suppressed are looked at again.
    """
    for pk in rule_ids:
        quiet.recheck(f"{quiet.RULE}:{pk}", now=now)
    alarms.clear_alarms([broken_rule_key(pk) for pk in rule_ids], now=now)
