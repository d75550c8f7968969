"""Alarms: one open row per key, and the admins are told once."""

import pytest

from accounts.models import Role
from notifications import alarms
from notifications.models import Alarm, Notification
from tests.notifications.conftest import NOW, after, make_method, make_person

pytestmark = pytest.mark.django_db


def test_a_new_alarm_pages_every_active_admin(admin, bob, caplog):
    boss = make_person("Boss", role=Role.ADMIN)
    left = make_person("Left", role=Role.ADMIN, is_active=False)
    for person in (admin, boss, left, bob):
        make_method(person)
    alarms.raise_alarm("worker", "No worker runs.", now=NOW)
    alarm = Alarm.objects.get()
    rows = Notification.objects.filter(topic=f"alarm:{alarm.pk}")
    assert {row.user for row in rows} == {admin, boss}
    assert {row.urgency for row in rows} == {"high"}
    assert "No worker runs." in caplog.text


def test_an_open_alarm_is_counted_and_not_paged_again(admin):
    make_method(admin)
    for minutes in range(3):
        alarms.raise_alarm("worker", f"No worker for {minutes} min.", now=after(minutes=minutes))
    alarm = Alarm.objects.get()
    assert (alarm.count, alarm.raised_at, alarm.last_at) == (3, NOW, after(minutes=2))
    assert alarm.text == "No worker for 2 min."
    assert Notification.objects.count() == 1


def test_a_cleared_alarm_may_be_raised_anew(admin):
    make_method(admin)
    alarms.raise_alarm("worker", "No worker runs.", now=NOW)
    alarms.clear_alarm("worker", now=after(minutes=1))
    alarms.clear_alarm("worker", now=after(minutes=2))
    alarms.raise_alarm("worker", "No worker runs.", now=after(minutes=3))
    assert [alarm.cleared_at for alarm in Alarm.objects.order_by("pk")] == [after(minutes=1), None]
    assert Notification.objects.count() == 2


def test_an_alarm_without_an_admin_to_tell_is_logged(caplog):
    alarms.raise_alarm("worker", "No worker runs.", now=NOW)
    assert Alarm.objects.count() == 1
    assert "No admin could be paged" in caplog.text


def test_a_long_key_is_cut(db):
    alarms.raise_alarm("k" * 500, "Long.", now=NOW)
    alarms.raise_alarm("k" * 500, "Long.", now=NOW)
    alarms.clear_alarm("k" * 500, now=NOW)
    assert Alarm.objects.get().cleared_at == NOW


def test_alarms_that_start_alike_are_cleared_together(db):
    keys = ["tests:a_%:1", "tests:a_%:2", "tests:abc:1", "tests:a_%", "other:tests:a_%:1"]
    for key in keys:
        alarms.raise_alarm(key, "Something is wrong.", now=NOW)
    alarms.clear_alarm("tests:a_%:2", now=after(minutes=1))
    alarms.clear_prefix("tests:a_%:", now=after(minutes=2))
    assert {alarm.key: alarm.cleared_at for alarm in Alarm.objects.all()} == {
        "tests:a_%:1": after(minutes=2),
        "tests:a_%:2": after(minutes=1),
        "tests:abc:1": None,
        "tests:a_%": None,
        "other:tests:a_%:1": None,
    }


@pytest.mark.logs_errors
def test_raising_an_alarm_never_raises(db):
    alarms.raise_alarm("worker", "No time is given.", now=None)
    assert not Alarm.objects.exists()
    alarms.raise_alarm("worker", "The transaction goes on.", now=NOW)
    assert Alarm.objects.count() == 1
