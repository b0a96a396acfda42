"""Reservations, the hash-chained history, alerts, circuits; what was redacted, and when."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from blocks.ledger import history

revision = "0002"
down_revision = "0001"

REDACTED = ("records", "model_calls", "actions", "decisions", "receipts")


def upgrade() -> None:
    for table in REDACTED:
        op.add_column(table, sa.Column("redacted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("process", sa.String(), nullable=True))
    unredacted = sa.text("redacted_at IS NULL")
    op.create_index(
        "ix_records_unredacted",
        "records",
        ["workflow", "updated_at"],
        unique=False,
        sqlite_where=unredacted,
        postgresql_where=unredacted,
    )
    with op.batch_alter_table("model_calls") as calls:
        calls.drop_column("complaint")
    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("prompt_version", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("worst", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_reservations_workflow"), "reservations", ["workflow"], unique=False)
    op.create_index(op.f("ix_reservations_run_id"), "reservations", ["run_id"], unique=False)
    chain = op.create_table(
        "history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("seal", sa.String(), nullable=True),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index(op.f("ix_history_subject"), "history", ["subject"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("workflow", sa.String(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_alerts_key"), "alerts", ["key"], unique=False)
    still_open = sa.text("closed_at IS NULL")
    op.create_index(
        "uq_alerts_open", "alerts", ["key"], unique=True, sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_table(
        "circuits",
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("vendor"),
    )
    # What is older than the chain is not in it: the first row says how far that goes.
    older = {table: op.get_bind().scalar(sa.text(f"SELECT max(id) FROM {table}")) or 0 for table in REDACTED}
    at, detail = datetime.now(UTC), {"older": older}
    digest = history.link(at, history.BEGINS, "ledger", detail, None, history.GENESIS)
    first = {"at": at, "event": history.BEGINS, "subject": "ledger", "detail": detail}
    op.bulk_insert(chain, [first | {"previous": history.GENESIS, "hash": digest}])


def downgrade() -> None:
    # Not by making the table anew: other tables' rows refer to it.
    op.drop_column("runs", "process")
    op.drop_table("circuits")
    op.drop_index("uq_alerts_open", table_name="alerts")
    op.drop_index(op.f("ix_alerts_key"), table_name="alerts")
    op.drop_table("alerts")
    op.drop_index(op.f("ix_history_subject"), table_name="history")
    op.drop_table("history")
    op.drop_index(op.f("ix_reservations_run_id"), table_name="reservations")
    op.drop_index(op.f("ix_reservations_workflow"), table_name="reservations")
    op.drop_table("reservations")
    op.add_column("model_calls", sa.Column("complaint", sa.Text(), nullable=True))
    op.drop_index("ix_records_unredacted", table_name="records")
    for table in reversed(REDACTED):
        op.drop_column(table, "redacted_at")
