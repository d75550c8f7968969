"""A web server on a free port of 127.0.0.1 that keeps what it got and answers as it is told."""

import asyncio
import contextlib
import dataclasses
import threading
import time

from aiohttp import web


@dataclasses.dataclass
class Request:
    path: str
    headers: dict
    body: bytes
    at: float


class Sink:
    """Answers 200, or what the path asks for: /410, /429?after=7, /500, /301, /slow?seconds=2, /long?bytes=100000."""

    def __init__(self):
        self.requests = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._ready.set()

    async def _stop(self):
        await self._runner.cleanup()
        answering = asyncio.all_tasks() - {asyncio.current_task()}
        for task in answering:  # slow answers that nobody waits for any more
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)

    async def _answer(self, request):
        body = await request.read()
        self.requests.append(Request(request.path_qs, dict(request.headers), body, time.time()))
        what = request.match_info["path"].split("/")[0]
        if what == "slow":
            await asyncio.sleep(float(request.query.get("seconds", "2")))
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


@contextlib.contextmanager
def sink():
    """Run a sink for the length of a block."""
    server = Sink()
    try:
        yield server
    finally:
        server.stop()
