"""`signoff deploy`: what a Prefect server must know of us, put on one that `signoff up` has not started."""

from __future__ import annotations

import os
import subprocess
import time

from deployments import views
from deployments.errors import StackError
from deployments.first_time import lower_new_workflows
from deployments.machine import answers
from deployments.running import ROOT
from deployments.stack import create_limits, create_pool, in_venv, register_blocks

API = "PREFECT_API_URL"
WAIT_SECONDS = 120
"""How long the server may take to answer: it may have been started a moment ago, with us."""


def deploy() -> int:
    """Migrate the ledger and the library; make the pool, blocks, deployments and rate limits on the server.

    Raises:
        StackError: it is not said which server, it does not answer, or it refuses a deployment.
        LedgerError: the ledger cannot be opened. `LibraryError`: the library cannot.
    """
    from blocks.ledger import Ledger
    from blocks.library import Library

    url = os.environ.get(API)
    if not url:
        raise StackError(f"set {API} to the server's address, such as http://server:4200/api")
    _wait_for(url)
    Ledger.open()
    Library.open()
    create_pool()
    register_blocks()
    done = subprocess.run(in_venv(["prefect", "--no-prompt", "deploy", "--all"]), cwd=ROOT, check=False)
    if done.returncode:
        raise StackError("the server did not take all deployments; what Prefect said stands above")
    create_limits()
    for workflow, variable in lower_new_workflows():
        views.console.print(f"{workflow} starts in shadow (the Prefect Variable {variable}).", markup=False)
    views.console.print(f"Everything is on {url}.", markup=False)
    return 0


def _wait_for(url: str) -> None:
    if answers(f"{url}/health"):
        return
    views.say(f"Nothing answers at {url} yet: waiting up to {WAIT_SECONDS} s for it.")
    until = time.monotonic() + WAIT_SECONDS
    while not answers(f"{url}/health"):
        if time.monotonic() > until:
            raise StackError(f"nothing answers at {url} ({API}) within {WAIT_SECONDS} s: is the server up?")
        time.sleep(1)
