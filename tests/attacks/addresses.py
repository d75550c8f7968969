"""Every address of the site with what stands in it, and a picture of the database to compare with."""

import hashlib
import re

from django.apps import apps
from django.urls import get_resolver
from django.urls.resolvers import RoutePattern, URLResolver
from rest_framework.views import APIView

PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
NOBODYS = "00000000-0000-4000-8000-000000000001"
# What stands in addresses of one kind only.
USUAL = {"path": "history", "key": "A" * 43, "update": NOBODYS}
# What may change by looking: when somebody was here, how much of a limit is left, who tried what.
BOOKKEEPING = {
    "sessions.Session",
    "usersessions.UserSession",
    "axes.AccessAttempt",
    "axes.AccessLog",
    "axes.AccessFailureLog",
    "accounts.AuditEntry",
    "django_q.OrmQ",
}


def walk(patterns=None, prefix=""):
    """`(route, pattern)` of every address."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        else:
            yield route, pattern


def pages():
    """`(route, pattern)` of every address that is neither of the API nor of the admin."""
    for route, pattern in walk():
        if isinstance(pattern.pattern, RoutePattern) and not route.startswith(("admin/", "api/")):
            yield route, pattern


def is_api(pattern):
    kind = getattr(pattern.callback, "cls", None)
    return isinstance(kind, type) and issubclass(kind, APIView)


def fill(route, values):
    """The path of a route. `values` are `{parameter: value}`; a UUID that is not among them is nobody's."""

    def value(found):
        kind, name = found.groups()
        if name in USUAL and name not in values:
            return USUAL[name]
        is_other = kind == "uuid" and not re.fullmatch(r"[0-9a-f-]{36}", str(values.get(name)))
        return NOBODYS if is_other else str(values[name])

    return "/" + PARAMETER.sub(value, route)


def picture(*besides):
    """`{model: digest of all rows}` of everything that is stored, but for bookkeeping."""
    found = {}
    for model in apps.get_models():
        label = model._meta.label
        if model._meta.managed and not model._meta.proxy and label not in BOOKKEEPING and label not in besides:
            rows = sorted(map(repr, model._base_manager.order_by().values_list()))
            found[label] = hashlib.sha256("\n".join(rows).encode("utf-8", "replace")).hexdigest()
    return found


def changed(before, after):
    """The models whose rows are not what they were."""
    return sorted(label for label, digest in after.items() if before.get(label) != digest)
