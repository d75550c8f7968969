"""The document in Markdown and as PDF. The PDF is read with another library than the one that made it."""

import io
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image as Pictures
from pypdf import PdfReader

from core.errors import DomainError
from postmortems import exporting, printing, sharing
from postmortems.printing import Paper
from tests import factories


@pytest.fixture
def postmortem(team, bob):
    made = factories.PostmortemFactory(
        team=team, owner=bob, title="Checkout *was* down", summary="Nobody could **pay**.", status="published"
    )
    made.figures = {"mtta_seconds": 65.0, "mttr_seconds": None, "impact_seconds": 3600, "pages": 2}
    made.figures["people_paged"] = [{"name": "Bob", "count": 2}]
    made.save()
    factories.SectionFactory(
        postmortem=made, title="What happened", body="# Before\r\n\r\nThe certificate\n- ran _out_"
    )
    factories.SectionFactory(postmortem=made, title="Lessons", body="```\nunclosed")
    factories.SectionFactory(postmortem=made, title="Removed", body="Nobody sees this.", removed_at=factories.NOW)
    factories.FactorFactory(postmortem=made, cause="expired certificate", text="No alarm.", is_root=True)
    factories.MomentFactory(postmortem=made, text="# Bob said <b>hi</b> | https://a.example/x_y_z")
    factories.MomentFactory(postmortem=made, text="Hidden line.", is_shown=False)
    factories.CommentFactory(postmortem=made, text="Whispered.")
    factories.ActionItemFactory(
        postmortem=made, text="Renew | by machine", owner=bob, link="https://x.atlassian.net/browse/SHOP-12"
    )
    return made


def read(body):
    """The text of a PDF, and its reader."""
    reader = PdfReader(io.BytesIO(body))
    return "\n".join(page.extract_text() for page in reader.pages), reader


def printed(text, **options):
    paper = Paper("PM-1", at=factories.NOW, **options)
    paper.markdown(text)
    return bytes(paper.output())


def test_the_markdown_says_everything_in_order_and_nothing_breaks_out(postmortem):
    text = exporting.markdown(postmortem, reader=postmortem.owner)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    names = ["Summary", "Figures", "What happened", "Lessons", "Contributing factors", "Timeline", "Action items"]
    assert headings == [f"## {name}" for name in names]
    assert text.startswith(f"# PM-{postmortem.pk} Checkout \\*was\\* down\n")
    assert "### Before" in text and "```\nunclosed\n```" in text
    assert "- **Time to acknowledge** 1 m 5 s" in text and "Time to resolve" not in text
    assert "- **expired certificate (main cause)** No alarm." in text
    assert "Hidden line" not in text and "Whispered" not in text and "Nobody sees" not in text
    shown = MarkdownIt("commonmark").enable("table").render(text)
    assert "<h1>PM-" in shown and shown.count("<h2>") == 7 and "<b>hi" not in shown
    assert "# Bob said &lt;b&gt;hi&lt;/b&gt; | https://a.example/x_y_z" in shown
    [row] = shown.split("<tbody>")[1].split("</tbody>")[0].strip().split("</tr>")[:-1]
    assert "Renew | by machine" in row and "SHOP-12" in row and row.count("<td") == 6


def test_the_pdf_says_the_same_with_an_outline_and_page_numbers(postmortem):
    text, reader = read(exporting.pdf(postmortem, reader=postmortem.owner))
    for said in (
        f"PM-{postmortem.pk} Checkout *was* down",
        "Nobody could pay.",
        "Time to acknowledge 1 m 5 s",
        "unclosed",
        "expired certificate (main cause)",
        "# Bob said <b>hi</b> | https://a.example/x_y_z",
        "Renew | by machine",
        "SHOP-12",
        "1 / 1",
    ):
        assert " ".join(said.split()) in " ".join(text.split())
    assert "Hidden line" not in text and "Whispered" not in text and "Nobody sees" not in text
    title, parts = reader.outline
    assert title.title.startswith("PM-") and [one.title for one in parts][-1] == "Action items"
    assert reader.metadata.title == f"PM-{postmortem.pk} Checkout *was* down"
    assert exporting.file_name(postmortem, "pdf") == f"pm-{postmortem.pk}.pdf"


def test_lines_and_names_of_a_private_team_are_left_out_for_who_may_not_see_it(postmortem, charlie):
    vault = factories.ServiceFactory(name="Strongroom", team=factories.TeamFactory(is_private=True))
    hidden = factories.IncidentFactory(service=vault, title="Safe is open")
    postmortem.incidents.add(hidden)
    factories.MomentFactory(postmortem=postmortem, text="Unsealed by hand.", incident=hidden)
    factories.MomentFactory(postmortem=postmortem, text="Somebody looked at Strongroom.")
    member = factories.MembershipFactory(team=vault.team).user
    for draw in (exporting.markdown, lambda *args, **options: read(exporting.pdf(*args, **options))[0]):
        hers, his = draw(postmortem, reader=member), draw(postmortem, reader=charlie)
        assert "Unsealed by hand." in hers and "looked at Strongroom" in hers
        assert "Unsealed" not in his and "looked at (private)" in his
        assert "Safe is open" in hers and "Safe" not in his
        assert "Bob (2)" in hers.replace("\\", "") and "Bob (2)" not in his.replace("\\", "")  # who was called
    assert "Unsealed by hand." not in {text for _, text in sharing.shown(postmortem).moments}


def test_all_of_markdown_is_drawn():
    text, reader = read(
        printed(
            "# Heading\n\nSome **bold *and italic*** with `code`, ~~struck~~ and [a link](https://a.example/b).\n"
            "Next line\n\n1. first\n2. second\n   - inner\n\n     more of it\n\n> quoted\n\n"
            "```py\nif x:\n\treturn\n```\n\n---\n\n| A | B |\n|---|---|\n| one | "
            + "long words " * 60
            + "|\n\n[bad](javascript:alert)\n\n<b>raw</b>"
        )
    )
    for said in ("Heading", "bold and italic", "code", "struck", "a link", "1. first", "2. second", "inner"):
        assert said in " ".join(text.split())
    for said in ("more of it", "quoted", "if x:", "return", "A", "one", "<b>raw</b>", "bad"):
        assert said in text
    assert text.count("long words") >= 40
    links = [one.get_object()["/A"]["/URI"] for page in reader.pages for one in page.get("/Annots", ())]
    assert set(links) == {"https://a.example/b"}


def test_what_the_font_lacks_is_a_square_and_what_would_hide_text_is_left_out():
    text, _ = read(printed("Grüße, Καλημέρα, Привет, 漢字 👍\ufe0f a\u202eb\u200bc\x07d `漢x`"))
    assert "Grüße, Καλημέρα, Привет, □□ □ abcd □x" in text


def test_own_pictures_are_drawn_and_others_named(postmortem):
    buffer = io.BytesIO()
    Pictures.new("RGBA", (3000, 20), (255, 0, 0, 100)).save(buffer, "PNG")
    image = factories.ImageFactory(postmortem=postmortem, body=buffer.getvalue())
    broken = factories.ImageFactory(postmortem=postmortem, body=b"\x89PNG\r\n\x1a\nbroken")
    others = factories.ImageFactory()
    address = f"/postmortems/{postmortem.pk}/images"
    section = postmortem.sections.first()
    section.body = (
        f"![graph]({address}/{image.uuid})\n\n![broken]({address}/{broken.uuid})\n\n"
        f"![theirs]({address}/{others.uuid})\n\n![web](https://evil.example/pixel.png)"
    )
    section.save()
    text, reader = read(exporting.pdf(postmortem, reader=postmortem.owner))
    pictures = [one for page in reader.pages for one in page.images]
    assert [one.image.size for one in pictures] == [(printing.PIXELS, 10)]
    assert "[broken]" in text and "[theirs]" in text and "[web]" in text and "[graph]" not in text


@pytest.mark.parametrize(
    "text",
    [
        "x" * 50_000,
        "> " * 10_000 + "deep",
        "\n".join("  " * depth + "- item" for depth in range(300)),
        "*a* **b** `c` " * 3500,
        "|" + "a|" * 6000 + "\n|" + "-|" * 6000 + "\n|" + "b|" * 6000,
        "| a | b |\n|---|---|\n" + "| x | y |\n" * 5000,
        "| a |\n|---|\n| " + "w" * 20_000 + " |",
        "[" * 25_000 + "]" * 25_000,
        "![a](" * 8000,
        "**" * 25_000,
        "שלום עולם " * 5000,
        "\n" * 50_000,
        "# h\n" * 12_000,
        "```\n" + "\t\n" * 20_000,
        "1. x\n" * 10_000,
        "999999999. x",
        "👍" * 50_000,
        "http://" + "a" * 49_000,
        "---\n\n" * 10_000,
        "<" * 50_000,
    ],
    ids=range(20),
)
def test_the_longest_and_strangest_texts_are_printed_in_a_few_seconds(text):
    began = time.monotonic()
    body = printed(text[: printing.PARSED])
    assert body.startswith(b"%PDF") and time.monotonic() - began < 20


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.sampled_from(
            ["# ", "- ", "1. ", "> ", "```", "|", "\n", "\n\n", "---", "**", "_", "`", "![", "](", ")", "[", "    "]
        )
        | st.text(max_size=12),
        max_size=40,
    ).map("".join)
)
def test_no_text_makes_it_fail(text):
    assert printed(text).startswith(b"%PDF")


def test_what_nobody_prints_is_refused_in_words(postmortem):
    for number in range(9):
        factories.SectionFactory(postmortem=postmortem, title=f"Part {number}", body="x" * 50_000)
    with pytest.raises(DomainError, match="Export it as Markdown"):
        exporting.pdf(postmortem, reader=postmortem.owner)
    assert len(exporting.markdown(postmortem, reader=postmortem.owner)) > 450_000


@pytest.mark.parametrize("text", ["One.\n\nTwo.", "![a](/b)", "|a|\n|-|\n|b|", "**a** b"])
def test_what_takes_too_long_is_given_up(text):
    with pytest.raises(DomainError, match="Export it as Markdown"):
        printed(text, seconds=-1)


def test_without_its_fonts_it_says_what_to_do(postmortem, monkeypatch, tmp_path):
    monkeypatch.setattr(printing, "FONTS", tmp_path)
    with pytest.raises(DomainError, match="Take the Markdown"):
        exporting.pdf(postmortem, reader=postmortem.owner)
