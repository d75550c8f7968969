"""The webhook of a Workflows flow of Microsoft Teams: takes Adaptive Cards, answers 202 and nothing else."""

import collections
import json

from aiohttp import web

from tests.fakes.server import Server, running

BODY_BYTES = 28 * 1024
ELEMENTS = {"TextBlock", "FactSet", "ColumnSet", "Container", "CodeBlock"}
COLOURS = {"Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"}


class FakeTeams(Server):
    """Posts go to any path below /workflows/. `cards` are the Adaptive Cards, `paths` where each came to."""

    def __init__(self, *, port=0):
        self.cards, self.paths, self.sizes = [], [], []
        self.answers = collections.deque()
        super().__init__(port=port)

    def routes(self, app):
        app.router.add_post("/workflows/{path:.*}", self._post)

    def next_answer(self, *, status=202, text="", headers=None, times=1):
        """The next post gets this answer and its card is not kept."""
        self.answers.extend([(status, text, headers or {})] * times)

    async def _post(self, request):
        body = await request.read()
        if self.answers:
            status, text, headers = self.answers.popleft()
            return web.Response(status=status, text=text, headers=headers)
        if len(body) > BODY_BYTES:
            return web.Response(status=413, text="Request Entity Too Large")
        if problem := problem_with(body):
            return web.Response(status=400, text=problem)
        self.cards.append(json.loads(body)["attachments"][0]["content"])
        self.paths.append(request.path_qs)
        self.sizes.append(len(body))
        return web.Response(status=202)


def problem_with(body):
    """What a flow or the Teams client would stumble over, or ""."""
    try:
        given = json.loads(body)
        (attachment,) = given["attachments"]
        card = attachment["content"]
    except (ValueError, KeyError, TypeError):
        return "The body is not a message with one attachment."
    if given["type"] != "message" or attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
        return "The attachment is not an Adaptive Card."
    if card["type"] != "AdaptiveCard" or card["version"] not in ("1.2", "1.3", "1.4", "1.5"):
        return "The card's version is not supported."
    if not card.get("fallbackText"):
        return "The card has no fallbackText."
    for one in card["body"]:
        if one["type"] not in ELEMENTS or one.get("color", "Default") not in COLOURS:
            return f"The card has an element that is not known: {one['type']}."
        if one["type"] == "TextBlock" and not one["text"]:
            return "A TextBlock is empty."
        if one["type"] == "FactSet" and not all(fact["title"] and fact["value"] for fact in one["facts"]):
            return "A fact is empty."
    actions = card.get("actions", [])
    if len(actions) > 6 or any(one["type"] != "Action.OpenUrl" or not one["url"] for one in actions):
        return "The card has too many actions, or some that do not work through a webhook."
    return ""


def teams(**more):
    """Run a Teams for the length of a block."""
    return running(FakeTeams(**more))
