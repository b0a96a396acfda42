"""The fault matrix: every fault of the sandbox, at every destination, with a kill -9 at every moment. `make chaos`

Each cell is a story with real processes: an attempt that a fault strikes and one that is killed, in either order, then
runs in fair weather until it is settled. Then the pretend company is asked, not the ledger, what was done. Nothing may
be done twice, lost, or done without leave; the exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from typing import Any

from tests.chaos import cells, report
from tests.chaos.play import POSTGRESQL, SQLITE, Player, targets
from tests.postgres import NoPostgres, programs

EVERY_SECONDS = 10.0
BOUND_SECONDS = 540.0
MANY = 1_000_000
LANES = 4
"""Stories told side by side: half of each is spent waiting, for a disk or for a vendor that hangs."""


def main() -> int:
    """Play, print, and say whether the promises held."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has switched Ctrl-C off: behind an `&`
        signal.signal(number, _stop)
    wanted = targets(options.only)
    databases = _databases(options.database)
    player = Player(databases, lanes=LANES // len(databases))
    done = threading.Event()
    told = threading.Thread(target=_tell, args=(player, done), daemon=True)
    told.start()
    try:
        # The pairs first, so that whatever the time leaves out, every fault has met every destination and every crash.
        result = player.play(wanted, lambda calls: cells.sample(calls, options.seed, extra=MANY), options.seconds)
    except KeyboardInterrupt:
        return 130
    finally:
        done.set()
        told.join()
    _print(report.as_json(result, options.seed) if options.json else report.as_text(result, wanted))
    return 0 if result.good else 1


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _options() -> Any:
    parser = argparse.ArgumentParser(
        prog="make chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL, "both"], default="both")
    parser.add_argument("--only", metavar="KIND", help="only this destination, or those that begin so: hubspot")
    parser.add_argument("--seed", type=int, default=1, help="which call meets which fault, and in which order")
    parser.add_argument("--seconds", type=float, default=BOUND_SECONDS, help="stop after so long, and say what is left")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


def _databases(chosen: str) -> list[str]:
    if chosen != "both":
        return [chosen]
    try:
        programs()
    except NoPostgres as error:
        sys.stderr.write(f"{error}: only SQLite is tried\n")
        return [SQLITE]
    return [SQLITE, POSTGRESQL]


def _tell(player: Player, done: threading.Event) -> None:
    began, shown = time.monotonic(), 0
    while not done.wait(EVERY_SECONDS):
        new = player.result.complaints[shown:]
        shown += len(new)
        lines = [report.progress(player.result, time.monotonic() - began), *(f"! {complaint}" for complaint in new)]
        sys.stderr.write("\n".join(lines) + "\n")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
