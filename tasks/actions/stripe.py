"""What can be done with a customer's money. All of it waits for a person, and no amount can be edited."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from blocks.money import in_words
from tasks.actions.base import Action, Address, Impact, Money, Text

Currency = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
Amount = Annotated[int, Field(gt=0)]
"""In the currency's smallest unit."""


class Refund(Action):
    """Give back what a customer has paid, all or some of it, to where it came from."""

    kind = "stripe.refund"
    noun = "refund"
    impact = Impact.HIGH

    customer_id: str
    customer_email: Address
    payment_intent_id: str
    amount: Amount
    currency: Currency
    reason: Literal["duplicate", "requested_by_customer"]
    why: Text

    @property
    def title(self) -> str:
        return f"Refund {in_words(self.amount, self.currency)} to {self.customer_email}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    def preview(self) -> dict[str, str]:
        return {
            "Amount": in_words(self.amount, self.currency),
            "Customer": f"{self.customer_email} ({self.customer_id})",
            "Payment": self.payment_intent_id,
            "Reason": self.reason.replace("_", " "),
            "Why": self.why,
        }

    def targets(self) -> tuple[str, ...]:
        return (self.customer_id, self.customer_email, self.payment_intent_id)

    def texts(self) -> tuple[str, ...]:
        return (self.why, self.reason, self.currency)


class IssueCredit(Action):
    """Credit an invoice: of an open one less is to be paid, of a paid one it goes to the customer's balance."""

    kind = "stripe.issue_credit"
    noun = "credit"
    impact = Impact.HIGH
    editable = "memo"

    customer_id: str
    customer_email: Address
    invoice_id: str
    invoice_number: str
    amount: Amount
    currency: Currency
    memo: Text = Field(min_length=1)
    """What it is for. The customer reads it."""

    @property
    def title(self) -> str:
        return f"Credit {in_words(self.amount, self.currency)} on {self.invoice_number} to {self.customer_email}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    def preview(self) -> dict[str, str]:
        return {
            "Amount": in_words(self.amount, self.currency),
            "Customer": f"{self.customer_email} ({self.customer_id})",
            "Invoice": f"{self.invoice_number} ({self.invoice_id})",
        }

    def targets(self) -> tuple[str, ...]:
        return (self.customer_id, self.customer_email, self.invoice_id)

    def texts(self) -> tuple[str, ...]:
        return (self.memo, self.invoice_number, self.currency)


class InvoiceLine(BaseModel):
    """A line of an invoice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=300)]
    quantity: int = Field(default=1, ge=1, le=10_000)
    unit_amount: int = Field(ge=0, description="In the currency's smallest unit: 8900 is EUR 89.00.")


class CreateInvoice(Action):
    """Write an invoice and have Stripe send it."""

    kind = "stripe.create_invoice"
    noun = "invoice"
    impact = Impact.HIGH

    customer_id: str
    customer_email: Address
    currency: Currency
    lines: tuple[InvoiceLine, ...] = Field(min_length=1, max_length=10)
    """Ten at most: so many Stripe shows with an invoice itself."""
    days_until_due: int = Field(ge=1, le=90)
    memo: Text = ""

    @property
    def total(self) -> int:
        """Of all lines, before tax."""
        return sum(line.quantity * line.unit_amount for line in self.lines)

    @property
    def title(self) -> str:
        return f"Invoice {in_words(self.total, self.currency)} to {self.customer_email}"

    @property
    def money(self) -> Money:
        return Money(self.total, self.currency)

    def preview(self) -> dict[str, str]:
        lines = {
            f"Line {number}": f"{line.quantity} x {line.description}: {in_words(line.unit_amount, self.currency)} each"
            for number, line in enumerate(self.lines, start=1)
        }
        return {
            "Customer": f"{self.customer_email} ({self.customer_id})",
            **lines,
            "Total": in_words(self.total, self.currency),
            "Due": f"{self.days_until_due} days after it is sent",
            "Memo": self.memo or "none",
        }

    def targets(self) -> tuple[str, ...]:
        return (self.customer_id, self.customer_email)

    def texts(self) -> tuple[str, ...]:
        return (self.memo, self.currency, *(line.description for line in self.lines))
