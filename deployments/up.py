"""`signoff up`: everything on this machine, with real accounts."""

from __future__ import annotations

import os

from deployments.machine import ends_cleanly, wait_for_the_end
from deployments.running import HOME, refuse_a_second, use
from deployments.stack import PORT, Stack


def up(port: int | None) -> int:
    """Start the server, the worker and the deployments; stop them on Ctrl-C."""
    refuse_a_second()
    stack = Stack(HOME, port or PORT, ledger_url=os.environ.get("SIGNOFF_LEDGER_URL"))
    stack.home.mkdir(parents=True, exist_ok=True)  # Prefect warns when the parent of its home does not exist
    use(stack.environment)
    from deployments import views
    from deployments.cards import cards
    from deployments.check import missing_credentials
    from deployments.first_time import lower_new_workflows
    from deployments.reap import reaping

    with ends_cleanly(), stack, views.console.status("Starting the Prefect server ...") as status:
        stack.start_server()
        stack.announce()
        status.update("Putting the deployments on it ...")
        stack.deploy()
        lowered = lower_new_workflows()
        stack.start_worker()
        status.stop()
        views.console.print(f"Prefect UI  {stack.url}\nLogs        {stack.home}/*.log", markup=False)
        for workflow, variable in lowered:
            views.console.print(
                f"{workflow} starts in shadow: it records what it would do, and does nothing. "
                f"When you trust it: .venv/bin/prefect variable set {variable} gated --overwrite",
                markup=False,
            )
        for missing in missing_credentials(cards()):
            views.console.print(f"Not connected yet: {missing}", markup=False)
        if stack.port != PORT:
            views.console.print(f"For prefect's own commands: export PREFECT_API_URL={stack.url}/api", markup=False)
        views.console.print("Ctrl-C stops everything.")
        with reaping(local=True):
            wait_for_the_end()
    return 0
