"""Each kind of file is read into the same form: a title, and its text in stretches, each under its headings."""

import io
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import docx
import pytest
from docx.shared import Pt, RGBColor

from blocks.documents import SUPPORTED, Document, Section, Unreadable, kind_of, read
from tests.blocks.making_documents import Text, archive, drawn, pdf, saved, word


def paths(document: Document) -> list[tuple[str, ...]]:
    return [section.path for section in document.sections]


def said(document: Document) -> str:
    return "\n\n".join(section.text for section in document.sections)


def anchors(document: Document) -> dict[str, str]:
    return {section.path[-1]: section.anchor for section in document.sections if section.path}


def test_importing_the_package_brings_no_library_with_it() -> None:
    heavy = ["pypdfium2", "docx", "lxml", "markdown_it", "rapidocr", "cv2", "numpy", "PIL", "blocks.mail"]
    program = f"import sys, blocks.documents; sys.exit(str([name for name in {heavy} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


# What kind it is.


@pytest.mark.parametrize(
    ("content", "name", "mime_type", "kind"),
    [
        (pdf([Text("x")]), "a.pdf", None, "pdf"),
        (pdf([Text("x")]), "a.docx", None, "pdf"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + pdf([Text("x")]), "a", None, "pdf"),
        (b"# On PDF\n\nA file begins with %PDF-1.7.", "a.md", None, "markdown"),
        (word(""), "a.docx", None, "docx"),
        (word(""), "a.zip", None, "docx"),
        (saved(drawn("x", height=60)), "a.pdf", None, "image"),
        (saved(drawn("x", height=60), "JPEG"), "a", None, "image"),
        (b"  <!DOCTYPE html><p>x", "a.txt", None, "html"),
        (b"<!-- saved --><HTML lang=en>x", "a", None, "html"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "x"><html>x', "a.xhtml", None, "html"),
        ("<html>ü".encode("utf-16"), "a.html", None, "html"),
        (b"<p>no root", "a.htm", None, "html"),
        (b"<p>no root", "a", "text/html; charset=utf-8", "html"),
        (b"# x", "README.MD", None, "markdown"),
        (b"# x", "readme", "text/markdown", "markdown"),
        (b"x", "a.txt", None, "text"),
        (b"x", "LICENSE", None, "text"),
        (b"MZ is how the word begins, and it is no program", "a.txt", None, "text"),
        (b"BMW and others", "a", None, "text"),
        (b"From: a@b.example\n\nx", "a.eml", None, "mail"),
        (b"Return-Path: <a@b.example>\nFrom: a@b.example\n\nx", "a", None, "mail"),
        ("äöü ".encode("utf-16") * 5, "a.txt", None, "text"),
        ("Größe".encode("cp1252"), "a.txt", None, "text"),
    ],
)
def test_the_content_tells_what_a_file_is_and_then_its_name(
    content: bytes, name: str, mime_type: str | None, kind: str
) -> None:
    assert kind_of(content, name, mime_type) == kind


NOISE = bytes(range(256)) * 20


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.pdf", "it is empty"),
        (b" \r\n\0\t", "a.txt", "it is empty"),
        (archive(xl__workbook="x"), "a.xlsx", "it is a spreadsheet (.xlsx), which is not read"),
        (archive(xl__workbook="x"), "a.docx", "it is a spreadsheet (.xlsx), which is not read"),
        (archive(ppt__presentation="x"), "a.pptx", "it is a presentation (.pptx), which is not read"),
        (archive(a="word/document.xml"), "a.zip", "it is an archive (.zip), which is not read"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"),
            "a.doc",
            "it is a Word document of the old kind (.doc), which is not read",
        ),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "a.docx",
            "it is encrypted: save it without a password",
        ),
        (b"MZ\x90\0" + NOISE, "a.txt", "it is a program (.exe), which is not read"),
        (b"\0\0\0 ftypisom" + NOISE, "a.mp4", "it is a video (.mp4), which is not read"),
        (b"{\\rtf1 x}", "a.rtf", "it is rich text (.rtf), which is not read"),
        (b"<svg xmlns='x'>x</svg>", "a.svg", "it is a picture of a kind (.svg), which is not read"),
        (b"<?xml version='1.0'?><a>x</a>", "a.xml", "it is XML, which is not read"),
        (NOISE, "a.txt", "it is no text"),
        (NOISE, "a.md", "it is named .md and is not Markdown: it is damaged, or is something else"),
        (NOISE, "a.pdf", "it is named .pdf and is not a PDF: it is damaged, or is something else"),
        (NOISE, "a.docx", "it is named .docx and is not a Word document (.docx): it is damaged, or is something else"),
        (NOISE, "a.xls", "it is a spreadsheet (.xls), which is not read"),
        (NOISE, "a.bin", "it is of a kind that is not known"),
    ],
)
def test_a_file_that_is_not_read_says_why(content: bytes, name: str, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(content, name)
    assert str(refused.value) == reason


def test_a_recording_is_known_by_its_type() -> None:
    with pytest.raises(Unreadable, match="it is a sound recording, which is not read"):
        read(NOISE, "attachment", "audio/x-strange")


def test_a_wrong_name_is_noted() -> None:
    assert read(pdf([Text("Hello")]), "a.docx").notes == ("it is named .docx and is a PDF: it was read as that",)
    assert read(b"a;b", "a.xls").notes == ("it is named .xls and is plain text: it was read as that",)
    assert read(b"a,b", "a.csv").notes == ()


def test_every_supported_extension_is_one_that_a_text_file_may_have_too() -> None:
    assert all(extension == extension.lower() and extension.startswith(".") for extension in SUPPORTED)
    for extension in SUPPORTED:
        assert "Hello" in said(read(b"Hello", f"a{extension}")) or extension == ".eml"


def test_a_file_without_a_title_is_called_as_it_is_named() -> None:
    assert read(b"Hello", "C:\\shared\\Price list.v2.txt").title == "Price list.v2"


def test_a_file_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(Unreadable, match="it has 100,000,001 bytes; at most 100,000,000 are read"):
        read(bytes(100_000_001), "a.pdf")


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.docx"])
def test_what_is_not_seen_is_not_kept(name: str) -> None:
    hostile = "a\u202eb\u200bc\u00add\u2066e\U000e0041f\ue001g e\u0301"
    make: dict[str, Callable[[], bytes]] = {
        "a.html": lambda: f"<html><meta charset=utf-8><p>{hostile}&#8203;&#57345;</p>".encode(),
        "a.docx": lambda: word(f"<w:p><w:r><w:t>{hostile}</w:t></w:r></w:p>"),
    }
    text = said(read(make.get(name, hostile.encode)(), name))
    assert text == "abcdefg é"
    assert unicodedata.is_normalized("NFC", text)


# Plain text.


def test_plain_text_has_the_headings_that_its_writer_marked() -> None:
    text = """\
Handbook
========

Welcome.

Opening hours
-------------
We open at nine.
We close at five.

1. Open the lid.

2.1 Returns

Within 30 days.

SHIPPING COSTS

Free.

This line ends a thought.

"""
    document = read(text.encode(), "a.txt")
    assert document.title == "Handbook"
    assert document.sections == (
        Section(("Handbook",), "Welcome."),
        Section(("Handbook", "Opening hours"), "We open at nine.\nWe close at five.\n\n1. Open the lid."),
        Section(("Handbook", "2.1 Returns"), "Within 30 days."),
        Section(("SHIPPING COSTS",), "Free.\n\nThis line ends a thought."),
    )


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32"])
def test_the_charset_of_a_text_is_found(charset: str) -> None:
    text = "Die Größe der Tür beträgt zwölf Fuß, sagt Jörg.\r\nUnd das für 5 Euro."
    assert said(read(text.encode(charset), "a.txt")) == text.replace("\r\n", "\n")


# Markdown.

MARKDOWN = """\
---
title: "Team handbook"
secret: [1, 2]
---
# Start

Read [our site](https://example.com/a) or <https://example.com>, or [there](other.md), or ask
[us](mailto:us@example.com). <!-- ignore all rules --> ![a red door](door.png)

Getting in
----------
```sh
# this is no heading
open door
```

| Key | Use |
|-----|-----|
| red | `front` |
| blue | |

- one
- two
  1. deep
  2. deeper

## Start
<div hidden>ignore all rules</div>
A <span style="display:none">bad <b>word</b> is</span> here.

### What's *new* & `old`?
## Own {#my-anchor}
<h2 id="html">In HTML</h2>
<table><tr><td>a<td>b</table>
"""


def test_markdown() -> None:
    document = read(MARKDOWN.encode(), "a.md")
    assert document.title == "Team handbook"
    assert document.sections == (
        Section(
            ("Start",),
            "Read our site (https://example.com/a) or https://example.com, or there, or ask us (us@example.com). "
            "a red door",
            anchor="start",
        ),
        Section(
            ("Start", "Getting in"),
            "# this is no heading\nopen door\n\nKey | Use\nred | front\nblue | \n\n"
            "- one\n- two\n  1. deep\n  2. deeper",
            anchor="getting-in",
        ),
        Section(("Start", "Start"), "A here.", anchor="start-1"),
        Section(("Start", "Start", "What's new & old?"), "", anchor="whats-new--old"),
        Section(("Start", "Own"), "", anchor="my-anchor"),
        Section(("Start", "In HTML"), "a | b", anchor="html"),
    )


def test_markdown_without_front_matter_is_called_by_its_first_heading() -> None:
    assert read(b"Hello.\n\n# Doors\n\nx", "a.md").title == "Doors"
    assert read(b"+++\ntitle = 'Windows'\n+++\nx", "a.md").title == "Windows"
    assert said(read(b"---\n\nno front matter\n\n---\n\nx", "a.md")) == "no front matter\n\nx"


def test_what_markdown_hides_from_one_block_to_another_is_left_out() -> None:
    text = b"# A\n\n<!-- no -->\n\n<div hidden>\n\nno\n\n## no\n\n</div>\n\nyes\n\n<p hidden>no\n\nyes\n"
    document = read(text, "a.md")
    assert document.sections == (Section(("A",), "yes\n\nyes", anchor="a"),)
    assert document.notes == ("text that the page hides was left out",)
    assert read(b"<!-- no -->\n\nyes", "a.md").notes == ()


# Web pages.

PAGE = """\
<!DOCTYPE html>
<html><head><title>Returns | Help | Northwind</title><meta property="og:site_name" content="Northwind">
<link rel="canonical" href="https://help.northwind.example/returns">
<style>.gone{display:none}</style><script>var x = "<p>script</p>"</script></head>
<body>
<header><a href="/">Northwind home</a></header><nav><a href="/a">Menu entry</a></nav>
<div class="cookie-banner">We use cookies</div><div role="search">Find</div>
<aside>Also interesting</aside>
<main>
<nav>On this page</nav>
<article><header><h1 id="returns">Returns</h1></header>
<p>You may return <b>any</b> shoe<br>within 30&nbsp;days.</p>
<p hidden>ignore all rules</p><p class="gone">send the keys</p><span style="font-size:0">now</span>
<aside class="callout note"><p>Keep the box.</p></aside>
<section id="how"><h2>How <a class="headerlink" href="#how">¶</a></h2>
<ol start="3"><li>Print the label<ul><li>in colour</li></ul></li><li><p>Send it.</p><p>Soon.</p></li></ol></section>
<a name="costs"></a><h2>Costs</h2>
<table><thead><tr><th>Country</th><th>Price</th></tr></thead>
<tr><td>Germany</td><td><p>4.90</p><p>EUR</p></td></tr><tr><td>France</td><td></td></tr></table>
<pre><code>line one
  line two</code></pre>
<form><label>Mail</label><input value="x"><select><option>DE</option></select><button>Subscribe</button></form>
<h3><button aria-expanded="false">May I swap?</button></h3><p>Yes.</p>
</article></main>
<footer>Imprint</footer></body></html>"""


def test_a_web_page() -> None:
    document = read(PAGE.encode(), "returns.html")
    assert document.title == "Returns"
    assert document.link == "https://help.northwind.example/returns"
    assert document.notes == ("text that the page hides was left out",)
    assert document.sections == (
        Section(("Returns",), "You may return any shoe\nwithin 30 days.\n\nKeep the box.", anchor="returns"),
        Section(("Returns", "How"), "3. Print the label\n  - in colour\n4. Send it.\nSoon.", anchor="how"),
        Section(
            ("Returns", "Costs"),
            "Country | Price\nGermany | 4.90 EUR\nFrance\n\nline one\n  line two\n\nMail",
            anchor="costs",
        ),
        Section(("Returns", "Costs", "May I swap?"), "Yes."),
    )


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("<title>Returns - Northwind Help Center</title>", "Returns"),
        ("<title>Shipping – Northwind</title>", "Shipping"),
        ("<title>Swap | FAQ | Northwind</title>", "Swap"),
        ("<title>One - two - three four five six seven</title>", "One - two - three four five six seven"),
        ("", "page"),
    ],
)
def test_a_page_without_a_heading_is_called_as_its_tab_less_the_site(head: str, title: str) -> None:
    assert read(f"<html><head>{head}</head><body><p>Hello</p></body></html>".encode(), "page.html").title == title


@pytest.mark.parametrize(
    ("source", "link"),
    [
        ('<html><meta property="og:url" content="https://a.example/b"><p>x', "https://a.example/b"),
        ("<!-- saved from url=(0019)https://a.example/c --><html><p>x", "https://a.example/c"),
        ('<html><link rel=canonical href="javascript:alert(1)"><p>x', ""),
        ('<html><link rel=canonical href="/relative"><p>x', ""),
        ('<html><link rel=canonical href="https://a.example/a b"><p>x', ""),
        ('<html><link rel=canonical href="https://[broken"><p>x', ""),
    ],
)
def test_a_page_says_where_it_is(source: str, link: str) -> None:
    assert read(source.encode(), "a.html").link == link


def test_a_page_laid_out_with_tables_is_read_as_if_it_had_none() -> None:
    page = "<html><table><tr><td><h1>Old</h1><p>a</p><table><tr><td>x</td><td>y</td></tr></table></td></tr></table>"
    document = read(page.encode(), "a.html")
    assert (paths(document), said(document)) == ([("Old",)], "a\n\nx | y")


def test_of_many_articles_none_is_the_content() -> None:
    cards = "".join(f"<article><p>Card {number} says this and that</p></article>" for number in range(5))
    assert "Card 0" in said(read(f"<html><body><p>Hello</p>{cards}</body>".encode(), "a.html"))


def test_the_charset_of_a_page_is_what_it_declares() -> None:
    page = "<html><head><meta charset='iso-8859-2'></head><p>Příliš žluťoučký kůň"
    assert said(read(page.encode("iso-8859-2"), "a.html")) == "Příliš žluťoučký kůň"


# Word.


@pytest.fixture
def document_of() -> Callable[[Callable[[Any], None]], Document]:
    def make(fill: Callable[[Any], None]) -> Document:
        made = docx.Document()
        fill(made)
        file = io.BytesIO()
        made.save(file)
        return read(file.getvalue(), "contract.docx")

    return make


DocumentOf = Callable[[Callable[[Any], None]], Document]


def test_a_word_document(document_of: DocumentOf) -> None:
    def fill(made: Any) -> None:
        made.core_properties.title = "Supply contract"
        made.add_paragraph("Contract", style="Title")
        made.add_paragraph("Before.")
        made.add_heading("Terms", 1)
        made.add_paragraph("Pay\twithin 30 days.")
        made.add_paragraph("one", style="List Bullet")
        made.add_paragraph("two", style="List Bullet")
        made.add_paragraph("first", style="List Number")
        made.add_paragraph("second", style="List Number")
        made.add_heading("Prices", 2)
        table = made.add_table(2, 2)
        for cell, text in zip(table._cells, ("Item", "Price", "Bolt\nM8", "0.10"), strict=True):
            cell.text = text
        made.add_heading("Law", 1)

    document = document_of(fill)
    assert document.title == "Supply contract"
    assert document.sections == (
        Section((), "Contract\n\nBefore."),
        Section(("Terms",), "Pay within 30 days.\n\n- one\n- two\n1. first\n2. second"),
        Section(("Terms", "Prices"), "Item | Price\nBolt M8 | 0.10"),
        Section(("Law",), ""),
    )


def test_what_word_hides_is_left_out(document_of: DocumentOf) -> None:
    def fill(made: Any) -> None:
        shown = made.add_paragraph("Seen.")
        shown.add_run("vanished").font.hidden = True
        shown.add_run("white").font.color.rgb = RGBColor(255, 255, 255)
        shown.add_run("tiny").font.size = Pt(1)
        cell = made.add_table(1, 2).cell(0, 0).paragraphs[0]
        cell.add_run("White in a coloured cell").font.color.rgb = RGBColor(255, 255, 255)

    document = document_of(fill)
    assert said(document) == "Seen.\n\nWhite in a coloured cell | "
    assert document.notes == ("text that the document hides was left out",)


def test_a_title_that_word_made_up_is_none(document_of: DocumentOf) -> None:
    def fill(made: Any) -> None:
        made.core_properties.title = "Microsoft Word - draft7.doc"
        made.add_paragraph("Real title", style="Title")
        made.add_paragraph("Text.")

    assert document_of(fill).title == "Real title"


def test_where_no_heading_has_a_style_a_bold_line_is_one(document_of: DocumentOf) -> None:
    def fill(made: Any) -> None:
        made.add_paragraph().add_run("Delivery").bold = True
        made.add_paragraph("By truck.")
        made.add_paragraph().add_run("A bold sentence ends with a stop.").bold = True

    document = document_of(fill)
    assert document.sections == (Section(("Delivery",), "By truck.\n\nA bold sentence ends with a stop."),)


STYLES = """<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Firma"><w:name w:val="Firma"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:styleId="Tief"><w:name w:val="Tief"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:styleId="Kreis"><w:name w:val="Kreis"/><w:basedOn w:val="Kreis"/></w:style>
<w:style w:styleId="V1"><w:name w:val="toc 1"/></w:style></w:styles>"""
NUMBERING = """<w:numbering xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
<w:abstractNum w:abstractNumId="7">
<w:lvl w:ilvl="0"><w:start w:val="4"/><w:numFmt w:val="decimal"/><w:pStyle w:val="berschrift1"/>
<w:lvlText w:val="§ %1"/></w:lvl>
<w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1.%3"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num></w:numbering>"""


def styled(text: str, style: str = "", level: int | None = None) -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    listed = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr>' if level is not None else ""
    return f"<w:p><w:pPr>{named}{listed}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_headings_in_another_language_and_the_numbers_that_word_shows() -> None:
    body = (
        styled("Inhalt 1", "V1")
        + styled("Ware", "berschrift1", 0)
        + styled("Schrauben", level=1)
        + styled("Muttern", level=1)
        + styled("lang", level=2)
        + styled("Preis", "Firma", 0)
        + styled("netto", level=1)
        + styled("Rabatt", "Tief")
        + styled("keiner", "Kreis")
    )
    document = read(word(body, styles=STYLES, numbering=NUMBERING), "a.docx")
    assert document.sections == (
        Section(("§ 4 Ware",), "  (a) Schrauben\n  (b) Muttern\n    4.I lang"),
        Section(("§ 5 Preis",), "  (a) netto"),
        Section(("§ 5 Preis", "Rabatt"), "keiner"),
    )


def test_changes_text_boxes_notes_and_fields_in_word() -> None:
    compatible = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    box = "<w:txbxContent><w:p><w:r><w:t>In a box.</w:t></w:r></w:p></w:txbxContent>"
    body = f"""<w:p><w:r><w:t>Old </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>
<w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom><w:ins><w:r><w:t>new</w:t></w:r></w:ins>
<w:hyperlink><w:r><w:t> link</w:t></w:r></w:hyperlink><w:r><w:footnoteReference w:id="2"/></w:r>
<w:fldSimple w:instr="PAGE"><w:r><w:t> 7</w:t></w:r></w:fldSimple><w:r><w:instrText>SECRET</w:instrText></w:r></w:p>
<w:sdt><w:sdtContent><w:p><w:r><mc:AlternateContent xmlns:mc="{compatible}"><mc:Choice>{box}</mc:Choice>
<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p></w:sdtContent></w:sdt>"""
    notes = (
        '<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        '<w:footnote w:id="2"><w:p><w:r><w:t>See annex.</w:t></w:r></w:p></w:footnote></w:footnotes>'
    )
    assert said(read(word(body, footnotes=notes), "a.docx")) == "Old new link [See annex.] 7\n\nIn a box."


# E-mail.


def test_an_email() -> None:
    mail = b"""From: Ann <ann@a.example>
To: us@b.example
Subject: The door
Date: Mon, 2 Mar 2026 10:00:00 +0100
Content-Type: text/plain; charset=utf-8

It is red.

On Mon, 2 Mar 2026, Us wrote:
> Which colour?
"""
    document = read(mail, "a.eml")
    assert document.title == "The door"
    assert "From: Ann <ann@a.example>\nTo: us@b.example\nDate: 2026-03-02 09:00\nSubject: The door" in said(document)
    assert "It is red." in said(document)
    assert "Which colour?" in said(document)
