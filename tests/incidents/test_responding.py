"""Who works on an incident, as what, and how they are asked."""

import datetime as dt

import pytest

from accounts.models import Role as PlatformRole
from core.errors import DomainError, IllegalMove, NotFound
from incidents import escalation, lifecycle, responding
from incidents.models import Responder
from notifications.models import Notification
from tests import factories

MINUTE = dt.timedelta(minutes=1)
Role = Responder.Role


@pytest.fixture
def incident(service, now):
    return lifecycle.trigger(service, title="Checkout is down", severity="critical", now=now)


def pages(incident, user):
    return Notification.objects.filter(topic=incident.topic, user=user, kind="page", plan_key__contains=":responder")


def roles(incident):
    return dict(incident.responders.values_list("user__name", "role"))


def texts(incident, kind):
    return list(incident.timeline.filter(kind=kind).values_list("text", flat=True))


def test_everybody_who_is_added_is_paged_once_and_reads_what_for(incident, alice, bob, charlie, now):
    responding.add(incident.pk, people=[bob, charlie], message="The pool\nis empty.", by=alice, now=now)
    assert roles(incident) == {"Bob": "responder", "Charlie": "responder"}
    for person in (bob, charlie):
        page = pages(incident, person).get()
        assert page.urgency == "high" and page.state == "pending"
        assert f"Alice asked {person} to help. The pool is empty." in page.message["body"]
        assert page.message["data"]["event"] == "incident.responder_requested"
    assert texts(incident, "responder_added")[0] == "Alice asked Bob to help. The pool is empty."
    assert texts(incident, "paged")[-2:] == ["Bob paged.", "Charlie paged."]


def test_adding_somebody_twice_pages_them_once(incident, alice, charlie, now):
    for minutes in (0, 1):
        responding.add(incident.pk, people=[charlie, charlie], by=alice, now=now + minutes * MINUTE)
    assert pages(incident, charlie).count() == 1
    assert len(texts(incident, "responder_added")) == 1


def test_somebody_who_declined_can_be_asked_again(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    responding.decline(incident.pk, by=charlie, now=now)
    responding.add(incident.pk, people=[charlie], by=alice, now=now + MINUTE)
    assert pages(incident, charlie).count() == 2
    row = incident.responders.get()
    assert (row.declined_at, row.joined_at, row.added_at) == (None, None, now + MINUTE)


def test_whoever_adds_themselves_has_joined_without_a_page(incident, alice, now):
    responding.add(incident.pk, people=[alice], by=alice, now=now)
    assert incident.responders.get().joined_at == now
    assert not pages(incident, alice).exists() and texts(incident, "joined") == ["Alice joined."]


def test_whoever_was_asked_and_adds_themselves_has_joined(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    responding.add(incident.pk, people=[charlie], by=charlie, now=now + MINUTE)
    row = incident.responders.get()
    assert (row.joined_at, row.added_by) == (now + MINUTE, alice)
    assert pages(incident, charlie).get().state == "cancelled"


def test_the_escalation_goes_on_beside_it(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    incident.refresh_from_db()
    assert incident.status == "triggered" and incident.next_escalation_at == now + 5 * MINUTE
    escalation.advance_due(now=now + 5 * MINUTE)
    incident.refresh_from_db()
    assert incident.escalation_level == 2


def test_a_person_whom_nothing_reaches_is_said(incident, alice, now):
    silent = factories.UserFactory(name="Dora")
    responding.add(incident.pk, people=[silent], by=alice, now=now)
    assert "Dora could not be paged" in texts(incident, "paged")[-1]
    assert incident.responders.filter(user=silent).exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"is_active": False}, "deactivated"), ({"role": PlatformRole.OBSERVER}, "may only look")],
)
def test_who_cannot_respond_is_refused_and_then_nobody_is_added(incident, alice, charlie, now, fields, words):
    other = factories.UserFactory(name="Eve", **fields)
    with pytest.raises(DomainError, match=words):
        responding.add(incident.pk, people=[charlie, other], by=alice, now=now)
    assert not incident.responders.exists() and not pages(incident, charlie).exists()


def test_nobody_is_added_to_what_is_over(incident, alice, bob, charlie, now):
    lifecycle.resolve(incident.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="Bob resolved it 1 m 0 s ago"):
        responding.add(incident.pk, people=[charlie], by=alice, now=now + MINUTE)


def test_an_unknown_role_or_nobody_at_all_is_refused(incident, alice, charlie, now):
    with pytest.raises(DomainError, match="Use commander, responder, scribe"):
        responding.add(incident.pk, people=[charlie], role="boss", by=alice, now=now)
    with pytest.raises(DomainError, match="at least one person"):
        responding.add(incident.pk, people=[], by=alice, now=now)
    with pytest.raises(DomainError, match="one commander"):
        responding.add(incident.pk, people=[alice, charlie], role=Role.COMMANDER, by=alice, now=now)


def test_there_is_one_commander_and_taking_the_role_moves_it(incident, alice, bob, charlie, now):
    responding.add(incident.pk, people=[charlie], role=Role.COMMANDER, by=alice, now=now)
    responding.set_role(incident.pk, bob, Role.COMMANDER, by=bob, now=now + MINUTE)
    assert roles(incident) == {"Charlie": "responder", "Bob": "commander"}
    assert texts(incident, "role") == ["Charlie is commander now, says Alice.", "Bob is commander now after Charlie."]
    assert not pages(incident, bob).exists()


def test_a_role_for_somebody_who_is_not_on_it_is_refused(incident, alice, charlie, now):
    with pytest.raises(DomainError, match="Add them first"):
        responding.set_role(incident.pk, charlie, Role.SCRIBE, by=alice, now=now)


def test_whoever_was_asked_and_takes_a_role_has_joined(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    responding.set_role(incident.pk, charlie, Role.COMMANDER, by=charlie, now=now + MINUTE)
    assert roles(incident) == {"Charlie": "commander"}
    assert incident.responders.get().joined_at == now + MINUTE


def test_nobody_is_given_a_role_who_declined(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    responding.decline(incident.pk, by=charlie, now=now)
    with pytest.raises(DomainError, match="Charlie declined. Add them once more"):
        responding.set_role(incident.pk, charlie, Role.COMMANDER, by=alice, now=now)
    assert roles(incident) == {"Charlie": "responder"}
    responding.set_role(incident.pk, charlie, Role.COMMANDER, by=charlie, now=now)
    assert incident.responders.get().declined_at is None and roles(incident) == {"Charlie": "commander"}


def test_the_same_role_again_says_nothing(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    responding.set_role(incident.pk, charlie, Role.SCRIBE, by=alice, now=now)
    responding.set_role(incident.pk, charlie, Role.SCRIBE, by=alice, now=now)
    assert len(texts(incident, "role")) == 1


def test_joining_ends_the_asking(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    responding.join(incident.pk, by=charlie, now=now + MINUTE)
    responding.join(incident.pk, by=charlie, now=now + 2 * MINUTE)
    assert incident.responders.get().joined_at == now + MINUTE
    assert pages(incident, charlie).get().state == "cancelled"
    assert texts(incident, "joined") == ["Charlie joined."]


def test_answering_the_page_joins_too(incident, alice, bob, charlie, now):
    lifecycle.acknowledge(incident.pk, by=bob, now=now)
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    lifecycle.acknowledge(incident.pk, by=charlie, now=now + MINUTE)
    incident.refresh_from_db()
    assert incident.acknowledged_by == bob
    assert incident.responders.get().joined_at == now + MINUTE


def test_joining_leaves_the_pages_of_the_escalation_alone(incident, alice, bob, now):
    responding.add(incident.pk, people=[alice], by=bob, now=now)
    responding.join(incident.pk, by=alice, now=now)
    others = Notification.objects.filter(topic=incident.topic, user=alice, plan_key__contains=":r0:l1:")
    assert others.get().state == "pending"


def test_whoever_asked_hears_that_somebody_declined(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], role=Role.COMMANDER, by=alice, now=now)
    responding.decline(incident.pk, by=charlie, now=now, reason="On a train.")
    responding.decline(incident.pk, by=charlie, now=now)
    told = Notification.objects.get(user=alice, topic=incident.topic, kind="update")
    assert told.urgency == "low" and told.state == "pending"
    assert told.message["body"] == "Charlie declined. On a train. The incident has no commander now."
    assert incident.responders.get().declined_at == now and roles(incident) == {"Charlie": "responder"}
    assert pages(incident, charlie).get().state == "cancelled"


def test_somebody_whom_nobody_asked_has_nothing_to_decline(incident, charlie, now):
    with pytest.raises(DomainError, match="Nobody asked you"):
        responding.decline(incident.pk, by=charlie, now=now)


def test_taking_somebody_off_stops_the_asking(incident, alice, charlie, now):
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    responding.remove(incident.pk, charlie, by=alice, now=now)
    assert not incident.responders.exists() and pages(incident, charlie).get().state == "cancelled"
    assert texts(incident, "responder_removed") == ["Charlie was taken off by Alice."]
    with pytest.raises(NotFound, match="no responder"):
        responding.remove(incident.pk, charlie, by=alice, now=now)


def test_whoever_is_asked_sees_the_incident_of_a_private_team(service, alice, charlie, now):
    service.team.is_private = True
    service.team.save()
    home = factories.TeamFactory()
    factories.MembershipFactory(team=home, user=charlie)
    incident = lifecycle.trigger(service, title="Hidden", severity="high", now=now)
    rows = type(incident).objects.filter(pk=incident.pk)
    assert not charlie.visible(rows).exists()
    responding.add(incident.pk, people=[charlie], by=alice, now=now)
    charlie = type(charlie).objects.get(pk=charlie.pk)
    assert charlie.visible(rows).exists()
