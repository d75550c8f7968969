"""Pictures in postmortems: what is uploaded is drawn anew, so that nothing comes along but what one sees.

The place where a camera stood, comments, and what hides behind the end of a picture are left out that way.
"""

import io
import re
import warnings

from django.db import transaction
from PIL import Image as Picture
from PIL import ImageOps, UnidentifiedImageError

from accounts import audit
from core.errors import DomainError
from notifications.message import storable
from postmortems.locking import check_editable, locked, locked_part
from postmortems.models import Image

MOST_BYTES = 5 * 1024 * 1024
MOST_PIXELS = 40_000_000
MOST_SIDE = 16_000  # WebP ends there, and no screen is as wide
MOST_FRAMES = 200  # of a moving picture
MOST_IMAGES = 100
MOST_OF_ALL = 100 * 1024 * 1024
LONGEST_NAME = Image._meta.get_field("name").max_length
# What Pillow calls it: what a browser calls it, and how it is written again.
FORMATS = {
    "PNG": ("image/png", {"optimize": True}),
    "JPEG": ("image/jpeg", {"quality": 88, "optimize": True}),
    "GIF": ("image/gif", {"optimize": True}),
    "WEBP": ("image/webp", {"quality": 88}),
}
SEVERAL = "MPO"  # a JPEG with more pictures behind the first, as phones take them: the first is what one sees
TOO_LARGE = "A picture has at most 5 MB. Make it smaller, or cut out what matters."
TOO_WIDE = f"A picture has at most {MOST_PIXELS // 1_000_000} million pixels, {MOST_SIDE} at a side. Make it smaller."
UNREADABLE = "This is no picture that can be read. Use PNG, JPEG, GIF or WebP; others can be saved as one of these."


@transaction.atomic
def add(number, *, name, body, by, now):
    """Keep an uploaded picture; `body` are its bytes. Returns the Image.

    Raises DomainError for what is too large, too many, or no PNG, JPEG, GIF or WebP.
    """
    drawn, content_type, width, height = draw_anew(body)
    postmortem = locked(number)
    check_editable(postmortem)
    sizes = list(postmortem.images.order_by().values_list("size", flat=True))
    if len(sizes) >= MOST_IMAGES:
        raise DomainError(f"A postmortem has at most {MOST_IMAGES} pictures. Remove one that nobody needs.")
    if sum(sizes) + len(drawn) > MOST_OF_ALL:
        raise DomainError("The pictures of a postmortem have at most 100 MB together. Remove one that nobody needs.")
    image = Image.objects.create(
        postmortem=postmortem,
        name=_name(name),
        body=drawn,
        content_type=content_type,
        size=len(drawn),
        width=width,
        height=height,
        by=by,
        at=now,
    )
    audit.record("did", postmortem, by=by, text=f"Added the picture {image.name}.")
    return image


@transaction.atomic
def remove(uuid, *, by, now):
    """Delete a picture. Where a text shows it, its description stands instead."""
    image = locked_part(Image, uuid, "picture", defer=("body",))
    image.delete()
    audit.record("did", image.postmortem, by=by, text=f"Removed the picture {image.name}.")


def draw_anew(body):
    """`(bytes, content type, width, height)` of a picture without anything but its pixels. Raises DomainError."""
    if not body:
        raise DomainError("The file is empty. Choose a picture.")
    if len(body) > MOST_BYTES:
        raise DomainError(TOO_LARGE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Picture.DecompressionBombWarning)
            with Picture.open(io.BytesIO(body), formats=list(FORMATS)) as picture:
                _check_size(picture)
                return _drawn(picture)
    except (Picture.DecompressionBombWarning, Picture.DecompressionBombError):
        raise DomainError(TOO_WIDE) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError):
        raise DomainError(UNREADABLE) from None  # Pillow raises any of these for a file that is broken or made up


def _check_size(picture):
    width, height = picture.size
    frames = getattr(picture, "n_frames", 1)
    if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
        raise DomainError(TOO_WIDE)
    if frames > MOST_FRAMES or width * height * frames > 2 * MOST_PIXELS:
        raise DomainError(f"A moving picture has at most {MOST_FRAMES} small frames. Cut it, or use a still one.")


def _drawn(picture):
    kind = "JPEG" if picture.format == SEVERAL else picture.format
    content_type, options = FORMATS[kind]
    if getattr(picture, "n_frames", 1) > 1 and kind in ("GIF", "WEBP", "PNG"):
        frames, durations = _frames(picture)
        options = options | {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    else:
        frames = [_bare(ImageOps.exif_transpose(picture))]
    out = io.BytesIO()
    frames[0].save(out, kind, **options)
    if out.tell() > 2 * MOST_BYTES:
        raise DomainError("Drawn anew, this picture is larger than 10 MB. Make it smaller, or save it as JPEG.")
    return out.getvalue(), content_type, *frames[0].size


def _frames(picture):
    frames, durations = [], []
    for place in range(picture.n_frames):
        picture.seek(place)
        frames.append(_bare(picture.copy()))
        durations.append(min(max(int(picture.info.get("duration") or 100), 20), 60_000))
    return frames, durations


def _bare(picture):
    """The pixels alone: colours that the formats have in common, and none of the notes that came along."""
    picture.load()
    has_glass = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    if has_glass and picture.format != "JPEG":
        mode = "RGBA"
    else:
        mode = "L" if picture.mode in ("1", "L", "I;16", "I", "F") else "RGB"
    bare = picture.convert(mode)
    bare.info = {}
    return bare


def _name(name):
    """A name to show: the last part of what a browser sent, without what could be read as Markdown or a path."""
    name = " ".join(storable(name).replace("\\", "/").rpartition("/")[2].split())
    name = re.sub(r"[\[\]()<>!`*\x00-\x1f]", "", name)
    return name[-LONGEST_NAME:] or "picture"


# --- in a text ----------------------------------------------------------------------------------------------------
def url_of(image):
    """The address by which a text names it: without the host, so that it holds when that changes."""
    return _address(image.postmortem_id, image.uuid)


def markdown(image):
    """What shows it in a text."""
    return f"![{image.name}]({url_of(image)})"


def picture_of(postmortem, *, token=None):
    """For `core.markdown.render`: a function that knows the pictures of this postmortem by their addresses.

    With the `token` of a share link they are shown at the address that opens by it. The first picture asks the
    database, and a text without one asks nothing.
    """
    known = None

    def picture(address):
        nonlocal known
        if known is None:
            rows = postmortem.images.order_by().values_list("uuid", "width", "height")
            known = {_address(postmortem.pk, uuid): (uuid, width, height) for uuid, width, height in rows}
        if address not in known:
            return None
        uuid, width, height = known[address]
        src = f"/postmortems/shared/{token}/images/{uuid}" if token else address
        return {"src": src, "width": width, "height": height}

    return picture


def _address(number, uuid):
    return f"/postmortems/{number}/images/{uuid}"
