"""Evidence: which stage a prompt version has earned. Autonomy comes from what is in the ledger, and goes with it.

Without evidence a workflow runs gated: a person decides everything, so that nothing can go wrong and nothing is left
undone. With enough of it, and as long as it holds, low-impact actions pass by themselves (selective). Where people
reject most of what it proposes, it only watches (shadow). Money, contracts and messages that leave the company ask a
person at every stage, for ever, whatever the evidence: `tasks/gate.py` holds that floor, and nothing here can move it.

Everything is about one prompt version (text, schema, settings and model), so that an edit starts over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Action, Decision, Evaluation, Ledger, Observation, Record, StageChange, history, utcnow
from tasks import alerts, records
from tasks.actions import BY_CARD
from tasks.card import Card, Evidence, Stage
from tasks.scoring import FieldScore, Scores, percent

HELD_OUT = "held_out"
"""The source of the evaluations that count: the prompt folder's own held-out cases."""

FIRST = 10
"""People's decisions that it takes before a share of them is believed."""

ACTIONS = 20
"""More than any record wants: so many decisions a record are looked through."""

ANSWERED = (records.GATED, records.DONE)


@dataclass(frozen=True)
class Line:
    """One thing that selective needs."""

    what: str
    has: str
    needs: str
    met: bool


@dataclass(frozen=True)
class Figures:
    """What the ledger holds about one prompt version of one workflow."""

    scores: Scores | None
    """Of the newest evaluation on the held-out cases."""
    records: int
    """Real records that it has answered, and on which decisions were made, since the stage was last taken away."""
    decided: int
    """Of the newest records that people decided on since then, at most as many as the card asks for."""
    rejected: int
    """Of those, with at least one rejected action."""
    edited: int
    """Of those, with at least one changed text."""
    asked: int
    """Of the newest records that the model was asked about, at most as many as the card asks for."""
    unusable: int
    """Of those, set aside."""
    agreed: int
    """Shadow actions that people did as well."""
    differed: int
    """Shadow actions instead of which people did something else."""


@dataclass(frozen=True)
class Assessment:
    """The highest stage that the evidence supports, why, and what selective needs."""

    workflow: str
    version: str
    before: Stage
    """The stage that was written down at the last change."""
    stage: Stage
    why: str
    figures: Figures
    lines: tuple[Line, ...]

    @property
    def missing(self) -> tuple[Line, ...]:
        """What selective needs and has not got."""
        return tuple(line for line in self.lines if not line.met)


def supported(ledger: Ledger, card: Card, version: str) -> tuple[Stage, str]:
    """The highest stage that the evidence supports now, and why.

    A change since the last look is written down, and told: a stage that was taken away opens an alert.
    """
    found = assess(ledger, card, version)
    if found.stage is not found.before:
        _change(ledger, card.workflow, version, found.stage, found.why)
    return found.stage, found.why


def assess(ledger: Ledger, card: Card, version: str) -> Assessment:
    """What the ledger says about a prompt version. Writes nothing."""
    with ledger.read() as session:
        last = _last_change(session, card.workflow, version)
        figures = _figures(session, card, version, last.created_at if last and _was_lowered(last) else None)
    lines = requirements(figures, card.evidence)
    before = _stage_after(last)
    stage, why = _judge(figures, lines, card.evidence, before)
    return Assessment(card.workflow, version, before, stage, why, figures, lines)


def reinstate(ledger: Ledger, card: Card, version: str, by: str) -> bool:
    """Let a workflow that only watches ask people again, judged by what comes now. False if it may ask already."""
    if supported(ledger, card, version)[0] is not Stage.SHADOW:
        return False
    _change(ledger, card.workflow, version, Stage.GATED, f"{by} gave it another try", by=by)
    return True


def changes(ledger: Ledger, workflow: str, limit: int = 10) -> list[StageChange]:
    """The newest changes of a workflow's stage by evidence, newest first."""
    query = sa.select(StageChange).where(StageChange.workflow == workflow).order_by(StageChange.id.desc())
    with ledger.read() as session:
        return list(session.scalars(query.limit(limit)))


def requirements(figures: Figures, rule: Evidence) -> tuple[Line, ...]:
    """What selective needs, in the order in which it is earned, and how much of it is there."""
    enough = figures.decided >= rule.approvals
    return (
        *_held_out(figures.scores, rule),
        Line(
            "real records answered, nothing done without a person",
            f"{figures.records}",
            f"{rule.records}",
            figures.records >= rule.records,
        ),
        Line("of them, decided on by a person", f"{figures.decided}", f"{rule.approvals}", enough),
        Line("of those, rejected", *_share(figures.rejected, figures.decided, rule.rejected, rule.approvals)),
        Line("of those, changed", *_share(figures.edited, figures.decided, rule.edited, rule.approvals)),
        Line("answers that could not be used", *_share(figures.unusable, figures.asked, rule.errors, rule.records)),
    )


def judged(scores: Scores, rule: Evidence) -> tuple[FieldScore, ...]:
    """The fields whose accuracy the card goes by."""
    return tuple(score for score in scores.fields if not rule.judged or score.field in rule.judged)


def _held_out(scores: Scores | None, rule: Evidence) -> list[Line]:
    needs = f"{rule.accuracy:.0%} of at least {rule.cases}"
    fields = judged(scores, rule) if scores else ()
    if not fields:
        return [Line("held-out cases right", "not evaluated", needs, met=False)]
    return [
        Line(
            f"held-out cases right in {score.field}",
            f"{percent(score.right, score.of)} of {score.of} ({score.low:.0%} to {score.high:.0%})",
            needs,
            met=score.of >= rule.cases and score.right >= rule.accuracy * score.of,
        )
        for score in fields
    ]


def _share(count: int, of: int, most: float, sample: int) -> tuple[str, str, bool]:
    return f"{count} of {of}", f"at most {_allowed(most, sample)} of {sample}", count <= _allowed(most, sample)


def _allowed(share: float, sample: int) -> int:
    return int(share * sample)


def _judge(figures: Figures, lines: tuple[Line, ...], rule: Evidence, now: Stage) -> tuple[Stage, str]:
    """The stage, and in words why it is not higher, or what took it away."""
    if now is Stage.SHADOW:
        return Stage.SHADOW, "people rejected most of it, and nobody has given it another try (`signoff stage`)"
    if trouble := _hopeless(figures, rule):
        return Stage.SHADOW, trouble
    missing = [line for line in lines if not line.met]
    if not missing:
        return Stage.SELECTIVE, "the evidence supports it"
    first = missing[0]
    more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    return Stage.GATED, f"{first.what}: {first.has}, needs {first.needs}{more}"


def _hopeless(figures: Figures, rule: Evidence) -> str:
    if figures.decided >= FIRST and figures.rejected > rule.hopeless * figures.decided:
        return f"people rejected {figures.rejected} of the newest {figures.decided} records that they decided on"
    if figures.asked >= FIRST and figures.unusable > rule.hopeless * figures.asked:
        return f"{figures.unusable} of the newest {figures.asked} answers could not be used"
    return ""


def _figures(session: Session, card: Card, version: str, since: datetime | None) -> Figures:
    mine = sa.and_(Record.workflow == card.workflow, Record.prompt_version == version)
    if since is not None:
        mine = sa.and_(mine, Record.created_at > since)
    evaluation = _newest_evaluation(session, version)
    decided = _decided(session, mine, card.evidence.approvals).values()
    asked = session.execute(_asked(mine).limit(card.evidence.records)).tuples().all()
    seen = dict(session.execute(_observed(mine)).tuples().all())
    return Figures(
        scores=Scores.model_validate(evaluation.scores) if evaluation else None,
        records=session.scalar(sa.select(sa.func.count()).where(mine, Record.state.in_(ANSWERED))) or 0,
        decided=len(decided),
        rejected=sum(rejected for rejected, _ in decided),
        edited=sum(edited for _, edited in decided),
        asked=len(asked),
        unusable=sum(state == records.QUARANTINED and unanswered for state, unanswered in asked),
        agreed=seen.get(True, 0),
        differed=seen.get(False, 0),
    )


def _newest_evaluation(session: Session, version: str) -> Evaluation | None:
    table = Evaluation
    query = sa.select(table).where(
        table.prompt_version == version, table.source == HELD_OUT, table.state == "done", table.scores.is_not(None)
    )
    return session.scalar(query.order_by(table.id.desc()).limit(1))


def _decided(session: Session, mine: sa.ColumnElement[bool], most: int) -> dict[int, tuple[bool, bool]]:
    """The newest `most` records that people decided on: for each, whether anything of it was rejected, or changed."""
    query = (
        sa.select(Action.record_id, Decision.verdict, Decision.edited)
        .join(Action, Action.id == Decision.action_id)
        .join(Record, Record.id == Action.record_id)
        .where(mine, Decision.approver != BY_CARD, Decision.verdict.in_(("approved", "rejected")))
        # From the newest on, and no further than needed: grouped in the database, it would read all that there is.
        .order_by(Decision.id.desc())
        .limit(most * ACTIONS)
    )
    found: dict[int, tuple[bool, bool]] = {}
    for record, verdict, edited in session.execute(query).tuples():
        if record is None or (record not in found and len(found) == most):
            continue
        rejected, changed = found.get(record, (False, False))
        found[record] = (rejected or verdict == "rejected", changed or edited)
    return found


def _asked(mine: sa.ColumnElement[bool]) -> sa.Select[tuple[str, bool]]:
    """The records that the model was asked about, newest first: the state, and whether there is no usable answer.

    One that was set aside with an answer is no fault of the model's: our own code could make nothing of it.
    """
    states = (*ANSWERED, records.VALIDATED, records.QUARANTINED)
    return (
        sa.select(Record.state, Record.answer.is_(None))
        .where(mine, Record.state.in_(states))
        .order_by(Record.id.desc())
    )


def _observed(mine: sa.ColumnElement[bool]) -> sa.Select[tuple[bool | None, int]]:
    return (
        sa.select(Observation.agreed, sa.func.count())
        .join(Action, Action.id == Observation.action_id)
        .join(Record, Record.id == Action.record_id)
        .where(mine, Observation.agreed.is_not(None))
        .group_by(Observation.agreed)
    )


def _last_change(session: Session, workflow: str, version: str) -> StageChange | None:
    table = StageChange
    query = sa.select(table).where(table.workflow == workflow, table.prompt_version == version)
    return session.scalar(query.order_by(table.id.desc()).limit(1))


def _stage_after(change: StageChange | None) -> Stage:
    """Without any change yet it is gated."""
    return Stage(change.stage) if change else Stage.GATED


def _was_lowered(change: StageChange) -> bool:
    """Whether what was counted before it counts no longer: a stage that was taken away is earned afresh."""
    return Stage(change.stage).rank < Stage(change.previous).rank or change.previous == Stage.SHADOW


def _change(ledger: Ledger, workflow: str, version: str, stage: Stage, why: str, by: str = "") -> None:
    with ledger.write() as session:
        previous = _stage_after(_last_change(session, workflow, version))
        if previous is stage:  # another process was faster
            return
        changed = {"workflow": workflow, "prompt_version": version, "previous": previous, "stage": stage}
        row = StageChange(**changed, why=why, created_at=utcnow())
        session.add(row)
        session.flush()
        history.note(session, f"stage {stage}", f"stage_changes/{row.id}", **changed, why=why, by=by)
    key = f"stage:{workflow}"
    if stage.rank < previous.rank:
        alerts.open_alert(ledger, key, f"{workflow} went from {previous} to {stage}: {why}", workflow)
    else:
        alerts.close_alert(ledger, key)
