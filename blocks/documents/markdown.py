"""Markdown: CommonMark with GitHub's tables, and the anchors that GitHub makes of headings.

A link is kept as its text, and its address after it where the text does not say it. HTML within is read as a web page
is: what it hides and its comments are left out. Pictures are left out; what stands for one is kept.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.documents import html, plain
from blocks.documents.model import Document, Unreadable
from blocks.documents.text import Outline, tidy

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT = re.compile(
    r"\A\s*(---|\+\+\+)[ \t]*\r?\n(?=[\w\"'-]+[ \t]*[:=]|#)(.{0,20000}?)\r?\n\1[ \t]*(?:\r?\n|\Z)", re.DOTALL
)
_FRONT_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.{1,500})$", re.MULTILINE)
_OWN_ANCHOR = re.compile(r"\s*\{#([\w:.-]{1,200})\}\s*$")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,4000}>")
_ENDS_ITSELF = re.compile(r"</?(?:p|li|td|th|tr|dt|dd|option)\b", re.IGNORECASE)
MOST_MARKDOWN = 5_000_000
"""Characters. The parser takes 12 seconds and 650 MB for as many."""
MOST_QUOTED = 30
"""Levels of quotes and lists; deeper ones are what people write only to see what happens."""


def read(content: bytes) -> Document:
    """Raises Unreadable when it is no text, or holds none."""
    text, notes = plain.decoded(content)
    if len(text) > MOST_MARKDOWN:
        raise Unreadable(f"it is Markdown of more than {MOST_MARKDOWN:,} characters")
    front = _FRONT.match(text)
    title = _front_title(front[2]) if front else ""
    reader = _Reader(Outline())
    reader.read(_parse(_flattened(text[front.end() :] if front else text)))
    said = (*notes, "text that the page hides was left out") if reader.hid else notes
    return reader.outline.document(title or reader.first_title, notes=said)


def _front_title(front: str) -> str:
    # Not by a YAML parser: one line is wanted, and whatever else there is cannot do harm.
    found = _FRONT_TITLE.search(front)
    return found[1].strip().strip("\"'") if found else ""


def _flattened(text: str) -> str:
    """Without the quotes and lists inside one another that take the parser quadratic time."""
    marks = r"[ \t]{0,3}(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))"
    return re.sub(rf"^(?:{marks}){{{MOST_QUOTED},}}", "> ", text, flags=re.MULTILINE)


def _parse(text: str) -> "Sequence[Token]":
    from markdown_it import MarkdownIt

    try:
        return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error


@dataclass
class _Reader:
    outline: Outline
    first_title: str = ""
    _anchors: Counter[str] = field(default_factory=Counter)
    _lists: list[int] = field(default_factory=list)  # the number of each ordered list's last item; -1 when it has none
    _marker: str = ""
    _tight: bool = False
    _row: list[str] | None = None
    _hidden: list[str] = field(default_factory=list)  # the HTML elements that are open within one that is not shown
    hid: bool = False

    def read(self, tokens: "Sequence[Token]") -> None:
        heading = ""
        for token in tokens:
            match token.type:
                case "html_block":
                    self._html(token.content)
                case "inline" | "fence" | "code_block" if self._hidden:
                    self.hid = True
                case "heading_open":
                    heading = token.tag
                case "heading_close":
                    heading = ""
                case "inline" if heading:
                    self._heading(int(heading[1]), _shown(token.children or []))
                case "inline":
                    self._text(_shown(token.children or []))
                case "fence" | "code_block":
                    self._text(token.content.rstrip("\n"))
                case _:
                    self._structure(token)

    def _html(self, source: str) -> None:
        """A tag that is closed in a later block holds what is between them, as <div hidden> does."""
        if not self._hidden:
            self.hid = html.read_fragment(source, self.outline) or self.hid
        for tag in _TAG.findall(source):
            # A paragraph that is not closed ends by itself, and hides nothing of what comes.
            if not _ENDS_ITSELF.match(tag):
                self._hidden = _hidden_by(tag, self._hidden)

    def _structure(self, token: "Token") -> None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(-1)
            case "ordered_list_open":
                self._lists.append(int(token.attrGet("start") or 1) - 1)
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
                self._tight = bool(self._lists)
            case "list_item_open":
                self._marker = self._item()
            case "list_item_close":
                self._marker = ""
            case "tr_open":
                self._row = []
            case "tr_close":
                self._end_row()
            case "table_close":
                self._tight = bool(self._lists)

    def _heading(self, level: int, text: str) -> None:
        own = _OWN_ANCHOR.search(text)
        text = text[: own.start()] if own else text
        self._tight = False
        if level == 1 and not self.first_title:
            self.first_title = text
        self.outline.heading(level, text, own[1] if own else self._anchor(text))

    def _anchor(self, text: str) -> str:
        """As GitHub makes them: a name that comes again gets a number."""
        name = re.sub(r"[^\w\- ]", "", tidy(text).strip().lower()).replace(" ", "-")
        self._anchors[name] += 1
        before = self._anchors[name] - 1
        return f"{name}-{before}" if before else name

    def _text(self, text: str) -> None:
        if self._row is not None:
            self._row.append(" ".join(text.split()))
            return
        self.outline.add(self._marker + text, tight=self._tight)
        self._marker, self._tight = "", bool(self._lists)

    def _item(self) -> str:
        indent = "  " * min(len(self._lists) - 1, MOST_QUOTED)
        if self._lists[-1] < 0:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def _end_row(self) -> None:
        row, self._row = self._row or [], None
        if any(row):
            self.outline.add(" | ".join(row), tight=self._tight)
            self._tight = True


def _shown(tokens: "Sequence[Token]") -> str:
    return re.sub(" {2,}", " ", "".join(_pieces(tokens)))


def _pieces(tokens: "Sequence[Token]") -> Iterator[str]:
    links: list[tuple[str, list[str]]] = []  # the open ones: where to, and their text so far
    hidden: list[str] = []  # the elements that are open within one that is not shown
    for token in tokens:
        if token.type == "html_inline":
            hidden = _hidden_by(token.content, hidden)
        said = "" if hidden else _said(token)
        if token.type == "link_open":
            links.append((str(token.attrGet("href") or ""), []))
        elif token.type == "link_close" and links:
            address, text = links.pop()
            said = _address(address, "".join(text))
        for _, text in links:
            text.append(said)
        yield said


def _said(token: "Token") -> str:
    match token.type:
        case "text" | "code_inline" | "text_special" | "image":
            return token.content
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "html_inline" if re.match(r"<br\b", token.content, re.IGNORECASE):
            return "\n"
    return ""


def _address(address: str, text: str) -> str:
    """What to add to a link's text. Where in the same folder it leads is of no use to who reads the text elsewhere."""
    address = address.removeprefix("mailto:")
    bare = re.sub(r"^https?://", "", address).rstrip("/")
    useful = address.startswith(("http://", "https://")) or "@" in address
    return f" ({address})" if useful and bare not in text else ""


def _hidden_by(tag: str, hidden: list[str]) -> list[str]:
    """The open elements within a hidden one, outermost first, once this tag is read; empty when all is shown."""
    found = re.match(r"<(/?)([a-zA-Z][\w-]{0,30})\b[^>]*?(/?)>", tag)
    if not found or found[3] or found[2].lower() in ("br", "img", "hr", "wbr", "input"):
        return hidden
    name = found[2].lower()
    if not found[1]:
        return [*hidden, name] if hidden or html.hides(tag) else []
    if name in hidden:
        return hidden[: len(hidden) - 1 - hidden[::-1].index(name)]
    return hidden
