"""The retail tasks of tau2-bench through the agent's loop, with a kill -9 at every moment: python -m tests.retail DATA.

A task counts as right when the shop then holds exactly what it holds when the recorded changes are simply made.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from blocks.ledger import Ledger
from tests.retail.play import add_case, directly, killed_at, play, prepare, recorded
from tests.retail.shop import Shop

MOST_KILLS = 10_000


def main() -> int:
    """Play every task, undisturbed and killed at each of its moments; 1 when any went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.retail", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with tasks.json and db.json")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th task")
    parser.add_argument("--stride", type=int, default=1, help="a kill only at each so many-th moment")
    chosen = parser.parse_args()
    tasks = json.loads((chosen.data / "tasks.json").read_text())[:: chosen.every]
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), json.loads((chosen.data / "db.json").read_text()))
        outcomes = [bench.task(task, chosen.stride) for task in tasks]
    kills = sum(len(each["kills"]) for each in outcomes)
    wrong = [each["id"] for each in outcomes if not each["right"]]
    broken = [(each["id"], point) for each in outcomes for point, right in each["kills"].items() if not right]
    calls = sum(each["calls"] for each in outcomes)
    sys.stdout.write(
        f"{len(outcomes)} tasks, {calls} calls: {len(outcomes) - len(wrong)} end as when made directly.\n"
        f"{kills} kills -9: {kills - len(broken)} end the same. {time.monotonic() - began:.0f} s\n"
    )
    for each in (*wrong, *broken):
        sys.stdout.write(f"wrong: {each}\n")
    return 1 if wrong or broken else 0


class Bench:
    """Shops and ledgers, copied anew for each play."""

    def __init__(self, folder: Path, things: dict[str, dict[str, Any]]) -> None:
        self.folder, self.things, self.number = folder, things, 0
        Ledger.open(f"sqlite:///{folder / 'empty.db'}").engine.dispose()
        self.shop = Shop(folder / "none.db")
        prepare(lambda: self.shop)

    def task(self, task: dict[str, Any], stride: int) -> dict[str, Any]:
        """Play a task undisturbed, and once more for each moment at which it can be killed."""
        calls = recorded(task)
        self._new_shop(task)
        wanted = directly(self.shop, task)
        moments, state = self._in_a_child(task, 0)
        kills = {}
        for point in range(1, moments + 1, stride):
            _, after = self._in_a_child(task, point)
            kills[point] = after == wanted
        return {"id": task["id"], "calls": sum(map(len, calls)), "right": state == wanted, "kills": kills}

    def _new_shop(self, task: dict[str, Any]) -> None:
        """A shop with the task's own things only: a thousand orders are not copied each time."""
        self.number += 1
        self.shop = Shop.open(self.folder / f"shop{self.number}.db", self._of(task))

    def _of(self, task: dict[str, Any]) -> dict[str, dict[str, Any]]:
        text = json.dumps(task["evaluation_criteria"])
        orders = {id: order for id, order in self.things["orders"].items() if id in text}
        named = {order["user_id"] for order in orders.values()}
        users = {
            id: user for id, user in self.things["users"].items()
            if id in named or id in text or user["email"] in text or user["name"]["last_name"] in text
        }  # fmt: skip
        return {"orders": orders, "users": users, "products": self.things["products"]}

    def _in_a_child(self, task: dict[str, Any], point: int) -> tuple[int, list[tuple[str, str, str]]]:
        """Play it in a child, killed at a moment (0: at none), and in further children until it has ended."""
        self._new_shop(task)
        url = f"sqlite:///{self.folder / f'ledger{self.number}.db'}"
        (self.folder / f"ledger{self.number}.db").write_bytes((self.folder / "empty.db").read_bytes())
        ledger = Ledger.open(url)
        add_case(ledger)
        ledger.engine.dispose()
        code, moments = self._fork(url, task, point)
        for _ in range(3):
            if code == 0:
                break
            code, _ = self._fork(url, task, 0)
        (self.folder / f"ledger{self.number}.db").unlink()
        state = self.shop.state()
        self.shop.path.unlink()
        return moments, state if code == 0 else []

    def _fork(self, url: str, task: dict[str, Any], point: int) -> tuple[int, int]:
        """One child; returns its exit code (-9 when it was killed) and how many moments it passed."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            code = 1
            try:
                ledger = Ledger.open(url)
                with killed_at(ledger, self.shop, point) as passed:
                    code = 0 if play(ledger, self.shop, recorded(task)) == "done" else 2
                os.write(write, str(passed[0]).encode())
            finally:
                os._exit(code)
        os.close(write)
        with os.fdopen(read) as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), int(told or 0)


if __name__ == "__main__":
    sys.exit(main())
