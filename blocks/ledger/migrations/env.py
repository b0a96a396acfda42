"""Alembic's entry: runs inside the transaction that `Ledger.open` holds, so two openers cannot migrate at once."""

from alembic import context

from blocks.ledger.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
