"""Who owns a confined process: starts it when it is needed, and replaces it when a file has killed it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from blocks.confined.process import Died, Done, Process, Sent


class Parent(ABC):
    """Owns one child process, which does one file after the other, and is replaced when a file has killed it.

    Use it as a context manager, by one thread at a time. The child ends with this process, also after `kill -9`.
    """

    def __init__(self, memory: int, seconds: float) -> None:
        """Bound what a file may cost.

        Args:
            memory: bytes of address space that the child may have.
            seconds: of wall time for one file, without what the trade adds for parts that take long.
        """
        self._memory = memory
        self._seconds = seconds
        self._child: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child. The next file starts another."""
        child, self._child = self._child, None
        if child:
            child.end()

    @abstractmethod
    def _start(self) -> Process:
        """A new child. Raises RuntimeError when it does not come up."""

    def _begin(self, sent: Sent[Any]) -> None:
        """Hand a file over to the child. Of one that dies while it takes it one hears from `_finish`."""
        if self._child is None:
            self._child = self._start()
        sent.begin()
        try:
            self._child.give(sent)
        except Died:
            pass
        except BaseException:
            self.close()
            raise

    def _finish(self, sent: Sent[Done]) -> Done:
        """What became of the file that the child has.

        Raises:
            Died: it was too much for a child of its own; the message is the reason for people.
            Exception: what `sent.made` refuses it with.
        """
        child = self._child
        assert child is not None
        try:
            return child.result(sent)
        except Died as died:
            self.close()
            if child.files <= 1 or not died.anew:
                raise
        except BaseException:
            # Whoever is interrupted while he waits leaves no child behind that answers the next file with this one's.
            if child.busy:
                self.close()
            raise
        # The files before may have left the child in a bad state: this one is blamed only for what it does alone.
        self._begin(sent)
        return self._finish(sent)
