"""`signoff try`: one workflow, once, on the pretend company, with no account and no key."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import shlex
import shutil
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from deployments.demo import QUOTED, Show
from deployments.errors import CommandError, unknown
from deployments.machine import ends_cleanly, free_port, lock_file
from deployments.running import HOME, ROOT, command_name, refuse_a_second, use
from deployments.stack import POOL, Stack, create_pool

if TYPE_CHECKING:
    from prefect import Flow

    from blocks.ledger import Action
    from blocks.mail.saved import Saved
    from tasks.card import Card

TRY_PORT = 4250
"""Not the usual one: a command in another terminal that finds no stack of ours must not turn to this server."""

LOOK_SECONDS = 0.5
FORMS = 5
"""Forms whose links are listed."""

LONGEST = 300
"""Characters of a fact that are shown; the form shows all of it."""

LOGGING = "PREFECT_LOGGING_LEVEL"


def try_it(name: str, *, limit: int, mail: Path | None, stay: bool) -> int:
    """Run the workflow and print what it did, would have done and set aside; 1 when its own code is at fault.

    Raises:
        CommandError: there is no such workflow, it cannot be given mail, or another try is on.
        NoSavedMail: there is no such mail.
        StackError: a process did not come up, or with `stay`, a stack is up already.
    """
    from blocks.mail.saved import saved

    workflow = chosen(name)
    mine = saved(mail) if mail else []
    home = HOME / "try"
    if stay:
        refuse_a_second()
    with alone(home), ends_cleanly():
        began = time.monotonic()
        Stack(home).stop_leftovers()
        stack = Stack(home, free_port(TRY_PORT), begins_empty=True)
        # In this process only: what goes wrong is told here, without Prefect's traceback.
        use(stack.environment | {LOGGING: "CRITICAL"})
        forget(home)
        with stack:
            return _Try(stack, began, _Wish(workflow, max(limit, len(mine)), mail, mine)).run(stay=stay)


def chosen(name: str) -> str:
    """The workflow's module under flows/.

    Raises:
        CommandError: there is none, or it serves the others and has nothing to try.
    """
    from deployments.cards import flow_files, workflow_names

    module, workflows = name.replace("-", "_"), workflow_names()
    if module.replace("_", "-") in workflows:
        return module
    if module in (path.stem for path in flow_files()):
        names = ", ".join(workflows)
        raise CommandError(f"{name} has no CARD: it serves the workflows, and cannot be tried; there are {names}")
    raise unknown("workflow", name, workflows)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the folder, in which two at a time would take each other's files away.

    Raises:
        CommandError: another process holds it.
    """
    from deployments.password import make_private

    make_private(home)
    lock = lock_file(home / "lock")
    if lock is None:
        raise CommandError("another `signoff try` is on: wait for its end, or stop it with Ctrl-C")
    with lock:
        yield


def forget(home: Path) -> None:
    """Forget what an earlier try has left."""
    for name in ("ledger.db", "library.db"):
        for path in home.glob(f"{name}*"):
            path.unlink()
    shutil.rmtree(home / "prefect", ignore_errors=True)


@dataclass(frozen=True)
class _Wish:
    """What is to be tried, and on what."""

    workflow: str
    limit: int
    mail: Path | None
    """Where the builder's own e-mails are."""
    mine: Sequence[Saved]
    """They themselves, which come in instead of the company's."""


@dataclass
class _Unit:
    """The workflow that is tried."""

    module: ModuleType
    card: Card
    function: Flow[..., Any]


class _Try(Show):
    """One try. Made after `use`, so that everything imported here sees its settings."""

    def __init__(self, stack: Stack, began: float, wish: _Wish) -> None:
        super().__init__(stack, began)
        self.wish = wish
        self.notes: Sequence[str] = ()
        talkative = logging.getLogger("great_expectations")
        talkative.propagate = False
        talkative.addHandler(logging.NullHandler())

    def run(self, *, stay: bool) -> int:
        """The whole of it."""
        with self.views.console.status("Starting ...") as status:
            self.step(status, f"Looking at flows/{self.wish.workflow}.py")
            # The processes start meanwhile: they need none of it.
            self.stack.launch_server()
            self.stack.launch_sandbox()
            unit = self._load()
            if unit is None:
                return 1
            self.step(status, "Starting the pretend company and the Prefect server")
            self._start(unit)
            self.step(status, f"Running {unit.card.workflow}")
            with watched(self, status, unit.card.workflow):
                wrong = self._run(unit)
        waits = self._show(unit)
        wrong += self._other_answers(unit, wrong)
        for text in wrong:
            self.views.errors.print(f"\n{text}", markup=False, soft_wrap=True)
        self.say(f"\nIt took {time.monotonic() - self.began:.0f} s.")
        if stay:
            self._stay_up(unit)
        elif waits:
            again = f" --mail {shlex.quote(str(self.wish.mail))}" if self.wish.mail else ""
            self.say("To decide on what waits, in the browser:")
            self.say(f"  {command_name()} try {unit.card.workflow}{again} --stay")
        return 1 if wrong else 0

    def _load(self) -> _Unit | None:
        """Import the workflow; None, once what is wrong with it is told."""
        import prompts
        from deployments.cards import declared_deployments
        from deployments.check import look_at
        from deployments.try_arrivals import refuse

        file = ROOT / "flows" / f"{self.wish.workflow}.py"
        try:
            finding = look_at(file, declared_deployments())
            module = importlib.import_module(f"flows.{self.wish.workflow}")
        except Exception as error:
            if not self._tell(error):
                raise
            return None
        for problem in finding.problems:
            self.views.errors.print(f"flows/{file.name}: {problem}", markup=False, soft_wrap=True)
        if finding.problems or finding.card is None:
            return None
        _ = prompts.load(finding.card.prompt).cases  # one that does not fit is told now, not in the middle
        if self.wish.mine:
            refuse(module, finding.card, self.wish.mine)
        return _Unit(module, finding.card, getattr(module, self.wish.workflow))

    def _tell(self, error: Exception) -> bool:
        """Say where in the builder's files the error is; False when it is not theirs to mend there."""
        from deployments.known_errors import known
        from deployments.their_errors import told

        text = None if isinstance(error, known()) else told(error)
        if text:
            self.views.errors.print(text, markup=False, soft_wrap=True)
        return text is not None

    def _start(self, unit: _Unit) -> None:
        from deployments.pretend import connect
        from deployments.try_arrivals import bring
        from sandbox.company import load

        warm()
        self.stack.wait_for_server()
        self.sandbox_url = self.stack.wait_for_sandbox()
        create_pool()
        deploy("perform_action", self.wish.workflow)
        connect(self.sandbox_url, load().mailbox)
        for sentence in bring(self.sandbox_url, unit.module, unit.card, self.wish.limit, self.wish.mine):
            self.say(sentence)
        self._read_documents(unit)

    def _read_documents(self, unit: _Unit) -> None:
        from tasks import retrieve

        if retrieve in vars(unit.module).values():
            self.say("The company's documents are read first, which it answers from.")
            importlib.import_module("flows.index_documents").index_documents()

    def _run(self, unit: _Unit) -> list[str]:
        """Run it; what was wrong with the builder's own code."""
        from deployments.known_errors import known
        from deployments.their_errors import heard, told
        from tasks.plain import counted

        takes_limit = "limit" in inspect.signature(unit.function.fn).parameters
        with heard("tasks.gate") as ear:
            try:
                summary = unit.function(**({"limit": self.wish.limit} if takes_limit else {}))
                self.notes = getattr(summary, "notes", ())
            except Exception as error:
                if isinstance(error, known()) or not (text := told(error)):
                    raise
                return [text]
        return [f"{text}\n    set aside for it: {counted(count, 'record')}" for text, count in ear.found.items()]

    def _other_answers(self, unit: _Unit, wrong: Sequence[str]) -> list[str]:
        """What is wrong with the builder's own code where none of these records has led."""
        import prompts
        from blocks.ledger import Record
        from deployments.try_answers import untold

        mine = sa.select(Record).where(Record.workflow == unit.card.workflow, Record.answer.is_not(None))
        with self.ledger.read() as session:
            records = session.scalars(mine.order_by(Record.id)).all()
        found = untold(unit.module, prompts.load(unit.card.prompt), records)
        return [
            f"{text}\n    no record came there now; one would with {', '.join(labels)}"
            for text, labels in found.items()
            if not any(said.startswith(text) for said in wrong)
        ]

    def _show(self, unit: _Unit) -> int:
        """The table of the records, and what each would have had done; returns how many actions wait."""
        from blocks.ledger import Action, Record
        from tasks import report
        from tasks.actions import Impact
        from tasks.plain import counted

        with self.ledger.read() as session:
            mine = sa.select(Record.id).where(Record.workflow == unit.card.workflow).order_by(Record.id)
            ids = list(session.scalars(mine))
            actions = session.scalars(sa.select(Action).where(Action.record_id.in_(ids)).order_by(Action.id)).all()
        for note in self.notes:
            for line in textwrap.wrap(f"The run notes: {self.views.printable(note)}", QUOTED):
                self.say(line)
        if not ids:
            why = "" if self.notes else ": the pretend company has no work for it"
            self.say(f"Nothing came in that is this workflow's{why}.")
            return 0
        rows = report.of_records(self.ledger, ids)
        self.views.console.print(self.views.records_table(rows))
        for action in actions:
            self._show_action(action)
        waits = sum(action.state == "waiting" for action in actions)
        aside = sum(row.state == "quarantined" for row in rows)
        done, refused = sum(len(row.done) for row in rows), sum(action.state == "refused" for action in actions)
        self.say(
            f"\n{counted(len(rows), 'record')} came in, {aside} of them set aside.\n"
            f"{counted(len(actions), 'action')}: {waits} waiting for a person, {done} done, {refused} refused."
        )
        if any(action.state == "waiting" and action.impact == Impact.LOW for action in actions):
            self.say("Low-impact ones wait, too, until your own records have shown that more may pass.")
        return waits

    def _show_action(self, action: Action) -> None:
        """One action, with the facts that its form shows."""
        from tasks import actions

        state = {"waiting": "waits for a person"}.get(action.state, action.state)
        reason = f": {self.views.printable(action.reason)}" if action.reason else ""
        self.say(f"\n#{action.id} {self.views.printable(action.title)} (record {action.record_id}) {state}{reason}")
        wanted = actions.load(action.kind, action.payload)
        for label, value in wanted.preview().items():
            fact = f"{label}: {cut(self.views.printable(value))}"
            for line in textwrap.wrap(fact, QUOTED, initial_indent="  ", subsequent_indent="    "):
                self.say(line)
        if wanted.editable:
            self.quote(str(getattr(wanted, wanted.editable)))

    def _stay_up(self, unit: _Unit) -> None:
        from deployments.waiting import waiting

        os.environ.pop(LOGGING)  # the worker's log is read when something is wrong
        with self.views.console.status("Starting the worker ..."):
            self.stack.start_worker()
        self.inbox(unit.card.owner)
        firsts = [form[0] for form in self.views.forms(waiting(self.ledger, workflow=unit.card.workflow))]
        self.forms(firsts[:FORMS], more=max(0, len(firsts) - FORMS))
        self.stay(unit.card.owner)


def warm() -> None:
    """Load what the run will need, which takes seconds, while the server starts: that has a core of its own."""
    importlib.import_module("blocks.embedded.classifier")
    importlib.import_module("blocks.minilm").embed(["a ticket"])
    checks = importlib.import_module("tasks.checks")
    checks.unfit(
        [{"id": "1", "sender": "ann@north.example", "said": "a ticket", "text": "a ticket"}], checks.answerable
    )


def cut(text: str) -> str:
    """A fact, not longer than a terminal shows well."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def deploy(*modules: str) -> None:
    """Put the deployments of these flows on the server, without their schedules: what runs, a person has started."""
    from prefect.client.orchestration import get_client

    where = [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
    with get_client(sync_client=True) as client:
        for name in modules:
            function = getattr(importlib.import_module(f"flows.{name}"), name)
            client.create_deployment(
                flow_id=client.create_flow(function),
                name=function.name,
                entrypoint=f"flows/{name}.py:{name}",
                work_pool_name=POOL,
                pull_steps=where,
            )


@contextmanager
def watched(show: Show, status: Any, workflow: str) -> Iterator[None]:
    """Say how far the records are, beside the wheel, while the block runs."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            if progress := show.progress(workflow):
                status.update(f"Running {workflow}: {progress}")

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
