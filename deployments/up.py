"""`signoff up`: everything on this machine, with real accounts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deployments.errors import StackError
from deployments.keeper import Keeper
from deployments.machine import HOST, ends_cleanly
from deployments.password import AUTH, is_loopback, make_private, password
from deployments.password import file as password_file
from deployments.running import HOME, PORT, command_name, refuse_a_second, use
from deployments.scale import Scale
from deployments.stack import Stack, create_limits

if TYPE_CHECKING:
    from tasks.card import Card


def up(port: int | None, host: str = HOST, *, ask_password: bool = False, scale: Scale | None = None) -> int:
    """Start the server, the worker and the deployments, and again whatever of them ends; stop them on Ctrl-C."""
    refuse_a_second()
    make_private(HOME)  # now: Prefect warns when the parent of its home does not exist
    alone = is_loopback(host)
    secret = password(HOME) if ask_password or not alone or AUTH in os.environ else None
    stack = Stack(
        HOME,
        port or PORT,
        ledger_url=os.environ.get("SIGNOFF_LEDGER_URL"),
        library_url=os.environ.get("SIGNOFF_LIBRARY_URL"),
        host=host,
        password=secret,
        ui_url=proxied_url(),
        scale=scale or Scale(),
    )
    use(stack.environment)
    from deployments import views
    from deployments.cards import cards
    from deployments.first_time import lower_new_workflows
    from deployments.reap import reaping

    with ends_cleanly(), stack, views.console.status("Starting the Prefect server ...") as status:
        stack.start_server()
        stack.announce()
        status.update("Putting the deployments on it ...")
        stack.deploy()
        create_limits()
        lowered = lower_new_workflows()
        stack.start_worker()
        status.update("Starting the inbox and the receiver of webhooks ...")
        received = _receive(stack)
        status.stop()
        views.console.print(f"Prefect UI  {stack.public_url}\nLogs        {stack.home}/*.log", markup=False)
        for line in received:
            views.console.print(line, markup=False, soft_wrap=True)
        if secret:
            views.console.print(f"Password    the whole line in {password_file(HOME)}", markup=False)
        if not alone:
            views.console.print("Others can reach it, unencrypted: put a proxy with TLS before it.", markup=False)
        for line in _not_yet(lowered, cards()):
            views.console.print(line, markup=False, soft_wrap=True)
        if stack.port != PORT:
            _say_export(f"PREFECT_API_URL={stack.url}/api")
        if secret:
            _say_export(f'PREFECT_API_AUTH_STRING="$(cat {password_file(HOME)})"')
        views.console.print("Ctrl-C stops everything.")
        with reaping(local=alone):
            Keeper(stack, lambda line: views.console.print(line, markup=False, soft_wrap=True)).until_the_end()
    return 0


def proxied_url() -> str | None:
    """Where people find Prefect's pages, by Prefect's own setting, when that is not where the server listens.

    Raises:
        StackError: it is no address.
    """
    url = os.environ.get("PREFECT_UI_URL")
    if url and not url.startswith(("https://", "http://")):
        raise StackError(f"PREFECT_UI_URL is {url!r}: write it with https://, as in https://signoff.example.com")
    return url


def _not_yet(lowered: Sequence[tuple[str, str]], of: Sequence[Card]) -> Iterator[str]:
    """What is new here, and what is still missing, with the way on."""
    from deployments.check import not_connected, still_pretend

    if lowered:
        names = ", ".join(workflow for workflow, _ in lowered)
        yield f"In shadow   {names}: they record what they would do, and do nothing."
        yield f"            When you trust one: {command_name()} stage NAME gated"
    if missing := not_connected(of):
        yield f"Missing     {', '.join(missing)}: in another terminal: {command_name()} connect"
    if pretend := still_pretend(of):
        yield f"Not yours   {pretend}"


def _receive(stack: Stack) -> list[str]:
    """Start the receiver; what to say of it. Without one all else goes on, and looks at the vendors by the clock."""
    from deployments.webhooks import addresses

    try:
        url = stack.start_receiver()
    except StackError as error:
        return [f"No inbox and no webhooks: {error}. Elsewhere: signoff receive --port NUMBER"]
    stack.announce()
    found = [f"Webhooks    {name}: {address}" for name, address in addresses(url)]
    none = [f"Webhooks    {url}/hooks/NAME, once there is a block webhook-endpoint/NAME"]
    return [f"Inbox       in another terminal: {command_name()} inbox", *(found or none)]


def _say_export(setting: str) -> None:
    from deployments import views

    views.console.print(f"For prefect's own commands: export {setting}", markup=False, soft_wrap=True)
