"""RFC 822 in, Gmail's JSON out."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

SNIPPET = 200
TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.S | re.I)
FOLD = re.compile(r"\r?\n(?=[ \t])")
MESSAGE_ID = re.compile(r"<[^<>\s]+>")
REPLY_PREFIX = re.compile(r"^\s*((re|fwd?|aw|wg|sv|antw)\s*(\[\d+\])?\s*:\s*)+", re.I)


def parse(raw: bytes) -> Message:
    """Parse leniently: mail from the wild must not bring the mailbox down."""
    return message_from_bytes(raw)


def headers(part: Message) -> list[tuple[str, str]]:
    """Return the headers unfolded and decoded, as Gmail shows them."""
    return [(name, decoded(str(value))) for name, value in part.raw_items()]


def header(part: Message, name: str) -> str:
    """Return the first header of that name, or an empty string."""
    return next((value for key, value in headers(part) if key.lower() == name.lower()), "")


def decoded(value: str) -> str:
    """Decode encoded words and raw UTF-8 in a header."""
    text = FOLD.sub("", value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text


def message_ids(part: Message, *names: str) -> list[str]:
    """Return every Message-ID in these headers, in order."""
    return [found for name in names for found in MESSAGE_ID.findall(header(part, name))]


def addresses(part: Message, *names: str) -> list[str]:
    """Return the bare addresses in these headers, in lower case."""
    found = getaddresses([header(part, name) for name in names])
    return [address.lower() for _, address in found if address]


def date_ms(part: Message) -> int | None:
    """Return the Date header in milliseconds, or None if it says nothing usable."""
    try:
        return int(parsedate_to_datetime(header(part, "Date")).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return None


def base_subject(subject: str) -> str:
    """Return the subject without its Re: and Fwd:, for matching threads."""
    return " ".join(REPLY_PREFIX.sub("", subject).split()).lower()


def leaves(part: Message) -> Iterator[Message]:
    """Yield the parts that hold content."""
    for each in part.walk():
        if not each.is_multipart():
            yield each


def content(part: Message) -> bytes:
    """Return a leaf's bytes; text comes as UTF-8 whatever its charset, as Gmail does it."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return b""
    if part.get_content_maintype() != "text":
        return data
    try:
        return data.decode(part.get_content_charset("utf-8"), "replace").encode()
    except LookupError:
        return data


def text(message: Message) -> str:
    """Return the text a person would read."""
    bodies = {part.get_content_type(): part for part in reversed(list(leaves(message))) if not is_file(part)}
    if plain := bodies.get("text/plain"):
        return content(plain).decode("utf-8", "replace")
    if rich := bodies.get("text/html"):
        return html.unescape(TAG.sub(" ", content(rich).decode("utf-8", "replace")))
    return ""


def snippet(message: Message) -> str:
    """Return the first words, escaped, as Gmail's lists show them."""
    return html.escape(" ".join(text(message).split())[:SNIPPET].rstrip())


def is_file(part: Message) -> bool:
    """Say whether a part is an attachment rather than the message's text."""
    return bool(part.get_filename()) or part.get_content_maintype() != "text"


def payload(part: Message, mail_id: str, part_id: str = "") -> dict[str, Any]:
    """Return the part as Gmail's MessagePart."""
    tree: dict[str, Any] = {
        "partId": part_id,
        "mimeType": part.get_content_type(),
        "filename": decoded(part.get_filename() or ""),
        "headers": header_list(part),
        "body": {"size": 0},
    }
    if part.is_multipart():
        prefix = f"{part_id}." if part_id else ""
        children = part.get_payload()
        tree["parts"] = [payload(child, mail_id, f"{prefix}{i}") for i, child in enumerate(children)]
        return tree
    data = content(part)
    tree["body"]["size"] = len(data)
    if is_file(part):
        tree["body"]["attachmentId"] = f"ATT-{mail_id}-{part_id or '0'}"
    elif data:
        tree["body"]["data"] = encode(data)
    return tree


def header_list(part: Message, only: list[str] | None = None) -> list[dict[str, str]]:
    """Return the headers as Gmail lists them, all or only the named ones."""
    wanted = {name.lower() for name in only or ()}
    return [{"name": n, "value": v} for n, v in headers(part) if not wanted or n.lower() in wanted]


def attachment(message: Message, mail_id: str, attachment_id: str) -> bytes | None:
    """Return an attachment's bytes by the id that `payload` gave it."""

    def search(part: Message, part_id: str) -> bytes | None:
        if part.is_multipart():
            prefix = f"{part_id}." if part_id else ""
            children: Any = part.get_payload()
            found = (search(child, f"{prefix}{i}") for i, child in enumerate(children))
            return next((data for data in found if data is not None), None)
        return content(part) if attachment_id == f"ATT-{mail_id}-{part_id or '0'}" else None

    return search(message, "")


def set_header(raw: bytes, name: str, value: str) -> bytes:
    """Return the message with one header replaced, touching no other byte."""
    newline = b"\r\n" if b"\r\n" in raw else b"\n"
    head, gap, body = raw.partition(newline * 2)
    pattern = re.compile(rb"^" + re.escape(name.encode()) + rb":.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)", re.I | re.M)
    kept = pattern.sub(b"", head).rstrip(b"\r\n")
    return newline.join(filter(None, [f"{name}: {value}".encode(), kept])) + (gap or newline * 2) + body


def encode(data: bytes) -> str:
    """Return base64url."""
    return base64.urlsafe_b64encode(data).decode()


def decode(text_: str) -> bytes:
    """Read base64url, padded or not; raises ValueError for anything else."""
    return base64.b64decode(text_ + "=" * (-len(text_) % 4), altchars=b"-_", validate=True)
