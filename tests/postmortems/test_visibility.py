"""Who reads which postmortem: always, and not only while a team is private."""

import pytest

from accounts import roles
from accounts.models import Role
from accounts.permissions import may, visible
from catalog.models import Service
from notifications.models import Notification
from postmortems.models import Moment, Postmortem, Revision, Template
from tests import factories


@pytest.fixture
def people(team, alice, bob, charlie):
    """Who there is, by what they are to the team."""
    observer = factories.UserFactory(name="Olga", role=Role.OBSERVER)
    owner, reviewer = factories.UserFactory(name="Owner"), factories.UserFactory(name="Reviewer")
    return {
        "admin": factories.UserFactory(name="Root", role=Role.ADMIN),
        "member": bob,
        "stranger": charlie,
        "observer": observer,
        "owner": owner,
        "reviewer": reviewer,
    }


def written(team, people, **fields):
    made = factories.PostmortemFactory(team=team, owner=people["owner"], **fields)
    factories.ReviewFactory(postmortem=made, user=people["reviewer"])
    factories.SectionFactory(postmortem=made)
    factories.MomentFactory(postmortem=made)
    return made


def readers(made, people):
    """Who sees the row and what belongs to it; all ways to ask have to agree."""
    found = set()
    for name, person in people.items():
        sees = visible(Postmortem.objects.all(), person).filter(pk=made.pk).exists()
        assert may(person, "read", made) is sees
        assert visible(Moment.objects.all(), person).exists() is sees
        assert visible(Revision.objects.all(), person).exists() is sees
        assert may(person, "read", made.moments.get()) is sees
        found |= {name} if sees else set()
    return found


INSIDE = {"admin", "member", "owner", "reviewer"}
ALL = INSIDE | {"stranger", "observer"}


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({"status": "draft"}, INSIDE),
        ({"status": "in_review"}, INSIDE),
        ({"status": "published"}, ALL),
        ({"status": "published", "visibility": "team"}, INSIDE),
        ({"status": "archived"}, INSIDE),
        ({"status": "archived", "published_at": factories.NOW}, ALL),
        ({"status": "archived", "published_at": factories.NOW, "visibility": "team"}, INSIDE),
    ],
    ids=lambda one: "everybody" if one is ALL else "inside" if one is INSIDE else str(one),
)
def test_a_draft_and_what_is_for_the_team_is_read_by_few(fields, who, team, people):
    assert readers(written(team, people, **fields), people) == who


def test_in_a_private_team_nobody_else_reads_even_when_they_were_asked(team, people):
    team.is_private = True
    team.save()
    assert readers(written(team, people, status="published"), people) == {"admin", "member"}


def test_what_somebody_cannot_see_they_cannot_change_and_readers_change_as_their_role_says(team, people):
    draft = written(team, people, status="draft")
    assert not may(people["stranger"], "respond", draft)
    assert may(people["member"], "respond", draft) and may(people["reviewer"], "respond", draft)
    assert may(people["admin"], "configure", draft)
    published = written(factories.TeamFactory(), people, status="published")
    assert may(people["observer"], "read", published) and not may(people["observer"], "respond", published)


def test_a_key_of_a_team_reads_the_postmortems_of_that_team_only(team, people):
    other = factories.TeamFactory()
    for one in (team, other):
        written(one, people, status="published")
    key = people["admin"]
    key.remember_access(roles.within(roles.EVERYTHING, team.pk, [team.pk, other.pk]))
    assert {one.team for one in visible(Postmortem.objects.all(), key)} == {team}


def test_nothing_is_added_for_rows_that_have_no_readers_of_their_own(people, django_assert_num_queries):
    for model in (Service, Template):
        rows = model.objects.all()
        assert visible(rows, people["stranger"]) is rows
    service = factories.ServiceFactory()
    with django_assert_num_queries(1):  # the roles of the person
        assert may(people["stranger"], "read", service)


def test_lines_of_an_incident_that_became_private_since_are_hidden_from_others(team, service, people):
    published = written(factories.TeamFactory(), people, status="published")
    factories.MomentFactory(postmortem=published, incident=factories.IncidentFactory(service=service), text="Secret")
    for is_private, count in ((False, 2), (True, 1)):
        team.is_private = is_private
        team.save()
        assert visible(published.moments.all(), people["stranger"]).count() == count
        assert visible(published.moments.all(), people["member"]).count() == 2


def told(topic, person):
    method = person.contact_methods.first() or factories.ContactMethodFactory(user=person)
    return factories.NotificationFactory(topic=topic, user=person, contact_method=method)


def test_a_message_about_a_postmortem_is_seen_by_those_who_read_it(team, people):
    draft = written(team, people, status="draft")
    own = told(draft.topic, people["stranger"])
    other = told(draft.topic, people["owner"])
    factories.NotificationFactory(topic="incident:3")
    for name, person in people.items():
        seen = set(visible(Notification.objects.filter(topic=draft.topic), person))
        assert seen == ({own, other} if name in INSIDE else {own} if name == "stranger" else set())
        assert may(person, "read", other) is (name in INSIDE)
        assert visible(Notification.objects.filter(topic="incident:3"), person).count() == 1


def test_a_reminder_about_an_incident_of_a_private_team_is_hidden_from_others(team, service, people):
    team.is_private = True
    team.save()
    one = factories.IncidentFactory(service=service)
    told(f"postmortem-wanted:{one.pk}", people["member"])
    seeing = {name for name, person in people.items() if visible(Notification.objects.all(), person).exists()}
    assert seeing == {"admin", "member"}
