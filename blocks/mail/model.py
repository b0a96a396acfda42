"""The normalised e-mail that flows and prompts work with."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

Machine = Literal["", "auto-reply", "bounce", "newsletter", "calendar", "no-reply"]


class MalformedMail(ValueError):
    """Nothing usable could be read from these bytes; reading them again cannot help."""

    permanent = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Attachment(BaseModel, frozen=True):
    name: str
    content_type: str
    size: int  # bytes, once decoded


class Email(BaseModel, frozen=True):
    message_id: str  # the mailbox's own id, given by the caller
    thread_id: str
    rfc822_message_id: str  # Message-ID header with its angle brackets, "" when missing
    references: tuple[str, ...]  # References, then In-Reply-To, each once
    sender: str  # bare address with its domain in lower case, "" when none is valid
    sender_name: str
    reply_to: str  # "" when it is missing, not valid or the same as the sender
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    sent_at: datetime  # UTC
    text: str  # the new text only: neither quoted history nor signature
    quoted: str
    signature: str
    attachments: tuple[Attachment, ...]
    machine: Machine  # why nobody wrote this to us by hand, "" when a person did
    defects: tuple[str, ...]
