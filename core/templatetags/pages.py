"""Words that every page needs: times and spans. `static/js/times.js` says the same words and keeps them fresh."""

import datetime as dt
import functools
import re

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe

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


def _zone(context):
    """The reader's time zone: `zone` of the page, else that of who is signed in, else the site's."""
    user = getattr(context.get("request"), "user", None)
    name = context.get("zone") or getattr(user, "time_zone", "") or settings.TIME_ZONE
    return zone_of(name)


@register.simple_tag(takes_context=True)
def since(context, at, style="ago"):
    """A relative time that the page keeps fresh, with the absolute one in its title. `style` is ago, age or in."""
    if at is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}" data-relative="{}">{}</time>',
        at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        f"{at.astimezone(_zone(context)):%a %d %b %Y, %H:%M:%S %Z}",
        style,
        relative(style, at, context.get("now") or timezone.now()),
    )


FORMS = {"time": "%H:%M:%S", "day": "%a %d %b, %H:%M %Z", "second": "%a %d %b, %H:%M:%S %Z"}


@register.simple_tag(takes_context=True)
def clock(context, at, form="time"):
    """An absolute time in the reader's zone.

    `form` is `time` (03:37:12), `day` (Mon 24 Nov, 09:00 CET) or `second` (Mon 24 Nov, 09:00:12 CET).
    """
    if at is None:
        return ""
    local = at.astimezone(_zone(context))
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        f"{local:%a %d %b %Y, %H:%M:%S %Z}",
        f"{local:{FORMS[form]}}",
    )


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
