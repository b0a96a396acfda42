"""What is hardly ever used is loaded when it is used."""

import subprocess
import sys
from pathlib import Path

from deployments.running import ROOT

LOOK = """
import sys
from tasks.put_off import put_off
sys.path.insert(0, sys.argv[1])
put_off("parcel.heavy", "no_such_module")
from parcel import heavy
assert "opened" not in sys.modules
assert heavy.CONTENT == "gold"
assert "opened" in sys.modules
try:
    import no_such_module
except ModuleNotFoundError:
    print("as ever")
"""
EXPECTATIONS = """
import sys
from tasks import checks
assert checks.unfit([{"id": "1", "sender": "ann", "said": "x", "text": "x"}], checks.answerable)
before = len(sys.modules)
assert "scipy.stats" in sys.modules and "scipy.stats._stats_py" not in sys.modules
assert "altair" in sys.modules and "altair.vegalite" not in sys.modules
import scipy.stats
assert scipy.stats.norm.cdf(0) == 0.5
print(len(sys.modules) - before > 100)
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_loaded_at_the_first_look_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "parcel"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "heavy.py").write_text("import sys\nsys.modules['opened'] = sys\nCONTENT = 'gold'\n")
    assert run(LOOK, str(tmp_path)) == "as ever"


def test_an_intake_check_does_without_statistics_that_are_there_all_the_same() -> None:
    assert run(EXPECTATIONS) == "True"
