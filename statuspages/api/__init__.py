"""The REST addresses of status pages: the pages themselves, what is posted on them, and who is told or may look."""

from statuspages.api.pages import ComponentViewSet, GroupViewSet, StatusPageViewSet
from statuspages.api.posts import PostViewSet, SeriesViewSet, TemplateViewSet
from statuspages.api.readers import PartnerViewSet, SubscriberViewSet

__all__ = [
    "ComponentViewSet",
    "GroupViewSet",
    "PartnerViewSet",
    "PostViewSet",
    "SeriesViewSet",
    "StatusPageViewSet",
    "SubscriberViewSet",
    "TemplateViewSet",
]
