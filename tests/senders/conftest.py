import pytest

from alerts import ingest
from tests import factories
from tests.alerts.test_door import Server


@pytest.fixture
def server(transactional_db):
    """The door under a real server, which decides what it accepts."""
    with Server(decide=ingest.decide_ids) as one:
        one.url = f"http://127.0.0.1:{one.port}"
        yield one


@pytest.fixture
def key_of(service):
    """The key of a new integration of this kind."""
    return lambda kind: factories.IntegrationFactory(source=kind, service=service).key
