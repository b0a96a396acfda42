"""Index: the verbs of `flows/index_documents.py`, each over a batch of documents, and the page of what they did."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from blocks.connections import MissingCredential
from blocks.documents import Reader
from blocks.ledger import Ledger
from blocks.library import Item, Library
from tasks import alerts, indexing
from tasks.indexing import Plan, Tally
from tasks.plain import counted, plain
from tasks.sources import Source, SourceError
from tasks.verb import verb

SHOWN = 100
"""Documents that are named on a run's page."""


@verb("look")
def look(ledger: Ledger, library: Library, source: Source) -> Plan | Tally:  # noqa: ARG001 - the ledger sets the pace
    """What there is to do about a source; or, where it cannot be looked at, a tally with the problem."""
    try:
        return indexing.look(library, source)
    except (SourceError, MissingCredential) as error:
        library.walked(source.name, None, problem=str(error))
        return Tally(source.name, problem=str(error), connected=not isinstance(error, MissingCredential))


@verb("index")
def take_in(ledger: Ledger, library: Library, source: Source, items: Sequence[Item], reader: Reader) -> Tally:  # noqa: ARG001
    """Fetch, read and index a batch of documents."""
    return indexing.take_in(library, source, items, reader)


def publish(ledger: Ledger, tallies: Sequence[Tally]) -> dict[str, str]:
    """Put what became of the documents on the run's page; a source that cannot be looked at opens an alert.

    Returns:
        A sentence for each source.
    """
    for tally in tallies:
        key = f"library:{tally.source}"
        if tally.problem and tally.connected:
            alerts.open_alert(ledger, key, f"the library cannot look at its source {tally.source}: {tally.problem}")
        else:
            alerts.close_alert(ledger, key)
    said = {tally.source: in_words(tally) for tally in tallies}
    create_markdown_artifact(key="index-documents-results", markdown=as_markdown(tallies), description="The library")
    return said


def in_words(tally: Tally) -> str:
    """`3 new, 1 changed, 40 as before, 1 removed; 2 cannot be read`."""
    if tally.problem:
        return f"not looked at: {tally.problem}"
    said = f"{tally.added:,} new, {tally.changed:,} changed, {tally.unchanged:,} as before, {tally.removed:,} removed"
    said += f"; {len(tally.refused):,} cannot be read" if tally.refused else ""
    return said + (f"; {counted(len(tally.left), 'document')} left to the next run" if tally.left else "")


def as_markdown(tallies: Sequence[Tally]) -> str:
    """A line per source, and the documents that a person should look at."""
    lines = [f"- **{plain(tally.source)}**: {plain(in_words(tally))}" for tally in tallies]
    for title, named in (
        ("Cannot be read", [f"{t.source}: {name}: {why}" for t in tallies for name, why in sorted(t.refused.items())]),
        (
            "Left to the next run",
            [f"{t.source}: {name}: {why}" for t in tallies for name, why in sorted(t.left.items())],
        ),
    ):
        if named:
            lines += ["", f"**{title}**", ""]
            lines += [f"- {plain(each)}" for each in named[:SHOWN]]
            lines += [f"- ... and {len(named) - SHOWN:,} more"] if len(named) > SHOWN else []
    return "\n".join(lines)
