"""The colour that somebody chose for a page, made readable. Pure.

Contrast is that of WCAG 2.2, "relative luminance" and "contrast ratio".
"""

LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3 for text of normal size
STEPS = 50
# The grounds on which links stand in status.css, light and dark: the hardest of each.
LIGHT_GROUND, DARK_GROUND = "#eef0f4", "#1d242e"
BLACK, WHITE = "#000000", "#ffffff"


def luminance(colour):
    """0 for black to 1 for white, of “#rrggbb”."""
    parts = (value / 255 for value in _parts(colour))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """1 for the same to 21 for black and white."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def on(colour):
    """Black or white, whichever is read better on this colour. One of them always has a contrast above 4.5."""
    return max((WHITE, BLACK), key=lambda one: contrast(one, colour))


def readable(colour, ground):
    """The colour, moved towards black or white until it can be read on this ground."""
    target = on(ground)
    for step in range(STEPS + 1):
        moved = _mixed(colour, target, step / STEPS)
        if contrast(moved, ground) >= LEAST_CONTRAST:
            return moved
    return target


def rules(accent):
    """The lines of CSS that give a page its colour. status.css uses these names."""
    accent = accent.lower()
    return (
        f":root {{ --head: {accent}; --on-head: {on(accent)}; "
        f"--link: light-dark({readable(accent, LIGHT_GROUND)}, {readable(accent, DARK_GROUND)}); }}\n"
    )


def _parts(colour):
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


def _mixed(colour, target, share):
    pairs = zip(_parts(colour), _parts(target), strict=True)
    return "#" + "".join(f"{round(one + (other - one) * share):02x}" for one, other in pairs)
