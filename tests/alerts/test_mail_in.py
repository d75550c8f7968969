"""Mail by SMTP: a real client, the real listener, the real database."""

import asyncio
import contextlib
import smtplib
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage

import pytest
from django.db import connection

from alerts import mailin
from alerts.mailin import Allowance
from alerts.models import Alert, InboundEvent
from tests import factories
from tests.house import House, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

DOMAIN = "alerts.example.com"


class Listener:
    """The listener in a thread with its own event loop."""

    def __init__(self, **options):
        self._options = {"domain": DOMAIN, **options}
        self._ready, self._loop, self._stop = threading.Event(), None, None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with mailin.listening("127.0.0.1", 0, **self._options) as self.port:
            self._ready.set()
            await self._stop.wait()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def client(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=15)


@pytest.fixture
def listener():
    with Listener() as running:
        yield running


@pytest.fixture
def integration(service):
    return factories.IntegrationFactory(source="email", service=service)


def mail(subject="PROBLEM: disk full"):
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "nagios@mon.example.com", "hidden@example.com"
    message.set_content("It is full.")
    return message


def send(listener, *recipients, message=None, sender="nagios@mon.example.com"):
    """What each refused recipient was told; raises what smtplib raises."""
    with listener.client() as client:
        return client.send_message(message or mail(), sender, recipients)


def refusal(listener, recipient, **fields):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as raised:
        send(listener, recipient, **fields)
    code, text = raised.value.recipients[recipient]
    return code, text.decode()


def test_a_mail_is_stored_before_it_is_answered(listener, integration):
    assert send(listener, f"{integration.key}+disk-web-03@{DOMAIN}") == {}
    event = InboundEvent.objects.get()
    assert (event.integration, event.source, event.state) == (integration, "email", "pending")
    assert b"It is full." in bytes(event.body)
    assert event.headers == {
        "content-type": "message/rfc822",
        "x-mail-plus": "disk-web-03",
        "x-mail-from": "nagios@mon.example.com",
    }
    assert integration.key not in str(event.headers)


def test_the_routing_key_of_a_service_is_an_address_too(listener, service):
    assert send(listener, f"{service.routing_key}@{DOMAIN}") == {}
    assert InboundEvent.objects.get().service == service


def test_no_key_is_logged(listener, integration, caplog):
    heartbeat = factories.HeartbeatFactory(service=integration.service)
    send(listener, f"{integration.key}@{DOMAIN}", f"{heartbeat.key}@{DOMAIN}")
    assert integration.key not in caplog.text
    assert heartbeat.key not in caplog.text


def test_an_unknown_key_is_refused_for_good(listener, integration):
    code, text = refusal(listener, f"0123456789abcdef@{DOMAIN}")
    assert (code, "Copy its address again" in text) == (550, True)
    generic = factories.IntegrationFactory(source="generic", service=integration.service)
    assert refusal(listener, f"{generic.key}@{DOMAIN}")[0] == 550
    assert refusal(listener, f"{integration.key}@elsewhere.example.com")[0] == 550, "it is no relay"
    assert not InboundEvent.objects.exists()


def test_a_program_that_writes_addresses_in_capitals_is_understood(listener, integration):
    assert send(listener, f"{integration.key.upper()}@{DOMAIN.upper()}") == {}


def test_a_mail_for_several_is_stored_for_each(listener, integration):
    other = factories.IntegrationFactory(source="email", service=integration.service)
    bad = f"0123456789abcdef@{DOMAIN}"
    refused = send(listener, f"{integration.key}+a@{DOMAIN}", f"{other.key}@{DOMAIN}", bad)
    assert list(refused) == [bad]
    assert {row.integration for row in InboundEvent.objects.all()} == {integration, other}


def test_a_mail_to_a_heartbeat_is_a_ping(listener, service):
    heartbeat = factories.HeartbeatFactory(service=service)
    assert send(listener, f"{heartbeat.key}@{DOMAIN}") == {}
    heartbeat.refresh_from_db()
    assert heartbeat.last_ping_via == "mail"
    assert heartbeat.due_at
    assert not InboundEvent.objects.exists()


def test_the_empty_sender_is_taken_and_marked(listener, integration):
    assert send(listener, f"{integration.key}@{DOMAIN}", sender="<>") == {}
    assert InboundEvent.objects.get().headers["x-mail-from"] == "<>"


def test_a_mail_that_is_too_big_is_refused_for_good(listener, integration):
    with listener.client() as client:
        client.ehlo()
        assert int(client.esmtp_features["size"]) == 10 * 1024 * 1024
        assert client.mail("a@example.com", [f"size={11 * 1024 * 1024}"])[0] == 552
        client.rset()
        client.mail("a@example.com")
        client.rcpt(f"{integration.key}@{DOMAIN}")
        assert client.data((b"x" * 998 + b"\r\n") * 11_500)[0] == 552
    assert not InboundEvent.objects.exists()


@pytest.mark.logs_errors
def test_a_mail_that_cannot_be_stored_stays_with_its_sender(listener, integration):
    address = f"{integration.key}@{DOMAIN}"
    send(listener, address)
    table = InboundEvent._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
    try:
        with pytest.raises(smtplib.SMTPDataError) as raised:
            send(listener, address)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    assert raised.value.smtp_code == 451
    assert send(listener, address) == {}
    assert InboundEvent.objects.count() == 2


def test_while_keys_cannot_be_looked_up_the_sender_is_asked_to_wait(listener, integration):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE alerts_integration RENAME TO elsewhere")
    try:
        assert refusal(listener, f"{integration.key}@{DOMAIN}")[0] == 451
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO alerts_integration")


def test_an_address_that_gets_too_many_puts_them_off(integration):
    with Listener(allowance=Allowance(3, clock=lambda: 0)) as listener:
        address = f"{integration.key}+%d@{DOMAIN}"
        for number in range(3):
            assert send(listener, address % number) == {}
        assert refusal(listener, address % 4)[0] == 450
    assert InboundEvent.objects.count() == 3


def test_the_allowance_comes_back_with_time():
    clock = iter([0, 0, 0, 30, 30, 90]).__next__
    allowance = Allowance(2, clock)
    assert [allowance.take("a") for _ in range(5)] == [True, True, False, True, False]
    assert allowance.take("b")


def test_there_are_bounds_for_recipients_and_connections(listener, integration):
    with listener.client() as client:
        client.ehlo()
        client.mail("a@example.com")
        codes = [client.rcpt(f"{integration.key}+{n}@{DOMAIN}")[0] for n in range(mailin.RECIPIENTS + 1)]
        assert codes == [250] * mailin.RECIPIENTS + [452]
    with contextlib.ExitStack() as stack:
        for _ in range(mailin.CONNECTIONS_OF_ONE):
            stack.enter_context(listener.client())
        with pytest.raises(smtplib.SMTPConnectError) as raised:
            listener.client()
        assert raised.value.smtp_code == 421
    wait_until(lambda: send(listener, f"{integration.key}@{DOMAIN}") == {}, 10, "there is room again")


def test_nonsense_does_not_disturb_the_others(listener, integration):
    with socket.create_connection(("127.0.0.1", listener.port)) as line:
        line.sendall(b"\x00\xff" * 2000 + b"\r\nDATA\r\nRCPT TO:<x>\r\nMAIL FROM:\r\nEHLO " + b"a" * 600 + b"\r\n")
        assert line.recv(10)
    assert send(listener, f"{integration.key}@{DOMAIN}") == {}


def test_many_senders_at_once_are_all_stored(listener, integration):
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: send(listener, f"{integration.key}+{n}@{DOMAIN}"), range(40)))
    assert outcomes == [{}] * 40
    assert {row.headers["x-mail-plus"] for row in InboundEvent.objects.all()} == {str(n) for n in range(40)}


def test_the_command_takes_mail_that_becomes_an_incident(tmp_path, integration):
    house = House(tmp_path, MAIL_IN_DOMAIN=DOMAIN)
    try:
        house.start("worker")
        house.start("ticker")
        command = subprocess.Popen(
            [sys.executable, "manage.py", "mailin", "--port", str(house.port), "--host", "127.0.0.1"],
            env={**house.environment, "WATCHBILL_ROLE": "mailin"},
            stdout=house.log,
            stderr=house.log,
        )
        house.running["mailin"] = command

        def sent():
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", house.port, timeout=10) as client:
                return client.send_message(mail(), "a@example.com", [f"{integration.key}@{DOMAIN}"]) == {}

        wait_until(sent, 30, "the listener takes a mail")
        wait_until(lambda: Alert.objects.filter(incident__isnull=False).exists(), 30, "it becomes an incident")
        command.terminate()
        assert command.wait(10) == 0
    finally:
        house.stop()


def test_without_a_port_the_command_says_what_to_set(settings):
    from django.core.management import CommandError, call_command

    with pytest.raises(CommandError, match="MAIL_IN_PORT"):
        call_command("mailin")
