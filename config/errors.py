"""What somebody sees when a request fails outside of a view: a page with a sentence, or problem JSON below /api/."""

import logging

from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import JsonResponse
from django.shortcuts import render

logger = logging.getLogger(__name__)

TOO_BIG = "The form is larger than this site takes, so nothing was changed. Send less at a time."
REASONS = {
    DisallowedHost: "This site does not go by the name in your browser's address. Open it at its own address. If the "
    "name is meant, an admin adds it to the setting ALLOWED_HOSTS.",
    RequestDataTooBig: TOO_BIG,
    TooManyFieldsSent: TOO_BIG,
    TooManyFilesSent: TOO_BIG,
}
ANY = "The request could not be read, so nothing was changed. Go back, reload the page, and try again."
BROKE = (
    "Something broke on our side; what you sent may not have been saved. Ask what became of it before you send it "
    "again. The server's log says why."
)


def bad_request(request, exception):
    """400: the request itself is wrong."""
    sentence = next((text for kind, text in REASONS.items() if isinstance(exception, kind)), ANY)
    if isinstance(exception, DisallowedHost):
        logger.warning("A request asked for a host that is not in ALLOWED_HOSTS: %s", exception)
    if _is_api(request):
        return problem(400, "Bad request", sentence, "invalid")
    # Not with the request: a context processor would ask for the host again.
    return render(None, "400.html", {"sentence": sentence}, status=400)


def forbidden(request, exception):
    """403: somebody may not do this."""
    if _is_api(request):
        return problem(403, "Not allowed", str(exception) or "You may not do this.", "not_allowed")
    return render(request, "403.html", {"sentence": str(exception)}, status=403)


def not_found(request, exception):
    """404: there is nothing at this address."""
    if _is_api(request):
        return problem(404, "Not found", "There is nothing at this address. GET /api/schema lists all.", "not_found")
    return render(request, "404.html", status=404)


def server_error(request):
    """500: a mistake of ours, which is in the log. Asks the database for nothing, since that may be what broke."""
    if _is_api(request):
        return problem(500, "Internal server error", BROKE, "internal_error")
    return render(None, "500.html", status=500)


def problem(status, title, detail, code):
    """A problem document (RFC 9457) where Django REST framework is not there to make one."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _is_api(request):
    return request.path_info.startswith("/api/")
