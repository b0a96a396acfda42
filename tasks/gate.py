"""Gate: what the flow wants becomes actions in the ledger; the stage says which pass and which wait for a person."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks import ledger
from blocks.ledger import Record, utcnow
from blocks.money import in_words, to_major, to_minor
from tasks import actions, approvals, output, records, shadow_report
from tasks.actions import BY_CARD, Action, Impact
from tasks.actions.base import Money
from tasks.card import Card, Stage, Writes
from tasks.plain import plain, quoted
from tasks.run import Run
from tasks.verb import verb

log = logging.getLogger(__name__)

EDITED = "Its links, addresses and numbers were compared with the record. What you change is yours and is not."
"""What an approver is told about a text that may be edited."""

Decide = Callable[[Record], Sequence[Action]]
"""The flow's plain code: what is done about a validated record."""

HELD_BACK = "held back: "
"""How the reason of an action begins that was refused for what stands in it."""

Explain = Callable[[Record], str]
"""What an approver must know of a record, as markdown."""


@verb("gate")
def check(run: Run, ids: Sequence[int], decide: Decide, explain: Explain) -> None:
    """Decide on every validated record of the batch and store the wanted actions, each in the state its stage gives.

    An action that goes to a stranger, or that holds a link, an address or a number which neither the record nor the
    card has, is refused at every stage: the model, and so whoever wrote to us, has no say in where things go.

    The actions and the record's move are one transaction; the approval runs are made after it, and made up for by the
    next run if this one dies in between.

    Raises:
        ApprovalError: high-impact actions wait, but nobody could approve them.
    """
    run.look_at_stage()
    batch = records.in_state(run.ledger, ids, records.VALIDATED)
    costs = _costs(run, ids)
    wanted: list[ledger.Action] = []
    changes = []
    for record in batch:
        try:
            wanted += rows(run, record, decide(record), explain, costs.get(record.id, Decimal(0)))
            changes.append({"id": record.id, "state": records.GATED, "reason": None})
        except Exception as error:
            why = f"no action could be made of it: {type(error).__name__}: {error}"
            log.warning("record %s: no action could be made of it", record.id, exc_info=error)
            changes.append(records.quarantine(record.id, why))
    with run.ledger.write() as session:
        mine = _still_mine(session, run, ids)
        new = want(session, run, [row for row in wanted if row.record_id in mine])
        records.move(session, (change for change in changes if change["id"] in mine))
    _note_held_back(run, new)
    shadow_report.tell(run, ids)
    approvals.request(run.ledger, waiting_without_run(run))


def _still_mine(session: Session, run: Run, ids: Sequence[int]) -> set[int]:
    """The records that no other run has: one that was taken for dead must not decide beside its successor."""
    table = Record
    held = sa.or_(table.run_id.is_(None), table.run_id == run.id)
    query = sa.select(table.id).where(table.id.in_(ids), held, table.state == records.VALIDATED)
    return set(session.scalars(query))


def state_for(action: Action, card: Card, stage: Stage, missing: Collection[str] = ()) -> tuple[str, str | None]:
    """The state in which a wanted action begins, and why, when the reason is not the stage itself.

    No decisive rule means no action: a kind that the card does not name is refused. `missing` are the kinds that are
    left out because their optional credential was never saved.
    """
    line = card.writes_of(action.kind)
    if line is None:
        return "refused", f"the card of {card.workflow} does not name {action.kind}"
    if action.kind in missing:
        return "refused", f"nobody has saved the credential {line.credential}"
    if action.money and (more := too_much(action.money, line)):
        return "refused", more
    if stage is Stage.SHADOW:
        return "shadow", None
    if stage is Stage.GATED or line.approval or action.impact is Impact.HIGH or action.doubts:
        return "waiting", None
    return "pending", None


def too_much(money: Money, line: Writes) -> str | None:
    """Why a card's line does not allow such an amount to be moved at once, or None."""
    most = line.most.get(money.currency)
    if most is None:
        return f"the card allows {line.kind} in {', '.join(line.most) or 'no currency'}, not in {money.currency}"
    if to_major(money.amount, money.currency) > most:
        limit = in_words(to_minor(most, money.currency), money.currency)
        return f"{in_words(money.amount, money.currency)} is over the card's limit for {line.kind}, {limit}"
    return None


def rows(
    run: Run, record: Record, wanted: Sequence[Action], explain: Explain, cost: Decimal = Decimal(0), again: str = ""
) -> list[ledger.Action]:
    """The actions that are wanted for a record, as the ledger holds them.

    Args:
        run: the run.
        record: what they are about.
        wanted: the actions.
        explain: what an approver must know.
        cost: what the record has cost, in dollars.
        again: what tells them from those that the record has wanted before, where it may want the same again.
    """
    seen: Counter[str] = Counter()
    found, known, why = [], output.Known(record), explain(record)
    for action in wanted:
        seen[action.kind] += 1
        one = row(run, record, action, known, key=_key(record, action.kind, seen[action.kind]) + again)
        if one.state != "pending":
            one.explanation = explanation(action, why, cost)
        found.append(one)
    return found


def want(session: Session, run: Run, wanted: Sequence[ledger.Action]) -> list[ledger.Action]:
    """Put these into the ledger, without those that are there, and pass what the card passes; returns the new ones."""
    theirs = sa.select(ledger.Action.key).where(ledger.Action.record_id.in_({row.record_id for row in wanted}))
    known = set(session.scalars(theirs))
    new = [row for row in wanted if row.key not in known]
    session.add_all(new)
    session.flush()
    session.add_all(_passed_by_the_card(row, run.card) for row in new if row.state == "pending")
    return new


def row(run: Run, record: Record, action: Action, known: output.Known, *, key: str) -> ledger.Action:
    """A wanted action as the ledger holds it, in the state that its stage, its content and its amount give it.

    Args:
        run: the run.
        record: what it is about.
        action: what is wanted.
        known: what the record holds.
        key: its natural key: what has the same is the same action.
    """
    stage = stage_of(run, record)
    state, reason = state_for(action, run.card, stage, run.left_out)
    if state != "refused" and (foreign := output.objection(action, known, run.card.allowed)):
        state, reason = "refused", f"{HELD_BACK}{foreign}"
    payload = action.model_dump(mode="json")
    line = run.card.writes_of(action.kind)
    credential = line.credential if line else ""
    return ledger.Action(
        key=key,
        workflow=run.card.workflow,
        record_id=record.id,
        kind=action.kind,
        impact=action.impact,
        title=action.title,
        payload=payload,
        digest=actions.digest(action.kind, payload, credential),
        credential=credential,
        explanation="",
        stage=stage,
        state=state,
        reason=reason,
        expires_at=utcnow() + timedelta(days=run.card.thresholds.approval_days),
    )


def stage_of(run: Run, record: Record) -> Stage:
    """The run's stage; what another version of the prompt had answered has not earned what this one has."""
    if record.prompt_version in (None, run.prompt_version) or run.stage is not Stage.SELECTIVE:
        return run.stage
    return Stage.GATED


def natural_key(record: Record) -> str:
    """What a record is, whatever number the ledger gave it. The keys of its actions begin with it."""
    return f"{record.workflow}:{record.source}:{record.external_id}:{record.version}"


def _key(record: Record, kind: str, nth: int) -> str:
    """The action's natural key: the same record can never want the same thing twice."""
    again = f"#{nth}" if nth > 1 else ""
    return f"{natural_key(record)}:{kind}{again}"


def explanation(action: Action, why: str, cost: Decimal) -> str:
    """The form's text: what, to whom, the draft, why, the source, and what it has cost. Markdown."""
    facts = [f"- **{label}:** {plain(value)}" for label, value in action.preview().items()]
    draft = ["**The text:**", quoted(str(getattr(action, action.editable))), EDITED] if action.editable else []
    return "\n\n".join([f"**{plain(action.title)}**", "\n".join(facts), why, *draft, f"**Cost so far:** ${cost:.4f}"])


def _note_held_back(run: Run, rows: Sequence[ledger.Action]) -> None:
    """A draft that is not put to anybody must not vanish in silence: the run says how many, and why the first was."""
    held = [row for row in rows if row.state == "refused" and (row.reason or "").startswith(HELD_BACK)]
    if not held:
        return
    counts = Counter(actions.KINDS[row.kind].noun for row in held)
    what = ", ".join(f"{count} {noun}" for noun, count in counts.items())
    first = f"action {held[0].id}: {(held[0].reason or '').removeprefix(HELD_BACK)}"
    run.note(f"{what} held back, because of what stands in them ({first}); `signoff ledger show` names them")


def _costs(run: Run, ids: Sequence[int]) -> dict[int, Decimal]:
    calls = ledger.ModelCall
    query = sa.select(calls.record_id, sa.func.sum(calls.cost)).where(calls.record_id.in_(ids))
    with run.ledger.read() as session:
        return {record: cost for record, cost in session.execute(query.group_by(calls.record_id))}


def _passed_by_the_card(row: ledger.Action, card: Card) -> ledger.Decision:
    return ledger.Decision(
        action_id=row.id,
        verdict="approved",
        approver=BY_CARD,
        comment=f"low impact, stage {card.stage}",
        payload=row.payload,
        digest=row.digest,
    )


def waiting_without_run(run: Run) -> list[int]:
    """The workflow's actions that wait for a person and have no form yet."""
    table = ledger.Action
    with run.ledger.read() as session:
        return list(
            session.scalars(
                sa.select(table.id).where(
                    table.workflow == run.card.workflow,
                    table.state == "waiting",
                    table.flow_run_id.is_(None),
                )
            )
        )
