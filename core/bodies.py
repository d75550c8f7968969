"""How much one request may send: an ASGI application in front of Django, which would take any body to disk first."""

from django.conf import settings

from core import headers

TEXT = (
    "The request is larger than {} bytes, so it was not read. Send less at a time. An admin can raise the limit "
    "with the setting MAX_BODY_BYTES.\n"
)


class _TooLarge(Exception):
    """More came than may come."""


class Bodies:
    """Refuses a body that is too large with 413, whatever its Content-Length says."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = settings.MAX_BODY_BYTES
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
            await _refuse(limit, send)
            return
        size, has_begun = 0, False

        async def receive_counted():
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise _TooLarge
            return message

        async def send_noted(message):
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive_counted, send_noted)
        except _TooLarge:
            if not has_begun:
                await _refuse(limit, send)


async def _refuse(limit, send):
    text = TEXT.format(limit).encode()
    kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
    # The rest of the body is still on its way, and nobody reads it.
    shown = [*headers.plain(), *kind, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": shown})
    await send({"type": "http.response.body", "body": text})
