"""Draws a document as PDF: headings, Markdown, tables and pictures, in a font that most languages are written in.

Nothing that somebody writes makes it fail: a character that the font lacks becomes a square, a picture that cannot be
read a sentence, and a table that is too wide for the paper its lines. The fonts are DejaVu (bin/up fetches them).
"""

import functools
import io
import re
import time
import unicodedata

import PIL
from fpdf import FPDF
from markdown_it import MarkdownIt
from PIL import Image as Pictures

from core import packages
from core.errors import DomainError

FONTS = packages.FOLDER / "dejavu-fonts-ttf" / "ttf"
FILES = {
    ("text", ""): "DejaVuSans.ttf",
    ("text", "B"): "DejaVuSans-Bold.ttf",
    ("text", "I"): "DejaVuSans-Oblique.ttf",
    ("text", "BI"): "DejaVuSans-BoldOblique.ttf",
    ("code", ""): "DejaVuSansMono.ttf",
}
LACKING = "□"
PARSED = 50_000  # characters of one text; what is longer is printed as it was typed
SIZE, CODE_SIZE, LINE = 10, 8.5, 5.2  # points, points, mm
HEADINGS = {1: 18, 2: 14, 3: 12, 4: 11}  # points
MARGIN, INDENT = 18, 6  # mm
DEEPEST = 8  # what is nested deeper is not indented further
MOST_COLUMNS, LEAST_WIDTH = 8, 14  # of a table; mm
MOST_SECONDS = 20  # for so long a thread of the web process is busy with one document
MOST_PICTURES = 40
PIXELS = 1500  # of a picture's longer side: sharper is no printer
TALLEST = 130  # mm
MM_PER_PIXEL = 25.4 / 96
BLACK, GREY, BLUE, PALE = (20, 20, 20), (95, 95, 95), (20, 80, 170), (243, 243, 245)
LINKED = ("https://", "http://", "mailto:", "tel:")
OPENED = re.compile(r"(strong|em|s)_(open|close)")
LEVELS = {"h1": 3, "h2": 4, "h3": 4}  # they stand below the document's own headings

_parser = MarkdownIt("js-default", {"html": False, "linkify": True, "typographer": False, "breaks": True})


class Paper(FPDF):
    """A document on A4. `picture(src)` gives `(content type, bytes)` of an image that a text names, or None.

    Raises DomainError when it takes longer than `seconds`.
    """

    def __init__(self, title, *, at, picture=lambda src: None, seconds=MOST_SECONDS):
        super().__init__(format="A4")
        self.until = time.monotonic() + seconds
        _check_fonts()
        for (family, style), file in FILES.items():
            self.add_font(family, style, FONTS / file)
        self.picture_of, self.pictures = picture, 0
        self.running_title = self.fit(title, "text", "")
        self.set_title(title)
        self.set_lang("en")
        self.set_creation_date(at)
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, MARGIN + 4)
        self.add_page()
        self._plain()

    # --- what a document is made of -------------------------------------------------------------------------------

    def heading(self, text, level):
        """A heading; those of the document itself (1, 2) stand in the outline too."""
        self._break()
        self.set_font("text", "B", HEADINGS[level])
        height = HEADINGS[level] * 0.5
        if self.will_page_break(height + 3 * LINE):  # no heading alone at the foot of a page
            self.add_page()
        self.ln(2.5 if level < 3 else 1)
        text = self.fit(text)
        if level <= 2:
            self.start_section(" ".join(text.split())[:200] or LACKING, level=level - 1, strict=False)
            self.set_font("text", "B", HEADINGS[level])
        self.multi_cell(0, height, text, align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(1.5)
        self._plain()

    def paragraph(self, text, *, style="", colour=BLACK):
        """Plain text."""
        self._break()
        self.set_font("text", style, SIZE)
        self.set_text_color(*colour)
        self.multi_cell(0, LINE, self.fit(text), align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(2)
        self._plain()

    def labelled(self, label, text):
        """A line with a bold beginning, such as the time of what happened."""
        self._break()
        self.set_font("text", "B", SIZE)
        self.write(LINE, self.fit(f"{label}  "))
        self._plain()
        self.write(LINE, self.fit(text))
        self.ln(LINE + 1)

    def rows(self, header, rows):
        """A table. Cells that do not fit break into lines, and rows over pages."""
        self._break()
        if not header:
            return
        if len(header) > MOST_COLUMNS or self.epw / len(header) < LEAST_WIDTH:
            for row in rows:
                self.paragraph(
                    " · ".join(f"{name}: {cell}" if name else cell for name, cell in zip(header, row, strict=True))
                )
            return
        widths = self._widths(header, rows)
        for number, row in enumerate([header, *rows]):
            self._row(row, widths, is_header=number == 0)
        self.ln(3)
        self._plain()

    def markdown(self, text):
        """A text in Markdown."""
        self._break()
        if len(text) > PARSED:
            self.paragraph(text)
            return
        _Walk(self).blocks(_parser.parse(text.replace("\0", "")))
        self._break()

    def image_of(self, src, alt):
        """A picture that a text names, or what it is called where there is none to print."""
        self._hurry()
        found = self.picture_of(src) if self.pictures < MOST_PICTURES else None
        drawn = _readable(found[1]) if found else None
        if drawn is None:
            self.write(LINE, self.fit(f"[{alt or 'picture'}]"), link=src if src.startswith(LINKED) else "")
            return
        self.pictures += 1
        self._break()
        width, height = drawn.width * MM_PER_PIXEL, drawn.height * MM_PER_PIXEL
        scale = min(1, self.epw / width, TALLEST / height)
        if self.will_page_break(height * scale):
            self.add_page()
        self.image(drawn, w=width * scale, h=height * scale, alt_text=self.fit(alt)[:500] or None)
        self.ln(2)

    def footer(self):
        """What the foot of each page says; called by the library."""
        self.set_y(-MARGIN + 4)
        self.set_font("text", "", 8)
        self.set_text_color(*GREY)
        left = self.running_title
        while left and self.get_string_width(left) > self.w - 2 * MARGIN - 35:
            left = left[: int(len(left) * 0.9)]
        self.set_x(MARGIN)
        self.cell(0, 5, left)
        self.set_x(MARGIN)
        self.cell(self.w - 2 * MARGIN, 5, f"{self.page_no()} / {{nb}}", align="R")

    # --- how it is drawn ------------------------------------------------------------------------------------------

    def fit(self, text, family=None, style=None):
        """The text in characters that the font of the moment has."""
        key = (family or self.font_family, self.font_style if style is None else style)
        known = _known(FILES.get(key, FILES["text", ""]))
        text = text.replace("\t", "    ")
        if text.isascii() and text.isprintable():
            return text
        return "".join(one if one == "\n" or ord(one) in known else _instead(one) for one in text)

    def _plain(self):
        self.set_font("text", "", SIZE)
        self.set_text_color(*BLACK)

    def _hurry(self):
        if time.monotonic() > self.until:
            raise DomainError("It takes too long to print. Export it as Markdown.", code="too_long")

    def _break(self):
        """Begin a line, unless one begins here."""
        self._hurry()
        if self.x > self.l_margin + 0.1:
            self.ln(LINE)

    def _widths(self, header, rows):
        """The widths of columns, by what stands in them: none too narrow to read."""
        longest = [max(len(row[column]) for row in [header, *rows[:200]]) for column in range(len(header))]
        wanted = [min(max(one, 4), 60) for one in longest]
        spare = self.epw - LEAST_WIDTH * len(header)
        return [LEAST_WIDTH + spare * one / sum(wanted) for one in wanted]

    def _row(self, row, widths, *, is_header):
        self._hurry()
        self.set_font("text", "B" if is_header else "", SIZE - 1)
        cells = [self._lines(cell, width) for cell, width in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            if self.will_page_break(LINE):
                self.add_page()
                self.set_font("text", "B" if is_header else "", SIZE - 1)
            top = self.y
            for lines, width in zip(cells, widths, strict=True):
                self.cell(width, LINE, lines[number] if number < len(lines) else "")
            self.set_xy(self.l_margin, top + LINE)
        self.set_draw_color(*(GREY if is_header else (215, 215, 215)))
        self.line_across()

    def line_across(self):
        """A thin line from margin to margin."""
        self.line(self.l_margin, self.y, self.w - self.r_margin, self.y)

    def _lines(self, text, width):
        text = self.fit(text)
        if "\n" not in text and self.get_string_width(text) < width - 2.5:
            return [text]
        return self.multi_cell(width, LINE, text, align="L", dry_run=True, output="LINES") or [""]


class _Walk:
    """Walks through the tokens of a Markdown text and draws them."""

    def __init__(self, paper):
        self.paper = paper
        self.lists = []  # the number of the next item; None in a list without numbers
        self.depth = 0
        self.bold = self.italic = self.struck = self.quotes = 0

    def blocks(self, tokens):
        paper, position = self.paper, 0
        while position < len(tokens):
            token = tokens[position]
            kind = token.type
            if kind == "table_open":
                position = self._table(tokens, position)
            elif kind == "heading_open":
                paper.heading(_text_of(tokens[position + 1]), LEVELS.get(token.tag, 4))
                position += 2
            elif kind == "inline":
                self._inline(token.children)
            elif kind == "paragraph_close":
                paper.ln(LINE + (1 if token.hidden else 2.2))
            elif kind in ("fence", "code_block"):
                self._code(token.content)
            elif kind == "hr":
                paper.set_draw_color(200, 200, 200)
                paper.line_across()
                paper.ln(3)
            elif kind in ("bullet_list_open", "ordered_list_open"):
                self.lists.append(token.attrGet("start") or 1 if kind == "ordered_list_open" else None)
                self._indent(1)
            elif kind in ("bullet_list_close", "ordered_list_close"):
                self.lists.pop()
                self._indent(-1)
                if not self.lists:
                    paper.ln(1.2)
            elif kind == "list_item_open":
                self._bullet()
            elif kind in ("blockquote_open", "blockquote_close"):
                step = 1 if kind.endswith("open") else -1
                self.quotes += step
                self._indent(step)
            position += 1
        self._indent(-self.depth)

    def _indent(self, step):
        self.paper._break()
        self.depth += step
        self.paper.set_left_margin(MARGIN + INDENT * min(self.depth, DEEPEST))
        self.paper.set_x(self.paper.l_margin)

    def _bullet(self):
        paper = self.paper
        paper._break()
        number = self.lists[-1] if self.lists else None
        if number is not None:
            self.lists[-1] = int(number) + 1
        if paper.will_page_break(LINE):
            paper.add_page()
        paper._plain()
        mark = "•" if number is None else f"{number}."
        paper.set_x(paper.l_margin - INDENT)
        paper.cell(INDENT, LINE, mark[:4])
        paper.set_x(paper.l_margin)

    def _code(self, text):
        paper = self.paper
        paper._break()
        paper.set_font("code", "", CODE_SIZE)
        paper.set_fill_color(*PALE)
        paper.multi_cell(
            0, 4.4, paper.fit(text.rstrip("\n")) or " ", align="L", fill=True, new_x="LMARGIN", new_y="NEXT"
        )
        paper.ln(2.5)
        paper._plain()

    def _inline(self, tokens):
        paper, href = self.paper, ""
        for token in tokens:
            if found := OPENED.fullmatch(token.type):
                step = 1 if found[2] == "open" else -1
                name = {"strong": "bold", "em": "italic", "s": "struck"}[found[1]]
                setattr(self, name, getattr(self, name) + step)
            elif token.type == "link_open":
                given = str(token.attrGet("href") or "")
                href = given if given.startswith(LINKED) else ""
            elif token.type == "link_close":
                href = ""
            elif token.type == "image":
                paper.image_of(str(token.attrGet("src") or ""), token.content)
            elif token.type in ("softbreak", "hardbreak"):
                paper.ln(LINE)
            elif token.content:
                self._write(token.content, href, is_code=token.type == "code_inline")
        self.bold = self.italic = self.struck = 0
        paper._plain()

    def _write(self, text, href, *, is_code):
        paper = self.paper
        paper._hurry()
        style = ("B" if self.bold else "") + ("I" if self.italic else "")
        if is_code:
            paper.set_font("code", "", SIZE - 1)
        else:
            paper.set_font("text", style + ("S" if self.struck else "") + ("U" if href else ""), SIZE)
        paper.set_text_color(*(BLUE if href else GREY if self.quotes else BLACK))
        paper.write(LINE, paper.fit(text, "code" if is_code else "text", "" if is_code else style), link=href)

    def _table(self, tokens, position):
        """Draw the table that begins here; returns where it ends."""
        rows = []
        while tokens[position].type != "table_close":
            token = tokens[position]
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(_text_of(token))
            position += 1
        header, *others = rows
        self.paper.rows(header, [row + [""] * (len(header) - len(row)) for row in others])
        return position


def _text_of(token):
    """What an inline token says, without its marks."""
    return "".join("\n" if one.type.endswith("break") else one.content for one in token.children or ())


@functools.cache
def _known(file):
    """The numbers of the characters that a font has, those left out that would move or hide others."""
    paper = FPDF()
    paper.add_font("font", "", FONTS / file)
    return frozenset(number for number in paper.fonts["font"].cmap if not _is_unseen(chr(number)))


def _is_unseen(character):
    """Whether it has no look of its own: a control, a direction, a choice between looks."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") or 0xFE00 <= ord(character) <= 0xFE0F


def _instead(character):
    """What is drawn instead of a character that the font lacks."""
    if _is_unseen(character):
        return ""
    return " " if unicodedata.category(character).startswith("Z") else LACKING


def _readable(body):
    """The picture, no larger than a printer shows and on white; None when it cannot be read."""
    try:
        with Pictures.open(io.BytesIO(body)) as picture:
            picture.draft("RGB", (PIXELS, PIXELS))
            picture.thumbnail((PIXELS, PIXELS))
            drawn = picture.convert("RGBA")
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return None
    paper = Pictures.new("RGB", drawn.size, "white")
    paper.paste(drawn, mask=drawn.getchannel("A"))
    return paper


def _check_fonts():
    if missing := [file for file in FILES.values() if not (FONTS / file).is_file()]:
        raise DomainError(
            f"The fonts of the PDF are missing ({', '.join(missing)}). Take the Markdown, or ask an admin to start "
            "bin/up where the npm registry can be reached.",
            code="fonts_missing",
        )
