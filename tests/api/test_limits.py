"""The limits of the API: for each key and person, with headers, and a sentence when there is too much."""

import pytest
from django.test import Client

from core import limits
from incidents import lifecycle
from tests import factories
from tests.fakes.redis_server import redis_server


@pytest.fixture
def tight(settings):
    settings.RATE_LIMITS = {
        **settings.RATE_LIMITS,
        "api": "3/minute",
        "api_changes": "2/minute",
        "answers": "4/minute",
        "guesses": "3/minute",
    }


def statuses(call, count):
    return [call().status_code for _ in range(count)]


def test_good_answers_say_what_is_left(api):
    answer = api.get("/api/v1/services")
    assert answer.status_code == 200
    assert answer["RateLimit-Policy"] == '"api";q=3000;w=60'
    assert answer["RateLimit-Limit"] == "3000"
    assert int(answer["RateLimit-Remaining"]) == 2999


def test_too_much_reading_is_a_problem_with_a_sentence_and_a_time(api, tight):
    assert statuses(lambda: api.get("/api/v1/services"), 3) == [200] * 3
    answer = api.get("/api/v1/services")
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (429, "too_many_requests")
    assert problem["detail"].startswith("You read more than 3 times in 60 seconds, which is the limit. Send the same")
    assert 1 <= int(answer["Retry-After"]) <= 20
    assert answer["RateLimit"].startswith('"api";r=0;t=')


def test_one_person_does_not_use_up_the_limit_of_another(calls, alice, bob, tight):
    assert statuses(lambda: calls(alice).get("/api/v1/services"), 4)[-1] == 429
    assert calls(bob).get("/api/v1/services").status_code == 200


def test_reading_changing_and_answering_are_counted_apart(api, service, tight, now):
    assert statuses(lambda: api.get("/api/v1/services"), 4)[-1] == 429
    assert statuses(lambda: api.post("/api/v1/holidays", {}), 3) == [400, 400, 429]
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    answers = statuses(lambda: api.post(f"/api/v1/incidents/{incident.number}/acknowledge"), 5)
    assert answers == [200, 200, 200, 200, 429]


@pytest.mark.django_db(transaction=True)
def test_while_the_store_is_down_an_incident_is_acknowledged_however_often_it_is_tried(
    api, service, tight, now, settings, tmp_path
):
    incident = lifecycle.trigger(service, title="Down", severity="critical", now=now)
    with redis_server(tmp_path) as server:
        settings.RATE_LIMIT_STORE, settings.REDIS_URL = "shared", server.url
        limits.forget()
        assert api.get("/api/v1/services").status_code == 200
        server.kill()
        answers = statuses(lambda: api.post(f"/api/v1/incidents/{incident.number}/acknowledge"), 10)
        assert answers == [200] * 10
        assert not limits.limiter().is_up
        assert 429 in statuses(lambda: api.get("/api/v1/services"), 6)  # this process still counts by itself


def test_guessing_keys_is_slowed_and_a_right_key_from_the_same_address_still_works(alice, tight):
    text = factories.ApiKeyFactory(user=alice).text

    def guess(key):
        return Client().get("/api/v1/services", headers={"Authorization": f"Bearer {key}"})

    assert statuses(lambda: guess("wb_0123456789ab_" + "x" * 43), 5) == [401, 401, 401, 429, 429]
    refused = guess("wb_0123456789ab_" + "y" * 43)
    assert (refused["Content-Type"], refused.json()["code"]) == ("application/problem+json", "too_many_requests")
    assert refused["Retry-After"]
    assert guess(text).status_code == 200
