"""What a person gets who asks what is stored, and what readers see after somebody was erased."""

import datetime as dt
import json

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from accounts import privacy
from notifications.models import Destination
from statuspages import copying, publishing
from statuspages.models import Component, Copy, Subscriber
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def zoe(page, shop, now):
    person = factories.UserFactory(name="Zoe Zimmermann", email="zoe@example.com")
    post = publishing.open_incident(
        page.pk, title="Zoe Zimmermann looks into it", body="Ask Zoe Zimmermann.", by=person, now=now
    )
    publishing.add_update(post.uuid, body="Or write to zoe@example.com.", by=person, now=now)
    until = timezone.now() + dt.timedelta(days=1)
    publishing.set_state(shop.uuid, state="major_outage", until=until, reason="It smokes.", by=person, now=now)
    copying.refresh(page.pk, now=now)
    return person


def test_an_export_has_what_they_told_readers(zoe, now):
    found = privacy.export(zoe, now=now)["status_pages"]
    assert [one["title"] for one in found["posts"]] == ["Zoe Zimmermann looks into it"]
    assert [one["body"] for one in found["updates"]] == ["Ask Zoe Zimmermann.", "Or write to zoe@example.com."]
    assert found["states"][0]["manual_reason"] == "It smokes." and found["partners"] == []


def test_an_export_has_their_subscriptions_and_after_they_are_erased_there_are_none(zoe, page, shop, alice, now):
    factories.SubscriberFactory(page=page, address="zoe@example.com", components=[shop])
    other = factories.SubscriberFactory(
        page=page, address="not-zoe@example.com", end_reason="Ended by Zoe Zimmermann."
    )
    (found,) = privacy.export(zoe, now=now)["status_pages"]["subscriptions"]
    assert (found["page"], found["address"], found["components"]) == ("shop", "zoe@example.com", ["Shop"])
    privacy.erase(zoe, by=alice, now=timezone.now())
    assert [one.destination for one in Subscriber.objects.all()] == list(Destination.objects.all())
    other.refresh_from_db()
    assert "Zoe" not in other.end_reason and other.end_reason.startswith("Ended by Former member")


def test_readers_see_the_name_no_more_after_somebody_was_erased(zoe, page, shop, alice, now):
    def said():
        copy = Copy.objects.get(page=page)
        return json.dumps([copy.content, copy.files], cls=DjangoJSONEncoder)

    assert "Zoe Zimmermann" in said() and "zoe@example.com" in said()
    privacy.erase(zoe, by=alice, now=timezone.now())
    copying.refresh_due(now=timezone.now())
    assert "Zoe" not in said() and "zoe@example.com" not in said()
    assert "looks into it" in said()
    assert Component.objects.get(pk=shop.pk).manual_state == "major_outage"  # history and states stay
