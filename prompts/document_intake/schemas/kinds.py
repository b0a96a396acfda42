"""What can stand in a document's fields. Marks only: `blocks/extraction` reads them, a prompt tells them to a model.

A mark names the words that stand beside such a value on paper, in lower case and any language, the surest first: it is
by them that a value is found where no model reads.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Printed:
    """A field whose value stands on the paper."""

    labels: tuple[str, ...]
    told: ClassVar[str] = "as printed"
    """How a model is told to copy it."""
    pattern: ClassVar[str] = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]*$"
    """What a person may type for it."""
    example: ClassVar[str] = ""
    noun: ClassVar[str] = "text"
    """What such a value is, for people."""

    def __init__(self, *labels: str) -> None:
        """The words beside it."""
        object.__setattr__(self, "labels", labels)


class Code(Printed):
    """A number by which something is known: it holds a digit, and nothing is calculated with it."""

    noun = "number"


class Day(Printed):
    """A date."""

    noun = "date"
    pattern = r"^((19[89][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$"
    example = "2026-03-31"


class PastDay(Day):
    """A date on which something was done: issued, signed, paid. It does not lie far ahead."""


class Amount(Printed):
    """An amount of money."""

    noun = "amount"
    pattern = r"^(-?[0-9]{1,11}(\.[0-9]{1,4})?)?$"
    example = "1234.50"


class Currency(Printed):
    """What the amounts are in."""

    noun = "currency"
    told = "its code, sign or name, as printed"
    pattern = r"^([A-Z]{3})?$"
    example = "EUR"


class Count(Printed):
    """How many, or per cent."""

    noun = "number"
    pattern = r"^(-?[0-9]{1,9}(\.[0-9]{1,6})?)?$"
    example = "2"


class VatId(Printed):
    """The number by which a company pays VAT."""

    noun = "VAT number"
    pattern = r"^([A-Z]{2}[0-9A-Za-z+*]{2,13})?$"
    example = "DE123456789"


class Iban(Printed):
    """An international bank account number."""

    noun = "IBAN"
    pattern = r"^([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})?$"
    example = "DE75512108001245126199"


class Party(Printed):
    """A company or a person, by name alone."""

    noun = "name"


class Span(Printed):
    """A length of time: `3 months`, `14 Tage`."""

    noun = "length of time"
    pattern = r"^([0-9]{1,4} (day|week|month|year)s?)?$"
    example = "3 months"


class Words(Printed):
    """Words that are kept as they are printed."""


class Law(Words):
    """Whose law holds: a country, a state, or the law by name."""

    noun = "law"


class Means(Words):
    """By what something was paid: cash, or a card without its number."""

    noun = "means of payment"
