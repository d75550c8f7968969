"""The picture in the head of a page: what was uploaded is read, made small and drawn anew."""

import io
import warnings

from django.db import transaction
from PIL import Image, ImageOps

from accounts import audit
from core.errors import DomainError
from statuspages.models import Logo, StatusPage

MOST_BYTES = 1024 * 1024
MOST_PIXELS = 16_000_000
FORMATS = ("PNG", "JPEG", "WEBP")
# Twice what is shown, for screens with fine dots: see `.brand img` in status.css.
BOX = (448, 96)


@transaction.atomic
def set_logo(page, upload, *, now, by=None):
    """Make an uploaded file the logo of a page. Nothing of the file is kept as it came: no metadata, no other frames.

    Raises DomainError with a sentence when it is no picture that we take.
    """
    body, width, height = drawn_anew(_read(upload))
    locked = StatusPage.objects.select_for_update().get(pk=page.pk)
    values = {"body": body, "content_type": "image/png", "width": width, "height": height, "changed_at": now}
    logo, _ = Logo.objects.update_or_create(page=locked, defaults=values)
    audit.record("changed", locked, by=by, text="The logo was replaced.")
    return logo


@transaction.atomic
def remove_logo(page, *, now, by=None):
    """Take the logo away. Twice is harmless."""
    locked = StatusPage.objects.select_for_update().get(pk=page.pk)
    logo = Logo.objects.filter(page=locked).first()
    if logo is not None:
        logo.delete()
        audit.record("changed", locked, by=by, text="The logo was removed.")


def look(upload):
    """Refuse an uploaded file that `set_logo` would refuse, before anything is saved. Raises DomainError."""
    drawn_anew(_read(upload))
    upload.seek(0)


def _read(upload):
    body = upload.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise DomainError("The logo is larger than 1 MB. Save it smaller: it is shown at most 48 pixels high.")
    return body


def drawn_anew(body):
    """`(PNG, width, height)` of an image file. Raises DomainError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise DomainError(
                        f"The logo has {image.width} × {image.height} pixels, which is too many. "
                        "Save it at most 2,000 pixels wide."
                    )
                image.draft("RGB", BOX)
                turned = ImageOps.exif_transpose(image).convert("RGBA")
    except DomainError:
        raise
    # What Pillow raises for broken files is not one family: a bomb, a struct.error, a SyntaxError of its own, …
    except Exception as error:
        raise DomainError("This is no picture that can be read. Choose a PNG, a JPEG or a WebP file.") from error
    turned.thumbnail(BOX, Image.Resampling.LANCZOS)
    clean = Image.new("RGBA", turned.size)  # a new one: what is not a pixel stays behind
    clean.paste(turned)
    out = io.BytesIO()
    clean.save(out, "PNG", optimize=True)
    return out.getvalue(), clean.width, clean.height
