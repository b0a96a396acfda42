"""What an approver sees of a document: each doubtful value with the piece of the page that it was read from."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from blocks.documents import Reader, Unreadable
from blocks.ledger import Ledger, Record
from prompts.document_intake.schemas import LINES, find, title_of
from tasks.papers import EXTRACTION, NOTE, content_of
from tasks.plain import capitalised, plain

MOST_PICTURES = 6
"""On one form. The others are told in words."""
DPI = 96.0
MARGIN = 20.0
"""Points above and below a value that are shown with it: a line of the paper, whole. Twice that at its sides."""
TOGETHER = 150.0
"""Points of a page's height within which values are shown in one picture."""
WIDEST = 320.0
"""Points of a page's width that are shown around a value: as wide as the form is."""


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in points from a page's top left corner."""
View = tuple[int, Box]
"""A page, and what of it."""


def explaining(ledger: Ledger) -> Callable[[Record], str]:
    """What the gate is given: a function that explains a record's document, as markdown with pictures."""

    def explain(record: Record) -> str:
        return explained(ledger, record)

    return explain


def explained(ledger: Ledger, record: Record) -> str:
    """Which document it is, what is doubtful about it and why, and what it looks like there."""
    found: Mapping[str, Any] = (record.context or {}).get(EXTRACTION) or {}
    payload = record.payload
    parts = [_heading(payload)]
    notes = payload.get(NOTE) or []
    parts += [f"**How it was read:** {plain('; '.join(notes))}."] if notes else []
    parts += [f"**Please check:** {plain(why)}." for why in found.get("doubts", ())]
    unsure: Mapping[str, str] = found.get("unsure", {})
    if unsure:
        parts += _doubtful(ledger, record, unsure, found)
    elif found and not found["doubts"]:
        parts.append(f"Nothing about it is doubtful: it is wanted as a row of `{find(found['kind']).table}`.")
    return "\n\n".join(parts)


def _doubtful(ledger: Ledger, record: Record, unsure: Mapping[str, str], found: Mapping[str, Any]) -> Iterator[str]:
    """What is doubtful: what has the same reason is told together, with one picture where it stands together."""
    values: Mapping[str, Mapping[str, Any]] = found["values"]
    by_reason: dict[str, list[str]] = {}
    for name, why in unsure.items():
        if name in values:
            by_reason.setdefault(why, []).append(name)
    told = [(_read_as(names, values, why), [values[name] for name in names]) for why, names in by_reason.items()]
    if LINES in unsure:
        cells = [cell for line in found["lines"] for cell in line.values() if cell["doubts"]]
        told.append((f"**Lines:** {plain(unsure[LINES])}.", cells))
    views = [view for _, cells in told for view in _views(cells)]
    pictures = _pictures(ledger, record, views[:MOST_PICTURES])
    for said, cells in told:
        yield said
        yield from (pictures[view] for view in _views(cells) if view in pictures)
    missing = [title_of(name) for name in unsure if name not in values and name != LINES]
    yield from (f"**{name}:** nothing was found." for name in missing)


def _read_as(names: Sequence[str], values: Mapping[str, Mapping[str, Any]], why: str) -> str:
    titles = _listed([title_of(name) if at == 0 else title_of(name).lower() for at, name in enumerate(names)])
    said = _listed([f"“{plain(values[name]['value'] or values[name]['printed'])}”" for name in names])
    return f"**{titles}:** read as {said}{_where(values[names[0]])}. {plain(capitalised(why))}."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _heading(payload: Mapping[str, Any]) -> str:
    pages = payload.get("pages") or 0
    many = f", {pages} pages" if pages > 1 else ""
    place = f" ({plain(payload['place'])})" if payload.get("place") else ""
    return f"**Document:** {plain(payload['name'])}{many}{place}"


def _where(value: Mapping[str, Any]) -> str:
    return f" ({value['where']})" if value.get("where") else ""


def _views(values: Sequence[Mapping[str, Any]]) -> list[View]:
    """What of which pages is shown for values: those that are close to each other in one view."""
    views: list[View] = []
    for value in values:
        if not value.get("boxes"):
            continue  # it stands on no page
        box, page = tuple(value["boxes"][0]), int(value["page"])
        joined = _joined(views[-1][1], box) if views and views[-1][0] == page else None
        if joined and joined[3] - joined[1] <= TOGETHER and joined[2] - joined[0] <= WIDEST:
            views[-1] = (page, joined)
        else:
            views.append((page, box))
    return views


def _joined(one: Box, other: Sequence[float]) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _pictures(ledger: Ledger, record: Record, views: Sequence[View]) -> dict[View, str]:
    """By view, that piece of its page as a picture in markdown."""
    paper = content_of(ledger, record.id) if views else None
    if paper is None:
        return {}
    content, name = paper
    shown: dict[View, str] = {}
    with Reader() as reader:
        for page, box in views:
            try:
                jpeg = reader.picture(content, name, page, around(box), dpi=DPI)
            except Unreadable:
                continue
            shown[page, box] = f"![Page {page}](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})"
    return shown


def around(box: Sequence[float]) -> tuple[float, float, float, float]:
    """What of a page is shown for a value that stands in this box, in points."""
    left, top, right, bottom = box
    side = max((WIDEST - (right - left)) / 2, 2 * MARGIN)
    return max(left - side, 0.0), max(top - MARGIN, 0.0), right + side, bottom + MARGIN
