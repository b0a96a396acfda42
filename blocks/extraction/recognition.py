"""What kind of paper it is: by what it calls itself, by the labels that it has, and by what it says that it is not.

Each of these speaks for or against a kind by its weight below; together they are a probability. What a paper tells
whoever reads it, such as how it is to be classified, is no evidence at all: such a paragraph is left out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from blocks.documents.sheet import from_text
from blocks.extraction.labels import COMPOUND, PARTICLES, Segment, every, segments, unspaced
from blocks.extraction.values import LEGAL_FORM, Habits, find
from prompts.document_intake.schemas import OTHER, Paper, mark_of, schemas
from prompts.document_intake.schemas.kinds import Amount, Day
from prompts.document_intake.schemas.others import OTHER_TITLES

TITLE, LABELS, SIGNS, DENIED, PROMISED, LACKING, OUTRIGHT = 5.0, 2.2, 0.6, 6.0, 1.5, 2.5, -1.0
"""What speaks for a kind: its title, the labels of all that it needs, each of its signs; and against it: that it is not
one, that one will follow, and that it has no amount or no date. All in log-odds; every kind begins at the last."""
OTHER_TITLE, UNKNOWN, LETTER = 5.5, 1.0, 1.6
"""What speaks for another paper: the title of one, that most papers of the world are others, and a salutation."""
REFERRED = 0.6
"""How much is left of another paper's title in a label: papers refer to orders, quotes and delivery notes."""
MOST_SIGNS = 3
SURE_OF_OTHER = 0.8
"""Less sure than this that it is another paper, the likeliest kind is told: a person sees it, and can reject it."""
CERTAIN = 0.99
"""Nothing is surer than this by rules."""
ALONE, HEADED, BEGUN, LABELLED, SAID = 1.0, 0.75, 0.6, 0.4, 0.1
"""How much of a title it is that stands alone in its cell, with one word more, at the beginning of a line, as part of a
label (`Invoice number:`), or in a text."""
LATER = 0.6
"""How much is left of a title after that of another kind."""
TOP_ROWS, MOST_ROWS, LAST_ROWS, READ_ROWS = 15, 100, 12, 400
"""Among the first a paper says what it is, titles below are worth half; the last rows of it; of how many the labels are
looked at."""
NOT, NOT_FOR_TAX, FOLLOWS = "not", "not for tax", "follows"
"""What is said of a title: that the paper is not one, is not one for the tax office, or that one will follow."""
_ADDRESSED = re.compile(
    r"(?:\b(?:to|dear|hello|attention|notice to|note to|remark for|message to|hinweis an|an|à|para|voor"
    r"|per)\s+(?:\w+\s+){0,2}?"
    r"(?:assistant|assistants|assistenten?|language models?|sprachmodelle?|llms?|ai|ki|ia|chatgpt|claude|bots?"
    r"|chatbots?"
    r"|automat\w+ (?:readers?|systems?)|modèles? de langage|asistentes?|modelos? de lenguaje|modello linguistico)\b"
    r"|\bai (?:readers?|models?|systems?|agents?)\b"
    r"|\b(?:treat|classify|regard|consider|label|record|register|book) (?:this|it|the) ?(?:page|document|file"
    r"|paper|letter|e-?mail|text)?"
    r"\s?as\b"
    r"|\b(?:ignore|disregard|forget) (?:all |any |the |your |every )*(?:previous |prior |above "
    r"|earlier )*(?:instructions?|rules|prompts?)\b"
    r"|\bsystem (?:prompt|message|notice|override)\b"
    r"|\b(?:behandle|behandeln sie|klassifiziere|klassifizieren sie) (?:diese|dieses|die|das)\b"
    r"|\b(?:traitez?|classez?) (?:cette|ce|le|la) (?:page|document|papier)\b"
    r"|\b(?:trata|trate|clasifica|clasifique) (?:esta|este) (?:página|documento)\b)",
    re.IGNORECASE,
)
"""What is written to a machine that reads."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NUMBERS = frozenset(
    {"no", "nr", "n", "num", "number", "numero", "nummer", "ref", "id", "date", "datum", "data", "fecha"}
)
_LINKS = frozenset(
    {
        "of",
        "de",
        "d",
        "di",
        "del",
        "du",
        "des",
        "der",
        "van",
        "über",
        "uber",
        "for",
        "für",
        "fur",
        "from",
        "vom",
        "dated",
    }
)
_NUMBERED = re.compile(
    r"\s*(?:n[r°º]?\.?|no\.?|№|#)\s*:?\s*\S{0,30}\d\S{0,30}(?:\s+(?:du|vom|del|of|dated|van)\s[^:]{4,30})?$",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"^(?:dear\b|sehr geehrte|liebe[rs]? |madame|monsieur|cher |chère |estimad[oa]|muy señor|geachte|beste "
    r"|gentile |egregi"
    r"|spettabile |kind regards|best regards|yours (?:faithfully|sincerely)|mit freundlichen|cordialement|atentamente"
    r"|met vriendelijke|cordiali saluti|distinti saluti)",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"(?:\b(?:is|are) not|\bnot|\bno|\bkeine?|\bkeinerlei|n['’]est pas|\bpas|\bno es|\bnon è|\bnon e|\bis geen"
    r"|\bgeen)\s+"
    r"(?:(?:an?|the|une?|la|le|el|eine?|valid|vat|tax|official|proper|gültige|fiscal|fiscale|een)\s+){0,3}$",
    re.IGNORECASE,
)
_FOR_TAX = re.compile(r"\b(?:vat|tax|fiscale?)\s", re.IGNORECASE)
_A_NUMBER = re.compile(r"(?=\S*\d)[\w./-]{3,30}")
_WILL = re.compile(
    r"^[^.:;]{0,40}?\b(?:will (?:be|follow)|shall be|follows|folgt|erhalten sie|wird|suivra|sera|seguirá"
    r"|se emitirá|seguirà"
    r"|verrà|volgt|sturen wij)\b|^\s+(?:erhalten sie|ontvangt u)\b",
    re.IGNORECASE,
)
_WAIT = re.compile(
    r"(?:erhalten sie|bekommen sie|you will (?:receive|get)|vous recevrez|ontvangt u|recibirá|riceverà)[^.:;]{0,30}$"
    r"|(?:on|auf|sur|en|op|sulla|in) (?:your|all|ihrer|votre|su|uw|vostra) $",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Recognition:
    """How likely a paper is of each kind."""

    probabilities: Mapping[str, float]
    """By the kind's name, and `OTHER`; they add up to 1."""

    @property
    def name(self) -> str:
        """The likeliest kind; `OTHER` only if that is sure."""
        return likeliest(self.probabilities)

    @property
    def confidence(self) -> float:
        """How likely it is of that kind, 0 to 1."""
        return self.probabilities[self.name]


def likeliest(probabilities: Mapping[str, float]) -> str:
    """The likeliest kind; `OTHER` only if that is sure, as nobody looks at what is another paper."""
    if probabilities[OTHER] >= SURE_OF_OTHER:
        return OTHER
    return max((name for name in probabilities if name != OTHER), key=lambda name: probabilities[name])


@lru_cache(maxsize=64)
def recognition(text: str) -> Recognition:
    """How likely a text that `Sheet.text` laid out is of each kind."""
    return _likely(scores(text))


def scores(text: str) -> dict[str, float]:
    """What speaks for each kind, and for `OTHER`, in log-odds."""
    rows = [[cell for cell in row if not is_addressed(cell.text)] for row in segments(from_text(text))[:READ_ROWS]]
    rows = [row for row in rows if row]
    titles, denied, promised = _titles_of(rows)
    letter = any(_LETTER.match(cell.text) for row in rows for cell in row)
    # Who says what his paper is not, says that it is another.
    title = max(titles.get(OTHER, 0.0), ALONE / 2 if denied else 0.0)
    found = {OTHER: UNKNOWN + LETTER * letter + OTHER_TITLE * title}
    words = _all_words(rows)
    amount, day = _has(rows, Amount()), _has(rows, Day())
    for name, kind in schemas().items():
        score = OUTRIGHT + TITLE * titles.get(name, 0.0) + LABELS * _labelled(kind, rows)
        score += SIGNS * min(MOST_SIGNS, sum(sign in words for sign in _signs(kind)))
        score -= DENIED * (name in denied) + PROMISED * (name in promised)
        score -= LACKING * (not amount and _needs(kind, Amount)) + LACKING / 2 * (not day and _needs(kind, Day))
        found[name] = score
    return found


def _likely(found: Mapping[str, float]) -> Recognition:
    most = max(found.values())
    odds = {name: math.exp(score - most) for name, score in found.items()}
    total = sum(odds.values())
    rest = (1 - CERTAIN) / (len(odds) - 1)
    spread = CERTAIN - rest
    return Recognition({name: rest + spread * one / total for name, one in odds.items()})


def _titles_of(rows: Sequence[Sequence[Segment]]) -> tuple[dict[str, float], set[str], set[str]]:
    """How much of a title each kind has, and `OTHER`, 0 to 1; which it says that it is not; and which will follow."""
    best: dict[str, float] = {}
    denied: set[str] = set()
    promised: set[str] = set()
    first: tuple[str, int, int] | None = None
    for number, row in enumerate(rows):
        if MOST_ROWS <= number < len(rows) - LAST_ROWS:
            continue
        columns = len(row) > 2
        for place, cell in enumerate(row):
            # `RECHNUNG   Kunde   30118` begins with a title; `Beleg   VR-0931` is a label, if it is not written as one.
            large = not place and cell.text.isupper()
            numbered = len(row) == 2 and not place and bool(_A_NUMBER.fullmatch(row[1].text))
            for owner, strength, says in _said(cell.text):
                if says:
                    # Of what a paper is not for the tax a footnote speaks, too: that is no more than a doubt.
                    is_none = says == NOT or (says == NOT_FOR_TAX and number < TOP_ROWS)
                    (denied if is_none else promised).add(owner)
                    continue
                worth = strength * ((1 - 0.01 * number) if number < TOP_ROWS else 0.5)
                worth = min(worth, LABELLED) if (columns or numbered) and not large else worth
                if first is not None and first[0] != owner and first[1:] != (number, place):
                    worth *= LATER
                if owner == OTHER and (strength == LABELLED or columns):
                    worth *= REFERRED
                best[owner] = max(best.get(owner, 0.0), worth)
                if first is None and strength >= HEADED and not columns:
                    first = owner, number, place
    return best, denied, promised


@lru_cache(maxsize=4_000)
def _said(text: str) -> tuple[tuple[str, float, str], ...]:
    """The titles in a cell: whose, how much of a title it is, and whether it is one of what is not or comes later."""
    text = re.sub(
        r"^(?:subject|betreff|objet|asunto|oggetto|onderwerp|re)\s*:\s*", "", unspaced(text), flags=re.IGNORECASE
    )
    words = [(folded(match[0]), match.start(), match.end()) for match in _WORD.finditer(text[:1_000])]
    known, longest = _titles()
    found: list[tuple[str, float, str]] = []
    ends: list[tuple[int, str]] = []
    at = 0
    while at < len(words):
        for count in range(min(longest, len(words) - at), 0, -1):
            said = " ".join(word for word, _, _ in words[at : at + count])
            owner = known.get(said) or (_head(said) if count == 1 else None)
            if owner:
                begin, end = words[at][1], words[at + count - 1][2]
                before, after = text[max(begin - 60, 0) : begin], text[end : end + 60]
                says = _negated(before, after)
                if ends and not says and not text[ends[-1][0] : begin].strip():
                    found.pop()  # `invoice reminder` is a reminder
                elif ends and not says and not _apart(text[ends[-1][0] : begin]):
                    at += count  # `Kündigung des Vertrags` is no contract
                    break
                found.append((owner, _strength(owner, text, words, at, at + count), says))
                ends.append((end, owner))
                at += count
                break
        else:
            at += 1
    return tuple(found)


def _negated(before: str, after: str) -> str:
    """Whether the words around a title say that the paper is not one, or that one follows."""
    if denied := _NOT.search(before):
        return NOT_FOR_TAX if _FOR_TAX.search(denied[0]) else NOT
    return FOLLOWS if _WILL.search(after) or _WAIT.search(before) else ""


def is_title(text: str) -> bool:
    """Whether a cell is what a paper calls itself."""
    return any(strength >= BEGUN for _, strength, _ in _said(text))


def is_addressed(text: str) -> bool:
    """Whether a paragraph is written to a machine that reads: nothing in it is about the paper."""
    return bool(_ADDRESSED.search(text))


def _apart(between: str) -> bool:
    """Whether two titles in one cell are two: `Rechnung / Bewirtungsbeleg`."""
    return bool(re.fullmatch(r"\s*[/|·•]\s*", between)) or len(between) > 60


def _strength(owner: str, text: str, words: Sequence[tuple[str, int, int]], at: int, end: int) -> float:
    if any(not re.match(r"[-/ ]?\d", text[form.end() :]) for form in LEGAL_FORM.finditer(text)):
        return SAID
    after = words[end:]
    rest = text[words[end - 1][2] :]
    plain = [word for word, _, _ in after if not any(map(str.isdigit, word)) and len(word) > 1]
    label = bool(after and after[0][0] in _NUMBERS)
    if at == 0 and (label or re.match(r"\s*[:#]", rest)):
        # `Rechnung Nr. 5` is a title, `Invoice number: 5` a label, `Reminder: your last invoice` one again.
        if _NUMBERED.match(rest):
            return HEADED
        named = not label and re.match(r"\s*:\s*[^\W\d]{3,}", rest)
        return (HEADED if owner == OTHER else BEGUN) if named else LABELLED
    others = [word for word in plain if word not in _LINKS and word not in _NUMBERS]
    linked = bool(plain) and plain[0] in _LINKS and len(words) <= 9
    if at == 0 or (at <= 4 and _is_heading(text[: words[at][1]])):
        if not others or (at == 0 and linked):
            return ALONE
        if len(others) == 1 and len(words) <= at + 5:
            return HEADED
    if at <= 1 and len(words) <= 9:
        return BEGUN
    return SAID


def _is_heading(before: str) -> bool:
    """`MUTUAL NON-DISCLOSURE`, `1.`, `Your`, before a title: a few words, each of which begins large."""
    return not re.search(r"[,;:.]\s+\S", before) and all(
        word[0].isupper() or word[0].isdigit() or word in ("and", "di", "de", "für") for word in _WORD.findall(before)
    )


def _labelled(kind: type[Paper], rows: Sequence[Sequence[Segment]]) -> float:
    """How many of the fields that it needs have a label, 0 to 1; with half of that for all the others."""
    known = {name for _, _, hits in every(kind, list(map(list, rows))) for hit in hits for name, _ in hit.fields}
    needed = set(kind.needed)
    if not needed:
        return min(1.0, len(known) / 4)
    others = min(1.0, len(known - needed) / 4)
    return len(known & needed) / len(needed) * (0.7 + 0.3 * others)


def _has(rows: Sequence[Sequence[Segment]], mark: Amount | Day) -> bool:
    return any(not spot.reading.weak for row in rows for cell in row for spot in find(mark, cell.text, Habits()))


@cache
def _needs(kind: type[Paper], mark: type[Amount | Day]) -> bool:
    return any(isinstance(mark_of(kind, name), mark) for name in kind.needed)


def _all_words(rows: Sequence[Sequence[Segment]]) -> frozenset[str]:
    """All words, and each two and three that follow one another."""
    found: set[str] = set()
    for row in rows:
        for cell in row:
            words = [folded(word) for word in _WORD.findall(cell.text)]
            found.update(words)
            found.update(map(" ".join, pairwise(words)))
            found.update(map(" ".join, zip(words, words[1:], words[2:], strict=False)))
    return frozenset(found)


@cache
def _signs(kind: type[Paper]) -> tuple[str, ...]:
    return tuple(_joined(sign) for sign in kind.signs)


@cache
def _titles() -> tuple[dict[str, str], int]:
    """Whose each title is; and how many words the longest has."""
    found = {_joined(title): OTHER for title in OTHER_TITLES}
    found |= {_joined(title): name for name, kind in schemas().items() for title in kind.titles}
    found |= {f"{title}s": owner for title, owner in found.items() if title[-1:] != "s" and f"{title}s" not in found}
    return found, max(len(title.split()) for title in found)


@lru_cache(maxsize=20_000)
def _head(word: str) -> str | None:
    """Whose paper a long word is the name of, by its end: `gebührenrechnung` is a bill."""
    known, _ = _titles()
    for start in range(3, len(word) - COMPOUND + 1):
        if word[start:] in known:
            return None if word[:start].endswith(PARTICLES) else known[word[start:]]
    return None


def _joined(title: str) -> str:
    return " ".join(folded(word) for word in _WORD.findall(title))


_LOOKS = str.maketrans({"0": "o", "1": "i", "l": "i", "|": "i", "5": "s"})


@lru_cache(maxsize=50_000)
def folded(word: str) -> str:
    """A word as it looks: without accents, `0` as `o`, `l` and `1` as `i`. Numbers stay as they are."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(char))
    return plain.translate(_LOOKS) if any(map(str.isalpha, plain)) else plain
