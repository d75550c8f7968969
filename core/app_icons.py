"""The icons of the app on a home screen: `python -m core.app_icons` draws them anew from static/favicon.svg.

They are drawn by hand, with nothing but the standard library: a rounded square, and a line of some width along the
points of the mark. Edges are smooth because a pixel takes as much of a shape as lies in it.
"""

import dataclasses
import itertools
import math
import re
import struct
import sys
import zlib
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
# name: (pixels, how round the corners are as a share of the width, the mark's share of the width, has a ground)
ICONS = {
    "icon-192": (192, None, 1, True),
    "icon-512": (512, None, 1, True),
    # A launcher cuts its own shape: only the inner 80 % are sure to be seen.
    "maskable-192": (192, 0, 0.78, True),
    "maskable-512": (512, 0, 0.78, True),
    "apple-touch-icon": (180, 0, 0.86, True),
    # Android uses nothing but how opaque it is, for the bar at the top.
    "badge-96": (96, 0, 1.25, False),
}


@dataclasses.dataclass(frozen=True)
class Logo:
    """What the drawing says: a ground, and one line. Lengths are in its own units."""

    width: float
    radius: float
    ground: tuple
    line: tuple
    points: tuple
    thickness: float


def read(svg):
    """The Logo of a drawing with one `rect` and one `path` of straight lines. Raises ValueError for another."""
    box = re.search(r'viewBox="0 0 (\d+) \1"', svg)
    rect = re.search(r'<rect [^>]*rx="([\d.]+)"[^>]*fill="#([0-9a-f]{6})"', svg)
    path = re.search(r'<path d="([^"]+)"[^>]*stroke="#([0-9a-f]{3,6})"[^>]*stroke-width="([\d.]+)"', svg)
    if not (box and rect and path):
        raise ValueError("static/favicon.svg is a square: a <rect rx fill> and a <path d stroke stroke-width>.")
    return Logo(
        width=float(box[1]),
        radius=float(rect[1]),
        ground=_colour(rect[2]),
        line=_colour(path[2]),
        points=tuple(_points(path[1])),
        thickness=float(path[3]),
    )


def _colour(text):
    text = text if len(text) == 6 else "".join(letter * 2 for letter in text)
    return tuple(bytes.fromhex(text))


def _points(path):
    """The corners of a path of `M`, `L` and `l`, in the drawing's units."""
    x = y = 0.0
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        if command not in "MLl":
            raise ValueError(f"The mark in static/favicon.svg may use M, L and l only, not {command}.")
        values = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        for right, down in zip(values[::2], values[1::2], strict=True):
            x, y = (x + right, y + down) if command == "l" else (right, down)
            yield x, y


def draw(logo, size, corner, share, has_ground):
    """The pixels of an icon as bytes, four of each: red, green, blue, opacity."""
    scale = size / logo.width
    radius = (logo.radius if corner is None else corner) * scale
    middle = size / 2
    points = [(middle + (x * scale - middle) * share, middle + (y * scale - middle) * share) for x, y in logo.points]
    half = logo.thickness * scale * share / 2
    segments = list(itertools.pairwise(points))
    pixels = bytearray()
    for row in range(size):
        for column in range(size):
            x, y = column + 0.5, row + 0.5
            mark = _part(half - min(_distance(x, y, *start, *end) for start, end in segments))
            if has_ground:
                ground = _part(_inside(x - middle, y - middle, middle, radius)) if radius else 1.0
                mixed = (
                    round(below + (above - below) * mark) for below, above in zip(logo.ground, logo.line, strict=True)
                )
                pixels += bytes((*mixed, round(255 * ground)))
            else:
                pixels += bytes((255, 255, 255, round(255 * mark)))
    return bytes(pixels)


def _part(depth):
    """How much of a pixel lies in a shape whose edge is `depth` pixels away, inwards."""
    return max(0.0, min(1.0, depth + 0.5))


def _distance(x, y, x1, y1, x2, y2):
    """From a point to a stretch of line."""
    right, down = x2 - x1, y2 - y1
    along = max(0.0, min(1.0, ((x - x1) * right + (y - y1) * down) / (right * right + down * down)))
    return math.hypot(x - x1 - along * right, y - y1 - along * down)


def _inside(x, y, half, radius):
    """How far inside a square with round corners a point is; it lies around 0, 0."""
    right, down = abs(x) - half + radius, abs(y) - half + radius
    return radius - math.hypot(max(right, 0), max(down, 0)) - min(max(right, down), 0)


def png(pixels, size):
    """The bytes of a PNG of these pixels."""
    rows = b"".join(b"\0" + pixels[start : start + size * 4] for start in range(0, len(pixels), size * 4))
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")


def _chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def main(folder=STATIC / "icons"):
    """Write all icons into a folder."""
    logo = read((STATIC / "favicon.svg").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    for name, (size, *how) in ICONS.items():
        path = folder / f"{name}.png"
        path.write_bytes(png(draw(logo, size, *how), size))
        print(f"{path.name}: {size} x {size}, {path.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
