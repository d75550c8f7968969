"""The page where people make, rotate and revoke tokens that act as themselves."""

import datetime as dt
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from tests import factories

NEW = {"name": "laptop", "scopes": ["incidents:write", "incidents:read"], "team": "", "lasts": "90"}


@pytest.fixture
def mine(client, bob):
    client.force_login(bob)
    return client


def text_of(answer):
    return re.search(r'id="token">(wb_[^<]+)<', answer.content.decode())[1]


def made(client, **changes):
    answer = client.post(reverse("tokens"), {**NEW, **changes})
    assert answer.status_code == 200
    return text_of(answer)


def test_a_token_is_shown_once_and_acts_as_its_person(mine, bob):
    text = made(mine)
    key = keys.find_key(text, now=timezone.now())
    assert (key.user, key.is_personal, key.scopes, key.name) == (bob, True, ["incidents:write"], "laptop")
    assert dt.timedelta(days=89) < key.expires_at - timezone.now() <= dt.timedelta(days=90)
    page = mine.get(reverse("tokens")).content.decode()
    assert text not in page and f"wb_{key.prefix}_…" in page
    answer = mine.get("/api/v1/users/me", headers={"X-API-Key": text})
    assert answer.status_code == 403 and "people:read" in answer.json()["detail"]


def test_the_answer_with_the_text_is_kept_by_no_cache(mine):
    assert "no-store" in mine.post(reverse("tokens"), NEW)["Cache-Control"]


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"scopes": []}, {"scopes": ["x:y"]}, {"team": "77"}, {"lasts": "9999"}]
)
def test_what_is_wrong_is_said_and_nothing_made(mine, wrong):
    answer = mine.post(reverse("tokens"), {**NEW, **wrong})
    assert answer.status_code == 400 and b'class="error"' in answer.content
    assert not ApiKey.objects.exists()


def test_nobody_gives_themselves_more_by_naming_fields(mine, alice, bob):
    text = made(mine, user=alice.pk, role="admin", is_personal="")
    key = keys.find_key(text, now=timezone.now())
    assert key.user == bob and key.is_personal
    assert mine.post("/api/v1/services", {}, headers={"X-API-Key": text}).status_code == 403


def test_a_private_team_of_others_cannot_be_chosen_and_is_not_named(mine):
    hidden = factories.TeamFactory(name="Mergers", is_private=True)
    assert b"Mergers" not in mine.get(reverse("tokens")).content
    assert mine.post(reverse("tokens"), {**NEW, "team": hidden.pk}).status_code == 400


def test_a_token_is_rotated_with_an_overlap(mine):
    old = made(mine)
    key = ApiKey.objects.get()
    page = reverse("token-rotate", args=[key.prefix])
    assert mine.get(page).status_code == 200
    new = text_of(mine.post(page, {"overlap": "hour"}))
    now = timezone.now()
    assert keys.find_key(old, now=now) == keys.find_key(new, now=now) == key
    assert keys.find_key(old, now=now + keys.HOUR) is None
    refused = mine.post(page, {"overlap": "day"})
    assert refused.status_code == 400 and b"work already" in refused.content
    mine.post(reverse("token-stop-old", args=[key.prefix]))
    assert keys.find_key(old, now=now) is None
    third = text_of(mine.post(page, {"overlap": "none"}))
    assert keys.find_key(new, now=now) is None and keys.find_key(third, now=now)


def test_a_token_is_revoked_after_a_question(mine):
    text = made(mine)
    page = reverse("token-revoke", args=[ApiKey.objects.get().prefix])
    assert b"Revoke laptop?" in mine.get(page).content
    assert keys.find_key(text, now=timezone.now())
    assert mine.post(page).status_code == 302
    assert keys.find_key(text, now=timezone.now()) is None
    assert b"is revoked already" in mine.post(page, follow=True).content


def test_the_list_is_filtered_by_state_and_says_what_ends_soon(mine, bob):
    now = timezone.now()
    keys.issue_key(bob, name="over", is_personal=True, expires_at=now - dt.timedelta(days=1))
    keys.issue_key(bob, name="soon", is_personal=True, expires_at=now + dt.timedelta(days=3))
    page = mine.get(reverse("tokens")).content.decode()
    assert "soon stops working" in page and "over" in page
    page = mine.get(reverse("tokens"), {"state": "valid"}).content.decode()
    assert ">soon<" in page and ">over<" not in page
    assert "None is revoked" in mine.get(reverse("tokens"), {"state": "revoked"}).content.decode()
    assert mine.get(reverse("tokens"), {"state": "' OR 1=1"}).status_code == 200


def test_a_hundred_tokens_are_enough(mine, bob):
    ApiKey.objects.bulk_create(
        ApiKey(user=bob, name=f"t{number}", scopes=["*:read"], secret_hash="0" * 64) for number in range(100)
    )
    refused = mine.post(reverse("tokens"), NEW)
    assert refused.status_code == 400 and b"Revoke those" in refused.content


@pytest.mark.parametrize("page", ["token-rotate", "token-revoke", "token-stop-old"])
def test_the_tokens_of_others_do_not_exist(mine, charlie, page):
    key, text = keys.issue_key(charlie, name="theirs", is_personal=True)
    assert mine.post(reverse(page, args=[key.prefix]), {"overlap": "none"}).status_code == 404
    assert keys.find_key(text, now=timezone.now())
    assert b"theirs" not in mine.get(reverse("tokens")).content


def test_a_stranger_is_asked_to_sign_in(client, db):
    for page in (reverse("tokens"), reverse("token-revoke", args=["0" * 12])):
        assert client.get(page).url.startswith("/login")


def test_a_name_is_text_and_nothing_else(mine):
    made(mine, name="<script>alert(1)</script>")
    assert b"<script>alert(1)" not in mine.get(reverse("tokens")).content
