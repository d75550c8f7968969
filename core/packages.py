"""The browser's packages: which of their files are served. `bin/up` fetches them into the environment.

Nothing is bundled: these are the builds for browsers that the packages carry. package-lock.json names the versions.
"""

import sys
from pathlib import Path

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

# Third-party code lives in the environment, that of Python and that of the browser.
FOLDER = Path(sys.prefix) / "packages" / "node_modules"
SERVED = (
    "@dagrejs/dagre/dist/dagre.min.js",
    "@dagrejs/dagre/dist/dagre.min.js.map",  # the script names it, and whoever collects looks for it
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2",
    "htmx.org/dist/htmx.min.js",
    "idiomorph/dist/idiomorph.min.js",
    "uplot/dist/uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css",
)
PREFIX = "packages"


def missing():
    """The served files that are not there, because `bin/up` could not fetch them or was not asked."""
    return [name for name in SERVED if not (FOLDER / name).is_file()]


class Finder(BaseFinder):
    """Finds `packages/<package>/<file>` for the files that are served, and no others."""

    def __init__(self, *args, **kwargs):
        self.storage = FileSystemStorage(location=FOLDER)
        self.storage.prefix = PREFIX

    def check(self, **kwargs):
        return []

    def find(self, path, find_all=False, **kwargs):
        name = path.removeprefix(f"{PREFIX}/")
        is_ours = name != path and name in SERVED and (FOLDER / name).is_file()
        found = [str(FOLDER / name)] if is_ours else []
        return found if find_all or kwargs.get("all") else (found[0] if found else [])

    def list(self, ignore_patterns):
        for name in SERVED:
            if (FOLDER / name).is_file():
                yield name, self.storage
