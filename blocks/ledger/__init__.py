"""The ledger: one database that is the truth about what happened."""

from blocks.ledger.store import Ledger, LedgerError, LedgerUnavailable, default_url, insert
from blocks.ledger.tables import (
    Action,
    Alert,
    Circuit,
    Cursor,
    Decision,
    History,
    ModelCall,
    Receipt,
    Record,
    Reservation,
    Run,
    utcnow,
)

__all__ = [
    "Action",
    "Alert",
    "Circuit",
    "Cursor",
    "Decision",
    "History",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "ModelCall",
    "Receipt",
    "Record",
    "Reservation",
    "Run",
    "default_url",
    "insert",
    "utcnow",
]
