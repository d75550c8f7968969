"""The limits of the API: one for reading, one for changing, and a high one for what answers a page."""

import time

from rest_framework import exceptions, permissions, throttling

from core import limits


class TooManyRequests(exceptions.Throttled):
    default_detail = "Too many requests"
    default_code = "too_many_requests"
    extra_detail_singular = "Send the same again in {wait} second."
    extra_detail_plural = "Send the same again in {wait} seconds."


class ApiThrottle(throttling.BaseThrottle):
    """Counts for the key, or the person whose session it is, or else the address.

    A view with `is_paging = True` answers pages: its changes have a limit of their own, and pass while limits cannot
    be counted.
    """

    def allow_request(self, request, view):
        is_read = request.method in permissions.SAFE_METHODS
        is_paging = not is_read and getattr(view, "is_paging", False)
        limit = limits.limit("api" if is_read else "answers" if is_paging else "api_changes")
        verdict = limits.limiter().check(limit, _who(request), now=time.time(), is_paging=is_paging)
        request._request.limit_verdict = verdict  # the middleware writes its headers
        if verdict.is_allowed:
            return True
        what = "read" if is_read else "changed"
        raise TooManyRequests(
            verdict.retry_after,
            f"You {what} more than {limit.quota} times in {limit.window} seconds, which is the limit.",
        )


def _who(request):
    if getattr(request.auth, "pk", None):
        return f"key:{request.auth.pk}"
    if request.user and request.user.is_authenticated:
        return f"person:{request.user.pk}"
    return limits.address_block(limits.client_address(request))
