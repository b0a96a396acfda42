"""What stands behind the page: the decisions on their way, who hears of what, and presses in Slack."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter
from prefect.exceptions import PrefectHTTPStatusError

from blocks.ledger import Ledger, LedgerUnavailable
from blocks.vendor import VendorError
from deployments.cards import flow_files
from deployments.inbox.held import SECONDS, Held, Holding
from deployments.inbox.routes import Pages
from deployments.inbox.sessions import Attempts, Doors, Sessions, key
from deployments.password import AUTH
from deployments.receiver.endpoints import PRESSED_AT, saved
from deployments.receiver.threads import Watch, in_threads
from deployments.running import HOME
from tasks import approval_notices, approval_slack, approvals, flow_cards
from tasks.approvals import ApprovalError, decision_in
from tasks.card import Card

FOLDER = "inbox"
"""Where in `SIGNOFF_HOME` the page keeps its key, one-time codes, and decisions that can still be taken back."""

SLACK_SECONDS = 10.0
"""Between two looks at what is to be posted in Slack, or to be said there of what was decided."""

NOTICE_SECONDS = 60.0
"""Between two looks at what people are to be told."""

POLL_SECONDS = 3.0

PRESSES = 4
"""Presses in Slack that are worked on at once."""

PRESS_SECONDS = 5.0
"""How long an end waits for presses that Slack was told have arrived."""

log = logging.getLogger(__name__)


class Inbox:
    """The page's life: `router` is mounted in the receiver, `on_interaction` is given what Slack's users press."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        home: Path = HOME,
        cards: Callable[[], Sequence[Card]] | None = None,
        password: str | None = None,
        hold_seconds: float = SECONDS,
        poll_seconds: float = POLL_SECONDS,
        tells: bool = True,
    ) -> None:
        """
        Args:
            ledger: where actions wait.
            home: in it a folder of the page's own is made.
            cards: all of the company's; by default those in flows/.
            password: the server's, with which people log in; by default the environment's.
            hold_seconds: how long a decision can be taken back.
            poll_seconds: how often an open page asks what has changed.
            tells: whether this receiver posts in Slack and tells people.
        """
        folder = home / FOLDER
        self.ledger = ledger
        self._read_cards = cards or _cards
        secret = password if password is not None else os.environ.get(AUTH)
        self.sessions = Sessions(key(folder), secret, folder / "ended")
        self.password = secret or None
        self.doors = Doors(folder / "codes")
        self.attempts, self.codes = Attempts(), Attempts()
        self.holding = Holding(folder / "held", self.send, hold_seconds)
        self.poll_seconds = poll_seconds
        self._tells = tells
        self._woken = threading.Event()
        self._told_at = float("-inf")
        self._presses = ThreadPoolExecutor(PRESSES, "signoff-press")
        self._accepted: dict[Future[None], approval_slack.Press] = {}

    @cached_property
    def cards(self) -> Sequence[Card]:
        """All of the company's, as they were when they were first asked for."""
        return list(self._read_cards())

    @cached_property
    def router(self) -> APIRouter:
        """The pages. While they are up, threads send decisions and tell people."""
        routes = APIRouter(prefix="/inbox", lifespan=lambda _: self.open())
        Pages(self).add_to(routes)
        return routes

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Send and tell until the end of the block."""
        watches: dict[str, Watch] = {"signoff-decisions": self.holding.watch}
        if self._tells:
            watches["signoff-telling"] = self._tell
        try:
            async with in_threads(watches, self._woken, seconds=4):
                yield
        finally:
            await asyncio.to_thread(self._finish_presses)

    def tell_soon(self) -> None:
        """Let people be told now of what has changed."""
        self._told_at = float("-inf")
        self._woken.set()

    def send(self, some: Sequence[Held]) -> dict[tuple[str, int], str]:
        """Decide as people did, those together that say the same; by decision and action, why it was not taken.

        Raises:
            Exception: Prefect or the ledger could not be asked.
        """
        outcomes: dict[tuple[str, int], str] = {}
        alike: dict[tuple[str, bool, str], list[tuple[str, int]]] = {}
        sent: set[int] = set()
        later: list[Held] = []
        for held in some:
            refused = self._refused(held)
            outcomes |= {(held.id, number): why for number, why in refused.items()}
            good = {number: digest for number, digest in held.actions.items() if int(number) not in refused}
            mine = [int(number) for number in good if int(number) not in sent]
            sent.update(mine)
            if len(mine) < len(good):  # of two on the same action the first counts, and the other hears of it
                second = {number: digest for number, digest in good.items() if int(number) not in mine}
                later.append(replace(held, actions=second))
            if held.edits and mine:
                outcomes[held.id, mine[0]] = self._send_edited(held)
            elif mine:
                same = alike.setdefault((held.person, held.approve, held.comment), [])
                same.extend((held.id, number) for number in mine)
        for (person, approve, comment), several in alike.items():
            ids = [number for _, number in several]
            found = approvals.respond_together(self.ledger, ids, approve=approve, approver=person, comment=comment)
            outcomes |= {one: self._problem(one[1], person, approve, found[one[1]]) for one in several}
        if later:
            outcomes |= self.send(later)
        self._woken.set()
        return outcomes

    def _refused(self, held: Held) -> dict[int, str]:
        """Which of a decision's actions are not what was shown any more."""
        refused = {}
        for number, digest in held.actions.items():
            try:
                action = approvals.action_of(self.ledger, int(number))
            except ApprovalError as error:
                refused[int(number)] = str(error)
                continue
            if action.digest != digest:
                refused[int(number)] = f"action {number} is not what was shown any more"
        return refused

    def _send_edited(self, held: Held) -> str:
        (number,) = held.ids
        error: ApprovalError | None = None
        try:
            approvals.respond(
                self.ledger,
                number,
                approve=held.approve,
                approver=held.person,
                comment=held.comment,
                edits=held.edits,
            )
        except ApprovalError as refusal:
            error = refusal
        return self._problem(number, held.person, held.approve, error)

    def _problem(self, number: int, person: str, approve: bool, error: ApprovalError | None) -> str:
        """Why a decision was not taken; nothing where it was, by this very decision before a crash."""
        if error is None:
            return ""
        with self.ledger.read() as session:
            decided = decision_in(session, number)
        if decided is None:
            return str(error)
        if (decided.approver, decided.verdict) == (person, "approved" if approve else "rejected"):
            return ""
        by = f" by {decided.approver}" if decided.approver else ""
        return f"action {number} was {decided.verdict}{by} at {decided.created_at:%H:%M:%S} UTC, before you"

    def on_interaction(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Take what somebody has pressed in Slack, whose signature holds. Slack hears at once that it has arrived."""
        press = approval_slack.read_press(payload)
        if press is not None:
            accepted = self._presses.submit(self._press, press)
            self._accepted[accepted] = press
            accepted.add_done_callback(lambda done: self._accepted.pop(done, None))
        return None

    def _finish_presses(self) -> None:
        """Take no more, and let end what was accepted. What cannot is said: Slack has told people that it arrived."""
        self._presses.shutdown(wait=False)
        accepted = dict(self._accepted)
        for press in (accepted[left] for left in wait(accepted, PRESS_SECONDS).not_done):
            what = "approving" if press.approve else "rejecting"
            log.error("action %d: %s it in Slack was not done before the end: press again", press.action_id, what)
        self._presses.shutdown(wait=False, cancel_futures=True)

    def _press(self, press: approval_slack.Press) -> None:
        try:
            at = approval_slack.desk()
            if at is None:
                log.warning("action %d: somebody pressed in Slack, and no block says who may", press.action_id)
                return
            try:
                approval_slack.decide(self.ledger, self.cards, at, press)
            except (httpx.HTTPError, PrefectHTTPStatusError, LedgerUnavailable) as error:
                log.warning("action %d: a press in Slack could not be taken: %s", press.action_id, error)
                at.slack.whisper(press.user, "Signoff could not take this now, and nothing was done: press again.")
        except VendorError as error:
            log.warning("action %d: Slack could not be told: %s", press.action_id, error)
        except Exception:  # in a thread that nobody waits for
            log.exception("action %d: a press in Slack was lost", press.action_id)

    def _tell(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self._woken.clear()
            try:
                self._tell_slack()
                if time.monotonic() - self._told_at > NOTICE_SECONDS:
                    self._told_at = time.monotonic()
                    approval_notices.tell_due(self.ledger, self.cards)
            except Exception as error:  # Prefect, Slack or the ledger is away: the next look makes up for it
                expected = isinstance(error, httpx.HTTPError | VendorError | LedgerUnavailable)
                log.warning("people could not be told of approvals: %s", error, exc_info=not expected)
            self._woken.wait(SLACK_SECONDS)

    def _tell_slack(self) -> None:
        at = approval_slack.desk()
        if at is None:
            return
        endpoint = saved()[0].get(PRESSED_AT)
        takes_presses = endpoint is not None and endpoint.scheme == "slack"
        approval_slack.post(self.ledger, self.cards, at, buttons=takes_presses)
        approval_slack.refresh(self.ledger, self.cards, at)


def _cards() -> list[Card]:
    """The card of every flow that can be imported: one that is broken must not keep the others from being decided."""
    found, broken = flow_cards.readable(flow_files())
    for path, error in broken.items():
        log.warning("flows/%s cannot be imported, and nobody can decide for it here", path.name, exc_info=error)
    return found
