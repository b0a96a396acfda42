"""Replies, follow-ups and labels in Gmail, each done once."""

from datetime import datetime, timedelta

from blocks import connections
from blocks.gmail import Gmail, MessageGone, SentMessage
from blocks.hubspot import HubSpot
from blocks.hubspot_deals import DealGone
from blocks.ledger import utcnow
from blocks.mail import compose_reply
from blocks.stripe import InvoiceGone, Stripe
from blocks.vendor import VendorError
from tasks import workdays
from tasks.actions import ApplyLabel, SendFollowUp, SendReminder, SendReply
from tasks.performers.base import Attempt, Done, InDoubt, NotNow, Superseded

A_MOMENT = timedelta(seconds=1)
"""The mail that `since` is the moment of is not one that came after it."""

ACTION_HEADER = "X-Signoff-Action"
"""The header by which a message that we sent is found again."""


def send_reply(gmail: Gmail, action: SendReply, attempt: Attempt) -> Done:
    """Draft, journal the draft's id, send: Gmail deletes a draft when it sends it, so it can go out only once."""
    draft_id = attempt.progress.get("draft_id")
    raw, thread_id = _raw_reply(gmail, action, attempt), action.thread_id or None
    if draft_id is None:
        draft_id = gmail.create_draft(raw, thread_id)
    else:
        # It may have lain in the mailbox for a while, for anybody to edit: what was approved is what is sent.
        gmail.update_draft(draft_id, raw, thread_id)
    attempt.save(draft_id=draft_id)
    sent = gmail.send_draft(draft_id)
    return Done("gmail", sent.id, {"thread_id": sent.thread_id})


def _raw_reply(gmail: Gmail, action: SendReply, attempt: Attempt) -> bytes:
    try:
        return compose_reply(
            to=action.to,
            subject=action.subject,
            body=action.body,
            in_reply_to=action.in_reply_to,
            references=action.references,
            sender=gmail.mailbox,
            headers={ACTION_HEADER: attempt.marker},
            begins=action.begins,
        )
    except ValueError as error:
        raise VendorError("gmail", "compose the reply", str(error), permanent=True) from error


def find_reply(gmail: Gmail, action: SendReply, attempt: Attempt) -> Done | None:
    """A sent message with our header in the thread, or to the address; a draft that is still there was not sent.

    Raises:
        InDoubt: the draft is gone, and nothing says that it was sent.
    """
    sent = _sent(gmail, action, attempt)
    if sent is not None:
        return Done("gmail", sent.id, {"thread_id": sent.thread_id})
    draft_id = attempt.progress.get("draft_id")
    if draft_id is not None:
        if gmail.draft_exists(draft_id):
            return None
        raise InDoubt(
            f"the draft {draft_id} is gone from Gmail, but {_where(action)} no sent message with {attempt.marker}: "
            "it was sent and removed, or somebody deleted the draft"
        )
    drafts = gmail.drafts(action.thread_id or None)
    orphan = next((d.id for d in drafts if d.headers.get(ACTION_HEADER.lower()) == attempt.marker), None)
    if orphan is not None:
        attempt.save(draft_id=orphan)
    return None


def _sent(gmail: Gmail, action: SendReply, attempt: Attempt) -> SentMessage | None:
    if action.thread_id:
        return gmail.sent_with_header(action.thread_id, ACTION_HEADER, attempt.marker)
    return gmail.sent_to(action.to, attempt.since, ACTION_HEADER, attempt.marker)


def send_followup(gmail: Gmail, action: SendFollowUp, attempt: Attempt) -> Done:
    """As a reply of its own, once nothing speaks against it in this moment.

    Raises:
        Superseded: they have answered, or the deal has gone on.
        NotNow: it is no workday.
    """
    _still_wanted(gmail, action)
    today = utcnow().date()
    if off := workdays.day_off(today, action.calendar):
        later = workdays.next_workday(today, action.calendar)
        raise NotNow(f"today is {off}: it is sent on {later:%A %d %b}")
    return send_reply(gmail, _as_reply(action), attempt)


def find_followup(gmail: Gmail, action: SendFollowUp, attempt: Attempt) -> Done | None:
    """As `find_reply`."""
    return find_reply(gmail, _as_reply(action), attempt)


def send_reminder(gmail: Gmail, action: SendReminder, attempt: Attempt) -> Done:
    """As an e-mail of its own, if the invoice is still overdue in this moment.

    Raises:
        Superseded: it was paid, voided or deleted.
    """
    stripe: Stripe = connections.load(action.billing)
    try:
        invoice = stripe.invoice(action.invoice_id)
    except InvoiceGone:
        raise Superseded("the invoice was deleted") from None
    if invoice.status != "open" or not invoice.amount_remaining:
        raise Superseded(f"{invoice.number} is {invoice.status} by now")
    if invoice.due_date is None or invoice.due_date > utcnow():
        raise Superseded(f"{invoice.number} is not overdue any more")
    return send_reply(gmail, _as_reply(action), attempt)


def find_reminder(gmail: Gmail, action: SendReminder, attempt: Attempt) -> Done | None:
    """As `find_reply`."""
    return find_reply(gmail, _as_reply(action), attempt)


def _as_reply(action: SendFollowUp | SendReminder) -> SendReply:
    return SendReply(to=action.to, subject=action.subject, body=action.body, begins=True)


def _still_wanted(gmail: Gmail, action: SendFollowUp) -> None:
    if at := _newest(gmail, f"in:sent to:{action.to}", action.since + A_MOMENT):
        raise Superseded(f"somebody here has written to {action.to} on {at:%d %b %H:%M} UTC")
    hubspot: HubSpot = connections.load(action.crm)
    try:
        deal = hubspot.deal(action.deal_id)
    except DealGone:
        raise Superseded("the deal was deleted") from None
    if deal.stage != action.stage:
        raise Superseded(f"the deal is in {deal.stage} now, and no longer in {action.stage}")
    contacts = hubspot.contacts_of_deals([deal])[deal.id]
    addresses = {action.to, *(contact.email for contact in contacts)}
    for address in sorted(addresses):
        if at := _newest(gmail, f"from:{address}", action.since):
            raise Superseded(f"{address} has written to us on {at:%d %b %H:%M} UTC")
    if any(each.open_task and each.at > utcnow() for each in hubspot.history_of_deal(deal.id)):
        raise Superseded("somebody here has a task for the deal that is not due yet")
    for contact in contacts:
        if contact.replied_at and contact.replied_at > action.since:
            raise Superseded(f"{contact.email} has answered on {contact.replied_at:%d %b %H:%M} UTC, HubSpot says")


def _newest(gmail: Gmail, query: str, since: datetime) -> datetime | None:
    """When the newest message of a search came that is newer than this; Gmail's own `after:` knows whole seconds."""
    found = gmail.list_message_ids(f"{query} after:{int(since.timestamp())}", limit=1)
    at = gmail.get_raw(found[0]).received_at if found else None
    return at if at and at > since else None


def _where(action: SendReply) -> str:
    return "the thread holds" if action.thread_id else f"to {action.to} there is"


def apply_label(gmail: Gmail, action: ApplyLabel, attempt: Attempt) -> Done:  # noqa: ARG001
    """Absolute, so doing it again changes nothing."""
    label = gmail.label(action.message_id, action.label, remove=["INBOX"] if action.archive else [])
    return Done("gmail", action.message_id, {"label": label})


def find_label(gmail: Gmail, action: ApplyLabel, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """Whether the message is as it should be. Doing it again would harm nothing, but a refusal would then be a lie."""
    label = gmail.ensure_label(action.label)
    try:
        labels = gmail.labels_of(action.message_id)
    except MessageGone:
        return None
    done = label in labels and not (action.archive and "INBOX" in labels)
    return Done("gmail", action.message_id, {"label": label}) if done else None
