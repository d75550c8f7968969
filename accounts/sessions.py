"""Where a person is signed in, in words; and the end of it.

django-allauth keeps a row for each sign-in.
"""

import dataclasses
import datetime as dt
import re
import threading

from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from core.limits import client_address

SEEN_EVERY = dt.timedelta(minutes=5)
KEPT = 20_000  # sessions that one process remembers to have noted

# The first that fits: each of these names itself as those below it, too.
BROWSERS = [
    ("Edge", r"Edg(?:e|A|iOS)?/"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/|Chromium/"),
    ("Safari", r"Safari/"),
    ("curl", r"^curl/"),
]
SYSTEMS = [
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    ("ChromeOS", r"CrOS"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("Linux", r"Linux|X11"),
]


@dataclasses.dataclass(frozen=True)
class Shown:
    """One session as its person reads it."""

    pk: int
    device: str
    address: str
    since: dt.datetime
    seen_at: dt.datetime
    is_this: bool


def device(agent):
    """A browser's own name for itself, in words: “Firefox on Linux”."""
    browser = next((name for name, pattern in BROWSERS if re.search(pattern, agent)), "")
    system = next((name for name, pattern in SYSTEMS if re.search(pattern, agent)), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or (f"{agent[:40]}" if agent else "Unknown browser")


def here(request, *, now):
    """The sessions of who asks, this one first, also when it began before there were rows of them."""
    if not note(request, now=now):
        UserSession.objects.create_from_request(request)
    return listed(request.user, this=request.session.session_key)


def listed(user, *, this=""):
    """The sessions of a person that still work, the one with the key `this` first."""
    rows = [
        Shown(one.pk, device(one.user_agent), one.ip, one.created_at, one.last_seen_at, one.session_key == this)
        for one in UserSession.objects.purge_and_list(user)
    ]
    return sorted(rows, key=lambda one: (not one.is_this, -one.seen_at.timestamp()))


def end(user, pk):
    """End one session of the person. Returns whether there was one."""
    row = UserSession.objects.filter(user=user, pk=pk).first()
    if row is not None:
        row.end()
    return row is not None


def end_all(user, *, besides=None):
    """End every session of the person, but for the one with the key `besides`. Returns how many there were.

    Their open pages notice within a minute: `incidents.live` looks whether a socket's session is still there.
    """
    keys = set()
    with transaction.atomic():
        for row in UserSession.objects.filter(user=user).exclude(session_key=besides or ""):
            keys.add(row.session_key)
            row.end()
        # Those without a row, and those whose row is somebody else's by now.
        for one in (
            Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=besides or "").iterator()
        ):
            if one.get_decoded().get(SESSION_KEY) == str(user.pk):
                keys.add(one.session_key)
                one.delete()
    return len(keys)


def forget_old(*, now):
    """Delete the sessions that are over, and what is noted of those that are gone."""
    Session.objects.filter(expire_date__lt=now).delete()
    # A new one's row may be written before the session itself.
    gone = UserSession.objects.exclude(session_key__in=Session.objects.values("session_key"))
    gone.filter(created_at__lt=now - SEEN_EVERY).delete()


class Seen:
    """Middleware: notes now and then, at most every five minutes, that a session is used and from where."""

    def __init__(self, get_response):
        self.get_response = get_response
        self._noted = {}
        self._lock = threading.Lock()

    def __call__(self, request):
        response = self.get_response(request)
        # Only where the page looked who it is: nothing is read for this.
        if request.session.accessed and SESSION_KEY in request.session and request.user.is_authenticated:
            now = timezone.now()
            if self._is_due(request.session.session_key, now):
                note(request, now=now)
        return response

    def _is_due(self, key, now):
        with self._lock:
            noted = self._noted.get(key)
            if key is None or (noted is not None and dt.timedelta(0) <= now - noted < SEEN_EVERY):
                return False
            if len(self._noted) >= KEPT:
                self._noted.clear()
            self._noted[key] = now
        return True


def note(request, *, now):
    """Write down that this session is used, and from where. Returns whether it has a row."""
    rows = UserSession.objects.filter(session_key=request.session.session_key, user=request.user)
    return bool(rows.update(last_seen_at=now, ip=client_address(request) or "127.0.0.1"))
