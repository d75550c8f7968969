import pytest

from tests.fakes.redis_server import redis_server
from tests.fakes.smtp import mail_server
from tests.house import House


@pytest.fixture
def mails():
    with mail_server() as server:
        yield server


@pytest.fixture
def redis_url(tmp_path):
    with redis_server(tmp_path) as server:
        yield server.url


@pytest.fixture
def redis_house(transactional_db, tmp_path, mails, redis_url):
    """The same house with Redis as queue and cache."""
    tmp_path.chmod(0o755)
    house = House(tmp_path, EMAIL_URL=f"smtp://127.0.0.1:{mails.port}", REDIS_URL=redis_url)
    house.start_all()
    yield house
    house.stop()


@pytest.fixture
def house(transactional_db, tmp_path, mails):
    """Web, worker and ticker on the test's database, with mail through a real SMTP server."""
    tmp_path.chmod(0o755)
    house = House(tmp_path, EMAIL_URL=f"smtp://127.0.0.1:{mails.port}")
    house.start_all()
    yield house
    house.stop()
