"""Header values: encoded words, addresses, ids and dates, decoded without trusting any of them (RFC 5322,
RFC 2047).
"""

import binascii
import re
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime

from blocks.mail.charset import decode, lenient_base64, one_line

MAX_LINE = 4_000  # characters of a header that becomes text; encoded words are matched inside it
MAX_REFERENCES = 100
_WORD = re.compile(r"=\?([^?\s]{1,64})\?([bBqQ])\?(.{0,1000}?)\?=", re.DOTALL)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,500}>")
_LOCAL = re.compile(r"[^\s@<>()\[\]\",;:\\\x00-\x1f\x7f-\x9f]{1,64}")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL}){{1,10}}")


def raw_values(message: Message, name: str) -> list[str]:
    """Every value of a header. 8-bit bytes become text; nothing else is decoded yet."""
    return [_eight_bit(str(value), message) for key, value in message.raw_items() if key.lower() == name]


def raw_value(message: Message, name: str) -> str:
    return next(iter(raw_values(message, name)), "")


def _eight_bit(value: str, message: Message) -> str:
    """Raw bytes in a header are in UTF-8 (RFC 6532), or in the charset of the body."""
    if value.isascii():
        return value
    data = value.encode("utf-8", "surrogateescape")
    hint = re.search(r"charset\s*=\s*\"?([\w.:-]{1,40})", str(message.get("content-type", "")), re.IGNORECASE)
    return decode(data, "utf-8" if decode(data, "utf-8")[1] == "" else hint[1] if hint else "")[0]


def header_text(message: Message, name: str) -> str:
    return decode_words(raw_value(message, name)[:MAX_LINE])


def decode_words(value: str) -> str:
    """Encoded words to one line of text. A character split between two words is put together again."""
    pieces: list[tuple[bytes, str] | str] = []
    position = 0
    for word in _WORD.finditer(value):
        between = value[position : word.start()]
        if between.strip() or not pieces:
            pieces.append(between)
        pieces.append((_word_bytes(word[2], word[3]), word[1].partition("*")[0].lower()))
        position = word.end()
    pieces.append(value[position:])
    return one_line("".join(_joined(pieces)))


def _word_bytes(encoding: str, encoded: str) -> bytes:
    data = encoded.encode("utf-8", "replace")
    if encoding in "bB":
        return lenient_base64(data)[0]
    return binascii.a2b_qp(data, header=True)


def _joined(pieces: list[tuple[bytes, str] | str]) -> list[str]:
    texts: list[str] = []
    data, charset = b"", ""
    for piece in [*pieces, ""]:
        if data and (isinstance(piece, str) or piece[1] != charset):
            texts.append(decode(data, charset)[0])
            data = b""
        if isinstance(piece, str):
            texts.append(piece)
        else:
            data, charset = data + piece[0], piece[1]
    return texts


def valid_address(address: str) -> str:
    """The address with its domain in lower case, or "" when no mail could be sent to it."""
    local, _, domain = address.strip().rpartition("@")
    domain = domain.lower().rstrip(".")
    if len(address) > 254 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        return ""
    return f"{local}@{domain}"


def mailboxes(message: Message, name: str) -> list[tuple[str, str]]:
    """(display name, valid address) of each mailbox in a header, in order and once."""
    found: dict[str, str] = {}
    for display, address in _split(raw_values(message, name)):
        if valid := valid_address(address):
            found.setdefault(valid, decode_words(display[:MAX_LINE]))
    return [(display, address) for address, display in found.items()]


def _split(values: list[str]) -> list[tuple[str, str]]:
    try:
        return getaddresses([" ".join(value.split()) for value in values])
    except (RecursionError, IndexError, ValueError):  # nested comments, or a header cut in the middle
        return [("", address) for value in values for address in re.findall(r"[^\s<>,;()]{1,320}", value)]


def message_ids(message: Message, name: str) -> list[str]:
    return _MESSAGE_ID.findall(" ".join(raw_values(message, name)))


def own_id(message: Message) -> str:
    found = message_ids(message, "message-id")
    bare = one_line(raw_value(message, "message-id"))
    if found:
        return found[0]
    return f"<{bare}>" if re.fullmatch(r"[!-;=?-~]{1,250}@[!-;=?-~]{1,250}", bare) else ""


def references(message: Message) -> tuple[str, ...]:
    ids = dict.fromkeys(message_ids(message, "references") + message_ids(message, "in-reply-to"))
    return tuple(ids)[-MAX_REFERENCES:]


def sent_at(message: Message, received_at: datetime) -> tuple[datetime, str]:
    """The Date header in UTC; what is wrong with it, and then the time of receipt."""
    value = one_line(raw_value(message, "date"))[:200]
    received = received_at.astimezone(UTC)
    if not value:
        return received, "Date header is missing"
    try:
        sent = parsedate_to_datetime(value)
        sent = (sent if sent.tzinfo else sent.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return received, "Date header is not a date"
    if sent.year < 1980 or sent - received > timedelta(days=2):
        return received, f"Date header says {sent:%Y-%m-%d}, which cannot be"
    return sent, ""
