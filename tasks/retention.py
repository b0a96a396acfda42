"""Retention: what is closed loses its personal data, by age or on request. The row stays, and the history tells of it.

What is counted later stays with it: states, money, tokens, digests, who decided what and when, and the answer's labels.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

import prompts
from blocks.ledger import (
    Action,
    AgentRun,
    Assignment,
    CaseAnswer,
    Decision,
    Evaluation,
    Ledger,
    Mirror,
    ModelCall,
    Observation,
    Paper,
    Receipt,
    Record,
    ToolCall,
    WebhookEvent,
    history,
    utcnow,
)
from blocks.ledger.tables import Base
from tasks import records, shadow_report
from tasks.actions import noun_of
from tasks.evidence import HELD_OUT

SETTING = "SIGNOFF_RETENTION_DAYS"
DEFAULT_DAYS = 90

CLOSED = (records.DONE, records.SKIPPED, records.QUARANTINED)
SETTLED = ("done", "failed", "handled", "refused", "rejected", "expired", "shadow")
"""The states in which nobody needs an action's payload again. An action in any other keeps its record whole."""

MOST = 500
"""Records that a run redacts at most: retention must not keep new work waiting."""

BATCH = 50
"""Records in one transaction."""

_TEXTS = (Record.payload, Record.context, Record.answer)
"""Where of a record an address can stand. Its actions are made of these."""

BY_RULE = "the retention rule"
"""Who the history names when nobody asked."""

OF_AN_EVENT = "webhook:"
"""What the source of a record begins with that was made of a webhook event (`tasks.events`)."""

_EVENT = (WebhookEvent.source, WebhookEvent.external_id)

KEPT = frozenset({"id", "message_id", "thread_id", "sent_at", "received_at", "settled_by"})
"""What stays of a payload: by which a message is recognised in its own system, and whose word counted."""


class RetentionError(Exception):
    """What was asked for cannot be redacted, or the rule cannot be read; the message says why."""


@dataclass(frozen=True)
class Left:
    """A record that was asked for and is left as it is."""

    record_id: int
    why: str


@dataclass(frozen=True)
class Plan:
    """What a redaction would do."""

    ready: list[int]
    """The numbers of the records that would be redacted."""
    left: list[Left]


@dataclass(frozen=True)
class Redaction:
    """What a redaction did."""

    records: int
    rows: int
    """Rows of all tables, the records among them."""
    fields: int


@dataclass(frozen=True)
class Person:
    """Where an address occurs in the ledger."""

    records: list[int]
    """The numbers of the records that came from it."""
    mentioned: list[int]
    """The numbers of other people's records that name it."""
    events: list[int] = field(default_factory=list)
    """The numbers of the webhook events that name it and became no record."""


def days() -> int:
    """After how many days closed records are redacted by themselves; 0: never.

    Raises:
        RetentionError: the setting is no whole number of days.
    """
    text = os.environ.get(SETTING, "").strip() or str(DEFAULT_DAYS)
    if not text.isdecimal():
        raise RetentionError(f"{SETTING} is {text!r}: it must be a whole number of days, or 0 to keep everything")
    return int(text)


def apply(ledger: Ledger, workflow: str | None = None) -> int:
    """Redact what the retention rule says, the longest untouched first, at most `MOST` records; returns how many.

    For the start of a run: where nothing is due it costs one look at an index (given the workflow's name).

    Raises:
        RetentionError: the setting is no whole number of days.
    """
    keep = days()
    shadow_report.give_up(ledger, workflow)
    if not keep:
        return 0
    _forget_private_answers(ledger, keep)
    _forget_events(ledger, keep)
    return redact(ledger, due(ledger, keep, workflow, limit=MOST), by=BY_RULE).records


def _forget_private_answers(ledger: Ledger, older_than_days: int) -> None:
    """Take out what was answered to a file's cases, which may be real mail, so many days ago. The scores stay.

    Without its key an answer is found no more, so a later evaluation asks anew instead of judging a blank.
    """
    before = utcnow() - timedelta(days=older_than_days)
    private = sa.select(Evaluation.id).where(Evaluation.source != HELD_OUT)
    old = (CaseAnswer.evaluation_id.in_(private), CaseAnswer.created_at < before, CaseAnswer.case_key != "")
    with ledger.read() as session:
        wanted = session.execute(
            sa.select(CaseAnswer.evaluation_id, sa.func.count()).where(*old).group_by(sa.text("1"))
        )
        counts = [(number, count) for number, count in wanted]
    if not counts:
        return
    with ledger.write() as session:
        _leave_no_trace(session)
        session.execute(sa.update(CaseAnswer).where(*old).values(reply="", case_key=""))
        for number, count in counts:
            history.note(session, history.REDACTED, f"evaluations/{number}", fields=count, by=BY_RULE)


def _forget_events(ledger: Ledger, older_than_days: int) -> None:
    """Take out what handled webhook events said, so many days after they came, the oldest first."""
    old = (
        WebhookEvent.received_at < utcnow() - timedelta(days=older_than_days),
        WebhookEvent.redacted_at.is_(None),
        WebhookEvent.handled_at.is_not(None),
    )
    with ledger.read() as session:
        ids = session.scalars(
            sa.select(WebhookEvent.id).where(*old).order_by(WebhookEvent.received_at).limit(MOST)
        ).all()
    redact_events(ledger, ids, by=BY_RULE)


def due(ledger: Ledger, older_than_days: int, workflow: str | None = None, limit: int | None = None) -> list[int]:
    """The closed records, with nothing open, that neither they nor their actions have changed for so many days."""
    before = utcnow() - timedelta(days=older_than_days)
    kept_whole = sa.exists().where(
        Action.record_id == Record.id, sa.or_(Action.state.not_in(SETTLED), Action.updated_at >= before)
    )
    # In this order the index on what is not redacted yet serves both the condition and the limit.
    query = sa.select(Record.id).order_by(Record.updated_at).limit(limit)
    query = query.where(Record.redacted_at.is_(None), Record.updated_at < before, Record.state.in_(CLOSED), ~kept_whole)
    if workflow is not None:
        query = query.where(Record.workflow == workflow)
    with ledger.read() as session:
        return list(session.scalars(query))


def of_person(ledger: Ledger, address: str) -> Person:
    """The records that are from an address, and the others that name it. It reads every record's content.

    Raises:
        RetentionError: this is no e-mail address.
    """
    wanted = address.strip().lower()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", wanted):
        raise RetentionError(f"{address!r} is no e-mail address")
    parts = [sa.func.coalesce(sa.cast(column, sa.Text), "") for column in _TEXTS]
    said = sa.func.lower(parts[0].concat(parts[1]).concat(parts[2]))
    named = said.contains(_in_json(wanted), autoescape=True)
    found = sa.select(Record.id, Record.payload).where(sa.or_(named, _in_what_an_agent_read(_in_json(wanted))))
    theirs: list[int] = []
    others: list[int] = []
    with ledger.read() as session:
        for number, payload in session.execute(found.order_by(Record.id).execution_options(yield_per=BATCH)):
            is_from = any(isinstance(value, str) and value.lower() == wanted for value in payload.values())
            (theirs if is_from else others).append(number)
        naming = session.execute(_events_naming(_in_json(wanted)))
        events = [number for number, payload in naming if _names(payload, wanted)]
    return Person(theirs, others, events)


def _names(payload: Mapping[str, Any] | None, wanted: str) -> bool:
    """Whether the address itself stands there, and not only one that holds it: joann@..., ann@....org."""
    whole = rf"(?<![\w.+%-]){re.escape(wanted)}(?![\w-]|\.\w)"
    return re.search(whole, json.dumps(payload, ensure_ascii=False).lower()) is not None


def _events_naming(wanted: str) -> sa.Select[tuple[int, dict[str, Any] | None]]:
    """Those that are handled and belong to no record: with a record they go as that goes."""
    said = sa.func.lower(sa.cast(WebhookEvent.payload, sa.Text))
    mine = sa.and_(
        Record.source == sa.literal(OF_AN_EVENT).concat(WebhookEvent.source),
        Record.external_id == WebhookEvent.external_id,
    )
    query = sa.select(WebhookEvent.id, WebhookEvent.payload)
    query = query.where(WebhookEvent.redacted_at.is_(None), WebhookEvent.handled_at.is_not(None))
    named = said.contains(wanted, autoescape=True)
    return query.where(named, ~sa.exists().where(mine)).order_by(WebhookEvent.id)


def _in_what_an_agent_read(wanted: str) -> sa.ColumnElement[bool]:
    """Whether an agent's tool was given, or gave back, what names the address: that is in no record itself."""
    texts = sa.func.lower(sa.cast(ToolCall.input, sa.Text).concat(ToolCall.output))
    return sa.exists().where(ToolCall.record_id == Record.id, texts.contains(wanted, autoescape=True))


def plan(ledger: Ledger, ids: Collection[int]) -> Plan:
    """Which of these records can be redacted now, and why the others cannot.

    Raises:
        RetentionError: the ledger has no such record.
    """
    wanted = sorted(set(ids))
    obstacles: dict[int, str | None] = {}
    with ledger.read() as session:
        for some in _batches(wanted):
            found = session.scalars(sa.select(Record).where(Record.id.in_(some))).all()
            unsettled = _unsettled(session, some)
            obstacles |= {record.id: _obstacle(record, unsettled.get(record.id, ())) for record in found}
            session.expunge_all()
    if missing := [str(number) for number in wanted if number not in obstacles]:
        raise RetentionError(f"the ledger has no record {', '.join(missing)}")
    left = [Left(number, why) for number, why in obstacles.items() if why]
    return Plan(ready=[number for number, why in obstacles.items() if not why], left=left)


def redact(ledger: Ledger, ids: Sequence[int], *, by: str) -> Redaction:
    """Take the personal data out of these records and all that hangs on them, a batch a transaction.

    What is open, or was redacted before, is passed over. It can be stopped and begun again at any time.
    """
    count, rows, fields = 0, 0, 0
    for some in _batches(ids):
        with ledger.write() as session:
            redacted = _redact(session, some, by)
        count += sum(isinstance(row, Record) for row, _ in redacted)
        rows += len(redacted)
        fields += sum(changed for _, changed in redacted)
    return Redaction(count, rows, fields)


def redact_events(ledger: Ledger, ids: Sequence[int], *, by: str) -> Redaction:
    """Take out what these webhook events said. Those that were redacted before are passed over."""
    redacted: list[tuple[Base, int]] = []
    for some in _batches(ids):
        with ledger.write() as session:
            _leave_no_trace(session)
            cut = [(event, _event_cut(event)) for event in _whole(session, WebhookEvent, WebhookEvent.id.in_(some))]
            redacted += _cut_out(session, cut, by)
    return Redaction(0, len(redacted), sum(changed for _, changed in redacted))


def redacted_on(at: datetime) -> str:
    """How a redaction is told where the content would stand."""
    return f"redacted on {at:%Y-%m-%d}"


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _redact(session: Session, ids: Sequence[int], by: str) -> list[tuple[Base, int]]:
    """The redacted rows, each with how many of its fields were changed."""
    _leave_no_trace(session)
    return _cut_out(session, _cuts(session, _closed(session, ids)), by)


def _cut_out(session: Session, cuts: Iterable[tuple[Base, dict[str, Any]]], by: str) -> list[tuple[Base, int]]:
    """Let each row hold what is to stand in it, and the history tell of it."""
    now = utcnow()
    redacted = []
    for row, cut in cuts:
        changes = {name: value for name, value in cut.items() if getattr(row, name) != value}
        # A record is marked whatever it held, so that it is not looked at again.
        if changes or isinstance(row, Record):
            _change(row, changes | {"redacted_at": now})
            redacted.append((row, len(changes)))
    session.flush()
    if redacted:
        history.write(session.connection(), [_entry(row, changed, by) for row, changed in redacted])
    return redacted


def _closed(session: Session, ids: Sequence[int]) -> Sequence[Record]:
    """Those of these records that can be redacted, held until the transaction's end."""
    query = sa.select(Record).where(Record.id.in_(ids)).order_by(Record.id)
    unsettled = _unsettled(session, ids)
    return [r for r in session.scalars(query) if not _obstacle(r, unsettled.get(r.id, ()))]


def _unsettled(session: Session, ids: Sequence[int]) -> dict[int, list[tuple[int, str, str]]]:
    """The number, kind and state of each action that is not settled and holds something of these records, by record."""
    query = sa.select(Action.record_id, Action.id, Action.kind, Action.state).where(Action.state.not_in(SETTLED))
    found: dict[int, list[tuple[int, str, str]]] = {}
    for record_id, *action in session.execute(query.where(Action.record_id.in_(ids))):
        found.setdefault(record_id, []).append((action[0], action[1], action[2]))
    # A report that is still to be posted would fail, if what it says were taken out of it.
    reports = shadow_report.about(session, ids)
    for _, *action in session.execute(query.where(Action.id.in_(reports))):
        for record_id in reports[action[0]]:
            found.setdefault(record_id, []).append((action[0], action[1], action[2]))
    return found


def _obstacle(record: Record, unsettled: Sequence[tuple[int, str, str]]) -> str | None:
    """Why a record cannot be redacted now; None when it can."""
    if record.redacted_at is not None:
        return f"it was {redacted_on(record.redacted_at)} already"
    if record.state not in CLOSED:
        return f"it is still open ({record.state}): the workflow's next run takes it up"
    if not unsettled:
        return None
    number, kind, state = unsettled[0]
    way = {
        "waiting": f"waits for a decision: signoff approvals reject {number}, or approve it",
        "unknown": f"is in doubt: signoff ledger settle {number} --done, or --not-done",
    }.get(state, f"is {state}: the workflow's next run does it")
    return f"its {noun_of(kind)} #{number} {way}"


def _cuts(session: Session, closed: Sequence[Record]) -> Iterable[tuple[Base, dict[str, Any]]]:
    """Every row that hangs on these records, and what is to stand in it afterwards."""
    ids = [record.id for record in closed]
    calls = _whole(session, ModelCall, ModelCall.record_id.in_(ids))
    prompt_of = {call.record_id: call.prompt for call in calls}
    mirrors = _whole(session, Mirror, Mirror.record_id.in_(ids))
    papers = _whole(session, Paper, Paper.record_id.in_(ids))
    events = _whole(session, WebhookEvent, sa.tuple_(*_EVENT).in_([(_endpoint(r), r.external_id) for r in closed]))
    reports = shadow_report.about(session, ids)
    theirs = sa.select(Action.id).where(sa.or_(Action.record_id.in_(ids), Action.id.in_(reports)))
    return chain(
        ((record, _record_cut(record, prompt_of.get(record.id))) for record in closed),
        ((call, {"reply": ""}) for call in calls),
        ((run, {"text": ""}) for run in _whole(session, AgentRun, AgentRun.record_id.in_(ids))),
        ((tool, {"input": {}, "output": ""}) for tool in _whole(session, ToolCall, ToolCall.record_id.in_(ids))),
        ((mirror, _mirror_cut(mirror)) for mirror in mirrors),
        ((paper, {"name": "", "content": None, "sheet": None}) for paper in papers),
        ((event, _event_cut(event)) for event in events),
        _cuts_of_actions(session, theirs),
    )


def _cuts_of_actions(session: Session, ids: sa.Select[tuple[int]]) -> Iterable[tuple[Base, dict[str, Any]]]:
    """The same for actions, and what hangs on them."""
    actions = _whole(session, Action, Action.id.in_(ids))
    decisions = _whole(session, Decision, Decision.action_id.in_(ids))
    receipts = _whole(session, Receipt, Receipt.action_id.in_(ids))
    observations = _whole(session, Observation, Observation.action_id.in_(ids))
    assignments = _whole(session, Assignment, Assignment.action_id.in_(ids))
    return chain(
        ((assigned, {"comment": ""}) for assigned in assignments),
        ((action, _action_cut(action)) for action in actions),
        ((decision, {"payload": _ids_of(decision.payload), "comment": ""}) for decision in decisions),
        ((receipt, {"detail": _ids_of(receipt.detail)}) for receipt in receipts),
        ((seen, {"found": _figures_of(seen.found)}) for seen in observations),
    )


def _whole(session: Session, kind: Any, *where: sa.ColumnElement[bool]) -> Sequence[Any]:
    """The rows of a table that were not redacted before."""
    return session.scalars(sa.select(kind).where(kind.redacted_at.is_(None), *where).order_by(kind.id)).all()


def _record_cut(record: Record, prompt: str | None) -> dict[str, Any]:
    return {
        "title": "",
        "payload": _ids_of(record.payload),
        "context": None,
        "answer": record.answer and _labels(record.answer, _choices(prompt)),
        "reason": record.reason and ours(record.reason),
    }


def _action_cut(action: Action) -> dict[str, Any]:
    payload = _ids_of(action.payload)
    return {
        "title": f"{noun_of(action.kind)} (redacted)",
        "payload": payload,
        "explanation": "",
        "progress": None,
        "reason": None,
    }


def _event_cut(event: WebhookEvent) -> dict[str, Any]:
    return {"payload": None, "reason": event.reason and ours(event.reason)}


def _endpoint(record: Record) -> str:
    """The name of the endpoint that a record came through; empty when it came another way."""
    return record.source.removeprefix(OF_AN_EVENT) if record.source.startswith(OF_AN_EVENT) else ""


def _mirror_cut(mirror: Mirror) -> dict[str, Any]:
    """How long it took, who did it and whether it failed stay: the baseline is made of these.

    No model may have answered the record, so the prompt is the one of the workflow's name (`signoff check` sees to it).
    """
    return {"answer": _labels(mirror.answer, _choices(mirror.workflow.replace("-", "_"))), "steps": [], "comment": ""}


def _figures_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was seen at the vendor: ids and figures."""
    figures = {name: value for name, value in found.items() if isinstance(value, float | int)}
    return _ids_of(found) | figures


def _ids_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name in KEPT and "@" not in str(value)}


def ours(reason: str) -> str | None:
    """A reason up to its first colon: these are our words, and what comes after may be the sender's."""
    head = reason.partition(":")[0]
    return None if "@" in head else head


def _labels(answer: Mapping[str, Any], choices: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    """What counts of an answer: numbers, yes or no, and the values that its type offers. Never a text of its own."""
    return {name: value for name, value in answer.items() if _is_label(value, choices.get(name, frozenset()))}


def _is_label(value: Any, choices: frozenset[str]) -> bool:
    if isinstance(value, list):
        return all(_is_label(item, choices) for item in value)
    return value in choices if isinstance(value, str) else not isinstance(value, dict)


@cache
def _choices(prompt: str | None) -> dict[str, frozenset[str]]:
    """The texts that each field of a prompt's answer can be chosen from; none for a prompt that is there no longer."""
    try:
        schema = prompts.load(prompt).schema if prompt else {}
    except (prompts.PromptError, ImportError):
        return {}
    definitions = schema.get("$defs", {})
    return {name: frozenset(_offered(field, definitions)) for name, field in schema.get("properties", {}).items()}


def _offered(schema: Any, definitions: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Every text that a part of a JSON schema offers as a choice (`Literal` and `Enum` become `enum` or `const`)."""
    if not isinstance(schema, Mapping):
        return
    yield from (value for value in (*schema.get("enum", ()), schema.get("const")) if isinstance(value, str))
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name not in seen:  # a type may hold itself
        yield from _offered(definitions.get(name), definitions, seen | {name})
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ()), schema.get("items")):
        yield from _offered(part, definitions, seen)


def _change(row: Base, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    if "updated_at" in sa.inspect(row).mapper.column_attrs:
        # It says when the row was last worked on, for statistics: a redaction is no work.
        flag_modified(row, "updated_at")


def _entry(row: Base, changed: int, by: str) -> history.Entry:
    seal = history.seal_of(row) if type(row) in history.SEALED else None
    return history.Entry(history.REDACTED, history.subject_of(row), {"fields": changed, "by": by}, seal)


def _leave_no_trace(session: Session) -> None:
    """SQLite would keep what was overwritten in the free parts of its file, for anybody to read."""
    if session.get_bind().dialect.name == "sqlite":
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")


def _in_json(text: str) -> str:
    """As it stands in a JSON column's text."""
    return json.dumps(text)[1:-1].lower()
