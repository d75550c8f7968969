"""PagerDuty's Events API v2: checks an event as it does, and keeps the incidents that come of them."""

import json

from aiohttp import web

from tests.fakes.server import Server

KEY = "4f7c2b9e1d8a4c03b65e90fa7d21c3e8"
ACTIONS, SEVERITIES = ("trigger", "acknowledge", "resolve"), ("critical", "warning", "error", "info")
MOST_BYTES = 512_000


class FakePagerDuty(Server):
    """`events` are those taken, `incidents` what stands: {dedup key: status}. `answers` are (status, headers) to give
    next instead of taking an event."""

    def __init__(self, keys=(KEY,), *, port=0):
        self.keys = set(keys)
        self.events, self.incidents, self.answers, self.sizes = [], {}, [], []
        super().__init__(port=port)

    def routes(self, app):
        app.router.add_post("/v2/enqueue", self._enqueue)

    async def _enqueue(self, request):
        body = await request.read()
        self.sizes.append(len(body))
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text="as you wish")
        if len(body) > MOST_BYTES:
            return web.Response(status=413)
        event = json.loads(body)
        if errors := self._errors(event):
            answer = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return web.json_response(answer, status=400)
        key, action = event.get("dedup_key") or f"made-{len(self.events)}", event["event_action"]
        self.events.append(event)
        # An acknowledge or resolve of what does not stand is taken, and does nothing.
        if action == "trigger":
            self.incidents[key] = "triggered" if self.incidents.get(key) != "acknowledged" else "acknowledged"
        elif self.incidents.get(key) not in (None, "resolved"):
            self.incidents[key] = f"{action}d"
        answer = {"status": "success", "message": "Event processed", "dedup_key": key}
        return web.json_response(answer, status=202)

    def _errors(self, event):
        errors = []
        if event.get("routing_key") not in self.keys:
            errors.append("'routing_key' is invalid")
        if event.get("event_action") not in ACTIONS:
            errors.append("'event_action' is missing or invalid")
        if len(event.get("dedup_key", "")) > 255:
            errors.append("Length of 'dedup_key' is incorrect (should be less than or equal to 255)")
        if event.get("event_action") != "trigger":
            return errors if event.get("dedup_key") else [*errors, "'dedup_key' is missing or blank"]
        payload = event.get("payload") or {}
        for name, most in (("summary", 1024), ("source", 1024)):
            if not 1 <= len(payload.get(name, "")) <= most:
                errors.append(f"'payload.{name}' is missing, blank or too long")
        if payload.get("severity") not in SEVERITIES:
            errors.append(f"'payload.severity' is invalid (must be one of the following: {SEVERITIES})")
        if not isinstance(payload.get("custom_details", {}), dict):
            errors.append("'payload.custom_details' is invalid")
        for link in event.get("links", []):
            if not link.get("href"):
                errors.append("'links.href' is missing or blank")
        return errors
