"""Plain text: headings are guessed only where their writer marked them: underlined, numbered or in capitals."""

import re

from blocks.documents.kinds import looks_like_text
from blocks.documents.limits import MOST_TEXT
from blocks.documents.model import Document, Unreadable
from blocks.documents.text import TOO_MUCH_TEXT, Outline
from blocks.mail.charset import decode

_RULE = re.compile(r"\s{0,8}([=~*_-])\1{2,200}")
_LEVELS = {"=": 1, "-": 2, "~": 3, "*": 1, "_": 2}
_NUMBERED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,4})\.?[ \t]+[^\W\d_].{0,78}")
_CAPITALS = 60


def read(content: bytes) -> Document:
    """Raises Unreadable when it is no text, or too much."""
    text, notes = decoded(content)
    outline = Outline()
    read_into(outline, text)
    return outline.document(notes=notes)


def decoded(content: bytes) -> tuple[str, tuple[str, ...]]:
    """The text in whatever charset it is, and what a person should know of that.

    Raises:
        Unreadable: it is no text, or too much.
    """
    if not looks_like_text(content):
        raise Unreadable("it is no text")
    text, note = decode(content, "")
    if len(text) > MOST_TEXT:
        raise Unreadable(TOO_MUCH_TEXT)
    return text.removeprefix("\ufeff"), () if note.endswith("utf-8") or not note else (note,)


def read_into(outline: Outline, text: str) -> None:
    """Add the text to an outline."""
    lines = [line.rstrip() for line in re.split(r"\r\n|[\n\r\f\v\x85\u2028\u2029]", text)]
    paragraph: list[str] = []
    number = 0
    while number < len(lines):
        level, taken = _heading(lines, number)
        if level or _parts(lines[number]):
            outline.add("\n".join(paragraph))
            paragraph = []
            outline.heading(level, lines[number])
        else:
            paragraph.append(lines[number])
        number += taken
    outline.add("\n".join(paragraph))


def _parts(line: str) -> bool:
    """Whether the line is empty, or drawn to part what is above from what is below."""
    return not line or bool(_RULE.fullmatch(line))


def _heading(lines: list[str], number: int) -> tuple[int, int]:
    """Its level, 0 when the line is none, and how many lines it takes."""
    line = lines[number].strip()
    if _parts(line) or len(line) > 120 or (number and not _parts(lines[number - 1])):
        return 0, 1
    below = lines[number + 1] if number + 1 < len(lines) else ""
    if (rule := _RULE.fullmatch(below)) and re.search(r"[^\W_]", line):
        return _LEVELS[rule[1]], 2
    if below or line[-1] in ".,;:!":
        return 0, 1
    if numbered := _NUMBERED.fullmatch(line):
        # "1. Open the lid" is more often a step than a chapter.
        depth = numbered[1].count(".") + 1
        return (depth, 1) if depth > 1 else (0, 1)
    letters = [char for char in line if char.isalpha()]
    shouted = len(letters) >= 4 and line.isupper() and len(line) <= _CAPITALS and len(letters) * 2 > len(line)
    return (1, 1) if shouted else (0, 1)
