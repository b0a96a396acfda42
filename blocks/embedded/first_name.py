"""The first name of a sender, or nothing where it may not be a person's: a wrong name is worse than none."""

import re
from collections.abc import Mapping
from typing import Any

from blocks.embedded.inputs import text_of
from blocks.embedded.text import any_of

AFTER_NAME = re.compile(r"[(<|/]|\s(?:from|at|via|von|de chez)\s")
TITLE = any_of("dr", "mrs?", "ms", "miss", "mx", "prof", "sir", "herr", "frau", "mme", "sra?", "ing")
NOT_A_PERSON = any_of(
    "accounts?|accounting|admin|alerts?|automated|billing|bot|careers|contact|desk|events|finance|gate|goods|group|growth",
    "help|hello|helpdesk|hr|info|invoices?|it|jobs|mail|mailer|marketing|media|news|newsletter|no|noreply",
    "notifications?|office|online|orders?|partners?|payments?|postmaster|press|reception|reply|robot|sales",
    "security|server|services?|shop|store|studio|subsystem|success|support|system|team|the|undisclosed|updates?|web",
    "webmaster|website|weekly|ag|bv|co|company|corp|gmbh|inc|kg|limited|llc|ltd|sarl|sl",
)
FREE_MAIL = any_of(
    "gmail|googlemail|outlook|hotmail|live|yahoo|icloud|me|mac|aol|gmx|web|posteo|proton|protonmail|mail",
    "fastmail|orange|free|laposte|wanadoo|t-online|hey|zoho|yandex",
)


def first_name(inputs: Mapping[str, Any]) -> str:
    """The first name in `sender_name` if that is a person's; empty for `Acme Support` or an address."""
    name = AFTER_NAME.split(text_of(inputs, "sender_name").strip(" \"'"))[0]
    words = _name_words(name)
    if not words or NOT_A_PERSON.search(name) or _is_company(words, _domain_name(inputs)):
        return ""
    first = words[0]
    return first.title() if first.isupper() or first.islower() else first


def _name_words(name: str) -> list[str]:
    """The words of a name in spoken order, also of `Lee, Anna`; empty if they cannot be a person's."""
    last, comma, first = TITLE.sub("", name).partition(",")
    stripped = [word.strip('."') for word in (first if comma and first.strip() else last).split()]
    words = [word for word in stripped if word]
    letters = [_letters(word) for word in words]
    possible = 1 <= len(words) <= 4 and all(map(str.isalpha, letters)) and 2 <= len(letters[0]) <= 20
    return words if possible else []


def _letters(word: str) -> str:
    return re.sub(r"['’.-]", "", word)


def _is_company(words: list[str], domain: str) -> bool:
    company = domain.replace("-", "")
    return bool(company) and "".join(map(_letters, words)).casefold().startswith(company)


def _domain_name(inputs: Mapping[str, Any]) -> str:
    """`brennan-cold` of `declan@mail.brennan-cold.co.uk`; empty for free mail and without an address."""
    labels = text_of(inputs, "sender").rpartition("@")[2].strip(" >").casefold().split(".")[:-1]
    while len(labels) > 1 and labels[-1] in {"co", "com", "org", "net", "ac", "gov"}:
        labels.pop()
    name = labels[-1] if labels else ""
    return "" if FREE_MAIL.fullmatch(name) or not re.fullmatch(r"[\w-]{2,40}", name) else name
