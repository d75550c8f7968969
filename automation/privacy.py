"""What is stored here about a person: what they said to proposals of machines."""

from accounts.privacy import erases, exports, rows
from automation.models import Hypothesis, RecommendedAction


@exports(
    "proposals",
    "automation.Hypothesis.proposed_by",
    "automation.Hypothesis.reviewed_by",
    "automation.RecommendedAction.proposed_by",
    "automation.RecommendedAction.reviewed_by",
)
def _proposals(person):
    names = ("uuid", "incident_id", "source", "text", "verdict", "reviewed_at", "feedback")
    kinds = {"hypotheses": Hypothesis, "actions": RecommendedAction}
    reviewed = {name: rows(model.objects.filter(reviewed_by=person), *names) for name, model in kinds.items()}
    proposed = {name: rows(model.objects.filter(proposed_by=person), *names) for name, model in kinds.items()}
    return {"reviewed": reviewed, "proposed": proposed}


@erases
def _erase(person, traces, now):
    traces.replace_in(Hypothesis, "text", "evidence", "feedback")
    traces.replace_in(RecommendedAction, "text", "evidence", "feedback")
