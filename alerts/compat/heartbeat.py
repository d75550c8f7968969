"""The address of heartbeats: any request to it is a ping, whatever it carries."""

import functools
from datetime import UTC, datetime

from alerts import heartbeats
from alerts.compat.base import Dialect
from alerts.door import RETRY_AFTER_SECONDS, Refused
from alerts.line import UNREACHABLE
from alerts.sources.base import Source

PREFIX = "/in/heartbeat"


class HeartbeatAddress(Dialect):
    kind = "heartbeat"
    label = "Heartbeats"

    def find(self, method, path):
        if path == PREFIX or path.startswith(PREFIX + "/"):
            return functools.partial(_ping, key=path[len(PREFIX) + 1 :])
        return None


async def _ping(door, request, *, key):
    if request.method not in ("GET", "HEAD", "POST", "PUT"):
        answer = {"status": "method_not_allowed", "message": "Ping this address with GET, HEAD, POST or PUT."}
        raise Refused((405, answer), [(b"allow", b"GET, HEAD, POST, PUT")])
    where = "path" if key else "header"
    try:
        ping = await heartbeats.ping_by_key(door, key or request.bearer(), request.method, now=datetime.now(UTC))
    except UNREACHABLE:
        answer = {"status": "overloaded", "message": "The ping was not stored. Send it again in a moment."}
        raise Refused((503, answer), [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)]) from None
    if ping is None:
        message = "No heartbeat has this key. Copy its address again, or issue a new key on its page."
        answer = (404 if where == "path" else 401, {"status": "unknown_key", "message": message})
        raise door.unknown_key(request, Source(), answer)
    answer = {"status": "ok", "heartbeat": ping.name}
    if not ping.is_enabled:
        answer["message"] = "This heartbeat is paused: nobody is told when it stays away."
    return 200, answer, ()
