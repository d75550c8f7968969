"""Names of static files with a hash of what is in them, so that browsers keep them for ever; see `collect`."""

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

STAMP = "collected"


class Storage(CompressedManifestStaticFilesStorage):
    """Hashed names once the files were collected; before, as in tests and while developing, the plain ones."""

    manifest_strict = False
    support_js_module_import_aggregation = True

    def read_manifest(self):
        return super().read_manifest() if self.location else None

    def url(self, name, force=False):
        if self.hashed_files:
            try:
                return super().url(name, force)
            except ValueError:  # not collected: a page without an icon is better than no page
                pass
        return super(HashedFilesMixin, self).url(name)


def collect():
    """Collect and compress the static files into STATIC_ROOT, unless nothing changed since the last time.

    Returns whether it did. What pages show of third parties is all there is: nothing comes from another host.
    """
    state, stamp = _state(), Path(settings.STATIC_ROOT) / STAMP
    if stamp.is_file() and stamp.read_text() == state:
        return False
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(state)
    return True


def _state():
    """A hash of names, sizes and times of all that would be collected."""
    state = hashlib.sha256(Path(__file__).read_bytes())
    for finder in get_finders():
        for name, storage in finder.list([]):
            seen = Path(storage.path(name)).stat()
            state.update(f"{name} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    return state.hexdigest()
