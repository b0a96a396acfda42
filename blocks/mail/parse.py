"""Raw bytes to an `Email`."""

import re
from datetime import datetime
from email.message import Message

from blocks.mail.charset import clean
from blocks.mail.headers import header_text, mailboxes, own_id, raw_values, references, sent_at, valid_address
from blocks.mail.history import Split, split
from blocks.mail.machine import machine_of
from blocks.mail.mime import Body, choose_text, read_body, read_message
from blocks.mail.model import Attachment, Email, MalformedMail

MAX_TEXT = 200_000  # characters, before history and signature are taken off
SHORT_NOTE = 1_000  # characters beside an attached mail that make it a forward
MAX_FORWARDS = 3
MAX_FORWARDED = 3  # mails in a mail in a mail, of which attachments are looked at


def parse(raw: bytes, *, message_id: str, thread_id: str, received_at: datetime) -> Email:
    """One mail, normalised. Raises MalformedMail only if nothing usable can be read."""
    if received_at.tzinfo is None:
        raise ValueError("received_at must have a time zone")
    message, defects = read_message(raw)
    body = read_body(message)
    subject = header_text(message, "subject")
    sent, late = sent_at(message, received_at)
    name, sender, odd = _sender(message)
    content, found = _content(body, subject, f"{name} {sender.partition('@')[0]}")
    email = Email(
        message_id=message_id,
        thread_id=thread_id,
        rfc822_message_id=own_id(message),
        references=references(message),
        sender=sender,
        sender_name=name,
        reply_to=_reply_to(message, sender),
        to=_addresses(message, "to"),
        cc=_addresses(message, "cc"),
        subject=subject,
        sent_at=sent,
        text=content.text,
        quoted=content.quoted,
        signature=content.signature,
        attachments=tuple(body.attachments),
        machine=machine_of(message, body, subject),
        defects=tuple(dict.fromkeys(filter(None, [*defects, *odd, late, *body.defects, *found]))),
    )
    _refuse_nothing(email)
    return email


def files_of(raw: bytes) -> list[tuple[Attachment, bytes]]:
    """A mail's attachments with their content, in its order; then those of the mails that are forwarded in it."""
    message, _ = read_message(raw)
    return _files(message, MAX_FORWARDED)


def _files(message: Message, depth: int) -> list[tuple[Attachment, bytes]]:
    body = read_body(message, keep_files=True)
    inner = body.forwarded[:MAX_FORWARDS] if depth else []
    return [*body.files, *(file for each in inner for file in _files(each, depth - 1))]


def _refuse_nothing(email: Email) -> None:
    words = (email.sender, email.subject, email.text, email.quoted, email.signature)
    if not "".join(words).strip("\ufffd\n "):
        reasons = "; ".join(email.defects) or "empty"
        raise MalformedMail(f"neither sender, subject nor text can be read ({reasons})")


def _content(body: Body, subject: str, author: str) -> tuple[Split, list[str]]:
    text, defects = choose_text(body)
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
        defects.append(f"text is longer than {MAX_TEXT} characters: its end was cut off")
    content = split(text, subject, author)
    if content.quoted and not content.text:
        defects.append("nothing new above, between or below the quoted history")
    if not body.forwarded or len(content.text) > SHORT_NOTE or body.report:
        return content, defects
    forwarded = "\n\n".join(_forwarded(child) for child in body.forwarded[:MAX_FORWARDS])
    room = MAX_TEXT - len(content.text)
    return Split(f"{content.text}\n\n{forwarded[:room]}".strip(), content.quoted, content.signature), defects


def _forwarded(message: Message) -> str:
    """A mail attached to this one, as the text of a forward."""
    lines = ["---------- Forwarded message ----------"]
    name, sender, _ = _sender(message)
    lines += [f"From: {name} <{sender}>".replace("  ", " ")] if sender else []
    lines += [f"Subject: {header_text(message, 'subject')}", ""]
    text = choose_text(read_body(message))[0]
    return "\n".join([*lines, clean(text).strip()])


def _sender(message: Message) -> tuple[str, str, list[str]]:
    found = mailboxes(message, "from")
    if not found:
        return _damaged_sender(header_text(message, "from").strip('<>" '))
    name, address = found[0]
    defects = ["several From addresses: the first was used"] if len(found) > 1 else []
    shown = valid_address(name.strip("'\"<> "))
    if shown and shown.lower() != address.lower():
        defects.append(f"the sender's name shows another address: {shown}")
    return ("" if shown.lower() == address.lower() else name), address, defects


def _damaged_sender(value: str) -> tuple[str, str, list[str]]:
    address = next(filter(None, map(valid_address, re.findall(r"[^\s<>,;:()\"]{3,254}", value[:2_000]))), "")
    if address:
        return "", address, ["From is malformed: the first address in it was used"]
    return value[:200], "", ["From has no valid address" if value else "From is missing"]


def _reply_to(message: Message, sender: str) -> str:
    found = [address for _, address in mailboxes(message, "reply-to")]
    return found[0] if found and found[0].lower() != sender.lower() else ""


def _addresses(message: Message, name: str) -> tuple[str, ...]:
    return tuple(address for _, address in mailboxes(message, name)) if raw_values(message, name) else ()
