"""A web server in a thread of its own, on a free port of 127.0.0.1: what the fakes of outside services are made of."""

import asyncio
import contextlib
import threading

from aiohttp import web


class Server:
    """Serves `routes(app)` until `stop()`. `port=0` takes a free one; `url(path)` says where."""

    tls = None  # an ssl.SSLContext makes it https

    def __init__(self, *, port=0):
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError(f"{type(self).__name__} did not start.")

    def routes(self, app):
        """Add the routes to the aiohttp application."""
        raise NotImplementedError

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
        app = web.Application(client_max_size=2**23)
        self.routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls).start()
        self.port = self._runner.addresses[0][1]
        self._ready.set()

    async def _stop(self):
        await self._runner.cleanup()
        answering = asyncio.all_tasks() - {asyncio.current_task()}
        for task in answering:  # slow answers that nobody waits for any more
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


@contextlib.contextmanager
def running(server):
    """Stop a server at the end of a block."""
    try:
        yield server
    finally:
        server.stop()
