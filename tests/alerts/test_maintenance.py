"""What people do with maintenance windows."""

import datetime as dt

import pytest

from alerts import maintenance
from alerts.models import MaintenanceWindow
from core.errors import DomainError, IllegalMove
from tests import factories

MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (60, 3600, 86400))


@pytest.fixture
def plan(alice, service, now):
    """A function that plans an hour of work on Checkout, by Alice."""

    def create(**values):
        values = {
            "name": "Database upgrade",
            "starts_at": now,
            "ends_at": now + HOUR,
            "services": [service],
            "by": alice,
            "now": now,
            **values,
        }
        return maintenance.create(**values)

    return create


def held_by(window):
    return factories.AlertFactory(held_by=maintenance.by_of(window))


def rechecked(alert):
    alert.refresh_from_db()
    return alert.recheck_at


def test_a_window_is_planned_open_disabled_and_over(plan, alice, now):
    window = plan(starts_at=now + HOUR, ends_at=now + 2 * HOUR)
    assert window.owner == alice and [one.name for one in window.services.all()] == ["Checkout"]
    assert maintenance.state(window, now) == "planned"
    assert maintenance.state(window, now + HOUR) == "open"
    assert maintenance.state(window, now + 2 * HOUR) == "over"
    maintenance.enable(window.pk, is_enabled=False, by=alice, now=now)
    window.refresh_from_db()
    assert maintenance.state(window, now + HOUR) == "disabled"


def test_a_window_that_repeats_is_planned_again_after_each_time(plan, now):
    window = plan(rrule="FREQ=WEEKLY", time_zone="Europe/Berlin")
    assert maintenance.state(window, now + HOUR) == "planned"
    assert maintenance.coming(window, now + HOUR, count=1) == [(now + 7 * DAY, now + 7 * DAY + HOUR)]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"name": ""}, "name_required"),
        ({"services": []}, "means_nothing"),
        ({"services": [], "condition": 'title =~ ".*"'}, "matches_everything"),
        ({"condition": "("}, "condition"),
        ({"ends_at": factories.NOW}, "ends_before_it_starts"),
        ({"starts_at": factories.NOW - 2 * HOUR, "ends_at": factories.NOW - HOUR}, "never_open"),
        ({"ends_at": factories.NOW + 367 * DAY}, "too_long"),
        ({"ends_at": factories.NOW + 32 * DAY, "rrule": "FREQ=YEARLY"}, "too_long"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"rrule": "FREQ=DAILY;UNTIL=20200101"}, "never_open"),
    ],
)
def test_what_makes_no_sense_is_refused(plan, values, code):
    with pytest.raises(DomainError) as refused:
        plan(**values)
    assert refused.value.code == code and not MaintenanceWindow.objects.exists()


def test_everything_can_be_held_when_it_is_confirmed(plan):
    assert plan(services=[], condition='title =~ ".*"', everything=True)


def test_editing_looks_again_at_what_it_holds(plan, service, alice, now):
    window = plan()
    alert, other = held_by(window), factories.ServiceFactory()
    maintenance.edit(
        window.pk,
        name="Network",
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        services=[other],
        teams=[service.team],
        reason="Switches",
        by=alice,
        now=now + MINUTE,
    )
    window.refresh_from_db()
    assert (window.name, window.reason) == ("Network", "Switches")
    assert list(window.services.all()) == [other] and list(window.teams.all()) == [service.team]
    assert rechecked(alert) == now + MINUTE


def test_disabling_and_ending_free_what_it_held(plan, alice, now):
    window = plan()
    alert = held_by(window)
    maintenance.enable(window.pk, is_enabled=False, by=alice, now=now + MINUTE)
    assert rechecked(alert) == now + MINUTE
    maintenance.end(window.pk, by=alice, now=now + 2 * MINUTE)
    assert rechecked(alert) == now + 2 * MINUTE
    window.refresh_from_db()
    assert maintenance.state(window, now) == "over" and maintenance.coming(window, now) == []
    for verb, values in ((maintenance.end, {}), (maintenance.enable, {"is_enabled": True})):
        with pytest.raises(IllegalMove, match="was ended"):
            verb(window.pk, by=alice, now=now, **values)


def test_a_broken_rule_that_is_stored_shows_no_times(db, now):
    window = factories.MaintenanceWindowFactory(rrule="FREQ=NEVER")
    assert maintenance.coming(window, now) == [] and maintenance.state(window, now) == "over"
