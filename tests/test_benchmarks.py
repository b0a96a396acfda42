"""The benchmarks can be started, and their report says what was measured. How fast anything is is no test's matter."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import waiting
from benchmarks.__main__ import Figure, Setting, flat, table
from benchmarks.ways import PREPARED
from deployments.running import ROOT

FOLDER = ROOT / "benchmarks"
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for file in FOLDER.rglob("*.py")
    if "peers" not in file.parts and "ArgumentParser" in file.read_text()
)


def figure(way: str, records: int, seconds: float, number: int = 1) -> Figure:
    return Figure(way, records, 0, number, seconds, seconds / 2, 120.0, records * 5_000, records * 2_000, 3.0)


def printed(thing: object) -> str:
    out = io.StringIO()
    Console(width=100, file=out).print(thing)
    return out.getvalue()


@pytest.mark.parametrize("module", MODULES)
def test_each_can_be_started(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout


def test_the_report_tells_median_range_and_ratio_of_one_round() -> None:
    some = [
        *(figure("calls", 200, seconds, number) for number, seconds in ((1, 4.0), (2, 8.0), (3, 5.0))),
        *(figure("ours", 200, seconds, number) for number, seconds in ((1, 8.0), (2, 8.0), (3, 10.0))),
    ]
    said = printed(table(Setting(200, 0, "calls", ("calls", "ours"), 3), some, prefect_mb=85.0))
    assert "200 e-mails, the model answers at once, 3 rounds" in said
    assert "25.0 [20.0-25.0]" in said
    assert "0.50 [0.50-1.00]" in said
    assert max(map(len, said.splitlines())) <= 100


def test_what_many_cost_is_told_without_what_a_start_costs(capsys: pytest.CaptureFixture[str]) -> None:
    flat(Console(width=100), [figure("ours", 200, 10.0), figure("ours", 2_000, 46.0)])
    assert "From 200 to 2,000 e-mails: 50.0 a second, 10.0 ms of the processor each." in capsys.readouterr().out


def test_what_waits_is_listed_and_weighed(capsys: pytest.CaptureFixture[str]) -> None:
    found = waiting.report(Console(width=100), 30, 1)
    assert set(found["seconds"]) == {
        "python -c pass", "signoff --help", "signoff approvals list", "signoff approvals list --json",
    }  # fmt: skip
    assert 500 < found["bytes_each"] < 20_000
    assert "30 approvals wait" in capsys.readouterr().out


def test_every_way_that_is_compared_can_be_prepared() -> None:
    from benchmarks.__main__ import NAMES, settings

    compared = {
        way for quick in (False, True) for setting in settings(quick=quick, whole=True) for way in setting.all_ways
    }
    assert compared <= set(NAMES)
    assert compared - {"langgraph"} <= set(PREPARED)
    assert Path(FOLDER / "peers" / "requirements.lock").exists()
