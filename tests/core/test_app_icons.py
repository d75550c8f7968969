"""The icons of the app are there, as large as they say, and what our own script draws."""

import struct
import zlib

import pytest

from core import app_icons

LOGO = app_icons.read((app_icons.STATIC / "favicon.svg").read_text())


def unpacked(name):
    """Width, height and pixels of a PNG that `app_icons.png` wrote."""
    data = (app_icons.STATIC / "icons" / f"{name}.png").read_bytes()
    assert data.startswith(app_icons.SIGNATURE)
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert (depth, kind) == (8, 6)
    start = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[start - 4 : start])
    rows = zlib.decompress(data[start + 4 : start + 4 + length])
    step = width * 4 + 1
    return width, height, b"".join(rows[at + 1 : at + step] for at in range(0, len(rows), step))


def pixel(pixels, size, column, row):
    at = (row * size + column) * 4
    return tuple(pixels[at : at + 4])


@pytest.mark.parametrize("name", app_icons.ICONS)
def test_the_icon_is_what_the_script_draws(name):
    size, *how = app_icons.ICONS[name]
    width, height, pixels = unpacked(name)
    assert (width, height) == (size, size)
    assert pixels == app_icons.draw(LOGO, size, *how), "Run python -m core.app_icons: static/favicon.svg has changed."


def test_a_launcher_may_cut_a_maskable_icon_as_it_likes():
    _, _, pixels = unpacked("maskable-192")
    assert pixel(pixels, 192, 0, 0) == (*LOGO.ground, 255)
    for column in range(192):
        for row in range(192):
            if (column - 96) ** 2 + (row - 96) ** 2 > (0.4 * 192) ** 2:
                assert pixel(pixels, 192, column, row) == (*LOGO.ground, 255)


def test_the_other_icons_have_round_corners_and_the_badge_no_ground():
    _, _, pixels = unpacked("icon-192")
    assert pixel(pixels, 192, 0, 0)[3] == 0
    assert pixel(pixels, 192, 96, 8) == (*LOGO.ground, 255)
    _, _, badge = unpacked("badge-96")
    assert {pixel(badge, 96, column, row)[:3] for column in range(96) for row in range(96)} == {(255, 255, 255)}
    assert pixel(badge, 96, 2, 2)[3] == 0


@pytest.mark.parametrize("path", ["M0 0h4", "M0 0C1 1 2 2 3 3"])
def test_a_mark_that_the_script_cannot_draw_is_refused_in_words(path):
    svg = (app_icons.STATIC / "favicon.svg").read_text()
    before = svg.split('path d="')[1].split('"')[0]
    with pytest.raises(ValueError, match="may use M, L and l only"):
        app_icons.read(svg.replace(before, path))
