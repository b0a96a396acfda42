"""The command line. Each command imports what it needs when it is called: `signoff --help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Group, Parameter

app = App(
    name="signoff",
    help="AI workflows on the tools a small team already uses, with a person's sign-off before anything that matters.",
    version="0.1.0",
)
start = Group("Start", sort_key=0)
work = Group("Work with it", sort_key=1)
app["--help"].group = app["--version"].group = Group("Help", sort_key=2)
approvals = App(name="approvals", help="What waits for a person: list, show, approve, reject.", group=work)
ledger = App(name="ledger", help="What came in, and what became of it.", group=work)
app.command(approvals)
app.command(ledger)

Port = Annotated[int | None, Parameter(help="The Prefect server's port. By default 4200.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Workflow = Annotated[str | None, Parameter(help="Only of this workflow, for example lead-triage.")]
Kind = Annotated[str | None, Parameter(help="Only of this kind, for example gmail.send_reply.")]
Approver = Annotated[str | None, Parameter(name="--as", help="Who decides. By default your user name.")]
Comment = Annotated[str, Parameter(help="Why. A rejection with a reason teaches.")]
BodyFile = Annotated[
    str | None, Parameter(allow_leading_hyphen=True, help="Send this file's text instead of the draft; - for stdin.")
]
Yes = Annotated[bool, Parameter(negative="", help="Do not ask before deciding on several at once.")]


@app.command(group=start)
def demo(*, port: Port = None) -> int:
    """Run everything on a pretend company: no account, no key. Its state starts afresh each time.

    In a terminal it stays up until Ctrl-C, so that you can approve in the browser. Elsewhere it approves one action
    by itself, shows that it was carried out, and ends.
    """
    from deployments.demo import demo

    return demo(port)


@app.command(group=start)
def up(*, port: Port = None) -> int:
    """Start the Prefect server, a worker and every deployment on this machine, until Ctrl-C."""
    from deployments.up import up

    return up(port)


@app.command(group=start)
def sandbox(*, port: Annotated[int, Parameter(help="Its port; 0 lets the system pick one.")] = 4280) -> int:
    """Start only the pretend company (Gmail, HubSpot, Slack and Claude on loopback), until Ctrl-C."""
    from sandbox import company
    from sandbox.server import serve

    serve(port, company=company.load())
    return 0


@app.command(group=start)
def check(*, offline: Annotated[bool, Parameter(negative="", help="Leave out what needs the server.")] = False) -> int:
    """Check every workflow's card, prompt, deployment and credentials, and say what is missing."""
    from deployments.check import check

    return check(offline=offline)


@approvals.command(name="list")
def list_(*, workflow: Workflow = None, kind: Kind = None, json: Json = False) -> int:
    """List what waits for a decision, oldest first."""
    from deployments.approve import list_waiting

    return list_waiting(workflow=workflow, kind=kind, as_json=json)


@approvals.command
def show(action: int, /, *, json: Json = False) -> int:
    """Show what an action would do, to whom, why, and from which source.

    Parameters
    ----------
    action:
        Its number, from `signoff approvals list`.
    """
    from deployments.approve import show

    return show(action, as_json=json)


@approvals.command
def approve(
    *actions: int,
    workflow: Workflow = None,
    kind: Kind = None,
    body_file: BodyFile = None,
    comment: Comment = "",
    approver: Approver = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Approve actions by number, or all that a filter matches.

    Parameters
    ----------
    actions:
        Their numbers, from `signoff approvals list`.
    """
    from deployments.approve import decide

    return decide(
        actions, approve=True, workflow=workflow, kind=kind, body_file=body_file, comment=comment,
        approver=approver, yes=yes, as_json=json,
    )  # fmt: skip


@approvals.command
def reject(
    *actions: int,
    workflow: Workflow = None,
    kind: Kind = None,
    comment: Comment = "",
    approver: Approver = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Reject actions by number, or all that a filter matches. Nothing is done about them.

    Parameters
    ----------
    actions:
        Their numbers, from `signoff approvals list`.
    """
    from deployments.approve import decide

    return decide(
        actions, approve=False, workflow=workflow, kind=kind, body_file=None, comment=comment,
        approver=approver, yes=yes, as_json=json,
    )  # fmt: skip


@ledger.command(name="show")
def show_ledger(
    *records: int,
    workflow: Workflow = None,
    quarantined: Annotated[bool, Parameter(negative="", help="Only what was set aside, with the reason.")] = False,
    limit: Annotated[int, Parameter(help="The newest so many.")] = 100,
    json: Json = False,
) -> int:
    """Show records: what came in, the model's answer, what was done, what waits, what it cost.

    Parameters
    ----------
    records:
        Their numbers; without any, the newest.
    """
    from deployments.show import show_records

    return show_records(records, workflow=workflow, quarantined=quarantined, limit=limit, as_json=json)


@ledger.command(name="doubts")
def list_doubts(*, json: Json = False) -> int:
    """List actions of which nobody knows whether they were done, with the evidence."""
    from deployments.doubts import list_doubts

    return list_doubts(as_json=json)


@ledger.command
def settle(
    action: int,
    /,
    *,
    done: Annotated[bool | None, Parameter(negative="--not-done", help="Whether it was done.")] = None,
    comment: Comment = "",
    approver: Approver = None,
) -> int:
    """Say whether an action in doubt was done. What was not is done by the workflow's next run.

    Parameters
    ----------
    action:
        Its number, from `signoff ledger doubts`.
    """
    from deployments.doubts import settle

    return settle(action, done=done, comment=comment, by=approver)


def main() -> None:
    """Entry of the `signoff` command: known errors become one line on stderr and exit code 1."""
    from deployments.known_errors import exit_code_of
    from deployments.running import find_running

    if sys.argv[1:2] not in (["demo"], ["up"]):
        find_running()
    sys.exit(exit_code_of(lambda: app(result_action="return_value")))
