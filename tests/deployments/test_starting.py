"""A process that a stack starts is known, whatever comes in that moment: else it would outlive the stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployments.stack import Stack


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_a_process_begins_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        begun.append(begin(*args, **options))
        os.kill(os.getpid(), number)
        return begun[-1]

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt), Stack(tmp_path, 4299) as stack, monkeypatch.context() as patch:  # noqa: PT012
            patch.setattr(subprocess, "Popen", interrupted)
            stack._start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    (process,) = begun
    assert process.returncode is not None
