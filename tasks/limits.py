"""An agent's limits: each is looked at before what could pass it, and each has a kind, a value and a limit.

All of it follows from the journal of the agent's steps, so a run that was cut off goes on under the same count.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tasks.card import Agent
from tasks.tools import Tool


class LimitReached(Exception):
    """An agent's run ends here.

    Attributes:
        kind: `steps`, `calls`, `calls of <tool>`, `tokens`, `usd`, `minutes`, `repeated call` or `idle steps`.
        value: what would have been reached.
        limit: how far the card lets it go.
    """

    def __init__(self, kind: str, value: float, limit: float) -> None:
        super().__init__(f"{kind}: {value:,g} would be over the limit of {limit:,g}")
        self.kind, self.value, self.limit = kind, value, limit

    def as_json(self) -> dict[str, Any]:
        """For the ledger."""
        return {"kind": self.kind, "value": self.value, "limit": self.limit}


class GivenUp(LimitReached):
    """A workflow's own rules go no further with a record: a person must look at it."""

    def __init__(self, why: str) -> None:
        Exception.__init__(self, why)
        self.kind, self.value, self.limit = "rules", 1, 0


class Made(Protocol):
    """A call that was made, as the journal has it."""

    @property
    def tool(self) -> str:
        """The tool's name."""

    @property
    def input(self) -> Mapping[str, Any]:
        """What it was given."""

    @property
    def is_error(self) -> bool:
        """Whether the model was told of a failure."""


@dataclass
class Watch:
    """Counts what an agent does. Fed with each step, from the journal and as they happen."""

    limits: Agent
    tools: Mapping[str, Tool]
    steps: int = 0
    idle: int = 0
    """Steps in a row that brought nothing new."""
    calls: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)

    def before_step(self, seconds: float) -> None:
        """Before the model is asked again.

        Args:
            seconds: that the agent has worked so far.

        Raises:
            LimitReached: it may not be.
        """
        _hold("steps", self.steps + 1, self.limits.steps)
        _hold("minutes", seconds / 60, self.limits.minutes)
        if self.idle >= self.limits.idle_steps:
            raise LimitReached("idle steps", self.idle + 1, self.limits.idle_steps)

    def before_calls(self, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Before a step's calls are made, none of which is made when one goes too far.

        Raises:
            LimitReached: together they would pass a limit.
        """
        _hold("calls", self.calls.total() + len(wanted), self.limits.calls)
        names, same = Counter(name for name, _ in wanted), Counter(identity(*each) for each in wanted)
        for name, count in names.items():
            if name in self.tools:
                _hold(f"calls of {name}", self.calls[name] + count, self.tools[name].most)
        for call, count in same.items():
            _hold("repeated call", self.same[call] + count, self.limits.repeats)

    def was_made(self, name: str, given: Mapping[str, Any]) -> bool:
        """Whether an earlier step made the same call."""
        return self.same[identity(name, given)] > 0

    def after_step(self, made: Sequence[Made]) -> None:
        """Take a finished step in: the calls that were made in it, or none when it ended in words."""
        self.steps += 1
        news = any(not call.is_error and not self.was_made(call.tool, call.input) for call in made)
        self.idle = 0 if news else self.idle + 1
        for call in made:
            self.calls[call.tool] += 1
            self.same[identity(call.tool, call.input)] += 1


def identity(name: str, given: Mapping[str, Any]) -> str:
    """What makes two calls the same: the tool and its input, in whatever order the fields stand."""
    return f"{name} {json.dumps(given, sort_keys=True, ensure_ascii=False)}"


def _hold(kind: str, value: float, limit: float) -> None:
    if value > limit:
        raise LimitReached(kind, value, limit)
