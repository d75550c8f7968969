"""News for the floors above: said inside the verb's transaction, each listener in a savepoint of its own."""

import logging

from django.db import transaction

logger = logging.getLogger(__name__)


def announce(signal, sender=None, **news):
    """Tell every listener of `signal`. A broken listener is logged and rolled back; it never stops the verb."""
    if not signal.has_listeners(sender):
        return
    for receiver in signal._live_receivers(sender)[0]:
        try:
            with transaction.atomic():
                receiver(signal=signal, sender=sender, **news)
        except Exception:  # one broken listener must not stop an acknowledgement
            logger.exception("A listener of %s failed: %s", signal, getattr(receiver, "__qualname__", receiver))
