"""Pieces of pages that are drawn once and kept: a row of a list, an entry of a timeline.

A piece is a template and one value, frozen and hashable, that holds all that the template shows as `one`. Whoever sees
the same gets the same piece. What runs is put in each time: the words of `{% since %}`, the number of
`{% seconds_left %}`, and the token of forms.
"""

import datetime as dt
import functools
import re

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

KEPT = 10_000
# A gap in a drawing stands between characters that no text of ours can have: PostgreSQL keeps none of them.
TOKEN = mark_safe("\0token\0")
_GAP = re.compile(r"\0([a-z]+) ?([-0-9.]*)\0")


def gap(kind, at):
    """What a tag writes into a drawing in place of words that depend on the time of day."""
    return f"\0{kind} {at.timestamp()}\0"


def draw(template, one, *, zone, fill):
    """The HTML of a piece in a time zone, by its name. `fill(kind, at)` gives what runs; the token has no `at`."""

    def filled(found):
        kind, at = found.groups()
        return fill(kind, dt.datetime.fromtimestamp(float(at), dt.UTC) if at else None)

    return mark_safe(_GAP.sub(filled, _drawing(template, one, zone)))


@functools.lru_cache(maxsize=KEPT)
def _drawing(template, one, zone):
    return render_to_string(template, {"one": one, "zone": zone, "csrf_token": TOKEN, "leaves_gaps": True})
