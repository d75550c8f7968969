"""What machines propose, to look at. It is reviewed on the incident's page and by the API."""

from django.contrib import admin

from automation.models import Hypothesis, RecommendedAction
from core.admin import ReadOnlyAdmin


class ProposalAdmin(ReadOnlyAdmin):
    list_display = ("text", "incident", "source", "confidence", "verdict", "reviewed_by", "proposed_at")
    list_filter = ("verdict", "source")
    list_select_related = ("incident", "reviewed_by")
    search_fields = ("text", "source", "=incident__number")
    date_hierarchy = "proposed_at"


@admin.register(Hypothesis)
class HypothesisAdmin(ProposalAdmin):
    pass


@admin.register(RecommendedAction)
class RecommendedActionAdmin(ProposalAdmin):
    list_select_related = ("incident", "reviewed_by", "hypothesis")
