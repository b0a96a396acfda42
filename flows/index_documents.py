"""Keep the library as the company's documents are: what is new is read, what is gone is forgotten."""

from __future__ import annotations

from prefect import flow

from blocks.documents import Reader
from blocks.ledger import Ledger
from blocks.library import Library
from blocks.vendor import VendorError
from tasks import index
from tasks.indexing import Tally, finish
from tasks.run import alive
from tasks.sources import DriveFolder, Source

SOURCES: tuple[Source, ...] = (
    DriveFolder(name="help-centre", credential="drive/company", folder="help-centre", quotable=True),
    DriveFolder(name="handbook", credential="drive/company", folder="handbook"),
)
"""Where the documents are. `tasks/sources.py` has the kinds: a folder of this machine, Google Drive, closed tickets."""

BATCH = 25
"""Documents that one task reads."""


class NotIndexed(Exception):
    """A source could not be looked at; the message names each, with the reason."""


@flow(name="index-documents")
def index_documents(source: str | None = None) -> dict[str, str]:
    """Look at every source, or only the one named, and read what is new or changed.

    Returns what became of each, in words. A source that cannot be looked at keeps what was indexed of it, does not keep
    the others from being looked at, and has the run fail at its end; one that nobody has connected is passed over.
    """
    chosen = [one for one in SOURCES if source in (None, one.name)]
    if not chosen:
        raise NotIndexed(f"there is no source {source}; there are {', '.join(one.name for one in SOURCES)}")
    ledger, library = Ledger.open(), Library.open()
    with alive(ledger, "index-documents", "index"), Reader() as reader:
        tallies = [_index(ledger, library, one, reader) for one in chosen]
        said = index.publish(ledger, tallies)
    if failed := [f"{tally.source}: {tally.problem}" for tally in tallies if tally.problem and tally.connected]:
        raise NotIndexed("; ".join(failed))
    return said


def _index(ledger: Ledger, library: Library, source: Source, reader: Reader) -> Tally:
    try:
        plan = index.look(ledger, library, source)
        if isinstance(plan, Tally):
            return plan
        tally = plan.tally()
        for start in range(0, len(plan.to_read), BATCH):
            tally.add(index.take_in(ledger, library, source, plan.to_read[start : start + BATCH], reader))
    except VendorError as error:  # after all of Prefect's retries; what was taken in before stays
        library.walked(source.name, None, problem=str(error))
        return Tally(source.name, problem=str(error))
    finish(library, plan, tally)
    return tally
