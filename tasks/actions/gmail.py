"""What can be done in a mailbox."""

from datetime import datetime

from pydantic import Field

from tasks.actions.base import Action, Address, Impact, Text


class SendReply(Action):
    """Send a reply in an e-mail thread; or, to what did not come by e-mail, as an e-mail of its own."""

    kind = "gmail.send_reply"
    noun = "reply"
    impact = Impact.HIGH
    editable = "body"

    message_id: str = ""
    thread_id: str = ""
    """Both empty where there is no e-mail that it answers."""
    to: Address
    subject: str
    body: Text = Field(min_length=1)
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    begins: bool = False
    """It answers nothing: its subject stands as it is, without a "Re: "."""

    @property
    def title(self) -> str:
        return f"Send {'reply' if self.thread_id else 'e-mail'} to {self.to}"

    def preview(self) -> dict[str, str]:
        return {"To": self.to, "Subject": self.subject}

    def targets(self) -> tuple[str, ...]:
        return (self.to, self.message_id, self.thread_id, self.in_reply_to, *self.references)

    def texts(self) -> tuple[str, ...]:
        return (self.subject, self.body)


class SendFollowUp(Action):
    """Write to a deal's contact who has not answered. What makes that wrong is looked at once more when it is sent."""

    kind = "gmail.send_followup"
    noun = "followup"
    impact = Impact.HIGH
    editable = "body"

    to: Address
    subject: str
    body: Text = Field(min_length=1)
    deal_id: str
    stage: str
    """The deal's stage: in another one, this is not sent."""
    crm: str
    """The credential by which the deal is read again."""
    since: datetime
    """When we last wrote, or the deal came into its stage (UTC). An e-mail from them since then is an answer."""
    calendar: str
    """It is sent on no weekend and no holiday of this calendar."""

    @property
    def title(self) -> str:
        return f"Follow up with {self.to}"

    def preview(self) -> dict[str, str]:
        return {
            "To": self.to,
            "Subject": self.subject,
            "Deal": f"{self.deal_id}, as long as it is in {self.stage}",
            "Sent only if": f"nothing has come from them since {self.since:%d %b %Y %H:%M} UTC, and on a workday "
            f"({self.calendar})",
        }

    def targets(self) -> tuple[str, ...]:
        return (self.to, self.deal_id)

    def texts(self) -> tuple[str, ...]:
        return (self.subject, self.body, self.stage, self.crm, self.calendar)


class SendReminder(Action):
    """Remind a customer of an overdue invoice. Whether it is still one is looked at once more when it is sent."""

    kind = "gmail.send_reminder"
    noun = "reminder"
    impact = Impact.HIGH
    editable = "body"

    to: Address
    subject: str
    body: Text = Field(min_length=1)
    invoice_id: str
    billing: str
    """The credential by which the invoice is read again."""

    @property
    def title(self) -> str:
        return f"Remind {self.to} of an invoice"

    def preview(self) -> dict[str, str]:
        return {"To": self.to, "Subject": self.subject, "Sent only if": f"{self.invoice_id} is still to be paid"}

    def targets(self) -> tuple[str, ...]:
        return (self.to, self.invoice_id)

    def texts(self) -> tuple[str, ...]:
        return (self.subject, self.body, self.billing)


class ApplyLabel(Action):
    """Put a label on an e-mail, and take it out of the inbox when `archive` is set."""

    kind = "gmail.apply_label"
    noun = "label"
    impact = Impact.LOW

    message_id: str
    label: str
    archive: bool

    @property
    def title(self) -> str:
        return f"{'Archive' if self.archive else 'Label'} as {self.label}"

    def preview(self) -> dict[str, str]:
        return {"Label": self.label, "Leaves the inbox": "yes" if self.archive else "no"}

    def targets(self) -> tuple[str, ...]:
        return (self.message_id,)

    def texts(self) -> tuple[str, ...]:
        return (self.label,)
