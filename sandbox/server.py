"""One process, one port, all vendors."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount

from sandbox import (
    admin,
    anthropic,
    batches,
    drive,
    drive_admin,
    gmail,
    google_consent,
    hubspot,
    notion,
    page,
    slack,
    stripe,
)
from sandbox.drop import DroppableProtocol
from sandbox.middleware import FaultLine, Recorder
from sandbox.seed import Company
from sandbox.world import World

HOST = "127.0.0.1"


def create_app(company: Company | None = None) -> FastAPI:
    """Return the pretend company as an ASGI app; without a company it starts empty."""
    world = World(company)
    app = FastAPI(title="Sandbox", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.world = world
    app.router.routes += [
        Mount("/anthropic", routes=[*anthropic.routes(world), *anthropic.routes(world, batches.ROUTES)]),
        Mount(
            "/google",
            routes=[
                *gmail.routes(world, world.tokens),
                *drive.routes(world, world.tokens),
                *google_consent.routes(world),
            ],
        ),
        Mount("/hubspot", routes=list(hubspot.routes(world))),
        Mount("/slack", routes=list(slack.routes(world))),
        Mount("/stripe", routes=list(stripe.routes(world))),
        Mount("/notion", routes=list(notion.routes(world))),
        Mount("/sandbox", routes=[*admin.routes(world), *drive_admin.routes(world)]),
    ]

    async def home(_request: Request) -> HTMLResponse:
        return HTMLResponse(page.render(admin.state(world)))

    app.add_route("/", home)
    app.add_middleware(FaultLine, world=world)
    app.add_middleware(Recorder, world=world)
    return app


class Server(uvicorn.Server):
    """uvicorn that says when it listens, and for which SIGTERM is a clean end."""

    def __init__(self, config: uvicorn.Config, url: str, ready_file: Path | None) -> None:
        """Remember whom to tell."""
        super().__init__(config)
        self.url, self.ready_file = url, ready_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell."""
        await super().startup(sockets)
        sys.stdout.write(f"{self.url}\n")
        sys.stdout.flush()
        if self.ready_file:
            announce(self.ready_file, self.url)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (uvicorn's signature)
        """Stop; unlike uvicorn's own, do not raise the signal again once stopped."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def announce(ready_file: Path, url: str) -> None:
    """Write the ready file in one step, so that nobody reads half of it."""
    draft = ready_file.with_name(f"{ready_file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    draft.replace(ready_file)


def config(app: FastAPI) -> uvicorn.Config:
    """Return uvicorn's settings: quiet, patient with idle connections, and able to drop one."""
    return uvicorn.Config(
        app,
        http=DroppableProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_level="error",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )


def serve(port: int = 0, ready_file: Path | None = None, company: Company | None = None) -> None:
    """Run the sandbox until it is told to stop."""
    try:
        listener = listen(port)
    except OSError as error:
        sys.exit(explanation(error, port))
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    Server(config(create_app(company)), url, ready_file).run(sockets=[listener])


def listen(port: int) -> socket.socket:
    """Take the port on loopback; 0 lets the system pick one."""
    # asyncio turns Nagle's delay off (45 ms a reply) only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # A bind alone succeeds beside another socket that has SO_REUSEADDR too; only listening claims the port.
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def explanation(error: OSError, port: int) -> str:
    """Say what to do about a port that cannot be had."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {HOST} is in use. Stop what runs there, or choose another with --port (0 picks one)."
    return f"Port {port} on {HOST} cannot be opened: {error.strerror}."
