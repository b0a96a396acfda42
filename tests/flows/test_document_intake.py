"""Documents become rows, as a whole: read once, weighed, gated where they are doubtful, added once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.variables import Variable
from pydantic import SecretStr

from blocks import connections
from blocks.drive import Drive
from blocks.ledger import Action as ActionRow
from blocks.ledger import Alert, Decision, Ledger, Record
from blocks.rows import Rows
from blocks.vendor import VendorError
from flows import document_intake as module
from flows.document_intake import CARD, document_intake
from flows.perform_action import perform_action
from prompts.document_intake.schemas import find
from sandbox import credentials, papers
from sandbox.client import Sandbox
from sandbox.company import drive as company_drive
from tasks import approval_runs, approvals, run
from tasks.actions import CreatePage
from tasks.papers import Attachments
from tasks.sources import DriveFolder, Folder
from tests.answering import built_in

ROW, SLACK = "ledger.add_row", "slack.post_message"
INVOICE = """Cartwright & Hale Solicitors LLP
accounts@cartwrighthale.example              INVOICE
Seller: Cartwright & Hale Solicitors LLP

Bill to:                                     Invoice number:     CH-1
Dockwell Ltd                                 Invoice date:       17 November 2026
                                             Due date:           17 December 2026

Description                                  Hours     Rate        Amount
Review of the agreement                      3.5       240.00      840.00
Addendum                                     2         240.00      480.00

                                             Subtotal              1,320.00
                                             VAT 23%               303.60
                                             Total due (EUR)       1,623.60
"""


@pytest.fixture(scope="module", autouse=True)
def _drive(saved_accounts: None, sandbox_process: Sandbox) -> None:  # noqa: ARG001
    """The company's Drive, saved as a block."""
    block = Drive(
        client_id=credentials.GOOGLE_CLIENT_ID,
        client_secret=SecretStr(credentials.GOOGLE_CLIENT_SECRET),
        refresh_token=SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
        address=f"{sandbox_process.url}/google/",
        token_address=f"{sandbox_process.url}/google/token",
    )
    connections.save("drive/company", block)
    connections.load.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this machine, which is the only source."""
    path = tmp_path / "scans"
    path.mkdir()
    monkeypatch.setattr(module, "SOURCES", (Folder(name="scans", path=str(path), readers=("anyone",)),))
    return path


@pytest.fixture
def put(folder: Path) -> Callable[..., Path]:
    """Puts a file into it; a text is typed on a PDF."""

    def write(name: str = "invoice.pdf", content: str | bytes = INVOICE) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else papers.typed(content))
        return path

    return write


@pytest.fixture
def embedded(accounts: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """The built-in model."""
    monkeypatch.setattr(run, "model_of", lambda _: built_in())


@pytest.fixture
def claude(accounts: Callable[[], None]) -> None:
    accounts()


@pytest.fixture
def stage(saved_accounts: None) -> Iterator[Callable[[str], None]]:  # noqa: ARG001
    def lower(value: str) -> None:
        Variable.set("document_intake_stage", value, overwrite=True)

    lower(CARD.stage)
    yield lower
    lower(CARD.stage)


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(table).order_by(table.id)))


def actions(ledger: Ledger, kind: str = ROW) -> list[ActionRow]:
    return [action for action in rows(ledger, ActionRow) if action.kind == kind]


def states(ledger: Ledger) -> dict[str, tuple[str, str | None]]:
    return {record.title: (record.state, record.reason) for record in rows(ledger, Record)}


def invoices(ledger: Ledger) -> list[dict[str, Any]]:
    return Rows(ledger).read(find("invoice"))


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_a_document_that_is_sure_becomes_a_row_at_once(put: Callable[..., Path], ledger: Ledger) -> None:
    put()
    document_intake()
    (action,) = actions(ledger)
    assert action.state == "done", (action.state, action.reason, action.explanation)
    (row,) = invoices(ledger)
    assert (row["number"], row["seller"], row["total"]) == (
        "CH-1",
        "Cartwright & Hale Solicitors LLP",
        Decimal("1623.60"),
    )
    assert [(line["description"], line["amount"]) for line in row["lines"]] == [
        ("Review of the agreement", Decimal(840)),
        ("Addendum", Decimal(480)),
    ]


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_the_pretend_companys_papers(
    sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, accounts: Callable[[], None]
) -> None:
    folder = sandbox.put_folder("Documents to enter", readers=["domain:company.example"])
    for file in company_drive.load():
        if file["parent"] == "documents-to-enter":
            sandbox.put_file(file["name"], file["content"], parent=folder, mime_type=file["mime_type"])
    monkeypatch.setattr(module, "SOURCES", (DriveFolder(name="documents", credential="drive/company", folder=folder),))
    accounts()
    document_intake()
    found = states(ledger)
    assert found["payslip.pdf"] == ("quarantined", "it cannot be read: it is encrypted: save it without a password")
    assert {name for name, (state, _) in found.items() if state == "done"} == set(found) - {"payslip.pdf"}
    by_file = {action.payload["file"]: action for action in actions(ledger)}
    assert by_file["Rechnung R-2026-118304.pdf"].payload["doubtful"] == {
        "seller": "no plain label says so",
        "iban": "it is the first that is seen of this seller",
    }
    assert by_file["Portshare service agreement.pdf"].state == "done"
    assert by_file["harbour print 20655.pdf"].state == "waiting"
    assert (
        "net 337.00 + tax 77.51 is not total 441.51" in by_file["harbour print 20655.pdf"].payload["doubtful"]["total"]
    )
    twins = [by_file[name] for name in ("Cartwright & Hale CH-2026-0417.pdf", "scan_0012 cartwright copy.png")]
    (twin,) = [action for action in twins if action.payload["twin"]]
    assert "it may be a duplicate" in twin.payload["doubtful"][""]
    for name in ("Q-3310.pdf", "please read.txt"):
        assert name not in by_file
    before = len(sandbox.requests("google"))
    document_intake()
    assert len(actions(ledger)) == len(by_file)
    assert len(sandbox.requests("google")) > before


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_what_is_doubtful_waits_with_its_picture_and_is_added_as_a_person_wrote_it(
    put: Callable[..., Path], ledger: Ledger
) -> None:
    put(content=INVOICE.replace("303.60", "303.00"))
    document_intake()
    (action,) = actions(ledger)
    assert action.state == "waiting"
    assert "![Page 1](data:image/jpeg;base64," in action.explanation
    assert invoices(ledger) == []
    with pytest.raises(approvals.ApprovalError, match="has no 'totel'"):
        approvals.respond(ledger, action.id, approve=True, approver="Mara", edits={"totel": "1"})
    with pytest.raises(approvals.ApprovalError, match=r"cannot be decided: Total: “1\.623,00” is not taken"):
        approvals.respond(ledger, action.id, approve=True, approver="Mara", edits={"total": "1.623,00"})
    approvals.respond(ledger, action.id, approve=True, approver="Mara", edits={"tax": "303.60", "seller": "Cartwright"})
    document_intake()
    (row,) = invoices(ledger)
    assert (row["tax"], row["total"], row["seller"]) == (Decimal("303.60"), Decimal("1623.60"), "Cartwright")
    assert row["evidence"]["tax"]["by"] == "person"
    assert "by" not in row["evidence"]["total"]
    decision = next(iter(rows(ledger, Decision)))
    assert (decision.approver, decision.edited) == ("Mara", True)


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_what_was_typed_wrongly_is_asked_for_again_with_all_that_was_written(
    put: Callable[..., Path], ledger: Ledger
) -> None:
    put(content=INVOICE.replace("303.60", "303.00"))
    document_intake()
    (action,) = actions(ledger)
    boxes = {name: box["default"] for name, box in form_of(action)["properties"].items() if box.get("default")}
    typed = {"decision": "approve", "approver": "Mara", **boxes, "tax": "303.60", "iban": "DE75512108001245126190"}
    assert approval_runs.resume(str(action.flow_run_id), typed) is None
    assert perform(action).name == "Suspended"
    (action,) = actions(ledger)
    assert action.state == "waiting"
    with get_client(sync_client=True) as client:
        said = client.read_flow_run_input(UUID(action.flow_run_id), approval_runs._keyset()["description"])
        form = json.loads(client.read_flow_run_input(UUID(action.flow_run_id), approval_runs._keyset()["schema"]))
    assert "The last answer was not taken:** " in said
    assert "its check digits are wrong" in said
    assert {name: form["properties"][name]["default"] for name in ("tax", "iban", "due_date")} == {
        "tax": "303.60",
        "iban": "DE75512108001245126190",
        "due_date": "2026-12-17",
    }
    right = {**typed, "iban": "DE75512108001245126199"}
    del right["due_date"]  # as the page sends a box that was emptied
    assert approval_runs.resume(str(action.flow_run_id), right) is None
    assert perform(action).is_completed()
    (row,) = invoices(ledger)
    assert (row["tax"], row["iban"], row["due_date"]) == (Decimal("303.60"), "DE75512108001245126199", None)


def form_of(action: ActionRow) -> dict[str, Any]:
    return approval_runs.form_of(action).model_json_schema()


def perform(action: ActionRow) -> State[Any]:
    """What a worker does once a form was answered; the state that its run is then in."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(action.flow_run_id))
        with suppress(Pause):
            run_flow(perform_action, flow_run=run, return_type="state")
        state = client.read_flow_run(run.id).state
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("name", "typed", "why"),
    [
        ("iban", "DE00512108001245126199", "IBAN: "),
        ("seller_vat_id", "DE1", "Seller VAT id: "),
        ("currency", "ZZZ", "Currency: there is no “ZZZ”; write it like EUR"),
        ("date", "0001-01-01", "Date: “0001-01-01” is not taken; write it like 2026-03-31"),
        ("date", "2026-02-30", "date: "),
        ("total", "١٢", "Total: “١٢” is not taken; write it like 1234.50"),
        ("total", "999999999999999.1234", "Total: “999999999999999.1234” is not taken"),
        ("seller", "Evil\u202egnp.exe", "Seller: “Evil"),
        ("lines", "Review | 1 | 2", "line 1 has 3 parts between | and not 4"),
    ],
)
@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_nothing_is_taken_that_cannot_be_such_a_value(
    put: Callable[..., Path], ledger: Ledger, name: str, typed: str, why: str
) -> None:
    put(content=INVOICE.replace("303.60", "303.00"))
    document_intake()
    (action,) = actions(ledger)
    with pytest.raises(approvals.ApprovalError) as caught:
        approvals.respond(ledger, action.id, approve=True, approver="Mara", edits={name: typed})
    assert f"cannot be decided: {why}" in str(caught.value)
    assert actions(ledger)[0].state == "waiting"


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_the_same_file_twice_is_one_document(put: Callable[..., Path], ledger: Ledger) -> None:
    put()
    put("again.pdf")
    document_intake()
    assert states(ledger)["invoice.pdf" if states(ledger)["again.pdf"][0] == "done" else "again.pdf"][1] == (
        "the same file as record 1"
    )
    assert len(invoices(ledger)) == 1


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_bad_files_are_set_aside_with_the_reason_and_keep_no_other_back(
    put: Callable[..., Path], ledger: Ledger
) -> None:
    put("empty.pdf", b"")
    put("torn.pdf", papers.typed(INVOICE)[:300])
    put("tool.exe", b"MZ" + bytes(500))
    put("really a zip.pdf", b"PK\x05\x06" + bytes(18))
    put("good.pdf")
    document_intake()
    found = states(ledger)
    assert found["good.pdf"][0] == "done"
    for name in ("empty.pdf", "torn.pdf", "tool.exe", "really a zip.pdf"):
        state, reason = found[name]
        assert state == "quarantined", (name, reason)
        assert reason
        assert reason.startswith("it cannot be read: "), reason
    assert len(invoices(ledger)) == 1


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_what_hangs_on_e_mails_is_looked_at_once(
    sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOURCES", (Attachments(name="attachments"),))
    sandbox.deliver(mail_with("bill.pdf", INVOICE))
    sandbox.write(sender="ann@northwind.example", subject="Hello", body="No invoice.")
    document_intake()
    assert [row["number"] for row in invoices(ledger)] == ["CH-1"]
    read = [each for each in sandbox.requests("google") if "/messages/" in each["path"]]
    document_intake()
    assert len(invoices(ledger)) == 1
    assert len([each for each in sandbox.requests("google") if "/messages/" in each["path"]]) == len(read)


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_an_e_mail_with_more_documents_than_a_run_takes_is_gone_on_with(
    sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOURCES", (Attachments(name="attachments"),))
    bills = {f"bill {number}.pdf": numbered(number) for number in range(1, 6)}
    sandbox.deliver(mail_of(bills).as_bytes())
    for taken in (2, 4, 5, 5):
        document_intake(limit=2)
        assert len(invoices(ledger)) == taken
    assert {row["number"] for row in invoices(ledger)} == {f"CH-{number}" for number in range(1, 6)}


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_what_hangs_on_a_forwarded_e_mail_is_read_too(
    sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOURCES", (Attachments(name="attachments"),))
    outer = EmailMessage()
    outer["From"], outer["To"], outer["Subject"] = "mara@dockwell.example", "hello@company.example", "Fwd: Invoice"
    outer.set_content("For the books.")
    outer.add_attachment(mail_of({"bill.pdf": INVOICE}))
    sandbox.deliver(outer.as_bytes())
    document_intake()
    assert [row["number"] for row in invoices(ledger)] == ["CH-1"]


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_one_e_mail_that_cannot_be_had_keeps_no_other_back(
    sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOURCES", (Attachments(name="attachments"),))
    bad = sandbox.deliver(mail_with("bad.pdf", numbered(1)))
    sandbox.deliver(mail_with("good.pdf", numbered(2)))
    sandbox.fault("bad_request", "google", f"*/messages/{bad.id}", times=50)
    document_intake()
    assert [row["number"] for row in invoices(ledger)] == ["CH-2"]
    state, reason = states(ledger)["(no document)"]
    assert state == "quarantined"
    assert (reason or "").startswith("the e-mail cannot be had: ")


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_a_source_that_is_not_there_keeps_no_other_back_and_is_told(
    put: Callable[..., Path], ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put()
    missing = Folder(name="gone", path=str(tmp_path / "gone"), readers=("anyone",))
    nobodys = DriveFolder(name="elsewhere", credential="drive/nobodys", folder="x")
    monkeypatch.setattr(module, "SOURCES", (nobodys, missing, *module.SOURCES))
    document_intake()
    assert len(invoices(ledger)) == 1
    (alert,) = rows(ledger, Alert)
    assert "gone is no folder" in alert.message
    assert alert.closed_at is None
    (tmp_path / "gone").mkdir()
    document_intake()
    (alert,) = rows(ledger, Alert)
    assert alert.closed_at is not None


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_a_voice_note_that_nothing_here_can_hear_is_set_aside(
    put: Callable[..., Path], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blocks import speech

    def hear(*_: Any) -> Any:
        raise VendorError("speech", "load the model", "its weights are missing", permanent=True)

    monkeypatch.setattr(speech, "hear", hear)
    put("0 note.mp3", b"ID3" + bytes(2_000))
    put()
    document_intake()
    assert len(invoices(ledger)) == 1
    state, reason = states(ledger)["0 note.mp3"]
    assert state == "quarantined"
    assert "its weights are missing" in (reason or "")


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_an_account_is_looked_at_when_it_is_first_seen_and_when_it_changes(
    put: Callable[..., Path], ledger: Ledger
) -> None:
    old, new = "DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32"
    said = {}
    for number, account in enumerate((old, old, new), start=1):
        put(f"{number}.pdf", f"{numbered(number)}\nIBAN: {account}\n")
        document_intake()
        action = actions(ledger)[-1]
        said[number] = action.payload["doubtful"].get("iban")
        if number == 1:
            approvals.respond(ledger, action.id, approve=True, approver="Mara")
            document_intake()
    assert said == {
        1: "it is the first that is seen of this seller",
        2: None,
        3: "row 1 of invoices has DE89370400440532013000 for this seller"
        if len(invoices(ledger)) == 1
        else "row 2 of invoices has DE89370400440532013000 for this seller",
    }
    assert [action.state for action in actions(ledger)] == ["done", "done", "waiting"]


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_a_seller_that_a_person_has_confirmed_is_known_the_next_time(put: Callable[..., Path], ledger: Ledger) -> None:
    bill = "Nordwolke Hosting\n12 Kaistrasse\n\nINVOICE\n\nInvoice number: CH-1\nInvoice date: 2 March 2026\n"
    bill += "Total due: EUR 12.50\n"
    put("1.pdf", bill)
    document_intake()
    (first,) = actions(ledger)
    assert first.payload["doubtful"] == {"seller": "no plain label says so"}
    approvals.respond(ledger, first.id, approve=True, approver="Mara")
    put("2.pdf", bill.replace("CH-1", "CH-2"))
    document_intake()
    assert [action.state for action in actions(ledger)] == ["done", "done"]


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_two_scans_of_a_paper_are_one_whatever_letters_its_seller_has(put: Callable[..., Path], ledger: Ledger) -> None:
    paper = INVOICE.replace("Cartwright & Hale Solicitors LLP", "Österreichische Post AG")
    put("1.pdf", paper)
    document_intake()
    put("2.pdf", paper.replace("ÖSTERREICHISCHE", "Österreichische") + "\nScanned twice.\n")
    document_intake()
    assert len(invoices(ledger)) == 1
    assert "it may be a duplicate: row 1 of invoices is the same invoice" in actions(ledger)[1].payload["doubtful"][""]


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_a_number_that_a_person_types_and_that_is_there_already_adds_nothing(
    put: Callable[..., Path], ledger: Ledger
) -> None:
    put("1.pdf")
    document_intake()
    put("2.pdf", INVOICE.replace("Invoice number:     CH-1", ""))
    document_intake()
    waiting = actions(ledger)[1]
    assert waiting.payload["doubtful"] == {"number": "it was not found"}
    approvals.respond(ledger, waiting.id, approve=True, approver="Mara", edits={"number": "CH-1"})
    document_intake()
    assert len(invoices(ledger)) == 1
    assert (actions(ledger)[1].state, actions(ledger)[1].reason) == ("refused", "invoices row 1 is of the same paper")


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_a_row_that_was_taken_out_comes_back_with_its_file(put: Callable[..., Path], ledger: Ledger) -> None:
    put()
    document_intake()
    put("again.pdf")
    document_intake()
    assert states(ledger)["again.pdf"] == ("skipped", "the same file as record 1")
    assert Rows(ledger).remove(find("invoice"), 1)
    put("once more.pdf")
    document_intake()
    assert [row["file"] for row in invoices(ledger)] == ["once more.pdf"]


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_what_was_entered_becomes_a_page_in_notion_once_as_it_was_put_right(
    sandbox: Sandbox, put: Callable[..., Path], ledger: Ledger
) -> None:
    put("1.pdf", numbered(1))
    put("2.pdf", numbered(2).replace("303.60", "303.00"))
    document_intake()
    assert [page["title"] for page in sandbox.pages()] == ["Invoice Cartwright & Hale Solicitors LLP, CH-1"]
    (waiting,) = [action for action in actions(ledger) if action.state == "waiting"]
    edits = {"tax": "303.60", "iban": "DE75512108001245126199"}
    approvals.respond(ledger, waiting.id, approve=True, approver="Mara", edits=edits)
    document_intake()
    document_intake()
    _, second = sandbox.pages()
    assert second["title"] == "Invoice Cartwright & Hale Solicitors LLP, CH-2"
    told = second["properties"]
    assert {name: told[name] for name in ("Kind", "Number", "Date", "Currency", "File")} == {
        "Kind": "Invoice",
        "Number": "CH-2",
        "Date": "2026-11-17",
        "Currency": "EUR",
        "File": "2.pdf",
    }
    assert Decimal(told["Amount"]) == Decimal("1623.60")
    assert {"- IBAN: DE75512108001245126199", "- Addendum, 2, 240.00, 480.00"} <= set(second["body"])
    assert {action.state for action in actions(ledger, CreatePage.kind)} == {"done"}


@pytest.mark.usefixtures("embedded", "stage", "deployment")
def test_without_notion_nothing_is_wanted_there(
    put: Callable[..., Path], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = connections.load_if_present
    monkeypatch.setattr(
        connections, "load_if_present", lambda name: None if name == "notion/documents" else present(name)
    )
    put()
    document_intake()
    assert len(invoices(ledger)) == 1
    assert actions(ledger, CreatePage.kind) == []


def numbered(number: int) -> str:
    return INVOICE.replace("CH-1", f"CH-{number}")


def mail_with(name: str, text: str) -> bytes:
    """An e-mail that carries a PDF."""
    return mail_of({name: text}).as_bytes()


def mail_of(texts: Mapping[str, str]) -> EmailMessage:
    """An e-mail that carries these texts, each on a PDF."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "billing@cartwrighthale.example", "hello@company.example", "Invoice"
    mail.set_content("Please find our invoice attached.")
    for name, text in texts.items():
        mail.add_attachment(papers.typed(text), maintype="application", subtype="pdf", filename=name)
    return mail


@pytest.mark.usefixtures("claude", "stage", "deployment")
def test_claude_is_shown_the_pages_and_believed_in_nothing_that_does_not_stand_there(
    sandbox: Sandbox, put: Callable[..., Path], ledger: Ledger
) -> None:
    put()
    values = [
        {"field": "number", "value": "CH-1", "page": 1},
        {"field": "date", "value": "17 November 2026", "page": 1},
        {"field": "seller", "value": "Cartwright & Hale Solicitors LLP", "page": 1},
        {"field": "currency", "value": "EUR", "page": 1},
        {"field": "total", "value": "9,623.60", "page": 1},
    ]
    sandbox.script({"json": {"kind": "invoice", "values": values, "lines": [], "confidence": 0.97}})
    document_intake()
    (asked,) = sandbox.model_calls()
    content = asked["messages"][0]["content"]
    assert [block["type"] for block in content] == ["image", "text"]
    (action,) = actions(ledger)
    assert action.state == "waiting"
    assert set(action.payload["doubtful"]) == {"total"}
    assert "it does not stand on the paper like this" in action.payload["doubtful"]["total"]


@pytest.mark.usefixtures("claude", "stage", "deployment")
def test_a_paper_that_may_be_of_no_kind_is_looked_at_by_a_person(
    sandbox: Sandbox, put: Callable[..., Path], ledger: Ledger
) -> None:
    put("1.pdf", numbered(1))
    put("2.pdf", numbered(2))
    unclear = {"kind": "other", "values": [], "lines": [], "confidence": 0.6}
    values = [{"field": "number", "value": "CH-2", "page": 1}]
    sandbox.script({"json": unclear}, {"json": unclear | {"kind": "invoice", "values": values}})
    document_intake()
    found = sorted(states(ledger).values())
    assert [state for state, _ in found] == ["done", "quarantined"]
    assert "it is not clear whether it is one of the kinds" in (found[1][1] or "")
    (action,) = actions(ledger)
    assert action.state == "waiting"
    assert action.payload["doubtful"][""] == "it may be no invoice: that is 60% sure"


@pytest.mark.usefixtures("embedded")
def test_in_shadow_nothing_is_added(put: Callable[..., Path], ledger: Ledger, stage: Callable[[str], None]) -> None:
    stage("shadow")
    put()
    document_intake()
    (action,) = actions(ledger)
    assert action.state == "shadow"
    assert invoices(ledger) == []
