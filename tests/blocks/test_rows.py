"""Rows of documents in ordinary tables: each added once, exact, and open to any tool."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

import pytest
import sqlalchemy as sa

from blocks.ledger import Ledger
from blocks.rows import Exact, Rows, SamePaper
from prompts.document_intake.schemas import Paper, find, schemas
from prompts.document_intake.schemas.invoice import Invoice, InvoiceLine
from prompts.document_intake.schemas.kinds import Amount, Code

pytestmark = pytest.mark.both_databases

BILL = Invoice(
    number="CH-1",
    date=date(2026, 11, 17),
    seller="Cartwright & Hale",
    currency="EUR",
    total=Decimal("1623.60"),
    lines=(InvoiceLine(description="Review", quantity=Decimal("3.5"), amount=Decimal("840.00")),),
)


class Parcel(Paper):
    """A slip that is only known to this test."""

    name: ClassVar[str] = "parcel"
    table: ClassVar[str] = "parcels"
    titles: ClassVar[tuple[str, ...]] = ("parcel",)
    key: ClassVar[tuple[str, ...]] = ("number",)

    number: Annotated[str | None, Code("parcel no")] = None


@pytest.fixture
def rows(ledger: Ledger) -> Rows:
    return Rows(ledger)


def add(rows: Rows, paper: Paper = BILL, key: str = "a", *, twice: bool = False) -> int:
    seen = {"total": {"page": 1}}
    return rows.add(paper, key=key, record_id=7, file="bill.pdf", sha256="00", evidence=seen, twice=twice)


def test_a_row_is_what_it_was(rows: Rows) -> None:
    number = add(rows)
    (row,) = rows.read(Invoice)
    assert row["id"] == number
    assert {name: row[name] for name in ("number", "date", "seller", "currency", "total", "tax")} == {
        "number": "CH-1",
        "date": date(2026, 11, 17),
        "seller": "Cartwright & Hale",
        "currency": "EUR",
        "total": Decimal("1623.60"),
        "tax": None,
    }
    assert row["lines"] == [
        {"description": "Review", "quantity": Decimal("3.5"), "unit_price": None, "amount": Decimal("840.00")}
    ]
    assert (row["file"], row["record_id"], row["evidence"]) == ("bill.pdf", 7, {"total": {"page": 1}})


def test_the_same_action_adds_one_row_however_often_it_is_tried(rows: Rows) -> None:
    assert add(rows) == add(rows)
    assert rows.count(Invoice) == 1
    assert rows.find(Invoice, "a") == 1
    assert rows.find(Invoice, "b") is None


def test_the_same_paper_is_known_by_its_key_whatever_its_capitals(rows: Rows) -> None:
    assert rows.same_as(Invoice, {"seller": "Cartwright & Hale", "number": "CH-1"}) is None
    number = add(rows)
    assert rows.same_as(Invoice, {"seller": "CARTWRIGHT &HALE", "number": "ch-1"}) == number
    assert rows.same_as(Invoice, {"seller": "Cartwright & Hale", "number": "CH-2"}) is None
    assert rows.same_as(Invoice, {"seller": "Cartwright & Hale", "number": None}) is None


def test_the_same_paper_is_added_twice_only_when_somebody_said_so(rows: Rows) -> None:
    number = add(rows)
    with pytest.raises(SamePaper, match=f"row {number} is of the same paper") as caught:
        add(rows, BILL.model_copy(update={"number": "ch-1", "total": Decimal(1)}), "b")
    assert (caught.value.number, rows.count(Invoice)) == (number, 1)
    assert add(rows, BILL, "b", twice=True) != number
    unknown = BILL.model_copy(update={"number": None})
    assert add(rows, unknown, "c") != add(rows, unknown, "d")


def test_a_row_can_be_taken_out_again_with_its_lines(rows: Rows, ledger: Ledger) -> None:
    number = add(rows)
    assert rows.remove(Invoice, number)
    assert not rows.remove(Invoice, number)
    assert rows.read(Invoice) == []
    with ledger.read() as session:
        assert session.scalar(sa.text("SELECT count(*) FROM invoices_lines")) == 0


def test_any_tool_can_add_the_amounts_up(rows: Rows, ledger: Ledger) -> None:
    add(rows)
    add(rows, BILL.model_copy(update={"number": "CH-2", "total": Decimal("0.10")}), "b")
    with ledger.read() as session:
        added = session.scalar(sa.text("SELECT sum(total) FROM invoices WHERE date >= '2026-11-01'"))
    assert round(float(added or 0), 2) == 1623.70


def test_a_class_with_a_field_more_gives_its_table_a_column_more(rows: Rows, ledger: Ledger) -> None:
    add(rows, Parcel(number="P1"))

    class Weighed(Parcel):
        weight: Annotated[Decimal | None, Amount("weight")] = None

    add(rows, Weighed(number="P2", weight=Decimal("2.5")), "b")
    assert [(row["number"], row["weight"]) for row in rows.read(Weighed)] == [("P2", Decimal("2.5")), ("P1", None)]
    with ledger.read() as session:
        assert "weight" in {column["name"] for column in sa.inspect(session.connection()).get_columns("parcels")}


def test_nothing_is_there_before_the_first_row(rows: Rows) -> None:
    assert rows.read(Invoice) == []
    assert rows.count(Invoice) == 0
    assert rows.find(Invoice, "a") is None
    assert not rows.remove(Invoice, 1)


@pytest.mark.parametrize("name", schemas())
def test_no_kind_takes_a_table_of_the_ledgers_own(rows: Rows, name: str) -> None:
    assert rows.count(find(name)) == 0


def test_a_kind_that_would_is_refused(rows: Rows) -> None:
    class Clash(Parcel):
        table: ClassVar[str] = "receipts"

    with pytest.raises(ValueError, match="cannot have the table receipts"):
        rows.count(Clash)

    class Own(Parcel):
        table: ClassVar[str] = "own_parcels"
        file: Annotated[str | None, Code("file")] = None

    with pytest.raises(ValueError, match="cannot have a field file"):
        rows.count(Own)


def test_a_number_keeps_its_digits() -> None:
    engine = sa.create_engine("sqlite://")
    table = sa.Table("t", sa.MetaData(), sa.Column("n", Exact))
    with engine.begin() as connection:
        table.create(connection)
        for text in ("0.1", "1234567890.12", "-3.50"):
            connection.execute(table.insert().values(n=Decimal(text)))
        assert connection.execute(sa.select(table.c.n)).scalars().all() == [
            Decimal("0.1"), Decimal("1234567890.12"), Decimal("-3.5"),
        ]  # fmt: skip
