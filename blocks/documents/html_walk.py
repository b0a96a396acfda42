"""One pass over the elements of a page, which does not call itself: pages may be nested thousands deep."""

import re
from dataclasses import dataclass, field

from lxml import etree  # type: ignore[import-untyped]

from blocks.documents.text import Outline

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    {
        "p",
        "div",
        "section",
        "article",
        "main",
        "header",
        "footer",
        "aside",
        "blockquote",
        "figure",
        "figcaption",
        "address",
        "details",
        "summary",
        "dl",
        "dt",
        "dd",
        "ul",
        "ol",
        "hr",
        "form",
        "fieldset",
        "legend",
        "center",
        "body",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "td",
        "th",
        "li",
        "pre",
    }
)
MOST_DEPTH = 6
"""Levels of a list that are indented; deeper ones are as far in as the sixth."""


@dataclass
class _Walker:
    outline: Outline
    layouts: set[etree._Element]
    """Tables that are there for the layout: what is in their cells is read as if there were no table."""
    words: list[str] = field(default_factory=list)
    heading: etree._Element | None = None
    pre: int = 0
    tables: int = 0
    row: list[str] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)  # the number of each ordered list's last item; -1 when it has none
    marker: str = ""
    tight: bool = False  # what comes next belongs to the list or table before it

    def start(self, element: etree._Element) -> None:
        tag = element.tag
        if self.heading is None and tag in _BLOCKS | _HEADINGS.keys() and not self._in_cell(tag):
            self.flush()
        if tag in _HEADINGS and not self.tables and not self.pre and self.heading is None:
            self.heading = element
        elif tag == "br":
            self.words.append("\n")
        elif tag == "pre":
            self.pre += 1
        elif tag in ("ul", "ol"):
            self.lists.append(_first_number(element) - 1 if tag == "ol" else -1)
        elif tag == "li":
            self._item()
        elif tag == "table" and element not in self.layouts:
            self.tables += 1
            self.tight = self.tight and self.tables > 1
        self.say(element.text)

    def end(self, element: etree._Element) -> None:
        tag = element.tag
        if element is self.heading:
            self._end_heading(element)
        elif self.heading is None:
            self._end_block(tag, element)
        self.say(element.tail)

    def say(self, text: str | None) -> None:
        if text:
            self.words.append(text if self.pre else re.sub(r"\s+", " ", text))

    def flush(self) -> None:
        """What was said so far is a paragraph."""
        text = "".join(self.words)
        self.words = []
        if not self.pre:
            text = "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))
        if text.strip():
            self.outline.add(self.marker + text, tight=self.tight)
            self.marker, self.tight = "", bool(self.lists) or self.tables > 0

    def _in_cell(self, tag: str) -> bool:
        """A paragraph or a table within a cell does not end the cell's line."""
        return self.tables > 0 and (tag not in ("td", "th", "tr", "table") or self.tables > 1)

    def _item(self) -> None:
        if self.tables or self.heading is not None or not self.lists:
            self.words.append(" ")
            return
        numbered = self.lists[-1] >= 0
        self.lists[-1] += numbered
        indent = "  " * min(len(self.lists) - 1, MOST_DEPTH)
        self.marker = f"{indent}{self.lists[-1]}. " if numbered else f"{indent}- "

    def _end_heading(self, element: etree._Element) -> None:
        self.heading = None
        text, self.words = "".join(self.words), []
        self.marker, self.tight = "", False
        self.outline.heading(_HEADINGS[element.tag], text.strip(" #¶§\n\t"), anchor_of(element))

    def _end_block(self, tag: str, element: etree._Element) -> None:
        if tag in ("td", "th") and self.tables == 1:
            self.row.append(" ".join("".join(self.words).split()))
            self.words = []
        elif tag == "tr" and self.tables == 1:
            self._end_row()
        elif tag == "table" and element not in self.layouts:
            self.tables = max(self.tables - 1, 0)
            self.tight = self.tables > 0 or bool(self.lists)
        elif self.tables and tag in _BLOCKS:
            self.words.append(" ")
        elif tag in _BLOCKS:
            self.flush()
        if tag == "pre":
            self.pre = max(self.pre - 1, 0)
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
            self.tight = bool(self.lists) or self.tables > 0
        elif tag == "li":
            self.marker = ""

    def _end_row(self) -> None:
        said = [cell for cell in self.row if cell]
        if said:  # an empty cell keeps its place only where others do
            self.outline.add(self.marker + " | ".join(self.row if len(said) > 1 else said), tight=self.tight)
            self.marker, self.tight = "", True
        self.row, self.words = [], []


def walk(root: etree._Element, outline: Outline) -> None:
    """Add an element's headings and text to an outline."""
    walker = _Walker(outline, _layouts(root))
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        if event == "start":
            walker.start(element)
        elif element is not root:
            walker.end(element)
    walker.flush()


def anchor_of(heading: etree._Element) -> str:
    """The name to which a link to this heading leads: its own, one within it, one right before it, its section's."""
    for element in heading.iter(etree.Element):
        if name := _name(element):
            return name
    before = heading.getprevious()
    if before is not None and not (before.tail or "").strip() and not "".join(before.itertext()).strip():
        for element in before.iter(etree.Element):
            if name := _name(element):
                return name
    parent = heading.getparent()
    if parent is not None and parent.tag in ("section", "div", "article", "header") and _is_first(heading, parent):
        return _name(parent)
    return ""


def _is_first(heading: etree._Element, parent: etree._Element) -> bool:
    return heading.getprevious() is None and not (parent.text or "").strip()


def _name(element: etree._Element) -> str:
    name = element.get("id") or (element.get("name") if element.tag == "a" else "") or ""
    return name if re.fullmatch(r"[^\s\x00-\x1f<>\"']{1,200}", name) else ""


def _first_number(element: etree._Element) -> int:
    start = element.get("start", "1")
    return int(start) if re.fullmatch(r"\d{1,6}", start) and int(start) else 1


def _layouts(root: etree._Element) -> set[etree._Element]:
    """Tables with headings or tables within: help pages of old are laid out with them."""
    found: set[etree._Element] = set(root.xpath("descendant-or-self::table[@role='presentation' or @role='none']"))
    seen: set[etree._Element] = set()
    for element in root.iter("table", *_HEADINGS):
        above = element.getparent()
        while above is not None and above not in seen:
            seen.add(above)
            if above.tag == "table":
                found.add(above)
            above = above.getparent()
    return found
