"""A Redis server of one's own: on loopback, in a temporary folder, gone with the process."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.machine import busy
from tests.ports import unused_port

START_SECONDS = 30


class NoRedis(Exception):
    """There is no Redis on this machine; the message says what was looked for."""


@contextmanager
def running() -> Iterator[str]:
    """Start a server, and stop it at the end; yields its address.

    Raises:
        NoRedis: there is none on this machine, or it does not run.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise NoRedis("no redis-server on the PATH (Debian: apt-get install redis-server)")
    port = unused_port()
    with tempfile.TemporaryDirectory(prefix="signoff-redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        log = Path(folder) / "log"
        with log.open("w") as output:
            server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            until = time.monotonic() + START_SECONDS
            while not busy(port):
                if server.poll() is not None or time.monotonic() > until:
                    raise NoRedis(f"redis-server does not run: {log.read_text()[-500:]}")
                time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()
