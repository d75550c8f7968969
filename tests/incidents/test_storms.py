"""A storm from the alerts to one answer: many incidents, a few messages, and one press that takes them all."""

import datetime as dt
import re

import pytest
from django.db import OperationalError, connection

from incidents import lifecycle
from incidents.models import Incident
from incidents.replies import answers
from notifications import outbox
from notifications.models import Notification
from tests import factories

pytestmark = pytest.mark.django_db
COUNT = 12


@pytest.fixture
def storm(team, alice, now, mailoutbox):
    """Twelve incidents of one service that page Alice at the same moment; one delivery. Returns the incidents."""
    policy = factories.EscalationPolicyFactory(team=team, calls=[alice])
    service = factories.ServiceFactory(name="Checkout", team=team, policy=policy)
    new = [lifecycle.NewIncident(service, "critical", f"Disk {number} is full") for number in range(COUNT)]
    incidents = lifecycle.trigger_many(new, now=now)
    outbox.deliver(now=now)
    return incidents


def link_of(mail, label="Acknowledge"):
    return re.search(rf"{label}[^:\n]*:\s+http://[^/]+(/l/\S+)", mail.body)[1]


def states():
    return set(Notification.objects.exclude(kind="bundle").values_list("state", flat=True))


def test_a_storm_is_one_mail_that_names_every_incident(storm, mailoutbox):
    (mail,) = mailoutbox
    for incident in storm:
        assert incident.title in mail.body
    assert states() == {"sent"}
    bundle = Notification.objects.get(kind="bundle")
    assert (bundle.urgency, bundle.is_repeat, bundle.members.count()) == ("high", False, COUNT)


def test_one_press_takes_them_all_and_nobody_is_called_again(storm, mailoutbox, client, alice):
    link = link_of(mailoutbox[0])
    Notification.objects.update(link_expires_at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    page = client.get(link).content.decode()
    assert "Disk 0 is full" in page
    assert set(Incident.objects.values_list("status", flat=True)) == {"triggered"}, "looking takes nothing"
    assert client.post(link).status_code == 200
    assert set(Incident.objects.values_list("status", "acknowledged_by")) == {("acknowledged", alice.pk)}
    assert not Incident.objects.exclude(next_escalation_at=None).exists()
    assert not Notification.objects.filter(kind="page", state__in=["pending", "sending"]).exists()
    assert states() <= {"acknowledged", "cancelled", "pending"}


def test_who_takes_one_of_the_storm_leaves_the_others_to_be_called(storm, alice, now):
    first, *others = storm
    reply = answers.answer(first.pk, "acknowledge", by=alice, via="web", now=now)
    assert reply.is_done
    assert Notification.objects.get(topic=first.topic, kind="page").state == "acknowledged"
    assert set(Incident.objects.exclude(pk=first.pk).values_list("status", flat=True)) == {"triggered"}
    assert Incident.objects.filter(next_escalation_at__isnull=False).count() == len(others)


def test_what_is_answered_before_the_storm_goes_out_is_not_in_it(team, alice, bob, now, mailoutbox):
    policy = factories.EscalationPolicyFactory(team=team, calls=[alice])
    service = factories.ServiceFactory(team=team, policy=policy)
    new = [lifecycle.NewIncident(service, "critical", f"Disk {number} is full") for number in range(COUNT)]
    incidents = lifecycle.trigger_many(new, now=now)
    for incident in incidents[:4]:
        lifecycle.acknowledge(incident.pk, by=bob, now=now)
    outbox.deliver(now=now)
    (mail,) = [one for one in mailoutbox if "Disk 5" in one.body]
    assert not any(f"Disk {number} is" in mail.body for number in range(4))


@pytest.mark.logs_errors
def test_an_answer_that_the_database_lost_is_given_again(storm, mailoutbox, client, alice):
    """Nothing is half taken, and the same link works afterwards."""
    link = link_of(mailoutbox[0])
    Notification.objects.update(link_expires_at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    client.raise_request_exception = False

    def lose_the_timeline(execute, sql, params, many, context):
        if "incidents_timelineentry" in sql and sql.startswith("INSERT"):
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(lose_the_timeline):
        assert client.post(link).status_code == 500
    assert set(Incident.objects.values_list("status", flat=True)) == {"triggered"}
    assert client.post(link).status_code == 200
    assert set(Incident.objects.values_list("status", flat=True)) == {"acknowledged"}
