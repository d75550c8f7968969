"""Ask each address as each actor for each team, and write down what came of it as the table does."""

from django.db import transaction

from core import limits
from tests.access.stage import ACTORS

TEAMS = ("own", "other", "private")


class Undo(Exception):
    """Ends a transaction, so that one question does not change the answer to the next."""


def letter(answer):
    """`-` sign in first, `x` refused, `0` not there, `b` the body was not taken, `y` everything else."""
    if answer.status_code == 401 or (answer.status_code == 302 and answer["Location"].startswith("/login")):
        return "-"
    return {403: "x", 404: "0", 400: "b"}.get(answer.status_code, "y" if answer.status_code < 500 else "!")


def row(ask, people, teams, names=TEAMS):
    """What a table's row says: `{team: "-xyyyy"}`, a letter for each actor. `ask(person, team) -> response`."""
    return {name: "".join(_one(ask, people[actor], teams[name]) for actor in ACTORS) for name in names}


def _one(ask, person, team):
    limits.forget()
    try:
        with transaction.atomic():
            found = letter(ask(person, team))
            raise Undo
    except Undo:
        return found


def differences(key, found, wanted):
    """Sentences about each team for which the table says something else."""
    return [
        f"{key}, {name}: {found[name]}, and the table says {wanted[name]}"
        for name in found
        if found[name] != wanted[name]
    ]
