"""A web server on a free port of 127.0.0.1 that keeps what it got and answers as it is told."""

import asyncio
import contextlib
import dataclasses
import threading
import time

from aiohttp import web

from tests.fakes.server import Server, running


@dataclasses.dataclass
class Request:
    path: str
    headers: dict
    body: bytes
    at: float


class Sink(Server):
    """Answers 200, or what the path asks for: /410, /429?after=7, /500, /301, /slow?seconds=2, /long?bytes=100000.

    /reset closes the connection without an answer, /slowbody?seconds=2 answers at once and drips the body, and /stall
    waits until `go_on` is set: until then the sender does not know how it went.
    """

    def __init__(self):
        self.requests = []
        self.go_on = threading.Event()
        super().__init__()

    def routes(self, app):
        app.router.add_route("*", "/{path:.*}", self._answer)

    async def _answer(self, request):
        body = await request.read()
        self.requests.append(Request(request.path_qs, dict(request.headers), body, time.time()))
        what = request.match_info["path"].split("/")[0]
        if what == "slow":
            await asyncio.sleep(float(request.query.get("seconds", "2")))
        if what == "stall":
            while not self.go_on.is_set():  # noqa: ASYNC110 - it is set by another thread
                await asyncio.sleep(0.02)
        if what == "reset":
            request.transport.abort()
            return web.Response()
        if what == "slowbody":
            return await self._drip(request, float(request.query.get("seconds", "2")))
        if what == "long":
            return web.Response(body=b"x" * int(request.query["bytes"]))
        headers = {}
        if "after" in request.query:
            headers["Retry-After"] = request.query["after"]
        if what.isdigit():
            if what.startswith("3"):
                headers["Location"] = "/elsewhere"
            return web.Response(status=int(what), headers=headers, text="as you wish")
        return web.json_response({"ok": True}, headers={"Set-Cookie": "seen=1"})

    async def _drip(self, request, seconds):
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        until = time.monotonic() + seconds
        with contextlib.suppress(ConnectionResetError):  # the reader has had enough
            while time.monotonic() < until:
                await answer.write(b"x")
                await asyncio.sleep(0.1)
        return answer


def sink():
    """Run a sink for the length of a block."""
    return running(Sink())
