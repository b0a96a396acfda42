"""The pictures in README and documentation, taken anew of what is there: `make screenshots` (5 minutes).

The pretend company's inbox, tickets and invoices are worked through as in the demo; a browser looks at what a person
sees. The report is of sixty days that are made up, as its picture says.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from deployments.stack import Stack

HERE = Path(__file__).parent
ROOT = HERE.parent
PICTURES = HERE / "assets" / "screens"
RUNS = ("lead-triage", "index-documents", "support-answer", "billing-agent")
PERSON = "tom@dockwell.example"
SCALE = 2
"""Pixels of the picture for each of the page: sharp on today's screens."""


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory(prefix="signoff-pictures-") as folder:
        os.environ["SIGNOFF_HOME"] = folder  # before anything of ours is loaded: the inbox's codes are kept there
        sys.path.insert(0, str(ROOT))
        PICTURES.mkdir(parents=True, exist_ok=True)
        from deployments.machine import free_port
        from deployments.running import use
        from deployments.stack import Stack

        home = Path(folder)
        stack = Stack(home / "stack", free_port(4200), begins_empty=True)
        use(stack.environment)
        with stack:
            work_through(stack)
            inbox(stack)
            prefect(stack)
        report(home)


def work_through(stack: Stack) -> None:
    """What the demo does, until something waits for a person.

    Raises:
        SystemExit: a run did not end well.
    """
    from prefect.deployments import run_deployment

    from deployments.pretend import connect
    from sandbox.company import load

    url = stack.start_sandbox()
    stack.start_server()
    stack.deploy()
    connect(url, load().mailbox)
    stack.start_worker()
    for name in RUNS:
        run = run_deployment(f"{name}/{name}", timeout=600, as_subflow=False)
        state = getattr(run, "state", None)
        if state is None or not state.is_completed():
            raise SystemExit(f"{name} did not end well ({state}); see {stack.log('worker')}")


def inbox(stack: Stack) -> None:
    """The page on which one decides, light and wide, dark and on a telephone."""
    from blocks.ledger import Ledger
    from deployments.inbox.open import link_for
    from deployments.machine import free_port
    from deployments.stack import RECEIVER_PORT
    from deployments.waiting import waiting

    reply = waiting(Ledger.open(), workflow="support-answer", kind="gmail.send_reply")[0]
    url = stack.start_receiver(free_port(RECEIVER_PORT))
    for name, width, height, scheme in (("inbox", 1280, 860, "light"), ("inbox-phone", 390, 800, "dark")):
        with page(width, height, scheme) as tab:
            tab.goto(link_for(PERSON, url))
            tab.get_by_role("button", name="Log out").wait_for()
            tab.goto(f"{url}/inbox/{reply.id}?workflow=support-answer")
            tab.get_by_label("Text to send").wait_for()
            keep(tab, name)


def prefect(stack: Stack) -> None:
    """Prefect's form of a reply that waits, and the page of a run."""
    from blocks.ledger import Ledger
    from deployments.waiting import waiting

    action = waiting(Ledger.open(), workflow="lead-triage", kind="gmail.send_reply")[0]
    with page(1280, 1000, "light") as tab:
        tab.goto(f"{stack.url}/runs/flow-run/{action.flow_run_id}")
        tab.get_by_role("button", name="Resume").click()
        tab.get_by_role("dialog").get_by_text("Text to send").wait_for()
        keep(tab, "form")
    with page(1280, 800, "light") as tab:
        tab.goto(f"{stack.url}/runs")
        tab.get_by_text("lead-triage").first.wait_for()
        keep(tab, "runs")


def report(home: Path) -> None:
    """Sixty days of a made-up company, as `signoff report --html` shows them."""
    from blocks.ledger import Ledger, utcnow
    from deployments.report import assumptions
    from deployments.report import report as write
    from tests.reporting import filled

    os.environ["SIGNOFF_LEDGER_URL"] = f"sqlite:///{home / 'made-up.db'}"
    filled(Ledger.open(), 4_000, utcnow(), 60)
    file = home / "report.html"
    given = assumptions(60.0, "45", 12)
    write((), days=60, html=str(file), timezone="UTC", given=given, as_json=False)
    with page(1280, 1100, "light") as tab:
        tab.goto(f"file://{file}")
        keep(tab, "report")


def keep(tab: Page, name: str) -> None:
    """The page as it is seen, in 256 colours: a fifth of the bytes, and nobody sees the difference."""
    from PIL import Image

    picture = Image.open(BytesIO(tab.screenshot())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


@contextmanager
def page(width: int, height: int, scheme: str) -> Iterator[Page]:
    """A page of Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.deployments.browser import CHROMIUM, FLAGS

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=os.fspath(CHROMIUM), args=FLAGS)
        look: dict[str, Any] = {
            "viewport": {"width": width, "height": height},
            "color_scheme": scheme,
            "device_scale_factor": SCALE,
        }
        made = browser.new_page(**look)
        made.set_default_timeout(60_000)
        yield made
        browser.close()


if __name__ == "__main__":
    main()
