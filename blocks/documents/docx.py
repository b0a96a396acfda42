"""Word documents: what a reader sees, in its order. Deleted, hidden and white text is left out."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import docx
from docx.opc.exceptions import OpcError
from docx.oxml.exceptions import InvalidXmlError
from docx.oxml.ns import qn
from docx.oxml.parser import parse_xml
from lxml import etree  # type: ignore[import-untyped]

from blocks.documents import docx_package
from blocks.documents.docx_numbering import Numbering
from blocks.documents.model import Document, Unreadable
from blocks.documents.text import Outline, one_line

if TYPE_CHECKING:
    from docx.document import Document as Word

_P, _TABLE, _ROW, _CELL = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_RUN, _TEXT, _PROPERTIES = qn("w:r"), qn("w:t"), qn("w:pPr")
_VALUE = qn("w:val")
_COMPATIBLE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_BOX = qn("w:txbxContent")
_DROPPED = frozenset(map(qn, ("w:del", "w:moveFrom", "w:pPr", "w:rPr", "w:sdtPr", "w:tblPr", "w:trPr", "w:tcPr")))
_BREAKS = {qn("w:tab"): " ", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-", qn("w:ptab"): " "}
_NOTES = {qn("w:footnoteReference"): "footnotes", qn("w:endnoteReference"): "endnotes"}
_NOTHING = re.compile(
    r"(?:microsoft word - .*|untitled.*|document\d*|dokument\d*|word document|.*\.docx?)", re.IGNORECASE
)
_BOLD_HEADING = 100
TITLE, CONTENTS = -1, -2  # beside the levels of headings: the document's title, a line of its table of contents


def read(content: bytes) -> Document:
    """Raises Unreadable when it is broken, encrypted, made to do harm, or holds no text."""
    found = docx_package.parts(content)
    try:
        word = docx.Document(docx_package.package(found))
        notes: dict[str, dict[str, str]] = {part: _notes(found[part]) for part in _NOTES.values() if part in found}
        title = one_line(word.core_properties.title) if "core" in found else ""
    except (etree.XMLSyntaxError, OpcError, InvalidXmlError, KeyError, ValueError, AttributeError, TypeError) as error:
        # The last three: python-docx met another element than it expects, such as a document without a root of its own.
        raise Unreadable("it is damaged: its XML cannot be read") from error
    _refuse_definitions(word.element)
    named = "" if _NOTHING.fullmatch(title) else title
    reader = _Reader(_styles(word), Numbering.of(_numbering(word)), notes, named)
    reader.bold_headings = not reader.has_headings(word.element)
    reader.blocks(word.element.body)
    said = ("text that the document hides was left out",) if reader.hid else ()
    return reader.outline.document(named or reader.title, notes=said)


def _refuse_definitions(root: etree._Element) -> None:
    """No word processor writes a DTD; its entities are what is used to fill the memory."""
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable("its XML has definitions of its own (a DTD), as no word processor writes them")


def _numbering(word: "Word") -> etree._Element | None:
    related = [relation for relation in word.part.rels.values() if relation.reltype.endswith("/numbering")]
    return related[0].target_part.element if related else None


def _notes(xml: bytes) -> dict[str, str]:
    """The text of each footnote, by the number by which the text refers to it."""
    root = parse_xml(xml)
    _refuse_definitions(root)
    return {
        str(note.get(qn("w:id"))): one_line(" ".join("".join(p.itertext(_TEXT)) for p in note.iter(_P)))
        for note in root
        if isinstance(note.tag, str) and note.get(qn("w:type")) is None
    }


@dataclass
class _Styles:
    """What paragraphs have from their style, by its id, which is another in each language."""

    levels: dict[str, int] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)


def _styles(word: "Word") -> _Styles:
    known = {str(style.get(qn("w:styleId"))): style for style in word.styles.element.iter(qn("w:style"))}
    found = _Styles()
    for name, style in known.items():
        for ancestor in _with_ancestors(style, known):
            number = ancestor.find(f"{_PROPERTIES}/{qn('w:numPr')}")
            found.levels[name] = found.levels.get(name, 0) or _level_of_style(ancestor)
            found.lists[name] = found.lists.get(name, "") or (_value(number, "w:numId") if number is not None else "")
    return found


def _with_ancestors(style: etree._Element, known: dict[str, etree._Element]) -> Iterator[etree._Element]:
    for _ in range(20):  # a style may be based on itself
        yield style
        if (base := known.get(_value(style, "w:basedOn"))) is None:
            return
        style = base


def _level_of_style(style: etree._Element) -> int:
    called = _value(style, "w:name").lower()
    if heading := re.fullmatch(r"heading ([1-9])", called):
        return int(heading[1])
    if re.fullmatch(r"toc \d|toc heading|table of figures|contents heading|contents \d", called):
        return CONTENTS
    return TITLE if called == "title" else _outline_level(style.find(_PROPERTIES))


def _outline_level(properties: etree._Element | None) -> int:
    level = _value(properties, "w:outlineLvl") if properties is not None else ""
    return int(level) + 1 if re.fullmatch("[0-8]", level) else 0


def _value(element: etree._Element, name: str) -> str:
    child = element.find(qn(name))
    return "" if child is None else str(child.get(_VALUE, ""))


@dataclass
class _Reader:
    styles: _Styles
    numbering: Numbering
    notes: dict[str, dict[str, str]]
    named: str
    """What the file's properties say is its title; what the page shows as one is text beside it, if it is another."""
    outline: Outline = field(default_factory=Outline)
    title: str = ""
    hid: bool = False
    bold_headings: bool = False
    """No heading has a style that says so, so that a bold line may be meant as one."""
    _boxes: list[etree._Element] = field(default_factory=list)
    _in_list: bool = False

    def has_headings(self, root: etree._Element) -> bool:
        return any(self._level(paragraph) > 0 for paragraph in root.iter(_P))

    def blocks(self, parent: Iterable[etree._Element]) -> None:
        """Add paragraphs and tables, also those within content controls and tracked insertions."""
        for element in parent:
            if element.tag == _P:
                self._paragraph(element)
            elif element.tag == _TABLE:
                self._table(element)
            elif element.tag == f"{_COMPATIBLE}AlternateContent":
                self.blocks(element.findall(f"{_COMPATIBLE}Choice"))
            elif isinstance(element.tag, str) and element.tag not in _DROPPED:
                self.blocks(element)

    def _paragraph(self, paragraph: etree._Element) -> None:
        level = self._level(paragraph)
        text = "".join(self._said(paragraph))
        mark, depth = self._mark(paragraph)
        if level == TITLE and not self.title:
            self.title = one_line(text)
            if self.named not in ("", self.title):
                self.outline.add(text)
        elif level > 0 or (not level and self._is_bold_heading(paragraph, text, mark)):
            self.outline.heading(max(level, 1), mark + text)
            self._in_list = False
        elif level != CONTENTS and text.strip():
            self.outline.add("  " * depth * bool(mark) + mark + text.strip(), tight=self._in_list and bool(mark))
            self._in_list = bool(mark)
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self.blocks(box)

    def _level(self, paragraph: etree._Element) -> int:
        properties = paragraph.find(_PROPERTIES)
        if properties is None:
            return 0
        return _outline_level(properties) or self.styles.levels.get(_value(properties, "w:pStyle"), 0)

    def _mark(self, paragraph: etree._Element) -> tuple[str, int]:
        """The number or bullet, and how deep in the list."""
        properties = paragraph.find(_PROPERTIES)
        if properties is None:
            return "", 0
        style = _value(properties, "w:pStyle")
        own = properties.find(qn("w:numPr"))
        number = (_value(own, "w:numId") if own is not None else "") or self.styles.lists.get(style, "")
        level = _value(own, "w:ilvl") if own is not None else ""
        depth = int(level) if re.fullmatch("[0-8]", level) else self.numbering.level_of(number, style)
        return self.numbering.mark(number, depth), depth

    def _is_bold_heading(self, paragraph: etree._Element, text: str, mark: str) -> bool:
        text = text.strip()
        if not self.bold_headings or mark or not 2 < len(text) <= _BOLD_HEADING or text[-1] in ".,;:!" or "\n" in text:
            return False
        runs = [run for run in paragraph.iter(_RUN) if "".join(run.itertext(_TEXT)).strip()]
        return bool(runs) and all(_on(run, "w:b") for run in runs)

    def _said(self, element: etree._Element) -> Iterator[str]:
        """The text within, without what is deleted or hidden; text boxes are put aside, to come after."""
        for child in element:
            tag = child.tag
            if tag == _TEXT:
                yield child.text or ""
            elif tag == _RUN and _is_hidden(child):
                self.hid = self.hid or bool("".join(child.itertext(_TEXT)).strip())
            elif tag in _BREAKS:
                yield _BREAKS[tag]
            elif tag == qn("w:br"):
                yield "\n" if child.get(qn("w:type")) is None else ""
            elif tag in _NOTES:
                note = self.notes.get(_NOTES[tag], {}).get(str(child.get(qn("w:id"))), "")
                yield f" [{note}]" if note else ""
            elif tag == _BOX:
                self._boxes.append(child)
            elif isinstance(tag, str) and tag not in _DROPPED and tag != f"{_COMPATIBLE}Fallback":
                yield from self._said(child)

    def _table(self, table: etree._Element) -> None:
        rows = [list(_cells(row)) for row in _rows(table)]
        alone = all(len(row) == 1 for row in rows)
        if alone or any(self._level(paragraph) > 0 for paragraph in table.iter(_P)):
            # Drawn around a text, or to lay out the page.
            for row in rows:
                for cell in row:
                    self.blocks(cell)
            return
        tight = False
        for row in rows:
            cells = [self._cell(cell) for cell in row]
            if any(cells):
                self.outline.add(" | ".join(cells), tight=tight)
                tight = True
        self._in_list = False

    def _cell(self, cell: etree._Element) -> str:
        texts = ["".join([self._mark(paragraph)[0], *self._said(paragraph)]) for paragraph in cell.iter(_P)]
        self._boxes = []  # their paragraphs are among those of the cell
        return " ".join(" ".join(texts).split())


def _rows(table: etree._Element) -> Iterator[etree._Element]:
    for child in table:
        if child.tag == _ROW:
            yield child
        elif child.tag in (qn("w:sdt"), qn("w:sdtContent"), qn("w:ins")):
            yield from _rows(child)


def _cells(row: etree._Element) -> Iterator[etree._Element]:
    for child in row:
        if child.tag == _CELL:
            yield child
        elif child.tag in (qn("w:sdt"), qn("w:sdtContent"), qn("w:ins")):
            yield from _cells(child)


def _on(run: etree._Element, name: str) -> bool:
    found = run.find(f"{qn('w:rPr')}/{qn(name)}")
    return found is not None and found.get(_VALUE, "true") not in ("false", "0", "none", "off")


def _is_hidden(run: etree._Element) -> bool:
    """Marked as hidden, of less than two points, or white on the white page."""
    properties = run.find(qn("w:rPr"))
    if properties is None:
        return False
    if _on(run, "w:vanish") or _on(run, "w:webHidden"):
        return True
    if re.fullmatch("[0-3]", _value(properties, "w:sz")):  # in half points
        return True
    if _value(properties, "w:color").lower() != "ffffff":
        return False
    shaded = properties.find(qn("w:shd")) is not None or properties.find(qn("w:highlight")) is not None
    # Table cells and text boxes may have a colour of their own, from a style or a theme.
    around = (
        above.tag in (_CELL, _BOX) or above.find(f"{_PROPERTIES}/{qn('w:shd')}") is not None
        for above in run.iterancestors()
    )
    return not shaded and not any(around)
