"""What of a vendor's reply is read, and what happens when it no longer has that shape.

Each block describes the replies that it reads as `Part`s and reads them through a `Shape`. A field that was renamed,
left out or retyped is then a `SchemaDrift` that names it, at the block's edge: not a KeyError further in, and not a
silent None that a prompt or a decision would take for "unknown".

It is about shape. Whether a value makes sense is Great Expectations' business.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from typing_extensions import is_typeddict

from blocks.vendor import VendorError

ALIKE = 0.6
"""How alike two names are (0 to 1) of which one may be the other's new name."""

MOST_KEYS = 12
"""Keys of a reply that are worth telling; a reply could have thousands."""

LONGEST_KEY = 40


class SchemaDrift(VendorError):
    """A vendor's reply is not what it was. Permanent: asking again brings the same.

    Args:
        vendor: the vendor's name, as in `blocks/`.
        operation: what was asked.
        object: what the reply is about, for example `contact`.
        field: the field's path within it, for example `firstname`.
        problem: what is wrong with the field, as the end of a sentence: `is missing from the reply`.
        expected: what the field should be, in words.
        came: what came instead, in words; never a value, which may be personal.
        keys: the keys that came beside it.
        new: those of them that were not known, the likeliest new name first.
        write: the call changed something; since its reply cannot be read, nobody knows whether it was done.
    """

    def __init__(
        self,
        vendor: str,
        operation: str,
        *,
        object: str,
        field: str,
        problem: str,
        expected: str,
        came: str,
        keys: Collection[str] = (),
        new: Collection[str] = (),
        write: bool = False,
    ) -> None:
        path = f"{object}.{field}" if field else object
        reason = f"{path} {problem}{_new_ones(new)}"
        super().__init__(vendor, operation, reason, permanent=True, unknown=write)
        self.args = (f"{vendor}: {self.reason}",)  # without the operation: the field is what there is to know
        self.object = object
        self.field = field
        self.expected = expected
        self.came = came
        self.keys = tuple(keys)
        self.new = tuple(new)

    @property
    def path(self) -> str:
        """The object and the field: `contact.firstname`."""
        return f"{self.object}.{self.field}" if self.field else self.object


class Part(BaseModel):
    """An object of a vendor's reply: the fields that are read. Others may come and go.

    Nothing is converted: a number for a text is drift. A field with a default is one that the vendor leaves out when it
    is empty; that it was renamed is seen by an unknown key in its place that holds the same kind of thing.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    known: ClassVar[frozenset[str]] = frozenset()
    """Fields that the vendor documents and we do not read: none of them is a new name."""

    @model_validator(mode="before")
    @classmethod
    def _not_renamed(cls, data: Any) -> Any:
        if isinstance(data, dict):
            absent = [(name, fits) for name, fits in _optional(cls) if name not in data]
            if absent and (name := _renamed(absent, data, cls)):
                raise PydanticCustomError("renamed", "renamed", {"field": name})
        return data


class CamelPart(Part):
    """A part of a vendor that writes `threadId` where we write `thread_id`."""

    model_config = ConfigDict(alias_generator=to_camel)


P = TypeVar("P", bound=Part)


class Shape(Generic[P]):
    """Reads one kind of reply. Build it once: pydantic compiles the check.

    Args:
        vendor: the vendor's name, as in `blocks/`.
        object: what a reply is about, in the vendor's words.
        kind: the fields.
        inside: a level that people do not name: HubSpot's contact.firstname stands in `properties`.
    """

    def __init__(self, vendor: str, object: str, kind: type[P], *, inside: str = "") -> None:
        self.vendor = vendor
        self.object = object
        self.kind = kind
        self.inside = inside

    def read(self, reply: object, operation: str, *, write: bool = False) -> P:
        """The reply, checked and typed.

        Raises:
            SchemaDrift: a field that is read is missing or of another kind; `unknown` after a write.
        """
        try:
            return self.kind.model_validate(reply)
        except ValidationError as error:
            first: Any = error.errors(include_url=False)[0]
        raise self._drift(first, reply, operation, write)

    def missing(self, field: str, operation: str) -> SchemaDrift:
        """The error for a field that a reply should have had, where only the caller could know."""
        return SchemaDrift(
            self.vendor, operation, object=self.object, field=field, problem="is missing from the reply",
            expected="a value", came="nothing",
        )  # fmt: skip

    def _drift(self, error: Mapping[str, Any], reply: object, operation: str, write: bool) -> SchemaDrift:
        place = error["loc"]
        if error["type"] == "renamed":
            place = (*place, error["ctx"]["field"])
        absent = error["type"] in ("missing", "renamed")
        around = _at(reply, place[:-1])
        new = _strangers(around, _names(self.kind), str(place[-1])) if absent and isinstance(around, dict) else []
        beside = [_short(key) for key in around] if isinstance(around, dict) else []
        expected = _expected(error)
        came = "nothing" if absent else kind_of(error["input"])
        return SchemaDrift(
            self.vendor,
            operation,
            object=self.object,
            field=self._readable(place),
            problem="is missing from the reply" if absent else _odd(came, expected),
            expected=expected,
            came=came,
            keys=list(dict.fromkeys([*new, *beside]))[:MOST_KEYS],  # the new ones, however many stand before them
            new=new,
            write=write,
        )

    def _readable(self, place: tuple[str | int, ...]) -> str:
        """The path of an error, without positions in lists: those differ from reply to reply."""
        named = [str(step) for step in place if isinstance(step, str)]
        if len(named) > 1 and named[0] == self.inside:
            named = named[1:]
        return ".".join(named)


def kind_of(value: object) -> str:
    """What sort of JSON value it is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text" if value else "an empty text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
    return type(value).__name__


def _from_text(expected: str, convert: Callable[[str], Any]) -> BeforeValidator:
    """For what travels as text and is something else: a text that cannot be converted is drift too."""

    def validate(value: object) -> Any:
        try:
            return convert(value) if isinstance(value, str) else _refuse(expected)
        except (ValueError, OverflowError, OSError):
            return _refuse(expected)

    return BeforeValidator(validate)


def _id_of(value: object) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    raise PydanticCustomError("not_converted", "not converted", {"expected": "an id"})


def _refuse(expected: str) -> Any:
    raise PydanticCustomError("not_converted", "not converted", {"expected": expected})


BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


def _decode(text: str) -> bytes:
    # Python's decoder passes over what is no base64, and insists on the padding that Gmail leaves out.
    if not BASE64.fullmatch(text):
        raise ValueError
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


Id = Annotated[str, StringConstraints(min_length=1)]
"""An id: a text that is not empty."""

AnyId = Annotated[str, BeforeValidator(_id_of)]
"""An id that is a text or, by a vendor's whim, a number."""

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]+$")]
"""A number that travels as text."""

Bytes = Annotated[bytes, _from_text("base64", _decode)]
"""Bytes that travel as base64, of either alphabet."""

Millis = Annotated[
    datetime, _from_text("milliseconds since 1970, as text", lambda text: datetime.fromtimestamp(int(text) / 1000, UTC))
]
"""A moment that travels as milliseconds since 1970, in a text."""


@cache
def _optional(kind: type[Part]) -> tuple[tuple[str, TypeAdapter[Any]], ...]:
    """The fields that may be left out: name in the reply, and what would fit."""
    return tuple(
        (field.alias or name, TypeAdapter(_type_of(field), config=ConfigDict(strict=True)))
        for name, field in kind.model_fields.items()
        if not field.is_required()
    )


def _type_of(field: FieldInfo) -> Any:
    return field.annotation


def _renamed(absent: Sequence[tuple[str, TypeAdapter[Any]]], data: Mapping[str, Any], kind: type[Part]) -> str | None:
    """The field for which an unknown key holds what belongs there; the one of the most similar name, if several fit."""
    strangers = [key for key in data if key not in _own_names(kind)]
    found = [
        (_likeness(name, key), name)
        for key in strangers
        for name, fits in absent
        if _is_alike(name, key, data[key]) and _is(fits, data[key])
    ]
    return max(found)[1] if found else None


def _strangers(around: Mapping[str, Any], known: Collection[str], name: str) -> list[str]:
    """The unknown keys that may be the new name of `name`: those that are like it, or else all, if they are few."""
    new = sorted((key for key in around if key not in known), key=lambda key: -_likeness(name, key))
    alike = [key for key in new if _likeness(name, key) >= ALIKE]
    return [_short(key) for key in (alike or (new if len(new) <= 3 else []))][:3]


def _is_alike(name: str, key: str, value: object) -> bool:
    """Objects are known by their fields; of a plain text, only the name can tell that it is the same one."""
    objects = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
    return bool(value) and (objects or _likeness(name, key) >= ALIKE)


def _is(kind: TypeAdapter[Any], value: object) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True


def _likeness(one: str, other: str) -> float:
    one, other = (name.replace("_", "").replace("-", "").lower() for name in (one, other))
    return SequenceMatcher(None, one, other).ratio()


@cache
def _own_names(kind: type[Part]) -> frozenset[str]:
    return kind.known | {field.alias or name for name, field in kind.model_fields.items()}


@cache
def _names(kind: type[Part]) -> frozenset[str]:
    """Every key that is known anywhere in this shape."""
    found = set(_own_names(kind))
    pending: list[Any] = [field.annotation for field in kind.model_fields.values()]
    while pending:
        annotation = pending.pop()
        pending += get_args(annotation)
        if is_typeddict(annotation):
            found |= set(annotation.__annotations__)
        elif isinstance(annotation, type) and issubclass(annotation, Part):
            found |= _own_names(annotation)
            pending += [field.annotation for field in annotation.model_fields.values()]
    return frozenset(found)


def _at(reply: Any, place: tuple[str | int, ...]) -> Any:
    """What stands at an error's place, as far as the reply goes."""
    for step in place:
        try:
            reply = reply[step]
        except (KeyError, IndexError, TypeError):
            return None
    return reply


EXPECTED = {
    "string_type": "text",
    "string_too_short": "a text that is not empty",
    "string_pattern_mismatch": "digits",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "greater_than_equal": "a number that is not negative",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "missing": "a value",
    "renamed": "a value",
}


def _expected(error: Mapping[str, Any]) -> str:
    if error["type"] == "not_converted":
        return str(error["ctx"]["expected"])
    return EXPECTED.get(error["type"], str(error["msg"]))


def _odd(came: str, expected: str) -> str:
    return f"is other {came} than {expected}" if came == "text" else f"is {came}, not {expected}"


def _new_ones(new: Collection[str]) -> str:
    names = list(new)
    if not names:
        return ""
    return f" ({names[0]} is new)" if len(names) == 1 else f" ({', '.join(names[:-1])} and {names[-1]} are new)"


def _short(key: object) -> str:
    """A key, fit to be told: a reply that has turned into a mapping may have anything for keys."""
    text = "".join(c for c in str(key) if c.isprintable())
    return text if len(text) <= LONGEST_KEY else f"{text[:LONGEST_KEY]}..."
