"""What a file says, whatever kind of file it was: a title, and its text in stretches, each under its headings."""

from __future__ import annotations

from dataclasses import dataclass


class Unreadable(Exception):
    """A file that cannot be read; the message is a short reason for people: `it is encrypted`, `it has no text`."""


@dataclass(frozen=True)
class Section:
    """A stretch of text between one heading and the next, or the end of its page."""

    path: tuple[str, ...]
    """The headings above it, outermost first, its own last; empty before the first heading."""
    text: str
    """Plain text without the heading; paragraphs are parted by an empty line. A table has a line for each row.

    It may be empty: then the heading stands alone.
    """
    page: int | None = None
    """The page on which it begins, from 1; None where there are no pages."""
    anchor: str = ""
    """What a link to this section ends in after `#`, as `page=3`; empty when the file has no such name for it."""


@dataclass(frozen=True)
class Document:
    """A file, read."""

    title: str
    sections: tuple[Section, ...]
    pages: int | None = None
    link: str = ""
    """Where the document says that it is to be found on the web; empty when it does not say."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it was read: `3 of 12 pages were read by OCR`."""
