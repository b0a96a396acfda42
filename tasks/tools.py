"""An agent's tools: typed functions with a declared impact. What a tool may do is said here, and checked by code.

A tool that reads returns what the model is told. A tool that writes returns the `Action` that it wants, and does
nothing itself: the action goes through the same gate as any other.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import to_jsonable_python

from blocks.models import ToolSpec
from tasks.actions import Action
from tasks.actions.base import Impact

READ = "read"
"""What the ledger calls the impact of a tool that changes nothing."""

LONGEST_RESULT = 20_000
"""Characters of a tool's result that the model is told."""


class ToolRefused(Exception):
    """The tool will not do this; the message says why, and is what the model is told."""


@dataclass(frozen=True)
class Tool:
    """One function that an agent may call."""

    name: str
    description: str
    inputs: type[BaseModel]
    function: Callable[..., Any]
    writes: type[Action] | None
    """The kind of action that it wants; None when it only reads."""
    most: int
    """How often it may be called for one record."""

    @property
    def impact(self) -> str:
        """`read`, or its action's impact."""
        return READ if self.writes is None else self.writes.impact.value

    @property
    def waits(self) -> bool:
        """Whether each call waits for a person at every stage."""
        return self.writes is not None and self.writes.impact is Impact.HIGH

    @cached_property
    def spec(self) -> ToolSpec:
        """As a model is told of it."""
        return ToolSpec(self.name, self.description, _schema(self.inputs))

    def parse(self, given: Mapping[str, Any]) -> BaseModel:
        """The input, checked.

        Raises:
            ToolRefused: it does not fit; every field that is wrong is named.
        """
        try:
            return self.inputs.model_validate(given)
        except ValidationError as error:
            raise ToolRefused(_said(self.name, error)) from None

    def call(self, case: Any, inputs: BaseModel) -> Any:
        """Call the function with the case that the agent works on.

        Raises:
            ToolRefused: by the function's own rules.
            VendorError: a vendor could not be asked.
            TypeError: the function is not what it declares: a bug.
        """
        try:
            result = self.function(case, **{name: getattr(inputs, name) for name in type(inputs).model_fields})
        except ValidationError as error:  # what was given fits the tool, and not the action: a control character, say
            raise ToolRefused(_said(self.name, error)) from None
        if (type(result) is self.writes) if self.writes else not isinstance(result, Action):
            return result
        raise TypeError(f"tool {self.name} returned {type(result).__name__}, which it does not declare")


def tool(*, writes: type[Action] | None = None, most: int = 6) -> Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool. Its first parameter is the case; the others, all typed, are what the model gives.

    Name and docstring are what the model reads; `Annotated[..., Field(description=...)]` describes a parameter.

    Args:
        writes: the kind of action that it returns; without one it must change nothing.
        most: how often it may be called for one record.
    """

    def make(function: Callable[..., Any]) -> Tool:
        hints = get_type_hints(function, include_extras=True)
        hints.pop("return", None)
        _case, *given = inspect.signature(function).parameters.values()
        fields: dict[str, Any] = {
            each.name: (hints[each.name], ... if each.default is each.empty else each.default) for each in given
        }
        strict = ConfigDict(extra="forbid", str_strip_whitespace=True)
        inputs = create_model(f"{function.__name__}_input", __config__=strict, **fields)
        description = inspect.getdoc(function)
        if not description:
            raise TypeError(f"tool {function.__name__} has no docstring: it is what the model is told of it")
        return Tool(function.__name__, description, inputs, function, writes, most)

    return make


def told(result: Any) -> str:
    """A result as the model is told it: JSON, cut to `LONGEST_RESULT` characters with a word about what is missing."""
    text = (
        result
        if isinstance(result, str)
        else json.dumps(to_jsonable_python(result, fallback=_plain), ensure_ascii=False)
    )
    if len(text) <= LONGEST_RESULT:
        return text
    return f"{text[:LONGEST_RESULT]} [... {len(text) - LONGEST_RESULT:,} characters left out; ask for less]"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal | datetime) else repr(value)


def _schema(inputs: type[BaseModel]) -> dict[str, Any]:
    """Without the titles that pydantic invents: they cost tokens and say nothing."""
    return {name: _untitled(value) for name, value in inputs.model_json_schema().items() if name != "title"}


def _untitled(value: Any) -> Any:
    if isinstance(value, dict):
        # A parameter may be called title: only a text under that name is pydantic's.
        return {k: _untitled(v) for k, v in value.items() if not (k == "title" and isinstance(v, str))}
    return [_untitled(each) for each in value] if isinstance(value, list) else value


def _said(name: str, error: ValidationError) -> str:
    problems = "; ".join(f"{_path(problem)}: {problem['msg']}" for problem in error.errors(include_url=False))
    return f"the input of {name} is not valid: {problems}"


def _path(problem: Mapping[str, Any]) -> str:
    return ".".join(str(step) for step in problem["loc"]) or "input"
