"""What became of a cell, as the pretend company sees it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass
class Counts:
    """What is added up."""

    cells: int = 0
    faults: int = 0
    """Calls that went wrong as asked."""
    crashes: int = 0
    """Processes killed with -9."""
    wanted: int = 0
    """Things that had to be done."""
    done: int = 0
    doubt: int = 0
    """Things of which only a person can say whether they were done, and that wait for one."""
    refused: int = 0
    """Things that the vendor refused for good, and that are shown to a person as failed or quarantined."""
    twice: int = 0
    lost: int = 0
    """Wanted, tried to the end with the vendor healthy again, and neither done nor in doubt."""
    unapproved: int = 0
    """Effects that nobody had allowed."""
    untrue: int = 0
    """The ledger says something else than the pretend company, or is in doubt without need."""
    errors: int = 0
    """Attempts that ended in an exception that no run expects: the batch around it would stop."""

    def __iadd__(self, other: Counts) -> Counts:
        for each in fields(Counts):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self

    @property
    def broken(self) -> int:
        """How many of the promises were broken."""
        return self.twice + self.lost + self.unapproved + self.untrue


@dataclass
class Verdict(Counts):
    """Of one cell, with what there is to say about it."""

    complaints: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
