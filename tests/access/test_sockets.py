"""The access matrix of the live socket, the only one there is: which incidents it names to whom."""

import asyncio
import json

import pytest
from django.db import connections

from incidents import timeline
from tests import factories
from tests.access import asking, stage
from tests.incidents.test_live import PATIENCE, Talk, _stop_pump, key_of

# As in test_api.py: `-` sign in first, `0` never named, `y` named. Everybody who may come in may read.
HEARS = {"own": "-yyyyy", "other": "-yyyyy", "private": "-0000y"}
NOBODY = "no-such-session"


@pytest.fixture
def short_lived(transactional_db, monkeypatch):
    """Connections of other threads end with their work, so that the test's database can be dropped."""
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)


async def _named(key):
    """The incidents that a page is told of that comes back; None when it was not let in."""
    talk = Talk(key)
    talk.scope["query_string"] = b"since=0"
    task = talk.run()
    async with asyncio.timeout(PATIENCE):
        while not task.done() and not any(one["type"] == "websocket.send" for one in talk.said):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    said = [json.loads(one["text"]) for one in talk.said if one["type"] == "websocket.send"]
    if not task.done():
        talk.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(task, PATIENCE)
        await _stop_pump()
    return set(said[0]["incidents"]) if said else None


def test_the_socket_names_to_everybody_what_the_table_says(short_lived):
    teams = {name: factories.TeamFactory(name=name, is_private=name == "private") for name in asking.TEAMS}
    people = stage.people(teams["own"])
    numbers = {}
    for name, team in teams.items():
        incident = factories.IncidentFactory(service__team=team)
        timeline.record(incident, "note", "Seen.", at=incident.triggered_at, via="web")
        numbers[name] = incident.pk
    found = dict.fromkeys(asking.TEAMS, "")
    for actor in stage.ACTORS:
        heard = asyncio.run(_named(key_of(people[actor]) if people[actor] else NOBODY))
        for name, number in numbers.items():
            found[name] += "-" if heard is None else "y" if number in heard else "0"
    assert found == HEARS
