"""One run of a workflow: its card, stage, budget and ledger, and the heartbeat that keeps its claims alive."""

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from sqlalchemy.orm import Session

import prompts
from blocks import connections, ledger
from blocks.ledger import Ledger, history, utcnow
from blocks.models import Model
from tasks import alerts, backlog, drift, retention, tracing, versions
from tasks.budget import Budget, lose
from tasks.card import Card, Stage
from tasks.evidence import supported
from tasks.processes import is_gone, this_process

EVIDENCE_SECONDS = 10.0
"""How old the last look at the evidence may be. The emergency stop, a Variable, is looked at before every batch."""

HEARTBEAT_SECONDS = 5.0
ALIVE_SECONDS = 30.0
"""A run on another machine whose heartbeat is older than this is dead: others may take up what it had claimed."""

STUCK_SECONDS = 600.0
"""And one on this machine whose process is there, but says nothing for so long."""


@dataclass
class Run:
    """What the verbs share. The truth is in the ledger; nothing here has to survive the process."""

    id: str
    card: Card
    ledger: Ledger
    stage: Stage
    budget: Budget
    model: Model
    prompt_version: str
    """The version of the card's prompt as this run's model answers it."""
    earned: tuple[Stage, str]
    """What the evidence supported when it was last looked at, and why."""
    started_at: datetime = field(default_factory=utcnow)
    notes: list[str] = field(default_factory=list)
    """What a person should know of this run, for its summary, once each."""
    claimed: list[int] = field(default_factory=list)
    """The records that are this run's own."""
    left_outside: int = 0
    """How many more there are at least where the records come from, not in the ledger yet."""
    in_shape: set[str] = field(default_factory=set)
    """The vendors' objects and fields that this run has read as they should be: `hubspot:contact.firstname`."""
    looked_at: float = field(default_factory=time.monotonic)
    """When the evidence was last looked at, on the monotonic clock."""

    @property
    def deadline(self) -> datetime:
        """When this run takes up no more, and waits for no vendor any longer (UTC)."""
        return self.started_at + timedelta(minutes=self.card.thresholds.run_minutes)

    def batches(self, ids: Sequence[int], size: int) -> Iterator[list[int]]:
        """`ids` in order, `size` at a time, until the deadline; what is left keeps its place for the next run."""
        for start in range(0, len(ids), size):
            if self._was_taken_for_dead():
                self.note("was taken for dead in the middle of its work: another run has it")
                return
            if utcnow() >= self.deadline:
                left, minutes = len(ids) - start, self.card.thresholds.run_minutes
                self.note(f"ended after {minutes:g} minutes; {left} records wait for the next run")
                return
            yield list(ids[start : start + size])

    def _was_taken_for_dead(self) -> bool:
        with self.ledger.read() as session:
            return session.get_one(ledger.Run, self.id).ended_at is not None

    def note(self, text: str) -> None:
        """Add to the notes, unless it stands there already."""
        if text not in self.notes:
            self.notes.append(text)

    def look_at_stage(self) -> Stage:
        """The stage as it is now: the emergency stop holds from the next batch on, not from the next run."""
        if time.monotonic() - self.looked_at > EVIDENCE_SECONDS:
            self.earned = supported(self.ledger, self.card, self.prompt_version)
            self.looked_at = time.monotonic()
        stage, why = effective_stage(self.card, self.earned)
        if stage is not self.stage:
            self.note(f"went from {self.stage} to {stage} in the middle of the run: {why}")
            self.stage = stage
        return stage

    @cached_property
    def left_out(self) -> frozenset[str]:
        """The kinds of action whose optional credential nobody has saved."""
        return frozenset(
            line.kind
            for line in self.card.writes
            if line.optional and connections.load_if_present(line.credential) is None
        )

    def connection(self, vendor: str) -> Any:
        """The block of type `vendor` that the card names.

        Raises:
            MissingCredential: the card names none, or nobody has saved it.
        """
        name = self.card.credential_for(vendor)
        if name is None:
            raise connections.MissingCredential(f"the card of {self.card.workflow} names no {vendor} credential")
        return connections.load(f"{vendor}/{name}")


@contextmanager
def begin(card: Card, store: Ledger | None = None, *, whole: bool = True) -> Iterator[Run]:
    """Open a run of the card's workflow: stage, budget and heartbeat; claims are released at the end.

    What the retention rule says is redacted first. One that is not the `whole` workflow, but a single call of one of
    its tools, says nothing of whether the workflow is well.

    Raises:
        RetentionError: the rule's setting cannot be read.
        LedgerError: the ledger cannot be opened.
    """
    store = store or Ledger.open()
    model = model_of(card)  # once: what was assessed is what is asked
    version = versions.remember(store, prompts.load(card.prompt), model)
    earned = supported(store, card, version)
    stage, reason = effective_stage(card, earned)
    with alive(store, card.workflow, stage) as run_id:
        budget = Budget(store, card, run_id)
        run = Run(
            id=run_id,
            card=card,
            ledger=store,
            stage=stage,
            budget=budget,
            model=model,
            prompt_version=version,
            earned=earned,
        )
        if stage is not card.stage:
            run.note(f"runs {stage} instead of {card.stage}: {reason}")
        if redacted := retention.apply(store, card.workflow):
            run.note(f"{redacted} old records lost their personal data, as {retention.SETTING} says")
        tracing.note_run(run)
        with drift.told(run):
            yield run
        if whole:
            alerts.close_alert(store, f"crash:{card.workflow}")
            backlog.after(run)


@contextmanager
def alive(store: Ledger, workflow: str, stage: str) -> Iterator[str]:
    """A run row whose heartbeat beats until the end of the block; yields its id.

    Claims of this workflow's dead runs are released first: whatever they held can be taken up again.
    """
    run_id = uuid.uuid4().hex
    # Outermost: the run is over, and whoever waits for its claims has them, before the last of its trace is sent.
    with tracing.of_run(run_id, workflow, stage), _beating(store, run_id, workflow, stage):
        yield run_id


@contextmanager
def _beating(store: Ledger, run_id: str, workflow: str, stage: str) -> Iterator[None]:
    now = utcnow()
    with store.write() as session:
        bury_the_dead(session, workflow)
        session.add(
            ledger.Run(
                id=run_id,
                workflow=workflow,
                flow_run_id=str(flow_run.id) if flow_run.id else None,
                stage=stage,
                started_at=now,
                heartbeat_at=now,
                process=this_process(),
            )
        )
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(store, run_id, ended), name="signoff-heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        _end(store, run_id)


def lowered_to(workflow: str) -> tuple[Stage, str]:
    """The stage that the Prefect Variable `<workflow>_stage` holds, and in words.

    Without the variable it is shadow: a new workflow watches until somebody has said more. So is an unreadable value:
    a kill switch that is mistyped must still kill.
    """
    name = stage_variable(workflow)
    with get_client(sync_client=True) as client:
        variable = client.read_variable_by_name(name)
    if variable is None:
        return Stage.SHADOW, f"nobody has set the variable {name} yet"
    try:
        return Stage(str(variable.value).strip().lower()), f"lowered by the variable {name}"
    except ValueError:
        return Stage.SHADOW, f"the variable {name} holds {variable.value!r}, which is no stage"


def effective_stage(card: Card, earned: tuple[Stage, str]) -> tuple[Stage, str]:
    """The lowest of three, and why it is no higher: the card's stage, the Variable's, and the one that was earned."""
    return min((card.stage, "the card's stage"), lowered_to(card.workflow), earned, key=lambda limit: limit[0].rank)


def model_of(card: Card) -> Model:
    """The card's model, or the embedded one when nobody has saved its credential."""
    block = connections.load_if_present(card.model)
    if block is not None:
        model: Model = block
        return model
    from blocks.embedded import EmbeddedModel

    return EmbeddedModel()


def stage_variable(workflow: str) -> str:
    """The name of the Prefect Variable that can lower a workflow's stage."""
    return f"{workflow.replace('-', '_')}_stage"


def bury_the_dead(session: Session, workflow: str | None = None) -> list[ledger.Run]:
    """End the runs whose process has died, and let go of what they held, so that others can take it up.

    Returns:
        The runs that were found dead by this call; of one workflow, if one is named.
    """
    runs = ledger.Run
    open_ones = sa.select(runs).where(runs.ended_at.is_(None))
    mine = open_ones if workflow is None else open_ones.where(runs.workflow == workflow)
    dead = [run for run in session.scalars(mine) if is_dead(run)]
    for run in dead:
        run.ended_at = utcnow()
        history.note(session, "run died", f"runs/{run.id}", workflow=run.workflow)
    session.flush()
    for run_id in session.scalars(_holding_on(workflow)).all():
        _let_go(session, run_id)
    return dead


def _holding_on(workflow: str | None) -> sa.Select[tuple[str]]:
    """The runs that have ended and hold something all the same: one that was taken for dead may have come back."""
    runs, held = ledger.Run, []
    for table in (ledger.Record, ledger.Action):
        held.append(sa.select(table.run_id).where(table.run_id.is_not(None)))
    held.append(sa.select(ledger.Reservation.run_id))
    query = sa.select(runs.id).where(runs.ended_at.is_not(None), runs.id.in_(sa.union(*held)))
    return query if workflow is None else query.where(runs.workflow == workflow)


def is_dead(run: ledger.Run) -> bool:
    """Whether a run that has not ended never will.

    On this machine its process is looked for, which is certain and at once; a process that is there is left in peace
    for `STUCK_SECONDS`, however busy it is. Of another machine only the heartbeat tells.
    """
    silent = utcnow() - run.heartbeat_at
    gone = is_gone(run.process) if run.process else None
    if gone is None:
        return silent > timedelta(seconds=ALIVE_SECONDS)
    return gone or silent > timedelta(seconds=STUCK_SECONDS)


def _let_go(session: Session, run_id: str) -> None:
    records, actions = ledger.Record, ledger.Action
    session.execute(sa.update(records).where(records.run_id == run_id).values(run_id=None))
    in_doubt = session.scalars(
        sa.update(actions)
        .where(actions.run_id == run_id, actions.state == "acting")
        .values(run_id=None, state="unknown", reason="the run that was doing it died")
        .returning(actions.id)
    )
    for action_id in sorted(in_doubt):
        history.note(session, "action unknown", f"actions/{action_id}", run=run_id)
    lose(session, ledger.Reservation.run_id == run_id)


def _beat(store: Ledger, run_id: str, ended: threading.Event) -> None:
    runs = ledger.Run
    while not ended.wait(HEARTBEAT_SECONDS):
        try:
            with store.write() as session:
                alive = sa.update(runs).where(runs.id == run_id, runs.ended_at.is_(None))
                session.execute(alive.values(heartbeat_at=utcnow()))
        except ledger.LedgerUnavailable as error:
            # One missed beat is no death; a ledger that stays away ends the run by the verbs' own errors.
            logging.getLogger(__name__).warning("the heartbeat of run %s could not be written: %s", run_id, error)


def _end(store: Ledger, run_id: str) -> None:
    runs = ledger.Run
    with store.write() as session:
        session.execute(sa.update(runs).where(runs.id == run_id).values(ended_at=utcnow()))
        _let_go(session, run_id)  # what an exception that nobody expected has left behind
