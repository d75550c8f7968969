"""People, teams and keys are set up in the admin."""

import datetime as dt

import pytest
from django.contrib.auth import authenticate
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.keys import find_key
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


def test_the_secret_of_a_webhook_that_is_added_to_a_person_is_shown_once(browser, fields_of, page_of, said, charlie):
    data = fields_of(page_of(charlie))
    data |= {"contact_methods-TOTAL_FORMS": 2, "contact_methods-1-channel": "webhook"}
    data |= {"contact_methods-1-address": "https://hooks.example.com/T0/B0"}
    answer = browser.post(page_of(charlie), data, follow=True)
    secret = charlie.contact_methods.get(channel="webhook").secret
    assert secret.startswith("whsec_") and secret in answer.content.decode()
    assert secret not in browser.get(page_of(charlie)).content.decode()


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
    data = {"name": "deploy script", "user": bob.pk, "scopes": ["alerts:write", "incidents:read"], "role": "observer"}
    response = browser.post(reverse("admin:accounts_apikey_add"), data)
    key = ApiKey.objects.get()
    text = said(response).split('<code class="wb-secret">')[1].split("</code>")[0]
    assert find_key(text, now=now) == key
    assert (key.user.is_machine, key.user.role, key.name) == (True, "observer", "deploy script")
    assert key.scopes == ["alerts:write", "incidents:read"]
    assert text in browser.get(response.url).content.decode()
    page = browser.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert text not in page
    assert key.secret_hash not in page


@pytest.mark.parametrize("wrong", [{"scopes": []}, {"scopes": ["incidents:delete"]}, {"role": "root"}, {"name": ""}])
def test_a_key_that_could_do_nothing_or_anything_is_refused(browser, wrong):
    data = {"name": "deploy script", "scopes": ["alerts:write"], "role": "observer", **wrong}
    assert browser.post(reverse("admin:accounts_apikey_add"), data).status_code == 200
    assert not ApiKey.objects.exists() and not User.objects.filter(is_machine=True).exists()


def test_an_api_key_keeps_its_person_and_scopes(browser, bob, charlie, now):
    key = factories.ApiKeyFactory(user=bob, scopes=["*:read"])
    data = {"name": "other name", "user": charlie.pk, "scopes": ["*:write"], "secret_hash": "0", "prefix": "0"}
    browser.post(reverse("admin:accounts_apikey_change", args=[key.pk]), data)
    assert find_key(key.text, now=now).user == bob
    key.refresh_from_db()
    assert (key.name, key.scopes) == ("other name", ["*:read"])


def of_a_program(by, **fields):
    return keys.issue_machine_key(**{"name": "deploy", "scopes": ["*:read"], "role": "observer", **fields}, by=by)


@pytest.mark.parametrize(
    ("button", "overlap"), [("new_key_hour", keys.HOUR), ("new_key", keys.DAY), ("new_key_week", keys.WEEK)]
)
def test_an_api_key_is_rotated_with_an_overlap(browser, said, alice, button, overlap):
    key, old = of_a_program(alice)
    before = timezone.now()
    text = said(browser.post(reverse("admin:accounts_apikey_do", args=[key.pk, button])))
    new = text.split('<code class="wb-secret">')[1].split("</code>")[0]
    assert find_key(new, now=before) == find_key(old, now=before) == key
    assert find_key(old, now=before + overlap) and not find_key(old, now=timezone.now() + overlap)
    again = said(browser.post(reverse("admin:accounts_apikey_do", args=[key.pk, button])))
    assert "Two texts of deploy work already" in again
    assert "stopped working" in said(browser.post(reverse("admin:accounts_apikey_do", args=[key.pk, "end_old_key"])))
    assert find_key(old, now=before) is None


def test_an_admin_gets_no_text_that_acts_as_somebody_else(browser, said, bob, now):
    key = factories.ApiKeyFactory(user=bob)
    page = browser.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert "/do/revoke/" in page and "/do/new_key" not in page
    refused = said(browser.post(reverse("admin:accounts_apikey_do", args=[key.pk, "new_key_at_once"])))
    assert "acts as them" in refused and find_key(key.text, now=now)


def test_api_keys_by_state(browser, alice, now):
    of_a_program(alice, name="alive")
    of_a_program(alice, name="over", expires_at=now - dt.timedelta(days=1))
    page = reverse("admin:accounts_apikey_changelist")
    assert "over" in browser.get(f"{page}?state=expired").content.decode()
    assert "alive" not in browser.get(f"{page}?state=expired").content.decode()


def test_pickers_and_the_list_of_people_have_no_machines(browser, alice):
    of_a_program(alice, name="Machina")
    query = {"app_label": "accounts", "model_name": "membership", "field_name": "user"}
    assert "Machina" not in browser.get(reverse("admin:autocomplete"), query).content.decode()
    assert "Machina" not in browser.get(reverse("admin:accounts_user_changelist")).content.decode()


def test_an_api_key_is_revoked(browser, said, now):
    key = factories.ApiKeyFactory()
    url = reverse("admin:accounts_apikey_do", args=[key.pk, "revoke"])
    assert "is revoked" in said(browser.post(url))
    assert find_key(key.text, now=now) is None
    assert "is revoked already" in said(browser.post(url))
