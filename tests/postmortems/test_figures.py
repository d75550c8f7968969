"""What a postmortem says in numbers."""

import datetime as dt

from postmortems.figures import Call, Work, compute
from tests.factories import NOW

MINUTE = dt.timedelta(minutes=1)


def call(key, person, name, minutes):
    return Call(key, person, name, NOW + minutes * MINUTE)


def test_times_are_the_mean_over_the_incidents_that_have_them():
    works = [
        Work(NOW, NOW + 2 * MINUTE, NOW + 10 * MINUTE),
        Work(NOW, NOW + 4 * MINUTE, NOW + 20 * MINUTE),
        Work(NOW, None, None),
    ]
    found = compute(works, [], impact_began_at=NOW - 5 * MINUTE, impact_ended_at=NOW + 20 * MINUTE)
    assert found == {
        "incidents": 3,
        "mtta_seconds": 180,
        "mttr_seconds": 900,
        "impact_seconds": 1500,
        "pages": 0,
        "people_paged": [],
        "first_page_at": None,
    }


def test_what_has_not_happened_yet_has_no_figure():
    found = compute([Work(NOW, None, None)], [], impact_began_at=NOW, impact_ended_at=None)
    assert found["mtta_seconds"] is found["mttr_seconds"] is found["impact_seconds"] is None


def test_a_page_on_three_channels_is_one_page_and_two_people_of_one_name_are_two():
    calls = [
        call("p1:u1", 1, "Bob", 3),
        call("p1:u1", 1, "Bob", 1),
        call("p1:u1", 1, "Bob", 2),
        call("p2:u2", 2, "Bob", 5),
        call("p2:u3", 3, "Alice", 5),
        call("p3:u3", 3, "Alice", 9),
    ]
    found = compute([Work(NOW, None, None)], calls, impact_began_at=NOW, impact_ended_at=None)
    assert found["pages"] == 4
    assert found["people_paged"] == [
        {"name": "Alice", "count": 2},
        {"name": "Bob", "count": 1},
        {"name": "Bob", "count": 1},
    ]
    assert found["first_page_at"] == "2026-06-01T12:01:00Z"
