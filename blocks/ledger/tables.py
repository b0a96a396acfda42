"""The ledger's tables. Money is exact, times are UTC, states are words; history rows are only ever added."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime, TypeDecorator

NANO = 10**9


def utcnow() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


class Usd(TypeDecorator[Decimal]):
    """US dollars, stored as whole nano-dollars: a cheap model's token costs 100 of them, and sums stay exact."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else round(value * NANO)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(int(value)) / NANO


class Utc(TypeDecorator[datetime]):
    """An aware UTC time; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is not None and value.tzinfo is None:
            raise ValueError("the ledger takes aware times only")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class Sha256(TypeDecorator[str]):
    """A SHA-256, as its 64 hex digits; stored as its 32 bytes, since most of what the history holds is hashes."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        # A text is what somebody wrote there past Signoff, which SQLite takes: for an audit to find, not to stop work.
        return None if value is None else (value.encode() if isinstance(value, str) else bytes(value)).hex()


class Base(DeclarativeBase):
    """The tables' common base: JSON for dictionaries."""

    type_annotation_map = {dict[str, Any]: JSON(none_as_null=True), datetime: Utc, Decimal: Usd, str: String}  # noqa: RUF012


class Run(Base):
    """One run of a workflow. Its heartbeat is what keeps its claims on records and actions alive."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    workflow: Mapped[str] = mapped_column(index=True)
    flow_run_id: Mapped[str | None]
    stage: Mapped[str]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    process: Mapped[str | None]
    """Which process does it: machine, number, and when it began."""
    ended_at: Mapped[datetime | None]


class Record(Base):
    """Something that came in, once per workflow, and how far it has got."""

    __tablename__ = "records"
    __table_args__ = (
        UniqueConstraint("workflow", "source", "external_id", "version", name="uq_records_identity"),
        Index("ix_records_workflow_state", "workflow", "state"),
        # What retention looks through at the start of every run: without the rows that it is done with, most of all.
        Index(
            "ix_records_unredacted",
            "workflow",
            "updated_at",
            sqlite_where=text("redacted_at IS NULL"),
            postgresql_where=text("redacted_at IS NULL"),
        ),
        Index("ix_records_evidence", "workflow", "prompt_version", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    workflow: Mapped[str]
    source: Mapped[str]
    external_id: Mapped[str]
    version: Mapped[str] = mapped_column(default="1")
    title: Mapped[str] = mapped_column(Text, default="")
    payload: Mapped[dict[str, Any]]
    context: Mapped[dict[str, Any] | None]
    state: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    failures: Mapped[int] = mapped_column(default=0)
    answer: Mapped[dict[str, Any] | None]
    sure: Mapped[bool | None]
    """Whether the model stands by its answer; None before it is validated. What it does not is left to a person."""
    prompt_version: Mapped[str | None]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    redacted_at: Mapped[datetime | None]


class Paper(Base):
    """The file that a record is about, and the words that were read off it."""

    __tablename__ = "papers"

    id: Mapped[int] = mapped_column(primary_key=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), unique=True)
    workflow: Mapped[str]
    name: Mapped[str] = mapped_column(Text)
    mime_type: Mapped[str | None]
    size: Mapped[int]
    """Bytes."""
    sha256: Mapped[str] = mapped_column(index=True)
    """Of the file: it stays when the file is taken out, so that the same one is known again."""
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The file, until what it leads to is decided."""
    sheet: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Its words in their places: a `blocks.documents.Sheet`, packed, as compressed JSON. None where it was not read."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    redacted_at: Mapped[datetime | None]


class ModelCall(Base):
    """One paid question to a model, and its answer as it came."""

    __tablename__ = "model_calls"
    __table_args__ = (Index("ix_model_calls_spend", "workflow", "created_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    workflow: Mapped[str]
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    agent_run_id: Mapped[int | None] = mapped_column(index=True)
    """The agent run whose step this was, `attempt` being the step's number; None for a prompt's own calls. No foreign
    key: SQLite adds none to a table that is there."""
    prompt: Mapped[str]
    prompt_version: Mapped[str]
    model: Mapped[str]
    attempt: Mapped[int]
    reply: Mapped[str] = mapped_column(Text)
    """The text; of an agent's step the content blocks, as JSON."""
    stop_reason: Mapped[str]
    input_tokens: Mapped[int]
    """All that went in, cached ones included."""
    output_tokens: Mapped[int]
    cache_read_tokens: Mapped[int | None]
    cache_write_tokens: Mapped[int | None]
    """Of the input, what the vendor's cache held, and what was put into it: `cost` has both at their own prices. None
    where nobody knows: the call is older than these columns, or was never answered."""
    cost: Mapped[Decimal]
    seconds: Mapped[float] = mapped_column(Double)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    redacted_at: Mapped[datetime | None]


class AgentRun(Base):
    """One agent's work on one record, from its first step to its end. Its steps are `ModelCall`s and `ToolCall`s."""

    __tablename__ = "agent_runs"
    __table_args__ = (Index("ix_agent_runs_workflow_state", "workflow", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    workflow: Mapped[str]
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), index=True)
    model: Mapped[str]
    """What takes the steps: a model, `rules`, or the person's own assistant that came through MCP."""
    state: Mapped[str]
    """`working`, `waiting` for a person, `done`, or `stopped` by a limit."""
    tools: Mapped[list[str]] = mapped_column(JSON)
    """The tools that it was given."""
    seconds: Mapped[float] = mapped_column(Double, default=0.0)
    """Of work, without the time that it waited for people."""
    text: Mapped[str] = mapped_column(Text, default="")
    """What it said at its end."""
    limit: Mapped[dict[str, Any] | None]
    """The limit that stopped it: `kind`, `value` and `limit`."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    ended_at: Mapped[datetime | None]
    redacted_at: Mapped[datetime | None]


class ToolCall(Base):
    """One call of an agent's tool, once its result is known. What is still waited for is an `Action`."""

    __tablename__ = "tool_calls"
    __table_args__ = (UniqueConstraint("agent_run_id", "step", "position", name="uq_tool_calls_place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    agent_run_id: Mapped[int] = mapped_column(ForeignKey("agent_runs.id"))
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    step: Mapped[int]
    position: Mapped[int]
    """Its place among the calls of its step, from 0."""
    call_id: Mapped[str]
    """The model's own name for it."""
    tool: Mapped[str]
    impact: Mapped[str]
    """`read`, `low` or `high`, as the tool declares; `unknown` for a tool that there is not."""
    input: Mapped[dict[str, Any]]
    output: Mapped[str] = mapped_column(Text)
    """What the model was told."""
    is_error: Mapped[bool]
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id"), index=True)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    redacted_at: Mapped[datetime | None]


class Reservation(Base):
    """Dollars set aside for a model call under way. Gone when the call is recorded; a crash leaves it behind."""

    __tablename__ = "reservations"

    id: Mapped[int] = mapped_column(primary_key=True)
    workflow: Mapped[str] = mapped_column(index=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    prompt: Mapped[str]
    prompt_version: Mapped[str]
    model: Mapped[str]
    worst: Mapped[Decimal]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Action(Base):
    """Something that a workflow wants done, with the exact payload, and what became of it."""

    __tablename__ = "actions"
    __table_args__ = (Index("ix_actions_workflow_state", "workflow", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    workflow: Mapped[str]
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"), index=True)
    kind: Mapped[str]
    impact: Mapped[str]
    title: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    digest: Mapped[str]
    credential: Mapped[str]
    explanation: Mapped[str] = mapped_column(Text)
    stage: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    progress: Mapped[dict[str, Any] | None]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    flow_run_id: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    redacted_at: Mapped[datetime | None]


class Decision(Base):
    """Who (a person, or the card's rule) decided what about one exact payload. One a row, used once."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"), unique=True)
    verdict: Mapped[str]
    approver: Mapped[str]
    comment: Mapped[str] = mapped_column(Text, default="")
    payload: Mapped[dict[str, Any]]
    digest: Mapped[str]
    edited: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    used_at: Mapped[datetime | None]
    redacted_at: Mapped[datetime | None]


class Receipt(Base):
    """What the vendor gave back for an action: the proof that it was done."""

    __tablename__ = "receipts"

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"), unique=True)
    vendor: Mapped[str]
    external_id: Mapped[str]
    detail: Mapped[dict[str, Any]]
    found: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    redacted_at: Mapped[datetime | None]


class History(Base):
    """What happened, in order. Each row carries the hash of the one before: none can be changed or left out unseen."""

    __tablename__ = "history"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    event: Mapped[str]
    """In words: `decision`, `receipt`, `model call`, `action acting`, `record redacted`, ..."""
    subject: Mapped[str] = mapped_column(index=True)
    """The row that it is about, as `table/id`."""
    detail: Mapped[dict[str, Any]]
    """What is worth reading here: no personal data, since these rows are kept for good."""
    seal: Mapped[str | None] = mapped_column(Sha256)
    """SHA-256 of the subject's content at that moment; None where the event is about no content."""
    previous: Mapped[str] = mapped_column(Sha256)
    hash: Mapped[str] = mapped_column(Sha256)


class Alert(Base):
    """Something that a person must know, once, however often it is met. Closed when it is met no longer."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "uq_alerts_open",
            "key",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(index=True)
    """What it is about, for example `drift:hubspot:contact.firstname`: one open alert a key."""
    workflow: Mapped[str | None]
    message: Mapped[str] = mapped_column(Text)
    times: Mapped[int] = mapped_column(default=1)
    opened_at: Mapped[datetime] = mapped_column(default=utcnow)
    seen_at: Mapped[datetime] = mapped_column(default=utcnow)
    closed_at: Mapped[datetime | None]


class Notice(Base):
    """Something that people are told outside Prefect: once a key and channel, whatever crashes or runs twice."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("key", "channel", name="uq_notices_identity"),
        Index("ix_notices_state", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    """What is told: `alert/12/opened`, `alert/12/closed`, `digest/2026-11-27`, `expiry/40`, ..."""
    channel: Mapped[str]
    """Where: the credential that it goes through, as `slack/team`, with an address behind it where there are many."""
    state: Mapped[str]
    """`pending`, `sending`, `sent`, `failed` for good, or `unknown`: its reply was lost, and it is not sent again."""
    text: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(Text)
    external_id: Mapped[str | None]
    """The vendor's own id of the message."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    sent_at: Mapped[datetime | None]


class WebhookEvent(Base):
    """Something that a vendor told us of by itself. It is here before the vendor hears that we have it."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        UniqueConstraint("source", "external_id", name="uq_webhook_events_identity"),
        Index("ix_webhook_events_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    """Whose it is: `stripe`, `hubspot`, `slack`, `gmail`, or the name of an endpoint of one's own."""
    external_id: Mapped[str]
    """The vendor's own id of the event, or where it has none a digest of what it said: a replay has the same."""
    kind: Mapped[str]
    """The vendor's own name of what happened, as `invoice.payment_failed`."""
    payload: Mapped[dict[str, Any] | None]
    """What it said; None once it was redacted."""
    state: Mapped[str]
    """`stored`, `started` (its run is made), `ignored` (nothing here is interested), or `failed` for good."""
    reason: Mapped[str | None] = mapped_column(Text)
    deployment: Mapped[str | None]
    """The deployment that it starts."""
    flow_run_id: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    received_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    handled_at: Mapped[datetime | None]
    redacted_at: Mapped[datetime | None]


class Assignment(Base):
    """Who was asked to decide on an action. The newest row of an action counts; without one, it is its card's owner."""

    __tablename__ = "assignments"

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"), index=True)
    person: Mapped[str]
    by: Mapped[str]
    """Who passed it on."""
    comment: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    redacted_at: Mapped[datetime | None]


class Circuit(Base):
    """How a vendor has been answering lately, to all workers together. Open: it is left alone until `retry_at`."""

    __tablename__ = "circuits"

    vendor: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    """Trials that have failed since it was opened."""
    opened_at: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]
    """When one call may try again."""
    reason: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class Cursor(Base):
    """How far a workflow has read a source. Moves in the same transaction as the records it covers."""

    __tablename__ = "cursors"

    workflow: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class PromptVersion(Base):
    """What a prompt was, word for word, under each version that was ever asked."""

    __tablename__ = "prompt_versions"

    version: Mapped[str] = mapped_column(primary_key=True)
    prompt: Mapped[str] = mapped_column(index=True)
    model: Mapped[str]
    """What of the model is in the version: its name, and for the embedded one what it has learnt from."""
    content: Mapped[dict[str, Any]]
    """`system`, `user`, `schema`, `settings` and `replies`."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Evaluation(Base):
    """How one prompt version did on one set of cases."""

    __tablename__ = "evaluations"
    __table_args__ = (Index("ix_evaluations_version", "prompt_version", "source", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    prompt: Mapped[str] = mapped_column(index=True)
    prompt_version: Mapped[str] = mapped_column(ForeignKey("prompt_versions.version"))
    model: Mapped[str]
    source: Mapped[str]
    """`held_out` for the folder's own held-out cases, which count as evidence; else the file's name."""
    cases_digest: Mapped[str]
    """SHA-256 over the cases, whatever their order."""
    cases: Mapped[int]
    state: Mapped[str]
    """`running`, `done`, or `stopped` at the dollar limit or by an error; what was paid for is kept for the next."""
    scores: Mapped[dict[str, Any] | None]
    """A `tasks.scoring.Scores`, once it is done."""
    cost: Mapped[Decimal] = mapped_column(default=Decimal(0))
    """US dollars that this evaluation has spent itself: answers that were known already cost nothing again."""
    seconds: Mapped[float] = mapped_column(Double, default=0.0)
    batch_id: Mapped[str | None]
    """The Batches API's own id, while it is waited for."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    ended_at: Mapped[datetime | None]


class CaseAnswer(Base):
    """What one prompt version answered to one case. The newest counts; a private file's are blanked in time."""

    __tablename__ = "case_answers"
    __table_args__ = (Index("ix_case_answers_version", "prompt_version", "case_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id"), index=True)
    prompt_version: Mapped[str]
    case_key: Mapped[str]
    """SHA-256 of the case's inputs: the same input is never paid for twice, whatever its case is called."""
    reply: Mapped[str] = mapped_column(Text)
    stop_reason: Mapped[str]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cost: Mapped[Decimal]
    seconds: Mapped[float] = mapped_column(Double)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class StageChange(Base):
    """The evidence for a prompt version began to support another stage, or trouble took one away."""

    __tablename__ = "stage_changes"
    __table_args__ = (Index("ix_stage_changes_version", "workflow", "prompt_version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    workflow: Mapped[str]
    prompt_version: Mapped[str]
    previous: Mapped[str]
    stage: Mapped[str]
    why: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Observation(Base):
    """What people really did where a shadow action was only recorded."""

    __tablename__ = "observations"

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"), unique=True)
    agreed: Mapped[bool | None]
    """Whether they did what the workflow would have done; None while nobody has done anything."""
    found: Mapped[dict[str, Any]]
    """What was found at the vendor: `what` in words, and for a text how `similar` it is, 0 to 1."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    redacted_at: Mapped[datetime | None]


class Mirror(Base):
    """One record that a person did by hand, before or beside the automation: the baseline's raw figures."""

    __tablename__ = "mirrors"

    id: Mapped[int] = mapped_column(primary_key=True)
    workflow: Mapped[str] = mapped_column(index=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"), index=True)
    person: Mapped[str]
    seconds: Mapped[float] = mapped_column(Double)
    """Of work, without pauses."""
    answer: Mapped[dict[str, Any]]
    """What the person decided, in the fields of the prompt's answer."""
    steps: Mapped[list[str]] = mapped_column(JSON)
    """What the person did, in order, in their own words."""
    failed: Mapped[bool]
    """Whether it was late, wrong or not done at all."""
    comment: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    redacted_at: Mapped[datetime | None]
