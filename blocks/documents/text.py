"""Text as the rest of Signoff may see it, and the headings above it."""

import re
import unicodedata
from dataclasses import dataclass, field

from blocks.documents.limits import MOST_HEADINGS, MOST_TEXT
from blocks.documents.model import Document, Section, Unreadable
from blocks.mail.charset import clean

MOST_TITLE = 300
"""Characters of a heading or title; the rest is cut off."""
TOO_MUCH_TEXT = f"it holds more than {MOST_TEXT:,} characters of text"
_BULLETS = str.maketrans(
    dict.fromkeys("\uf0b7\uf0a7\uf0d8\uf076\uf0fc", "•")
)  # Word's, from the fonts Symbol and Wingdings
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")


def tidy(text: str) -> str:
    """NFC, without what is not seen: control characters, lone surrogates, zero-width marks, glyphs of icon fonts."""
    text = _PRIVATE.sub("", clean(text.translate(_BULLETS)))
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """Tidy, with single spaces, and no longer than a title may be."""
    text = " ".join(tidy(text[: 10 * MOST_TITLE]).split())
    return text if len(text) <= MOST_TITLE else text[: MOST_TITLE - 1].rstrip() + "…"


@dataclass
class Outline:
    """Collects headings and text in the order of the file, and becomes its sections."""

    page: int | None = None
    """The page that what comes next is on; a section ends where its page does."""
    _sections: list[Section] = field(default_factory=list)
    _open: list[tuple[int, str]] = field(default_factory=list)  # the headings above: level and text
    _pieces: list[str] = field(default_factory=list)
    _anchor: str = ""
    _begun: int | None = None  # the page on which the section began
    _fresh: bool = False  # a heading without anything below it yet
    _characters: int = 0
    _headings: int = 0

    def heading(self, level: int, text: str, anchor: str = "") -> None:
        """Begin a section. Levels may be skipped; a heading is below the nearest one before it of a smaller level."""
        text = one_line(text)
        if not text:
            return
        self._headings += 1
        if self._headings > MOST_HEADINGS:
            self.add(text)
            return
        self._close(below=level)
        self._open = [(above, name) for above, name in self._open if above < level] + [(level, text)]
        self._anchor, self._begun, self._fresh = anchor, self.page, True
        self._count(text)

    def add(self, text: str, *, tight: bool = False) -> None:
        """Add a paragraph; `tight` ones follow the one before without an empty line, as the items of a list do."""
        text = tidy(text).strip("\n")
        if not text.strip():
            return
        if self.page != self._begun and self.page is not None:
            self._turn_page()
        if self._pieces:
            self._pieces.append("\n" if tight else "\n\n")
        self._pieces.append(text)
        self._count(text)

    def unpaged(self) -> None:
        """Forget the pages: a picture has none."""
        self._close(below=0)
        self._sections = [Section(section.path, section.text) for section in self._sections]

    def document(self, title: str = "", **fields: object) -> Document:
        """What was collected.

        Raises:
            Unreadable: there is neither text nor a heading.
        """
        self._close(below=0)
        if not self._sections:
            raise Unreadable("it holds no text")
        title = one_line(title) or "".join(self._sections[0].path[:1])
        return Document(title, tuple(self._sections), **fields)  # type: ignore[arg-type]

    def _turn_page(self) -> None:
        if self._pieces or not self._fresh:
            self._close(below=0)
            self._anchor = ""
        self._begun = self.page

    def _close(self, below: int) -> None:
        """End the section. One heading right above another of its own needs none: its words are in the other's path."""
        heads_another = self._fresh and self._open and self._open[-1][0] < below
        if self._pieces or (self._fresh and not heads_another):
            anchor = self._anchor or (f"page={self._begun}" if self._begun else "")
            path = tuple(name for _, name in self._open)
            self._sections.append(Section(path, "".join(self._pieces), self._begun, anchor))
        self._pieces, self._fresh = [], False

    def _count(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MOST_TEXT:
            raise Unreadable(TOO_MUCH_TEXT)
