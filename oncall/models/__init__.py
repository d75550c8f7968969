from oncall.models.policies import EscalationPolicy, Level, NobodyAction, Target, TargetKind
from oncall.models.schedules import Layer, Override, Participant, Schedule

__all__ = [
    "EscalationPolicy",
    "Layer",
    "Level",
    "NobodyAction",
    "Override",
    "Participant",
    "Schedule",
    "Target",
    "TargetKind",
]
