"""What all API views share: problem JSON (RFC 9457) and cursor pages."""

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.http import Http404
from rest_framework import exceptions, pagination
from rest_framework.response import Response
from rest_framework.views import exception_handler

from core.errors import DomainError


class CursorPagination(pagination.CursorPagination):
    """Pages that neither skip nor repeat rows while new ones arrive. `?page_size=` up to 500."""

    ordering = "-pk"
    page_size_query_param = "page_size"
    max_page_size = 500


def problem(status, title, detail="", *, code="", errors=None, headers=None):
    """A problem document. `errors` is a list of {"field", "message"}."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail or title, "code": code}
    if errors:
        body["errors"] = errors
    return Response(body, status=status, content_type="application/problem+json", headers=headers)


def problem_handler(error, context):
    """Turn every error of a view into a problem document; one place for the whole API."""
    if isinstance(error, DomainError):
        return problem(error.status, "The request was refused", error.message, code=error.code)
    if isinstance(error, ValidationError):
        error = exceptions.ValidationError(getattr(error, "message_dict", None) or error.messages)
    response = exception_handler(error, context)
    if response is None:
        return None
    headers = {name: value for name, value in response.items() if name in ("WWW-Authenticate", "Retry-After", "Allow")}
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flatten(error.detail))
        detail = " ".join(f"{one['field']}: {one['message']}" if one["field"] else one["message"] for one in errors)
        return problem(400, "The request is not valid", detail, code="invalid", errors=errors, headers=headers)
    if isinstance(error, Http404):
        return problem(404, "Not found", "There is nothing here by this name.", code="not_found", headers=headers)
    if isinstance(error, PermissionDenied):
        return problem(403, "Not allowed", str(error) or "You may not do this.", code="not_allowed", headers=headers)
    code = getattr(error, "default_code", "error")
    return problem(response.status_code, str(error.default_detail), str(error.detail), code=code, headers=headers)


def _flatten(detail, field=""):
    if isinstance(detail, dict):
        for name, value in detail.items():
            is_whole = name in ("non_field_errors", NON_FIELD_ERRORS)
            yield from _flatten(value, field if is_whole else f"{field}.{name}".strip("."))
    elif isinstance(detail, list):
        for value in detail:
            yield from _flatten(value, field)
    else:
        yield {"field": field, "message": str(detail)}
