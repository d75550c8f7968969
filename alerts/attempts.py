"""A transaction that begins again: when something changed under it, and without a part of ours that broke."""

import logging

from django.db import transaction

logger = logging.getLogger(__name__)

TRIES = 3


class Changed(Exception):
    """Something that the transaction relied on has changed: decide again."""


class Broken(Exception):
    """A part that shapes noise has failed. `part` names it: begin again without it."""

    def __init__(self, part):
        super().__init__(f"{part} failed")
        self.part = part


def attempt(work):
    """`work(without)` in a transaction of its own. It raises Changed when it was overtaken each time.

    `without` is `{part: error}` of those that have failed; see `guarded`.
    """
    without, tries = {}, 0
    while True:
        try:
            with transaction.atomic():
                return work(without)
        except Broken as broken:
            if broken.part in without:
                raise
            without[broken.part] = broken.__cause__
        except Changed:
            tries += 1
            if tries == TRIES:
                raise


def guarded(part, without, call, *args, **kwargs):
    """What `call` gives, or None when this part has failed before. Raises Broken: begin again without it.

    Routing and quiet are there to shape noise; without them everything pages. An error of the database ends the
    transaction, so there is no going on inside it.
    """
    if part in without:
        return None
    try:
        return call(*args, **kwargs)
    except Exception as error:
        logger.warning("Deciding goes on without %s.", part, exc_info=True)
        raise Broken(part) from error
