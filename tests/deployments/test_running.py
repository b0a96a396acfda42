"""Which Prefect server a command talks to when it is not told."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deployments import running
from deployments.machine import server_home
from tests.deployments.machinery import unused_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What answers where our server would, as Prefect's does; `home` is where it says that it keeps its state."""
    told = {"home": str(tmp_path / "elsewhere" / "prefect")}

    class Settings(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Settings) as listening:
        told["port"] = str(listening.server_port)
        thread = Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield told
        listening.shutdown()
        thread.join()


@pytest.fixture
def nothing_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: dict[str, str]) -> Path:
    """This folder's stack is down; returns its home."""
    home = tmp_path / "home"
    monkeypatch.setattr(running, "HOME", home)
    monkeypatch.setattr(running, "RUNNING", home / "running.json")
    monkeypatch.setattr(running, "PORT", int(server["port"]))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return home


@pytest.mark.usefixtures("nothing_is_up")
def test_another_folders_server_is_left_alone(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        for name in ("PREFECT_API_URL", running.STRANGER):
            patch.setenv(name, "put back afterwards")
        patch.delenv("PREFECT_API_URL")
        running.find_running()
        assert os.environ["PREFECT_API_URL"] == running.NOBODY
        said = running.no_server()
    assert f"The one on port {server['port']} is another folder's ({server['home']}) and is left alone" in said
    assert f"export PREFECT_API_URL=http://127.0.0.1:{server['port']}/api" in said
    assert capsys.readouterr().err == ""  # not every command needs a server


@pytest.mark.usefixtures("nothing_is_up")
def test_a_server_that_is_too_busy_to_say_whose_it_is_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent, monkeypatch.context() as patch:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        patch.setattr(running, "PORT", silent.getsockname()[1])
        patch.setattr(running, "server_home", lambda url: server_home(url, seconds=0.1))
        for name in ("PREFECT_API_URL", running.STRANGER):
            patch.setenv(name, "put back afterwards")
            patch.delenv(name)
        running.find_running()
        assert os.environ["PREFECT_API_URL"] == running.NOBODY
        assert "(it does not say whose) and is left alone" in running.no_server()


@pytest.mark.usefixtures("nothing_is_up")
def test_with_nothing_up_one_that_is_started_a_moment_later_is_not_talked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(running, "PORT", unused_port())
        for name in ("PREFECT_API_URL", running.STRANGER):
            patch.setenv(name, "put back afterwards")
            patch.delenv(name)
        running.find_running()
        assert os.environ["PREFECT_API_URL"] == running.NOBODY
        assert running.no_server() == "no Prefect server answers; start one with `signoff up` or `signoff demo`"


def test_one_of_this_folder_is_used(
    nothing_is_up: Path, server: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    server["home"] = str(nothing_is_up / "prefect")
    running.find_running()
    assert "PREFECT_API_URL" not in os.environ
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("nothing_is_up")
def test_whoever_says_which_server_is_believed(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = f"http://127.0.0.1:{server['port']}/api"
    monkeypatch.setenv("PREFECT_API_URL", mine)
    running.find_running()
    assert os.environ["PREFECT_API_URL"] == mine
    assert capsys.readouterr().err == ""


def test_the_command_is_named_as_it_can_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(sys.prefix) / "bin"
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}/usr/bin")
    assert running.command_name() == "signoff"
    monkeypatch.setenv("PATH", "/usr/bin")
    assert running.command_name() == ".venv/bin/signoff"


def test_what_a_try_has_started_is_known(nothing_is_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(nothing_is_up / "prefect"))
    assert not running.is_try()
    monkeypatch.setenv("PREFECT_HOME", str(nothing_is_up / "try" / "prefect"))
    assert running.is_try()
