"""What a model wrote never says where things go: recipients, links, addresses, numbers are the record's or the card's.

A stranger's e-mail may talk the model into anything; this is the code that looks at what came of it. Every regular
expression here takes time in proportion to its text, whatever is written into it.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

    from blocks.ledger import Record
    from tasks.actions import Action

SHOWN = 60
"""The most characters of a finding that a reason repeats."""

IDENTITY = re.compile(r"(?:^|_)(?:id|sender|reply_to|email|references)$")
"""The fields of a record that say who it is from and which thing it is: where an action may go."""

OWN = "own"
"""Where in a record's context code puts the ids and addresses of the objects that it has found to be the record's own:
{"customer_id": ..., "invoice_id": [...]}, by names that `IDENTITY` takes. Not deeper: what is nested is no id."""

FREE_MAIL = re.compile(
    r"(?:gmail|googlemail|outlook|hotmail|live|yahoo|icloud|me|aol|gmx|mail|protonmail|fastmail|zoho|hey|qq|163)\.com"
    r"|(?:outlook|hotmail|live|yahoo)\.(?:co\.)?[a-z]{2}|gmx\.(?:de|net|at|ch)|web\.de|t-online\.de|posteo\.(?:de|net)"
    r"|proton\.me|pm\.me|orange\.fr|laposte\.net|free\.fr|wanadoo\.fr|libero\.it|yandex\.(?:ru|com)|mail\.ru"
)
"""Domains under which everybody has an address: to allow one would allow everybody."""

RESERVED = frozenset({"example", "test", "invalid", "localhost", "local", "internal", "onion"})
"""Endings that the list of public suffixes leaves out and that still open something somewhere (RFC 2606, RFC 6762)."""


class Link(NamedTuple):
    """A link: the host it opens, and whatever else stands in it (user, port, path, query)."""

    host: str
    rest: str

    @property
    def bare(self) -> bool:
        """Whether it names a host and nothing else."""
        return self.rest in ("", "/")


@dataclass(frozen=True)
class Found:
    """What a text points to, in a form that can be compared."""

    links: tuple[Link, ...] = ()
    addresses: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    """Digits only: telephone numbers, accounts, cards."""
    codes: tuple[str, ...] = ()
    """Long runs of letters and digits: wallets, keys."""


NOTHING = Found()


def objection(action: Action, known: Known, allowed: tuple[str, ...]) -> str | None:
    """Why this action may not be done, or None.

    Args:
        action: as the flow wants it.
        known: what its record holds.
        allowed: the card's allow-list: domains, addresses and numbers of the company itself.
    """
    for target in action.targets():
        if target and target.casefold() not in known.own and target.casefold() not in allow_list(allowed).addresses:
            return f"it would go to {defanged(target)}, which the record does not come from"
    for text in action.texts():
        if foreign := first_foreign(text, known, allowed):
            return f"it {foreign}, which neither the record nor the card has"
    return None


def first_foreign(text: str, known: Known, allowed: tuple[str, ...]) -> str | None:
    """In words, the first thing that the text points to and that neither the record nor the card has, or None."""
    found = find(text)
    if found is NOTHING:
        return None
    ours = allow_list(allowed)
    for link in found.links:
        if not (ours.has_host(link.host) or known.has_link(link)):
            return f"links to {defanged(link.host if link.bare else ''.join(link))}"
    for address in found.addresses:
        if not (ours.has_address(address) or known.has_address(address)):
            return f"names the address {defanged(address)}"
    for number in found.numbers:
        if not (number in ours.numbers or known.has_number(number)):
            return f"gives the number {defanged(number)}"
    return next((f"holds the code {defanged(code)}" for code in found.codes if not known.has_code(code)), None)


def defanged(text: str) -> str:
    """So that no program makes a link of it wherever the reason is shown, and on one short line."""
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return "".join(c for c in cut if c.isprintable()).replace(".", "[.]").replace("://", "[://]")


# The record's own


class Known:
    """What a record holds, read only when an action points anywhere."""

    def __init__(self, record: Record) -> None:
        self._record = record

    @cached_property
    def own(self) -> frozenset[str]:
        """Whom and what the record itself comes from: its sender, its ids. Never taken from free text.

        So do the objects that code, and no model, has looked up for it and put under `OWN`.
        """
        looked_up = (self._record.context or {}).get(OWN) or {}
        own = {value.casefold() for value in (*_identities(self._record.payload), *_identities(looked_up))}
        return frozenset(own | {(self._record.external_id or "").casefold()} - {""})

    def has_link(self, link: Link) -> bool:
        """Whether the record holds this link, or a longer one that begins with it: what was cut off tells nothing."""
        if link.bare:
            return link.host in self._hosts
        return _begins_one(f"{link.host} {link.rest}", self._links)

    def has_address(self, address: str) -> bool:
        """Whether the record holds this address. Its sender's is looked at first: that spares reading the text."""
        return address in self.own or address in self._found.addresses

    def has_number(self, digits: str) -> bool:
        """Whether the record holds this number, or a longer one that begins or ends with it (a country code)."""
        return _begins_one(digits, self._numbers) or _begins_one(digits[::-1], self._numbers_reversed)

    def has_code(self, code: str) -> bool:
        """Whether the record holds this code, or a longer one that begins with it."""
        return _begins_one(code, self._codes)

    @cached_property
    def _found(self) -> Found:
        return find("\n".join(_strings([self._record.payload, self._record.context or {}])))

    @cached_property
    def _links(self) -> list[str]:
        return sorted(f"{link.host} {link.rest}" for link in self._found.links)

    @cached_property
    def _hosts(self) -> frozenset[str]:
        hosts = {link.host for link in self._found.links}
        hosts |= {address.rpartition("@")[2] for address in self._found.addresses}
        # Who writes from mail.northwind.example is of northwind.example.
        return frozenset(hosts | {parent for host in hosts if (parent := suffixes().privatesuffix(host))})

    @cached_property
    def _numbers(self) -> list[str]:
        return sorted(self._found.numbers)

    @cached_property
    def _numbers_reversed(self) -> list[str]:
        return sorted(number[::-1] for number in self._found.numbers)

    @cached_property
    def _codes(self) -> list[str]:
        return sorted(self._found.codes)


def _begins_one(start: str, sorted_texts: list[str]) -> bool:
    at = bisect_left(sorted_texts, start)
    return at < len(sorted_texts) and sorted_texts[at].startswith(start)


def _identities(payload: Mapping[str, Any]) -> Iterator[str]:
    for name, value in payload.items():
        if IDENTITY.search(name):
            yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)


# The card's own


@dataclass(frozen=True)
class AllowList:
    """A card's `allowed`, sorted out."""

    domains: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def has_host(self, host: str) -> bool:
        """Whether the host is one of the domains, or under one."""
        labels = host.rsplit(".", 6)  # no more: a host of a thousand labels is nobody's
        return any(".".join(labels[start:]) in self.domains for start in range(len(labels)))

    def has_address(self, address: str) -> bool:
        """Whether the address is on the list, or in one of its domains. A text may name it; nothing goes there."""
        return address in self.addresses or self.has_host(address.rpartition("@")[2])


@cache
def allow_list(entries: tuple[str, ...]) -> AllowList:
    """A card's entries, sorted out once."""
    numbers = frozenset(_digits(entry) for entry in entries if not re.search(r"[^\W\d_]", entry))
    addresses = frozenset(entry.casefold() for entry in entries if "@" in entry)
    domains = frozenset(e.casefold() for e in entries if "@" not in e and re.search(r"[^\W\d_]", e))
    return AllowList(domains, addresses, numbers)


def allowed_entry(entry: str) -> str:
    """An entry of a card's allow-list, checked: a domain, an e-mail address or a telephone number of the company.

    Raises:
        ValueError: it is none of these, or it would allow strangers too.
    """
    entry = entry.strip()
    if re.fullmatch(r"\+?[\d ()./-]{7,30}", entry) and len(_digits(entry)) >= 7:
        return entry
    local, at, domain = entry.casefold().rpartition("@")
    if at and re.fullmatch(r"[\w.+%'-]+", local) and _is_domain(domain):
        return entry
    if at or not _is_domain(domain) or not re.fullmatch(r"[\w.-]+", domain):
        raise ValueError(f"'{entry}' is no domain (dockwell.example), e-mail address or telephone number")
    if FREE_MAIL.fullmatch(domain) or not (suffixes().privatesuffix(domain) or domain.rpartition(".")[2] in RESERVED):
        raise ValueError(f"'{entry}' is shared by strangers: name your own addresses in it one by one")
    return entry


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


# Reading a text

# What people and programs write instead of a dot, an at-sign or a colon so that no filter sees the link.
DEFANGED = re.compile(
    r"\s{0,2}[\[({<]\s?(?:(?P<dot>dot|punkt|point|punto|\.)|(?P<at>at|arroba|@)|(?P<colon>:(?://)?)|(?P<slash>//?))"
    r"\s?[\])}>]\s{0,2}"
)
SPELLED = re.compile(r"(?<=\w)\s{1,3}dot\s{1,3}(?=(?:com|net|org|io|info|biz|co|xyz|app|dev|example)\b)")

LINK = re.compile(r":[/\\]{2,}+(?P<tail>[^\s<>\"`]++)")
# Browsers take `https:evil.example` too; the other schemes open a program, a call or a script instead of a host.
OPAQUE = re.compile(
    r"(?<![^\W_])(?P<scheme>h(?:tt|xx)ps?|ftp|mailto|tel|sms|callto|facetime|javascript|vbscript|data|file|skype|whatsapp|"
    r"bitcoin|ethereum|magnet|intent):[/\\]?(?P<tail>[^\s<>\"`/\\][^\s<>\"`]*+)"
)
ADDRESS = re.compile(r"(?<![\w.+%'-])(?P<local>[\w.+%'-]++)@(?P<host>[^\W_][\w-]{0,62}+(?:\.[^\W_][\w-]{0,62}+)++)")
DOTTED = re.compile(r"\.(?<=[\w-]\.)(?=[^\W_])")
DOMAIN = re.compile(
    r"(?<![^\W_])(?P<host>[^\W_][\w-]{0,62}+(?:\.[^\W_][\w-]{0,62}+)++)(?P<rest>(?::\d{1,5}(?!\d))?(?:[/?#\\][^\s<>\"`]*+)?)"
)
ADDRESS_V4 = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
# A call's or an account's digits, however they are grouped. Seven: a shorter number cannot be rung from elsewhere.
NUMBER = re.compile(r"\d(?:[ \t./()_·•-]{0,3}\d){6,39}+")
NO_NUMBER = re.compile(
    r"(?<![\d./-])(?:"
    r"(?:19|20)\d\d([-./])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"  # 2026-03-02
    r"|(?:0?[1-9]|[12]\d|3[01])([-./])\s?(?:0?[1-9]|[12]\d|3[01])\2\s?(?:(?:19|20)\d\d|\d\d)"  # 2.3.2026, 3/2/26
    r"|(?:19|20)\d\d\s?[-/]\s?(?:19|20)\d\d"  # 2025-2026
    r"|\d{1,2}[:.]\d\d(?:\s?-\s?|\s)\d{1,2}[:.]\d\d"  # 10.00-11.30
    r"|(?:[€$£]|eur|usd|gbp|chf)\s?\d{1,3}(?:[. ]\d{3}){1,6}"  # € 1.200.000
    r"|\d{1,3}(?:[. ]\d{3}){1,6}(?=(?:,\d\d)?\s?(?:[€$£]|eur|usd|gbp|chf))"  # 1.200.000 €
    r")(?![./-]?\d)"
)
CODE = re.compile(r"(?<![a-z0-9])(?=[a-z]*+\d)(?=\d*+[a-z])[a-z0-9]{25,}+")
TRAILING = ".,;:!?'*_)]}|~…“”‘’»"
# `Co.Ltd` and `10.am` end like domains and are none.
COMPANY_FORMS = frozenset({"co", "inc", "corp", "pte", "pvt", "pty", "ltd", "llc", "gmbh"})
UNITS = frozenset({"am", "pm", "cm", "kg", "mg", "ml"})


def find(text: str) -> Found:
    """Everything that a text points to. `NOTHING` itself when it points nowhere."""
    text = folded(text)
    links: list[Link] = []
    addresses: list[str] = []
    if ":" in text:
        text = LINK.sub(lambda m: _take(links, _link(m["tail"])), text)
        text = OPAQUE.sub(lambda m: _opaque(m, links, addresses), text)
    if "@" in text:
        text = ADDRESS.sub(lambda m: _take(addresses, _address(m["local"], m["host"])), text)
    if DOTTED.search(text):
        text = DOMAIN.sub(lambda m: _domain(m, links), text)
    codes: list[str] = []
    text = CODE.sub(lambda m: _take(codes, m[0]), text)
    numbers = _numbers(text)
    if not (links or addresses or numbers or codes):
        return NOTHING
    return Found(tuple(links), tuple(addresses), numbers, tuple(codes))


def folded(text: str) -> str:
    """The text as a program that looks for links would take it: no hidden characters, no look-alike signs, one case."""
    if not text.isascii():
        # Character by character: to normalise the whole takes quadratic time on a heap of accents.
        text = text.translate({ord(c): _fold(c) for c in set(text) if not c.isascii()})
    text = CONTROL.sub("", text.casefold())
    if "[" in text or "(" in text or "{" in text or "<" in text:
        text = DEFANGED.sub(_refanged, text)
    return SPELLED.sub(".", text) if " dot " in text else text


CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
HIDDEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
DOTS = "\u3002\uff61"
"""The full stops that browsers take for the dot in a host (UTS 46)."""
LONGEST_SIGN = 4
"""One Arabic ligature stands for 18 characters: a megabyte of it is not made eighteen."""
ACCENT = "\u02bd"
"""Stands for any combining accent: a letter, so that a host with one is seen whole and is no other host."""


@cache
def _fold(char: str) -> str | None:
    category = unicodedata.category(char)
    if category == "Cf" or HIDDEN.match(char):
        return None
    if char in DOTS:
        return "."
    if category == "Pd":
        return "-"
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    plain = unicodedata.normalize("NFKC", char).casefold()
    if len(plain) > LONGEST_SIGN:
        return char
    return "".join(ACCENT if unicodedata.category(c) in ("Mn", "Me", "Mc") else c for c in plain)


def _refanged(match: re.Match[str]) -> str:
    signs = {"dot": ".", "at": "@", "colon": match["colon"], "slash": match["slash"]}
    return str(signs[str(match.lastgroup)])


def _take(found: list[Any], thing: Any) -> str:
    """Keep it, and leave a gap where it stood, so that it is not read a second time."""
    found.append(thing)
    return " "


def _link(tail: str) -> Link:
    tail = tail.rstrip(TRAILING)
    authority, path = re.match(r"([^/?#\\]*)(.*)", tail, re.DOTALL).groups()  # type: ignore[union-attr]
    user, at, host = unquote(authority).rpartition("@")
    host, colon, port = host.partition(":") if not host.startswith("[") else (host, "", "")
    # `https://good.example\@evil.example`: which of the two is opened depends on the program, so it is kept whole.
    return Link(_host(host), f"{user}{at}{colon}{port}{path}")


def _host(host: str) -> str:
    return host.rstrip("._-").removeprefix("www.")


def _address(local: str, host: str) -> str:
    return local.strip("'._-") + "@" + host.rstrip("._-")


def _opaque(match: re.Match[str], links: list[Link], addresses: list[str]) -> str:
    scheme, tail = match["scheme"], match["tail"].rstrip(TRAILING)
    if scheme.startswith(("http", "hxxp", "ftp")):
        links.append(_link(tail))
    elif scheme == "mailto" and "?" not in tail:
        addresses += [one.strip() for one in unquote(tail).split(",")]
    elif scheme in ("tel", "sms", "callto", "facetime") and len(_digits(tail)) >= 7:
        return f" {tail}"  # read as the number that it is
    else:
        links.append(Link(f"{scheme}:", tail))
    return " "


def _domain(match: re.Match[str], links: list[Link]) -> str:
    host, rest = _host(match["host"]), match["rest"].rstrip(TRAILING)
    if match["host"].startswith("www.") or (_is_domain(host) and not _only_looks_like_one(host, rest)):
        links.append(Link(host, rest))
        return " "
    if rest.startswith((":", "/")) and ADDRESS_V4.fullmatch(host):
        links.append(Link(host, rest))
        return " "
    return match[0]


def _only_looks_like_one(host: str, rest: str) -> bool:
    name, _, ending = host.rpartition(".")
    if rest or not name:
        return False
    return ending in (COMPANY_FORMS if name in COMPANY_FORMS else UNITS if name.replace(".", "").isdigit() else ())


def _is_domain(host: str) -> bool:
    """Whether it ends in something under which names are registered."""
    name, _, ending = host.rpartition(".")
    return bool(name) and (ending in RESERVED or suffixes().is_public(ending))


def _numbers(text: str) -> tuple[str, ...]:
    if not NUMBER.search(text):
        return ()
    return tuple(_digits(match[0]) for match in NUMBER.finditer(NO_NUMBER.sub(" | ", text)))


@cache
def suffixes() -> PublicSuffixList:
    """Mozilla's list of the suffixes under which strangers register names, as the package ships it."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(accept_unknown=False)
