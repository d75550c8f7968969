"""Signing in, in a real browser: with a code, with a passkey, through a provider, and without scripts."""

import json
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from accounts.models import User
from tests import factories
from tests.browser.stage import expect
from tests.fakes.oidc_provider import Provider
from tests.house import House

PASSWORD = "long and winding"


@pytest.fixture
def provider(tmp_path):
    provider = Provider(tmp_path, "")
    yield provider
    provider.stop()


@pytest.fixture
def house(transactional_db, tmp_path, settings, provider):
    """The web process under a name: browsers make no passkeys for a number."""
    tmp_path.chmod(0o755)
    house = House(tmp_path)
    house.base_url = house.environment["PUBLIC_URL"] = f"http://localhost:{house.port}"
    provider.callback = f"{house.base_url}/login/sso/corp/callback"
    house.environment["OIDC_PROVIDERS"] = json.dumps(
        [
            {
                "id": "corp",
                "name": "Corp",
                "issuer": provider.issuer,
                "client_id": provider.client_id,
                "client_secret": provider.client_secret,
            }
        ]
    )
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]  # as the web process has it
    house.start("web")
    yield house
    house.stop()


@pytest.fixture
def dora(house):
    return factories.UserFactory(name="Dora", email="dora@example.com", password=PASSWORD)


def sign_in(page, password=PASSWORD):
    page.get_by_label("Email address").fill("dora@example.com")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page):
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to")).to_be_visible()


def code(secret, ahead=0):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + ahead))


@pytest.mark.parametrize("scripts", [True, False])
def test_an_app_is_set_up_and_asked_for_at_the_next_sign_in(open_page, dora, scripts):
    page = open_page("/login?next=/account/security", java_script_enabled=scripts)
    sign_in(page, "a guess")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    sign_in(page)
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("img", name="QR code for your app")).to_be_visible()
    page.get_by_text("It cannot scan").click()
    secret = page.locator("details code").inner_text()
    page.get_by_role("textbox", name="Code").fill(code(secret))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_text("10 are left")).to_be_visible()
    sign_out(page)
    sign_in(page)
    expect(page.get_by_role("heading", name="One more thing")).to_be_visible()
    page.get_by_role("textbox", name="Code").fill("000000")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("This code is wrong, old or used already.")).to_be_visible()
    page.get_by_role("textbox", name="Code").fill(code(secret, ahead=1))  # the one before was used to set it up
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def test_a_passkey_signs_in_alone_and_beside_the_password(open_page, dora):
    page = open_page("/login?next=/account/security")
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    about = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": about})
    sign_in(page)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Add it").click()
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_text("laptop").first).to_be_visible()
    expect(page.get_by_text("signs in without the password")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    sign_out(page)
    sign_in(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    page.goto("/account/security")
    page.get_by_role("link", name="Remove laptop").click()
    page.get_by_role("button", name="Confirm").or_(page.get_by_role("button", name="Use a passkey")).first.wait_for()
    if page.get_by_label("Password").count():
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("Nobody can steal it with a false page.")).to_be_visible()
    assert not Authenticator.objects.exists()


def test_the_button_of_the_provider_leads_there_and_back(chromium, house, provider, dora):
    provider.start()
    context = chromium.new_context(base_url=house.base_url)
    page = context.new_page()
    page.goto("/login?next=/shifts")
    page.get_by_role("link", name="Sign in with Corp").click()
    page.wait_for_url("**/shifts")
    expect(page.locator(".me-name")).to_have_text("Dora")
    context.close()
    assert User.objects.get().last_login


def test_a_provider_that_is_down_leaves_the_password(open_page, dora):
    page = open_page("/login")
    page.get_by_role("link", name="Sign in with Corp").click()
    expect(page.get_by_text("Corp cannot be used now")).to_be_visible()
    sign_in(page)
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
