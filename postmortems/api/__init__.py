"""The REST addresses of postmortems: the whole, its parts, who reads it, and what is to be done."""

from postmortems.api.items import ActionItemViewSet, ItemsOfPostmortemViewSet
from postmortems.api.postmortems import PostmortemViewSet
from postmortems.api.readers import CommentViewSet, ReviewViewSet, ShareLinkViewSet
from postmortems.api.texts import FactorViewSet, MomentViewSet, SectionViewSet

__all__ = [
    "ActionItemViewSet",
    "CommentViewSet",
    "FactorViewSet",
    "ItemsOfPostmortemViewSet",
    "MomentViewSet",
    "PostmortemViewSet",
    "ReviewViewSet",
    "SectionViewSet",
    "ShareLinkViewSet",
]
