"""The admin's pages of change events and of the topics of Amazon SNS."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from accounts.models import User
from alerts.models import ChangeEvent, Topic
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client):
    client.force_login(User.objects.create_superuser("ada@example.com", "correct horse", name="Ada"))
    return client


def address(row, page, *more):
    return reverse(f"admin:alerts_{row._meta.model_name}_{page}", args=[row.pk, *more])


def test_changes_are_listed_and_cannot_be_altered(browser):
    change = factories.ChangeEventFactory(description="Faster", labels={"commit": "9c1e4d7"})
    assert change.title in browser.get(reverse("admin:alerts_changeevent_changelist")).content.decode()
    page = browser.get(address(change, "change")).content.decode()
    assert "9c1e4d7" in page
    assert browser.post(address(change, "change"), {"title": "x"}).status_code == 403
    assert ChangeEvent.objects.get().title == change.title


def test_a_topic_that_could_not_be_confirmed_is_confirmed_again(browser):
    topic = factories.TopicFactory(
        state="failed", subscribe_url="https://sns.eu-west-1.amazonaws.com/?Token=1", error="answered 503", attempts=8
    )
    assert "Could not be confirmed" in browser.get(reverse("admin:alerts_topic_changelist")).content.decode()
    page = browser.get(address(topic, "change")).content.decode()
    assert "answered 503" in page
    assert "Token=1" not in page, "whoever has the address can confirm it"
    response = browser.post(address(topic, "do", "confirm_again"))
    assert "is confirmed again" in " ".join(str(message) for message in get_messages(response.wsgi_request))
    topic.refresh_from_db()
    assert (topic.state, topic.attempts) == ("pending", 0)
    assert topic.due_at is not None


def test_a_confirmed_topic_has_nothing_to_confirm(browser):
    topic = factories.TopicFactory()
    assert "confirm_again" not in browser.get(address(topic, "change")).content.decode()
    browser.post(address(topic, "do", "confirm_again"))
    assert Topic.objects.get().state == "confirmed"
