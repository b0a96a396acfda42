"""Which characters of a text nobody sees: they can turn its direction round, split a word, or carry a message."""

from __future__ import annotations

import unicodedata

# https://www.unicode.org/Public/16.0.0/ucd/DerivedCoreProperties.txt, "Default_Ignorable_Code_Point": what a font shows
# nothing of. `str.isprintable` counts many of them (marks, Hangul fillers, variation selectors) as visible.
IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
BLANK = "\u2800"
"""Braille without a dot: a sign with a width, and nothing in it."""

HIDDEN = frozenset(chr(code) for first, last in IGNORABLE for code in range(first, last + 1)) | {BLANK}
SPACES = frozenset("\n\r\t\u00a0\u202f")
"""What `str.isprintable` does not count, and people do write."""

JOINERS = frozenset("\u200d\ufe0f")
"""They make one picture of several, or a picture of a sign; they belong to emoji, and stand beside one."""

OLD_EMOJI = frozenset("\u203c\u2049\u20e3\u2139\u2194\u3030\u303d")
"""Those that are no symbols to Unicode, beside which a joiner stands too."""


def unseen(text: str) -> list[str]:
    """The characters of a text that nobody sees, each once, as they come."""
    return list(dict.fromkeys(c for at, c in enumerate(text) if not _is_seen(text, at)))


def seen(text: str) -> str:
    """A text without them."""
    if text.isascii() and text.isprintable():  # most lines, and looking at each character takes a while
        return text
    return "".join(c for at, c in enumerate(text) if _is_seen(text, at))


def _is_seen(text: str, at: int) -> bool:
    c = text[at]
    if c in JOINERS:
        return any(_is_emoji(other) for other in (text[at - 1 : at], text[at + 1 : at + 2]))
    return c in SPACES or (c.isprintable() and c not in HIDDEN)


def _is_emoji(c: str) -> bool:
    """Whether it is a symbol or a picture that is seen itself."""
    if not c or c in HIDDEN or not c.isprintable():
        return False
    return "\U0001f000" <= c <= "\U0001ffff" or c in OLD_EMOJI or unicodedata.category(c) == "So"
