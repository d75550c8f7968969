"""The addresses under /api/v1. Each works with and without a slash at the end, and none redirects."""

from django.urls import re_path
from django.urls.resolvers import RegexPattern
from rest_framework.exceptions import NotFound
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from accounts.api import TeamViewSet, UserViewSet
from accounts.audit_api import AuditViewSet
from accounts.key_api import ApiKeyViewSet
from alerts.api import (
    AlertViewSet,
    BesideViewSet,
    ChangeEventViewSet,
    HeartbeatViewSet,
    InhibitionRuleViewSet,
    IntegrationViewSet,
    MaintenanceWindowViewSet,
    RuleViewSet,
    SilenceViewSet,
)
from automation.api import HypothesisViewSet, RecommendedActionViewSet
from catalog.api import CurrentOnCall, DependencyViewSet, LinkViewSet, Notify, OnCallViewSet, ServiceViewSet
from core.rest import NUMBER, SLUG
from incidents.api import Escalate, IncidentViewSet, NotificationViewSet
from incidents.list_api import BulkViewSet, SavedViewViewSet
from oncall.api import (
    AvailabilityViewSet,
    CalendarFeedViewSet,
    CalendarImportViewSet,
    FixedShiftViewSet,
    HolidayViewSet,
    OverrideViewSet,
    PolicyViewSet,
    ScheduleViewSet,
    SwapViewSet,
    TimeOffViewSet,
)
from postmortems.api import (
    ActionItemViewSet,
    CommentViewSet,
    FactorViewSet,
    ItemsOfPostmortemViewSet,
    MomentViewSet,
    PostmortemViewSet,
    ReviewViewSet,
    SectionViewSet,
    ShareLinkViewSet,
)
from statuspages.api import (
    ComponentViewSet,
    GroupViewSet,
    PartnerViewSet,
    PostViewSet,
    SeriesViewSet,
    StatusPageViewSet,
    SubscriberViewSet,
    TemplateViewSet,
)


class Unknown(APIView):
    """Whatever is not an address of ours: a problem document, not a page."""

    schema = None
    permission_classes = []

    def initial(self, request, *args, **kwargs):
        raise NotFound("There is no such address in the API. /api/docs shows those there are.")


class OptionalSlash(RegexPattern):
    def match(self, path):
        return super().match(path.removesuffix("/"))


class Router(SimpleRouter):
    """Addresses without a slash at the end, which work with one too."""

    def get_urls(self):
        urls = super().get_urls()
        for url in urls:
            url.pattern = OptionalSlash(str(url.pattern), name=url.name, is_endpoint=True)
        return urls


router = Router(trailing_slash=False)
router.register("alerts", AlertViewSet)
router.register("integrations", IntegrationViewSet)
router.register("routing-rules", RuleViewSet)
router.register("change-events", ChangeEventViewSet)
router.register("silences", SilenceViewSet)
router.register("maintenance-windows", MaintenanceWindowViewSet)
router.register("inhibition-rules", InhibitionRuleViewSet)
router.register("heartbeats", HeartbeatViewSet)
router.register("incidents/bulk", BulkViewSet, basename="incident-bulk")
router.register("incidents", IncidentViewSet)
router.register("incidents", BesideViewSet, basename="incident-beside")
router.register("saved-views", SavedViewViewSet)
router.register("hypotheses", HypothesisViewSet)
router.register("actions", RecommendedActionViewSet)
router.register("services", ServiceViewSet)
router.register(rf"services/(?P<slug>{SLUG})/links", LinkViewSet, basename="service-link")
router.register("dependencies", DependencyViewSet)
router.register("teams", TeamViewSet)
router.register("users", UserViewSet)
router.register("api-keys", ApiKeyViewSet)
router.register("audit", AuditViewSet)
router.register("schedules", ScheduleViewSet)
router.register(rf"schedules/(?P<slug>{SLUG})/overrides", OverrideViewSet, basename="override")
router.register(rf"schedules/(?P<slug>{SLUG})/swaps", SwapViewSet, basename="swap")
router.register("policies", PolicyViewSet)
router.register("on-call", OnCallViewSet, basename="on-call")
router.register("on-call", FixedShiftViewSet, basename="fixed-shift")
router.register("time-off", TimeOffViewSet)
router.register("availability", AvailabilityViewSet, basename="availability")
router.register("calendar-feeds", CalendarFeedViewSet)
router.register("calendar-imports", CalendarImportViewSet)
router.register("holidays", HolidayViewSet)
router.register("notifications", NotificationViewSet)
router.register("status-pages", StatusPageViewSet)
page = rf"status-pages/(?P<slug>{SLUG})"
router.register(f"{page}/groups", GroupViewSet, basename="status-group")
router.register(f"{page}/components", ComponentViewSet, basename="status-component")
router.register(f"{page}/posts", PostViewSet, basename="status-post")
router.register(f"{page}/series", SeriesViewSet, basename="status-series")
router.register(f"{page}/templates", TemplateViewSet, basename="status-template")
router.register(f"{page}/subscribers", SubscriberViewSet, basename="status-subscriber")
router.register("partners", PartnerViewSet)
router.register("oncall/current", CurrentOnCall, basename="oncall-current")
router.register("escalate", Escalate, basename="escalate")
router.register("notify", Notify, basename="notify")

router.register("postmortems", PostmortemViewSet)
postmortem = rf"postmortems/(?P<number>{NUMBER})"
router.register(f"{postmortem}/sections", SectionViewSet, basename="postmortem-section")
router.register(f"{postmortem}/moments", MomentViewSet, basename="postmortem-moment")
router.register(f"{postmortem}/factors", FactorViewSet, basename="postmortem-factor")
router.register(f"{postmortem}/comments", CommentViewSet, basename="postmortem-comment")
router.register(f"{postmortem}/reviews", ReviewViewSet, basename="postmortem-review")
router.register(f"{postmortem}/items", ItemsOfPostmortemViewSet, basename="postmortem-item")
router.register(f"{postmortem}/share-links", ShareLinkViewSet, basename="postmortem-link")
router.register("action-items", ActionItemViewSet)

urlpatterns = [*router.urls, re_path("", Unknown.as_view())]
