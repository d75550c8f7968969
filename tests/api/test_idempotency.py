import datetime as dt
import threading

import pytest
from django.db import connection

from catalog.models import Service
from core import idempotency
from core.models import IdempotencyKey
from incidents.models import Incident
from notifications.models import Notification

NEW = {"service": "checkout", "title": "Checkout is down", "severity": "critical"}
URL = "/api/v1/incidents"


def post(api, body, *, key="k1", url=URL):
    return api.post(url, body, headers={"Idempotency-Key": key})


def test_a_request_sent_twice_acts_once_and_both_get_the_same_answer(api, service):
    first, second = post(api, NEW), post(api, NEW)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "Idempotency-Replayed" not in first and second["Idempotency-Replayed"] == "true"
    assert Incident.objects.count() == Notification.objects.count() == 1


def test_the_order_of_the_fields_and_a_slash_make_no_difference(api, service):
    post(api, NEW)
    assert post(api, dict(reversed(NEW.items())), url=f"{URL}/")["Idempotency-Replayed"] == "true"


def test_the_same_key_with_another_body_is_422(api, service):
    post(api, NEW)
    answer = post(api, {**NEW, "title": "Something else"})
    assert (answer.status_code, answer.data["code"]) == (422, "idempotency_key_reused")
    assert Incident.objects.count() == 1


def test_a_key_belongs_to_one_person_and_one_address(api, calls, bob, service):
    post(api, NEW)
    assert post(calls(bob), NEW).status_code == 201
    assert post(api, NEW, url="/api/v1/escalate").status_code == 201
    assert Incident.objects.count() == 3


def test_a_refused_request_leaves_its_key_free(api, service):
    assert post(api, {**NEW, "severity": "awful"}).status_code == 400
    assert post(api, NEW).status_code == 201


def test_verbs_and_configuration_take_keys_too(api, team, service):
    number = post(api, NEW).data["number"]
    for _ in range(2):
        assert post(api, None, url=f"{URL}/{number}/escalate").data["escalation_level"] == 2
        assert post(api, {"name": "Search", "team": "shop"}, url="/api/v1/services").status_code == 201
    assert Service.objects.filter(name="Search").count() == 1


@pytest.mark.parametrize("key", ["", "   ", "x" * 256, "schlüssel"])
def test_a_key_that_is_no_key_is_400(api, service, key):
    answer = post(api, NEW, key=key)
    assert (answer.status_code, answer.data["code"]) == (400, "bad_idempotency_key")
    assert not Incident.objects.exists()


def test_keys_are_forgotten_after_a_day(api, service):
    post(api, NEW)
    made_at = IdempotencyKey.objects.get().created_at
    idempotency.forget_old_keys(now=made_at + dt.timedelta(hours=24))
    assert IdempotencyKey.objects.exists()
    idempotency.forget_old_keys(now=made_at + dt.timedelta(hours=24, seconds=1))
    assert not IdempotencyKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_while_the_first_request_is_under_way_the_second_is_409(service, calls, alice):
    is_running, may_end = threading.Event(), threading.Event()
    answers = []

    def slow(request):
        is_running.set()
        may_end.wait(10)
        return idempotency.Response({"done": True}, status=201)

    class Request:
        user, path, data = alice, f"{URL}/", NEW

    def first():
        answers.append(idempotency._once(slow, "k1", Request))
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert is_running.wait(10)
    answer = post(calls(alice), NEW)
    assert (answer.status_code, answer.data["code"]) == (409, "request_in_progress")
    may_end.set()
    thread.join()
    assert answers[0].status_code == 201
    assert post(calls(alice), NEW).json() == {"done": True}
