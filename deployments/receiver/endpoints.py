"""The endpoints that this receiver answers on: the blocks of type webhook-endpoint, looked at again every so often."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import ValidationError

from blocks.webhooks import SLUG, WebhookEndpoint

EVERY_SECONDS = 3.0
"""How soon a new endpoint, or a changed secret, counts."""

RETRY_SECONDS = 2.0
"""And how soon Prefect is asked again as long as it has never answered."""

Load = Callable[[], tuple[Mapping[str, WebhookEndpoint], list[str]]]

PRESSED_AT = "slack"
"""The one endpoint at which buttons count, `webhook-endpoint/slack`: another app's secret must not approve anything."""


def saved() -> tuple[dict[str, WebhookEndpoint], list[str]]:
    """The endpoints on the Prefect server by name, and what is wrong with those that cannot be used.

    Raises:
        Exception: whatever Prefect raises when it cannot be asked.
    """
    found: dict[str, WebhookEndpoint] = {}
    wrong: list[str] = []
    with get_client(sync_client=True) as client:
        try:
            documents = client.read_block_documents_by_type(SLUG, include_secrets=True)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            documents = []  # a server on which nobody has made one yet: it does not even know the type
    for document in documents:
        try:
            block = WebhookEndpoint._from_block_document(document)
            assert isinstance(block, WebhookEndpoint)
            found[str(document.name)] = block
        except ValidationError as error:
            # Prefect's form checks no more than the types. Its own words quote the values.
            why = "; ".join(str(problem["msg"]).removeprefix("Value error, ") for problem in error.errors())
            wrong.append(f"{SLUG}/{document.name} cannot be used: {why}")
    return found, wrong


class Endpoints:
    """What is known of them. While Prefect does not answer, what it said last counts."""

    def __init__(self, load: Load = saved) -> None:
        self._load = load
        self._known: Mapping[str, WebhookEndpoint] | None = None
        self._wrong: list[str] = []

    @property
    def known(self) -> bool:
        """Whether Prefect has ever answered: until then nobody can be told that there is no such endpoint."""
        return self._known is not None

    def find(self, name: str) -> WebhookEndpoint | None:
        """The endpoint of that name."""
        return (self._known or {}).get(name)

    def look(self) -> None:
        """Ask Prefect.

        Raises:
            Exception: whatever it raises when it cannot be asked.
        """
        found, wrong = self._load()
        for problem in wrong:
            if problem not in self._wrong:
                logging.getLogger(__name__).warning(problem)
        # A block that is what it was stays: Google's keys are kept in it.
        before = self._known or {}
        self._known = {name: before[name] if _same(before.get(name), block) else block for name, block in found.items()}
        self._wrong = wrong

    def watch(self, ended: threading.Event) -> None:
        """Ask every so often until `ended` is set."""
        while True:
            try:
                self.look()
            except Exception as error:  # whatever Prefect's client raises: what is known goes on counting
                expected = isinstance(error, httpx.HTTPError)
                logging.getLogger(__name__).warning("the endpoints could not be read: %s", error, exc_info=not expected)
            if ended.wait(EVERY_SECONDS if self.known else RETRY_SECONDS):
                return


def _same(one: WebhookEndpoint | None, other: WebhookEndpoint) -> bool:
    """By their fields: two blocks that say the same still have clients of their own."""
    return one is not None and one.model_dump() == other.model_dump()
