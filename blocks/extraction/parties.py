"""Who a paper is from, where no label says so: the name that its letterhead, its addresses and its end agree on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

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
    r"\([^()]{0,40}?[\"“„'‚«]\s*(?:(?:the|der|die|le|la|el|il|lo|de|het)\s+"
    r"|l['’])?(?P<label>[^()\"”“'‘»]{2,30}?)\s*[\"”“'‘»]"
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
_NAMED_SO = re.compile(
    r"\b(?:hierna(?: te noemen)?|hereinafter|nachfolgend|nachstehend|im folgenden|ci-après|en adelante|in appresso"
    r"|di seguito)\b"
    r"[^\"“„«]{0,40}[\"“„«]\s*(?:(?:the|der|die|le|la|el|il|lo|de|het)\s+|l['’])?(?P<label>[^\"”“»]{2,30}?)\s*[\"”“»]",
    re.IGNORECASE,
)
"""`hierna te noemen "opdrachtnemer"`, without a bracket."""
_BEGINNING = re.compile(
    r"(?:^|[\s,;:)])(?:(?:between|and|zwischen|und|entre|et|by|tra|fra|tussen|(?:una|otra|altra"
    r"|part) ?(?:parte)?,?)\s+)+(?:\(\w\)\s*)?|[;:]\s+|\(\w\)\s*|\)\s*|(?<!\S)\d{1,2}[.)]\s+(?=[^\W\d])",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(
    r"^(?:w\.?\s?g\.|gez\.?(?=\s)|/?\s?[sS]/|p\.\s?p\.|ppa\.?|i\.\s?[AV]\.|_{3,}|x_{3,})", re.IGNORECASE
)
"""What stands before the name of somebody who signs, and is no party."""
_LEADS_TO_ONE = re.compile(
    r"^(?:between|by|and|zwischen|entre|tussen|tra|fra|et|und|y|in|im|signed|for|für|pour|voor|per|namens|attn|re"
    r"|subject|betreff)\b",
    re.IGNORECASE,
)
_IN_NO_NAME = re.compile(
    r"\b(?:is|are|was|has|have|hereinafter|hereby|represented|registered|dénommée?|ci-après|dont|siège|capital"
    r"|vertreten"
    r"|nachfolgend|ist|wird|gevestigd|hierna|rappresentat[ao]|representad[ao]|domiciliad[ao]|thank|thanks|please"
    r"|dear|within"
    r"|bitte|merci|gracias|grazie|bedankt|page|seite)\b",
    re.IGNORECASE,
)
_NUMBER_ASIDE = re.compile(r"\([\d ]{3,9}\)")
"""The postcode in `à Nantes (44000)`, which ends no name."""
MOST_WORDS = 9
"""Of a name."""
Named = tuple[str, str, Reading, int, float]
"""Field, name as printed, name, page, and how sure, 0 to 1."""
_NO_NAME = re.compile(r"\b(?:page|seite|invoice|rechnung|facture|factura|fattura|factuur|receipt)\b", re.IGNORECASE)
TOP = 12
"""Rows of the first page among which a letterhead stands."""
FIRST = 3
"""Rows among which it begins, where it is taken for one with no doubt."""
SIGNED = 0.86
"""How sure the name on a letterhead is that a second sign agrees with, and nothing speaks against."""
ADDRESSEE = 0.6
"""Of the name above an address to which nothing says whose it is."""
BLOCK = 6
"""Rows of an address."""
_REGISTERED = re.compile(
    r"\b(?:V\.?A\.?T|USt|UID|MWST|TVA|BTW|P\. ?IVA|Partita IVA|C\.? ?I\.? ?F|N\.?I\.?F|ABN|ACN|GST|EIN|KvK|SIRET"
    r"|SIREN|RCS|HRB|HRA"
    r"|Company (?:No|number|reg)|Reg(?:istered|istration)? (?:No|number)|Steuer-?[Nn]r|St\.-Nr)\b"
    r"[^\d\n]{0,30}(?!\d{1,7}[.,]\d{2}(?!\d)|\d{1,3}\s?%)\d[\dA-Z ./-]{5,}"
    r"|\bCHE-?\d{3}|\b(?:Handelsregister|Amtsgericht|Registered in|Registered office|Geschäftsführer(?:in)?|GF:"
    r"|Vorstand:)",
    re.IGNORECASE,
)
"""What only stands beside the name of whom a paper is from."""
_HOLDER = re.compile(
    r"(?:account (?:name|holder)|payable to|in favou?r of|beneficiary|kontoinhaber(?:in)?|empfänger|titulaire"
    r"|beneficiario"
    r"|intestat[oa] a|ten name van|t\.n\.v\.)\W{1,5}$",
    re.IGNORECASE,
)
_OF_ANOTHER = re.compile(
    r"\b(?:customer|client|buyer|your|kunden?|ihre|acheteur|votre|klant|uw|cliente|su|vostra)\b", re.IGNORECASE
)
_POSTCODE = re.compile(
    r"(?<![\w-])(?:\d{4,5}(?: [A-Z]{2})? [^\W\d]|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b|[A-Z]{2} \d{5}\b"
    r"|[A-Z]\d[A-Z] \d[A-Z]\d\b)"
)
_SALUTATION = re.compile(
    r"(?:herrn?|frau|firma|mr|mrs|ms|m\.|mme|an|an die|to|aan|à|a|de heer|mevrouw)\W*", re.IGNORECASE
)


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


def is_plain(name: str) -> bool:
    """Whether it has the shape of a name, and is no piece of a sentence and nobody's signature."""
    pairs = all(name.count(one) == name.count(other) for one, other in ("()", "«»", "“”", "[]"))
    return (
        pairs
        and name.count('"') % 2 == 0
        and not re.search(r"[:;«»=]|\.\.\.", name)
        and len(name.split()) <= MOST_WORDS
        and not _LEADS_TO_ONE.match(name)
        and not _IN_NO_NAME.search(name)
        and not is_signature(name)
    )


def is_signature(name: str) -> bool:
    """Whether it is somebody who signs: `w.g. R. Koelink`."""
    return bool(_SIGNATURE.match(name.strip()))


def _defined(field: str, mark: Party, text: str) -> Iterator[Named]:
    """`Dockwell Ltd, of 1 Quay Street (the "Supplier")`: the first words of what is named so."""
    last = 0
    for match in sorted([*_DEFINED.finditer(text), *_NAMED_SO.finditer(text)], key=lambda one: one.start()):
        begin, last = max(match.start() - _BEFORE, last), match.end()
        if match["label"].casefold() not in mark.labels:
            continue
        before = _NUMBER_ASIDE.sub(" ", text[begin : match.start()]).strip(" ,;(-–")
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
        said = _last_name(said)
        if end and (reading := read(Party(), _without_article(re.sub(r"^\w\)\s*", "", said.strip(" ,:"))), Habits())):
            names.append(str(reading.value))
    for field, name in zip(("first_party", "second_party"), dict.fromkeys(names), strict=False):
        yield field, name, Reading(name), 1, 0.75


def _last_name(said: str) -> str:
    """`RCS Nantes 794 561 209, Kerbihan SAS`: a name goes on before a comma only as `Weiss, Kern & Co. KG` does."""
    *before, name = re.split(r",\s+|\)\s*,?\s*", said)
    if before and LEGAL_FORM.match(name):
        name = f"{before.pop()}, {name}"
    while before and re.fullmatch(r"(?:[A-ZÄÖÜÉ][\w'’-]*\s?){1,2}", before[-1]) and "." not in before[-1]:
        name = f"{before.pop()}, {name}"
    return name


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
            reading = _as_a_name(kind, segment)
            if reading is None:
                continue
            name = str(reading.value)
            letters = _bare(name)
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
            if not first and number < FIRST and is_plain(name) and _agrees(rows, number, place, name, domains):
                score = max(score, SIGNED)
            first = first or place == 0
            if score:
                yield name, reading, segment.page, score


def _as_a_name(kind: type[Paper], segment: Segment) -> Reading | None:
    """What a cell says, if that may be somebody's name."""
    is_short = len(segment.text) < 120 or LEGAL_FORM.search(segment.text[:60])
    reading = read(Party(), segment.text, Habits()) if is_short else None
    if reading is None or _NO_NAME.search(segment.text) or any(hit.start <= 2 for hit in hits(kind, segment)):
        return None
    return None if is_addressed(segment.text) or is_title(segment.text) else reading


def _bare(name: str) -> str:
    return _squeezed(LEGAL_FORM.sub("", name))


def _agrees(rows: Sequence[Sequence[Segment]], number: int, place: int, name: str, domains: Collection[str]) -> bool:
    """Whether a second sign says that a name on the letterhead is the sender's, and no other name has such a sign.

    Signs are a number of the tax office or of a register in its block, or beside the name again further down; an
    account in its name; an address in the net that is called so.
    """
    bare = _bare(name)
    mine = _block(rows, number, place)
    agreed = any(_is_of(domain, name) for domain in domains)
    for y, row in enumerate(rows):
        said = " ".join(cell.text for cell in row)
        registered = bool(_REGISTERED.search(said)) and not _OF_ANOTHER.search(said)
        in_block = any((y, x) in mine for x in range(len(row)))
        if registered and in_block:
            registered = any((y, x) in mine and _REGISTERED.search(cell.text) for x, cell in enumerate(row))
            agreed = agreed or registered
        for x, cell in enumerate(row):
            if (y, x) == (number, place):
                continue
            at = _squeezed(cell.text).find(bare)
            before = cell.text[: cell.text.casefold().find(name.split()[0].casefold())] if at >= 0 else ""
            if at >= 0 and (registered or _HOLDER.search(before) or (x and _HOLDER.search(f"{row[x - 1].text}: "))):
                agreed = True
            # Another name where the register stands is the firm behind the sign: a person says which one it is.
            end = end_of_name(cell.text[:120]) if registered and (in_block or y >= len(rows) - TOP) else 0
            if end and at < 0 and len(_bare(cell.text[:end])) > 2 and not _is_bank(cell.text[:end]):
                return False
    return agreed


_BANK = re.compile(r"(?:bank|sparkasse|banque|banco|banca|caixa|crédit)", re.IGNORECASE)


def _is_bank(name: str) -> bool:
    return bool(_BANK.search(name))


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def _is_of(domain: str, name: str) -> bool:
    """Whether a domain is called after somebody: `aubertintraduction` after Camille Aubertin."""
    bare = _bare(name)
    if min(len(domain), len(bare)) >= 5 and (domain.startswith(bare) or bare.startswith(domain)):
        return True
    words = [word.casefold() for word in re.findall(r"[^\W\d_]{6,}", LEGAL_FORM.sub("", name))]
    return any(domain.startswith(word) for word in words)


def _block(rows: Sequence[Sequence[Segment]], number: int, place: int) -> set[tuple[int, int]]:
    """The cells that stand under one another from this one on, without an empty line between, and right of it."""
    begin = rows[number][place]
    found = {(number, x) for x in range(place, len(rows[number]))}
    line = begin.line
    for y in range(number + 1, min(number + BLOCK, len(rows))):
        row = rows[y]
        if row[0].page != begin.page or row[0].line - line > len(row[0].rows):
            break
        line = row[0].line
        found |= {(y, x) for x, cell in enumerate(row) if abs(cell.left - begin.left) <= 12 or (x and not place)}
    return found


def addressee(kind: type[Paper], rows: Sequence[Sequence[Segment]], sellers: Collection[str]) -> Iterator[Named]:
    """The name above an address without any label, below the letterhead: whom a letter is to, to be asked about.

    Args:
        kind: what the paper is.
        rows: the paper.
        sellers: the names that may be the sender's.
    """
    own = {_bare(name) for name in sellers}
    for number, row in enumerate(rows[: 2 * TOP]):
        if not number:
            continue
        for cell in row:
            column = _under(rows, number, cell)
            if not any(_POSTCODE.search(one.text) for one in column[1:]):
                continue
            if _SALUTATION.fullmatch(cell.text) and len(column) > 2:
                column = column[1:]
            reading = _as_a_name(kind, column[0])
            name = str(reading.value) if reading else ""
            is_one = bool(name) and is_plain(name) and not re.search(r"\d", name) and _bare(name) not in own
            if reading and is_one and not any(hits(kind, one) for one in column):
                yield "buyer", name, reading, cell.page, ADDRESSEE
                return


def _under(rows: Sequence[Sequence[Segment]], number: int, first: Segment) -> list[Segment]:
    """A cell with those that begin under it, if nothing stands directly above it."""
    above = rows[number - 1]
    if first.line - above[0].line == 1 and any(abs(cell.left - first.left) <= 2 for cell in above):
        return [first]
    found = [first]
    for row in rows[number + 1 : number + BLOCK]:
        under = next((cell for cell in row if abs(cell.left - first.left) <= 2), None)
        if under is None or under.line - found[-1].line != 1:
            break
        found.append(under)
    return found
