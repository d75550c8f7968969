import pytest
from rest_framework.test import APIClient


@pytest.fixture
def calls():
    """A client that speaks JSON as this person: `calls(alice).post("/api/v1/incidents", {…})`."""

    def client(user=None):
        api = APIClient()
        api.default_format = "json"
        if user:
            api.force_authenticate(user)
        return api

    return client


@pytest.fixture
def api(calls, alice):
    """A client of Alice, who may do everything."""
    return calls(alice)
