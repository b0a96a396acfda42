"""What `signoff connect` says of an account: what it is for and needs, how it went, and the table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from blocks.connecting import how, variables
from blocks.google_consent import TESTING_DAYS
from deployments import views
from tasks.credentials import CredentialState, Need

INDENT = (0, 0, 0, 2)

HOW_TO_STOP = (
    "Enter alone leaves an account out, unless something is offered. Ctrl-C ends the command; what was connected until "
    "then is saved.\n"
)
NEXT = "Next: `signoff doctor` looks at everything. Workflows use a new account from their next run on."


def introduce(need: Need, kind: type[Any]) -> None:
    """What the account is for, what it must allow, and where that is found."""
    declared = how(kind)
    title = Text(need.credential, style="bold")
    title.append(f"  {kind.get_block_type_name()}, {'needed' if need.required else 'optional'}", style="not bold dim")
    views.console.print(title)
    for workflow, what in need.uses:
        say(f"{workflow}: {what}")
    say(f"It needs {declared.permissions}.")
    say(f"Where: {declared.found}.")
    if declared.scopes:
        say(f"While the OAuth app is in Testing, Google ends the connection after {TESTING_DAYS} days.", "yellow")


def say(text: str, style: str = "") -> None:
    """A line below an account's name."""
    views.console.print(Padding(Text(views.printable(text), style=style), INDENT))


def say_connected(state: CredentialState) -> None:
    """As whom, and what is to be minded."""
    say(f"connected: {state.as_whom}", "green")
    if state.expires_at:
        say(f"Google ends it on {state.expires_at:%d %b %Y, %H:%M UTC}", "yellow")
    elif state.warning:
        say(state.warning, "yellow")


def tell_how_to_give(need: Need, kind: type[Any], lacking: Sequence[str]) -> None:
    """How each missing value can be given, without a terminal and with one."""
    say("not connected; what is missing:", "red" if need.required else "yellow")
    for name in lacking:
        names = [*how(kind).environment.get(name, ()), variables(kind, need.credential, name)[0]]
        say(f"{kind.model_fields[name].title}: set {' or '.join(names)}")
    asked = "in a terminal; Google asks in the browser" if how(kind).scopes else "in a terminal"
    say(f"or run signoff connect {need.credential} {asked}")


def summary(states: Sequence[CredentialState]) -> None:
    """The accounts, each with as whom it is connected; what is still needed, and what is next."""
    table = Table(expand=True, pad_edge=False)
    table.add_column("Account", width=23, overflow="fold")
    table.add_column("Connected as", ratio=1, overflow="fold")
    for state in states:
        table.add_row(state.credential, _as_whom(state))
    views.console.print(table)
    if open_ones := [state.credential for state in states if state.required and not state.ok]:
        views.console.print(f"Still needed: {', '.join(open_ones)}.", markup=False)
    views.console.print(NEXT)


def _as_whom(state: CredentialState) -> Text:
    if not state.present:
        return Text("not connected", "red") if state.required else Text("not connected, optional", "dim")
    if state.ok:
        return Text(views.printable(state.as_whom), "green")
    return Text("cannot be used" if state.lasting else "not checked", "red")
