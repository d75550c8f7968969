import datetime as dt

import pytest
from django.utils import timezone
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


@pytest.fixture
def through(calls):
    """A client that uses this key: `through(text).get(…)`."""

    def client(text):
        api = calls()
        api.credentials(HTTP_X_API_KEY=text)
        return api

    return client


@pytest.fixture
def soon():
    """A time so many hours from now, as text, for verbs that read the clock: `soon(-1)`, `soon(24)`."""
    start = timezone.now().replace(microsecond=0)
    return lambda hours: f"{start + dt.timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
