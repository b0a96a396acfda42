"""Schema drift, end to end: a field that is gone stops its workflow before a prompt is sent, and says so."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from prefect import State

from blocks import connections
from blocks.hubspot import HubSpot
from blocks.ledger import Alert, Ledger, ModelCall, Record
from flows.lead_triage import CARD, lead_triage
from sandbox.client import Sandbox
from tasks import alerts, drift
from tasks.drift import _prompt_uses, _tree

Answer = Callable[..., dict[str, Any]]
STOPS = "lead-triage uses it in the prompt lead_triage and stops until this is mended; no prompt was sent."
NEEDS = "lead-triage needs it and stops until this is mended; no prompt was sent."

pytestmark = pytest.mark.usefixtures("deployment", "fast_retries")


@pytest.fixture
def mail(accounts: Callable[[], None], sandbox: Sandbox, ledger: Ledger, triaged: Answer) -> Ledger:
    """Two e-mails, one of them from a known contact; the model calls both of them spam."""
    accounts()
    hubspot: HubSpot = connections.load("hubspot/crm")
    hubspot.upsert_contact("ann@northwind.example", {"firstname": "Ann"})
    sandbox.script({"json": triaged("spam", urgency="low", reply=""), "times": None})
    for name in ("ann", "bob"):
        sandbox.write(sender=f"{name}@northwind.example", subject=f"From {name}", body="Buy our list.")
    return ledger


def run() -> State[Any]:
    state: State[Any] = lead_triage(return_state=True)
    return state


def records(ledger: Ledger) -> dict[str, str]:
    with ledger.read() as session:
        return {r.title: r.state for r in session.scalars(sa.select(Record))}


CONTACT, MESSAGE = "contacts/batch/read", "/messages/"
Fault = dict[str, Any]
FAULTS: dict[str, tuple[Fault, str, str]] = {
    "contact renamed": (
        {"vendor": "hubspot", "path": CONTACT, "rename": {"firstname": "first_name"}},
        "hubspot: contact.firstname is missing from the reply (first_name is new)",
        STOPS,
    ),
    "contact missing": (
        {"vendor": "hubspot", "path": CONTACT, "rename": {"jobtitle": ""}},
        "hubspot: contact.jobtitle is missing from the reply",
        STOPS,
    ),
    "contact retyped": (
        {"vendor": "hubspot", "path": CONTACT, "values": {"company": 7}},
        "hubspot: contact.company is a number, not text",
        STOPS,
    ),
    "contact id": (
        {"vendor": "hubspot", "path": CONTACT, "rename": {"id": "vid"}},
        "hubspot: contact.id is missing from the reply (vid is new)",
        NEEDS,
    ),
    "message renamed": (
        {"vendor": "google", "path": MESSAGE, "rename": {"raw": "rawMessage"}},
        "gmail: message.raw is missing from the reply (rawMessage is new)",
        STOPS,
    ),
    "message retyped": (
        {"vendor": "google", "path": MESSAGE, "values": {"raw": "From: ann"}},
        "gmail: message.raw is other text than base64",
        STOPS,
    ),
    "message date": (
        {"vendor": "google", "path": MESSAGE, "values": {"internalDate": 1700000000000}},
        "gmail: message.internalDate is a number, not milliseconds since 1970, as text",
        STOPS,
    ),
    "message labels": (
        {"vendor": "google", "path": MESSAGE, "rename": {"labelIds": ""}},
        "gmail: message.labelIds is missing from the reply",
        STOPS,
    ),
    "list renamed": (
        {"vendor": "google", "path": "*/messages", "rename": {"messages": "items"}},
        "gmail: message-list.messages is missing from the reply (items is new)",
        NEEDS,
    ),
    "profile": (
        {"vendor": "google", "path": "*/profile", "rename": {"historyId": "history_id"}},
        "gmail: profile.historyId is missing from the reply (history_id is new)",
        NEEDS,
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_field_that_is_gone_stops_the_workflow_before_a_prompt_is_sent(
    mail: Ledger, sandbox: Sandbox, case: str
) -> None:
    fault, what, consequence = FAULTS[case]
    sandbox.fault("renamed_field", times=None, **fault)
    state = run()
    assert state.is_failed()
    said = f"{what}. {consequence}"
    assert said in (state.message or "")
    (alert,) = alerts.still_open(mail)
    assert (alert.message, alert.workflow) == (said, "lead-triage")
    assert alert.key == f"drift:{what.split(' is ')[0].replace(': ', ':')}"
    assert sandbox.model_calls() == []
    assert set(records(mail).values()) <= {"fetched"}

    sandbox.clear_faults()
    assert run().is_completed()
    assert records(mail) == {"From ann": "done", "From bob": "done"}
    assert alerts.still_open(mail) == []
    assert len(sandbox.model_calls()) == 2


def test_the_history_is_watched_too_and_nothing_is_lost(mail: Ledger, sandbox: Sandbox) -> None:
    assert run().is_completed()
    sandbox.fault("renamed_field", "google", "*/history", times=None, rename={"history": "changes"})
    sandbox.write(sender="cid@northwind.example", subject="From cid", body="Buy our list.")
    state = run()
    assert "gmail: history.history is missing from the reply (changes is new)" in (state.message or "")
    sandbox.clear_faults()
    assert run().is_completed()
    assert records(mail)["From cid"] == "done"
    assert alerts.still_open(mail) == []


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        ({"content": "parts"}, "claude: message.content is missing from the reply (parts is new)"),
        ({"text": "body"}, "claude: content.text is missing from the reply (body is new)"),
        ({"stop_reason": "stopReason"}, "claude: message.stop_reason is missing from the reply (stopReason is new)"),
        ({"usage": ""}, "claude: message.usage is missing from the reply"),
        ({"output_tokens": "tokens_out"}, "claude: message.usage.output_tokens is missing from the reply"),
    ],
)
def test_a_models_reply_that_has_changed_stops_the_workflow_and_counts_as_paid(
    mail: Ledger, sandbox: Sandbox, rename: dict[str, str], said: str
) -> None:
    sandbox.fault("renamed_field", "anthropic", "v1/messages", times=None, rename=rename)
    state = run()
    assert state.is_failed()
    assert (state.message or "").count(said) == 1
    assert "lead-triage reads the answers to the prompt lead_triage with it and stops" in (state.message or "")
    assert records(mail) == {"From ann": "fetched", "From bob": "fetched"}
    with mail.read() as session:
        calls = session.scalars(sa.select(ModelCall)).all()
    assert {(call.stop_reason, call.cost > 0) for call in calls} == {("lost", True)}
    sandbox.clear_faults()
    assert run().is_completed()
    assert alerts.still_open(mail) == []


def test_a_run_that_sees_nothing_of_the_field_does_not_call_it_mended(mail: Ledger, sandbox: Sandbox) -> None:
    sandbox.fault("renamed_field", "hubspot", CONTACT, times=None, rename={"firstname": "first_name"})
    run()
    with mail.write() as session:  # only the stranger's mail is left: no contact comes back, drifted or not
        session.execute(sa.update(Record).where(Record.title == "From ann").values(state="skipped"))
    assert run().is_completed()
    assert [a.key for a in alerts.still_open(mail)] == ["drift:hubspot:contact.firstname"]
    sandbox.clear_faults()
    sandbox.write(sender="ann@northwind.example", subject="Again", body="Buy our list.")
    assert run().is_completed()
    assert alerts.still_open(mail) == []


def test_the_message_counts_what_was_asked_before(
    mail: Ledger, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.lead_triage.BATCH", 1)
    sandbox.fault("renamed_field", "hubspot", CONTACT, times=None, after=1, rename={"firstname": "first_name"})
    hubspot: HubSpot = connections.load("hubspot/crm")
    hubspot.upsert_contact("bob@northwind.example", {})
    assert "no other prompt was sent after the 1 of this run." in (run().message or "")
    assert len(sandbox.model_calls()) == 1
    assert records(mail) == {"From ann": "done", "From bob": "fetched"}


def test_an_alert_of_another_workflow_is_left_alone(mail: Ledger) -> None:
    alerts.open_alert(mail, "drift:stripe:charge.amount", "gone", "billing")
    alerts.open_alert(mail, "vendor:gmail", "does not answer")
    assert run().is_completed()
    assert {a.key for a in alerts.still_open(mail)} == {"drift:stripe:charge.amount", "vendor:gmail"}


def test_an_action_that_meets_a_drifted_reply_is_not_given_up(mail: Ledger, sandbox: Sandbox, triaged: Answer) -> None:
    sandbox.clear_script()
    sandbox.script({"json": triaged("partnership", reply=""), "times": None})
    sandbox.fault("renamed_field", "hubspot", "*/objects/notes", method="POST", times=None, rename={"id": "objectId"})
    state = run()
    assert "hubspot: note.id is missing from the reply (objectId is new). lead-triage needs it" in (state.message or "")
    assert [a.key for a in alerts.still_open(mail)] == ["drift:hubspot:note.id"]
    sandbox.clear_faults()
    assert run().is_completed()
    assert len(sandbox.records("notes")) == 2
    assert alerts.still_open(mail) == []


@pytest.mark.parametrize(
    ("text", "field", "used"),
    [
        ("{{ contact.firstname }}", "firstname", True),
        ("{{ contact.firstname }}", "company", False),
        ("{{ contact['company'] }}", "company", True),
        ("{% if contact %}known{% endif %}", "company", False),
        ("{% for n, v in contact.items() %}{{ n }}{% endfor %}", "company", True),
        ("{{ contact }}", "company", True),
        ("{{ contact | tojson }}", "company", True),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(contact) }}", "company", True),
    ],
)
def test_which_fields_a_prompt_uses_is_read_from_its_text(
    monkeypatch: pytest.MonkeyPatch, text: str, field: str, used: bool
) -> None:
    import jinja2

    monkeypatch.setattr(drift, "_tree", lambda _: jinja2.Environment().parse(text))
    assert _prompt_uses.__wrapped__("any", "contact", field) == used


def test_every_contact_field_on_the_card_is_told_to_the_prompt() -> None:
    assert _tree("lead_triage")
    assert all(_prompt_uses("lead_triage", "contact", name) for name in CARD.fields_of("hubspot"))


def test_one_alert_however_often_it_is_met(mail: Ledger, sandbox: Sandbox) -> None:
    sandbox.fault("renamed_field", "hubspot", CONTACT, times=None, rename={"firstname": "first_name"})
    run()
    run()
    with mail.read() as session:
        (alert,) = session.scalars(sa.select(Alert))
    assert (alert.times, alert.closed_at) == (2, None)
