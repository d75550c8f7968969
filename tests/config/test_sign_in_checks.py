"""A wrong setting of the sign-in is told before somebody stands before a closed door."""

import pytest

from config import checks
from tests import factories


def found():
    return {one.id: one for one in checks.check_values()}


@pytest.mark.parametrize("name", ["PASSWORD_SIGN_IN", "REQUIRE_SECOND_FACTOR", "OIDC_DEFAULT_ROLE"])
def test_a_word_that_does_not_exist_is_an_error(settings, name):
    setattr(settings, name, "sometimes")
    assert found()["watchbill.E014"].msg == f"{name} is “sometimes”."


def test_single_sign_on_only_needs_a_provider(settings):
    settings.PASSWORD_SIGN_IN = "break-glass"
    assert "nobody else can sign in" in found()["watchbill.E014"].msg


GOOD = {"id": "corp", "issuer": "https://sso.example.com", "client_id": "watchbill"}


@pytest.mark.parametrize(
    ("provider", "word"),
    [
        ("corp", "object"),
        ({**GOOD, "secret": "x"}, "no field secret"),
        ({**GOOD, "client_id": ""}, "client_id must be set"),
        ({**GOOD, "id": "a/b"}, "stands in an address"),
        ({**GOOD, "issuer": "http://sso.example.com"}, "https://"),
    ],
)
def test_a_provider_that_is_wrong_is_an_error(settings, provider, word):
    settings.OIDC_PROVIDERS = [provider]
    assert word in found()["watchbill.E015"].msg


def test_two_providers_need_two_ids(settings):
    settings.OIDC_PROVIDERS = [GOOD, GOOD]
    assert "corp" in found()["watchbill.E015"].msg


def test_a_provider_with_nothing_wrong_is_quiet(settings):
    settings.OIDC_PROVIDERS = [GOOD]
    assert not {"watchbill.E014", "watchbill.E015"} & set(found())


def test_single_sign_on_only_without_break_glass_is_a_warning(settings, db):
    settings.PASSWORD_SIGN_IN = "break-glass"
    (warning,) = checks.check_break_glass(databases=["default"])
    assert "while the provider is down" in warning.msg
    factories.UserFactory(is_break_glass=True)
    assert checks.check_break_glass(databases=["default"])  # it has no password
    factories.UserFactory(is_break_glass=True, password="long and winding")
    assert checks.check_break_glass(databases=["default"]) == []
