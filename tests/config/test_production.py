"""Real processes with the settings of a production: what they refuse, and what logs and error pages keep back."""

import contextlib
import http.client
import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from tests.house import House

GOOD = {
    "PUBLIC_URL": "https://oncall.example.com",
    "EMAIL_URL": "smtp+tls://user:password@mail.example.com:587",
    "SECRET_KEY": "kJ3v0mQ9zXr7Tt2LwY5bNc8HsPdFgAeU1oVi6RxE4Mw8sQa2Zp4Hy",
}
BAD = {
    "DEBUG is on": {"DEBUG": "true"},
    "ALLOWED_HOSTS is *": {"ALLOWED_HOSTS": "*"},
    "SECRET_KEY is too easy to guess": {"SECRET_KEY": "changeme-changeme-changeme-changeme-0123456789"},
    "PUBLIC_URL begins with http://": {"PUBLIC_URL": "http://oncall.example.com"},
    "CORS_ALLOWED_ORIGINS names “*”": {"CORS_ALLOWED_ORIGINS": "*"},
}
PROGRAMS = {
    "web": ["-c", "import config.asgi"],
    "worker": ["manage.py", "qcluster"],
    "ticker": ["manage.py", "ticker"],
}


def run(tmp_path, arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in ("DEBUG", "ALLOWED_HOSTS")}
    role = {"WATCHBILL_ROLE": "web"} if "import config.asgi" in arguments else {}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={**kept, "WATCHBILL_HOME": str(tmp_path), "DATABASE_URL": "postgres://x@127.0.0.1:9/x", **GOOD, **role}
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def example():
    """The settings that docs/configuration.md shows for production, with the values that a reader fills in."""
    text = (settings.BASE_DIR / "docs" / "configuration.md").read_text()
    block = re.search(r"## For production, at least\n+```\n(.*?)```", text, re.DOTALL).group(1)
    found = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    return {**found, "SECRET_KEY": GOOD["SECRET_KEY"]}


def test_the_example_of_the_docs_passes_every_check_of_a_deployment(tmp_path):
    done = run(tmp_path, ["manage.py", "check", "--deploy", "--fail-level", "WARNING"], **example())
    assert done.returncode == 0, done.stderr
    assert run(tmp_path, PROGRAMS["web"], **example()).returncode == 0


@pytest.mark.parametrize("sentence", BAD)
def test_the_web_process_refuses_what_is_unsafe(tmp_path, sentence):
    done = run(tmp_path, PROGRAMS["web"], **BAD[sentence])
    if sentence.startswith("CORS"):  # wrong everywhere, so the checks of the commands say it
        done = run(tmp_path, ["manage.py", "check"], **BAD[sentence])
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "changeme" not in done.stderr


@pytest.mark.parametrize("program", ["worker", "ticker"])
def test_the_other_processes_refuse_it_too(tmp_path, program):
    done = run(tmp_path, PROGRAMS[program], DEBUG="true")
    assert done.returncode != 0 and "Unset DEBUG." in done.stderr


def test_listening_to_the_network_as_a_site_of_this_machine_is_refused(tmp_path):
    done = run(tmp_path, ["manage.py", "up", "--host", "0.0.0.0", "--port", "8123"], PUBLIC_URL="")
    assert done.returncode != 0
    assert "INSECURE_HTTP_OK" in done.stderr and "PUBLIC_URL" in done.stderr


# --- what stays out of the log --------------------------------------------------------------------------------------
PLANTED = {
    "SECRET_KEY": "Planted0SecretKeyOfTheSettings0123456789abcdefghij",
    "BOUNCE_SECRET": "Planted1BounceSecret0123456789",
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
    "TWILIO_AUTH_TOKEN": "Planted2TwilioToken0123456789",
    "TWILIO_FROM_NUMBER": "+15005550006",
    "EMAIL_URL": "smtp://user:Planted3MailPassword@127.0.0.1:9",
}
KEY, TOKEN, BEARER, SESSION, WORD = (f"Planted{number}Value0123456789" for number in range(4, 9))


def ask(house, method, path, body=None, **headers):
    """The status and the text of an answer; an error is one too."""
    line = http.client.HTTPConnection(urlsplit(house.base_url).netloc, timeout=20)
    with contextlib.closing(line):
        line.request(method, path, body=body, headers=headers)
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read().decode("utf-8", "replace")


@pytest.mark.parametrize("debug", ["false", "true"])
def test_no_secret_stands_in_a_log_or_an_error_page(transactional_db, tmp_path, debug):
    tmp_path.chmod(0o755)
    house = House(tmp_path, **PLANTED, DEBUG=debug, LOG_LEVEL="DEBUG")
    house.start("web")
    try:
        with connection.cursor() as cursor:  # a mistake of ours, whatever is asked
            cursor.execute("ALTER TABLE django_session RENAME TO django_session_away")
            cursor.execute("ALTER TABLE accounts_apikey RENAME TO accounts_apikey_away")
            cursor.execute("ALTER TABLE notifications_notification RENAME TO notifications_notification_away")
        try:
            cookie = {"Cookie": f"sessionid={SESSION}"}
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            answers = [
                ask(house, "GET", f"/?token={TOKEN}", **cookie),
                ask(house, "GET", f"/l/{TOKEN}", **cookie),
                ask(house, "POST", "/login", f"username=a@example.com&password={WORD}", **form, **cookie),
                ask(house, "GET", "/api/v1/incidents", Authorization=f"Bearer wb_0123456789ab_{BEARER}"),
                ask(house, "GET", "/api/v1/incidents", **{"X-API-Key": f"wb_0123456789ab_{BEARER}"}),
                ask(house, "POST", f"/in/generic/{KEY}", '{"title": "x"}'),
                ask(house, "POST", "/in/generic", '{"title": "x"}', Authorization=f"Bearer {KEY}"),
                ask(house, "POST", "/mail/bounces", "x", Authorization=f"Basic {WORD}"),
                ask(house, "POST", "/twilio/sms", f"Body={WORD}", **form),
            ]
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE django_session_away RENAME TO django_session")
                cursor.execute("ALTER TABLE accounts_apikey_away RENAME TO accounts_apikey")
                cursor.execute("ALTER TABLE notifications_notification_away RENAME TO notifications_notification")
    finally:
        house.stop()
    log = (tmp_path / "log.txt").read_text()
    assert "Traceback" in log and "django_session" in log, log[-2000:]
    values = re.findall(r"Planted\d\w+", " ".join(PLANTED.values()))
    for secret in (*values, KEY, TOKEN, BEARER, SESSION, WORD):
        assert secret not in log, [line for line in log.splitlines() if secret in line]
    broken = [answer for answer in answers if answer[0] == 500]
    assert len(broken) >= 3
    # The page of DEBUG shows to who asked what they sent; it is for this machine only, and keeps the settings back.
    kept_back = values if debug == "true" else (*values, SESSION, BEARER, WORD)
    for _, _, text in broken:
        assert not [one for one in kept_back if one in text]
    if debug == "false":
        assert {headers["Content-Type"] for status, headers, _ in answers[3:5] if status == 500} == {
            "application/problem+json"
        }
        assert "Something broke on our side" in answers[0][2] and "Traceback" not in answers[0][2]
