"""Rows of documents, each added once, in the ledger's own database."""

from blocks.rows import Rows, SamePaper
from prompts.document_intake.schemas import find as schema
from tasks.actions import AddRow
from tasks.performers.base import Attempt, Done, Superseded


def add(rows: Rows, action: AddRow, attempt: Attempt) -> Done:
    """With the action's key, by which the table itself keeps it from being added twice.

    Raises:
        Superseded: the same paper has been added meanwhile, and nobody was asked about it.
    """
    try:
        number = rows.add(
            action.row(),
            key=attempt.key,
            record_id=attempt.record_id,
            file=action.file,
            sha256=action.sha256,
            evidence=action.evidence,
            twice=bool(action.twin),
        )
    except SamePaper as same:
        raise Superseded(f"{schema(action.paper).table} row {same.number} is of the same paper") from None
    return _done(action, number)


def find(rows: Rows, action: AddRow, attempt: Attempt) -> Done | None:
    """The row that has the action's key."""
    number = rows.find(schema(action.paper), attempt.key)
    return None if number is None else _done(action, number)


def _done(action: AddRow, number: int) -> Done:
    return Done("rows", f"{schema(action.paper).table}/{number}")
