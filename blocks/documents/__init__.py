"""Files of a company's folders as text under headings: PDF, Word, Markdown, web pages, plain text, scans, e-mails.

`read` does it in this process, `Reader` in one of its own, which a hostile file may kill without any harm done. Either
gives a `Document`, or raises `Unreadable` with a reason for people. Nothing is downloaded, and each library is imported
when a file needs it.
"""

from blocks.documents.kinds import SUPPORTED, Kind, kind_of
from blocks.documents.limits import MOST_BYTES, MOST_OCR_PAGES, MOST_PAGES, MOST_TEXT
from blocks.documents.model import Document, Section, Unreadable
from blocks.documents.reader import Reader
from blocks.documents.reading import read
from blocks.documents.sheet import Place, Sheet

__all__ = [
    "MOST_BYTES",
    "MOST_OCR_PAGES",
    "MOST_PAGES",
    "MOST_TEXT",
    "SUPPORTED",
    "Document",
    "Kind",
    "Place",
    "Reader",
    "Section",
    "Sheet",
    "Unreadable",
    "kind_of",
    "read",
]
