"""The badge: a small picture of a page's state for other sites. Pure."""

from html import escape

from statuspages import states, words

FILLS = {
    states.OPERATIONAL: "#1a7f37",
    states.MAINTENANCE: "#0a62b8",
    states.DEGRADED: "#8a5a00",
    states.PARTIAL: "#b04a00",
    states.MAJOR: "#b3180e",
}
# Widths in thousandths of the size, of a common sans-serif face; what is not named is as wide as an n.
WIDTHS = {**dict.fromkeys("fijlrt.,:;'’! ()[]|", 350), **dict.fromkeys("mwMWQOGD@%", 850)}
USUAL, UPPER = 600, 700
SIZE, PADDING, HEIGHT = 11, 8, 22
LONGEST_NAME = 40


def draw(name, state, language):
    """The badge of a page as SVG; it says the page's name and its state in this language."""
    said = words.of(language)
    label = clean(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")
    text = said[state]
    left, right = (_width(one) + 2 * PADDING for one in (label, text))
    whole = escape(f"{label}: {text}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{HEIGHT}" role="img" '
        f'xml:lang="{said.language}" aria-label="{whole}"><title>{whole}</title>'
        f'<clipPath id="r"><rect width="{left + right}" height="{HEIGHT}" rx="4"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="{HEIGHT}" fill="#3d4450"/>'
        f'<rect x="{left}" width="{right}" height="{HEIGHT}" fill="{FILLS[state]}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,Arial,sans-serif" font-size="{SIZE}">'
        f'<text x="{PADDING}" y="15" textLength="{left - 2 * PADDING}">{escape(label)}</text>'
        f'<text x="{left + PADDING}" y="15" textLength="{right - 2 * PADDING}">{escape(text)}</text></g></svg>'
    )


# A shape for each state, so that nobody needs the colour to tell them apart. In a square of 20.
SHAPES = {
    states.OPERATIONAL: ('<circle cx="10" cy="10" r="10"/>', "m5.5 10.5 3 3 6-6.5"),
    states.MAINTENANCE: ('<rect width="20" height="20" rx="5"/>', "M5 7h10M5 10h10M5 13h6"),
    states.DEGRADED: ('<rect width="20" height="20" rx="10"/>', "M5.5 10h9"),
    states.PARTIAL: ('<path d="M10 .8 19.6 18a1 1 0 0 1-.9 1.5H1.3A1 1 0 0 1 .4 18z"/>', "M10 7.5v5m0 3v.1"),
    states.MAJOR: ('<path d="M6 .5h8L19.5 6v8L14 19.5H6L.5 14V6z"/>', "m6.5 6.5 7 7m0-7-7 7"),
}


def icon(state):
    """What the tab of the browser shows: the shape of a state."""
    ground, mark = SHAPES[state]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20" fill="{FILLS[state]}">{ground}'
        f'<path d="{mark}" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>'
    )


def clean(text):
    """Text without the control characters that XML cannot hold."""
    return "".join(one for one in text if _is_allowed(ord(one)))


def _is_allowed(code):
    """Char of XML 1.0, section 2.2."""
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def _width(text):
    wide = sum(WIDTHS.get(one, UPPER if one.isupper() else USUAL) for one in text)
    return round(wide * SIZE / 1000)
