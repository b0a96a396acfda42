"""What ends by itself while the stack is up is started again, as a supervisor would."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from deployments.errors import StackError
from deployments.stack import Stack

LOOK_SECONDS = 1.0
LONGEST_SECONDS = 60.0
"""The longest wait before something is started once more."""

STEADY_SECONDS = 60.0
"""What has lived this long is well again: the next time it ends, it is started at once."""


@dataclass
class _Fall:
    """When a process was last started again, and how long the next wait is."""

    at: float
    wait: float


@dataclass
class Keeper:
    """Looks after the processes of a stack. Not safe for use by several threads."""

    stack: Stack
    say: Callable[[str], None]
    """Tells the person at the terminal, a line at a time."""
    falls: dict[str, _Fall] = field(default_factory=dict)

    def look(self, now: float) -> list[str]:
        """Start again what has ended, unless it did a moment ago; the names of those that were started.

        Args:
            now: seconds on the monotonic clock.
        """
        started = []
        for name, code in self.stack.ended().items():
            fall = self.falls.get(name)
            if fall and now - fall.at < fall.wait:
                continue
            wait = min(LONGEST_SECONDS, fall.wait * 2) if fall and now - fall.at < STEADY_SECONDS + fall.wait else 1.0
            self.falls[name] = _Fall(now, wait)
            self.say(f"The {name} ended ({_why(code)}) and is started again. Its log: {self.stack.log(name)}")
            try:
                self.stack.start_again(name)
            except (OSError, StackError) as error:
                self.say(f"The {name} cannot be started: {error}")
            else:
                started.append(name)
        return started

    def until_the_end(self) -> None:
        """Look every second until Ctrl-C or SIGTERM, and return."""
        try:
            while True:
                time.sleep(LOOK_SECONDS)
                self.look(time.monotonic())
        except KeyboardInterrupt:
            return


def _why(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
