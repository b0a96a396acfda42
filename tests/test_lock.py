"""The locks: every pin has its hash, none says where it comes from. And what the audit makes of what it is told."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WANTED = {
    "requirements.lock": [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]],
    "requirements-audit.lock": PROJECT["dependency-groups"]["audit"],
}
PRERELEASES = {
    "opentelemetry-semantic-conventions==0.66b2": "OpenTelemetry's SDK brings it, and it has never had another version",
}
"""Pins of versions that are not final, each with the reason."""

every_lock = pytest.mark.parametrize("name", WANTED)
NAME = re.compile(r"^([A-Za-z0-9._-]+)")
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(name: str) -> dict[str, str]:
    """Each pin with everything that belongs to it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    parts = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {f"{match[1]}=={match[2]}": part for part in parts if (match := PIN.match(part))}


@every_lock
def test_every_pin_has_a_hash_and_nothing_else_is_in_there(name: str) -> None:
    found = entries(name)
    assert len(found) > 5
    for pin, entry in found.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), pin
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line.strip()]
    odd = [
        line for line in lines if not re.match(r"\s*#|[A-Za-z0-9][^ ]*==|    --hash=sha256:[0-9a-f]{64}( \\)?$", line)
    ]
    assert odd == []


@every_lock
def test_no_line_says_where_a_package_comes_from(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host| @ |\.whl|\.tar", text)


@every_lock
def test_every_direct_dependency_is_pinned(name: str) -> None:
    pinned = {normal(pin.partition("==")[0]) for pin in entries(name)}
    asked = {normal(match[1]) for line in WANTED[name] if (match := NAME.match(line))}
    assert asked
    assert asked - pinned == set()


@every_lock
def test_no_pin_is_a_prerelease_without_a_reason(name: str) -> None:
    early = {pin for pin in entries(name) if re.search(r"==\d[\d.]*(?:a|b|rc|\.dev)\d", pin)}
    assert early - PRERELEASES.keys() == set()


@every_lock
def test_no_package_is_pinned_twice_without_saying_when(name: str) -> None:
    found = entries(name)
    names = [pin.partition("==")[0] for pin in found]
    twice = {one for one in names if names.count(one) > 1}
    assert all(" ; " in entry.splitlines()[0] for pin, entry in found.items() if pin.partition("==")[0] in twice)


# The audit


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """`.ci/audit.py`, which is no package."""
    spec = importlib.util.spec_from_file_location("ci_audit", ROOT / ".ci" / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["ci_audit"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


CLEAN = {"name": "httpx", "version": "0.28.1", "vulns": []}
BAD = {
    "name": "jinja2",
    "version": "3.1.0",
    "vulns": [{"id": "GHSA-1", "aliases": ["CVE-2026-1"], "fix_versions": ["3.1.6"], "description": ""}],
}
SKIPPED = {"name": "rich", "skip_reason": "Dependency not found and could not be audited: rich (14.0)"}


@pytest.fixture
def judged(audit: ModuleType) -> Callable[..., tuple[str, int]]:
    """What is printed, and the exit code, when pip-audit reports these pins."""

    def judge(*pins: dict[str, Any], strict: bool = False) -> tuple[str, int]:
        text, code = audit.verdict(audit.read(json.dumps({"dependencies": pins}), ""), strict)
        return str(text), int(code)

    return judge


@pytest.mark.parametrize("strict", [False, True])
def test_a_vulnerable_pin_fails_and_is_named(judged: Callable[..., tuple[str, int]], strict: bool) -> None:
    text, code = judged(CLEAN, BAD, SKIPPED, strict=strict)
    assert code == 1
    assert "jinja2 3.1.0: GHSA-1, mended by 3.1.6" in text


@pytest.mark.parametrize("strict", [False, True])
def test_clean_pins_pass(judged: Callable[..., tuple[str, int]], strict: bool) -> None:
    assert judged(CLEAN, CLEAN, strict=strict) == ("audit: 2 pins have no known vulnerability\n", 0)


def test_what_could_not_be_looked_up_is_never_called_clean(judged: Callable[..., tuple[str, int]]) -> None:
    text, code = judged(SKIPPED, SKIPPED, SKIPPED, CLEAN)
    assert code == 0
    assert "NOT AUDITED. 3 pins could not be looked up" in text
    assert "audit: 1 pins have no known vulnerability" in text
    assert judged(SKIPPED, strict=True)[1] == 1


@pytest.mark.parametrize("report", ["", "Traceback (most recent call last)", "{}", '{"fixes": []}'])
def test_a_report_that_cannot_be_read_is_not_audited(audit: ModuleType, report: str) -> None:
    found = audit.read(report, "connection refused\n\n")
    assert audit.verdict(found, False)[1] == 0
    assert "connection refused" in audit.verdict(found, False)[0]
    assert audit.verdict(found, True)[1] == 1


def test_an_accepted_vulnerability_passes_by_any_of_its_names(
    audit: ModuleType, judged: Callable[..., tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", {"CVE-2026-1": "we never render what strangers write"})
    assert judged(BAD)[1] == 0


def test_nothing_audited_at_all_is_a_failure(judged: Callable[..., tuple[str, int]]) -> None:
    assert judged()[1] == 1


def test_a_tool_that_is_not_there_is_not_audited(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "TOOLS", tmp_path)
    found = audit.audit(ROOT / "requirements.lock")
    assert found.unknown
    assert not found.clean
