"""Errors that carry a sentence for the person who reads them."""


class DomainError(Exception):
    """A request that the rules refuse; the text says what to do instead. Edges turn it into a message or a 4xx."""

    status = 400
    code = "invalid"

    def __init__(self, message, *, code=None):
        super().__init__(message)
        self.message = message
        if code:
            self.code = code


class IllegalMove(DomainError):
    """A state change that the present state does not allow (409)."""

    status = 409
    code = "illegal_state_change"


class NotAllowed(DomainError):
    """The person may not do this (403)."""

    status = 403
    code = "not_allowed"


class NotFound(DomainError):
    """The thing named does not exist (404)."""

    status = 404
    code = "not_found"


class Gone(DomainError):
    """The thing was there and can no longer be used, for example an expired link (410)."""

    status = 410
    code = "gone"


class TooMany(DomainError):
    """The same was asked for too often; the text says how long to wait (429)."""

    status = 429
    code = "too_many"


class SendError(Exception):
    """A delivery that did not work. `permanent` means trying again cannot help; `retry_after` is in seconds."""

    def __init__(self, message, *, permanent=False, retry_after=None, status=None):
        super().__init__(message)
        self.message = message
        self.permanent = permanent
        self.retry_after = retry_after
        self.status = status
