"""A postmortem as one document: in Markdown, to keep beside the code, and as PDF, to hand on.

Both say the same in the same order: facts, summary, figures, sections, factors, timeline, action items. Comments,
reviews and hidden lines of the timeline stay here.
"""

import dataclasses
import datetime as dt
import re

from markdown_it import MarkdownIt

from accounts.permissions import visible
from accounts.visibility import hushed
from core.errors import DomainError
from incidents.figures import span
from postmortems.items import link_label
from postmortems.moments import figures_for
from postmortems.printing import Paper

LONGEST_PRINTED = 400_000  # characters
PICTURE = re.compile(r"/postmortems/[0-9]{1,18}/images/([0-9a-f-]{36})/?")
MARKS = re.compile(r"[\\`*_\[\]<>|~&]")
FIRST_MARKS = re.compile(r"^(\s*)([#+=-]|[0-9]+[.)])", re.MULTILINE)
WEB = re.compile(r"(https?://[^\s<>|]+)")
END = "end of the section"
HEADING = re.compile(r"^( {0,3})(#{1,6})(?=[ \t]|$)", re.MULTILINE)

_parser = MarkdownIt("js-default", {"html": False})


@dataclasses.dataclass(frozen=True)
class Heading:
    """The title of the document (1), or of a part (2)."""

    text: str
    level: int


@dataclasses.dataclass(frozen=True)
class Plain:
    """A text without marks."""

    text: str


@dataclasses.dataclass(frozen=True)
class Marked:
    """A text in Markdown."""

    text: str


@dataclasses.dataclass(frozen=True)
class Lines:
    """What stands one below the other, each `(label, text)`."""

    lines: list


@dataclasses.dataclass(frozen=True)
class Rows:
    """A table: the names of its columns, and texts."""

    header: tuple
    rows: list


def markdown(postmortem, *, reader):
    """The whole document in Markdown, without what this person may not see."""
    return "\n\n".join(_said(part) for part in _parts(postmortem, reader)) + "\n"


def pdf(postmortem, *, reader):
    """The same as the bytes of a PDF. Raises DomainError when it is longer than anybody prints."""
    parts = list(_parts(postmortem, reader))
    if sum(map(_length, parts)) > LONGEST_PRINTED:
        raise DomainError("It is too long for a PDF. Export it as Markdown.", code="too_long")
    paper = Paper(
        f"PM-{postmortem.number} {postmortem.title}", at=postmortem.changed_at, picture=_pictures(postmortem)
    )
    for part in parts:
        _print(paper, part)
    return bytes(paper.output())


def file_name(postmortem, ending):
    """What the file is called: pm-12.pdf."""
    return f"pm-{postmortem.number}.{ending}"


# --- what it says -------------------------------------------------------------------------------------------------
def _parts(postmortem, reader):
    hush = hushed(reader)
    yield Heading(f"PM-{postmortem.number} {postmortem.title}", 1)
    yield Lines(_facts(postmortem, reader))
    if postmortem.summary.strip():
        yield Heading("Summary", 2)
        yield Marked(postmortem.summary)
    if figures := _figures(figures_for(postmortem, reader)):
        yield Heading("Figures", 2)
        yield Lines(figures)
    for section in postmortem.sections.filter(removed_at=None):
        yield Heading(section.title, 2)
        yield Marked(section.body) if section.body.strip() else Plain("Nothing is written here.")
    if factors := list(postmortem.factors.all()):
        yield Heading("Contributing factors", 2)
        yield Lines([(f"{one.cause}{' (main cause)' if one.is_root else ''}", one.text) for one in factors])
    if moments := list(visible(postmortem.moments.filter(is_shown=True), reader)):
        yield Heading("Timeline", 2)
        yield Plain("All times are in UTC.")
        yield Lines([(_time(one.at), hush(one.text)) for one in moments])
    if items := list(postmortem.items.select_related("owner")):
        yield Heading("Action items", 2)
        yield Rows(
            ("What", "Owner", "Due", "Priority", "Status", "Issue"),
            [
                (
                    one.text,
                    str(one.owner or "nobody"),
                    f"{one.due_on or ''}",
                    one.get_priority_display(),
                    one.get_status_display(),
                    link_label(one.link) if one.link else "",
                )
                for one in items
            ],
        )


def _facts(postmortem, reader):
    incidents = visible(postmortem.incidents.order_by("number"), reader)
    ended = _time(postmortem.impact_ended_at) if postmortem.impact_ended_at else "goes on"
    facts = [
        ("Status", postmortem.get_status_display()),
        ("Severity", postmortem.get_severity_display()),
        ("Team", postmortem.team.name),
        ("Owner", str(postmortem.owner or "nobody")),
        ("Impact", f"{_time(postmortem.impact_began_at)} – {ended} UTC"),
        ("Incidents", "; ".join(map(str, incidents)) or "none that you may see"),
    ]
    if postmortem.published_at:
        facts.append(("Published", f"{_time(postmortem.published_at)} UTC"))
    return facts


def _figures(figures):
    """The figures that were computed, in words."""
    spans = (
        ("mtta_seconds", "Time to acknowledge"),
        ("mttr_seconds", "Time to resolve"),
        ("impact_seconds", "Time of impact"),
    )
    found = [
        (label, span(dt.timedelta(seconds=figures[name]))) for name, label in spans if figures.get(name) is not None
    ]
    if figures.get("pages"):
        found.append(("Pages", str(figures["pages"])))
    people = [f"{one['name']} ({one['count']})" for one in figures.get("people_paged") or ()]
    if people:
        found.append(("Paged", ", ".join(people)))
    return found


def _time(at):
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M}"


# --- as Markdown --------------------------------------------------------------------------------------------------
def _said(part):
    if isinstance(part, Heading):
        return f"{'#' * part.level} {_escaped(_one_line(part.text))}"
    if isinstance(part, Plain):
        return _escaped(part.text)
    if isinstance(part, Marked):
        return _closed(_lowered("\n".join(part.text.splitlines()).strip("\n")))
    if isinstance(part, Lines):
        return "\n".join(f"- **{_escaped(label)}** {_escaped(_one_line(text))}".rstrip() for label, text in part.lines)
    lines = [part.header, ["---"] * len(part.header)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    table += [f"| {' | '.join(_escaped(_one_line(cell)) for cell in row)} |" for row in part.rows]
    return "\n".join(table)


def _escaped(text):
    """The text as it is, in Markdown: none of its characters is a mark. Addresses stay addresses."""
    parts = WEB.split(text)
    parts[::2] = [MARKS.sub(r"\\\g<0>", one) for one in parts[::2]]
    return FIRST_MARKS.sub(_escaped_first, "".join(parts))


def _escaped_first(found):
    """A line that would begin a list or a heading: the mark, or the dot behind a number, is escaped."""
    space, mark = found.groups()
    return f"{space}\\{mark}" if len(mark) == 1 else f"{space}{mark[:-1]}\\{mark[-1]}"


def _one_line(text):
    return " ".join(text.split())


def _lowered(text):
    """The text with its headings below those of the document. What is code stays as it is."""
    if not HEADING.search(text):
        return text
    lines = text.split("\n")
    for token in _parser.parse(text):
        if token.type == "heading_open" and token.markup.startswith("#"):
            first = token.map[0]
            lines[first] = re.sub(r"#{1,6}", lambda found: "#" * min(6, len(found[0]) + 2), lines[first], count=1)
    return "\n".join(lines)


def _closed(text):
    """The text with its last block of code closed: else it would take in what follows."""
    tokens = _parser.parse(f"{text}\n\n{END}")
    if any(one.type == "inline" and one.content == END and one.level == 1 for one in tokens[-2:]):
        return text
    fences = [one for one in tokens if one.type == "fence" and END in one.content]
    return f"{text}\n{fences[-1].markup}" if fences else text


# --- as PDF -------------------------------------------------------------------------------------------------------
def _print(paper, part):
    if isinstance(part, Heading):
        paper.heading(_one_line(part.text), part.level)
    elif isinstance(part, Plain):
        paper.paragraph(part.text)
    elif isinstance(part, Marked):
        paper.markdown(part.text)
    elif isinstance(part, Lines):
        for label, text in part.lines:
            paper.labelled(label, text)
        paper.ln(2)
    else:
        paper.rows(part.header, part.rows)


def _pictures(postmortem):
    """A function `src -> (content type, bytes)` of the postmortem's own pictures; each is read once it is needed."""

    def find(src):
        found = PICTURE.fullmatch(src)
        row = postmortem.images.filter(uuid=found[1]).first() if found else None
        return (row.content_type, bytes(row.body)) if row else None

    return find


def _length(part):
    if isinstance(part, Lines):
        return sum(len(label) + len(text) for label, text in part.lines)
    if isinstance(part, Rows):
        return sum(len(cell) for row in part.rows for cell in row)
    return len(part.text)
