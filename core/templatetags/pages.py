"""Words that every page needs: times and spans. `static/js/times.js` says the same words and keeps them fresh."""

import datetime as dt
import functools
import re

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.safestring import mark_safe

from core import drawn as pieces
from core import markdown as texts
from core.packages import FOLDER
from core.zones import zone_of

register = template.Library()

LATE_SECONDS = 30  # what is due is done within seconds; later than this something is wrong


def words(seconds):
    """A span in two units at most: 42 s, 3 m 10 s, 2 h 14 m, 3 d 4 h."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} m"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def relative(style, at, now):
    """How far `at` is from `now`: as an age ("3 m 10 s"), "3 m 10 s ago", or "in 3 m 10 s", "now", "3 m 10 s late"."""
    gone = (now - at).total_seconds()
    if style == "in":
        if gone <= -1:
            return f"in {words(-gone)}"
        return "now" if gone < LATE_SECONDS else f"{words(gone)} late"
    return words(gone) if style == "age" else f"{words(gone)} ago"


def _zone_name(context):
    """The reader's time zone: `zone` of the page, else that of who is signed in, else the site's."""
    if name := context.get("zone"):
        return name
    return getattr(getattr(context.get("request"), "user", None), "time_zone", "") or settings.TIME_ZONE


def _zone(context):
    return zone_of(_zone_name(context))


@functools.lru_cache(maxsize=10_000)
def _exact(at, zone):
    """The attributes of an element for a time. Nothing in them comes from people, so nothing needs escaping."""
    utc = at.astimezone(dt.UTC).isoformat(timespec="seconds")
    return f'datetime="{utc}" title="{at.astimezone(zone):%a %d %b %Y, %H:%M:%S %Z}"'


@register.simple_tag(takes_context=True)
def since(context, at, style="ago"):
    """A relative time that the page keeps fresh, with the absolute one in its title. `style` is ago, age or in."""
    if at is None:
        return ""
    if context.get("leaves_gaps"):
        words = pieces.gap(style, at)
    else:
        words = relative(style, at, context.get("now") or timezone.now())
    return mark_safe(f'<time {_exact(at, _zone(context))} data-relative="{style}">{words}</time>')


def _left(at, now):
    return str(max(0, int((at - now).total_seconds())))


@register.simple_tag(takes_context=True)
def seconds_left(context, at):
    """Whole seconds until a time; 0 when it is over."""
    if context.get("leaves_gaps"):
        return mark_safe(pieces.gap("left", at))
    return _left(at, context.get("now") or timezone.now())


@register.simple_tag(takes_context=True)
def drawn(context, template, one):
    """A piece that is drawn once for all that it shows: see core/drawn.py."""
    now = context.get("now") or timezone.now()

    def fill(kind, at):
        if at is None:
            return str(context.get("csrf_token", ""))
        return _left(at, now) if kind == "left" else relative(kind, at, now)

    return pieces.draw(template, one, zone=_zone_name(context), fill=fill)


FORMS = {"time": "%H:%M:%S", "day": "%a %d %b, %H:%M %Z", "second": "%a %d %b, %H:%M:%S %Z"}


@register.simple_tag(takes_context=True)
def clock(context, at, form="time"):
    """An absolute time in the reader's zone.

    `form` is `time` (03:37:12), `day` (Mon 24 Nov, 09:00 CET) or `second` (Mon 24 Nov, 09:00:12 CET).
    """
    if at is None:
        return ""
    zone = _zone(context)
    return mark_safe(f"<time {_exact(at, zone)}>{at.astimezone(zone):{FORMS[form]}}</time>")


@register.simple_tag(takes_context=True)
def date(context, at):
    """The day in the reader's zone, for headings between times."""
    return f"{at.astimezone(_zone(context)):%a %d %B %Y}"


@register.filter
def span(seconds):
    """Seconds in words; a dash when there are none."""
    return "–" if seconds is None else words(seconds)


@register.simple_tag
def site_name():
    return settings.SITE_NAME


@register.filter
def markdown(text):
    """What somebody wrote in Markdown, as HTML that is safe to show to others."""
    return texts.render(text)


@register.simple_tag
def icon(name):
    """A drawing of the icon package, as part of the page; nothing when the package could not be fetched.

    It says nothing by itself: a word stands beside it, or in the label of the button that it fills.
    """
    return _drawing(name)


@functools.lru_cache(maxsize=300)
def _drawing(name):
    if not re.fullmatch(r"[a-z0-9-]+", name):
        return ""
    try:
        text = (FOLDER / "heroicons" / "24" / "outline" / f"{name}.svg").read_text()
    except OSError:
        return ""
    paths = "".join(re.findall(r"<path[^>]*/>", text))
    return mark_safe(
        '<svg class="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" '
        f'stroke-width="1.75" aria-hidden="true">{paths}</svg>'
    )
