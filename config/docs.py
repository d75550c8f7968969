"""The documentation inside the product: what stands in the folder docs, so that help is there without the internet."""

import functools
import re
from pathlib import PurePosixPath

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core import markdown

FOLDER = settings.BASE_DIR / "docs"
# (heading, names): what somebody looks for first stands first; what is not named here comes last.
GROUPS = [
    (
        "For everybody on call",
        ["phone", "channels", "schedules", "calendars", "quiet", "status-pages", "postmortems", "sign-in", "privacy"],
    ),
    ("Setting up", ["integrations", "routing", "heartbeats", "wording", "access", "switching"]),
    ("Running it", ["configuration", "limits", "security", "audit", "api"]),
]


@functools.cache
def _files():
    """`{name: Path}` of all there is to read. An address picks from it and never reaches the disk."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.md"))}
    return found | {f"decisions/{path.stem}": path for path in sorted((FOLDER / "decisions").glob("*.md"))}


@functools.cache
def read(name):
    """`(title, html)` of a document. Raises KeyError when there is none of this name."""
    return markdown.page(_files()[name].read_text(encoding="utf-8"), functools.partial(_link, name))


def _link(name, href):
    """Where a link of a document leads inside the product; None when what it means is not served."""
    if re.match(r"(https?:|mailto:|#)", href):
        return href
    target, _, part = href.partition("#")
    steps = []
    for step in (PurePosixPath(name).parent / target).parts:
        if step != "..":
            steps.append(step)
        elif steps:
            steps.pop()
        else:
            return None
    wanted = "/".join(steps).removesuffix(".md")
    if wanted not in _files() or not target.endswith(".md"):
        return None
    return reverse("doc", args=[wanted]) + (f"#{part}" if part else "")


def _listed():
    """`[(heading, [(name, title)])]` of all documents."""
    named = {name for _, names in GROUPS for name in names}
    rest = [name for name in _files() if name not in named]
    groups = [
        *GROUPS,
        ("More", [name for name in rest if "/" not in name]),
        ("Why it is built this way", [name for name in rest if "/" in name]),
    ]
    listed = [(heading, [(name, read(name)[0]) for name in names if name in _files()]) for heading, names in groups]
    return [group for group in listed if group[1]]


@login_required
@never_cache
@require_safe
def listed(request):
    """All documents, and the shortest ways to help."""
    return render(request, "config/docs.html", {"section": "help", "groups": _listed()})


@login_required
@never_cache
@require_safe
def one(request, name):
    """One document."""
    try:
        title, text = read(name)
    except KeyError:
        raise Http404 from None
    return render(request, "config/doc.html", {"section": "help", "name": name, "title": title, "text": text})
