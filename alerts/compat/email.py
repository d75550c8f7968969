"""What mail providers ask of the address of mail, beside posting to `/in/email/<key>`."""

from alerts.compat.base import Dialect
from alerts.sources.email import EmailSource

PREFIX = "/in/email"


class EmailAddress(Dialect):
    kind = "email"
    label = "Email"

    def __init__(self):
        self._source = EmailSource()

    def find(self, method, path):
        if path != PREFIX and not path.startswith(PREFIX + "/"):
            return None
        if method in ("HEAD", "GET"):
            return _is_there
        return self._by_recipient if path == PREFIX else None

    async def _by_recipient(self, door, request):
        """One address for all integrations: the key is in the recipient of the mail."""
        if request.bearer():
            return await door.accept(request, self._source, request.bearer(), "header")
        return await door.accept(request, self._source, None, "body")


async def _is_there(door, request):
    """Some providers look whether there is somebody before they send."""
    return 200, None, ()
