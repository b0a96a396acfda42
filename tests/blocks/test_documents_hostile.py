"""Whatever bytes arrive, reading them ends, soon, with a Document or with Unreadable."""

import io
import re
import time
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.documents import MOST_TEXT, SUPPORTED, Document, Unreadable, docx_package, read
from tests.blocks.making_documents import Text, archive, drawn, paragraph, pdf, saved, word

MEGABYTE = 1_000_000
MUCH = 300_000


def outcome(content: bytes, name: str) -> Document | str:
    try:
        return read(content, name)
    except Unreadable as error:
        return str(error)


def assert_sound(found: Document | str) -> None:
    if isinstance(found, str):
        assert 5 < len(found) < 500
        return
    texts = [found.title, *found.notes]
    for section in found.sections:
        texts += [*section.path, section.text]
    assert not re.search("[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ue000-\uf8ff]", "".join(texts))
    assert all("\n" not in heading for section in found.sections for heading in (*section.path, section.anchor))
    assert found.sections


BOOKLET = pdf(
    [Text("Title", y=760, size=20), *paragraph("A line of text,", "and another one.", y=700)],
    [Text("2.1 More", y=760), Text("white", y=500, extra="1 1 1 rg")],
    title="Title",
    bookmarks=[("Title", 0), ("More", 1)],
)
LETTER = word("<w:p><w:pPr><w:pStyle w:val='Heading1'/></w:pPr><w:r><w:t>Hello</w:t></w:r></w:p><w:p/>")
PAGE = (
    b"<html><title>a</title><main><h1 id=x>A</h1><table><tr><td>b<td>c</table><ul><li>d<pre>e</pre></ul></main></html>"
)
NOTES = b"---\ntitle: a\n---\n# A\n\n- b\n  1. c\n\n|d|e|\n|-|-|\n|f|g|\n\n> h <b hidden>i</b> [j](k)\n\n```\nl\n```\n"
STRIP = saved(drawn("x", width=60, height=40))
REAL = {".pdf": BOOKLET, ".docx": LETTER, ".html": PAGE, ".md": NOTES, ".txt": NOTES, ".png": STRIP}
PIECES = [
    b"\0",
    b"\xff",
    b"<",
    b">",
    b"%",
    b"/",
    b"(",
    b"\n",
    b"endobj",
    b"stream",
    b"<table>",
    b"</td>",
    b"> ",
    b"- ",
    b"|",
    b"`",
]


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=300), extension=st.sampled_from(sorted(SUPPORTED)))
def test_any_bytes_are_read_or_refused(content: bytes, extension: str) -> None:
    assert_sound(outcome(content, f"a{extension}"))


@settings(max_examples=80, deadline=None)
@given(
    content=st.binary(max_size=200),
    head=st.sampled_from([b"%PDF-1.7\n", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"<html>"]),
)
def test_any_bytes_after_the_head_of_a_kind_are_read_or_refused(content: bytes, head: bytes) -> None:
    assert_sound(outcome(head + content, "a"))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, str]:
    """A real file with pieces cut out, doubled and overwritten."""
    extension = draw(st.sampled_from(sorted(REAL)))
    content = REAL[extension]
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        new = draw(st.one_of(st.binary(max_size=8), st.sampled_from(PIECES), st.just(content[start:end] * 2)))
        content = content[:start] + new + content[end:]
    return content, f"a{extension}"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(file=mutated())
def test_any_damage_to_a_real_file_is_read_or_refused(file: tuple[bytes, str]) -> None:
    assert_sound(outcome(*file))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    xml=st.text(alphabet="<>/w:prtbl=\"'& a1", max_size=60),
    part=st.sampled_from(["styles", "numbering", "footnotes", "document"]),
)
def test_any_damage_within_a_word_document_is_read_or_refused(xml: str, part: str) -> None:
    assert_sound(
        outcome(word(xml if part == "document" else "", **({} if part == "document" else {part: xml})), "a.docx")
    )


def filled(piece: bytes, size: int = MUCH) -> bytes:
    return piece * (size // len(piece))


SLOW = {
    "one line.txt": filled(b"word ", 10 * MEGABYTE),
    "one word.txt": filled(b"a", 10 * MEGABYTE),
    "rules.txt": filled(b"a\n===\n\n"),
    "empty lines.txt": b"a" + filled(b"\n"),
    "numbers.txt": filled(b"1.1.1.1.1.1.1\n\n"),
    "divs.html": b"<html>" + filled(b"<div>"),
    "deep divs.html": b"<html>" + b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000,
    "deep, not too deep.html": b"<html>" + b"<div><ul><li>" * 600 + b"deep",
    "deep tables.html": b"<html>" + b"<table><tr><td>" * 600 + b"deep",
    "tables.html": b"<html>" + filled(b"<table><tr><td>a</table>"),
    "headings.html": b"<html>" + filled(b"<h1>a</h1>"),
    "open tags.html": b"<html>" + filled(b"<b><i>"),
    "unfinished.html": b"<html>" + filled(b"<a "),
    "comments.html": b"<html>" + filled(b"<!--"),
    "styles.html": b"<html><style>" + filled(b".a{display:none}") + b"</style>hi",
    "styled.html": b"<html>" + filled(b"<p style='width:0;color:#fff'>a</p>"),
    "articles.html": b"<html>" + filled(b"<article><p>a</article>"),
    "data.html": b"<html><img src='data:image/png;base64," + filled(b"A", 5 * MEGABYTE) + b"'>hi",
    "quotes.md": filled(b">") + b"a",
    "quotes and lists.md": filled(b"> - ", 200_000) + b"a",
    "lists.md": filled(b"- ") + b"a",
    "steps.md": b"".join(b" " * step + b"- a\n" for step in range(1000)),
    "brackets.md": filled(b"[", 100_000),
    "links.md": filled(b"[a](", 100_000),
    "stars.md": filled(b"*a **b ", 100_000),
    "ticks.md": filled(b"`a ``b ", 100_000),
    "html.md": filled(b"<div hidden>\n\n", 100_000),
    "table.md": b"|a" * 2000 + b"|\n" + b"|-" * 2000 + b"|\n" + b"|b\n" * 2000,
    "anchors.md": filled(b"# a\n\n", 100_000),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.slow
def test_a_file_made_to_be_slow_is_read_soon(name: str) -> None:
    assert_sound(outcome(SLOW[name], name))


def test_a_page_that_is_nested_too_deeply_says_so() -> None:
    assert outcome(SLOW["deep divs.html"], "a.html") == "it is nested too deeply, in more than 2,000 levels"


def test_more_text_than_is_read_is_refused() -> None:
    text = b"a" * (MOST_TEXT + 1)
    assert outcome(text, "a.txt") == "it holds more than 20,000,000 characters of text"
    assert outcome(text[:5_000_001], "a.md") == "it is Markdown of more than 5,000,000 characters"
    assert outcome(b"<html>" + text, "a.html") == "it is a web page of more than 20,000,000 characters"


# Bombs.


def laughs(root: str) -> str:
    names = [f"<!ENTITY l{number} '{f'&l{number - 1};' * 10}'>" for number in range(1, 12)]
    return f"<!DOCTYPE {root} [<!ENTITY l0 'ha'>{''.join(names)}]>"


@pytest.mark.parametrize("charset", ["utf-8", "utf-16"])
def test_entities_of_a_word_document_are_not_expanded(charset: str) -> None:
    xml = f"""<?xml version="1.0" encoding="{charset}"?>{laughs("w:document")}<w:document
xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&l11;</w:t></w:r></w:p>
</w:body></w:document>"""
    began = time.monotonic()
    found = outcome(archive(word__document=xml.encode(charset)), "a.docx")
    assert found == "it is damaged: its XML cannot be read"
    assert time.monotonic() - began < 30


def test_a_word_document_with_definitions_of_its_own_is_refused() -> None:
    found = outcome(word("<w:p><w:r><w:t>&x;</w:t></w:r></w:p>", head="<!DOCTYPE a [<!ENTITY x 'hi'>]>"), "a.docx")
    assert found == "its XML has definitions of its own (a DTD), as no word processor writes them"


def test_a_word_document_fetches_nothing(tmp_path: pytest.TempPathFactory) -> None:
    secret = tmp_path / "secret"  # type: ignore[operator]
    secret.write_text("the secret")
    head = f'<!DOCTYPE w:document [<!ENTITY x SYSTEM "file://{secret}">]>'
    assert isinstance(outcome(word("<w:p><w:r><w:t>&x;</w:t></w:r></w:p>", head=head), "a.docx"), str)
    related = word("<w:p/>", styles=f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><a>&x;</a>')
    assert "secret" not in str(outcome(related, "a.docx"))


@pytest.mark.parametrize("name", ["a.html", "a.xhtml"])
def test_entities_of_a_web_page_are_not_expanded(name: str) -> None:
    root = '<html xmlns="http://www.w3.org/1999/xhtml">'
    page = f'<?xml version="1.0"?>{laughs("html")}{root}<body><p>Hi &l11;</p></body></html>'
    found = outcome(page.encode(), name)
    assert_sound(found)
    assert isinstance(found, str) or sum(len(section.text) for section in found.sections) < 2_000


def test_a_drawing_is_not_read() -> None:
    drawing = f'<?xml version="1.0"?>{laughs("svg")}<svg xmlns="http://www.w3.org/2000/svg"><text>&l11;</text></svg>'
    assert isinstance(outcome(drawing.encode(), "a.svg"), str)
    found = read(b"<html><body>Hi<svg><text>&l11;</text></svg></body></html>", "a.html")
    assert [section.text for section in found.sections] == ["Hi"]


def zeros(size: int, part: str = "word/document.xml") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made, made.open(part, "w") as inside:
        for _ in range(size // MEGABYTE):
            inside.write(bytes(MEGABYTE))
    return file.getvalue()


def test_a_bomb_is_refused_by_what_it_says_of_its_size() -> None:
    assert outcome(zeros(60 * MEGABYTE), "a.docx") == (
        "word/document.xml in it would unpack to 60,000,000 bytes; at most 50,000,000 are read"
    )
    assert outcome(zeros(20 * MEGABYTE), "a.docx") == (
        "word/document.xml in it would unpack to 200 times its size: it is made to do harm"
    )


def test_a_bomb_that_lies_about_its_size_is_unpacked_no_further_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx_package, "MOST_XML", MEGABYTE)
    bomb = zeros(60 * MEGABYTE)
    lying = bomb.replace((60 * MEGABYTE).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != bomb
    assert outcome(lying, "a.docx") == "it is damaged: the archive that it is cannot be unpacked"


def test_pictures_in_a_word_document_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx_package, "MOST_UNPACKED", 10 * MEGABYTE)
    letter = io.BytesIO(LETTER)
    with zipfile.ZipFile(letter, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("word/media/image1.png", bytes(9 * MEGABYTE))
    assert isinstance(outcome(letter.getvalue(), "a.docx"), Document)
    with zipfile.ZipFile(letter, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("word/media/image2.png", bytes(9 * MEGABYTE))
    assert str(outcome(letter.getvalue(), "a.docx")).startswith("it would unpack to 18,000,")


def test_an_encrypted_archive_says_so() -> None:
    letter = bytearray(LETTER)
    directory = letter.index(b"PK\x01\x02")
    letter[directory + 8] |= 1
    assert outcome(bytes(letter), "a.docx") == "it is encrypted: save it without a password"


def test_a_pdf_that_goes_in_circles_is_read() -> None:
    circle = BOOKLET.replace(b"/Dest[6 0 R/Fit]/Next 11 0 R", b"/Dest[6 0 R/Fit]/Next 10 0 R".ljust(28))
    assert isinstance(outcome(circle, "a.pdf"), Document)
    nested = pdf("/X Do").replace(b"<</Font", b"<</XObject<</X 7 0 R>>/Font")
    assert_sound(outcome(nested, "a.pdf"))


@pytest.mark.parametrize("odd", ["\x1c\x1d", "a\x0b", "ab\x1f\x1f\x1f"])
def test_a_line_that_ends_in_odd_spaces_is_read(odd: str) -> None:
    found = read(pdf([Text("Hello"), Text(odd, y=600)]), "a.pdf")
    assert " ".join(found.sections[0].text.split()) == f"Hello {odd.strip()}".strip()


@pytest.mark.parametrize(
    "matrix", ["1e30 0 0 1e30 0 0 cm 1e30 0 0 1e30 0 0 cm", "0 0 0 0 0 0 cm", "1 0 0 1 1e38 1e38 cm"]
)
def test_print_that_is_placed_nowhere_is_left_out(matrix: str) -> None:
    nowhere = " ".join([matrix] * 4)
    found = read(pdf([Text("Hello"), Text("nowhere", y=600, extra=nowhere)]), "a.pdf")
    assert [section.text for section in found.sections] == ["Hello"]


def test_a_pdf_of_more_pages_than_are_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.documents.pdf.MOST_PAGES", 1)
    assert outcome(BOOKLET, "a.pdf") == "it has 2 pages; at most 1 are read"


def test_a_pdf_that_says_it_has_more_pages_than_it_has_is_read() -> None:
    assert_sound(outcome(BOOKLET.replace(b"/Count 2", b"/Count 9"), "a.pdf"))
