"""The webhooks of Discord: messages with embeds, posted and edited."""

import collections
import itertools

from aiohttp import web

from tests.fakes.server import Server, running


class FakeDiscord(Server):
    """Takes /api/webhooks/<id>/<token>. `messages` are dicts: id, webhook, thread_id, body, edits (older bodies)."""

    def __init__(self, *, port=0):
        self.messages, self.answers, self.calls = [], collections.deque(), []
        self.deleted = set()  # ids of webhooks
        self._numbers = itertools.count(1100000000000000001)
        super().__init__(port=port)

    def routes(self, app):
        app.router.add_post("/api/webhooks/{id}/{token}", self._post)
        app.router.add_patch("/api/webhooks/{id}/{token}/messages/{message}", self._edit)

    def next_answer(self, *, status, json=None, headers=None, times=1):
        """The next call gets this answer and does nothing."""
        self.answers.extend([(status, json if json is not None else {}, headers or {})] * times)

    async def _refusal(self, request, body):
        self.calls.append((request.method, request.path_qs, body))
        if self.answers:
            status, answer, headers = self.answers.popleft()
            return web.json_response(answer, status=status, headers=headers)
        if request.match_info["id"] in self.deleted:
            return web.json_response({"message": "Unknown Webhook", "code": 10015}, status=404)
        if problem := problem_with(body):
            return web.json_response({"message": "Invalid Form Body", "code": 50035, "errors": problem}, status=400)
        return None

    async def _post(self, request):
        body = await request.json()
        if (refusal := await self._refusal(request, body)) is not None:
            return refusal
        kept = {
            "id": str(next(self._numbers)),
            "webhook": request.match_info["id"],
            "thread_id": request.query.get("thread_id"),
            "body": body,
            "edits": [],
        }
        self.messages.append(kept)
        if request.query.get("wait") != "true":
            return web.Response(status=204)
        return web.json_response({"id": kept["id"], "type": 0, "channel_id": "1", **body})

    async def _edit(self, request):
        body = await request.json()
        if (refusal := await self._refusal(request, body)) is not None:
            return refusal
        for one in self.messages:
            if one["id"] == request.match_info["message"]:
                one["edits"].append(one["body"])
                one["body"] = body
                return web.json_response({"id": one["id"], **body})
        return web.json_response({"message": "Unknown Message", "code": 10008}, status=404)


def problem_with(body):
    """Which limit of Discord's a body breaks, or ""."""
    embeds = body.get("embeds", [])
    if len(body.get("content", "")) > 2000 or len(embeds) > 10 or not (body.get("content") or embeds):
        return "content"
    total = 0
    for embed in embeds:
        fields = embed.get("fields", [])
        texts = [
            (embed.get("title", ""), 256),
            (embed.get("description", ""), 4096),
            (embed.get("footer", {}).get("text", ""), 2048),
        ]
        for field in fields:
            if not field["name"] or not field["value"]:
                return "an empty field"
            texts += [(field["name"], 256), (field["value"], 1024)]
        if len(fields) > 25 or any(len(text) > limit for text, limit in texts):
            return "embed"
        if not isinstance(embed.get("color", 0), int) or not 0 <= embed.get("color", 0) <= 0xFFFFFF:
            return "colour"
        total += sum(len(text) for text, _ in texts)
    return "embeds" if total > 6000 else ""


def discord(**more):
    """Run a Discord for the length of a block."""
    return running(FakeDiscord(**more))
