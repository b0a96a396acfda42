"""Masking: personal data out of one case, so that it can be kept and read by others. The same by the same throughout.

These are rules. They do not see a nickname, a place, or a story that only one person can have told: whoever takes a
case into the repository looks for those. What was masked once stays as it is when it is masked again.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from blocks.embedded.first_name import AFTER_NAME, NOT_A_PERSON, TITLE
from blocks.embedded.phrases import GREETING, SIGN_OFF
from tasks import output

FIRST_NAMES = (
    "Averin", "Brisel", "Corvan", "Delmy", "Elorin", "Fenrick", "Galmer", "Hestor", "Ilvane", "Joralyn", "Kelvane",
    "Lorimel",
)  # fmt: skip
LAST_NAMES = (
    "Ashmark", "Birchwold", "Coldmoor", "Dunmarsh", "Elderfen", "Fernholt", "Greyholm", "Hollenby", "Ivermere",
    "Kestleby", "Larkmoor", "Mossfield",
)  # fmt: skip
COMPANIES = (
    "Alderworks", "Birchline", "Cobaltry", "Dunelight", "Emberly", "Fennmark", "Glasswick", "Harrowmere",
)  # fmt: skip
"""Stand-ins that read like names, and that hardly anybody has: one that is met already stands for somebody."""

NOWHERE = "example.com"
ADDRESSES_NOWHERE = "192.0.2.1", "2001:db8::1"
"""The stand-ins for the hosts and IP addresses of others (RFC 2606, RFC 5737, RFC 3849)."""

STAND_IN = re.compile(r"person\d+")
"""What stands for the person in a masked address."""

LONG_NUMBER = 7
"""The digits from which on a number in a field is somebody's, and no amount or count."""

MOST_NAMES = 200
"""The most names that are looked for in one case: whoever sends more wants to keep us busy."""

PLURALS = {
    "address": "addresses", "name": "names", "company": "companies", "number": "numbers", "link": "links",
    "code": "codes",
}  # fmt: skip

NAME_FIELD = re.compile(
    r"(?:^|_)(?:(?:sender|full|display|customer|contact)_?name|(?P<first>first_?name|given_?name)"
    r"|(?P<last>last_?name|family_?name|surname))$",
    re.IGNORECASE,
)
COMPANY_FIELD = re.compile(r"(?:^|_)(?:company|organi[sz]ation|employer)(?:_?name)?$", re.IGNORECASE)
PHONE_FIELD = re.compile(r"(?:^|_)(?:phone|telephone|mobile\w*|fax|cell)(?:_?number)?$", re.IGNORECASE)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What stands where a name would, in greetings and sign-offs, and is none.
NO_NAMES = _words(
    """hi hello hey dear good morning afternoon evening day greetings hallo guten tag abend liebe lieber sehr geehrte
    geehrter geehrtes bonjour salut cher chère chers hola buenos buenas buen estimado estimada there all both team
    everyone everybody anyone folks guys again sir madam sirs mesdames messieurs zusammen damen herren herr frau und and
    or to whom it may concern concerns thanks thank you many kind best warm with regards wishes cheers sincerely yours
    truly faithfully so much advance in mit freundlichen freundliche viele beste grüße gruß grüßen vielen dank
    cordialement bien vous merci un cordial cordiales saludo saludos atentamente gracias i we my the please re urgent
    asap important confidential"""
)
# Never masked by themselves, though they stand in names; and what the stand-ins are made of.
PARTICLES = _words(
    """de van von der den del della di da do dos du el al la le les bin ibn the of from at via for to in my an so no on
    is it be we he me us or as by if go and und et y zu zum am im co ltd inc llc gmbh ag kg bv sa sarl srl plc corp jr
    example person com www http https mailto"""
)
# Names that are words, too, and words that stand in names of offices: masked only where they begin with a capital.
WORDS = _words(
    """will mark may june april august grace hope joy bill rich art rose faith dean grant frank jack drew guy ray sue
    pat rob chip dale penny summer autumn dawn eve ivy lily olive basil long short young brown white black green gray
    grey king price page cook baker carpenter field wood woods stone banks bell bond book brook case chase church cross
    english fair fox french gift hall hand hill house hunt key lake lane lock love low major marsh miles mills moon
    moss noble north paige park parks peace pike pool pope power rice rivers sharp small snow star street strong swift
    temple wall ward waters way weeks west wise wolf work max sky sunny happy lucky human resources managing director
    vendor network estate customer care service front desk digital solution solutions global international media agency
    south east group trade trading smart new first data cloud software systems consulting management director manager
    head sales office question quick request order invoice account thanks hello general business company private
    personal home parcel"""
)

_CAPITAL = r"[A-ZÀ-ÖØ-Þ](?:\.|[^\W\d_]*+(?:['’-][^\W\d_]++)*+(?!\w))"
WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
COMPANY_WORD = re.compile(r"(?=\d*[^\W\d_])[^\W_]+(?:[-'’&][^\W_]+)*")
TITLED = re.compile(
    rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herrn?|Frau|Mme|Monsieur|Madame|Sra?|Señora?)\.? ({_CAPITAL}(?: {_CAPITAL})?)"
)
INTRODUCED = re.compile(
    r"\b(?:(?i:my name(?: is|['’]s)|mein name ist|ich heiße|je m['’]appelle|me llamo|mi nombre es)"
    rf" ({_CAPITAL}(?: {_CAPITAL}){{0,2}})"
    rf"|(?:I am|I['’]m|[Tt]his is) ({_CAPITAL}(?: {_CAPITAL}){{0,2}}),? (?:from|at)\b)"
)
BEFORE_ADDRESS = re.compile(
    rf"(?<![^\W_])({_CAPITAL}(?:[ ,]{{1,2}}{_CAPITAL}){{0,3}})[\"']? ?[<(](?=mailto:|[^\s<>()@]+@)"
)
ONLY_WORDS = re.compile(r"(?:[^\W\d_]\.|[^\W\d_][^\W\d_'’-]*+)(?:[ ,]{1,2}(?:[^\W\d_]\.|[^\W\d_][^\W\d_'’-]*+))*+")
INFORMAL = re.compile(r"\s*(?:hi|hey|hello|hallo|hola|salut)\b", re.IGNORECASE)
# A web form's lines: `Name   Ann Berg`.
FORM_NAME = re.compile(
    r"^[ \t]*(?i:(?:your |full |first |last |contact )?name|vorname|nachname|nom|prénom|nombre|apellidos?)[ \t]*"
    rf"(?::|[ \t]{{2}})[ \t]*({_CAPITAL}(?: {_CAPITAL}){{0,3}})[ \t]*$",
    re.MULTILINE,
)
FORM_COMPANY = re.compile(
    r"^[ \t]*(?i:company|organi[sz]ation|firma|unternehmen|société|entreprise|empresa)(?i: name)?[ \t]*"
    r"(?::|[ \t]{2})[ \t]*(\S[^\n]{1,60})$",
    re.MULTILINE,
)
GREETED = re.compile(r"\s*([^\n,!.:;–—]{1,60})(?P<end>[\n,!.:;–—]|\Z)")

LINK = re.compile(rf"(?<![a-z0-9])(?P<scheme>[a-z][a-z0-9+.-]{{0,20}}+)?{output.LINK.pattern}", re.IGNORECASE)
OPAQUE = re.compile(output.OPAQUE.pattern, re.IGNORECASE)
CODE = re.compile(
    rf"{output.CODE.pattern}|(?<![^\W_])[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?![^\W_])", re.IGNORECASE
)
IP_V4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)")
IP_V6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)
IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d\d(?: ?[A-Z0-9]){11,30}(?![^\W_])", re.ASCII)
DEFANGED = re.compile(output.DEFANGED.pattern, re.IGNORECASE)
# Sums of money say what a text is about; so do dates and times, which `output` knows.
AMOUNT = re.compile(
    r"(?:[€$£]|\b(?:eur|usd|gbp|chf))\s?\d{1,7}(?![\d])|(?<!\d)\d{1,7}(?:[.,]\d\d)?\s?(?:[€$£]|(?:eur|usd|gbp|chf)\b)",
    re.IGNORECASE,
)
DATE = re.compile(output.NO_NUMBER.pattern, re.IGNORECASE)
RUN = re.compile(r"\d{5,}")
"""A customer's, an invoice's or an order's number."""

FILE_ENDINGS = frozenset({"zip", "mov", "md", "py", "sh", "rs", "pl"})
"""Names of files end in these more often than hosts do."""


def summary(counts: Mapping[str, int]) -> str:
    """What was masked, in words: `3 addresses, 2 names`."""
    return ", ".join(f"{n} {kind if n == 1 else PLURALS[kind]}" for kind, n in counts.items()) or "nothing"


class Mask:
    """Replaces the personal data of one case.

    Args:
        sources: everything that is known of the record (mappings, lists, texts): who is named in it is masked wherever
            the name occurs. A nested `company` is the sender's; one at the top is ours.
        own: how we call ourselves; never masked.
        allowed: the card's allow-list: domains, addresses and numbers of our own. Of an address in such a domain, only
            the person before the @ is masked.
    """

    def __init__(self, *sources: Any, own: Iterable[str] = (), allowed: tuple[str, ...] = ()) -> None:
        self._ours = output.allow_list(allowed)
        self._names = _Names((*own, *(domain.rpartition(".")[0] for domain in self._ours.domains)))
        self._addresses: dict[str, str] = {}
        self._replaced: dict[str, set[str]] = {}
        for source in sources:
            self._names.learn_fields(source)
        for text in (text for source in sources for text in _texts(source)):
            self._names.learn_from(text)
            for address in output.find(text).addresses:
                self._names.learn_address(address, ours=self._ours.has_host(address.rpartition("@")[2]))
        for text in (text for source in sources for text in _texts(source)):
            self._names.learn_short_forms(text)

    @property
    def counts(self) -> dict[str, int]:
        """How many different things of each kind have been replaced so far."""
        return {kind: len(self._replaced[kind]) for kind in PLURALS if kind in self._replaced}

    def apply(self, value: Any) -> Any:
        """The value, of JSON's types, without personal data."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._pointers(str(name)): self._field(str(name), inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.apply(inner) for inner in value]
        if isinstance(value, int) and len(digits := str(abs(value))) >= LONG_NUMBER:
            return self._took("number", digits, 10 ** (len(digits) - 1))
        return value

    def text(self, text: str) -> str:
        """The text without personal data; everything else stands as it stood."""
        text = unicodedata.normalize("NFC", text)
        masked = self._pointers(text)
        if self._points_elsewhere(masked):  # `ann (at) northwind (dot) example`
            masked = self._pointers(DEFANGED.sub(lambda match: output.folded(match[0]), text))
        if self._points_elsewhere(masked):  # hidden in other ways: then we read it as a filter does
            masked = self._pointers(output.folded(text))
        return self._names.pattern.sub(self._name, masked) if self._names.pattern else masked

    def _field(self, name: str, value: Any) -> Any:
        if PHONE_FIELD.search(name) and isinstance(value, str):
            return self._zeros(value)
        return self.apply(value)

    def _took(self, kind: str, original: str, stand_in: Any) -> Any:
        """The stand-in, counted unless it is what stood there."""
        if original != str(stand_in):
            self._replaced.setdefault(kind, set()).add(original)
        return stand_in

    def _pointers(self, text: str) -> str:
        """Links, addresses, codes and numbers. Each rule leaves alone what those before it have put there."""
        if ":" in text:
            text = OPAQUE.sub(self._opaque, LINK.sub(self._link, text))
            text = IP_V6.sub(self._ip, text)
        if "@" in text:
            text = output.ADDRESS.sub(self._address, text)
        if "." in text:
            text = output.DOMAIN.sub(self._domain, IP_V4.sub(self._ip, text))
        text = CODE.sub(self._code, IBAN.sub(self._iban, text))
        return _outside(DATE, text, lambda part: _outside(AMOUNT, part, self._numbers))

    def _points_elsewhere(self, masked: str) -> bool:
        found = output.find(masked)
        hosts = {link.host for link in found.links if link.rest != NOWHERE and not (link.bare and _is_file(link.host))}
        return not all(map(self._is_stand_in, found.addresses)) or not all(map(self._may_be_named, hosts))

    def _is_stand_in(self, address: str) -> bool:
        """Whether an address says nothing of anybody: one of ours for everybody, or the mask of one."""
        local, _, host = address.rpartition("@")
        of_nobody = bool(STAND_IN.fullmatch(local) or NOT_A_PERSON.fullmatch(local))
        return address in self._ours.addresses or (of_nobody and self._may_be_named(host))

    def _may_be_named(self, host: str) -> bool:
        return host == NOWHERE or (self._ours.has_host(host) and re.fullmatch(r"[\w.-]+", host) is not None)

    def _host(self, host: str) -> str:
        bare = re.sub(r"^(?:www\.)+", "", host)
        return bare if self._may_be_named(bare) else str(self._took("link", host, NOWHERE))

    def _link(self, match: re.Match[str]) -> str:
        links = output.find(f"x://{match['tail']}").links
        return f"{match['scheme'] or ''}://{self._host(links[0].host if links else '')}{_trailing(match['tail'])}"

    def _opaque(self, match: re.Match[str]) -> str:
        scheme, tail = match["scheme"], match["tail"]
        if scheme.lower() in ("tel", "sms", "callto", "facetime"):
            return match[0]  # its digits are masked as the number that they are
        if scheme.lower() == "mailto":
            named = unquote(tail.partition("?")[0]).rstrip(output.TRAILING).split(",")
            return f"{scheme}:{','.join(self._addressee(one.strip()) for one in named)}{_trailing(tail)}"
        said = tail.rstrip(output.TRAILING)
        return f"{scheme}:{self._took('link', said, NOWHERE)}{_trailing(tail)}"

    def _addressee(self, said: str) -> str:
        """One of those whom a mailto: names, whether that is an address or not."""
        found = output.ADDRESS.fullmatch(said)
        return self._address(found) if found else self._person(said.casefold())

    def _address(self, match: re.Match[str]) -> str:
        local, host = match["local"].strip("'._-"), match["host"].rstrip("._-")
        address, domain = f"{local}@{host}".casefold(), host.casefold()
        if self._is_stand_in(address):
            return match[0]
        before = match["local"][: len(match["local"]) - len(match["local"].lstrip("'._-"))]
        stand_in = self._person(address, domain if self._may_be_named(domain) else NOWHERE)
        return f"{before}{stand_in}{match['host'][len(host) :]}"

    def _person(self, address: str, domain: str = NOWHERE) -> str:
        """The same for the same address, numbered as they are met."""
        stand_in = self._addresses.setdefault(address, f"person{len(self._addresses) + 1}@{domain}")
        return str(self._took("address", address, stand_in))

    def _domain(self, match: re.Match[str]) -> str:
        links = output.find(match[0]).links
        if not links or (links[0].bare and _is_file(links[0].host)) or self._is_of_our_address(match):
            return match[0]
        return self._host(links[0].host) + _trailing(match[0])

    def _is_of_our_address(self, match: re.Match[str]) -> bool:
        """Whether this is the domain of an address that the card names, although not the domain itself."""
        end = match.start() + len(match["host"].rstrip("._-"))
        return match.string[:end].casefold().endswith(tuple(self._ours.addresses))

    def _ip(self, match: re.Match[str]) -> str:
        if not _is_ip(match[0]):
            return match[0]
        return str(self._took("address", match[0], ADDRESSES_NOWHERE[":" in match[0]]))

    def _iban(self, match: re.Match[str]) -> str:
        """The longest beginning that adds up: capitals and numbers may follow the account."""
        text = match[0]
        for end in range(len(text), 14, -1):
            if text[end - 1] != " " and _adds_up(text[:end].replace(" ", "")):
                letters = re.sub(r"[^\W\d_]", "X", text[2:end])
                return text[:2] + self._zeros(letters) + text[end:]
        return text

    def _code(self, match: re.Match[str]) -> str:
        masked = re.sub(r"[^\W_]", "x", match[0])
        return str(self._took("code", match[0].casefold(), masked))

    def _numbers(self, text: str) -> str:
        return RUN.sub(lambda m: self._zeros(m[0]), output.NUMBER.sub(lambda m: self._zeros(m[0]), text))

    def _zeros(self, number: str) -> str:
        digits = "".join(filter(str.isdecimal, number))
        if digits in self._ours.numbers:
            return number
        self._took("number", digits, "0" * len(digits))
        return re.sub(r"\d", "0", number)

    def _name(self, match: re.Match[str]) -> str:
        kind, stand_in = self._names.stand_in(match[0])
        return str(self._took(kind, _key(match[0]), stand_in))


class _Names:
    """The names of people and companies that one case knows, and what stands in for each.

    Args:
        own: how we call ourselves, and our domains: never anybody's name.
    """

    def __init__(self, own: Iterable[str]) -> None:
        self._never = PARTICLES | {_key(name) for name in (*FIRST_NAMES, *LAST_NAMES, *COMPANIES)}
        self._never |= {_key(part) for text in own for part in (text, *WORD.findall(text))}
        self._known: dict[str, tuple[str, str]] = {}
        self._patterns: dict[str, tuple[bool, int]] = {}
        self._domains: set[str] = set()

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """Every name as it may be written: people's before companies', and the longest first."""
        ordered = sorted(self._patterns, key=lambda one: self._patterns[one])
        return re.compile("|".join(ordered)) if ordered else None

    def stand_in(self, found: str) -> tuple[str, str]:
        """The kind of a name that the pattern has found, and what to write for it, in the same case."""
        kind, name = self._known.get(_key(found), ("name", LAST_NAMES[-1]))  # signs that only look like the name's
        return kind, name.upper() if found.isupper() else name.lower() if found.islower() else name

    def learn_fields(self, source: Any, *, nested: bool = False) -> None:
        """Whom the fields of a record name, by what the fields are called."""
        if isinstance(source, (list, tuple)):
            for inner in source:
                self.learn_fields(inner, nested=True)
        if not isinstance(source, Mapping):
            return
        for name, value in source.items():
            if not isinstance(value, str):
                self.learn_fields(value, nested=True)
            elif found := NAME_FIELD.search(str(name)):
                self._learn_person(value, family=bool(found["last"]))
            elif name == "name" and "email" in source:  # not an attachment's
                self._learn_person(value)
            elif nested and COMPANY_FIELD.search(str(name)):
                self._learn_company(value)

    def learn_from(self, text: str) -> None:
        """Whom a text names where only a name can stand."""
        for name in _named_in(text):
            self._learn_person(name)
        for match in FORM_COMPANY.finditer(text):
            self._learn_company(match[1])

    def learn_address(self, address: str, *, ours: bool) -> None:
        """Whom `ann.berg@northwind.example` names, and which company."""
        local, _, domain = address.rpartition("@")
        parts = re.split(r"[._-]", local)
        if len(parts) > 1 and all(map(str.isalpha, parts)) and not NOT_A_PERSON.search(" ".join(parts)):
            for position, part in enumerate(parts):
                if part not in WORDS:
                    self._learn(part, "name", LAST_NAMES if position else FIRST_NAMES, at_least=3)
        if not ours and not output.FREE_MAIL.fullmatch(domain):
            name = _registered_name(domain)
            self._learn_company(name)
            self._domains.add(_key(name))

    def learn_short_forms(self, text: str) -> None:
        """How people call the company of `kestrelhome.example`: `Kestrel`."""
        for word in WORD.findall(text) if self._domains else ():
            key = _key(word)
            whole = next((one for one in self._domains if len(key) >= 5 and one.startswith(key)), None)
            if whole and _is_capital(word):
                self._learn(word, "company", COMPANIES, at_least=5, like=whole, any_case=False)

    def _learn_person(self, name: str, *, family: bool = False) -> None:
        """A name's words, and what may stand behind it: `Ann Berg from Northwind`, `Northwind Support`."""
        person, *behind = AFTER_NAME.split(name, maxsplit=1)
        if NOT_A_PERSON.search(person):
            self._learn_company(person)
            for word in WORD.findall(person):
                self._learn_company(word, any_case=False)
            person = ""
        for position, word in enumerate(WORD.findall(TITLE.sub(" ", person))):
            pool = LAST_NAMES if family or position else FIRST_NAMES
            self._learn(word, "name", pool, at_least=2)
            for part in re.split(r"[-'’]", word):
                self._learn(part, "name", pool, at_least=3)
        for company in behind:
            self._learn_company(company)

    def _learn_company(self, name: str, *, any_case: bool = True) -> None:
        """A company's full name, and the first word of it, by which people call it."""
        words = [word for word in COMPANY_WORD.findall(name) if _key(word) not in PARTICLES]
        if "@" in name or all(map(NOT_A_PERSON.fullmatch, words)) or set(map(_key, words)) & self._never:
            return
        if not NOT_A_PERSON.fullmatch(words[0]) and _key(words[0]) not in WORDS:
            # By itself, the first of several words may be anything: `Prime Logistics`.
            self._learn(words[0], "company", COMPANIES, at_least=3, any_case=any_case and len(words) == 1)
            self._look_apart(words[0])
        if len(words) > 1:
            self._learn(" ".join(words), "company", COMPANIES, at_least=3, like=words[0])

    def _look_apart(self, name: str) -> None:
        """What is one word in an address is often several in a text: `brightsmile`, `Bright Smile`."""
        key = _key(name)
        if len(key) >= 6 and self._known.get(key, ("",))[0] == "company":
            self._patterns[_whole(f"(?i:{'[ _-]?'.join(map(re.escape, key))})")] = (True, -len(key))

    def _learn(
        self, name: str, kind: str, pool: Sequence[str], *, at_least: int, like: str = "", any_case: bool = True
    ) -> None:
        """Look for this from now on, unless it is too short; with the stand-in of `like`, if that is known already."""
        key = _key(name)
        if len(key) < at_least or key in self._never or key in self._known or len(self._known) >= MOST_NAMES:
            return
        taken = len({stand_in for _, stand_in in self._known.values() if stand_in in pool})
        known = self._known.get(_key(like), (kind, pool[taken % len(pool)]))
        any_case = any_case and len(key) > 2 and key not in WORDS
        for spelling in dict.fromkeys((name, _unaccented(name), _spelt_out(name))):
            self._known.setdefault(_key(spelling), known)
            self._patterns[_spelling(spelling, any_case=any_case)] = (kind == "company", -len(spelling))


# Names in a text


def _named_in(text: str) -> Iterator[str]:
    """Who is greeted, signs, is given a title, or stands before an address."""
    yield from _greeted(text)
    yield from _signed(text)
    for match in TITLED.finditer(text):
        yield match[1]
    for match in INTRODUCED.finditer(text):
        yield match[1] or match[2]
    for match in FORM_NAME.finditer(text):
        yield match[1]
    for match in BEFORE_ADDRESS.finditer(text) if "@" in text else ():
        yield " ".join(_people(WORD.findall(match[1])))


def _greeted(text: str) -> Iterator[str]:
    """`Hi Ann and Tom,` but not `Hello can you help`: up to a comma or the line's end, and no sentence."""
    line = GREETED.match(text) if GREETING.match(text) else None
    if line and not any(map(str.isdigit, line[1])):
        words = [word for word in WORD.findall(line[1]) if word.casefold() not in NO_NAMES]
        capitals = all(map(_is_capital, words))
        if (capitals and len(words) <= 4) or (len(words) == 1 and line["end"] == "," and INFORMAL.match(text)):
            yield from _people(words)


def _signed(text: str) -> Iterator[str]:
    """The name behind `Best regards`, on its line or on the next; and one that ends a letter without any such line."""
    for match in SIGN_OFF.finditer(text):
        if not any(map(str.isdigit, match[0])):
            yield from _people(filter(_is_capital, WORD.findall(match[0])))
        yield from _signature(text[match.end() :].lstrip().split("\n")[0], lower_case=True)
    *letter, last = re.split(r"\n\s*\n", text.strip())
    for line in last.split("\n")[:2] if letter else ():
        yield from _signature(line, lower_case=False)


def _signature(line: str, *, lower_case: bool) -> Iterator[str]:
    """Whom a line names that holds nothing but a name: up to four words with capitals, or a single one without."""
    line = line.strip(" ,–—-")
    words = WORD.findall(line)
    if not ONLY_WORDS.fullmatch(line) or len(words) > 4 or (line.isupper() and len(words) > 1):
        return
    capitals = all(map(_is_capital, words))
    if NOT_A_PERSON.search(line) and capitals:
        yield line
    elif capitals or (lower_case and len(words) == 1):
        yield from _people(words)


def _is_capital(word: str) -> bool:
    """Whether it may be a name by how it begins; not every script has capitals."""
    return unicodedata.category(word[0]) in ("Lu", "Lt", "Lo")


def _people(words: Iterable[str]) -> Iterator[str]:
    return (word for word in words if word.casefold() not in NO_NAMES and not NOT_A_PERSON.fullmatch(word))


def _registered_name(domain: str) -> str:
    """`brennan-cold` of `mail.brennan-cold.co.uk`; nothing for a name that stands for nobody."""
    registered = output.suffixes().privatesuffix(domain) or ".".join(domain.split(".")[-2:])
    name = str(registered).partition(".")[0]
    return "" if NOT_A_PERSON.fullmatch(name) else name


# Spelling


def _key(text: str) -> str:
    """What two spellings of a name have in common: letters and digits, without case and accents."""
    return re.sub(r"[\W_]+", "", _unaccented(text).casefold())


def _unaccented(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def _spelt_out(text: str) -> str:
    """As in addresses: `Mueller`."""
    return re.sub(r"[äöüÄÖÜ]", lambda m: f"{_unaccented(m[0])}e", unicodedata.normalize("NFC", text))


def _spelling(name: str, *, any_case: bool) -> str:
    """The pattern of a name as a whole word; scripts that set no words apart are found anywhere."""
    spellings = [name] if any_case else [name[:1].upper() + name[1:], name.upper()]
    joined = "|".join(re.escape(one).replace("’", "'").replace("'", "['’]") for one in spellings)
    pattern = joined.replace(r"\-", r"[-\s]?").replace(r"\ ", r"[\s_.-]+")
    pattern = f"(?i:{pattern})" if any_case else f"(?:{pattern})"
    return pattern if any(unicodedata.east_asian_width(char) in "WF" for char in name) else _whole(pattern)


def _whole(pattern: str) -> str:
    return rf"(?<![^\W_]){pattern}(?![^\W_])"


# Small questions


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield unicodedata.normalize("NFC", value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def _outside(kept: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """The text, changed everywhere but where `kept` matches."""
    parts, at = [], 0
    for match in kept.finditer(text):
        parts += [change(text[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, change(text[at:])])


def _trailing(text: str) -> str:
    """The punctuation of the sentence that a link ends."""
    return text[len(text.rstrip(output.TRAILING)) :]


def _is_file(host: str) -> bool:
    name, _, ending = host.rpartition(".")
    return ending in FILE_ENDINGS and "." not in name


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _adds_up(iban: str) -> bool:
    """ISO 7064, mod 97: a word in capitals hardly ever does."""
    turned = iban[4:] + iban[:4]
    return len(iban) >= 15 and int("".join(str(int(char, 36)) for char in turned)) % 97 == 1
