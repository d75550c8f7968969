"""Status pages in the admin: what they show, what is posted on them, who is told, and which partners may look."""

from statuspages.admin import pages, partners, posts, subscribers

__all__ = ["pages", "partners", "posts", "subscribers"]
