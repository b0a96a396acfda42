"""A server that others can reach asks for a password, without being told to; and what is kept is the owner's alone."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deployments.password import file, is_loopback, password
from deployments.running import ROOT
from tests.deployments.machinery import BIN, clean_environment, eventually, run, unused_port

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("signoff.example", False),
    ],
)
def test_who_can_reach_a_host_is_told_from_it(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_the_password_is_made_up_once_and_the_environments_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    made = password(tmp_path)
    assert made == password(tmp_path)
    assert len(made) > 30
    assert stat.S_IMODE(file(tmp_path).stat().st_mode) == 0o600
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "ann:hers")
    assert password(tmp_path) == "ann:hers"


@pytest.fixture(scope="module")
def reachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """`signoff up --host 0.0.0.0`, by itself: its address from here, its home, and the environment to find it with."""
    home, port = tmp_path_factory.mktemp("reachable") / "home", unused_port()
    environment = clean_environment(SIGNOFF_HOME=str(home))
    said = home.parent / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [str(BIN / "signoff"), "up", "--host", "0.0.0.0", "--port", str(port)],
            cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        eventually("it is up", lambda: "Ctrl-C stops everything" in said.read_text() or process.poll() is not None, 300)
        assert process.poll() is None, said.read_text()
        assert "Others can reach it, unencrypted" in said.read_text()
        assert str(file(home)) in said.read_text().replace("\n", "")
        yield f"http://127.0.0.1:{port}/api", home, environment
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_a_server_that_others_can_reach_lets_nobody_in_without_its_password(
    reachable: tuple[str, Path, dict[str, str]],
) -> None:
    url, home, environment = reachable
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as stranger:
        for path in (
            "/admin/settings",
            "/block_types/slug/gmail",
            "/csrf-token?client=x",
            "/variables/name/lead_triage_stage",
        ):
            assert stranger.get(path).status_code == 401, path
        assert stranger.get("/admin/settings", auth=("signoff", "guessed")).status_code == 401
        user, _, secret = file(home).read_text().strip().partition(":")
        assert stranger.get("/admin/settings", auth=(user, secret)).status_code == 200
    assert run(["signoff", "approvals", "list"], environment).out.strip() == "Nothing waits for a decision."
    assert run(["prefect", "variable", "ls"], environment | {"PREFECT_API_URL": url}).code != 0


def test_nobody_else_on_the_machine_can_read_the_mail_or_the_password(
    reachable: tuple[str, Path, dict[str, str]],
) -> None:
    _, home, _ = reachable
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("password", "running.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    secret = file(home).read_text().strip().partition(":")[2]
    logs = [path for path in home.glob("*.log") if secret in path.read_text(errors="replace")]
    assert logs == [], os.listdir(home)
