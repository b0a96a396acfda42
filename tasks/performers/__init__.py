"""How each kind of action is carried out once, and how to find out whether it already was. By vendor.

`perform` does it; `find` looks for it in the vendor's system by the action's natural key. An action that was ever begun
is looked for before it is done again, whatever stopped it.
"""

from tasks.actions import (
    AddNote,
    AddRow,
    ApplyLabel,
    CreateInvoice,
    CreatePage,
    CreateTask,
    IssueCredit,
    NoteTicket,
    PostMessage,
    Refund,
    SendFollowUp,
    SendReminder,
    SendReply,
    UpdateTicket,
    UpsertContact,
)
from tasks.performers import gmail, hubspot, notion, rows, slack, stripe
from tasks.performers.base import Attempt, Done, InDoubt, NotNow, Performer, Superseded

__all__ = ["PERFORMERS", "Attempt", "Done", "InDoubt", "NotNow", "Performer", "Superseded"]

PERFORMERS: dict[str, Performer] = {
    SendReply.kind: Performer(gmail.send_reply, gmail.find_reply),
    SendFollowUp.kind: Performer(gmail.send_followup, gmail.find_followup),
    SendReminder.kind: Performer(gmail.send_reminder, gmail.find_reminder),
    ApplyLabel.kind: Performer(gmail.apply_label, gmail.find_label),
    UpsertContact.kind: Performer(hubspot.upsert_contact, hubspot.find_contact),
    AddNote.kind: Performer(hubspot.add_note, hubspot.find_note),
    CreateTask.kind: Performer(hubspot.create_task, hubspot.find_task),
    NoteTicket.kind: Performer(hubspot.note_ticket, hubspot.find_ticket_note),
    UpdateTicket.kind: Performer(hubspot.update_ticket, hubspot.find_ticket),
    PostMessage.kind: Performer(slack.post_message, slack.find_message),
    CreatePage.kind: Performer(notion.create_page, notion.find_page),
    Refund.kind: Performer(stripe.refund, stripe.find_refund),
    IssueCredit.kind: Performer(stripe.issue_credit, stripe.find_credit),
    CreateInvoice.kind: Performer(stripe.create_invoice, stripe.find_invoice),
    AddRow.kind: Performer(rows.add, rows.find),
}
