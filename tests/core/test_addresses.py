"""Whose request it is: the address of the client, read past our own proxies and no further."""

import ipaddress

import pytest
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.request import Request

from core.limits import address_block, client_address, is_shared


def scope(peer, *forwarded):
    headers = [(b"host", b"example.com"), *((b"x-forwarded-for", line.encode("latin-1")) for line in forwarded)]
    return {"type": "http", "client": (peer, 4711) if peer else None, "headers": headers}


def test_without_a_proxy_the_header_means_nothing():
    assert client_address(scope("203.0.113.9", "198.51.100.1")) == "203.0.113.9"


def test_one_proxy_vouches_for_the_last_word_only(settings):
    settings.TRUSTED_PROXIES = ["1"]
    assert client_address(scope("10.0.0.1", "6.6.6.6, 198.51.100.1")) == "198.51.100.1"
    assert client_address(scope("10.0.0.1", "6.6.6.6", "198.51.100.1")) == "198.51.100.1"


def test_two_proxies_vouch_for_the_last_two_words(settings):
    settings.TRUSTED_PROXIES = ["2"]
    assert client_address(scope("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2")) == "198.51.100.1"


def test_who_comes_past_the_proxy_has_no_header_and_their_own_address(settings):
    settings.TRUSTED_PROXIES = ["1"]
    assert client_address(scope("203.0.113.9")) == "203.0.113.9"


def test_networks_of_proxies_are_walked_from_the_right(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", " fd00::/8"]
    assert client_address(scope("10.0.0.1", "10.9.9.9, 198.51.100.1, fd00::2")) == "198.51.100.1"
    assert client_address(scope("203.0.113.9", "198.51.100.1")) == "203.0.113.9"
    assert client_address(scope("10.0.0.1", "10.0.0.7, 10.0.0.2")) == "10.0.0.7"


@pytest.mark.parametrize("entries", [["1"], ["10.0.0.0/8"]])
@pytest.mark.parametrize("word", ["unknown", "_hidden", "", "999.1.1.1", "1.2.3.4.5", "x" * 5000, "::::", "[", "<b>"])
def test_a_word_that_is_no_address_is_not_read_and_what_the_proxy_saw_counts(settings, entries, word):
    settings.TRUSTED_PROXIES = entries
    assert client_address(scope("10.0.0.1", word)) == "10.0.0.1"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("198.51.100.1:8080", "198.51.100.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("2001:0DB8:0:0::0001", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_an_address_is_said_in_one_form_however_it_is_written(settings, written, read):
    settings.TRUSTED_PROXIES = ["1"]
    assert client_address(scope("10.0.0.1", written)) == read


def test_a_request_of_django_and_of_the_api_says_the_same(settings):
    settings.TRUSTED_PROXIES = ["1"]
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.1"}, REMOTE_ADDR="10.0.0.1")
    assert client_address(request) == client_address(Request(request)) == "198.51.100.1"


def test_a_program_at_a_unix_socket_has_no_address_and_its_proxy_may_vouch_for_another(settings):
    assert client_address(scope(None)) == ""
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert client_address(scope(None, "198.51.100.1")) == "198.51.100.1"


@given(st.lists(st.text(max_size=20), max_size=6), st.ip_addresses())
def test_nothing_that_a_client_writes_left_of_the_proxys_word_changes_who_it_is(words, real):
    with override_settings(TRUSTED_PROXIES=["1"]):
        line = ",".join([*(word.encode("ascii", "replace").decode() for word in words), str(real)])
        mapped = getattr(real, "ipv4_mapped", None) or real
        assert client_address(scope("10.0.0.1", line)) == str(ipaddress.ip_address(str(mapped).partition("%")[0]))


def test_one_line_of_ipv6_is_one_client_and_the_next_line_another():
    assert address_block("2001:db8:1:2::1") == address_block("2001:db8:1:2:ffff:ffff:ffff:ffff")
    assert address_block("2001:db8:1:2::1") != address_block("2001:db8:1:3::1")
    assert address_block("198.51.100.1") == "198.51.100.1"
    assert address_block("") == ""


def test_a_proxy_that_nobody_named_is_noticed_and_a_client_from_outside_cannot_pretend_to_be_one(settings):
    assert is_shared(scope("10.0.0.1", "198.51.100.1"))
    assert not is_shared(scope("8.8.8.8", "198.51.100.1"))
    assert not is_shared(scope("10.0.0.1"))
    settings.TRUSTED_PROXIES = ["1"]
    assert not is_shared(scope("10.0.0.1", "198.51.100.1"))
