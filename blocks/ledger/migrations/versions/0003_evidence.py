"""What prompts were, how they did on their cases, and what people did beside them: the evidence for a stage."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "prompt_versions",
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_index(op.f("ix_prompt_versions_prompt"), "prompt_versions", ["prompt"], unique=False)
    op.create_table(
        "stage_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("prompt_version", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_stage_changes_version", "stage_changes", ["workflow", "prompt_version"], unique=False)
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("prompt_version", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("cases_digest", sa.String(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("scores", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("batch_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["prompt_version"], ["prompt_versions.version"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_evaluations_prompt"), "evaluations", ["prompt"], unique=False)
    op.create_index("ix_evaluations_version", "evaluations", ["prompt_version", "source", "state"], unique=False)
    op.create_table(
        "case_answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("prompt_version", sa.String(), nullable=False),
        sa.Column("case_key", sa.String(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("stop_reason", sa.String(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_case_answers_evaluation_id"), "case_answers", ["evaluation_id"], unique=False)
    op.create_index("ix_case_answers_version", "case_answers", ["prompt_version", "case_key"], unique=False)
    op.create_table(
        "mirrors",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("answer", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("redacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_mirrors_record_id"), "mirrors", ["record_id"], unique=False)
    op.create_index(op.f("ix_mirrors_workflow"), "mirrors", ["workflow"], unique=False)
    op.create_table(
        "observations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("action_id", sa.Integer(), nullable=False),
        sa.Column("agreed", sa.Boolean(), nullable=True),
        sa.Column("found", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("redacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("action_id"),
    )
    op.add_column("records", sa.Column("sure", sa.Boolean(), nullable=True))
    # Their answers are judged again, which says whether the model was sure. The replies are there: nothing is paid.
    op.execute("UPDATE records SET state = 'prompted' WHERE state = 'validated'")
    op.create_index("ix_records_evidence", "records", ["workflow", "prompt_version", "state"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_records_evidence", table_name="records")
    # Not as a batch: it would drop the table on SQLite and make it anew, which other tables' foreign keys forbid.
    op.drop_column("records", "sure")
    op.drop_table("observations")
    op.drop_index(op.f("ix_mirrors_workflow"), table_name="mirrors")
    op.drop_index(op.f("ix_mirrors_record_id"), table_name="mirrors")
    op.drop_table("mirrors")
    op.drop_index("ix_case_answers_version", table_name="case_answers")
    op.drop_index(op.f("ix_case_answers_evaluation_id"), table_name="case_answers")
    op.drop_table("case_answers")
    op.drop_index("ix_evaluations_version", table_name="evaluations")
    op.drop_index(op.f("ix_evaluations_prompt"), table_name="evaluations")
    op.drop_table("evaluations")
    op.drop_index("ix_stage_changes_version", table_name="stage_changes")
    op.drop_table("stage_changes")
    op.drop_index(op.f("ix_prompt_versions_prompt"), table_name="prompt_versions")
    op.drop_table("prompt_versions")
