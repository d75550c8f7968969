"""Pieces of pages that are drawn once: what runs in them is of now, whoever sees them."""

import dataclasses
import datetime as dt

import pytest
from django.template import Context, Template

from core import drawn

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@dataclasses.dataclass(frozen=True)
class Job:
    """What templates/incidents/_job.html shows."""

    number: int = 7
    title: str = "<b>Checkout</b> is down"
    service: str = "Checkout"
    team: str = "Shop"
    severity: tuple = ("critical", "Critical")
    status: tuple = ("triggered", "Triggered")
    priority: str = "P1"
    assignee_id: int | None = None
    assignee: str = ""
    standing: str = "1 0.1"
    triggered_at: dt.datetime = NOW - 3 * MINUTE
    snoozed_until: dt.datetime | None = None
    next_at: dt.datetime | None = NOW + 2 * MINUTE
    level: int = 1
    called: tuple = ("Bob",)
    is_over: bool = False
    fuse: int | None = 300
    may_respond: bool = True


def shown(one, *, now=NOW, zone="UTC", token="abc"):
    page = Template('{% load pages %}{% drawn "incidents/_job.html" one %}')
    return page.render(Context({"one": one, "now": now, "zone": zone, "csrf_token": token}))


@pytest.fixture(autouse=True)
def fresh():
    drawn._drawing.cache_clear()


def test_times_run_although_the_piece_is_drawn_once():
    assert ">3 m 0 s</time>" in shown(Job()) and ">in 2 m 0 s</time>" in shown(Job())
    later = shown(Job(), now=NOW + MINUTE)
    assert ">4 m 0 s</time>" in later and ">in 1 m 0 s</time>" in later and 'value="60"' in later
    assert drawn._drawing.cache_info().misses == 1


def test_each_reader_has_a_token_of_their_own():
    assert 'value="abc"' in shown(Job())
    other = shown(Job(), token="xyz")
    assert 'value="xyz"' in other and "abc" not in other


def test_nothing_of_a_drawing_is_left_open():
    assert "\0" not in shown(Job())


def test_it_is_drawn_anew_when_what_it_shows_changes():
    assert "Bob" in shown(Job())
    taken = shown(Job(status=("acknowledged", "Acknowledged"), assignee="Alice", next_at=None, called=()))
    assert "Alice" in taken and "Bob" not in taken


def test_readers_of_other_zones_read_their_own_time():
    assert "12:02:00 UTC" in shown(Job())
    assert "14:02:00 CEST" in shown(Job(), zone="Europe/Berlin")


def test_what_people_wrote_is_escaped():
    assert "&lt;b&gt;Checkout&lt;/b&gt; is down" in shown(Job())
