"""The ledger: one database that is the truth about what happened."""

from blocks.ledger.store import Ledger, LedgerError, default_url
from blocks.ledger.tables import Action, Cursor, Decision, ModelCall, Receipt, Record, Run, utcnow

__all__ = [
    "Action",
    "Cursor",
    "Decision",
    "Ledger",
    "LedgerError",
    "ModelCall",
    "Receipt",
    "Record",
    "Run",
    "default_url",
    "utcnow",
]
