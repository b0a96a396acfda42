"""Somebody who is told: a real HTTP receiver that checks each signature, and may be down."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

from blocks import connections
from blocks.outgoing_webhook import OutgoingWebhook
from sandbox.client import Sandbox

SECRET = "a secret of the receiver's"
OWNER = "tom@dockwell.example"


@dataclass
class Receiver:
    """What a webhook's receiver has heard."""

    url: str
    heard: list[dict[str, Any]] = field(default_factory=list)
    """The messages that it took, with a good signature."""
    ids: list[str] = field(default_factory=list)
    status: int = 204
    """What it answers; 0 for nothing, after it has taken the message."""

    def texts(self) -> list[str]:
        """Every notice that it was told of, one by one."""
        return [each["text"] for message in self.heard for each in message["data"]["notices"]]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a port of its own, saved as `outgoing-webhook/alerts`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
            mac = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
            if f"v1,{mac}" != self.headers["webhook-signature"]:
                self.send_error(401)
                return
            if receiver.status in (0, 204):
                receiver.heard.append(json.loads(body))
                receiver.ids.append(self.headers["webhook-id"])
            if receiver.status:
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()
            else:
                self.close_connection = True

        def do_OPTIONS(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        block = OutgoingWebhook(url=SecretStr(receiver.url), secret=SecretStr(SECRET))
        connections.save("outgoing-webhook/alerts", block)
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
            with suppress(ValueError):
                OutgoingWebhook.delete("alerts")


def posts(sandbox: Sandbox) -> list[str]:
    """What was posted in Slack."""
    return [post["text"] for post in sandbox.posts()]


def mails(sandbox: Sandbox, to: str = OWNER) -> list[str]:
    """What somebody of ours was sent, oldest first."""
    return [mail.body.replace("\r\n", "\n") for mail in reversed(sandbox.sent()) if mail.to == to]
