"""`signoff demo`: the main job on a pretend company, from an empty machine to a sent reply."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from rich.status import Status

from deployments.errors import StackError
from deployments.machine import HOST, busy, ends_cleanly, free_port, wait_for_the_end
from deployments.running import HOME, PORT, command_name, refuse_a_second, use
from deployments.stack import RECEIVER_PORT, Stack

if TYPE_CHECKING:
    from blocks.ledger import Action
    from tasks.card import Card

QUOTED = 74
"""Columns of a mail's text."""

SECONDS = 300
"""How long the triage, and then an approved action, may take before the demo gives up and says where to look."""


def demo(port: int | None) -> int:
    """Start everything, triage the inbox, print the table; then stay, or approve one action and end."""
    if port is not None and busy(port):
        raise StackError(f"port {port} is in use on {HOST}: choose another with --port, or leave it out")
    refuse_a_second()
    Stack(HOME / "demo").stop_leftovers()
    stack = Stack(HOME / "demo", port or free_port(PORT), begins_empty=True)
    shutil.rmtree(stack.home, ignore_errors=True)
    use(stack.environment)
    began = time.monotonic()
    with ends_cleanly(), stack:
        _Demo(stack, began).run(stay=sys.stdin.isatty() and sys.stdout.isatty())
    return 0


class _Begun(NamedTuple):
    """A run that the worker has been left."""

    workflow: str
    what: str
    run_id: UUID


class Show:
    """What is told of a stack with the pretend company. Made after `use`, so that all it imports sees its settings."""

    def __init__(self, stack: Stack, began: float) -> None:
        from blocks.ledger import Ledger
        from deployments import views

        self.stack = stack
        self.began = began
        self.views = views
        self.ledger = Ledger.open()
        self.sandbox_url = ""

    def inbox(self, owner: str) -> None:
        """Start the page where everything that waits is decided on, and say where. The forms do without."""
        from deployments.inbox.open import MINUTES, link_for

        try:
            with self.views.console.status("Starting the inbox ..."):
                url = self.stack.start_receiver(free_port(RECEIVER_PORT))
        except StackError as error:
            self.views.prose(f"\nThe inbox did not start: {error}")
            return
        self.stack.announce()
        self.views.prose(f"\nSign off what waits, in the browser, as {owner} (once, within {MINUTES} minutes):")
        self.say(f"  {link_for(owner, url)}")

    def forms(self, actions: Sequence[Action], more: int = 0) -> None:
        """Say where the forms of some actions are, and how many more there are."""
        from deployments.waiting import ui_url

        self.say("Each has a form in Prefect as well (open one and press Resume):")
        for action in actions:
            self.say(f"  {action.title}\n    {self.views.form_link(action, ui_url())}")
        if more:
            self.say(f"  and {more} more")

    def stay(self, owner: str) -> None:
        """Say where all that waits can be seen and decided on, and stay until Ctrl-C."""
        from deployments.reap import reaping

        self.say(
            "or in another terminal:\n"
            f"  {command_name()} inbox --as {owner}\n"
            f"  {command_name()} approvals list\n"
            f"  {command_name()} approvals approve NUMBER\n"
            f"All that waits: {self.stack.url}/runs?state=Suspended\n"
            f"What the pretend company sees (sent mail, CRM): {self.sandbox_url}\n"
            "Ctrl-C stops everything."
        )
        with reaping(local=True):
            wait_for_the_end()
        self.say("Stopping ...")

    def quote(self, text: str) -> None:
        """A mail's text, its lines wrapped between words."""
        for line in self.views.printable(text, lines=True).splitlines():
            for part in textwrap.wrap(line, QUOTED, break_long_words=False, break_on_hyphens=False) or [""]:
                self.say(f"  | {part}")

    def step(self, status: Status, text: str) -> None:
        """Say what is done now: beside the wheel in a terminal, elsewhere on a line."""
        if not self.views.console.is_terminal:
            self.say(f"{text} ...")
        status.update(f"{text} ...")

    def progress(self, workflow: str) -> str:
        """How many of its records are in which state; empty before the first is there."""
        from blocks.ledger import Record

        mine = sa.select(Record.state, sa.func.count()).where(Record.workflow == workflow).group_by(Record.state)
        with self.ledger.read() as session:
            counts = session.execute(mine).all()
        return ", ".join(f"{count} {state}" for state, count in counts)

    def say(self, text: str) -> None:
        """Print a text as it is."""
        self.views.say(text)


class _Demo(Show):
    """One run of the demo."""

    def run(self, *, stay: bool) -> None:
        """The whole of it."""
        from deployments.cards import cards

        with self.views.console.status("Starting ...") as status:
            self._start(status)
            first, *others = sorted(cards(), key=lambda card: card.workflow != "lead-triage")
            self._evaluate(status, [first])  # while the deployments are put on the server
            self.stack.wait_for_deploy()
            self.stack.start_worker()
            self._wait(status, self._begin(status, "lead-triage", "Triaging the inbox"))
        self._print_table()
        with self.views.console.status("Going on ...") as status:
            # Side by side: most of what a run takes is its process's start.
            documents = self._begin(status, "index-documents", "Reading the help centre and the handbook")
            invoices = self._begin(status, "billing-agent", "Looking for overdue invoices")
            meetings = self._begin(status, "meeting-notes", "Reading the transcripts of meetings")
            self._evaluate(status, others)
            self._wait(status, documents)
            self._wait(status, self._begin(status, "support-answer", "Answering the support tickets from them"))
        self._print_answers()
        with self.views.console.status("Looking at the invoices ...") as status:
            self._wait(status, invoices)
        self._print_agent()
        with self.views.console.status("Reading the meetings ...") as status:
            self._wait(status, meetings)
        self._print_notes()
        self._say_why_it_waits()
        if stay:
            self._stay_up()
        else:
            self._approve_one()

    def _start(self, status: Status) -> None:
        from deployments.pretend import connect
        from sandbox.company import load

        if self.stack.port != PORT:
            self.say(f"Port {PORT} is in use, so the Prefect server of this demo is on port {self.stack.port}.")
        self.step(status, "Starting the pretend company and the Prefect server")
        self.stack.launch_sandbox()
        self.stack.start_server()
        self.sandbox_url = self.stack.wait_for_sandbox()
        self.stack.announce()
        self.step(status, "Putting the deployments on the server, connecting the pretend accounts")
        self.stack.launch_deploy()
        connect(self.sandbox_url, load().mailbox)

    def _evaluate(self, status: Status, some: Sequence[Card]) -> None:
        """As the deployment evaluate-prompts does every night."""
        from tasks.evaluation_task import measured

        for card in some:
            self.step(status, f"Trying the prompt {card.prompt} on its held-out cases")
            measured(self.ledger, card)

    def _begin(self, status: Status, name: str, what: str) -> _Begun:
        """Start a run of a workflow's deployment, and leave it to the worker."""
        from prefect.client.orchestration import get_client

        self.step(status, f"{what}: signoff run {name}")
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(f"{name}/{name}")
            return _Begun(name, what, client.create_flow_run_from_deployment(deployment.id).id)

    def _wait(self, status: Status, begun: _Begun) -> None:
        """Wait for the end of a run.

        Raises:
            StackError: it took too long, or did not end well.
        """
        from prefect.client.orchestration import get_client

        name, deadline = begun.workflow, time.monotonic() + SECONDS
        with get_client(sync_client=True) as client:
            while True:
                state = client.read_flow_run(begun.run_id).state
                if state is not None and state.is_final():
                    break
                if time.monotonic() > deadline:
                    raise StackError(f"{name} took longer than {SECONDS} s; see {self.stack.log('worker')}")
                status.update(f"{begun.what}: {self.progress(name) or 'the worker starts the run'}")
                time.sleep(0.5)
        if not state.is_completed():
            raise StackError(f"{name} ended as {state.name}: {state.message}; see {self.stack.log('worker')}")

    def _print_table(self) -> None:
        from blocks.ledger import Record
        from tasks import report

        with self.ledger.read() as session:
            ids = list(session.scalars(sa.select(Record.id).where(Record.workflow == "lead-triage")))
        rows = report.of_records(self.ledger, ids)
        self.views.console.print(self.views.records_table(rows))
        self.views.summary(rows)
        self.say(f"\nThe table was there {time.monotonic() - self.began:.0f} s after the start.")

    def _print_answers(self) -> None:
        """What became of the support tickets, and one answer as it would be sent."""
        from blocks.ledger import Action, Record
        from tasks import report

        mine = Record.workflow == "support-answer"
        with self.ledger.read() as session:
            ids = list(session.scalars(sa.select(Record.id).where(mine).order_by(Record.id)))
            replies = sa.select(Action).where(Action.record_id.in_(ids), Action.kind == "gmail.send_reply")
            reply = session.scalars(replies.order_by(Action.id)).first()
        self.views.console.print(self.views.records_table(report.of_records(self.ledger, ids)))
        if reply:
            self.say(f"#{reply.id}, {self.views.printable(reply.title)}, as it waits for sign-off:")
            self.quote(str(reply.payload["body"]))

    def _print_agent(self) -> None:
        """What the billing agent did about one overdue invoice, step by step, and what it waits for."""
        from blocks.ledger import Record
        from deployments.steps import of_record
        from tasks import report

        mine = sa.select(Record.id).where(Record.workflow == "billing-agent").order_by(Record.id)
        with self.ledger.read() as session:
            ids = list(session.scalars(mine))
        self.views.console.print(self.views.records_table(report.of_records(self.ledger, ids)))
        if ids:
            self.say(f"What the agent did about #{ids[0]} (signoff ledger steps {ids[0]}):")
            for line in of_record(self.ledger, ids[0]):
                self.say(f"  {line}")

    def _print_notes(self) -> None:
        """What became of the transcripts, and one set of notes as a guest would get it."""
        from blocks.ledger import Action, Record
        from tasks import report

        mine = Record.workflow == "meeting-notes"
        with self.ledger.read() as session:
            ids = list(session.scalars(sa.select(Record.id).where(mine).order_by(Record.id)))
            mails = sa.select(Action).where(Action.record_id.in_(ids), Action.kind == "gmail.send_reply")
            mail = session.scalars(mails.order_by(Action.id)).first()
        self.views.console.print(self.views.records_table(report.of_records(self.ledger, ids)))
        if mail:
            self.say(f"#{mail.id}, the notes for a guest, as they wait for sign-off:")
            self.quote(str(mail.payload["body"]))

    def _say_why_it_waits(self) -> None:
        from deployments.cards import cards
        from deployments.evidence import assessed
        from deployments.waiting import waiting

        self.say(f"What waits is on {len(self.views.forms(waiting(self.ledger)))} forms.")
        behind: list[str] = []
        for card in cards():
            found = assessed(self.ledger, card)
            if found.missing:
                behind.append(card.workflow)
        if behind:
            names = ", ".join(behind)
            self.say(
                f"In {names} a person decides everything: the built-in model has earned no more yet.\n"
                f"What is missing: {command_name()} evidence {behind[0]}"
            )

    def _stay_up(self) -> None:
        from deployments.cards import cards
        from deployments.waiting import waiting

        owner = next(card.owner for card in cards() if card.workflow == "lead-triage")
        self.inbox(owner)
        replies = [
            *waiting(self.ledger, workflow="support-answer", kind="gmail.send_reply")[:2],
            *waiting(self.ledger, workflow="billing-agent", kind="gmail.send_reminder")[:1],
            *waiting(self.ledger, workflow="meeting-notes", kind="gmail.send_reply")[:1],
            *waiting(self.ledger, workflow="lead-triage", kind="gmail.send_reply")[:3],
        ]
        self.forms(replies)
        self.stay(owner)

    def _approve_one(self) -> None:
        from deployments.waiting import ui_url, waiting
        from sandbox.client import Sandbox
        from tasks import approvals

        action = waiting(self.ledger, workflow="lead-triage", kind="gmail.send_reply")[0]
        self.say(f"\nNo terminal, so one waits no longer: approving #{action.id}, {action.title}")
        self.say(f"  (its form: {self.views.form_link(action, ui_url())})")
        approvals.respond(
            self.ledger, action.id, approve=True, approver="signoff demo", comment="Approved by the demo itself."
        )
        began = time.monotonic()
        while (now := approvals.action_of(self.ledger, action.id)).state != "done":
            if now.state in ("failed", "rejected", "expired") or time.monotonic() - began > SECONDS:
                raise StackError(f"the approved action is {now.state}: {now.reason}; see {self.stack.log('worker')}")
            time.sleep(0.2)
        with Sandbox(self.sandbox_url) as sandbox:
            sent = next(mail for mail in sandbox.sent() if mail.thread_id == action.payload["thread_id"])
        self.say(
            f"Carried out {time.monotonic() - began:.0f} s later. In the pretend company's SENT, in the same thread:\n"
            f"  To: {sent.to}\n  Subject: {sent.subject}"
        )
        self.quote(sent.body)
