"""Figures of one incident and of many: time to acknowledge, time to resolve, target met."""

import datetime as dt

from django.db.models import Avg, Count, F, Q

from incidents import states
from incidents.priorities import target_seconds


def span(duration):
    """A duration in words: 2 m 15 s."""
    seconds = int(duration.total_seconds())
    hours, minutes, seconds = seconds // 3600, seconds % 3600 // 60, seconds % 60
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m {seconds} s" if minutes else f"{seconds} s"


def answer_text(incident):
    """How fast it was answered: “after 2 m 15 s, within target”."""
    took = incident.acknowledged_at - incident.triggered_at
    target = dt.timedelta(seconds=target_seconds(incident.priority))
    verdict = "within target" if took <= target else f"target of {span(target)} missed"
    return f"after {span(took)}, {verdict}"


def of(incident, *, now):
    """The figures of one incident, in seconds; None where it has not happened yet."""
    target = target_seconds(incident.priority)
    answered = incident.acknowledged_at or incident.resolved_at
    waited = ((answered or now) - incident.triggered_at).total_seconds()
    return {
        "time_to_acknowledge_seconds": _seconds(incident.triggered_at, incident.acknowledged_at),
        "time_to_resolve_seconds": _seconds(incident.triggered_at, incident.resolved_at),
        "target_seconds": target,
        "target_met": waited <= target if answered or waited > target else None,
        "response_seconds": _seconds(incident.triggered_at, answered),
        "is_escalated": is_escalated(incident),
        "escalation_level": incident.escalation_level,
        "escalation_round": incident.escalation_round,
    }


def is_escalated(incident):
    """Whether more than the first level was called."""
    first = min((one["number"] for one in incident.policy.get("levels", ())), default=0)
    return incident.escalation_round > 0 or incident.escalation_level > first


def answers(incidents, *, now):
    """How fast incidents were answered: mean response, share within target, share that escalated; None without any.

    The time to the first answer counts, an acknowledgement or a resolution. One that nobody answered counts as missed
    once its target has passed; before, it counts for nothing.
    """
    responses, verdicts, escalated = [], [], []
    for incident in incidents.only(
        "priority", "triggered_at", "acknowledged_at", "resolved_at", "policy", "escalation_round", "escalation_level"
    ).iterator(2000):
        one = of(incident, now=now)
        if one["response_seconds"] is not None:
            responses.append(one["response_seconds"])
        if one["target_met"] is not None:
            verdicts.append(one["target_met"])
        escalated.append(one["is_escalated"])
    return {
        "average_response_time_seconds": _mean(responses),
        "sla_compliance_rate": _mean(verdicts),
        "escalation_rate": _mean(escalated),
    }


def _mean(values):
    return sum(values) / len(values) if values else None


def _seconds(start, end):
    return (end - start).total_seconds() if end else None


def answered(which=None):
    """The aggregates of which `said` makes MTTA, MTTR and target compliance; `which` is a condition on the rows."""
    which = which if which is not None else Q(pk__isnull=False)
    met = Q()
    for priority in ("P1", "P2", "P3", "P4", "P5"):
        limit = dt.timedelta(seconds=target_seconds(priority))
        met |= Q(priority=priority, acknowledged_at__lte=F("triggered_at") + limit)
    return {
        "mtta": Avg(F("acknowledged_at") - F("triggered_at"), filter=which),
        "mttr": Avg(F("resolved_at") - F("triggered_at"), filter=which),
        "acknowledged": Count("pk", filter=which & Q(acknowledged_at__isnull=False)),
        "within": Count("pk", filter=which & met),
    }


def said(figures):
    """MTTA, MTTR and target compliance, of the results of `answered`."""
    return {
        "mtta_seconds": figures["mtta"].total_seconds() if figures["mtta"] else None,
        "mttr_seconds": figures["mttr"].total_seconds() if figures["mttr"] else None,
        "acknowledged": figures["acknowledged"],
        "acknowledged_within_target": figures["within"],
        "target_compliance": figures["within"] / figures["acknowledged"] if figures["acknowledged"] else None,
    }


def summary(incidents):
    """MTTA, MTTR, counts by status and severity, and target compliance of a queryset."""
    figures = incidents.aggregate(total=Count("pk"), open=Count("pk", filter=Q(status__in=states.OPEN)), **answered())
    return {
        "total": figures["total"],
        "open": figures["open"],
        "by_status": dict(incidents.order_by().values_list("status").annotate(Count("pk"))),
        "by_severity": dict(incidents.order_by().values_list("severity").annotate(Count("pk"))),
        **said(figures),
    }
