"""Writing a postmortem: the editor with and without its script, versions, the timeline, causes and images."""

import io
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image as Picture

from incidents import lifecycle
from postmortems import drafting, reviewing, sharing, writing
from postmortems.models import Factor, Image, Moment
from tests import factories


@pytest.fixture
def signed_in(client, bob):
    client.force_login(bob)
    return client


@pytest.fixture
def postmortem(service, alice):
    incident = lifecycle.trigger(service, title="Checkout is down", severity="critical", now=timezone.now())
    lifecycle.resolve(incident.pk, by=alice, now=timezone.now())
    return drafting.start([incident.pk], by=alice, now=timezone.now())


@pytest.fixture
def page(postmortem):
    return reverse("postmortems:postmortem", args=[postmortem.number])


@pytest.fixture
def section(postmortem):
    return postmortem.sections.first()


def words(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def typed(page, client, **changes):
    """The whole form as a browser sends it, with these changes."""
    html = client.get(f"{page}/edit").content.decode().partition('id="editor"')[2].partition("</form>")[0]
    fields = dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', html))
    fields |= {name: value for value, name in re.findall(r'<input[^>]*value="([^"]*)"[^>]*name="([\w-]+)"', html)}
    fields |= dict(re.findall(r'<input[^>]*name="([\w-]+)"[^>]*value="([^"]*)"', html))
    for name, text in re.findall(r'<textarea[^>]*name="([\w-]+)"[^>]*>\n?(.*?)</textarea>', html, re.DOTALL):
        fields[name] = text
    for name, options in re.findall(r'<select[^>]*name="([\w-]+)"[^>]*>(.*?)</select>', html, re.DOTALL):
        fields[name] = (re.search(r'value="([^"]*)"\s+selected', options) or ["", ""])[1]
    fields.pop("csrfmiddlewaretoken", None)
    return fields | {name.replace("_", "-"): value for name, value in changes.items()}


def of(section, **values):
    return {f"{name}-{section.uuid}": value for name, value in values.items()}


def theirs(section, body, alice, title=None):
    """What Alice saves while Bob writes."""
    section.refresh_from_db()
    return writing.save_section(
        section.uuid, title=title, body=body, seen_version=section.version, by=alice, now=timezone.now()
    )


# --- without script -----------------------------------------------------------------------------------------------


def test_one_button_saves_every_section_and_what_stands_above_them(signed_in, postmortem, page):
    first, second = postmortem.sections.all()[:2]
    form = typed(page, signed_in) | of(first, body="One\r\nline", title="Impact") | of(second, body="Two")
    form |= {"head-title": "The certificate", "head-summary": "It *expired*."}
    answer = signed_in.post(f"{page}/edit", form, follow=True)
    assert answer.status_code == 200 and "Everything is saved" in words(answer)
    first.refresh_from_db(), second.refresh_from_db(), postmortem.refresh_from_db()
    assert (first.title, first.body, second.body) == ("Impact", "One\nline", "Two")
    assert (postmortem.title, postmortem.summary) == ("The certificate", "It *expired*.")
    assert postmortem.sections.all()[2].version == 1  # what nobody touched has no new version


def test_two_people_see_both_texts_and_neither_is_overwritten(signed_in, postmortem, page, section, alice):
    other = postmortem.sections.all()[1]
    form = typed(page, signed_in) | of(section, body="Mine was first.\nShared line.\n") | of(other, body="Elsewhere")
    theirs(section, "Theirs was faster.\nShared line.\n", alice)
    answer = signed_in.post(f"{page}/edit", form)
    assert answer.status_code == 409
    said = words(answer)
    assert "Alice saved this section while you wrote" in said
    assert "Theirs was faster." in said.replace("  ", " ") or "Theirs" in said
    assert "Mine was first." in answer.content.decode()  # in its field
    section.refresh_from_db(), other.refresh_from_db()
    assert section.body.startswith("Theirs") and other.body == "Elsewhere"  # the other section is stored
    # Whoever keeps theirs finds their own among the versions.
    html = answer.content.decode()
    seen = re.search(rf'name="seen-{section.uuid}" value="(\d+)"', html)[1]
    chosen = typed(page, signed_in) | of(section, body="Mine was first.\nShared line.\n", seen=seen)
    signed_in.post(f"{page}/edit", chosen | {"do": f"theirs:{section.uuid}"})
    section.refresh_from_db()
    assert section.body == "Theirs was faster.\nShared line.\n"
    assert "Mine was first.\nShared line.\n" in section.revisions.values_list("body", flat=True)


def test_what_is_in_the_field_or_both_can_be_kept_instead(signed_in, page, section, alice):
    form = typed(page, signed_in) | of(section, body="Mine")
    theirs(section, "Theirs", alice)
    answer = signed_in.post(f"{page}/edit", form)
    seen = re.search(rf'name="seen-{section.uuid}" value="(\d+)"', answer.content.decode())[1]
    both = signed_in.post(f"{page}/edit", form | of(section, seen=seen) | {"do": f"both:{section.uuid}"})
    field = both.content.decode().partition(f'id="body-{section.uuid}"')[2].partition("</textarea>")[0]
    assert "Mine" in field and "Theirs" in field
    section.refresh_from_db()
    assert section.body == "Theirs"  # nothing is stored before somebody says so
    signed_in.post(f"{page}/edit", form | of(section, seen=seen) | {"do": f"mine:{section.uuid}"})
    section.refresh_from_db()
    assert section.body == "Mine" and "Theirs" in section.revisions.values_list("body", flat=True)


def test_a_third_save_in_between_is_seen_too(signed_in, page, section, alice):
    form = typed(page, signed_in) | of(section, body="Mine")
    theirs(section, "Theirs", alice)
    answer = signed_in.post(f"{page}/edit", form)
    seen = re.search(rf'name="seen-{section.uuid}" value="(\d+)"', answer.content.decode())[1]
    theirs(section, "Once more", alice)
    again = signed_in.post(f"{page}/edit", form | of(section, seen=seen) | {"do": f"mine:{section.uuid}"})
    assert again.status_code == 409
    section.refresh_from_db()
    assert section.body == "Once more"


def test_a_title_that_somebody_else_changed_is_not_overwritten_by_a_save_of_a_section(
    signed_in, postmortem, page, section, alice
):
    form = typed(page, signed_in) | of(section, body="Text")
    writing.save_head(postmortem.number, title="Hers", seen_version=1, by=alice, now=timezone.now())
    assert signed_in.post(f"{page}/edit", form).status_code == 302
    postmortem.refresh_from_db()
    assert postmortem.title == "Hers"
    refused = signed_in.post(f"{page}/edit", form | {"head-title": "His"})
    assert refused.status_code == 400 and "saved this while you wrote" in words(refused)
    assert 'value="His"' in refused.content.decode() and "Hers" in words(refused)
    seen = re.search(r'name="seen-head" value="(\d+)"', refused.content.decode())[1]
    form = typed(page, signed_in) | {"head-title": "His", "seen-head": seen}
    signed_in.post(f"{page}/edit", form)
    postmortem.refresh_from_db()
    assert postmortem.title == "His"


def test_a_section_that_was_removed_meanwhile_keeps_what_was_typed(signed_in, page, section, alice):
    form = typed(page, signed_in) | of(section, body="Typed for an hour")
    writing.remove_section(section.uuid, by=alice, now=timezone.now())
    answer = signed_in.post(f"{page}/edit", form)
    assert answer.status_code == 400
    assert "Typed for an hour" in answer.content.decode() and "was removed meanwhile" in words(answer)


def test_a_section_that_was_removed_meanwhile_is_restored_with_what_was_typed(signed_in, page, section, alice):
    form = typed(page, signed_in) | of(section, body="Typed for an hour")
    writing.remove_section(section.uuid, by=alice, now=timezone.now())
    answer = signed_in.post(f"{page}/edit", form)
    assert f'value="restore:{section.uuid}"' in answer.content.decode()
    back = signed_in.post(f"{page}/edit", form | {"do": f"restore:{section.uuid}"}, follow=True)
    assert "The section is back" in words(back)
    section.refresh_from_db()
    assert section.removed_at is None and section.body == "Typed for an hour"


def test_a_title_that_was_saved_beside_a_conflict_is_no_conflict_afterwards(
    signed_in, postmortem, page, section, alice
):
    form = typed(page, signed_in) | of(section, body="Mine") | {"head-title": "First"}
    theirs(section, "Theirs", alice)
    refused = signed_in.post(f"{page}/edit", form)
    assert refused.status_code == 409 and 'name="seen-head" value="2"' in refused.content.decode()
    seen = {f"seen-{section.uuid}": "2", "seen-head": "2", "initial-head-title": "First"}
    assert signed_in.post(f"{page}/edit", form | seen | {"head-title": "Second"}).status_code == 302
    postmortem.refresh_from_db()
    assert postmortem.title == "Second"


def test_a_preview_is_drawn_beside_the_text_and_stores_nothing(signed_in, page, section):
    form = typed(page, signed_in) | of(section, body="**loud** <script>x</script>")
    answer = signed_in.post(f"{page}/edit", form | {"do": f"preview:{section.uuid}"})
    html = answer.content.decode()
    assert "<strong>loud</strong>" in html and "<script>x" not in html and "**loud**" in html
    part = signed_in.post(f"{page}/preview", form | {"section": str(section.uuid)}, headers={"X-Fragment": "panel"})
    assert part.content.decode().startswith("<p><strong>loud</strong>")
    section.refresh_from_db()
    assert section.body == ""


def test_sections_are_added_moved_removed_and_restored_with_their_text(signed_in, postmortem, page, section):
    form = typed(page, signed_in) | of(section, body="Kept")
    signed_in.post(f"{page}/edit", form | {"do": "add", "new-title": "Costs"})
    assert postmortem.sections.last().title == "Costs"
    refused = signed_in.post(f"{page}/edit", form | {"do": "add", "new-title": " "}, follow=True)
    assert "Give the section a heading" in words(refused)
    signed_in.post(f"{page}/edit", typed(page, signed_in) | {"do": f"down:{section.uuid}"})
    assert list(postmortem.sections.all()).index(section) == 1
    signed_in.post(f"{page}/edit", typed(page, signed_in) | {"do": f"remove:{section.uuid}"})
    html = signed_in.get(f"{page}/edit").content.decode()
    assert f'id="edit-{section.uuid}"' not in html and f"restore:{section.uuid}" in html
    signed_in.post(f"{page}/edit", typed(page, signed_in) | {"do": f"restore:{section.uuid}"})
    section.refresh_from_db()
    assert section.removed_at is None and section.body == "Kept"


@pytest.mark.parametrize("do", ["", "x", "up:", "up:x", "restore:9", "theirs:x", "preview:", "add:\0", ":::"])
def test_a_button_that_is_none_breaks_nothing(signed_in, page, do):
    assert signed_in.post(f"{page}/edit", {"do": do}).status_code in (200, 302)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("head-title", " ", "This field is required"),
        ("head-impact_began_at", "yesterday", "Write a date and a time"),
        ("head-impact_ended_at", "1995-01-01T00:00", "cannot end before it began"),
        ("head-owner", "nobody", "Choose somebody of the list"),
        ("head-visibility", "world", "Select a valid choice"),
        ("head-summary", "x" * 5001, "at most 5000 characters"),
    ],
)
def test_a_head_that_is_wrong_says_what_to_change_and_keeps_the_texts(
    signed_in, postmortem, page, section, field, value, said
):
    form = typed(page, signed_in) | of(section, body="Stored all the same") | {field: value}
    answer = signed_in.post(f"{page}/edit", form)
    assert answer.status_code == 400 and said in words(answer)
    before = postmortem.version
    postmortem.refresh_from_db(), section.refresh_from_db()
    assert postmortem.version == before and section.body == "Stored all the same"


def test_a_text_that_is_too_long_is_refused_and_not_cut(signed_in, page, section):
    form = typed(page, signed_in) | of(section, body="x" * (writing.LONGEST_BODY + 1) + "the end")
    answer = signed_in.post(f"{page}/edit", form)
    assert answer.status_code == 400 and "at most 50,000 characters" in words(answer)
    assert "xthe end</textarea>" in answer.content.decode()
    section.refresh_from_db()
    assert section.body == ""


# --- as its script asks -------------------------------------------------------------------------------------------


def test_a_section_saves_itself_and_says_its_new_version(signed_in, page, section, bob):
    to = f"{page}/sections/{section.uuid}"
    first = signed_in.post(to, of(section, body="One", title=section.title, seen="1") | {"auto": "yes"})
    assert first.json()["version"] == 2
    second = signed_in.post(to, of(section, body="One two", title=section.title, seen="2") | {"auto": "yes"})
    section.refresh_from_db()
    assert section.body == "One two" and second.json()["version"] == section.version
    assert section.revisions.filter(by=bob).count() == 1  # one sitting is one version to others


def test_an_autosave_that_comes_late_is_answered_with_both_texts(signed_in, page, section, alice):
    theirs(section, "Theirs", alice)
    answer = signed_in.post(f"{page}/sections/{section.uuid}", of(section, body="Mine", seen="1"))
    assert answer.status_code == 409
    said = answer.json()
    assert said["theirs"] == "Theirs" and said["version"] == 2
    assert "Mine" in said["both"] and "Theirs" in said["both"] and "Two versions of" in said["html"]
    took = signed_in.post(f"{page}/sections/{section.uuid}", of(section, body="Mine", seen="2") | {"take": "theirs"})
    assert took.json()["body"] == "Theirs"
    assert "Mine" in section.revisions.values_list("body", flat=True)


@pytest.mark.parametrize("seen", ["", "x", "-1", "9" * 30])
def test_a_save_without_the_version_that_it_saw_is_no_save(signed_in, page, section, alice, seen):
    theirs(section, "Theirs", alice)
    answer = signed_in.post(f"{page}/sections/{section.uuid}", of(section, body="Mine", seen=seen))
    assert answer.status_code == 409
    section.refresh_from_db()
    assert section.body == "Theirs"


def test_a_section_of_another_postmortem_is_not_there(signed_in, page, bob):
    other = factories.SectionFactory()
    assert signed_in.post(f"{page}/sections/{other.uuid}", of(other, body="x", seen="1")).status_code == 404
    assert signed_in.get(f"{page}/sections/{other.uuid}/versions").status_code == 404


def test_an_archived_one_takes_no_text(signed_in, postmortem, page, section, alice):
    reviewing.archive(postmortem.number, by=alice, now=timezone.now())
    answer = signed_in.post(f"{page}/sections/{section.uuid}", of(section, body="x", seen="1"))
    assert answer.status_code == 409 and "archived" in answer.json()["message"]
    assert "It is archived" in words(signed_in.get(f"{page}/edit"))


# --- versions -----------------------------------------------------------------------------------------------------


def test_versions_show_what_changed_and_bring_a_text_back(signed_in, page, section, alice, bob):
    theirs(section, "The certificate expired.", alice)
    theirs(section, "The certificate was revoked.", bob)
    to = f"{page}/sections/{section.uuid}/versions"
    html = signed_in.get(to).content.decode()
    assert "<del>expired</del>" in html and "<ins>was revoked</ins>" in html
    assert "Alice" in html and "Bob" in html
    assert "<ins>The certificate was revoked.</ins>" in signed_in.get(f"{to}?from=1&to=3").content.decode()
    signed_in.post(to, {"version": "2"})
    section.refresh_from_db()
    assert section.body == "The certificate expired." and section.version == 4
    for typed_in in ("", "99", "x", "9" * 30):
        assert "There is no such version" in words(signed_in.post(to, {"version": typed_in}, follow=True)), typed_in
        assert signed_in.get(f"{to}?from={typed_in}&to={typed_in}").status_code == 200


def test_readers_see_no_version_of_what_was_taken_out(signed_in, postmortem, page, section, alice, charlie):
    reviewing.publish(postmortem.number, by=alice, now=timezone.now())
    other = postmortem.sections.all()[1]
    writing.remove_section(section.uuid, by=alice, now=timezone.now())
    observer = Client()
    observer.force_login(factories.UserFactory(role="observer"))
    assert observer.get(f"{page}/sections/{section.uuid}/versions").status_code == 404
    shown = observer.get(f"{page}/sections/{other.uuid}/versions")
    assert shown.status_code == 200 and str(section.uuid) not in shown.content.decode()
    assert "(removed)" in words(signed_in.get(f"{page}/sections/{other.uuid}/versions"))


# --- the timeline -------------------------------------------------------------------------------------------------


def test_lines_are_hidden_reworded_put_back_and_stay_so_when_drawn_anew(signed_in, postmortem, page):
    line = postmortem.moments.exclude(said="").first()
    to = f"{page}/timeline/{line.uuid}"
    signed_in.post(to, {"do": "hide"})
    signed_in.post(to, {"do": "reword", "text": "It broke"})
    signed_in.post(f"{page}/timeline/redraw")
    line.refresh_from_db()
    assert (line.is_shown, line.text) == (False, "It broke")
    assert "Reworded by Bob" in words(signed_in.get(f"{page}/timeline"))
    assert "It broke" not in words(signed_in.get(page))
    signed_in.post(to, {"do": "show"})
    assert "It broke" in words(signed_in.get(page))
    signed_in.post(to, {"do": "put back"})
    line.refresh_from_db()
    assert line.text == line.said
    assert "Write what happened" in words(signed_in.post(to, {"do": "reword", "text": " "}, follow=True))
    assert "Hide it instead" in words(signed_in.post(to, {"do": "remove"}, follow=True))


def test_a_line_of_ones_own_has_its_time_and_can_be_removed(signed_in, postmortem, page):
    signed_in.post(f"{page}/timeline/add", {"at": "2026-05-31T10:30", "text": "A customer called"})
    line = postmortem.moments.get(source=Moment.Source.OWN)
    assert f"{line.at:%Y-%m-%d %H:%M}" == "2026-05-31 10:30"
    to = f"{page}/timeline/{line.uuid}"
    signed_in.post(to, {"do": "reword", "text": "Two called", "at": "2026-05-31T10:35"})
    line.refresh_from_db()
    assert (line.text, f"{line.at:%H:%M}") == ("Two called", "10:35")
    refused = signed_in.post(to, {"do": "reword", "text": "Three", "at": "noon"}, follow=True)
    assert "Write a date and a time" in words(refused)
    line.refresh_from_db()
    assert line.text == "Two called"
    signed_in.post(to, {"do": "remove"})
    assert not postmortem.moments.filter(source=Moment.Source.OWN).exists()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"at": "", "text": "x"}, "Choose a date and a time"),
        ({"at": "noon", "text": "x"}, "Write a date and a time"),
        ({"at": "0001-01-01T00:00", "text": "x"}, "Write a date and a time"),
        ({"at": "2026-05-31T10:30", "text": ""}, "This field is required"),
        ({"at": "2026-05-31T10:30", "text": "x" * 2001}, "at most 2000 characters"),
    ],
)
def test_a_line_that_is_wrong_says_what_to_change(signed_in, postmortem, page, form, said):
    answer = signed_in.post(f"{page}/timeline/add", form)
    assert answer.status_code == 400 and said in words(answer)
    assert not postmortem.moments.filter(source=Moment.Source.OWN).exists()


def test_with_htmx_only_the_lines_come_back(signed_in, postmortem, page):
    line = postmortem.moments.first()
    answer = signed_in.post(
        f"{page}/timeline/{line.uuid}", {"do": "hide"}, headers={"X-Fragment": "moments"}, follow=True
    )
    html = answer.content.decode()
    assert 'data-fragment="moments"' in html and "<main" not in html and "The line is hidden" in html


def test_lines_of_an_incident_that_is_hidden_from_a_writer_are_not_theirs_to_choose(signed_in, postmortem, page):
    vault = factories.ServiceFactory(name="Strongroom", team=factories.TeamFactory(is_private=True))
    hidden = factories.MomentFactory(
        postmortem=postmortem, text="Unsealed by hand.", incident=factories.IncidentFactory(service=vault)
    )
    factories.MomentFactory(postmortem=postmortem, text="Somebody looked at Strongroom.")
    shown = signed_in.get(f"{page}/timeline").content.decode()
    assert "Unsealed" not in shown and "Strongroom" not in shown and "Somebody looked at (private)." in shown
    assert signed_in.post(f"{page}/timeline/{hidden.uuid}", {"do": "hide"}).status_code == 404


# --- causes -------------------------------------------------------------------------------------------------------


def test_causes_are_offered_in_the_words_of_others(signed_in, postmortem, page, team):
    other = factories.PostmortemFactory(team=team)
    factories.FactorFactory(postmortem=other, cause="Expired certificate")
    assert '<option value="Expired certificate">' in signed_in.get(f"{page}/factors").content.decode()
    signed_in.post(f"{page}/factors", {"cause": "expired certificate", "text": "Nobody looked", "is_root": "on"})
    factor = postmortem.factors.get()
    assert factor.is_root and factor.text == "Nobody looked"
    twice = signed_in.post(f"{page}/factors", {"cause": "Expired Certificate"})
    assert twice.status_code == 400 and "is named already" in words(twice)
    assert "Nobody looked" in signed_in.get(f"{page}/factors?change={factor.uuid}").content.decode()
    signed_in.post(f"{page}/factors", {"factor": str(factor.uuid), "cause": "Certificate", "text": ""})
    factor.refresh_from_db()
    assert (factor.cause, factor.is_root) == ("Certificate", False)
    assert signed_in.post(f"{page}/factors", {"cause": " "}).status_code == 400
    assert signed_in.post(f"{page}/factors", {"factor": "x", "do": "remove"}).status_code == 404
    signed_in.post(f"{page}/factors", {"factor": str(factor.uuid), "do": "remove"})
    assert not Factor.objects.filter(postmortem=postmortem).exists()


# --- images -------------------------------------------------------------------------------------------------------


def picture(kind="PNG", size=(40, 20)):
    out = io.BytesIO()
    Picture.new("RGB", size, "red").save(out, kind)
    return out.getvalue()


def file(body, name="graph.png"):
    return SimpleUploadedFile(name, body, "image/png")


def test_an_image_is_uploaded_shown_and_removed(signed_in, postmortem, page, section, alice):
    answer = signed_in.post(f"{page}/images", {"image": file(picture())}, headers={"accept": "application/json"})
    assert answer.status_code == 201
    line = answer.json()["markdown"]
    image = Image.objects.get()
    assert line == f"![graph.png]({page}/images/{image.uuid})"
    theirs(section, line, alice)
    assert f'src="{page}/images/{image.uuid}"' in signed_in.get(page).content.decode()
    shown = signed_in.get(f"{page}/images/{image.uuid}")
    assert shown.headers["Content-Type"] == "image/png" and shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in shown.headers["Content-Security-Policy"] and "private" in shown.headers["Cache-Control"]
    assert Picture.open(io.BytesIO(shown.content)).size == (40, 20)
    signed_in.post(f"{page}/images/{image.uuid}")
    assert signed_in.get(f"{page}/images/{image.uuid}").status_code == 404


def test_without_script_the_line_of_an_image_is_said(signed_in, page):
    answer = signed_in.post(f"{page}/images", {"image": file(picture())}, follow=True)
    assert f"![graph.png]({page}/images/" in words(answer)
    assert "Choose an image file first" in words(signed_in.post(f"{page}/images", {}, follow=True))


@pytest.mark.parametrize("body", [b"", b"<svg onload=alert(1)>", b"GIF89a", b"x" * (5 * 1024 * 1024 + 1)])
def test_what_is_no_image_is_refused_with_a_sentence(signed_in, page, body):
    answer = signed_in.post(f"{page}/images", {"image": file(body)}, headers={"accept": "application/json"})
    assert answer.status_code == 400 and answer.json()["message"].endswith(".")
    assert not Image.objects.exists()


def test_an_image_is_seen_by_who_may_read_it_and_through_a_link(signed_in, postmortem, page, section, alice, charlie):
    signed_in.post(f"{page}/images", {"image": file(picture())})
    image = Image.objects.get()
    theirs(section, f"![x]({page}/images/{image.uuid})", alice)
    stranger, nobody = Client(), Client()
    nobody.force_login(charlie)
    assert stranger.get(f"{page}/images/{image.uuid}").status_code == 302
    assert nobody.get(f"{page}/images/{image.uuid}").status_code == 404  # a draft of another team
    reviewing.publish(postmortem.number, by=alice, now=timezone.now())
    link, token = sharing.make(postmortem.number, days=1, by=alice, now=timezone.now())
    address = f"/postmortems/shared/{token}/images/{image.uuid}"
    assert f'src="{address}"' in stranger.get(f"/postmortems/shared/{token}").content.decode()
    assert stranger.get(address).headers["Content-Type"] == "image/png"
    assert "no-store" in stranger.get(address).headers["Cache-Control"]
    other = factories.PostmortemFactory()
    assert stranger.get(f"/postmortems/shared/{token}/images/{other.team.pk:032x}").status_code == 404
    sharing.revoke(link.uuid, by=alice, now=timezone.now())
    assert stranger.get(address).status_code == 404
