"""Which other sites' pages may use the API from a browser: those of CORS_ALLOWED_ORIGINS, and by default none.

They send an API key themselves. Cookies are never allowed, so a page elsewhere cannot act as whoever is signed in
here. An ASGI application around the others, because alerts come in beside Django.
"""

from django.conf import settings

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
ASKED = b"authorization, content-type, idempotency-key, x-api-key"
SHOWN = b"idempotency-replayed, link, ratelimit, ratelimit-policy, retry-after"
KEPT_SECONDS = b"600"


class Cors:
    """Answers preflights of /api/ and marks the answers that a listed origin may read."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith("/api/") or not settings.CORS_ALLOWED_ORIGINS:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"")
        is_listed = origin.decode("latin-1") in settings.CORS_ALLOWED_ORIGINS
        if is_listed and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await self._preflight(origin, send)
            return

        async def send_marked(message):
            if message["type"] == "http.response.start":
                marks = [(b"vary", b"Origin")]
                if is_listed:
                    marks += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", SHOWN)]
                message = {**message, "headers": [*message.get("headers", ()), *marks]}
            await send(message)

        await self.app(scope, receive, send_marked)

    @staticmethod
    async def _preflight(origin, send):
        headers = [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", ASKED),
            (b"access-control-max-age", KEPT_SECONDS),
            (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
