"""A chat of ours: it changes its messages in place, and keeps what was said there."""

import contextlib

from notifications.channels.base import Accepted, Channel
from notifications.models import channels


class Board(Channel):
    kind, label = "tests_board", "Board"
    is_for_teams = can_update = True
    said = []  # (title, the data of the message that it changes)

    def send(self, address, outgoing):
        self.said.append((outgoing.message.title, outgoing.previous))
        return Accepted(f"id{len(self.said)}", data={"ts": len(self.said)})


class Voice(Board):
    """It calls and has nothing more to say."""

    kind, label = "tests_voice", "Voice"
    tells_changes = can_update = False


@contextlib.contextmanager
def board():
    """Both are channels for a while."""
    found, ours = channels.classes(), {cls.kind: cls for cls in (Board, Voice)}
    Board.said.clear()
    found.update(ours)
    yield Board
    for kind in ours:
        del found[kind]
