"""The one way out: what it lets through, what it refuses, and what it says."""

import asyncio
import concurrent.futures
import datetime
import os
import socket
import threading

import pytest

from core import http
from core.errors import SendError
from tests.fakes.sink import sink as run_sink


@pytest.fixture
def sink(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with run_sink() as server:
        yield server


def test_json_is_posted_and_the_answer_read(sink):
    reply = http.post(sink.url("/hook"), json={"name": "Zoë"}, headers={"X-Two": "2"})
    assert (reply.status, reply.json, reply.is_success) == (200, {"ok": True}, True)
    got = sink.requests[0]
    assert got.body == '{"name":"Zoë"}'.encode()
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["X-Two"] == "2"
    assert got.headers["User-Agent"].startswith("Watchbill/")


def test_a_form_is_posted(sink):
    http.post(sink.url(), data={"To": "+1 555"})
    assert sink.requests[0].body == b"To=%2B1+555"


def test_cookies_are_forgotten(sink):
    http.get(sink.url())
    http.get(sink.url())
    assert "Cookie" not in sink.requests[1].headers


def test_redirects_are_not_followed(sink):
    reply = http.get(sink.url("/301"))
    assert (reply.status, reply.headers["location"]) == (301, "/elsewhere")
    assert len(sink.requests) == 1


def test_a_client_error_is_for_the_caller_to_judge(sink):
    assert http.post(sink.url("/410"), json={}).status == 410


def test_an_answer_that_is_not_json_says_so(sink):
    with pytest.raises(SendError, match="not JSON"):
        _ = http.get(sink.url("/404")).json


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_or_broken_server_is_tried_again(sink, status):
    with pytest.raises(SendError, match=str(status)) as error:
        http.post(sink.url(f"/{status}?after=7"), json={})
    assert (error.value.permanent, error.value.retry_after, error.value.status) == (False, 7, status)


def test_a_slow_server_is_given_up(sink):
    with pytest.raises(SendError, match="did not answer within 0.2 s") as error:
        http.get(sink.url("/slow?seconds=3"), timeout=0.2)
    assert not error.value.permanent


def test_a_closed_port_is_tried_again(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with pytest.raises(SendError, match="could not be reached") as error:
        http.get("http://127.0.0.1:9/")
    assert not error.value.permanent


def test_a_long_answer_is_cut_off(sink):
    assert len(http.get(sink.url("/long?bytes=1000000")).body) == 64 * 1024


def test_a_path_never_shows_in_an_error(sink):
    with pytest.raises(SendError) as error:
        http.get(sink.url("/500/very-secret-token"))
    assert "secret" not in str(error.value)


def test_many_threads_share_one_pool(sink):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(lambda number: http.post(sink.url(), json=number), range(300)))
    assert {reply.status for reply in replies} == {200}
    assert len(sink.requests) == 300
    assert sum(thread.name == "http" for thread in threading.enumerate()) == 1


def on_the_loop(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, http.loop()).result(10)


def test_a_coroutine_gets_the_same_answers_and_errors(sink, settings):
    assert on_the_loop(http.apost(sink.url("/hook"), json={"name": "Zoë"})).json == {"ok": True}
    assert sink.requests[0].body == '{"name":"Zoë"}'.encode()
    assert on_the_loop(http.aget(sink.url("/404"))).status == 404
    with pytest.raises(SendError, match="answered 503") as error:
        on_the_loop(http.apost(sink.url("/503?after=7"), json={}))
    assert error.value.retry_after == 7
    with pytest.raises(SendError, match="did not answer within 0.2 s"):
        on_the_loop(http.aget(sink.url("/slow?seconds=3"), timeout=0.2))
    settings.HTTP_ALLOW_PRIVATE = []
    with pytest.raises(SendError, match="private address") as error:
        on_the_loop(http.apost(sink.url(), json={}))
    assert error.value.permanent


def test_a_forked_child_can_call_too(sink):
    http.get(sink.url())
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if http.get(sink.url()).status == 200 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


PRIVATE = """
    127.0.0.1 127.9.9.9 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
    100.100.100.200 192.0.0.8 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
    240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1 fe80::1 fec0::1
    fc00::1 fd00:ec2::254 ff02::1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1::1 2001::1 2001:db8::1 100::1
""".split()  # noqa: SIM905


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused(address, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    assert not http.is_allowed(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111"])
def test_a_public_address_is_let_through(address, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    assert http.is_allowed(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://0x7f.1:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://2130706433:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://user:word@127.0.0.1:{port}/",
    ],
)
def test_no_way_of_writing_it_reaches_this_machine(url, sink, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    with pytest.raises(SendError) as error:
        http.post(url.format(port=sink.port), json={})
    assert sink.requests == []
    assert error.value.permanent
    assert "HTTP_ALLOW_PRIVATE" in error.value.message or "not a web address" in error.value.message


@pytest.mark.parametrize(
    "allowed, is_let_through",
    [(["127.0.0.1"], True), (["127.0.0.0/8"], True), (["*"], True), (["10.0.0.0/8", "::1"], False), ([], False)],
)
def test_the_setting_names_exceptions(allowed, is_let_through, settings):
    settings.HTTP_ALLOW_PRIVATE = allowed
    assert http.is_allowed("127.0.0.1") == is_let_through
    assert http.is_allowed("::ffff:127.0.0.1") == is_let_through


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "example.com", "", "http://", "http://[/"]
)
def test_only_web_addresses_are_called(url):
    with pytest.raises(SendError, match="not a web address") as error:
        http.get(url)
    assert error.value.permanent
    assert http.problem_with(url)


def test_a_header_cannot_carry_a_line_break(sink):
    with pytest.raises(SendError) as error:
        http.get(sink.url(), headers={"X-One": "1\r\nX-Two: 2"})
    assert error.value.permanent
    assert sink.requests == []


def test_retry_after_is_seconds_or_a_date():
    now = datetime.datetime(2026, 5, 4, 10, 15, tzinfo=datetime.UTC)
    assert http.retry_after("120") == 120
    assert http.retry_after("Mon, 04 May 2026 10:15:30 GMT", now=now) == 30
    assert http.retry_after("Mon, 04 May 2026 10:14:00 GMT", now=now) == 0
    assert http.retry_after("soon") is None
    assert http.retry_after("") is None


def test_a_broken_answer_is_told_without_the_path_which_may_be_a_secret(settings):
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"this is not HTTP\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SendError) as refused:
            http.post(f"http://127.0.0.1:{server.getsockname()[1]}/SECRET?k=SECRET", json={})
        thread.join(timeout=10)
    assert "SECRET" not in refused.value.message and "127.0.0.1" in refused.value.message


def test_names_of_strangers_for_which_nobody_answers_hold_up_none_of_ours(sink, monkeypatch):
    over, real = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host, *args, **how):
        if not host.endswith(".example"):
            return real(host, *args, **how)
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "nobody answered")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            calls = [
                pool.submit(http.post, f"http://{number}.example/", json={}, timeout=1, guard=http.STRANGERS)
                for number in range(40)
            ]
        assert all(isinstance(call.exception(), SendError) for call in calls)
        # Their look-ups wait still, and would wait for longer than a page may.
        assert http.post(sink.url("/page").replace("127.0.0.1", "localhost"), json={}, timeout=5).is_success
    finally:
        over.set()
