"""Does anything that the locks pin have a known vulnerability? Tells apart: yes, no, and nobody could say.

Run by `make audit`. pip-audit and what it needs live in an environment of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".venv" / "audit"
LOCKS = ("requirements.lock", "requirements-audit.lock")
SECONDS = 600

ACCEPTED: Mapping[str, str] = {}
"""Vulnerabilities that do not reach us, each with the reason: `{"GHSA-...": "we never parse XML with it"}`."""


@dataclass
class Findings:
    """What is known of a lock's pins."""

    vulnerable: list[str] = field(default_factory=list)
    """One line each: the pin, the vulnerability, the version that mends it."""
    unknown: list[str] = field(default_factory=list)
    """Pins that could not be looked up, or why none could."""
    clean: int = 0

    def __iadd__(self, other: Findings) -> Findings:
        self.vulnerable += other.vulnerable
        self.unknown += other.unknown
        self.clean += other.clean
        return self


def main(strict: bool) -> int:
    """Audit every lock; 0 when nothing is wrong, 1 when something is (or, if `strict`, could not be looked up)."""
    found = Findings()
    problem = prepare()
    for name in LOCKS:
        found += Findings(unknown=[problem]) if problem else audit(ROOT / name)
    text, code = verdict(found, strict)
    sys.stdout.write(text)
    return code


def prepare() -> str | None:
    """Put the pinned pip-audit into its environment, unless it is there; returns why that was not possible."""
    lock, done = ROOT / "requirements-audit.lock", TOOLS / "installed.lock"
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return None
    install = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(TOOLS)], [*install, "-r", str(lock)]):
        ran = run(command)
        if ran.returncode:
            return f"pip-audit could not be installed: {last_line(ran.stderr)}"
    done.write_bytes(lock.read_bytes())
    return None


def audit(lock: Path) -> Findings:
    """What pip-audit says about one lock. It resolves nothing: every pin and its hash is in there."""
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    ran = run([str(TOOLS / "bin" / "pip-audit"), "--requirement", str(lock), *options])
    return read(ran.stdout, ran.stderr)


def read(report: str, complaint: str) -> Findings:
    """pip-audit's JSON, sorted out. Without one it could not reach its service, and says so on stderr."""
    try:
        pins: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return Findings(unknown=[last_line(complaint)])
    found = Findings()
    for pin in pins:
        open_ones = [v for v in pin.get("vulns", []) if not {v["id"], *v.get("aliases", [])} & ACCEPTED.keys()]
        found.vulnerable += [described(pin, v) for v in open_ones]
        found.unknown += [pin["skip_reason"]] if "skip_reason" in pin else []
        found.clean += not open_ones and "skip_reason" not in pin
    return found


def described(pin: Mapping[str, Any], vulnerability: Mapping[str, Any]) -> str:
    """One vulnerability on one line."""
    mended = ", ".join(vulnerability.get("fix_versions", [])) or "nothing yet"
    return f"{pin['name']} {pin['version']}: {vulnerability['id']}, mended by {mended}"


def verdict(found: Findings, strict: bool) -> tuple[str, int]:
    """What to print, and the exit code."""
    lines: list[str] = []
    if found.vulnerable:
        lines += ["audit: VULNERABLE", *(f"  {line}" for line in found.vulnerable)]
    if found.unknown:
        many = f"{len(found.unknown)} pins" if len(found.unknown) > len(LOCKS) else "The pins"
        lines += [
            "*" * 78,
            f"audit: NOT AUDITED. {many} could not be looked up, so nothing is known about them:",
            f"  {found.unknown[0][:200]}",
            "  Run `make audit` where the vulnerability service can be reached; `make audit STRICT=1` fails here.",
            "*" * 78,
        ]
    if found.clean:
        lines.append(f"audit: {found.clean} pins have no known vulnerability")
    failed = bool(found.vulnerable) or (strict and bool(found.unknown)) or not lines
    return "\n".join(lines or ["audit: the locks pin nothing"]) + "\n", int(failed)


def run(command: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, however it ends."""
    wanted = list(command)
    try:
        return subprocess.run(wanted, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(wanted, 1, "", f"{type(error).__name__}: {error}")


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


if __name__ == "__main__":
    sys.exit(main(strict=os.environ.get("STRICT", "") not in ("", "0")))
