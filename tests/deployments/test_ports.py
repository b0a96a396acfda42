"""Two stacks that start at once on one machine must not end up on one server."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import stack as stack_module
from deployments.errors import StackError
from deployments.machine import HOST, free_port
from deployments.running import ROOT
from deployments.stack import Stack
from tests.deployments.machinery import unused_port


@pytest.fixture
def strangers_port() -> Iterator[int]:
    """A port on which somebody else's Prefect server answers."""

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"home": "/somebody/else"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_free_port_is_given_to_one_process_only() -> None:
    port = unused_port()

    assert free_port(port) == port

    code = f"from deployments.machine import free_port; print(free_port({port}))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(other.stdout) != port


def test_a_server_that_is_not_ours_is_not_taken_for_ours(
    tmp_path: Path, strangers_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What happens when both looked before either listened.
    monkeypatch.setattr(stack_module, "busy", lambda _: False)

    with Stack(tmp_path, strangers_port) as stack, pytest.raises(StackError, match="taken by another Prefect server"):
        stack.start_server()
