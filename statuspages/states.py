"""The words of status pages, and how a component's state comes out of incidents. Pure: values in, values out.

The words are those of Statuspage's public API, so that its readers understand ours.
"""

import dataclasses

OPERATIONAL = "operational"
MAINTENANCE = "under_maintenance"
DEGRADED = "degraded_performance"
PARTIAL = "partial_outage"
MAJOR = "major_outage"

# From good to bad. Maintenance is announced, so it counts as less than any trouble.
COMPONENT_STATES = (
    (OPERATIONAL, "Operational"),
    (MAINTENANCE, "Under maintenance"),
    (DEGRADED, "Degraded performance"),
    (PARTIAL, "Partial outage"),
    (MAJOR, "Major outage"),
)
RANKS = {state: rank for rank, (state, _) in enumerate(COMPONENT_STATES)}
TROUBLE = (DEGRADED, PARTIAL, MAJOR)

INVESTIGATING, IDENTIFIED, MONITORING, RESOLVED = "investigating", "identified", "monitoring", "resolved"
SCHEDULED, IN_PROGRESS, VERIFYING, COMPLETED = "scheduled", "in_progress", "verifying", "completed"
INCIDENT_STAGES = (
    (INVESTIGATING, "Investigating"),
    (IDENTIFIED, "Identified"),
    (MONITORING, "Monitoring"),
    (RESOLVED, "Resolved"),
)
MAINTENANCE_STAGES = (
    (SCHEDULED, "Scheduled"),
    (IN_PROGRESS, "In progress"),
    (VERIFYING, "Verifying"),
    (COMPLETED, "Completed"),
)
STAGES = INCIDENT_STAGES + MAINTENANCE_STAGES
OVER = (RESOLVED, COMPLETED)

IMPACTS = (("none", "None"), ("minor", "Minor"), ("major", "Major"), ("critical", "Critical"))
# Statuspage's indicator for the page as a whole, by the worst state of its components.
INDICATORS = {OPERATIONAL: "none", MAINTENANCE: "maintenance", DEGRADED: "minor", PARTIAL: "major", MAJOR: "critical"}


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a page makes of incidents: `{severity: state}`, and what trouble of a needed service counts for.

    `needs` is "same" (as if it were the service's own), "less" (one step better, at least degraded) or "nothing".
    """

    by_severity: dict
    needs: str = "less"


def worst(states):
    """The worst of these states; operational when there are none."""
    return max(states, key=RANKS.get, default=OPERATIONAL)


def milder(state):
    """One step better, but still trouble: what a broken dependency does to what needs it."""
    return {MAJOR: PARTIAL, PARTIAL: DEGRADED}.get(state, state)


def of_service(own, needed, rules):
    """The state of one service from the severities of its open incidents and of those of what it needs."""
    found = [rules.by_severity.get(severity, OPERATIONAL) for severity in own]
    if rules.needs != "nothing":
        others = [rules.by_severity.get(severity, OPERATIONAL) for severity in needed]
        found += others if rules.needs == "same" else [milder(state) for state in others]
    return worst(found)


def of_component(services, *, combines="worst", posted=(), manual=None):
    """The state of a component.

    `services` are the states of its services, `posted` those that open posts give it, `manual` that which a person set
    and which is not over: it wins. `combines` is "worst", or "all": a major outage only when every service has one.
    """
    if manual is not None:
        return manual
    found = worst(services)
    if combines == "all" and found == MAJOR and any(state != MAJOR for state in services):
        found = PARTIAL
    return worst([found, *posted])
