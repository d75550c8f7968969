"""A page as files in a folder, so that any web server can show it while this one is away.

Links are relative and nothing is loaded from elsewhere. Each file is written beside its place and moved there, so that
nobody is shown half of one; pages that lead to others come last. A file that tells what was written says what may be
removed: what others put into the folder stays.
"""

import datetime as dt
import json
import logging
import os
import tempfile
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import transaction

from core import due
from core.errors import DomainError, NotFound
from notifications import alarms
from notifications.visibility import alarms_about
from statuspages import copying, drawing, folders, showing
from statuspages.models import Copy, Logo, StatusPage

logger = logging.getLogger(__name__)

NOTE = ".status-page.json"
UNFINISHED = ".new-"  # of a file that is being written; one may be left by a worker that was killed
LEASE, RETRY = dt.timedelta(minutes=1), dt.timedelta(minutes=1)
ALARM = "status-export:"
alarms_about("^status-export:([0-9]{1,18})$", StatusPage)


def export(page_id, folder, *, now):
    """Write the page, as its copy has it, into a folder that is new, empty, or has an older export of this page.

    Returns the version that was written. Raises DomainError when the folder is something else, and OSError.
    """
    copy = Copy.objects.filter(page_id=page_id).select_related("page").first()
    if copy is None:
        copy = copying.refresh(page_id, now=now)
    if copy is None:
        raise NotFound("There is no such status page. Somebody has deleted it.")
    files = {
        drawing.filename(path): text.encode() for path, (_, text) in drawing.draw(copy.content, base=None).items()
    }
    logo = Logo.objects.filter(page_id=page_id).first()
    if logo is not None:
        files[showing.LOGO] = bytes(logo.body)
    _write(Path(folder), files, str(copy.page_id))
    return copy.version


def _write(folder, files, whose):
    before = _written_before(folder, whose)
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_ways_out(folder, files.keys() | before)
    # First what is written anew is known: whoever comes after a crash may remove it.
    note = {"page": whose, "files": sorted({*files, *before})}
    _put(folder / NOTE, json.dumps(note).encode())
    for name in sorted(files, key=lambda name: (name.endswith("index.html"), name.endswith(".html"), name)):
        _put(folder / name, files[name])
    for name in before - files.keys():
        (folder / name).unlink(missing_ok=True)
    _put(folder / NOTE, json.dumps({**note, "files": sorted(files)}).encode())


def _written_before(folder, whose):
    """The names of what an older export wrote. Raises DomainError when the folder is none of ours."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise DomainError(f"{folder} is a file. Name a folder.")
    note = folder / NOTE
    if not note.exists():
        if not all(one.name.startswith(UNFINISHED) for one in folder.iterdir()):
            raise DomainError(f"{folder} is not empty, and no export of a status page. Name a new folder.")
        return set()
    try:
        said = json.loads(note.read_text())
        names = {name for name in said["files"] if not Path(name).is_absolute() and ".." not in Path(name).parts}
    except (ValueError, KeyError, TypeError):
        raise DomainError(f"{note} cannot be read. Remove the folder, or name another.") from None
    if said.get("page") != whose:
        raise DomainError(f"{folder} has the export of another page. Name a folder of its own.")
    return names


def _refuse_ways_out(folder, names):
    """Raise DomainError when a folder in it is a link: what lies behind it is none of ours."""
    for parent in {(folder / name).parent for name in names} - {folder}:
        if parent.resolve() != folder.resolve() / parent.relative_to(folder):
            raise DomainError(f"{parent} is a link that leads elsewhere. Remove it.")


def _put(path, body):
    """Write a file as a whole, unless it is so already."""
    if path.is_file() and path.read_bytes() == body:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            os.fchmod(file.fileno(), 0o644)  # another program shows it
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# --- after each change ----------------------------------------------------------------------------------------


def plan(page, *, now):
    """Have the folder of a page written, because it may be another one now. A page without one has no error either."""
    due_at = now if page.export_folder or Copy.objects.filter(page=page).exclude(export_error="").exists() else None
    if Copy.objects.filter(page=page).update(export_due_at=due_at) and due_at:
        due.wake("status exports")


def oldest_due(now):
    """When the oldest export was due, or None."""
    rows = Copy.objects.filter(export_due_at__lte=now)
    return rows.order_by("export_due_at").values_list("export_due_at", flat=True).first()


def run(*, now_of):
    """Write the folders of all pages that changed; when other work waits, what is left is due still."""
    while (claimed := _claim(now_of())) is not None:
        due.beat()
        _export_claimed(*claimed, now=now_of())
        if due.others_wait("status exports", now=now_of()):
            return


@transaction.atomic
def _claim(now):
    """`(copy, until when it is ours)` of the export that waited longest, or None."""
    rows = Copy.objects.select_for_update(skip_locked=True, of=("self",)).select_related("page")
    copy = rows.filter(export_due_at__lte=now).order_by("export_due_at").first()
    if copy is None:
        return None
    until = now + LEASE
    Copy.objects.filter(pk=copy.pk).update(export_due_at=until)
    return copy, until


def _export_claimed(copy, until, *, now):
    # Only if nothing changed meanwhile: then it is due anew.
    ours = Copy.objects.filter(pk=copy.pk, export_due_at=until)
    key = f"{ALARM}{copy.page_id}"
    if not copy.page.export_folder:  # taken away since
        ours.update(export_due_at=None, export_error="")
        alarms.clear_alarm(key, now=now)
        return
    try:
        version = export(copy.page_id, folders.below_root(copy.page.export_folder), now=now)
    except NotFound:  # deleted since
        return
    except (OSError, DomainError, ValidationError) as error:
        sentence = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        Copy.objects.filter(pk=copy.pk).update(export_error=sentence[:500])
        ours.update(export_due_at=now + RETRY)
        alarms.raise_alarm(
            key, f"The copy of the status page {copy.page} was not written: {sentence} It is tried again.", now=now
        )
        return
    Copy.objects.filter(pk=copy.pk).update(exported_version=version, export_error="")
    ours.update(export_due_at=None)
    alarms.clear_alarm(key, now=now)
