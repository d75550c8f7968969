"""A postmortem begins with what its incidents left: sections, timeline, figures."""

import datetime as dt

import pytest

from accounts.models import AuditEntry
from core.errors import DomainError, IllegalMove, NotFound
from incidents import lifecycle
from notifications.models import Notification
from postmortems import drafting, moments
from postmortems.models import Postmortem, Wanted
from tests import factories
from tests.threads import at_once

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def outage(service, bob, now):
    """An incident that called Alice, was taken by Bob after 3 minutes, and ended after 30."""
    one = lifecycle.trigger(service, title="Checkout is down", severity="critical", by=None, now=now - 30 * MINUTE)
    Notification.objects.filter(user__name="Alice").update(state="sent", sent_at=now - 30 * MINUTE)
    lifecycle.acknowledge(one.pk, by=bob, now=now - 27 * MINUTE)
    lifecycle.edit(one.pk, impact="Nobody can pay.", by=bob, now=now - 20 * MINUTE)
    lifecycle.add_note(one.pk, text="The certificate expired.", by=bob, now=now - 10 * MINUTE, via="slack")
    return lifecycle.resolve(one.pk, by=bob, now=now, note="Renewed it.")


def test_a_postmortem_has_sections_the_timeline_and_the_figures_of_its_incident(outage, alice, bob, now):
    made = Postmortem.objects.get(pk=drafting.start([outage.pk], by=bob, now=now).pk)
    assert (made.title, made.team, made.owner, made.severity) == ("Checkout is down", outage.team, bob, "critical")
    assert (made.status, made.summary) == ("draft", "Nobody can pay.")
    assert (made.impact_began_at, made.impact_ended_at) == (outage.triggered_at, now)
    assert [one.title for one in made.sections.all()] == [title for title, _ in drafting.DEFAULT]
    assert all(one.help and one.revisions.get().version == 1 for one in made.sections.all())
    said = {one.text: one.source for one in made.moments.all()}
    assert said["Bob: The certificate expired."] == "chat"
    assert said["Resolved by Bob. Renewed it."] == "entry"
    assert any(source == "notification" and text.startswith("Alice was paged") for text, source in said.items())
    assert made.figures["mtta_seconds"] == 180 and made.figures["mttr_seconds"] == 1800
    assert made.figures["people_paged"] == [{"name": "Alice", "count": 1}]
    (entry,) = AuditEntry.objects.filter(kind="postmortems.postmortem", verb="created")
    assert entry.actor == bob and entry.text == f"About #{outage.pk}."


def test_the_incident_says_that_somebody_writes_and_its_postmortem_does_not_repeat_it(outage, bob, now):
    made = drafting.start([outage.pk], by=bob, now=now)
    assert outage.timeline.filter(kind="postmortem").get().text == "Bob began a postmortem."
    moments.redraw(made.pk, by=bob, now=now)
    assert not made.moments.filter(text__contains="began a postmortem").exists()


def test_several_incidents_make_one_postmortem_of_the_worst_of_them(outage, service, bob, now):
    other = factories.IncidentFactory(
        service=service, severity="low", title="Slow", triggered_at=now - 90 * MINUTE, resolved_at=None
    )
    made = drafting.start([other.pk, outage.pk], by=bob, now=now)
    assert (made.title, made.severity, made.figures["incidents"]) == ("Slow and 1 more", "critical", 2)
    assert (made.impact_began_at, made.impact_ended_at) == (other.triggered_at, None)


def test_a_template_of_the_team_comes_before_that_for_everybody(outage, team, bob, now):
    everybody = factories.PostmortemTemplateFactory(is_default=True)
    factories.TemplateSectionFactory(template=everybody, title="For all")
    own = factories.PostmortemTemplateFactory(is_default=True, team=team)
    factories.TemplateSectionFactory(template=own, title="Ours", help="Which?", body="- one", position=2)
    factories.TemplateSectionFactory(template=own, title="First", body="", position=1)
    strange = factories.PostmortemTemplateFactory(team=factories.TeamFactory())
    with pytest.raises(DomainError, match="another team"):
        drafting.start([outage.pk], template=strange, by=bob, now=now)
    made = drafting.start([outage.pk], by=bob, now=now)
    assert [(one.title, one.body) for one in made.sections.all()] == [("First", ""), ("Ours", "- one")]
    assert made.template == own


def test_the_same_incidents_are_not_written_about_twice_until_the_first_is_archived(outage, bob, now):
    made = drafting.start([outage.pk], by=bob, now=now)
    with pytest.raises(IllegalMove, match=f"PM-{made.pk} is about #{outage.pk} already"):
        drafting.start([outage.pk], by=bob, now=now)
    Postmortem.objects.update(status="archived", archived_at=now)
    assert drafting.start([outage.pk], by=bob, now=now).pk != made.pk


@pytest.mark.django_db(transaction=True)
def test_two_who_begin_at_one_moment_begin_one(outage, alice, bob, now):
    outcomes = at_once(
        lambda: drafting.start([outage.pk], by=alice, now=now), lambda: drafting.start([outage.pk], by=bob, now=now)
    )
    assert {type(one) for one in outcomes} == {Postmortem, IllegalMove}
    assert Postmortem.objects.count() == 1


@pytest.mark.parametrize(("numbers", "error"), [([], DomainError), ([987_654], NotFound), (range(1, 60), DomainError)])
def test_incidents_that_cannot_be_written_about_are_refused(numbers, error, bob, now):
    with pytest.raises(error):
        drafting.start(numbers, by=bob, now=now)
    assert not Postmortem.objects.exists()


def test_what_is_hidden_from_somebody_is_none_of_their_postmortems(outage, team, charlie, bob, now):
    team.is_private = True
    team.save()
    with pytest.raises(NotFound):
        drafting.start([outage.pk], by=charlie, now=now)
    open_team = factories.TeamFactory()
    factories.MembershipFactory(team=open_team, user=bob)
    with pytest.raises(DomainError, match="private team"):
        drafting.start([outage.pk], team=open_team, by=bob, now=now)


def test_another_incident_comes_in_with_its_timeline_and_goes_with_it(outage, service, bob, now):
    made = drafting.start([outage.pk], by=bob, now=now)
    other = lifecycle.trigger(service, title="Search is slow", severity="low", by=bob, now=now - 60 * MINUTE)
    other = lifecycle.resolve(other.pk, by=bob, now=now + 5 * MINUTE)
    made = drafting.add_incident(made.pk, other.pk, by=bob, now=now)
    assert (made.impact_began_at, made.impact_ended_at) == (other.triggered_at, other.resolved_at)
    assert made.figures["incidents"] == 2 and made.version == 2
    kept, *gone = made.moments.filter(incident=other.pk)
    moments.change(kept.uuid, text="In my words.", by=bob, now=now)
    assert gone
    made = drafting.remove_incident(made.pk, other.pk, by=bob, now=now)
    assert made.moments.get(incident=other.pk).text == "In my words."
    assert made.impact_began_at == outage.triggered_at and made.figures["incidents"] == 1
    with pytest.raises(IllegalMove, match="this incident alone"):
        drafting.remove_incident(made.pk, outage.pk, by=bob, now=now)


def test_times_that_somebody_set_stay_when_incidents_come_and_go(outage, service, bob, now):
    made = drafting.start([outage.pk], by=bob, now=now)
    Postmortem.objects.update(impact_began_at=now - 25 * MINUTE)
    other = factories.IncidentFactory(service=service, triggered_at=now - 60 * MINUTE)
    made = drafting.add_incident(made.pk, other.pk, by=bob, now=now)
    assert (made.impact_began_at, made.impact_ended_at) == (now - 25 * MINUTE, now)


def test_whoever_begins_is_reminded_no_more(outage, bob, now):
    assert Wanted.objects.get(incident=outage).due_at
    drafting.start([outage.pk], by=bob, now=now)
    assert Wanted.objects.get(incident=outage).due_at is None
