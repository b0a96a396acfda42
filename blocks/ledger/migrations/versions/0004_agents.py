"""Agents: their runs, and every call of a tool."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "agent_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tools", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("limit", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("redacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_agent_runs_record_id"), "agent_runs", ["record_id"], unique=False)
    op.create_index("ix_agent_runs_workflow_state", "agent_runs", ["workflow", "state"], unique=False)
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_run_id", sa.Integer(), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("impact", sa.String(), nullable=False),
        sa.Column("input", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("is_error", sa.Boolean(), nullable=False),
        sa.Column("action_id", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("redacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"]),
        sa.ForeignKeyConstraint(["agent_run_id"], ["agent_runs.id"]),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("agent_run_id", "step", "position", name="uq_tool_calls_place"),
    )
    op.create_index(op.f("ix_tool_calls_record_id"), "tool_calls", ["record_id"], unique=False)
    op.create_index(op.f("ix_tool_calls_action_id"), "tool_calls", ["action_id"], unique=False)
    op.add_column("model_calls", sa.Column("agent_run_id", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_model_calls_agent_run_id"), "model_calls", ["agent_run_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_model_calls_agent_run_id"), table_name="model_calls")
    op.drop_column("model_calls", "agent_run_id")
    op.drop_index(op.f("ix_tool_calls_action_id"), table_name="tool_calls")
    op.drop_index(op.f("ix_tool_calls_record_id"), table_name="tool_calls")
    op.drop_table("tool_calls")
    op.drop_index("ix_agent_runs_workflow_state", table_name="agent_runs")
    op.drop_index(op.f("ix_agent_runs_record_id"), table_name="agent_runs")
    op.drop_table("agent_runs")
