"""The API of alerts as its own OpenAPI document describes it: requests made from the document, by schemathesis."""

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from alerts.models import InboundEvent
from tests import factories
from tests.alerts.test_door import Server

pytestmark = pytest.mark.django_db(transaction=True)

AREAS = (
    *("alerts", "integrations", "routing-rules", "change-events"),
    *("silences", "maintenance-windows", "inhibition-rules", "heartbeats"),
)
# What the document cannot say (an end after its beginning, a service that exists) is refused with a sentence.
SENTENCES = [positive_data_acceptance]
bounded = settings(
    max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def document(service):
    return SchemaGenerator().get_schema(public=True)


@pytest.fixture
def headers(alice):
    return {"Authorization": f"Bearer {factories.ApiKeyFactory(user=alice, scopes=['*:write']).text}"}


def operations(document, area, app=None):
    """The operations of the addresses of one area, called over HTTP or, with an `app`, in this thread."""
    schema = schemathesis.openapi.from_dict(document)
    schema.app = app
    found = [result.ok() for result in schema.get_all_operations()]
    chosen = [one for one in found if one.path.removeprefix("/api/v1/").partition("/")[0] == area]
    assert chosen
    return chosen


@pytest.mark.parametrize("area", AREAS)
def test_every_answer_is_one_that_the_document_promises(area, document, headers):
    for operation in operations(document, area, get_wsgi_application()):
        if operation.label == "POST /api/v1/alerts":
            continue  # answered by the door

        @bounded
        @given(case=operation.as_strategy())
        def fire(case):
            case.call_and_validate(headers=headers, excluded_checks=SENTENCES)

        fire()


def test_the_door_answers_as_the_document_promises(document, headers, service):
    (operation,) = [one for one in operations(document, "alerts") if one.label == "POST /api/v1/alerts"]
    accepted = []
    with Server() as server:

        @bounded
        @given(case=operation.as_strategy())
        def fire(case):
            # Without a service of ours and a title nearly everything would be refused for the same reason.
            case.body = (
                {"title": "Down", **case.body, "service": service.slug} if isinstance(case.body, dict) else case.body
            )
            reply = case.call(base_url=f"http://127.0.0.1:{server.port}", headers=headers)
            case.validate_response(reply, excluded_checks=SENTENCES)
            accepted.append(reply.status_code == 202)

        fire()
    assert sum(accepted) == InboundEvent.objects.count() > 0
