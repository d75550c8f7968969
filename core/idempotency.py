"""`Idempotency-Key`: a POST that is sent twice acts once, and both get the same answer.

The key, what the request does, and its answer are written in one transaction. So a process that dies leaves either all
of them or nothing, and no key is stuck "in flight". A refused request changes nothing and its key is free again.
"""

import datetime as dt
import functools
import hashlib
import json

from django.db import connection, transaction
from rest_framework.response import Response

from core.errors import DomainError
from core.models import IdempotencyKey

HEADER = "Idempotency-Key"
KEPT = dt.timedelta(hours=24)
KEY_LIMIT = 255


class BadKey(DomainError):
    code = "bad_idempotency_key"


class InFlight(DomainError):
    status = 409
    code = "request_in_progress"


class OtherRequest(DomainError):
    status = 422
    code = "idempotency_key_reused"


class Idempotent:
    """For API views: every POST takes an `Idempotency-Key`."""

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        key = request.headers.get(HEADER)
        if key is not None and request.method == "POST":
            handler = getattr(self, "post", self.http_method_not_allowed)
            self.post = functools.partial(_once, handler, _checked(key))


def _checked(key):
    key = key.strip()
    if not (0 < len(key) <= KEY_LIMIT and key.isascii() and key.isprintable()):
        raise BadKey(f"Give {HEADER} 1 to {KEY_LIMIT} printable ASCII characters, for example a new UUID.")
    return key


@transaction.atomic
def _once(handler, key, request, *args, **kwargs):
    names = {"principal": str(request.user.pk), "route": request.path.rstrip("/")[:255], "key": key}
    request_hash = hashlib.sha256(json.dumps(request.data, sort_keys=True).encode()).hexdigest()
    if not _lock(names):
        raise InFlight("A request with this Idempotency-Key is still under way. Ask again in a second.")
    known = IdempotencyKey.objects.filter(**names).first()
    if known is None:
        response = handler(request, *args, **kwargs)
        IdempotencyKey.objects.create(
            **names, request_hash=request_hash, status=response.status_code, response=response.data
        )
        return response
    if known.request_hash != request_hash:
        raise OtherRequest("This Idempotency-Key was used with another body. Use a new key for a new request.")
    return Response(known.response, status=known.status, headers={"Idempotency-Replayed": "true"})


def _lock(names):
    """Hold this key until the transaction ends; False when another request holds it."""
    text = json.dumps(names, sort_keys=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [text])
        return cursor.fetchone()[0]


def forget_old_keys(*, now):
    """Delete the keys whose answers need no longer be repeated."""
    IdempotencyKey.objects.filter(created_at__lt=now - KEPT).delete()
