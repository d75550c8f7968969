"""The mail server that account mails go to."""

from tests.accounts.conftest import sent, smtp

__all__ = ["sent", "smtp"]
