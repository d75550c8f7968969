"""The names of static files, and what becomes of the pages when there are none."""

import os
import re

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static
from django.test import override_settings

from core import packages
from core import static as statics
from core.templatetags import pages

IMPORTED = re.compile(r"""(?:^import\b[^;]*?|\bimport\()["']\./([^"']+)["']""", re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files, collected once: there are thousands."""
    folder = tmp_path_factory.mktemp("collected") / "static"
    with override_settings(STATIC_ROOT=str(folder)):
        assert statics.collect()
    return folder


@pytest.fixture
def collected(folder, settings):
    settings.STATIC_ROOT = str(folder)
    return folder


@pytest.fixture
def storage(collected):
    return statics.Storage(location=str(collected), base_url="/static/")


def test_a_name_has_the_hash_of_what_is_in_the_file(storage, collected):
    url = storage.url("css/watchbill.css")
    assert re.fullmatch(r"/static/css/watchbill\.[0-9a-f]{12}\.css", url)
    assert (collected / url.removeprefix("/static/")).read_bytes()


def test_a_module_imports_by_the_hashed_names(storage, collected):
    script = (collected / storage.url("js/app.js").removeprefix("/static/")).read_text()
    imported = re.findall(r"""(?:import|from)\s*\(?\s*["']\./([^"']+)["']""", script)
    assert len(imported) >= 3
    for name in imported:
        assert re.fullmatch(r"[a-z]+\.[0-9a-f]{12}\.js", name), name
        assert (collected / "js" / name).is_file()


def test_every_import_of_every_script_leads_to_a_hashed_file(storage, collected):
    """A plain name would be kept by browsers for ever, and hold the old file beside the new page."""
    hashed = [path for path in (collected / "js").glob("*.js") if re.search(r"\.[0-9a-f]{12}\.js$", path.name)]
    assert len(hashed) > 5
    for path in hashed:
        for name in IMPORTED.findall(path.read_text()):
            assert re.search(r"\.[0-9a-f]{12}\.js$", name), f"{path.name} imports {name}"


def test_the_font_of_a_style_sheet_is_found_by_its_hashed_name(storage, collected):
    sheet = (collected / storage.url("css/watchbill.css").removeprefix("/static/")).read_text()
    fonts = re.findall(r'url\("\.\./packages/([^"]+\.woff2)"\)', sheet)
    assert len(fonts) == 2
    for font in fonts:
        assert re.search(r"\.[0-9a-f]{12}\.woff2$", font) and (collected / "packages" / font).is_file()


def test_collecting_twice_does_nothing(collected):
    before = {path: path.stat().st_mtime_ns for path in collected.rglob("*") if path.is_file()}
    assert statics.collect() is False
    assert {path: path.stat().st_mtime_ns for path in collected.rglob("*") if path.is_file()} == before


def test_a_collection_that_was_broken_off_is_made_again(collected):
    (collected / statics.STAMP).unlink()
    assert statics.collect() is True
    assert (collected / statics.STAMP).is_file()


def test_third_party_files_that_are_not_served_are_not_collected(collected):
    found = {str(path.relative_to(collected / "packages")) for path in (collected / "packages").rglob("*")}
    assert "htmx.org/dist/htmx.min.js" in found
    assert not any("axe-core" in name or name.endswith("package.json") for name in found)


def test_text_is_kept_compressed_beside_the_file(storage, collected):
    name = storage.url("css/watchbill.css").removeprefix("/static/")
    plain, packed = collected / name, collected / f"{name}.gz"
    assert os.path.getsize(packed) < os.path.getsize(plain) / 2


def test_before_the_first_collection_names_are_plain(settings):
    settings.STATIC_ROOT = None
    assert static("css/watchbill.css") == "/static/css/watchbill.css"
    assert staticfiles_storage.url("css/none.css") == "/static/css/none.css"


def test_a_file_that_was_not_collected_breaks_no_page(storage):
    assert storage.url("css/none.css") == "/static/css/none.css"


def test_without_any_package_pages_can_be_read_and_answered(client, service, bob, tmp_path, monkeypatch):
    for module in (packages, pages):
        monkeypatch.setattr(module, "FOLDER", tmp_path / "nothing")
    pages._drawing.cache_clear()
    client.force_login(bob)
    try:
        page = client.get("/")
        form = client.get("/incidents/new")
        made = client.post("/incidents/new", {"service": "checkout", "title": "It is down", "severity": "critical"})
        read = client.get(made.url)
    finally:
        pages._drawing.cache_clear()
    assert page.status_code == form.status_code == 200
    assert "<svg" not in page.content.decode()
    assert read.status_code == 200 and "It is down" in read.content.decode()
    assert packages.missing() == list(packages.SERVED)


@override_settings(ALLOWED_HOSTS=["testserver"])
def test_a_page_travels_compressed(client, service, bob):
    client.force_login(bob)
    packed = client.get("/", headers={"accept-encoding": "gzip"})
    plain = client.get("/")
    assert packed.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed.headers["Vary"]
    assert len(packed.content) < len(plain.content) / 3
