"""Something that sends: an integration of the service Checkout."""

import pytest

from tests import factories
from tests.alerts.sending import sender


@pytest.fixture
def send(service, now):
    """Store an event as the door does and decide it; returns the event as decided."""
    return sender(factories.IntegrationFactory(source="generic", service=service), now)
