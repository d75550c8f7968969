"""The timeline of a postmortem: drawn, picked, reworded, and never lost."""

import datetime as dt

import pytest

from core.errors import DomainError, IllegalMove, NotFound
from incidents import lifecycle
from notifications.models import Notification
from postmortems import drafting, moments
from postmortems.models import Moment
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def made(service, bob, now):
    """The postmortem of an incident that goes on, after one alert and a deployment."""
    began = now - 30 * MINUTE
    one = lifecycle.trigger(service, title="Checkout is down", severity="critical", by=None, now=began)
    factories.AlertFactory(service=service, incident=one, title="Errors", first_at=began - MINUTE)
    factories.ChangeEventFactory(service=service, title="Deployed 2.1", at=began - 10 * MINUTE)
    return drafting.start([one.pk], by=bob, now=now)


def lines(postmortem, **which):
    return list(postmortem.moments.filter(**which).values_list("source", "text"))


def test_alerts_and_changes_stand_among_the_entries_by_their_own_time(made):
    drawn = [(source, text) for source, text in lines(made) if source != "notification"]
    assert drawn[:3] == [
        ("change", "Change of Checkout: Deployed 2.1"),
        ("alert", "Alert: Errors (critical)"),
        ("entry", made.incidents.get().timeline.order_by("id").first().text),
    ]


def test_an_alert_that_ended_by_itself_says_when_and_one_that_ended_with_its_incident_does_not(service, bob, now):
    one = factories.IncidentFactory(service=service)
    factories.AlertFactory(service=service, incident=one, title="A", resolved_at=now, resolved_why="it said so")
    factories.AlertFactory(
        service=service, incident=one, title="B", resolved_at=now, resolved_why="its incident was resolved"
    )
    made = drafting.start([one.pk], by=bob, now=now)
    assert [text for _, text in lines(made, source="alert") if "over" in text] == ["Alert over: A (it said so)"]


def test_of_a_storm_of_alerts_the_first_hundred_stand_and_the_rest_is_counted(service, bob, now):
    one = factories.IncidentFactory(service=service)
    for place in range(103):
        factories.AlertFactory(service=service, incident=one, title=f"A{place}", first_at=now - (200 - place) * MINUTE)
    made = drafting.start([one.pk], by=bob, now=now)
    told = [text for _, text in lines(made, source="alert")]
    assert len(told) == 101 and told[-1] == "3 more alerts from here on." and told[99].startswith("Alert: A99")


def test_changes_of_what_it_needs_are_told_and_those_of_a_private_team_are_not(service, bob, now):
    needed = factories.DependencyFactory(service=service).needs
    factories.ChangeEventFactory(service=needed, title="Of the database")
    secret = factories.ServiceFactory(team=factories.TeamFactory(is_private=True))
    factories.DependencyFactory(service=needed, needs=secret)
    factories.ChangeEventFactory(service=secret, title="Secret")
    factories.ChangeEventFactory(service=None, title="Of all")
    factories.ChangeEventFactory(service=factories.ServiceFactory(), title="Of others")
    one = factories.IncidentFactory(service=service)
    made = drafting.start([one.pk], by=bob, now=now)
    assert {text for _, text in lines(made, source="change")} == {
        f"Change of {needed.name}: Of the database",
        "Change: Of all",
    }


def test_drawing_again_brings_what_is_new_and_leaves_what_people_did(made, bob, now):
    alert, change = made.moments.get(source="alert"), made.moments.get(source="change")
    moments.change(alert.uuid, text="The shop failed.", by=bob, now=now)
    moments.change(change.uuid, is_shown=False, by=bob, now=now)
    own = moments.add(made.pk, at=now, text=" A customer called. ", by=bob, now=now)
    count = made.moments.count()
    lifecycle.add_note(made.incidents.get().pk, text="Rolled back.", by=bob, now=now)
    moments.redraw(made.pk, by=bob, now=now)
    moments.redraw(made.pk, by=bob, now=now)
    assert made.moments.count() == count + 1
    alert.refresh_from_db()
    change.refresh_from_db()
    assert (alert.text, alert.said) == ("The shop failed.", "Alert: Errors (critical)") and alert.is_reworded
    assert not change.is_shown and change.changed_by == bob
    assert Moment.objects.get(pk=own.pk).text == "A customer called."
    assert moments.put_back(alert.uuid, by=bob, now=now).text == "Alert: Errors (critical)"


def test_a_page_that_arrived_since_is_told_as_it_is_now_unless_somebody_reworded_it(made, bob, now):
    page = made.moments.filter(source="notification").first()
    Notification.objects.filter(pk=page.reference.partition(":")[2]).update(
        state="delivered", sent_at=now - 20 * MINUTE
    )
    moments.redraw(made.pk, by=bob, now=now)
    page.refresh_from_db()
    assert "(delivered)" in page.text and page.at == now - 20 * MINUTE
    moments.change(page.uuid, text="Alice knew.", by=bob, now=now)
    Notification.objects.filter(pk=page.reference.partition(":")[2]).update(state="failed", reason="No line.")
    moments.redraw(made.pk, by=bob, now=now)
    page.refresh_from_db()
    assert page.text == "Alice knew." and "(failed: No line.)" in page.said


def test_what_was_drawn_keeps_its_time_and_is_hidden_rather_than_removed(made, bob, now):
    drawn = made.moments.exclude(source="own").first()
    with pytest.raises(IllegalMove, match="Hide it"):
        moments.change(drawn.uuid, at=now, by=bob, now=now)
    with pytest.raises(IllegalMove, match="Hide it"):
        moments.remove(drawn.uuid, by=bob, now=now)
    own = moments.add(made.pk, at=now, text="Mine", by=bob, now=now)
    assert moments.change(own.uuid, at=now - MINUTE, by=bob, now=now).at == now - MINUTE
    with pytest.raises(IllegalMove, match="by hand"):
        moments.put_back(own.uuid, by=bob, now=now)
    moments.remove(own.uuid, by=bob, now=now)
    with pytest.raises(NotFound):
        moments.remove(own.uuid, by=bob, now=now)


@pytest.mark.parametrize(
    "values", [{"text": " \0 "}, {"text": "x" * 2001}, {"at": dt.datetime(1, 1, 1, tzinfo=dt.UTC)}]
)
def test_a_line_that_cannot_be_read_is_refused(values, made, bob, now):
    with pytest.raises(DomainError):
        moments.add(made.pk, **({"at": now, "text": "x"} | values), by=bob, now=now)
    assert not made.moments.filter(source="own").exists()


def test_nothing_of_an_archived_postmortem_changes(made, bob, now):
    type(made).objects.update(status="archived", archived_at=now)
    with pytest.raises(IllegalMove, match="archived"):
        moments.redraw(made.pk, by=bob, now=now)
    with pytest.raises(IllegalMove, match="archived"):
        moments.change(made.moments.first().uuid, is_shown=False, by=bob, now=now)
