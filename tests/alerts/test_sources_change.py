"""Change events of any program."""

import datetime as dt
import json
from pathlib import Path

import pytest

from alerts.models import InboundEvent
from alerts.sources.base import BadEvent
from alerts.sources.change import Change
from tests import factories
from tests.alerts.test_door import Server

PAYLOADS = Path(__file__).parent.parent / "payloads"


def parse(data):
    return Change().parse(json.dumps(data).encode(), {}, {})


def test_a_change_with_all_its_fields():
    (event,) = parse(
        {
            "summary": "Deployed checkout 2.31.0",
            "description": "Faster",
            "source": "ci-7",
            "service": "checkout",
            "timestamp": "2026-05-04T10:09:30Z",
            "custom_details": {"commit": "9c1e4d7", "steps": ["a"]},
            "links": [{"href": "https://ci.example.com/1", "text": "Pipeline"}, {"href": "javascript:x"}],
        }
    )
    assert (event.action, event.title, event.service) == ("change", "Deployed checkout 2.31.0", "checkout")
    assert event.labels == {"source": "ci-7", "commit": "9c1e4d7", "steps": '["a"]'}
    assert event.links == [{"href": "https://ci.example.com/1", "text": "Pipeline"}]
    assert event.occurred_at == dt.datetime(2026, 5, 4, 10, 9, 30, tzinfo=dt.UTC)


def test_only_a_summary_is_required():
    assert parse({"title": "A switch was turned"})[0].title == "A switch was turned"
    for data in ({}, {"summary": " "}, {"summary": None, "source": "x"}):
        with pytest.raises(BadEvent, match="needs a summary"):
            parse(data)


def test_the_change_event_of_pagerduty_is_read_too():
    (event,) = parse(json.loads((PAYLOADS / "pagerduty_change.json").read_text()))
    assert (event.title, event.labels) == ("Deployed checkout 4.2.0", {"source": "ci-3", "commit": "1f2e3d4"})


def test_several_at_once():
    assert [event.title for event in parse([{"summary": "a"}, {"summary": "b"}])] == ["a", "b"]
    for data in ([], [{"summary": "a"}] * 101, 7, [7]):
        with pytest.raises(BadEvent):
            parse(data)


@pytest.mark.django_db(transaction=True)
def test_a_change_is_stored_through_its_own_address(service):
    integration = factories.IntegrationFactory(source="change", service=service)
    with Server() as server:
        reply = server.post(f"/in/change/{integration.key}", {"summary": "Deployed checkout 2.31.0"})
    assert (reply.status, reply.json["status"]) == (202, "accepted")
    assert InboundEvent.objects.get().source == "change"
