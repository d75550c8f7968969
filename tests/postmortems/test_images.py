"""What is uploaded as a picture is one, and brings nothing along."""

import io

import pytest
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from core import markdown
from core.errors import DomainError, IllegalMove
from postmortems import images
from postmortems.models import Image
from tests import factories


def made(kind, size=(30, 20), mode="RGB", **options):
    out = io.BytesIO()
    Picture.new(mode, size, 90).save(out, kind, **options)
    return out.getvalue()


def opened(image):
    return Picture.open(io.BytesIO(bytes(image.body)))


@pytest.fixture
def postmortem(team):
    return factories.PostmortemFactory(team=team)


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp")],
)
def test_a_picture_is_drawn_anew_in_its_own_format(kind, content_type, postmortem, bob, now):
    image = images.add(postmortem.pk, name="a.png", body=made(kind), by=bob, now=now)
    assert (image.content_type, image.width, image.height, image.by) == (content_type, 30, 20, bob)
    assert (opened(image).format, opened(image).size, image.size) == (kind, (30, 20), len(image.body))


def test_where_a_camera_stood_is_not_kept_and_the_picture_stands_upright(postmortem, bob, now):
    exif = Picture.Exif()
    exif[0x0112], exif[0x010E] = 6, "SECRET PLACE"  # turned by a quarter; a description
    body = made("JPEG", exif=exif, comment=b"SECRET NOTE") + b"SECRET TAIL <script>"
    image = images.add(postmortem.pk, name="a.jpg", body=body, by=bob, now=now)
    assert b"SECRET" not in image.body and not opened(image).getexif()
    assert (image.width, image.height) == (20, 30)
    notes = PngInfo()
    notes.add_text("Comment", "SECRET NOTE")
    image = images.add(postmortem.pk, name="a.png", body=made("PNG", pnginfo=notes), by=bob, now=now)
    assert b"SECRET" not in image.body


def test_of_a_picture_with_others_behind_it_as_phones_take_them_one_sees_the_first(postmortem, bob, now):
    out = io.BytesIO()
    Picture.new("RGB", (30, 20), "red").save(
        out, "MPO", save_all=True, append_images=[Picture.new("RGB", (30, 20), "blue")]
    )
    image = images.add(postmortem.pk, name="a.jpg", body=out.getvalue(), by=bob, now=now)
    assert image.content_type == "image/jpeg" and opened(image).format == "JPEG"
    assert opened(image).getpixel((5, 5))[0] > 200


def test_glass_stays_glass_and_what_moves_goes_on_moving(postmortem, bob, now):
    image = images.add(postmortem.pk, name="a", body=made("PNG", mode="RGBA"), by=bob, now=now)
    assert opened(image).mode == "RGBA"
    frames = [Picture.new("RGB", (9, 9), colour) for colour in ("red", "green", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=[100, 200, 300])
    image = images.add(postmortem.pk, name="a", body=out.getvalue(), by=bob, now=now)
    assert opened(image).n_frames == 3


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        SVG,
        b"<html><script>alert(1)</script>",
        b"%PDF-1.7",
        made("BMP"),
        made("TIFF"),
        made("PNG")[:60],
        made("JPEG")[:200],
        made("GIF")[:25],
        made("PNG")[:33] + b"\xff" * 50,
        b"x" * (images.MOST_BYTES + 1),
        made("PNG", size=(9000, 9000), mode="1"),
        made("GIF", size=(16_001, 1), mode="L"),
    ],
    ids=range(14),
)
def test_what_is_no_picture_or_too_large_is_refused_with_a_sentence(body, postmortem, bob, now):
    with pytest.raises(DomainError) as refused:
        images.add(postmortem.pk, name="a.png", body=body, by=bob, now=now)
    assert refused.value.message.endswith(".") and not Image.objects.exists()


def test_a_picture_of_thousands_of_frames_is_refused(postmortem, bob, now):
    frames = [Picture.new("L", (2, 2), colour % 255) for colour in range(201)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(DomainError, match="frames"):
        images.add(postmortem.pk, name="a.gif", body=out.getvalue(), by=bob, now=now)


def test_a_text_shows_the_pictures_of_its_own_postmortem_only(postmortem, bob, now):
    image = images.add(postmortem.pk, name="../x](y)<b>graph.png", body=made("PNG"), by=bob, now=now)
    assert image.name == "xybgraph.png"
    other = factories.ImageFactory()
    text = f"{images.markdown(image)} {images.markdown(other)} ![far](https://evil.example/x.png)"
    html = markdown.render(text, picture=images.picture_of(postmortem))
    assert html.count("<img") == 1 and f'src="/postmortems/{postmortem.pk}/images/{image.uuid}"' in html
    assert 'width="30"' in html and "far" in html and "evil" not in html
    shared = markdown.render(text, picture=images.picture_of(postmortem, token="abc"))
    assert f'src="/postmortems/shared/abc/images/{image.uuid}"' in shared


def test_a_text_without_pictures_asks_the_database_nothing(postmortem, django_assert_num_queries):
    with django_assert_num_queries(0):
        markdown.render("Nothing to see.", picture=images.picture_of(postmortem))


def test_a_picture_that_was_removed_leaves_its_name_in_the_text(postmortem, bob, now):
    image = images.add(postmortem.pk, name="graph.png", body=made("PNG"), by=bob, now=now)
    images.remove(image.uuid, by=bob, now=now)
    html = markdown.render(images.markdown(image), picture=images.picture_of(postmortem))
    assert html == "<p>graph.png</p>\n" and not Image.objects.exists()


def test_an_archived_postmortem_takes_no_pictures(bob, now):
    put_away = factories.PostmortemFactory(status="archived")
    with pytest.raises(IllegalMove):
        images.add(put_away.pk, name="a.png", body=made("PNG"), by=bob, now=now)
