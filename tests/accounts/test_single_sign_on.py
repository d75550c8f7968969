"""Signing in through a provider: a real one in a process of its own, asked over real HTTP."""

import pytest
from allauth.socialaccount.models import SocialAccount
from axes.models import AccessAttempt

from accounts import oidc, single_sign_on
from accounts.models import GroupMapping, Membership, Role, User
from tests import factories
from tests.fakes.oidc_provider import Provider

CALLBACK = "http://testserver/login/sso/corp/callback"
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    provider = Provider(tmp_path_factory.mktemp("provider"), CALLBACK)
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def corp(running, settings):
    settings.PUBLIC_URL = "http://testserver"
    settings.HTTP_ALLOW_PRIVATE = ["127.0.0.1"]
    settings.OIDC_CREATE_ACCOUNTS = False
    settings.OIDC_DEFAULT_ROLE = "observer"
    settings.OIDC_PROVIDERS = [configured(running)]
    running.says()
    return running


def configured(provider, **more):
    return {
        "id": "corp",
        "name": "Corp",
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        **more,
    }


def sign_in(client, provider, path="/login/sso/corp"):
    away = client.get(path)
    assert away.status_code == 302 and away.url.startswith(provider.issuer), away.url
    return client.get(provider.visit(away.url))


def complaint(client, answer):
    """What the page to sign in says after a refusal."""
    assert answer.status_code == 302 and answer.url.startswith("/login")
    assert "_auth_user_id" not in client.session
    return client.get(answer.url).content.decode()


@pytest.fixture
def dora():
    return factories.UserFactory(name="Dora", email="dora@example.com", role=Role.RESPONDER)


def test_a_person_comes_in_by_the_address_that_the_provider_vouches_for(client, corp, dora):
    answer = sign_in(client, corp, "/login/sso/corp?next=/shifts")
    assert answer.url == "/shifts"
    assert client.session["_auth_user_id"] == str(dora.pk)
    assert SocialAccount.objects.get().user == dora
    assert client.get("/shifts").status_code == 200


def test_the_second_time_the_account_is_known_whatever_the_address(client, corp, dora):
    sign_in(client, corp)
    client.logout()
    corp.says(email="dora@married.example.com", email_verified=False)
    assert sign_in(client, corp).status_code == 302
    assert client.session["_auth_user_id"] == str(dora.pk)
    assert User.objects.get(pk=dora.pk).email == "dora@example.com"


def test_the_request_to_the_provider_has_a_state_a_nonce_and_a_challenge(client, corp):
    address = client.get("/login/sso/corp").url
    assert all(f"{name}=" in address for name in ("state", "nonce", "code_challenge"))
    assert "code_challenge_method=S256" in address and "client_secret" not in address


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        ("nonce", "nonce"),
        ("issuer", "issuer"),
        ("audience", "udience"),
        ("many audiences", "another program"),
        ("signature", "ignature"),
        ("algorithm", "algorithm"),
        ("key type", "no published key"),
        ("old", "expired"),
        ("from the future", "not yet valid"),
    ],
)
def test_a_token_that_lies_opens_nothing(client, corp, dora, lie, word):
    corp.says(lie=lie)
    said = complaint(client, sign_in(client, corp))
    assert "not to be believed" in said and word in said
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("skew", ["half a minute ahead", "half a minute late"])
def test_clocks_may_differ_by_half_a_minute(client, corp, dora, skew):
    corp.says(lie=skew)
    sign_in(client, corp)
    assert client.session["_auth_user_id"] == str(dora.pk)


def test_an_answer_is_taken_once_and_only_by_the_browser_that_asked(client, corp, dora):
    back = corp.visit(client.get("/login/sso/corp").url)
    stranger = type(client)()
    assert "belongs to no sign-in that began here" in complaint(stranger, stranger.get(back))
    client.get(back)
    assert client.session["_auth_user_id"] == str(dora.pk)
    client.logout()
    assert "belongs to no sign-in" in complaint(client, client.get(back))


def test_an_answer_that_names_another_issuer_is_refused(client, corp, dora):
    back = corp.visit(client.get("/login/sso/corp").url)
    assert "another issuer" in complaint(client, client.get(f"{back}&iss=https://elsewhere.example.com"))


def test_an_address_that_nobody_vouches_for_opens_no_account(client, corp, dora):
    corp.says(email_verified=False)
    assert "does not vouch for the address" in complaint(client, sign_in(client, corp))
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("email", ["", f"{'d' * 250}@example.com"])
def test_an_address_that_is_none_or_too_long_opens_no_account(client, corp, settings, email):
    settings.OIDC_CREATE_ACCOUNTS = True
    corp.says(email=email)
    assert "did not say an email address that we can use" in complaint(client, sign_in(client, corp))


def test_what_vouches_for_one_address_does_not_vouch_for_another(client, corp, alice):
    corp.says(lie="another address")
    assert "does not vouch for the address alice@example.com" in complaint(client, sign_in(client, corp))


def test_a_provider_can_be_trusted_with_its_addresses(client, corp, dora, settings):
    settings.OIDC_PROVIDERS = [configured(corp, trusts_email=True)]
    corp.says(email_verified=None)
    sign_in(client, corp)
    assert client.session["_auth_user_id"] == str(dora.pk)


def test_strangers_get_no_account_unless_that_is_wanted(client, corp, settings):
    assert "no account for dora@example.com yet" in complaint(client, sign_in(client, corp))
    settings.OIDC_CREATE_ACCOUNTS = True
    sign_in(client, corp)
    made = User.objects.get(email="dora@example.com")
    assert (made.name, made.role, made.is_staff) == ("Dora Doe", Role.OBSERVER, False)
    assert not made.has_usable_password()


def test_accounts_are_not_made_for_addresses_that_nobody_vouches_for(client, corp, settings):
    settings.OIDC_CREATE_ACCOUNTS = True
    corp.says(email_verified=False)
    assert "does not vouch" in complaint(client, sign_in(client, corp))
    assert not User.objects.exists()


def test_only_the_domains_that_are_listed_come_in(client, corp, settings):
    settings.OIDC_CREATE_ACCOUNTS = True
    settings.OIDC_PROVIDERS = [configured(corp, email_domains=["corp.example.com"])]
    assert "may not sign in through Corp" in complaint(client, sign_in(client, corp))


def test_the_deactivated_stay_out(client, corp, dora):
    dora.is_active = False
    dora.save()
    assert "deactivated" in complaint(client, sign_in(client, corp))


def test_people_of_another_issuer_are_other_people(corp, settings):
    here = oidc.provider_of("corp").uid("4711")
    settings.OIDC_PROVIDERS = [configured(corp) | {"issuer": "https://other.example.com"}]
    assert oidc.provider_of("corp").uid("4711") != here


def test_groups_give_roles_and_take_them_back(client, corp, dora, team):
    factories.UserFactory(role=Role.ADMIN)
    other = factories.TeamFactory(name="Data", slug="data")
    factories.MembershipFactory(team=other, user=dora, role=Role.OBSERVER)
    GroupMapping.objects.create(group="Pager-Admins", role=Role.ADMIN)
    GroupMapping.objects.create(group="staff", role=Role.OBSERVER)
    GroupMapping.objects.create(group="shop", team=team, team_role=Role.RESPONDER)
    corp.says(groups=["staff", "pager-admins", "shop"])
    sign_in(client, corp)
    dora.refresh_from_db()
    assert (dora.role, dora.is_staff, dora.is_superuser) == (Role.ADMIN, True, True)
    assert Membership.objects.get(user=dora, team=team).is_from_group
    client.logout()

    corp.says(groups=["staff"])
    sign_in(client, corp)
    dora.refresh_from_db()
    assert (dora.role, dora.is_staff, dora.is_superuser) == (Role.OBSERVER, False, False)
    assert [one.team for one in dora.memberships.all()] == [other]  # given by hand
    client.logout()

    corp.says(groups=[])
    sign_in(client, corp)
    dora.refresh_from_db()
    assert dora.role == Role.OBSERVER  # the default: the last group that gave a role is gone


def test_without_mappings_groups_change_nothing(client, corp, dora):
    sign_in(client, corp)
    dora.refresh_from_db()
    assert dora.role == Role.RESPONDER and not dora.memberships.exists()


def test_the_only_admin_stays_admin_against_their_groups(client, corp, dora):
    User.objects.filter(pk=dora.pk).update(role=Role.ADMIN, is_staff=True, is_superuser=True)
    GroupMapping.objects.create(group="staff", role=Role.OBSERVER)
    sign_in(client, corp)
    dora.refresh_from_db()
    assert dora.role == Role.ADMIN


def test_the_strongest_group_counts(team):
    mappings = [
        GroupMapping(group="a", role=Role.OBSERVER, team_id=1, team_role=Role.ADMIN),
        GroupMapping(group="b", role=Role.RESPONDER, team_id=1, team_role=Role.OBSERVER),
        GroupMapping(group="c", role=Role.ADMIN),
    ]
    assert single_sign_on.worth(mappings, ["A", "b", "unknown"]) == (Role.RESPONDER, {1: Role.ADMIN})
    assert single_sign_on.worth(mappings, []) == ("", {})


def test_too_many_groups_to_list_change_nothing():
    provider = oidc.Provider(id="entra", issuer="https://login.example.com", client_id="x")
    assert oidc.groups_in(provider, {"_claim_names": {"groups": "src1"}}) is None
    assert oidc.groups_in(provider, {}) == []
    nested = oidc.Provider(id="k", issuer="https://k.example.com", client_id="x", groups_claim="realm_access.roles")
    assert oidc.groups_in(nested, {"realm_access": {"roles": ["one"]}}) == ["one"]


def test_a_provider_that_is_down_is_a_sentence_and_the_password_still_works(client, corp, dora, settings):
    dora.set_password("long and winding")
    dora.save()
    settings.OIDC_PROVIDERS = [configured(corp) | {"issuer": "http://127.0.0.1:9/o"}]
    assert "Corp cannot be used now" in complaint(client, client.get("/login/sso/corp?next=/shifts"))
    answer = client.post("/login", {"username": dora.email, "password": "long and winding"})
    assert answer.url == "/" and client.session["_auth_user_id"] == str(dora.pk)


def test_a_provider_that_goes_down_half_way_is_a_sentence(client, corp, dora, settings, tmp_path):
    short = Provider(tmp_path, CALLBACK)
    short.start()
    try:
        settings.OIDC_PROVIDERS = [configured(short)]
        back = short.visit(client.get("/login/sso/corp").url)
    finally:
        short.stop()
    assert "Corp cannot be used now" in complaint(client, client.get(back))


def test_a_private_address_must_be_allowed(client, corp, settings):
    settings.HTTP_ALLOW_PRIVATE = []
    settings.OIDC_PROVIDERS = [configured(corp) | {"issuer": "http://127.0.0.1:8/o"}]
    assert "HTTP_ALLOW_PRIVATE" in complaint(client, client.get("/login/sso/corp"))


def test_leaving_the_provider_leads_back(client, corp, dora):
    client.get("/login/sso/corp")
    (state,) = client.session[oidc.PENDING]
    assert "left without signing in" in complaint(
        client, client.get(f"/login/sso/corp/callback?error=access_denied&state={state}")
    )


def test_a_way_in_that_was_taken_away_is_a_sentence(client, corp):
    assert "no such way to sign in" in complaint(client, client.get("/login/sso/gone"))


def test_the_way_back_never_leads_elsewhere(client, corp, dora):
    assert sign_in(client, corp, "/login/sso/corp?next=https://evil.example.com/").url == "/"
    client.logout()
    assert sign_in(client, corp, "/login/sso/corp?next=//evil.example.com/").url == "/"


def test_the_page_offers_the_provider(client, corp):
    assert "Sign in with Corp" in client.get("/login").content.decode()


def test_secrets_of_providers_are_in_no_text_of_theirs(corp):
    assert corp.client_secret not in repr(oidc.providers())


def test_failed_answers_lock_nobody_out(client, corp, dora):
    corp.says(lie="nonce")
    sign_in(client, corp)
    assert not AccessAttempt.objects.exists()


def test_where_passwords_are_for_emergencies_a_provider_still_lets_people_in(client, corp, dora, settings):
    settings.PASSWORD_SIGN_IN = "break-glass"
    sign_in(client, corp)
    assert client.get("/shifts").status_code == 200
