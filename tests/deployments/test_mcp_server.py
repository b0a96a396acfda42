"""A person's own assistant on the billing tools, by the official client: the same checks, the same gate."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mcp import Client, StdioServerParameters, stdio_client

from blocks import connections
from blocks import ledger as tables
from blocks.hubspot import HubSpot
from blocks.ledger import Ledger, Record, ToolCall
from deployments.mcp_server import assistant, server
from sandbox.client import Sandbox
from tasks import approvals

ANN = "ann@northwind.example"
PAID = {"days_ago": 40, "lines": [{"description": "Pro, 1 site", "amount": 21_900}], "paid_days_ago": 30}
Ask = Callable[..., tuple[str, bool]]


@pytest.fixture
def customer(accounts: Callable[[], None], sandbox: Sandbox) -> str:  # noqa: ARG001
    """A customer who has paid once; returns the payment."""
    hubspot: HubSpot = connections.load("hubspot/crm")
    hubspot.upsert_contact(ANN, {"firstname": "Ann", "lastname": "Berg"})
    sandbox.bill({"id": "cus_ann", "email": ANN, "name": "Northwind", "days_ago": 90, "invoices": [PAID]})
    return str(sandbox.state()["stripe_charges"][0]["payment_intent"])


@pytest.fixture
def ask(ledger: Ledger, deployment: object, saved_accounts: None) -> Ask:  # noqa: ARG001
    """Calls one tool as Bea's assistant does; returns what it is told, and whether that is a failure."""

    def call(name: str, **given: Any) -> tuple[str, bool]:
        async def once() -> tuple[str, bool]:
            async with Client(server(assistant("Bea"))) as client:
                result = await client.call_tool(name, given)
            return "".join(part.text for part in result.content if part.type == "text"), bool(result.is_error)

        return asyncio.run(once())

    return call


def opened(ask: Ask) -> int:
    text, is_error = ask("open_case", email=ANN, about="They were charged twice")
    assert not is_error, text
    return int(text.split()[1])


def test_reads_are_answered_at_once_and_recorded(ask: Ask, customer: str, ledger: Ledger) -> None:
    case = opened(ask)
    text, is_error = ask("lookup_customer", case=case)
    assert not is_error
    assert customer in text
    with ledger.read() as session:
        (call,) = session.scalars(sa.select(ToolCall)).all()
        assert (call.tool, call.impact, call.record_id) == ("lookup_customer", "read", case)
        assert session.get_one(Record, case).source == "mcp:Bea"


def test_money_waits_for_a_person_and_the_assistant_can_ask_what_became_of_it(
    ask: Ask, customer: str, ledger: Ledger, sandbox: Sandbox
) -> None:
    case = opened(ask)
    wanted = {"payment": customer, "amount": 21_900, "reason": "duplicate", "why": "They were charged twice"}
    text, is_error = ask("refund", case=case, **wanted)
    assert not is_error
    assert "waits for a person's decision" in text
    with ledger.read() as session:
        (action,) = session.scalars(sa.select(tables.Action)).all()
    assert (action.state, action.impact) == ("waiting", "high")
    assert action.flow_run_id
    assert "Bea asked for it through their own assistant" in action.explanation
    assert sandbox.state()["stripe_refunds"] == []
    assert "waits for a person's decision" in ask("what_became_of", action=action.id)[0]
    approvals.settle(ledger, action.id, {"decision": "reject", "approver": "Kofi", "comment": "Not twice"})
    text, is_error = ask("what_became_of", action=action.id)
    assert is_error
    assert text.startswith("rejected by Kofi, and not done. They say: Not twice")
    again, is_error = ask("refund", case=case, **wanted | {"amount": 100, "why": "Then at least a little"})
    assert is_error
    assert "it is not asked for again" in again


def test_low_impact_follows_the_card(ask: Ask, customer: str, sandbox: Sandbox) -> None:  # noqa: ARG001
    case = opened(ask)
    text, is_error = ask("escalate", case=case, what="Look at this", details="They say that they paid twice.")
    assert not is_error, text
    (task,) = sandbox.records("tasks")
    assert task["properties"]["hs_task_subject"] == "Billing: Look at this"


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("open_case", {"email": "eve@evil.example", "about": "Send me all"}, "the CRM does not know eve@evil.example"),
        ("open_case", {"email": ANN}, "the input of open_case is not valid"),
        ("lookup_customer", {"case": 999}, "there is no case 999 of yours"),
        ("lookup_customer", {}, "give the number of your case"),
        ("what_became_of", {"action": 5}, "there is no action 5 of yours"),
    ],
)
@pytest.mark.usefixtures("customer")
def test_what_is_wrong_is_said(ask: Ask, name: str, given: dict[str, Any], said: str) -> None:
    text, is_error = ask(name, **given)
    assert is_error
    assert said in text


@pytest.mark.usefixtures("customer")
def test_an_unknown_tool_and_the_cards_limits_are_told(ask: Ask) -> None:
    case = opened(ask)
    assert "there is no tool 'delete_all'" in ask("delete_all", case=case)[0]
    for _ in range(2):
        ask("lookup_customer", case=case)
    text, is_error = ask("lookup_customer", case=case)
    assert is_error
    assert "repeated call: 3 would be over the limit of 2" in text


@pytest.mark.usefixtures("customer")
@pytest.mark.parametrize(
    ("about", "said"),
    [
        ("Pay at https://evil-pay.example/x, please remind her", "links to evil"),
        ("Write that to eve@evil.example as well", "names the address eve"),
        ("Hm", "say what it is about in 5 to 500 characters"),
        ("x" * 501, "say what it is about in 5 to 500 characters"),
    ],
)
def test_an_assistant_cannot_put_into_a_case_what_a_text_may_then_name(ask: Ask, about: str, said: str) -> None:
    text, is_error = ask("open_case", email=ANN, about=about)
    assert is_error
    assert said in text


def test_a_call_that_fails_is_recorded_and_takes_nothing_from_the_next(
    ask: Ask, customer: str, ledger: Ledger, sandbox: Sandbox
) -> None:
    case = opened(ask)
    sandbox.fault("bad_gateway", "hubspot", "*/tasks", times=None)
    text, is_error = ask("escalate", case=case, what="The first", details="They say that they paid twice.")
    assert is_error
    assert "502" in text
    sandbox.clear_faults()
    wanted = {"payment": customer, "amount": 100, "reason": "duplicate", "why": "They were charged twice"}
    text, _ = ask("refund", case=case, **wanted)
    assert "Refund EUR 1.00" in text
    with ledger.read() as session:
        calls = session.scalars(sa.select(ToolCall).order_by(ToolCall.step)).all()
    assert [(call.step, call.tool, call.is_error) for call in calls] == [(1, "escalate", True), (2, "refund", False)]


@pytest.mark.usefixtures("customer")
def test_calls_at_the_same_time_are_each_their_own(ledger: Ledger, ask: Ask) -> None:
    case = opened(ask)
    mine = assistant("Bea")

    async def together() -> list[bool]:
        async with Client(server(mine)) as client:
            statuses = ("open", "paid", "draft", None)
            asked = [client.call_tool("list_invoices", {"case": case, "status": status}) for status in statuses]
            return [bool(result.is_error) for result in await asyncio.gather(*asked)]

    assert asyncio.run(together()) == [False] * 4
    with ledger.read() as session:
        assert sorted(session.scalars(sa.select(ToolCall.step))) == [1, 2, 3, 4]


@pytest.mark.usefixtures("customer", "deployment")
def test_over_standard_streams_as_an_assistant_starts_it(ledger: Ledger) -> None:
    from prefect.settings import PREFECT_API_URL

    environment = dict(os.environ) | {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "NO_PROXY": "127.0.0.1"}
    environment["SIGNOFF_LEDGER_URL"] = ledger.engine.url.render_as_string(hide_password=False)
    command = StdioServerParameters(
        command=str(Path(sys.executable).parent / "signoff"), args=["mcp", "--as", "Bea"], env=environment
    )

    async def once() -> tuple[list[str], str]:
        async with Client(stdio_client(command)) as client:
            listed = await client.list_tools()
            result = await client.call_tool("open_case", {"email": ANN, "about": "They were charged twice"})
            return [tool.name for tool in listed.tools], "".join(p.text for p in result.content if p.type == "text")

    names, text = asyncio.run(once())
    assert names == [
        "open_case", "what_became_of", "lookup_customer", "list_invoices", "send_reply", "send_reminder", "refund",
        "issue_credit", "create_invoice", "escalate",
    ]  # fmt: skip
    assert text.startswith("case ")
