"""A load generator that costs little: raw HTTP/1.1 over kept-alive connections, requests built beforehand."""

import asyncio
import time


def request(path, body, host="127.0.0.1"):
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def post_all(port, requests, *, connections=32):
    """Send all requests over so many connections. Returns (seconds, [(status, sent at, answered at)]) in order."""
    queue = list(enumerate(requests))[::-1]
    results = [None] * len(requests)

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while queue:
            number, data = queue.pop()
            sent = time.time()
            writer.write(data)
            status = await _answer(reader)
            results[number] = (status, sent, time.time())
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(min(connections, len(requests)))))
    return time.monotonic() - began, results


async def _answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    place = lower.find(b"content-length:")
    if place >= 0:
        await reader.readexactly(int(lower[place + 15 : lower.index(b"\r\n", place)]))
    else:  # chunked
        while (size := int((await reader.readline()).strip(), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(head[9:12])


class Sink:
    """A webhook receiver: notes when each page arrived, by its title."""

    def __init__(self):
        self.arrived = {}
        self.count = 0
        self._server = None

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                place = head.index(b"content-length:")
                body = await reader.readexactly(int(head[place + 15 : head.index(b"\r\n", place)]))
                self.count += 1
                start = body.find(b"bench-")
                if start >= 0:
                    name = body[start : body.index(b" ", start)].decode()
                    self.arrived.setdefault(name, time.time())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def wait_for(self, names, seconds):
        """Wait until all of these pages arrived or the time is up; returns those that did not."""
        deadline = time.monotonic() + seconds
        names = set(names)
        while (missing := names - self.arrived.keys()) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return missing

    def stop(self):
        self._server.close()
