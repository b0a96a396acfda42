"""Which process does a run, and whether it is still there."""

from __future__ import annotations

import os
import socket
import subprocess
from functools import cache
from pathlib import Path

PROC = Path("/proc")


def this_process() -> str:
    """This process's identity: the machine since it was started, the number, and when that number began.

    A number alone would be somebody else's after a while, or on another machine.
    """
    return f"{_machine()} {os.getpid()} {_began(os.getpid())}"


def is_gone(identity: str) -> bool | None:
    """Whether that process has ended; None when it cannot be told, because it runs on another machine."""
    machine, _, process = identity.partition(" ")
    number, _, began = process.partition(" ")
    if machine != _machine() or not number.isdecimal():
        return None
    return _began(int(number)) != began


@cache
def _machine() -> str:
    """The host, its boot, and the space that its process numbers are in: two containers may share the first two."""
    return "/".join([socket.gethostname(), _boot(), _numbers()]).replace(" ", "")


def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return "-"


def _numbers() -> str:
    try:
        return os.readlink(PROC / "self/ns/pid")
    except OSError:
        return "-"


def _began(number: int) -> str:
    """When a process began, in the system's own terms; empty when there is none."""
    if not (PROC / "self/stat").exists():
        return subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(number)], capture_output=True, text=True, check=False
        ).stdout.strip()
    try:
        # The second field is the name, in brackets, and may hold anything.
        fields = (PROC / str(number) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]  # starttime, proc(5); a zombie has ended
