"""E-mails kept as files (.eml): who wrote to whom, the new text, and below it what it answers."""

from datetime import UTC, datetime

from blocks.documents.model import Document, Unreadable
from blocks.documents.text import Outline, one_line
from blocks.mail import Email, MalformedMail, parse


def read(content: bytes) -> Document:
    """Raises Unreadable when nothing usable is in it."""
    now = datetime.now(UTC)
    try:
        email = parse(content, message_id="", thread_id="", received_at=now)
    except MalformedMail as error:
        raise Unreadable(f"it is damaged: {error.reason}") from error
    outline = Outline()
    outline.add(_head(email, dated=email.sent_at != now))
    for text in (email.text, email.signature, email.quoted):
        outline.add(text)
    attached = ", ".join(attachment.name for attachment in email.attachments[:10])
    notes = (*email.defects, f"its attachments were not read: {attached}") if attached else email.defects
    return outline.document(email.subject, notes=tuple(map(one_line, notes)))


def _head(email: Email, *, dated: bool) -> str:
    """Without a date where the mail has none: when it was read says nothing of it."""
    lines = [f"From: {email.sender_name} <{email.sender}>".replace("  ", " ")] if email.sender else []
    lines += [f"To: {', '.join(email.to[:20])}"] if email.to else []
    lines += [f"Date: {email.sent_at:%Y-%m-%d %H:%M}"] if dated else []
    return "\n".join([*lines, f"Subject: {email.subject}"] if email.subject else lines)
