"""What every answer tells the browser: what a page may load, who may frame it, what may be kept and passed on.

The policies of content are in the settings: one for our own pages, and one for each area that cannot be as tight. The
nonce of a request is `request.csp_nonce` (django-csp); our pages need none, because they have no inline script.
"""

import functools

from django.conf import settings
from django.middleware.gzip import GZipMiddleware
from django.utils.deprecation import MiddlewareMixin

# Whoever learns the value of one of these may do what it allows, so the address must not travel on.
SECRET_PARTS = frozenset({"token", "secret", "key", "uidb36", "uidb64"})
# Nothing here looks at a camera; what is not named keeps the browser's default, such as passkeys and the clipboard.
PERMISSIONS = ", ".join(
    f"{name}=()"
    for name in (
        "accelerometer",
        "autoplay",
        "browsing-topics",
        "camera",
        "display-capture",
        "encrypted-media",
        "geolocation",
        "gyroscope",
        "hid",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "picture-in-picture",
        "screen-wake-lock",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
)


def hsts():
    """The value of Strict-Transport-Security, or "" while people come by http."""
    return f"max-age={settings.SECURE_HSTS_SECONDS}" if settings.SECURE_HSTS_SECONDS else ""


@functools.lru_cache(maxsize=4)
def _plain(strict_transport):
    headers = {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        **({"Strict-Transport-Security": strict_transport} if strict_transport else {}),
    }
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


def plain():
    """The headers of an answer that is no page and does not come from Django, as ASGI wants them."""
    return _plain(hsts())


class Compressed(GZipMiddleware):
    """Compress pages. Programs that ask the API are nearer, and some do not expect it.

    Secrets cannot be guessed by the length: Django puts a prefix of random length in front.
    """

    def process_response(self, request, response):
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        return super().process_response(request, response) if is_page else response


class Headers(MiddlewareMixin):
    """Put the headers on each answer that does not have them. Stands behind the middleware of django-csp."""

    def process_response(self, request, response):
        for area, policy in settings.CONTENT_SECURITY_POLICY_OF_AREAS.items():
            if request.path_info.startswith(area):
                response._csp_replace = {**policy, **getattr(response, "_csp_replace", {})}
        if strict_transport := hsts():
            # Said here, because a proxy that does not pass on the scheme would make Django believe in plain http.
            response.headers.setdefault("Strict-Transport-Security", strict_transport)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if policy := _referrer_policy(request, response):
            response.headers.setdefault("Referrer-Policy", policy)
        # Static files say for themselves how long they may be kept; a page shows people and secrets.
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _referrer_policy(request, response):
    """How little a page with a credential in its address may pass on; "" for the others."""
    match = request.resolver_match
    if not (match and SECRET_PARTS & match.kwargs.keys()) and not SECRET_PARTS & request.GET.keys():
        return ""
    has_forms = response.headers.get("Content-Type", "").startswith("text/html")
    is_exempt = match and getattr(match.func, "csrf_exempt", False)
    # With no-referrer a browser sends "Origin: null" with a form, which the check of its token must refuse.
    return "strict-origin" if has_forms and not is_exempt else "no-referrer"
