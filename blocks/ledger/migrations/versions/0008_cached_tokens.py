"""How much of what models were given their vendors' caches held: without it nobody sees why a call cost so little."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("model_calls", sa.Column("cache_read_tokens", sa.Integer(), nullable=True))
    op.add_column("model_calls", sa.Column("cache_write_tokens", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("model_calls", "cache_write_tokens")
    op.drop_column("model_calls", "cache_read_tokens")
