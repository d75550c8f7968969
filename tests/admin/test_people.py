"""People, teams and keys are set up in the admin."""

import pytest
from django.contrib.auth import authenticate
from django.urls import reverse

from accounts.auth import find_key
from accounts.models import ApiKey, Role, Team, User
from notifications.models import ContactMethod, NotificationRule
from tests import factories

ADD = "admin:accounts_user_add"


@pytest.fixture
def page_of():
    return lambda user: reverse("admin:accounts_user_change", args=[user.pk])


def new_person(**fields):
    password = "a long sentence nobody guesses"
    return {
        "email": "dora@example.com",
        "name": "Dora",
        "role": Role.RESPONDER,
        "time_zone": "Europe/Berlin",
        "usable_password": "true",
        "password1": password,
        "password2": password,
        **fields,
    }


def test_a_person_is_added_with_a_password(browser):
    response = browser.post(reverse(ADD), new_person())
    dora = User.objects.get(email="dora@example.com")
    assert response.url == reverse("admin:accounts_user_change", args=[dora.pk]), "teams and addresses come next"
    assert authenticate(username="dora@example.com", password="a long sentence nobody guesses") == dora
    assert not dora.is_staff


def test_passwords_that_differ_are_refused(browser):
    response = browser.post(reverse(ADD), new_person(password2="something else entirely"))
    assert response.context["adminform"].form.errors["password2"]


def test_an_address_in_other_letters_is_the_same_person(browser, bob):
    response = browser.post(reverse(ADD), new_person(email="BOB@example.com"))
    assert response.context["adminform"].form.errors["email"] == ["Somebody with this email address exists already."]


@pytest.mark.parametrize(("role", "may_enter"), [(Role.ADMIN, True), (Role.RESPONDER, False), (Role.OBSERVER, False)])
def test_the_role_decides_who_may_use_the_admin(browser, fields_of, page_of, bob, role, may_enter):
    data = fields_of(page_of(bob)) | {"role": role}
    assert browser.post(page_of(bob), data).status_code == 302
    bob.refresh_from_db()
    assert (bob.role, bob.is_staff, bob.is_superuser) == (role, may_enter, may_enter)


def test_the_only_admin_cannot_be_taken_away(browser, fields_of, page_of, ada):
    response = browser.post(page_of(ada), fields_of(page_of(ada)) | {"role": Role.RESPONDER})
    assert "only active admin" in str(response.context["adminform"].form.non_field_errors())
    response = browser.post(reverse("admin:accounts_user_delete", args=[ada.pk]), {"post": "yes"})
    assert User.objects.get(pk=ada.pk).role == Role.ADMIN


def test_a_password_is_changed(browser, bob):
    password = "another sentence nobody guesses"
    url = reverse("admin:auth_user_password_change", args=[bob.pk])
    assert browser.get(url).status_code == 200
    browser.post(url, {"usable_password": "true", "password1": password, "password2": password})
    assert authenticate(username=bob.email, password=password) == bob


def test_a_person_gets_a_team_and_an_address_on_their_page(browser, fields_of, page_of, charlie):
    team = factories.TeamFactory()
    data = fields_of(page_of(charlie))
    data |= {"memberships-TOTAL_FORMS": 1, "memberships-0-team": team.pk, "memberships-0-role": Role.RESPONDER}
    data |= {"contact_methods-TOTAL_FORMS": 2, "contact_methods-1-channel": "email"}
    data |= {"contact_methods-1-address": "charlie@home.example", "contact_methods-1-is_verified": "on"}
    assert browser.post(page_of(charlie), data).status_code == 302
    assert list(charlie.teams.all()) == [team]
    methods = {method.address: method for method in charlie.contact_methods.all()}
    assert methods["charlie@home.example"].is_usable
    assert methods[charlie.email].is_usable, "the other address stays verified"


def test_a_wrong_address_is_refused_on_the_page(browser, fields_of, page_of, charlie):
    data = fields_of(page_of(charlie)) | {"contact_methods-0-address": "charlie at home"}
    response = browser.post(page_of(charlie), data)
    assert response.status_code == 200
    assert ContactMethod.objects.get(user=charlie).address == charlie.email


def test_a_changed_address_has_to_be_verified_again(browser, fields_of, page_of, charlie):
    data = fields_of(page_of(charlie)) | {"contact_methods-0-address": "charlie@home.example"}
    assert browser.post(page_of(charlie), data).status_code == 302
    assert charlie.contact_methods.get().verified_at is None


def test_a_rule_names_an_address_of_the_same_person(browser, fields_of, page_of, charlie, bob):
    data = fields_of(page_of(charlie)) | {"notification_rules-TOTAL_FORMS": 1, "notification_rules-0-urgency": "high"}
    data |= {"notification_rules-0-delay_minutes": 5}
    wrong = data | {"notification_rules-0-contact_method": bob.contact_methods.get().pk}
    assert browser.post(page_of(charlie), wrong).status_code == 200
    right = data | {"notification_rules-0-contact_method": charlie.contact_methods.get().pk}
    assert browser.post(page_of(charlie), right).status_code == 302
    assert NotificationRule.objects.get().delay_minutes == 5


def test_a_team_is_added_with_its_people(browser, bob):
    data = {"name": "Search", "slug": "search", "description": "", "memberships-TOTAL_FORMS": 1}
    data |= {"memberships-INITIAL_FORMS": 0, "memberships-0-user": bob.pk, "memberships-0-role": Role.ADMIN}
    assert browser.post(reverse("admin:accounts_team_add"), data).status_code == 302
    assert bob in Team.objects.get(slug="search").members.all()


def test_pickers_offer_active_people_only(browser, bob, charlie):
    User.objects.filter(pk=bob.pk).update(is_active=False)
    query = {"app_label": "accounts", "model_name": "membership", "field_name": "user"}
    found = browser.get(reverse("admin:autocomplete"), query).json()["results"]
    assert {one["text"] for one in found} == {"Ada", "Charlie"} | {"Alice"} & {one["text"] for one in found}


def test_an_api_key_is_shown_once(browser, said, bob, now):
    data = {"name": "deploy script", "user": bob.pk, "scope": "alerts"}
    response = browser.post(reverse("admin:accounts_apikey_add"), data)
    key = ApiKey.objects.get()
    text = said(response).split('<code class="wb-secret">')[1].split("</code>")[0]
    assert find_key(text, now=now) == key
    assert (key.user, key.scope, key.name) == (bob, "alerts", "deploy script")
    assert text in browser.get(response.url).content.decode()
    page = browser.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert text not in page
    assert key.secret_hash not in page


def test_an_api_key_keeps_its_person_and_scope(browser, bob, charlie, now):
    key = factories.ApiKeyFactory(user=bob, scope="read")
    data = {"name": "other name", "user": charlie.pk, "scope": "write", "secret_hash": "0", "prefix": "0"}
    browser.post(reverse("admin:accounts_apikey_change", args=[key.pk]), data)
    assert find_key(key.text, now=now).user == bob
    key.refresh_from_db()
    assert (key.name, key.scope) == ("other name", "read")


def test_an_api_key_is_revoked(browser, said, now):
    key = factories.ApiKeyFactory()
    url = reverse("admin:accounts_apikey_do", args=[key.pk, "revoke"])
    assert "is revoked" in said(browser.post(url))
    assert find_key(key.text, now=now) is None
    assert "is revoked already" in said(browser.post(url))
