"""A logo is drawn anew from what was uploaded, and what is no picture is refused with a sentence."""

import io
import zlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts.models import AuditEntry
from core.errors import DomainError
from statuspages import logos
from statuspages.models import Logo, Nudge
from tests import factories


def picture(kind="PNG", size=(600, 200), **options):
    out = io.BytesIO()
    Image.new("RGB", size, "#d4237a").save(out, kind, **options)
    return out.getvalue()


def upload(body, name="logo.png"):
    return SimpleUploadedFile(name, body)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_becomes_a_small_png(db, now, alice, kind):
    page = factories.StatusPageFactory()
    Nudge.objects.all().delete()
    logos.set_logo(page, upload(picture(kind)), now=now, by=alice)
    logo = Logo.objects.get(page=page)
    drawn = Image.open(io.BytesIO(bytes(logo.body)))
    assert (drawn.format, drawn.size, logo.content_type) == ("PNG", (288, 96), "image/png")
    assert (logo.width, logo.height) == drawn.size
    assert Nudge.objects.filter(page=page).exists()  # the page is computed anew
    assert AuditEntry.objects.filter(text="The logo was replaced.", actor=alice).exists()


def test_another_one_takes_its_place_and_it_can_be_removed(db, now):
    page = factories.StatusPageFactory()
    logos.set_logo(page, upload(picture()), now=now)
    logos.set_logo(page, upload(picture(size=(50, 50))), now=now)
    assert Logo.objects.get(page=page).width == 50
    logos.remove_logo(page, now=now)
    logos.remove_logo(page, now=now)
    assert not Logo.objects.filter(page=page).exists()


def test_nothing_that_was_hidden_in_the_file_is_kept():
    exif = Image.Exif()
    exif[0x010E] = "taken at the office"
    body, _, _ = logos.drawn_anew(picture("JPEG", exif=exif, comment=b"<script>alert(1)</script>"))
    assert b"office" not in body and b"script" not in body
    body, _, _ = logos.drawn_anew(picture() + b"<script>alert(1)</script>")
    assert b"script" not in body


def test_a_picture_that_lies_on_its_side_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    _, width, height = logos.drawn_anew(picture("JPEG", size=(60, 30), exif=exif))
    assert (width, height) == (30, 60)


def bomb():
    """A PNG that says it has 60,000 × 60,000 pixels."""
    body = bytearray(picture(size=(8, 8)))
    body[16:24] = (60_000).to_bytes(4, "big") * 2
    body[29:33] = zlib.crc32(body[12:29]).to_bytes(4, "big")
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "no picture that can be read"),
        (b"GIF89a", "no picture that can be read"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "no picture that can be read"),
        (picture()[:90], "no picture that can be read"),
        (picture("GIF"), "Choose a PNG, a JPEG or a WebP file"),
        (bomb(), "no picture|too many"),
        (picture(size=(5000, 5000)), "5000 × 5000 pixels, which is too many"),
        (b"\x89PNG" + bytes(logos.MOST_BYTES), "larger than 1 MB"),
    ],
)
def test_what_is_no_logo_is_refused_with_a_sentence_and_the_old_one_stays(db, now, body, sentence):
    page = factories.LogoFactory().page
    with pytest.raises(DomainError, match=sentence):
        logos.set_logo(page, upload(body), now=now)
    assert Logo.objects.get(page=page).width == 1
