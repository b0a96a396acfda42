"""Recorded agents' calls, from tau2-bench's retail tasks: whatever is killed, the end is as if they were made once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RETAIL = Path(os.environ.get("SIGNOFF_DATA", ROOT.parent / "shared" / "data")) / "tau2_bench" / "retail"


@pytest.mark.skipif(not RETAIL.is_dir(), reason=f"no retail tasks at {RETAIL}: set SIGNOFF_DATA")
@pytest.mark.slow
def test_the_end_is_the_same_as_when_the_changes_are_simply_made() -> None:
    command = [sys.executable, "-m", "tests.retail", str(RETAIL), "--every", "19", "--stride", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "6 tasks" in done.stdout
