"""Grafana OnCall's addresses, `/integrations/v1/<type>/<token>/`, so that only the host and the token change."""

import functools
import re

from django.utils import timezone

from alerts import heartbeats
from alerts.compat.base import Dialect
from alerts.door import RETRY_AFTER_SECONDS, Refused
from alerts.line import UNREACHABLE
from alerts.models import sources
from alerts.sources.base import Source

_ADDRESS = re.compile(r"/integrations/v1/(?P<type>[^/]+)/(?P<key>[^/]+)(?P<beat>/heartbeat)?")
# Types with another name than our source. A type that is not known here is a webhook.
TYPES = {
    "alertmanager_v2": "alertmanager",
    "legacy_alertmanager": "alertmanager",
    "grafana_alerting": "grafana",
    "legacy_grafana_alerting": "grafana",
    "amazon_sns": "cloudwatch",
    "formatted_webhook": "oncall",
    "sentry_platform": "sentry",
    "stackdriver": "gcp",
    "webhook": "generic",
}
# What these types send, the tool that sends it decides: so the integration of the key says how it is read.
OPEN_KINDS = ("generic", "oncall")


class OnCallApi(Dialect):
    kind = "oncall"
    label = "Grafana OnCall"

    def __init__(self):
        self._sources = {kind: sources.get(kind) for kind, cls in sources.classes().items() if not cls.is_internal}
        self._any = _AnyKey()
        self._any.also_keys_of = tuple(self._sources)

    def find(self, method, path):
        if not path.startswith("/integrations/v1/"):
            return None
        match = _ADDRESS.fullmatch(path)
        if match is None:
            return None
        work = self._beat if match["beat"] else self._take
        return functools.partial(work, name=match["type"], key=match["key"])

    async def _take(self, door, request, *, name, key):
        kind = TYPES.get(name, name)
        source = self._sources.get(kind, self._sources["generic"])
        if source.kind in OPEN_KINDS:
            target = await self._target(door, request, key)
            source = self._sources.get(target.source, source)
        if _is_form(request) and b"filename=" in await request.body(source):
            raise Refused((400, {"detail": "File uploads are not allowed. Send a JSON object."}))
        status, answer, headers = await door.accept(request, source, key, "path")
        return (200, "Ok.", ()) if status < 300 else (status, answer, headers)

    async def _beat(self, door, request, *, name, key):
        if request.method not in ("GET", "HEAD", "POST", "PUT"):
            answer = {"detail": "Ping this address with GET or POST."}
            raise Refused((405, answer), [(b"allow", b"GET, HEAD, POST, PUT")])
        target = await self._target(door, request, key)
        try:
            pings = await heartbeats.ping_of_integration(door, target, "oncall", now=timezone.now())
        except UNREACHABLE:
            answer = {"detail": "The ping was not stored. Send it again in a moment."}
            raise Refused((503, answer), [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)]) from None
        if not pings:
            answer = {"detail": "This integration has no heartbeat. Make one, and choose this integration for it."}
            raise Refused((404, answer))
        return 200, "Ok.", ()

    async def _target(self, door, request, key):
        try:
            return await door.target(self._any, key, "path", request)
        except UNREACHABLE:
            raise Refused(self._any.overloaded(), [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)]) from None


class _AnyKey(Source):
    """Stands for every source where only the key counts."""


def _is_form(request):
    return request.headers.get("content-type", "").lower().startswith("multipart/")
