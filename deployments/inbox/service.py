"""What stands behind the page: the decisions on their way, who hears of what, and presses in Slack."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi import APIRouter
from prefect.exceptions import PrefectHTTPStatusError

from blocks.ledger import Decision, Ledger, LedgerUnavailable
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
from tasks.approvals import ApprovalError
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
        self.sessions = Sessions(key(folder), secret)
        self.password = secret or None
        self.doors = Doors(folder / "codes")
        self.attempts = Attempts()
        self.holding = Holding(folder / "held", self.send, hold_seconds)
        self.poll_seconds = poll_seconds
        self._tells = tells
        self._woken = threading.Event()
        self._told_at = float("-inf")
        self._presses = ThreadPoolExecutor(PRESSES, "signoff-press")

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
            self._presses.shutdown(wait=False, cancel_futures=True)

    def tell_soon(self) -> None:
        """Let people be told now of what has changed."""
        self._told_at = float("-inf")
        self._woken.set()

    def send(self, some: Sequence[Held]) -> Mapping[int, str]:
        """Decide as people did, those together that say the same; by action, why it was not taken.

        Raises:
            Exception: Prefect or the ledger could not be asked.
        """
        outcomes: dict[int, str] = {}
        alike: dict[tuple[str, bool, str], list[Held]] = {}
        for held in some:
            outcomes |= self._refused(held)
            if held.edits:
                outcomes |= self._send_edited(held, outcomes)
            else:
                alike.setdefault((held.person, held.approve, held.comment), []).append(held)
        for (person, approve, comment), several in alike.items():
            ids = [number for held in several for number in held.ids if number not in outcomes]
            found = approvals.respond_together(self.ledger, ids, approve=approve, approver=person, comment=comment)
            outcomes |= {number: self._problem(number, person, approve, error) for number, error in found.items()}
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

    def _send_edited(self, held: Held, outcomes: Mapping[int, str]) -> dict[int, str]:
        (number,) = held.ids
        if number in outcomes:
            return {}
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
        return {number: self._problem(number, held.person, held.approve, error)}

    def _problem(self, number: int, person: str, approve: bool, error: ApprovalError | None) -> str:
        """Why a decision was not taken; nothing where it was, by this very decision before a crash."""
        if error is None:
            return ""
        with self.ledger.read() as session:
            decided = session.scalar(sa.select(Decision).where(Decision.action_id == number))
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
            self._presses.submit(self._press, press)
        return None

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
