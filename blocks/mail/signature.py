"""Where a letter ends and its signature begins. In doubt a line is letter: a lost request costs more than a
kept name.
"""

import re
from functools import cache

from mailparser_reply.constants import MAIL_LANGUAGES

from blocks.mail import words

MAX_LINES = 25  # below "-- "; more is a letter that uses dashes as a rule
CLOSING_LINES = 12  # below "Best regards,"
_DISCLAIMER = re.compile(rf"(?:.{{0,60}}\. )?\W{{0,9}}(?:{words.DISCLAIMERS})", re.IGNORECASE | re.DOTALL)


def mark_signature(lines: list[str], kinds: list[str], author: str) -> list[str]:
    """Kinds with signature lines changed from n to s, in each stretch of new text."""
    marked = list(kinds)
    names = {word for word in re.findall(r"\w{3,40}", author.lower())}
    start = 0
    for end in range(len(kinds) + 1):
        if end == len(kinds) or kinds[end] == "q":
            at = _signature_start(lines[start:end], names) if "n" in kinds[start:end] else None
            if at is not None:
                marked[start + at : end] = "s" * (end - start - at)
            start = end + 1
    return marked


def _signature_start(lines: list[str], names: set[str]) -> int | None:
    filled = [i for i, line in enumerate(lines) if line.strip()]
    delimiter = next((i for i in filled[-MAX_LINES:] if lines[i].strip() in {"--", "—", "__"}), None)
    if delimiter is not None:
        return delimiter
    starts = [start for start in (_disclaimer(lines, filled), _sent_from(lines, filled)) if start is not None]
    kept = [i for i in filled if i < min(starts)] if starts else filled
    found = (_closing(lines, kept), _named(lines, kept, names), min(starts, default=None))
    start = min((start for start in found if start is not None), default=None)
    nothing_above = all(_is_closing(lines[i]) for i in filled if start is not None and i < start)
    return None if nothing_above else start


def _disclaimer(lines: list[str], filled: list[int]) -> int | None:
    return next((i for i in filled[1:][-10:] if _DISCLAIMER.match(lines[i][:300])), None)


def _sent_from(lines: list[str], filled: list[int]) -> int | None:
    return next((i for i in filled[-3:] if len(lines[i]) <= 100 and _expressions()[1].match(lines[i])), None)


def _closing(lines: list[str], filled: list[int]) -> int | None:
    """The first "Best regards," near the end with nothing below it that reads like a sentence."""
    for position, i in enumerate(filled):
        if position and len(filled) - position <= CLOSING_LINES and _is_closing(lines[i]):
            below = [lines[j] for j in filled[position + 1 :]]
            if not any(map(_is_sentence, below)):
                return i
    return None


def _named(lines: list[str], filled: list[int], names: set[str]) -> int | None:
    """A last paragraph headed by the sender's own name, unless it answers a "you reach me at:" above it."""
    for position, i in enumerate(filled):
        if not position or len(filled) - position > CLOSING_LINES or lines[filled[position - 1]].endswith(":"):
            continue
        above = filled[position - 1]
        ruled = bool(re.fullmatch(r"\W{4,}", lines[above].strip()))
        said = re.findall(r"\w{1,40}", lines[i].lower()[:80])
        alone = i == filled[-1] and set(said) <= names
        named = (ruled or alone or above < i - 1) and 0 < len(said) <= 5 and bool(names & set(said))
        if named and not any(_is_sentence(lines[j]) for j in filled[position:]):
            return above if ruled and position > 1 else i
    return None


def _is_closing(line: str) -> bool:
    return len(line) <= 60 and bool(_expressions()[0].fullmatch(line.strip()))


def _is_sentence(line: str) -> bool:
    words = line.split()
    asks = "?" in line and "://" not in line
    return asks or len(line) > 160 or (len(words) >= 4 and line.rstrip().endswith((".", "!", ":", ",")))


@cache
def _expressions() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(a line that closes a letter, a line that a phone adds)"""
    languages = [table for name, table in MAIL_LANGUAGES.items() if name != "david"]
    closings = [closing.rstrip(",.，") for table in languages for closing in table.get("signatures", [])]
    closings.remove(r"/\w+")  # Swedish "/Anna", and any path
    sent_from = [table["sent_from"] for table in languages if table.get("sent_from")]
    closing = f"(?:{'|'.join([*closings, words.CLOSINGS])})"
    name = r"[\w.' -]{1,30}"
    return (
        re.compile(
            rf"\W{{0,3}}{closing}(?: (?:und|and|og|et|y|e|en|,) {closing})?(?:[,.!，。 ]{{0,3}}|[,!] {name})",
            re.IGNORECASE,
        ),
        re.compile(rf"\s*(?:{'|'.join([*sent_from, words.SENT_FROM])})", re.IGNORECASE),
    )
