"""The new text of a mail, apart from the history under it and the signature below it.

What each language calls "wrote:" and how it closes a letter comes from mail-parser-reply. Its own `read` is
not used: measured, it takes quadratic time on one long "On ..." line, takes a list for a signature and
everything below "Thank you, ..." too, and in Polish one line "Data: ..." for a header. So its expressions
are asked about a few short lines at a time, and rules that need the lines around them are here.
"""

import re
from dataclasses import dataclass
from functools import cache

from mailparser_reply.constants import MAIL_LANGUAGES

from blocks.mail import words
from blocks.mail.html_text import CUT, SIGNED
from blocks.mail.signature import mark_signature

MAX_ATTRIBUTIONS = 200  # times the library's expressions are asked, each about at most 3 lines
MAX_ATTRIBUTION = 300  # characters
SHORT_COMMENT = 1_000  # characters above a forward that still count as a covering note

_LABEL = re.compile(
    r"[>\s*|]{0,20}(?:"
    + "|".join(f"(?P<{name}>{label})" for name, label in words.LABELS.items())
    + r")[\s*]{0,4}[:：]",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(rf"\s{{0,9}}[-_]{{3,60}}\s?(?:{words.ORIGINAL})\s?[-_]{{3,60}}\s{{0,9}}", re.IGNORECASE)
_FORWARDED = re.compile(
    rf"\s{{0,9}}(?:[-_=]{{4,60}}\s?(?:{words.FORWARDED})[^\n]{{0,40}}[-_=]{{4,60}}|(?:{words.FORWARD_OPENINGS}):)\s{{0,9}}",
    re.IGNORECASE,
)
_FORWARD_SUBJECT = re.compile(rf"\s*(?:{words.FORWARD_PREFIXES})\s?[:：]", re.IGNORECASE)
_RULE = re.compile(r"\s*[_-]{20,}\s*")
_DATED = re.compile(r"\d|@")


@dataclass(frozen=True)
class Split:
    text: str
    quoted: str
    signature: str


def split(body: str, subject: str, author: str = "") -> Split:
    """`author`: the words of the sender's name, which often start a signature."""
    lines = [line.rstrip() for line in body.split("\n")]
    at = _forward_start(lines, forward=bool(_FORWARD_SUBJECT.match(subject)))
    if at is None:
        return _parts(lines, _kinds(lines, author))
    note = _parts(lines[:at], _kinds(lines[:at], author))
    forwarded = _tidy([line for line in lines[at:] if line != CUT])
    if len(note.text) > SHORT_COMMENT:
        return Split(note.text, "\n\n".join(filter(None, (note.quoted, forwarded))), note.signature)
    return Split("\n\n".join(filter(None, (note.text, forwarded))), note.quoted, note.signature)


def _forward_start(lines: list[str], *, forward: bool) -> int | None:
    """Where a forwarded mail begins. Outlook marks it as it marks history: there only the subject tells."""
    for i, line in enumerate(lines):
        if _FORWARDED.fullmatch(line[:200]):
            return i
        if _ends_new_text(lines, i) or _quoted(line):
            return i if forward else None
    return None


def _kinds(lines: list[str], author: str) -> list[str]:
    """One letter a line: n for new, q for history, s for signature."""
    kinds = ["n"] * len(lines)
    asked = 0
    for i, line in enumerate(lines):
        if _ends_new_text(lines, i):
            kinds[i:] = "q" * (len(lines) - i)
            break
        if _quoted(line):
            kinds[i] = "q"
        elif line.startswith(SIGNED):
            kinds[i] = "s"
        elif line.endswith((":", "：")) and kinds[i] == "n":
            start = _attribution_start(lines, i, ask=asked < MAX_ATTRIBUTIONS)
            asked += 1
            if start is None:
                continue
            if not _quote_follows(lines, i):
                kinds[start:] = "q" * (len(lines) - start)
                break
            kinds[start : i + 1] = "q" * (i + 1 - start)
    return mark_signature(lines, kinds, author)


def _quoted(line: str) -> bool:
    return line.startswith(">") and not line.startswith(">From ")  # mailbox files escape a line "From " so


def _ends_new_text(lines: list[str], i: int) -> bool:
    """Everything from here down is the mail that was answered."""
    line = lines[i]
    if line == CUT or (len(line) < 200 and _ORIGINAL.fullmatch(line)):
        return True
    if len(line) < 200 and _RULE.fullmatch(line):
        following = next((j for j in range(i + 1, min(i + 4, len(lines))) if lines[j].strip()), None)
        return following is not None and _is_header_block(lines, following)
    return _is_header_block(lines, i)


def _is_header_block(lines: list[str], i: int) -> bool:
    """At least a sender, a subject and one of date and recipient: "From: Rome, To: Paris" is an order for a
    ticket.
    """
    if not _LABEL.match(lines[i][:200]) or _quoted(lines[i]):
        return False
    found: set[str] = set()
    for line in lines[i : i + 9]:
        if match := _LABEL.match(line[:200]):
            found.update(name for name, found_word in match.groupdict().items() if found_word)
    return {"from", "subject"} <= found and bool(found & {"sent", "to"})


def _quote_follows(lines: list[str], i: int) -> bool:
    following = (line for line in lines[i + 1 : i + 5] if line.strip())
    return _quoted(next(following, ""))


def _attribution_start(lines: list[str], i: int, *, ask: bool) -> int | None:
    """First line of an "On Monday, Ann wrote:" that ends on line i and may be broken over three."""
    for start in range(max(i - 2, 0), i + 1):
        window = lines[start : i + 1]
        text = "\n".join(line.strip() for line in window)
        if all(window) and len(text) <= MAX_ATTRIBUTION and _DATED.search(text) and ask and _wrote(text):
            return start
    if not _quote_follows(lines, i) or not (len(lines[i]) <= MAX_ATTRIBUTION):
        return None
    # A quote follows, so it is one in any language; if its own line has no date, that is on the line before.
    if re.search(r"\d\d", lines[i]):
        return i
    above = lines[i - 1] if i else ""
    return i - 1 if re.search(r"\d\d", above) and not _quoted(above) else i if "@" in lines[i] else None


_MORE_WROTE = re.compile(
    rf"[-\s>]{{0,9}}(?:(?:{words.WROTE_OPENINGS})\s|\d).{{0,250}}(?:{words.WROTE}).{{0,80}}[:：]"
    r"|.{0,40}\d{4}.{0,100}\s(?:от|from)\s.{0,100}<[^<>]{3,100}>:",
    re.IGNORECASE | re.DOTALL,
)


def _wrote(text: str) -> bool:
    match = _library().match(text)
    return bool(match and match.end() == len(text)) or bool(_MORE_WROTE.fullmatch(text))


@cache
def _library() -> re.Pattern[str]:
    headers = (table["wrote_header"] for table in MAIL_LANGUAGES.values() if "wrote_header" in table)
    return re.compile("|".join(headers), re.MULTILINE | re.IGNORECASE)


def _parts(lines: list[str], kinds: list[str]) -> Split:
    def those(kind: str) -> str:
        return _tidy([line for line, found in zip(lines, kinds, strict=True) if found == kind and line != CUT])

    return Split(text=those("n"), quoted=those("q"), signature=those("s"))


def _tidy(lines: list[str]) -> str:
    bare = (line.removeprefix(SIGNED).removeprefix(">" if line.startswith(">From ") else "") for line in lines)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(bare)).strip()
