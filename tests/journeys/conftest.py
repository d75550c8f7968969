import shutil
import socket
import subprocess

import pytest

from tests.fakes.smtp import mail_server
from tests.house import House


@pytest.fixture
def mails():
    with mail_server() as server:
        yield server


@pytest.fixture
def redis_url(tmp_path):
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("Debian's redis-server is not installed here")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(timeout=10)


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
