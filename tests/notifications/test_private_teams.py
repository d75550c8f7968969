"""Which messages and alarms are shown to whom while a team is private."""

import pytest

from accounts.permissions import visible
from notifications import alarms
from notifications.models import Alarm, Notification
from tests import factories, private_team
from tests.incidents.test_private_teams import signed_in, text_of
from tests.private_team import WORD


@pytest.fixture
def world(service):
    return private_team.build(service)


@pytest.fixture
def people(db):
    return private_team.strangers()


def titles(user):
    return {row.message["title"] for row in visible(Notification.objects.all(), user)}


def test_messages_about_what_is_hidden_are_shown_to_their_reader_to_members_and_to_admins(world, people):
    everything = titles(world.admin)
    about = {title for title in everything if WORD in title}
    assert len(about) >= 5
    assert titles(world.member) >= about
    for person in people.values():
        assert not titles(person) & about
        assert titles(person)  # those of the public team


def test_who_got_a_message_keeps_it(world, people):
    rita = people["responder"]
    method = factories.ContactMethodFactory(user=rita)
    mine = factories.NotificationFactory(
        topic=f"coverage:{world.team.pk}", user=rita, contact_method=method, message={"title": f"{WORD} to Rita"}
    )
    assert f"{WORD} to Rita" in titles(rita)
    assert signed_in(rita).get(f"/notifications/{mine.uuid}").status_code == 200


def test_a_bundle_with_a_hidden_message_is_hidden_and_not_linked(world, people, service):
    method = factories.ContactMethodFactory(user=factories.UserFactory())
    row = {"user": method.user, "contact_method": method}
    bundle = factories.NotificationFactory(topic="bundle:x", kind="bundle", **row)
    seen = factories.NotificationFactory(topic=world.public.topic, bundle=bundle, **row)
    factories.NotificationFactory(topic=world.incident.topic, bundle=bundle, **row)
    client = signed_in(people["observer"])
    assert client.get(f"/notifications/{bundle.uuid}").status_code == 404
    page = text_of(client.get(f"/notifications/{seen.uuid}"))
    assert str(bundle.uuid) not in page
    assert str(bundle.uuid) in text_of(signed_in(world.admin).get(f"/notifications/{seen.uuid}"))


def test_only_who_may_respond_sends_again(world, people):
    row = Notification.objects.filter(topic=world.public.topic).first()
    refused = signed_in(people["observer"]).post(f"/notifications/{row.uuid}/stop")
    assert refused.status_code == 403
    assert "Stop it" not in text_of(signed_in(people["observer"]).get(f"/notifications/{row.uuid}"))
    assert signed_in(people["responder"]).post(f"/notifications/{row.uuid}/stop").status_code == 302


@pytest.mark.parametrize(
    ("key", "is_shown"),
    [
        ("circuit:mail", True),
        ("limits", True),
        ("stale-pages:2026-06-01", True),
        ("limitsx", False),  # nobody knows what it is about
        ("something-new:1", False),
        ("escalation:incident:{public}", True),
        ("unreachable:incident:{public}:3", True),
        ("escalation-failed:{public}", True),
        ("snooze:{public}", True),
        ("snooze:{hidden}", False),
        ("snooze:999999999999999999999999", False),
        ("refused:{door}", True),
        ("rate:integration:{door}", True),
        ("rate:integration:{hidden_door}", False),
        ("coverage:{team}", True),
        ("expiry-failed:{alert}", True),
        ("expiry-failed:{hidden_alert}", False),
        ("expiry-failed:x", False),
    ],
)
def test_an_alarm_is_shown_to_who_may_see_what_its_key_names(world, people, now, key, is_shown):
    key = key.format(
        public=world.public.pk,
        hidden=world.incident.pk,
        door=world.public_door.pk,
        hidden_door=world.integration.pk,
        team=world.service.team_id,
        alert=world.mine.pk,
        hidden_alert=world.alert.pk,
    )
    alarms.raise_alarm(key, "Look.", now=now)
    assert visible(Alarm.objects.filter(key=key), people["observer"]).exists() is is_shown
    assert visible(Alarm.objects.filter(key=key), world.admin).exists()
