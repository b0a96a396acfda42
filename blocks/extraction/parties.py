"""Who a paper is from, where no label says so: the name that its letterhead, its addresses and its end agree on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from blocks.extraction.labels import Segment, hits
from blocks.extraction.recognition import is_addressed, is_title
from blocks.extraction.values import LEGAL_FORM, Habits, Reading, end_of_name, read
from prompts.document_intake.schemas import Paper, marks
from prompts.document_intake.schemas.kinds import Party

_DOMAIN = re.compile(
    r"(?:@|https?://(?:www\.)?|www\.)(?:[\w-]{1,63}\.){0,4}?([\w-]{1,63})\.(?:co\.|com\.)?[a-z]{2,6}(?![\w-]|\.\w)",
    re.IGNORECASE,
)
_PUBLIC = frozenset((
    "gmail", "googlemail", "outlook", "hotmail", "yahoo", "gmx", "icloud", "web", "aol", "proton", "protonmail",
    "t-online", "orange", "wanadoo", "libero", "example",
))  # fmt: skip
"""Where anybody may have an address."""
_DEFINED = re.compile(
    r"\([^()]{0,40}?[\"“„'‚«]\s*(?:(?:the|der|die|le|la|el|il|lo|de|het)\s+|l['’])?(?P<label>[^()\"”“'‘»]{2,30}?)\s*[\"”“'‘»]"
    r"[^()]{0,30}\)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(
    r"^(?:de (?:una|otra) parte,?|d'une part,?|d'autre part,?|da una parte,?|dall'altra,?|einerseits,?"
    r"|andererseits,?)\s+"
    r"|^(?:der|die|dem|den|the|la société|la sociedad|la società|la empresa|le|la|les|l'|el|il|de)\s+",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"(?P<name>[^()]{3,200}?)\s*\((?:the\s|der\s|die\s|le\s|la\s|el\s|il\s|de\s)?(?P<label>[^\W\d]{4,20})\)"
)
"""`Bellandi S.r.l. (Vettore)`."""
_BEFORE = 260
"""Letters before a defined term in which its name and address stand."""
_BEGINNING = re.compile(
    r"(?:^|[\s,;:)])(?:between|and|zwischen|und|entre|et|by|tra|fra|tussen|(?:una|otra|altra"
    r"|part) ?(?:parte)?,?)\s+(?:\(\w\)\s*)?|[;:]\s+|\(\w\)\s*|\)\s*",
    re.IGNORECASE,
)
Named = tuple[str, str, Reading, int, float]
"""Field, name as printed, name, page, and how sure, 0 to 1."""
_NO_NAME = re.compile(r"\b(?:page|seite|invoice|rechnung|facture|factura|fattura|factuur|receipt)\b", re.IGNORECASE)
TOP = 12
"""Rows of the first page among which a letterhead stands."""


def candidates(kind: type[Paper], rows: Sequence[Sequence[Segment]], labelled: Sequence[Named] = ()) -> Iterator[Named]:
    """Each name that may be a party's.

    Args:
        kind: what the paper is.
        rows: the paper.
        labelled: the names that stand beside labels: who is labelled as the buyer does not sell.
    """
    parties = [(name, mark) for name, _, mark in marks(kind) if isinstance(mark, Party)]
    text = " ".join(segment.text for row in rows for segment in row)
    for name, mark in parties:
        yield from _defined(name, mark, text)
        yield from _roles(name, mark, rows)
    if any(name == "seller" for name, _ in parties):
        others = tuple({str(reading.value) for name, _, reading, _, score in labelled if name != "seller"})
        for said, reading, page, score in _letterhead(kind, rows, text, others):
            yield "seller", said, reading, page, score
    if [name for name, _ in parties][:2] == ["first_party", "second_party"]:
        yield from _between(text)


def ours(kind: type[Paper], rows: Sequence[Sequence[Segment]], own: str, labelled: Sequence[Named]) -> Iterator[Named]:
    """Our own name, alone on a line below the letterhead, is whom it is for: without a label, on most bills.

    Args:
        kind: what the paper is.
        rows: the paper.
        own: our own company's name.
        labelled: the names that stand beside labels.
    """
    buyer = next(
        (name for name, _, mark in marks(kind) if isinstance(mark, Party) and mark.labels and name == "buyer"), None
    )
    said = {str(reading.value) for name, _, reading, _, _ in labelled if name == buyer}
    if not own or buyer is None or any(not name.casefold().startswith(own.casefold()) for name in said):
        return
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            if not (number or place) or not cell.text.casefold().startswith(own.casefold()) or len(cell.text) > 90:
                continue
            if reading := read(Party(), re.split(r",\s|\s[-–]\s", cell.text)[0], Habits()):
                # Alone in its cell it is an address; with a legal form it is a name.
                name = str(reading.value)
                yield buyer, name, reading, cell.page, 0.86 if end_of_name(name) == len(name) else 0.6


def _defined(field: str, mark: Party, text: str) -> Iterator[Named]:
    """`Dockwell Ltd, of 1 Quay Street (the "Supplier")`: the first words of what is named so."""
    for match in _DEFINED.finditer(text):
        if match["label"].casefold() not in mark.labels:
            continue
        before = text[max(match.start() - _BEFORE, 0) : match.start()].rstrip(" ,")
        said = re.sub(r"^(?:and|und|et|y|e|en)\s+", "", _BEGINNING.split(before)[-1])
        said = _without_article(said)
        # Of what stands before it the name is the first; with a legal form, up to that: `Atalaya, S.L., de Madrid`.
        end = end_of_name(said[:80])
        if reading := read(mark, said[:end] if end else said.split(", ")[0], Habits()):
            # Where the sentence is another one than expected, it is a name that has a legal form, and it alone.
            yield field, str(reading.value), reading, 1, 0.95 if _is_name(str(reading.value)) else 0.6


def _roles(field: str, mark: Party, rows: Sequence[Sequence[Segment]]) -> Iterator[Named]:
    """`Autotrasporti Bellandi S.r.l. (Vettore)`: a name with its part behind it."""
    for row in rows:
        for cell in row:
            for match in _ROLE.finditer(cell.text[:400]):
                if match["label"].casefold() in mark.labels:
                    said = re.sub(
                        r"^(?:tra|fra|e|between|and|zwischen|und|entre|et|y|tussen|en)\s+", "", match["name"].strip()
                    )
                    end = end_of_name(said)
                    if end and (reading := read(mark, _without_article(said[:end]), Habits())):
                        yield field, str(reading.value), reading, cell.page, 0.9


def _without_article(said: str) -> str:
    said = re.sub(r"^\(?\w{1,2}[.)]\s+", "", said.strip(" ,:-"))  # `2. Blitz GmbH`
    return _ARTICLE.sub("", _ARTICLE.sub("", said)).lstrip(" .,:-")


def _is_name(said: str) -> bool:
    return end_of_name(said) > 0 and len(said.split()) <= 7 and ":" not in said and not _NO_NAME.search(said)


def _between(text: str) -> Iterator[Named]:
    """`between Dockwell Ltd and Northwind GmbH`: the first two names with a legal form."""
    match = re.search(r"\b(?:between|zwischen|entre|tussen|tra|fra)\b(.{5,600})", text, re.IGNORECASE)
    if not match:
        return
    names: list[str] = []
    for part in re.split(r"\s(?:and|und|et|y|e|en)\s|[;(]", match[1]):
        end = end_of_name(part)
        said = part[:end].rpartition(": ")[2]
        if end and (reading := read(Party(), _without_article(re.sub(r"^\w\)\s*", "", said.strip(" ,:"))), Habits())):
            names.append(str(reading.value))
    for field, name in zip(("first_party", "second_party"), dict.fromkeys(names), strict=False):
        yield field, name, Reading(name), 1, 0.75


def _again(text: str, name: str) -> int:
    """How many times more a name stands on a paper, at most 3."""
    at = -1
    for times in range(4):
        at = text.find(name, at + 1)
        if at < 0:
            return max(times - 1, 0)
    return 3


def _letterhead(
    kind: type[Paper], rows: Sequence[Sequence[Segment]], text: str, others: Sequence[str]
) -> Iterator[tuple[str, Reading, int, float]]:
    domains = Counter(
        match[1].casefold().replace("-", "") for match in _DOMAIN.finditer(text) if match[1].casefold() not in _PUBLIC
    )
    first = False
    for number, row in enumerate(rows):
        for place, segment in enumerate(row):
            is_short = len(segment.text) < 120 or LEGAL_FORM.search(segment.text[:60])
            reading = read(Party(), segment.text, Habits()) if is_short else None
            if reading is None or _NO_NAME.search(segment.text) or any(hit.start <= 2 for hit in hits(kind, segment)):
                continue
            if is_addressed(segment.text) or is_title(segment.text):
                continue
            name = str(reading.value)
            letters = re.sub(r"[\W_]", "", LEGAL_FORM.sub("", name)).casefold()
            if len(letters) < 3 or letters.isdigit() or name in others:
                continue
            form = end_of_name(name) > 0
            score = 0.0
            if letters in domains:
                score = 0.72 + (0.08 if form else 0) + 0.02 * _again(text, name)
            elif form and (number < TOP or number >= len(rows) - TOP):
                # The first name on a paper is its sender's; whoever it is for is not, where that is said.
                score = 0.5 + 0.03 * _again(text, name) + (0.1 if number < 2 else 0) + (0.1 if others else 0)
            elif not first and number < 4 and place == 0:
                score = 0.55
            first = first or place == 0
            if score:
                yield name, reading, segment.page, score
