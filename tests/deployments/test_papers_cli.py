"""`signoff extract` and `signoff rows`, as a person sees them in a terminal of 80 columns."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from blocks.ledger import Ledger
from blocks.rows import Rows
from prompts.document_intake.schemas.invoice import Invoice, InvoiceLine
from sandbox import papers
from tests.deployments.machinery import BIN, Finished, clean_environment

Signoff = Callable[..., Finished]
BILL = """Cartwright & Hale Solicitors LLP
                                             INVOICE
Seller: Cartwright & Hale Solicitors LLP

                                             Invoice number:     CH-1
                                             Invoice date:       17 November 2026

Description                                  Hours     Rate        Amount
Review of the agreement                      3.5       240.00      840.00

                                             Subtotal              840.00
                                             VAT 23%               193.20
                                             Total due (EUR)       1,033.20
"""
ROW = Invoice(
    number="CH-1",
    date=date(2026, 11, 17),
    seller="=HYPERLINK(0)",
    currency="EUR",
    total=Decimal("-12.50"),
    lines=(InvoiceLine(description="Review", amount=Decimal("-12.50")),),
)


@pytest.fixture
def paper(tmp_path: Path) -> Callable[..., str]:
    """Puts a file into a folder, and gives its path; a text is typed on a PDF."""

    def put(name: str = "bill.pdf", content: str | bytes = BILL) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else papers.typed(content))
        return str(path)

    return put


@pytest.fixture
def row(ledger: Ledger) -> int:
    """A row in the ledger."""
    seen = {"total": {"confidence": 0.97, "page": 1, "where": "page 1"}, "seller": {"by": "person"}}
    return Rows(ledger).add(ROW, key="k", record_id=1, file="bill\x1b[31m.pdf", sha256="00", evidence=seen)


def fits(told: Finished) -> bool:
    return all(len(line) <= 80 for line in told.out.splitlines())


def test_a_document_is_shown_with_how_sure_each_value_is_and_where_it_stands(
    in_process: Signoff, paper: Callable[..., str]
) -> None:
    told = in_process("extract", paper())
    assert (told.code, told.err) == (0, "")
    assert fits(told)
    said = " ".join(told.out.split())
    for part in ("bill.pdf: invoice", "Number CH-1", "Total 1033.20 97% page 1", "840.00", "nothing to check."):
        assert part in said


def test_for_programs_it_is_json_with_the_place_of_every_value(in_process: Signoff, paper: Callable[..., str]) -> None:
    told = in_process("extract", paper(), "--json").json
    assert told["schema"] == "invoice"
    assert told["row"]["total"] == "1033.20"
    assert told["row"]["lines"] == [
        {"description": "Review of the agreement", "quantity": "3.5", "unit_price": "240.00", "amount": "840.00"}
    ]
    total = told["values"]["total"]
    assert (total["printed"], total["page"], len(total["boxes"][0])) == ("1,033.20", 1, 4)
    assert told["unsure"] == {}


def test_the_page_for_a_browser_needs_nothing_else_and_is_not_fooled(
    in_process: Signoff, paper: Callable[..., str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    name = "<img src=x onerror=alert(1)>.pdf"
    told = in_process("extract", paper(name, BILL.replace("CH-1", "CH-1<b>")), "--html", str(page))
    assert told.code == 0
    html = page.read_text()
    assert "data:image/jpeg;base64," in html
    assert "CH-1&lt;b&gt;" in html or "CH-1" in html
    assert "<img src=x" not in html
    assert "http" not in html.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.pdf", b"", "it is empty"),
        ("torn.pdf", papers.typed(BILL)[:200], "it is damaged"),
        ("tool.exe", b"MZ" + bytes(500), ""),
        ("long.txt", b"a" * 2_000_000, "it has 2,000,000 letters"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    in_process: Signoff, paper: Callable[..., str], name: str, content: bytes, why: str
) -> None:
    refused = in_process("extract", paper(name, content)).refused()
    assert name in refused
    assert why in refused


def test_what_is_no_file_is_refused_with_the_way_out(in_process: Signoff, tmp_path: Path) -> None:
    assert "there is no such file" in in_process("extract", str(tmp_path / "gone.pdf")).refused()
    assert (
        "a folder's papers are read by the workflow document-intake" in in_process("extract", str(tmp_path)).refused()
    )
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in in_process("extract", str(tmp_path / "pipe")).refused()
    with (tmp_path / "huge.pdf").open("wb") as file:
        file.truncate(6_000_000_000)
    assert (
        "6,000,000,000 bytes; at most 100,000,000 are read"
        in in_process("extract", str(tmp_path / "huge.pdf")).refused()
    )


def test_a_kind_that_is_not_known_is_refused_with_those_that_are(
    in_process: Signoff, paper: Callable[..., str]
) -> None:
    refused = in_process("extract", paper(), "--schema", "parcel").refused()
    assert "parcel" in refused
    assert "contract, invoice, receipt" in refused


def test_a_paper_of_which_it_is_not_clear_what_it_is_says_so(in_process: Signoff, paper: Callable[..., str]) -> None:
    unclear = paper("slip.txt", b"Oak Ltd\n\nWork in March           EUR 120.00\nDate: 3 May 2026\n")
    told = in_process("extract", unclear, "--json").json
    assert told["doubts"][0].startswith(f"it may be no {told['schema']}: that is ")
    shown = in_process("extract", unclear)
    assert f"Please check: it may be no {told['schema']}" in shown.out
    assert in_process("extract", unclear, "--schema", "invoice", "--json").json["doubts"] == []


def test_what_is_no_such_paper_is_told_and_ends_with_1(in_process: Signoff, paper: Callable[..., str]) -> None:
    letter = paper("letter.txt", b"Dear Mara,\n\nthank you for the flowers.\n\nYours,\nJo\n")
    told = in_process("extract", letter)
    assert told.code == 1
    assert "letter.txt is none of the kinds that are known (contract, invoice, receipt)" in " ".join(told.out.split())
    assert json.loads(in_process("extract", letter, "--json").out)["schema"] is None


def test_it_reads_what_is_piped_in() -> None:
    done = subprocess.run(
        [str(BIN / "signoff"), "extract", "-", "--json"],
        input=BILL.encode(),
        env=clean_environment(),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["row"]["number"] == "CH-1"


def test_a_name_of_any_bytes_is_printed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\x1b[31m.txt"
    with open(path, "wb") as file:
        file.write(BILL.encode())
    environment = clean_environment(PYTHONIOENCODING="utf-8:strict")
    for extra in ((), ("--json",)):
        command = [os.fsencode(BIN / "signoff"), b"extract", path, *map(os.fsencode, extra)]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert b"\x1b" not in done.stdout
        assert done.stdout.decode()


def test_the_tables_are_listed_with_their_rows(in_process: Signoff, row: int) -> None:
    assert row == 1
    told = in_process("rows", "tables")
    assert fits(told)
    assert "invoice   invoices" in told.out
    assert {one["schema"]: one["rows"] for one in in_process("rows", "tables", "--json").json} == {
        "contract": 0,
        "invoice": 1,
        "receipt": 0,
    }


def test_an_empty_table_says_where_to_look(in_process: Signoff, ledger: Ledger) -> None:  # noqa: ARG001
    told = in_process("rows", "list", "receipt")
    assert told.code == 0
    assert "There is no receipt yet" in told.out
    assert "signoff approvals list" in told.out


def test_rows_are_listed_and_shown_with_where_they_are_from(in_process: Signoff, row: int) -> None:
    told = in_process("rows", "list", "invoice")
    assert fits(told)
    assert "CH-1" in told.out
    shown = in_process("rows", "show", "invoice", str(row))
    assert fits(shown)
    assert "\x1b" not in shown.out
    said = " ".join(shown.out.split())
    assert "Total -12.5 page 1, 97% sure" in said
    assert "Seller =HYPERLINK(0) a person" in said
    assert in_process("rows", "show", "invoice", str(row), "--json").json["evidence"]["total"]["page"] == 1


def test_a_spreadsheet_takes_no_text_for_a_formula_and_every_number_for_a_number(in_process: Signoff, row: int) -> None:
    assert row == 1
    told = in_process("rows", "list", "invoice", "--csv")
    (found,) = csv.DictReader(io.StringIO(told.out))
    assert found["seller"] == "'=HYPERLINK(0)"
    assert found["total"] == "-12.5"
    assert found["date"] == "2026-11-17"
    assert found["iban"] == ""


def test_a_row_is_removed_once_somebody_said_so(in_process: Signoff, ledger: Ledger, row: int) -> None:
    assert "--yes" in in_process("rows", "remove", "invoice", str(row)).refused()
    assert Rows(ledger).count(Invoice) == 1
    told = in_process("rows", "remove", "invoice", str(row), "--yes")
    assert told.code == 0
    assert "put a copy of it where it came from" in " ".join(told.out.split())
    assert Rows(ledger).count(Invoice) == 0
    assert "there is no row 1 in invoices" in in_process("rows", "remove", "invoice", str(row), "--yes").refused()


@pytest.mark.parametrize("command", [("rows", "list", "parcel"), ("rows", "show", "parcel", "1")])
def test_rows_of_no_kind_are_refused(in_process: Signoff, ledger: Ledger, command: tuple[str, ...]) -> None:  # noqa: ARG001
    assert "contract, invoice, receipt" in in_process(*command).refused()
