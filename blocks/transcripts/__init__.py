"""Transcripts of meetings as numbered lines with speaker and second, whatever made them.

Plain text with speakers, WebVTT (Zoom, Teams), SubRip, Google Meet's and Gemini's documents, Zoom's captions, Teams'
Word files, and what was heard of a recording. Each gives a `Transcript`, or raises `Unreadable` with a reason.
"""

from blocks.documents.model import Unreadable
from blocks.transcripts.model import MOST_BYTES, MOST_LINES, MOST_TEXT, Line, Person, Transcript, lines_of, shown
from blocks.transcripts.reading import day_in, from_segments, read, title_of

__all__ = [
    "MOST_BYTES",
    "MOST_LINES",
    "MOST_TEXT",
    "Line",
    "Person",
    "Transcript",
    "Unreadable",
    "day_in",
    "from_segments",
    "lines_of",
    "read",
    "shown",
    "title_of",
]
