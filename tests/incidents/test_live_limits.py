"""How many live pages one person and one address may have open."""

import asyncio

import pytest

from incidents import live
from tests.incidents.test_live import PATIENCE, Talk, _stop_pump, key_of, short_lived  # noqa: F401  (a fixture)


async def opened(talks):
    """Open these one after the other; the close codes of those that were refused."""
    sockets, codes = [], []
    for talk in talks:
        sockets.append(talk.run())
        async with asyncio.timeout(PATIENCE):  # it is accepted, and then told something or closed
            while len(talk.said) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        codes.append(talk.said[1].get("code"))
    return sockets, codes


async def closed(talks, sockets):
    for talk in talks:
        talk.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await asyncio.wait_for(asyncio.gather(*sockets), PATIENCE)


def of(key, address="198.51.100.1"):
    talk = Talk(key)
    talk.scope["client"] = (address, 4711)
    return talk


@pytest.mark.usefixtures("short_lived")
def test_one_page_too_many_is_refused_and_a_closed_one_makes_room(settings, alice, bob):
    settings.SOCKETS_PER_PERSON = 2
    keys = key_of(alice), key_of(alice), key_of(alice), key_of(bob)

    async def journey():
        talks = [of(key) for key in keys]
        sockets, codes = await opened(talks)
        await closed(talks, sockets)
        again = [of(keys[0])]
        sockets, after = await opened(again)
        await closed(again, sockets)
        await _stop_pump()
        return codes, after

    assert asyncio.run(journey()) == ([None, None, live.TOO_MANY, None], [None])
    assert not live._open


@pytest.mark.usefixtures("short_lived")
def test_one_address_has_so_many_whoever_they_are_and_another_its_own(settings, alice, bob, charlie):
    settings.SOCKETS_PER_ADDRESS = 2
    keys = key_of(alice), key_of(bob), key_of(charlie)

    async def journey():
        talks = [*(of(key, "2001:db8::1") for key in keys), of(keys[2], "2001:db8:0:1::1")]
        sockets, codes = await opened(talks)
        await closed(talks, sockets)
        await _stop_pump()
        return codes

    assert asyncio.run(journey()) == [None, None, live.TOO_MANY, None]
