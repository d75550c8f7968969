"""A page as files: whole, relative, by itself after each change, and never over what is somebody else's."""

import datetime as dt
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from core import due
from core.errors import DomainError
from notifications.models import Alarm
from statuspages import copying, exporting, tasks
from statuspages.models import Copy, Post, StatusPage
from tests import factories

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def root(tmp_path, settings):
    settings.STATUS_EXPORT_ROOT = str(tmp_path / "root")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def shop(db, now):
    page = factories.StatusPageFactory(slug="shop", name="Example Shop", audience="public")
    factories.ComponentFactory(page=page, name="Checkout")
    copying.refresh(page.pk, now=now)
    return page


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_command_writes_the_whole_page(shop, tmp_path, capsys):
    factories.LogoFactory(page=shop)
    post = factories.PostFactory(page=shop, title="Payments fail")
    copying.refresh(shop.pk, now=factories.NOW)
    call_command("export_status", "shop", str(tmp_path / "out"))
    assert "open index.html" in capsys.readouterr().out
    found = names(tmp_path / "out")
    assert found >= {"index.html", "history.html", f"incidents/{post.uuid}.html", "status.css", "logo", "badge.svg"}
    assert found >= {"history.atom", "history.rss", "api/v2/summary.json", "api/v2/incidents/unresolved.json"}
    index = (tmp_path / "out" / "index.html").read_text()
    assert "Payments fail" in index and f'href="incidents/{post.uuid}.html"' in index
    assert 'href="/' not in index and 'src="/' not in index
    assert (tmp_path / "out" / "index.html").stat().st_mode & 0o777 == 0o644
    assert not [name for name in found if ".new-" in name]


def test_what_is_no_longer_on_the_page_is_removed_and_what_others_put_there_stays(shop, tmp_path, now):
    post = factories.PostFactory(page=shop)
    copying.refresh(shop.pk, now=now)
    exporting.export(shop.pk, tmp_path / "out", now=now)
    (tmp_path / "out" / "robots.txt").write_text("theirs")
    Post.objects.all().delete()
    copying.refresh(shop.pk, now=now)
    exporting.export(shop.pk, tmp_path / "out", now=now)
    assert f"incidents/{post.uuid}.html" not in names(tmp_path / "out")
    assert (tmp_path / "out" / "robots.txt").read_text() == "theirs"


def test_a_file_that_did_not_change_is_not_written_again(shop, tmp_path, now):
    exporting.export(shop.pk, tmp_path / "out", now=now)
    before = (tmp_path / "out" / "status.css").stat().st_ino
    exporting.export(shop.pk, tmp_path / "out", now=now)
    assert (tmp_path / "out" / "status.css").stat().st_ino == before


def test_a_folder_with_something_else_in_it_is_refused_untouched(shop, tmp_path, now):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(DomainError, match="not empty"):
        exporting.export(shop.pk, tmp_path, now=now)
    assert names(tmp_path) == {"index.html"}
    other = factories.StatusPageFactory(slug="other")
    exporting.export(other.pk, tmp_path / "other", now=now)
    with pytest.raises(DomainError, match="another page"):
        exporting.export(shop.pk, tmp_path / "other", now=now)
    with pytest.raises(DomainError, match="is a file"):
        exporting.export(shop.pk, tmp_path / "index.html", now=now)


def test_a_note_that_names_files_elsewhere_removes_none_of_them(shop, tmp_path, now):
    (tmp_path / "precious").write_text("mine")
    exporting.export(shop.pk, tmp_path / "out", now=now)
    note = tmp_path / "out" / exporting.NOTE
    said = json.loads(note.read_text())
    note.write_text(json.dumps({**said, "files": [*said["files"], "../precious", str(tmp_path / "precious")]}))
    exporting.export(shop.pk, tmp_path / "out", now=now)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_link_inside_the_folder_leads_nothing_out_of_it(shop, tmp_path, now):
    factories.PostFactory(page=shop)
    copying.refresh(shop.pk, now=now)
    exporting.export(shop.pk, tmp_path / "out", now=now)
    posts, theirs = tmp_path / "out" / "incidents", tmp_path / "theirs"
    posts.rename(theirs)
    before = names(theirs)
    posts.symlink_to(theirs)
    Post.objects.all().delete()
    copying.refresh(shop.pk, now=now)
    with pytest.raises(DomainError, match="leads elsewhere"):
        exporting.export(shop.pk, tmp_path / "out", now=now)
    assert names(theirs) == before != set()


def test_what_a_killed_worker_left_is_in_nobodys_way(shop, tmp_path, now):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{exporting.UNFINISHED}x1").write_text("half")
    assert exporting.export(shop.pk, tmp_path / "out", now=now) == 1


def test_the_command_says_what_is_wrong(shop, tmp_path):
    with pytest.raises(CommandError, match="There is: shop"):
        call_command("export_status", "none", str(tmp_path / "out"))
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="could not be written"):
        call_command("export_status", "shop", str(tmp_path / "file" / "out"))


def test_after_each_change_the_folder_is_written(shop, root):
    shop.export_folder = "shop"
    shop.full_clean()
    shop.save()
    exporting.run(now_of=timezone.now)
    assert "Example Shop" in (root / "shop" / "index.html").read_text()
    shop.name = "Other Shop"
    shop.save()
    exporting.run(now_of=timezone.now)
    copying.refresh(shop.pk, now=timezone.now())
    assert exporting.oldest_due(timezone.now())
    exporting.run(now_of=timezone.now)
    assert "Other Shop" in (root / "shop" / "index.html").read_text()
    copy = Copy.objects.get(page=shop)
    assert (copy.exported_version, copy.export_due_at, copy.export_error) == (copy.version, None, "")


def test_one_worker_at_a_time_writes_folders(shop, root):
    """A disk that hangs holds up one, and the others page people."""
    StatusPage.objects.update(export_folder="shop")
    Copy.objects.update(export_due_at=timezone.now())
    held, go_on = threading.Event(), threading.Event()

    def hang():
        try:
            with due.alone(tasks.EXPORT_LOCK) as is_ours:
                held.set()
                return is_ours and go_on.wait(20)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        hanging = pool.submit(hang)
        held.wait(20)
        tasks.write_exports()
        assert names(root) == set()
        go_on.set()
        assert hanging.result(20)
    tasks.write_exports()
    assert "shop/index.html" in names(root)


def test_a_page_that_was_deleted_meanwhile_alarms_nobody(shop, root):
    StatusPage.objects.update(export_folder="shop")
    Copy.objects.update(export_due_at=timezone.now())
    copy, until = exporting._claim(timezone.now())
    StatusPage.objects.all().delete()
    exporting._export_claimed(copy, until, now=timezone.now())
    assert names(root) == set() and not Alarm.objects.exists()


def test_a_folder_that_cannot_be_written_is_said_and_tried_again(shop, root, now):
    (root / "shop").write_text("a file in the way")
    StatusPage.objects.update(export_folder="shop")
    Copy.objects.update(export_due_at=now)
    exporting.run(now_of=lambda: now)
    copy = Copy.objects.get(page=shop)
    assert "is a file" in copy.export_error and copy.export_due_at == now + exporting.RETRY
    alarm = Alarm.objects.get(key=f"status-export:{shop.pk}")
    assert "Example Shop" in alarm.text and alarm.cleared_at is None
    (root / "shop").unlink()
    exporting.run(now_of=lambda: now + 2 * MINUTE)
    copy.refresh_from_db()
    assert (copy.export_error, copy.exported_version) == ("", copy.version)
    alarm.refresh_from_db()
    assert alarm.cleared_at


def test_a_page_whose_folder_was_taken_away_is_not_written_and_has_no_error(shop, root, now):
    Copy.objects.update(export_error="It went wrong.")
    shop.export_folder = ""
    shop.save()
    exporting.run(now_of=timezone.now)
    copy = Copy.objects.get(page=shop)
    assert (copy.export_error, copy.export_due_at) == ("", None)
    assert names(root) == set()


@pytest.mark.parametrize("text", ["../other", "/etc", ".", "a/../..", "shop/../../x"])
def test_a_folder_elsewhere_on_the_server_is_refused(shop, root, text):
    shop.export_folder = text
    with pytest.raises(ValidationError, match="below"):
        shop.full_clean()


def test_a_link_that_leads_out_of_the_root_is_refused(shop, root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (root / "shop").symlink_to(tmp_path / "elsewhere")
    shop.export_folder = "shop"
    with pytest.raises(ValidationError, match="below"):
        shop.full_clean()


def test_without_a_root_no_page_has_a_folder(shop, settings):
    settings.STATUS_EXPORT_ROOT = ""
    shop.export_folder = "shop"
    with pytest.raises(ValidationError, match="STATUS_EXPORT_ROOT"):
        shop.full_clean()
