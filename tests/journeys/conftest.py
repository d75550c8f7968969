import pytest

from tests.fakes.smtp import mail_server
from tests.house import House


@pytest.fixture
def mails():
    with mail_server() as server:
        yield server


@pytest.fixture
def house(transactional_db, tmp_path, mails):
    """Web, worker and ticker on the test's database, with mail through a real SMTP server."""
    tmp_path.chmod(0o755)
    house = House(tmp_path, EMAIL_URL=f"smtp://127.0.0.1:{mails.port}")
    house.start_all()
    yield house
    house.stop()
