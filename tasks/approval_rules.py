"""A rule that says which of the waiting actions are meant: `kind = hubspot.add_note and confidence >= 0.9`.

Conditions, joined by `and`. What is not known of an action (a model that gave no confidence, an action that moves no
money) meets no condition about it. A high-impact action is matched only by a rule that names its kind.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from blocks.money import to_minor
from tasks.actions import KINDS, Impact
from tasks.actions.base import Money
from tasks.approvals import ApprovalError

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
WORDS = ("workflow", "kind", "impact", "to-domain", "person")
"""The fields that are compared as words: = and != and in (...)."""
NUMBERS = ("confidence", "age", "amount")
"""And those that are compared as numbers."""
TOKEN = re.compile(r"\s*(?:(?P<sign><=|>=|!=|=|<|>|\(|\)|,)|(?P<quoted>\"[^\"]*\"|'[^']*')|(?P<word>[^\s<>=!(),\"']+))")


class RuleError(ApprovalError):
    """A rule cannot be read; the message names the place in it."""


@dataclass(frozen=True)
class Facts:
    """What a rule can ask about one waiting action."""

    workflow: str
    kind: str
    impact: str
    confidence: float | None
    age: timedelta
    amount: Money | None
    domains: frozenset[str]
    """Of the people outside that it goes to."""
    person: str


@dataclass(frozen=True)
class Condition:
    """One part of a rule."""

    field: str
    sign: str
    """One of `ORDER`, or `in`."""
    value: Any
    """Of `in`: a tuple."""

    def holds(self, facts: Facts) -> bool:
        """Whether it is true of an action, and known to be."""
        if self.field == "amount":
            wanted: Money = self.value
            money = facts.amount
            return money is not None and money.currency == wanted.currency and self._compares(money.amount)
        if self.field == "to-domain":
            if self.sign == "!=":
                return bool(facts.domains) and self.value not in facts.domains
            allowed = set(self.value) if self.sign == "in" else {self.value}
            return bool(facts.domains) and facts.domains <= allowed
        found = getattr(facts, self.field)
        return found is not None and self._compares(found)

    def _compares(self, found: Any) -> bool:
        if self.sign == "in":
            return found in self.value
        wanted = self.value.amount if isinstance(self.value, Money) else self.value
        return ORDER[self.sign](found, wanted)


@dataclass(frozen=True)
class Rule:
    """All of its conditions must hold."""

    text: str
    conditions: Sequence[Condition]

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that it names."""
        named: set[str] = set()
        for condition in self.conditions:
            if condition.field == "kind" and condition.sign in ("=", "in"):
                named |= set(condition.value) if condition.sign == "in" else {condition.value}
        return frozenset(named)

    def meets(self, facts: Facts) -> bool:
        """Whether the conditions hold, whatever the impact."""
        return all(condition.holds(facts) for condition in self.conditions)

    def matches(self, facts: Facts) -> bool:
        """Whether an action is meant: a high-impact one never is unless its kind is named."""
        return self.meets(facts) and (facts.impact != Impact.HIGH or facts.kind in self.kinds)


def read(text: str) -> Rule:
    """The rule that is written there.

    Raises:
        RuleError: it cannot be read; the message names the place.
    """
    reader = _Reader(text)
    conditions = [reader.condition()]
    while not reader.at_end:
        reader.take_and()
        conditions.append(reader.condition())
    return Rule(text, conditions)


@dataclass(frozen=True)
class _Token:
    text: str
    at: int
    is_sign: bool


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._next = text, 0
        self._tokens = list(self._split())

    def _split(self) -> Iterator[_Token]:
        at = 0
        while self._text[at:].strip():
            match = TOKEN.match(self._text, at)
            if match is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._error(_Token(self._text[at:], at, False), "nothing can begin like this")
            name = match.lastgroup or ""
            text = match[name]
            yield _Token(text[1:-1] if name == "quoted" else text, match.start(name), name == "sign")
            at = match.end()

    @property
    def at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def take_and(self) -> None:
        token = self._take("and, or the end")
        if token.text.lower() != "and":
            raise self._error(token, "here comes and, or the end")
        if self.at_end:
            self._take("a condition after and")

    def condition(self) -> Condition:
        name = self._take(f"a field: {', '.join((*WORDS, *NUMBERS))}")
        field = name.text.lower()
        if field not in (*WORDS, *NUMBERS):
            raise self._error(name, f"there is no such field; there are {', '.join((*WORDS, *NUMBERS))}")
        sign = self._take(f"a sign after {field}: {' '.join(ORDER)} or in")
        known = ("=", "!=", "in") if field in WORDS else tuple(ORDER)
        if sign.text.lower() not in known:
            raise self._error(sign, f"{field} takes {', '.join(known)}")
        if sign.text.lower() == "in":
            return Condition(field, "in", self._list(field))
        return Condition(field, sign.text, self._value(field))

    def _list(self, field: str) -> tuple[Any, ...]:
        self._take_sign("(", "in takes a list: in (one, another)")
        found = [self._value(field)]
        while (token := self._take(", or )")).text == "," and token.is_sign:
            found.append(self._value(field))
        if token.text != ")":
            raise self._error(token, "here comes a comma or )")
        return tuple(found)

    def _take_sign(self, sign: str, why: str) -> None:
        token = self._take(sign)
        if token.text != sign:
            raise self._error(token, why)

    def _value(self, field: str) -> Any:
        token = self._take(f"a value for {field}")
        if token.is_sign:
            raise self._error(token, f"here comes a value for {field}")
        try:
            match field:
                case "confidence":
                    return _share(token.text)
                case "age":
                    return _duration(token.text)
                case "amount":
                    currency = self._take("a currency: amount < 50 eur")
                    return _money(token.text, currency.text)
                case "kind" if token.text not in KINDS:
                    raise ValueError(f"there is no such kind; there are {', '.join(sorted(KINDS))}")
                case "impact" if token.text.lower() not in set(Impact):
                    raise ValueError("an impact is low or high")
                case "kind" | "workflow":
                    return token.text
                case "to-domain":
                    return token.text.lower().lstrip("@")
                case _:
                    return token.text.lower()
        except ValueError as error:
            raise self._error(token, str(error)) from None

    def _take(self, wanted: str) -> _Token:
        if self.at_end:
            raise RuleError(f"the rule ends after character {len(self._text.rstrip())}, where {wanted} is missing")
        self._next += 1
        return self._tokens[self._next - 1]

    def _error(self, token: _Token, why: str) -> RuleError:
        return RuleError(f"the rule cannot be read at character {token.at + 1}, “{token.text[:40]}”: {why}")


def _share(text: str) -> float:
    number = text.removesuffix("%")
    if not re.fullmatch(r"\d+(\.\d+)?", number):
        raise ValueError("a confidence is a number from 0 to 1, or 90%")
    found = float(number) / (100 if text.endswith("%") else 1)
    if found > 1:
        raise ValueError("a confidence is a number from 0 to 1, or 90%")
    return found


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([mhdw])", text.lower())
    if match is None:
        raise ValueError("an age is written as 30m, 1h, 2d or 1w")
    return timedelta(**{UNITS[match[2]]: float(match[1])})


def _money(number: str, currency: str) -> Money:
    if not re.fullmatch(r"\d{1,12}(\.\d+)?", number) or not re.fullmatch(r"[A-Za-z]{3}", currency):
        raise ValueError("an amount is written with its currency: 50 eur")
    return Money(to_minor(Decimal(number), currency.lower()), currency.lower())
