"""Readers of a status page, as a process of their own that costs little: kept-alive connections, raw HTTP/1.1.

    python -m bench.readers PORT SLUG SECONDS RATE CONNECTIONS

With a rate each connection asks at its times, whatever the answers do, and an answer counts from when it should have
been asked for: a server that stops for a moment is charged for all who would have come. With a rate of 0 each asks
again as soon as it was answered. Prints one line of JSON: answers by status, the seconds they took, and the bytes.
"""

import asyncio
import json
import sys
import time
from collections import Counter

# Of a hundred readers: people who look at the page, people who look again, programs, and sites with the badge.
MIX = ("page",) * 70 + ("again",) * 10 + ("api/v2/summary.json",) * 10 + ("badge.svg",) * 10


def request(slug, path, etag=None):
    lines = [
        f"GET /status/{slug}{path and '/'}{path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Accept: text/html",
        "Accept-Encoding: gzip, deflate, br",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ]
    if etag:
        lines.append(f"If-None-Match: {etag}")
    return "\r\n".join([*lines, "", ""]).encode()


class Reader(asyncio.Protocol):
    """One connection. `said` takes `(status, seconds, bytes)`; one request is on its way at a time."""

    def __init__(self, slug, said, number):
        self._slug, self._said = slug, said
        self._turn = number * 7  # not all the same at once
        self._buffer = b""
        self._waiting = []  # times for which a request is owed
        self._asked_at = None
        self._etag = None
        self.is_greedy = False

    def connection_made(self, transport):
        self._transport = transport

    def connection_lost(self, exc):
        if self._asked_at is not None:
            self._said(0, 0.0, 0)

    def ask(self, at):
        self._waiting.append(at)
        if self._asked_at is None:
            self._next()

    def _next(self):
        self._asked_at = self._waiting.pop(0)  # or when it should have been asked for
        kind = MIX[self._turn % len(MIX)]
        self._turn += 1
        path = kind if kind not in ("page", "again") else ""
        self._is_page = not path
        self._transport.write(request(self._slug, path, self._etag if kind == "again" else None))

    def data_received(self, data):
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        status = int(head[9:12])
        place = head.find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        size = end + 4 + length
        if len(self._buffer) < size:
            return
        if self._is_page and (place := head.find(b"etag:")) >= 0:
            self._etag = head[place + 5 :].split(b"\r\n", 1)[0].strip().decode()
        self._buffer = self._buffer[size:]
        now = time.perf_counter()
        self._said(status, now - self._asked_at, size)
        self._asked_at = None
        if self.is_greedy:
            self.ask(now)
        elif self._waiting:
            self._next()


async def read(port, slug, seconds, rate, connections):
    loop = asyncio.get_running_loop()
    statuses, took, size = Counter(), [], 0

    def said(status, seconds, got):
        nonlocal size
        statuses[status] += 1
        took.append(seconds)
        size += got

    readers = []
    for number in range(connections):
        make = lambda number=number: Reader(slug, said, number)  # noqa: E731
        _, reader = await loop.create_connection(make, "127.0.0.1", port)
        readers.append(reader)
    began = time.perf_counter()
    if rate:
        for number in range(int(rate * seconds)):
            at = began + number / rate
            if (pause := at - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            readers[number % connections].ask(at)
    else:
        for reader in readers:
            reader.is_greedy = True
            reader.ask(began)
        await asyncio.sleep(seconds)
        for reader in readers:
            reader.is_greedy = False
    await asyncio.sleep(0.5)
    lasted = seconds if rate else time.perf_counter() - began - 0.5
    return {"seconds": lasted, "statuses": dict(statuses), "took": [round(one, 6) for one in took], "bytes": size}


if __name__ == "__main__":
    port, slug, *numbers = sys.argv[1:]
    seconds, rate, connections = map(float, numbers)
    print(json.dumps(asyncio.run(read(int(port), slug, seconds, rate, int(connections)))))
