"""`signoff receive`: the receiver, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from blocks.ledger import Ledger
from deployments.errors import StackError
from deployments.machine import busy
from deployments.receiver.app import whole
from deployments.receiver.limits import Limits
from deployments.triggers import refuse_wrong

END_SECONDS = 5


def receive(host: str, port: int) -> int:
    """Serve until Ctrl-C.

    Raises:
        TriggerError: a trigger names what is not there.
        StackError: the port is taken.
    """
    refuse_wrong()
    if busy(port):
        raise StackError(f"port {port} is in use: choose another with --port")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("deployments").setLevel(logging.INFO)
    server = uvicorn.Server(config(whole(Ledger.open()), host, port, Limits()))
    logging.getLogger(__name__).info("listening on http://%s:%d/hooks/NAME", host, port)
    server.run()
    return 0 if server.started else 1


def config(app: Any, host: str, port: int, limits: Limits) -> uvicorn.Config:
    """The server's settings: no word of what it is, and nobody is waited for for long."""

    class Impatient(H11Protocol):
        """Closes a connection whose request's head does not come: uvicorn itself would wait for ever."""

        _patience: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._mind_the_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._mind_the_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_minding()
            super().connection_lost(exc)

        def _mind_the_head(self) -> None:
            if self.conn.their_state is not h11.IDLE:
                self._stop_minding()
            elif self._patience is None:
                self._patience = self.loop.call_later(limits.head_seconds, self.transport.close)

        def _stop_minding(self) -> None:
            if self._patience:
                self._patience.cancel()
                self._patience = None

    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Impatient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # a line for each of a flood's requests would be a flood of its own
        server_header=False,
        # Who calls, and by https or not, is believed of a proxy at these addresses alone: on this machine, or where
        # uvicorn's own setting says that yours is (FORWARDED_ALLOW_IPS=172.17.0.1). It must set X-Forwarded-For and
        # X-Forwarded-Proto anew: strangers send them as well.
        proxy_headers=True,
        forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1",
        limit_concurrency=limits.connections,
        h11_max_incomplete_event_size=limits.head,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=END_SECONDS,
    )
