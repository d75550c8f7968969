"""How connections beside Django's own are made: as patient as they say, unless DATABASE_URL says otherwise."""

import os
import subprocess
import sys

import pytest
from django.db import connection

from core import lines

WITHOUT = (*lines.NOT_PSYCOPGS, "context")


@pytest.fixture
def options(settings, monkeypatch):
    """The options of the connection, as settings make them of DATABASE_URL."""

    def change(**named):
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", settings.DATABASE_PATIENCE | named)

    return change


def test_it_is_as_patient_as_it_says(options):
    options(host="db.example.com")
    found = lines.parameters("watchbill door", without=WITHOUT, connect_timeout=3, tcp_user_timeout=5000)
    assert (found["connect_timeout"], found["tcp_user_timeout"], found["keepalives_idle"]) == (3, 5000, 5)
    assert (found["application_name"], found["host"]) == ("watchbill door", "db.example.com")
    assert not found.keys() & {"pool", "cursor_factory", "context"}


def test_what_the_address_of_the_database_says_goes_first(options):
    options(connect_timeout=20, application_name="ours")
    found = lines.parameters("watchbill door", connect_timeout=3, tcp_user_timeout=5000)
    assert (found["connect_timeout"], found["tcp_user_timeout"]) == (20, 5000)
    assert found["application_name"] == "ours"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("", {"connect_timeout": 5, "tcp_user_timeout": 10_000}), ("?connect_timeout=9", {"connect_timeout": 9})],
)
def test_no_process_waits_a_quarter_of_an_hour_for_a_host_that_is_gone(tmp_path, query, wanted):
    program = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS'])"
    told = {"DATABASE_URL": f"postgres://w:p@db.example.com/w{query}", "WATCHBILL_HOME": str(tmp_path)}
    environment = {**os.environ, **told, "DJANGO_SETTINGS_MODULE": "config.settings"}
    run = [sys.executable, "-c", program]
    said = subprocess.run(run, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    for name, value in wanted.items():
        assert f"'{name}': {value}" in said
    assert "'keepalives_idle': 5" in said
