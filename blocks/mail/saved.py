"""E-mails that somebody has saved as files: one `.eml`, or a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ENDING = ".eml"


class NoSavedMail(Exception):
    """There is none, or it cannot be read; the message names the place and says where such files come from."""


@dataclass(frozen=True)
class Saved:
    """One of them, as it is on disk."""

    name: str
    raw: bytes
    changed_at: datetime
    """When the file was written (UTC)."""


def saved(place: Path) -> list[Saved]:
    """What is in a file or a folder, by name.

    Raises:
        NoSavedMail: it cannot be read, or has no such file.
    """
    at, found = place, []
    try:
        place.stat()
        for at in sorted(place.iterdir()) if place.is_dir() else [place]:
            if at.suffix.lower() == ENDING and at.is_file():  # no folder of that name, and no pipe that never ends
                found.append(_read(at))
    except (OSError, ValueError) as error:  # a path with a NUL, a time that no calendar has
        raise NoSavedMail(f"{at} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        what = "has no" if place.is_dir() else "is no"
        raise NoSavedMail(f"{place} {what} {ENDING} file; a mail program's 'save as' makes them")
    return found


def _read(file: Path) -> Saved:
    return Saved(file.name, file.read_bytes(), datetime.fromtimestamp(file.stat().st_mtime, UTC))
