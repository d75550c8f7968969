"""What every drop-in API has in common: it answers addresses of another product as that product would."""

import asyncio

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from alerts.door import Refused
from alerts.line import UNREACHABLE

# The database cannot be asked, by the door or by `in_thread`.
AWAY = (*UNREACHABLE, OperationalError, InterfaceError)


class Dialect:
    """The addresses of another product. A subclass is one file with a `kind`, a `label` and `find`."""

    kind = ""
    label = ""

    def find(self, method, path):
        """The coroutine function `handle(door, request)` that answers this address, or None if it is not ours.

        `path` is decoded, and the same with and without a slash at its end. `handle` returns `(status, answer,
        headers)`: the answer is None for an empty body, bytes as they are, or what becomes JSON; headers are pairs of
        bytes. It may raise `alerts.door.Refused`. Asked for every request, so it looks at the path only.
        """
        raise NotImplementedError


async def in_thread(work, *args, **kwargs):
    """What `work` returns, run with Django's ORM beside the event loop, on a connection of its own."""

    def run():
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()  # these threads come and go, and nobody else would close it

    return await asyncio.to_thread(run)


async def check_signature(source, target, request):
    """Raise Refused unless this request is signed as the integration asks. What is stored is checked by the door."""
    body = await request.body(source)
    verdict = await source.check(target.signing_secret, request.headers, body, now=timezone.now())
    if not verdict.ok:
        raise Refused(source.bad_signature(verdict.reason))
