import pytest
from django.contrib.staticfiles import finders

from config import checks
from core import packages
from core.templatetags import pages


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Packages with one served file and one that is not."""
    monkeypatch.setattr(packages, "FOLDER", tmp_path)
    (tmp_path / "htmx.org" / "dist").mkdir(parents=True)
    (tmp_path / "htmx.org" / "dist" / "htmx.min.js").write_text("htmx")
    (tmp_path / "htmx.org" / "dist" / "htmx.esm.js").write_text("not served")
    (tmp_path / "htmx.org" / "package.json").write_text("{}")
    return tmp_path


def test_only_the_files_of_the_list_are_found(folder):
    finder = packages.Finder()
    served = "packages/htmx.org/dist/htmx.min.js"
    assert finder.find(served) == str(folder / "htmx.org/dist/htmx.min.js")
    assert finder.find(served, find_all=True) == [finder.find(served)]
    for path in (
        "packages/htmx.org/dist/htmx.esm.js",
        "packages/htmx.org/package.json",
        "packages/../htmx.org/dist/htmx.min.js",
        "packages/htmx.org/dist/../dist/htmx.min.js",
        "htmx.org/dist/htmx.min.js",
    ):
        assert finder.find(path) == []
    assert [name for name, _ in finder.list([])] == ["htmx.org/dist/htmx.min.js"]


def test_what_is_missing_is_named(folder):
    missing = packages.missing()
    assert "htmx.org/dist/htmx.min.js" not in missing
    assert "uplot/dist/uPlot.iife.min.js" in missing
    [warning] = checks.check_packages()
    assert (
        warning.id == "watchbill.W030" and "uplot/dist/uPlot.iife.min.js" in warning.msg and "bin/up" in warning.hint
    )


def test_all_packages_of_the_list_are_installed_and_found_by_django():
    assert packages.missing() == []
    assert checks.check_packages() == []
    for name in packages.SERVED:
        assert finders.find(f"packages/{name}") == str(packages.FOLDER / name)


def test_an_icon_is_a_drawing_without_scripts_and_styles():
    drawing = pages.icon("bell-alert")
    assert drawing.startswith('<svg class="icon"') and 'aria-hidden="true"' in drawing and "<path" in drawing
    assert "style=" not in drawing and "script" not in drawing
    assert pages.icon("no-such-icon") == pages.icon("../../secret") == ""
