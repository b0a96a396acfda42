"""Which stack is up on this machine, so that a command in another terminal talks to it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from deployments.errors import StackError
from deployments.machine import busy, server_home
from deployments.password import write_private
from tasks.processes import is_gone, this_process

ROOT = Path(__file__).parents[1]
HOME = Path(os.environ.get("SIGNOFF_HOME") or ROOT / ".signoff")
"""Where state and logs are kept."""

RUNNING = HOME / "running.json"

PORT = 4200
"""Prefect's own default, and what `pyproject.toml` tells the `prefect` command."""

NOBODY = "http://127.0.0.1:1/api"
"""An address at which no server is: nothing listens on port 1."""

STRANGER = "SIGNOFF_LEFT_ALONE"
"""Within a command: where the server that it does not talk to keeps its state."""

OWN = ("SIGNOFF_LEDGER_URL", "SIGNOFF_LIBRARY_URL")
"""What a command's own environment may say otherwise than the stack's."""


def announce(environment: Mapping[str, str]) -> None:
    """Say that this process keeps a stack up, and how to talk to it."""
    found = {**environment, "pid": str(os.getpid()), "process": this_process()}
    write_private(RUNNING, json.dumps(found))  # the environment holds the server's password


def withdraw() -> None:
    """Take it back, if this process had said so."""
    if (found := running()) and found["pid"] == str(os.getpid()):
        RUNNING.unlink()


def running() -> dict[str, str] | None:
    """The environment and `pid` of the stack that announced itself and is still up, if there is one."""
    try:
        found: dict[str, str] = json.loads(RUNNING.read_text())
        up = is_gone(found["process"]) is False
    except (OSError, ValueError, KeyError):
        return None
    return found if up else None


def refuse_a_second() -> None:
    """Two stacks in one home would take each other's files away.

    Raises:
        StackError: one is up already.
    """
    if found := running():
        raise StackError(
            f"`signoff demo` or `signoff up` is running already (process {found['pid']}, {found['PREFECT_UI_URL']}): "
            "stop it there with Ctrl-C first"
        )


def find_running() -> None:
    """Let this process talk to the stack that is up, unless the environment says where to turn."""
    if "PREFECT_API_URL" in os.environ:
        return
    if found := running():
        del found["pid"], found["process"]
        own = {name: value for name, value in os.environ.items() if name in OWN}
        use(found | own)
        return
    somebody_listens = busy(PORT)
    home = server_home(f"http://127.0.0.1:{PORT}") if somebody_listens else None
    if home is not None and HOME.resolve() in home.resolve().parents:
        return
    # What is approved, or connected, must not land in another checkout's server because that happens to be up: not one
    # that is too busy to say whose it is, nor one that is started in the next second.
    os.environ["PREFECT_API_URL"] = NOBODY
    if somebody_listens:
        os.environ[STRANGER] = str(home or "it does not say whose")
    elif RUNNING.exists():
        sys.stderr.write("signoff: the last `signoff demo` or `signoff up` was killed; start it again to go on\n")


def is_try() -> bool:
    """Whether this process talks to what `signoff try` has started: one workflow on the pretend company."""
    return os.environ.get("PREFECT_HOME") == str(HOME / "try" / "prefect")


def command_name() -> str:
    """How this command is called from the checkout: by its path, unless its environment is the active one."""
    here = Path(sys.prefix) / "bin" / "signoff"
    return "signoff" if shutil.which("signoff") == str(here) else ".venv/bin/signoff"


def no_server() -> str:
    """Why no Prefect server answers, and the way out."""
    said = "no Prefect server answers; start one with `signoff up` or `signoff demo`"
    if STRANGER not in os.environ:
        return said
    return (
        f"{said}. The one on port {PORT} is another folder's ({os.environ.get(STRANGER)}) and is left alone; to use it "
        f"all the same: export PREFECT_API_URL=http://127.0.0.1:{PORT}/api"
    )


def use(environment: Mapping[str, str]) -> None:
    """Take a stack's settings into this process. Call it before anything imports Prefect, which reads them once."""
    os.environ.update(environment)
