"""A ledger's schema at another revision than this version's."""

from alembic import command
from alembic.config import Config

from blocks.ledger import Ledger, store

CONFIG = Config()
CONFIG.set_main_option("script_location", str(store.HERE / "migrations"))


def migrated(ledger: Ledger, revision: str) -> None:
    """Bring a ledger's schema to a revision, in a transaction as `Ledger.open` does."""
    with ledger.engine.connect() as connection, connection.begin():
        CONFIG.attributes["connection"] = connection
        (command.upgrade if revision == "head" else command.downgrade)(CONFIG, revision)
