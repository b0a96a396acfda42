"""Act: what was allowed is done, once. The intent is in the ledger before the call, the receipt right after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from blocks import connections
from blocks.ledger import Action, Decision, Ledger, Receipt, Record, history, utcnow
from blocks.rows import Rows
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from tasks import actions, alerts, drift, records, shadow_report, tracing
from tasks.actions import BY_CARD, Impact, SendFollowUp
from tasks.card import Stage
from tasks.performers import PERFORMERS, Attempt, Done, InDoubt, NotNow, Superseded
from tasks.run import Run, lowered_to
from tasks.verb import (
    ACCOUNT,
    BACKOFF_SECONDS,
    concurrently,
    last_attempt,
    pause_before_retry,
    raise_if_worth_retrying,
    verb,
)

TO_DO = ("pending", "unknown")


# Made once, and on the table rather than through the mapper: each action needs them several times.
_TABLE: Any = Action.__table__
_TAKE = (
    sa.update(_TABLE)
    .where(_TABLE.c.id == sa.bindparam("action"), _TABLE.c.state.in_(TO_DO), _TABLE.c.run_id.is_(None))
    .values(
        state="acting",
        run_id=sa.bindparam("holder"),
        attempts=_TABLE.c.attempts + 1,
        updated_at=sa.bindparam("now"),
    )
    .returning(_TABLE.c.attempts)
)
_HELD = sa.update(_TABLE).where(_TABLE.c.id == sa.bindparam("action"), _TABLE.c.run_id == sa.bindparam("holder"))
_ALLOWED = (
    sa.select(
        Action, Decision, sa.select(sa.func.min(Receipt.id)).where(Receipt.action_id == Action.id).scalar_subquery()
    )
    .join(Decision, Decision.id == sa.bindparam("decision"), isouter=True)
    .where(Action.id == sa.bindparam("action"))
)


class NotApproved(Exception):
    """An action was to be done without a decision in the ledger that allows exactly this."""


class NotDone(Exception):
    """An approved action was not carried out; the message says why, and that it is not lost."""


class LostClaim(Exception):
    """This run was taken for dead, and another has taken its action over: it must not touch it any more."""


class Tampered(NotApproved):
    """The payload in the ledger is not the one that was approved."""


@dataclass(frozen=True)
class Approved:
    """Leave to act: names the decision's row. Worth nothing by itself, the row is looked up and marked as used."""

    action_id: int
    decision_id: int


@verb("act")
def perform(run: Run, ids: Sequence[int]) -> None:
    """Do the batch's allowed actions, and close the records that want nothing more.

    Records go on side by side; the actions of one record in the order in which they were wanted.

    Raises:
        VendorError: a vendor could not be reached; what was done is done and recorded.
    """
    with run.ledger.read() as session:
        mine = sa.or_(Action.record_id.in_(ids), sa.and_(shadow_report.is_one(), Action.workflow == run.card.workflow))
        query = allowed(run.look_at_stage()).where(mine)
        wanted = [(action, decision_id) for action, decision_id in session.execute(query)]
    errors = _noting_optional(run, carry_out(run.ledger, run.id, wanted))
    # All records count, not only this attempt's: a retry no longer sees the actions that the first attempt has done.
    raise_if_worth_retrying(errors, succeeded=len(ids) - len(errors))
    _note(run, errors)
    _close(run.ledger, ids)


@verb("act on what was left")
def resume(run: Run) -> None:
    """Do the workflow's allowed actions that an earlier run did not get to, or died over.

    What cannot be done now either, after the retries, is left to the next run: it does not keep this one from new work.
    Records that another run has claimed are that run's: it does what they want, and closes them.
    """
    claimed = sa.exists().where(Record.id == Action.record_id, Record.run_id.is_not(None))
    with run.ledger.read() as session:
        query = allowed(run.look_at_stage()).where(Action.workflow == run.card.workflow, ~claimed)
        left = [(action, decision_id) for action, decision_id in session.execute(query)]
    _note_passed_earlier(run)
    errors = _noting_optional(run, carry_out(run.ledger, run.id, left))
    raise_if_worth_retrying([e for e in errors if not e.permanent], succeeded=1)
    _note(run, errors)


def _note_passed_earlier(run: Run) -> None:
    """What the card had passed while more was earned is not done now, and must not be forgotten in silence."""
    if run.stage is not Stage.GATED:
        return
    query = allowed(Stage.SELECTIVE).where(Action.workflow == run.card.workflow, Decision.approver == BY_CARD)
    counted = query.where(~shadow_report.is_one()).with_only_columns(sa.func.count()).order_by(None)
    with run.ledger.read() as session:
        left = session.scalar(counted)
    if left:
        run.note(f"{left} low-impact actions that the card had passed wait until it runs selective again")


@verb("act")
def decided(ledger: Ledger, run_id: str, approved: Approved) -> None:
    """Do the action that a person has decided on, and those that were approved together with it.

    Raises:
        NotApproved: the ledger does not allow it.
        VendorError: the vendor could not be reached.
        NotDone: the workflow is stopped, or nobody can tell whether it was done.
    """
    with ledger.read() as session:
        mine = session.get_one(Action, approved.action_id)
        together = allowed(Stage.GATED).where(
            Action.flow_run_id == mine.flow_run_id, Action.workflow == mine.workflow, Action.id != mine.id
        )
        others = [(action, decision_id) for action, decision_id in session.execute(together)]
    stage, why = lowered_to(mine.workflow)
    if stage is Stage.SHADOW:
        raise NotDone(f"{mine.workflow} is stopped ({why}): the action waits until its stage is raised again")
    # In the order in which they were wanted: a note needs the contact that an earlier action saves.
    errors = carry_out(ledger, run_id, [one for one in others if one[0].id < mine.id])
    failed: VendorError | None = None
    try:
        do(ledger, run_id, approved)
    except VendorError as error:
        failed = error
    errors += carry_out(ledger, run_id, [one for one in others if one[0].id > mine.id])
    if failed:
        raise failed
    raise_if_worth_retrying(errors, succeeded=1)
    with ledger.read() as session:
        action = session.get_one(Action, approved.action_id)
    if action.state not in ("done", "refused") and not _waits_for_its_day(action):
        raise NotDone(f"action {action.id} ({action.title}) is {action.state}: {action.reason or 'another run has it'}")


def carry_out(ledger: Ledger, run_id: str, wanted: Sequence[tuple[Action, int]]) -> list[VendorError]:
    """Do these (action, decision id) pairs; returns what stopped a record's actions, at most one error for each."""
    by_record: dict[Any, list[Approved]] = {}
    for action, decision_id in wanted:
        by_record.setdefault(action.record_id or -action.id, []).append(Approved(action.id, decision_id))
    outcomes = concurrently(lambda batch: _in_order(ledger, run_id, batch), list(by_record.values()))
    return [outcome for _, outcome in outcomes if isinstance(outcome, VendorError)]


@tracing.action
def do(ledger: Ledger, run_id: str, approved: Approved) -> None:
    """Do one action, once, and record how it ended.

    Raises:
        NotApproved: the ledger holds no unused decision for exactly this payload. Nothing was done.
        VendorError: the vendor could not be reached; the action waits for another attempt, as `pending` when it is
            certain that nothing happened, as `unknown` when it is not.
    """
    try:
        claimed = _claim(ledger, run_id, approved)
    except Tampered as error:
        # Out of the way of the workflow's other actions, and loud: somebody wrote into the ledger past us.
        _refuse(ledger, approved.action_id, str(error))
        raise
    if claimed is None:
        return
    action, payload, in_doubt = claimed
    tracing.note_action(action)
    mine = partial(_update_mine, ledger, action.id, run_id)
    performer = PERFORMERS.get(action.kind)
    if performer is None:
        mine(state="failed", reason=f"this version of Signoff does not know {action.kind}", run_id=None)
        return
    attempt = Attempt(
        action.key, action.progress or {}, lambda progress: mine(progress=progress), action.created_at, action.record_id
    )
    try:
        wanted = actions.load(action.kind, payload)
        block = _block(ledger, action.credential)
        # What leaves the company is looked for even at the first attempt: the ledger may be a restored backup.
        look = action.attempts > 1 or wanted.impact is Impact.HIGH
        done = performer.find(block, wanted, attempt) if look else None
        found, in_doubt = done is not None, False
        if done is None:
            if look:  # that took a while: the last moment at which a run that was taken for dead can be told so
                attempt.save()
            done = performer.perform(block, wanted, attempt)
    except VendorError as error:
        mine(state=_state_after(error, in_doubt=in_doubt), reason=str(error), run_id=None)
        if isinstance(error, SchemaDrift):
            alerts.open_alert(ledger, drift.key(error), f"{error}. {action.title} waits for it.", action.workflow)
        raise
    except InDoubt as error:
        mine(state="unknown", reason=str(error), run_id=None)
        return
    except (connections.MissingCredential, NotNow) as error:
        mine(state="pending", reason=str(error), run_id=None)
        return
    except Superseded as error:
        mine(state="refused", reason=str(error), run_id=None)
        return
    except ValidationError as error:
        reason = f"this version of Signoff cannot read what was stored: {error.errors()[0]['msg']}"
        mine(state="failed", reason=reason, run_id=None)
        return
    _finished(ledger, action, run_id, done, found=found)


def _block(ledger: Ledger, credential: str) -> Any:
    """What an action is done with; for rows it is this very ledger's database."""
    return Rows(ledger) if credential == connections.ROWS else connections.load(credential)


def _waits_for_its_day(action: Action) -> bool:
    """Whether it was put off for a reason of its own: the workflow's next run does it, and nothing is wrong."""
    return action.state == "pending" and action.kind == SendFollowUp.kind and action.reason is not None


def allowed(stage: Stage) -> sa.Select[tuple[Action, int]]:
    """Actions with a decision that allows them, as far as the stage lets them be done now.

    The shadow report leaves at every stage: the card itself allows it, and nobody is asked.
    """
    query = (
        sa.select(Action, Decision.id)
        .join(Decision, Decision.action_id == Action.id)
        .where(Action.state.in_(TO_DO), Action.run_id.is_(None), Decision.verdict == "approved")
        .order_by(Action.id)
    )
    if stage is Stage.SHADOW:
        return query.where(shadow_report.is_one())
    if stage is Stage.GATED:
        return query.where(sa.or_(Decision.approver != BY_CARD, shadow_report.is_one()))
    return query


def _noting_optional(run: Run, errors: list[VendorError]) -> list[VendorError]:
    """The errors without those of an optional vendor that this run does not retry: they are noted, and fail nothing."""
    optional = {line.kind.split(".")[0] for line in run.card.writes if line.optional}
    optional |= {"slack"} if run.card.shadow_report else set()
    if run.stage is not Stage.SHADOW:  # where nothing but the report leaves
        optional -= {line.kind.split(".")[0] for line in run.card.writes if not line.optional}
    given_up = [e for e in errors if e.vendor in optional and not _is_retried(run, e)]
    _note(run, given_up)
    return [e for e in errors if e not in given_up]


def _is_retried(run: Run, error: VendorError) -> bool:
    """Whether the verb would be tried again for this error, as its retry condition has it."""
    # With the longest backoff: who is short of time leaves it to the next run.
    return not last_attempt() and pause_before_retry(error, BACKOFF_SECONDS[-1], run.deadline) is not None


def _note(run: Run, errors: Sequence[VendorError]) -> None:
    if errors:
        run.note(f"the actions of {len(errors)} records could not all be done: {errors[0]}")


def _in_order(ledger: Ledger, run_id: str, batch: Sequence[Approved]) -> None:
    """One that cannot be done does not keep the record's others from it; the first error is raised at the end."""
    first: VendorError | None = None
    for approved in batch:
        try:
            do(ledger, run_id, approved)
        except VendorError as error:
            first = first or error
    if first:
        raise first


def _claim(ledger: Ledger, run_id: str, approved: Approved) -> tuple[Action, dict[str, Any], bool] | None:
    """Take the action for this run; None when another run has it or it is done.

    Returns:
        The action, the payload that was approved, and whether an earlier attempt may have done it.
    """

    def claim(session: Session) -> tuple[Action, dict[str, Any], bool] | None:
        action, decision = _allowed_by_ledger(session, approved)
        in_doubt = action.state == "unknown"
        taken = session.connection().scalar(_TAKE, {"action": action.id, "holder": run_id, "now": utcnow()})
        if taken is None:
            return None
        set_committed_value(action, "attempts", taken)  # whether to look first hangs on it
        decision.used_at = decision.used_at or utcnow()
        history.note(session, "action acting", f"actions/{action.id}", run=run_id, attempt=taken)
        return action, decision.payload, in_doubt

    return ledger.together(claim)


def _allowed_by_ledger(session: Session, approved: Approved) -> tuple[Action, Decision]:
    found = session.execute(_ALLOWED, {"action": approved.action_id, "decision": approved.decision_id}).one_or_none()
    action, decision, receipt = found or (None, None, None)
    if action is None or decision is None or decision.action_id != action.id:
        raise NotApproved(f"no decision in the ledger belongs to action {approved.action_id}")
    if decision.verdict != "approved":
        raise NotApproved(f"action {action.id} ({action.title}) was {decision.verdict}, not approved")
    if action.redacted_at:
        raise NotApproved(
            f"action {action.id} was closed, and what it held was redacted on {action.redacted_at:%Y-%m-%d}"
        )
    if actions.digest(action.kind, decision.payload, action.credential) != decision.digest:
        raise Tampered(f"action {action.id} ({action.title}) is not what was approved: it was changed afterwards")
    if action.state in TO_DO and receipt is not None:
        raise Tampered(f"action {action.id} ({action.title}) was done already: its approval is used up")
    return action, decision


def _state_after(error: VendorError, *, in_doubt: bool) -> str:
    if error.unknown or in_doubt:  # who cannot look either knows no more than before
        return "unknown"
    # The action is as good as before, once a person has seen to the credential, or to a reply that has changed.
    if error.status in ACCOUNT or isinstance(error, SchemaDrift):
        return "pending"
    return "failed" if error.permanent else "pending"


def _finished(ledger: Ledger, action: Action, run_id: str, done: Done, *, found: bool) -> None:
    receipt = Receipt(
        action_id=action.id, vendor=done.vendor, external_id=done.external_id, detail=dict(done.detail), found=found
    )
    _update_mine(ledger, action.id, run_id, receipt, state="done", reason=None, run_id=None)


def _close(ledger: Ledger, ids: Sequence[int]) -> None:
    """Close the gated records that have no allowed action left. What waits for a person lives on by itself."""
    open_actions = sa.select(Action.record_id).where(Action.record_id.in_(ids), Action.state.in_((*TO_DO, "acting")))
    with ledger.write() as session:
        session.execute(
            sa.update(Record)
            .where(Record.id.in_(ids), Record.state == records.GATED, Record.id.not_in(open_actions))
            .values(state=records.DONE, run_id=None, updated_at=utcnow())
        )


def _update_mine(ledger: Ledger, action_id: int, holder: str, *new: Receipt, **values: Any) -> None:
    """Change an action that this run holds, and add what belongs to the change.

    Raises:
        LostClaim: another run holds it by now; nothing was written.
    """

    def change(session: Session) -> None:
        changed = _HELD.values(**values, updated_at=utcnow())
        if not session.connection().execute(changed, {"action": action_id, "holder": holder}).rowcount:
            raise LostClaim(f"action {action_id} was taken over by another run")
        if values.get("state", "done") != "done":  # done is told by the receipt
            history.note(session, f"action {values['state']}", f"actions/{action_id}", run=holder)
        session.add_all(new)

    ledger.together(change)
    if "state" in values:
        tracing.note_outcome(values["state"], new)


def _refuse(ledger: Ledger, action_id: int, reason: str) -> None:
    with ledger.write() as session:
        refused = sa.update(Action).where(Action.id == action_id, Action.state.in_(TO_DO), Action.run_id.is_(None))
        changed = refused.values(state="refused", reason=reason, run_id=None, updated_at=utcnow())
        if session.scalar(changed.returning(Action.id)):
            history.note(session, "action refused", f"actions/{action_id}")
