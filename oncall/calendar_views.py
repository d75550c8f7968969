"""The door of calendar programs: no login, the secret in the address is the key."""

from django.http import HttpResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from django.views.decorators.http import require_safe

from oncall import feeds

GONE = "There is no calendar at this address: it was never made, or it was revoked. Make a new one in Watchbill.\n"


@require_safe
def feed(request, secret):
    found = feeds.render(secret, now=timezone.now())
    if found is None:
        response = HttpResponse(GONE, status=404, content_type="text/plain; charset=utf-8")
    else:
        response = HttpResponse(found.content, content_type="text/calendar; charset=utf-8")
        response["Content-Disposition"] = 'inline; filename="oncall.ics"'
        modified = int(found.last_modified.timestamp())
        response["ETag"], response["Last-Modified"] = found.etag, http_date(modified)
        response = get_conditional_response(request, etag=found.etag, last_modified=modified, response=response)
    response["Cache-Control"] = "private, no-cache"  # keep it, and ask whether it is still true
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
