"""The MIME tree: which parts are the letter, which are attachments, and what had to be repaired on the way."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.header import Header
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32

from blocks.mail.charset import clean, decode, lenient_base64, one_line
from blocks.mail.headers import decode_words, raw_value
from blocks.mail.html_text import html_to_text
from blocks.mail.model import Attachment

MAX_DEPTH = 20
MAX_PARTS = 500
MAX_TEXT_PARTS = 20
MAX_PART_BYTES = 2_000_000  # of one text part; attachments are only measured
MAX_UNSEEN = 6  # words of the plain version that a person reading the HTML would not see
MAX_WORK = 20_000_000  # lines x boundaries: the standard library compares each line with every open boundary


class _Bounded(Compat32):
    """Cuts a header before the standard library looks at its parameters, which takes quadratic time."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[: 2_000 if name.lower().startswith("content-") else 100_000]

    def header_fetch_parse(self, name: str, value: str) -> str | Header:  # type: ignore[override]  # noqa: ARG002
        # A Header object, which the original gives for 8-bit values, breaks the parameter functions.
        return value


@dataclass
class Body:
    pieces: list[tuple[str, str]] = field(default_factory=list)  # (plain, html), one of them may be ""
    attachments: list[Attachment] = field(default_factory=list)
    keep_files: bool = False
    files: list[tuple[Attachment, bytes]] = field(default_factory=list)
    """The attachments with their content, if it is to be kept."""
    forwarded: list[Message] = field(default_factory=list)
    invitation: bool = False
    report: str = ""  # "delivery-status", "disposition-notification"
    defects: list[str] = field(default_factory=list)
    parts: int = 0
    texts: int = 0

    def attach(self, name: str, kind: str, size: int, content: bytes) -> None:
        """Note an attachment, and keep its content where that is wanted."""
        found = Attachment(name=name, content_type=kind, size=size)
        self.attachments.append(found)
        if self.keep_files:
            self.files.append((found, content))


def read_message(raw: bytes) -> tuple[Message, list[str]]:
    """The message; only its headers and flat body when its structure would cost too much to follow."""
    marks = raw.lower()
    boundaries = marks.count(b"boundary") + marks.count(b"delivery-status") + marks.count(b"message/")
    if boundaries * raw.count(b"\n") > MAX_WORK or marks.count(b"\n--") > 20 * MAX_PARTS:
        return _parser().parsebytes(raw, headersonly=True), ["too many nested parts: read as one"]
    try:
        return _parser().parsebytes(raw), []
    except RecursionError:
        return _parser().parsebytes(raw, headersonly=True), ["parts nested too deeply: read as one"]


def _parser() -> "BytesParser[Message]":
    return BytesParser(policy=_Bounded())


def read_body(message: Message, *, keep_files: bool = False) -> Body:
    body = Body(keep_files=keep_files)
    _collect(message, body, depth=0)
    if body.parts > MAX_PARTS:
        body.defects.append(f"more than {MAX_PARTS} parts: the rest was not read")
    if body.texts > MAX_TEXT_PARTS:
        body.defects.append(f"more than {MAX_TEXT_PARTS} text parts: the rest was not read")
    return body


def _collect(part: Message, body: Body, depth: int) -> None:
    body.parts += 1
    if depth > MAX_DEPTH:
        body.defects.append("parts nested too deeply: the innermost were not read")
    if body.parts > MAX_PARTS or depth > MAX_DEPTH:
        return
    kind = _content_type(part)
    body.report = body.report or _report(part, kind)
    if kind == "message/rfc822" and part.is_multipart():
        _collect_message(part, body)
    elif part.is_multipart() and kind.startswith("multipart/"):
        _collect_multipart(part, body, kind, depth)
    elif kind.startswith("multipart/"):
        _collect_unsplit(part, body, depth)
    elif kind in _TEXT and not _attached(part):
        _collect_text(part, body, _TEXT[kind])
    else:
        _collect_attachment(part, body, kind)


_TEXT = {
    "text/plain": "plain",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/enriched": "plain",
}

_REPORTS = {"message/delivery-status", "message/disposition-notification", "text/rfc822-headers"}


def _content_type(part: Message) -> str:
    kind = part.get_content_type()
    return kind if re.fullmatch(r"[!-~]{1,100}", kind) else "application/octet-stream"


def _report(part: Message, kind: str) -> str:
    if kind == "multipart/report":
        return one_line(_parameter(part, "report-type")).lower()
    return kind.removeprefix("message/") if kind == "message/delivery-status" else ""


def _attached(part: Message) -> bool:
    return raw_value(part, "content-disposition").strip().lower().startswith("attachment") or bool(_name(part))


def _collect_multipart(part: Message, body: Body, kind: str, depth: int) -> None:
    before = len(body.pieces)
    for child in part.get_payload():
        if isinstance(child, Message):
            if kind == "multipart/alternative" and child.get_content_type() == "text/calendar":
                body.invitation = True
            _collect(child, body, depth + 1)
    if kind == "multipart/alternative" and len(body.pieces) > before:
        versions = body.pieces[before:]
        plain, html = ("\n\n".join(filter(str.strip, side)) for side in zip(*versions, strict=True))
        body.pieces[before:] = [(plain, html)]
    if kind == "multipart/encrypted":
        body.defects.append("the message is encrypted")


def _collect_unsplit(part: Message, body: Body, depth: int) -> None:
    """A multipart whose boundary is not declared or never occurs: use the one that its first lines show."""
    content = _raw(part)
    shown = re.search(rb"^--([^\s-][^\r\n]{0,69})[ \t]*\r?$", content[:2_000], re.MULTILINE)
    if shown and depth == 0:
        body.defects.append("no usable boundary declared: taken from the text")
        head = b'Content-Type: multipart/mixed; boundary="' + shown[1].replace(b'"', b"") + b'"\n\n'
        _collect(read_message(head + content)[0], body, depth + 1)
        return
    body.defects.append("no usable boundary declared: read as text")
    _collect_text(part, body, "html" if re.search(rb"(?i)<(?:html|body|div|p)\b", content[:2_000]) else "plain")


_BINARY = (
    b"%PDF-",
    b"PK\x03\x04",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\xd0\xcf\x11\xe0",
    b"\x1f\x8b\x08",
)


def _collect_text(part: Message, body: Body, form: str) -> None:
    body.texts += 1
    if body.texts > MAX_TEXT_PARTS:
        return
    data, defect = content_bytes(part)
    if len(data) > MAX_PART_BYTES:
        defect = "text part is too large: its end was not read"
    data = _unannounced_base64(data) or data
    if data.startswith(_BINARY):
        body.defects.append("a part is said to be text and is not")
        body.attach("unnamed", "application/octet-stream", len(data), data)
        return
    text, note = decode(data[:MAX_PART_BYTES], _parameter(part, "charset"))
    body.defects += [found for found in (defect, note) if found]
    body.pieces.append((text, "") if form == "plain" else ("", text))


def _unannounced_base64(data: bytes) -> bytes:
    """A file whose headers were lost, so that only its encoded lines are left."""
    if not re.fullmatch(rb"\s*(?:[A-Za-z0-9+/]{60,100}\r?\n)+[A-Za-z0-9+/]{0,100}={0,2}\s*", data):
        return b""
    decoded, _ = lenient_base64(data)
    return decoded if decoded.startswith(_BINARY) else b""


def _collect_message(part: Message, body: Body) -> None:
    for child in part.get_payload():
        if isinstance(child, Message):
            body.forwarded.append(child)
            subject = decode_words(raw_value(child, "subject")[:200])
            name = _name(part) or f"{subject or 'message'}.eml"
            body.attachments.append(Attachment(name=name, content_type="message/rfc822", size=_size(child)))


def _collect_attachment(part: Message, body: Body, kind: str) -> None:
    if kind in _REPORTS:
        return
    data, defect = (b"", "") if part.is_multipart() else content_bytes(part)
    size = len(data) or _size(part)
    name = _name(part)
    body.attach(name or "unnamed", kind, size, data)
    if defect:
        body.defects.append(f"{defect} in attachment {name or 'unnamed'}")
    if kind == "application/ms-tnef":
        body.defects.append("winmail.dat: Outlook packed formatting or attachments in a form that is not read")
    if kind == "application/pkcs7-mime":
        body.defects.append("the message is encrypted")


def _size(part: Message) -> int:
    """Bytes of a message's leaves. Its exact size would need it to be written out again, which can fail."""
    total, todo = 0, [part]
    while todo:
        payload = todo.pop().get_payload()
        if isinstance(payload, list):
            todo += [child for child in payload if isinstance(child, Message)]
        else:
            total += len(payload) if isinstance(payload, str) else 0
    return total


def content_bytes(part: Message) -> tuple[bytes, str]:
    """A leaf's bytes with its transfer encoding undone, and what was wrong with that."""
    encoding = re.sub(r"[^a-z0-9-].*", "", raw_value(part, "content-transfer-encoding").strip().lower())
    if encoding == "base64":
        data, whole = lenient_base64(_raw(part))
        return data, "" if whole else "base64 is damaged"
    return _decoded(part, _raw(part), encoding)


def _decoded(part: Message, plain: bytes, encoding: str) -> tuple[bytes, str]:
    if encoding not in {"quoted-printable", "x-uuencode", "uuencode", "uue", "x-uue"}:
        known = encoding in {"", "7bit", "8bit", "binary", "7-bit", "8-bit"}
        return plain, "" if known else f"unknown transfer encoding {encoding[:40]}"
    try:
        data = part.get_payload(decode=True)
    except (ValueError, IndexError):
        return plain, f"{encoding} is damaged"
    return data if isinstance(data, bytes) else plain, ""


def _raw(part: Message) -> bytes:
    """The leaf's bytes as they came: get_payload() has already decoded 8-bit text by the charset that it is
    said to be.
    """
    payload = vars(part).get("_payload")
    return payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else b""


def _parameter(part: Message, name: str) -> str:
    value = _try(lambda: part.get_param(name, ""))
    return str(value[2] if isinstance(value, tuple) else value or "")


def _name(part: Message) -> str:
    """RFC 2231 as the standard library reads it, or RFC 2047 words, which are not allowed there and common."""
    name = _try(part.get_filename)
    if isinstance(name, str) and name:
        text = decode_words(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        return re.split(r"[\\/]", text)[-1][:255]
    return ""


def _try(read: Callable[[], object]) -> object:
    try:
        return read()
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ):  # parameters that contradict themselves (RFC 2231)
        return ""


def choose_text(body: Body) -> tuple[str, list[str]]:
    """What a person sees in a mail program, as text."""
    texts, defects = [], []
    for plain, html in body.pieces:
        text, found = _choose(clean(plain), html)
        texts.append(text.strip("\n"))
        defects += found
    return "\n\n".join(text for text in texts if text.strip()), defects


def _choose(plain: str, html: str) -> tuple[str, list[str]]:
    """The plain version, unless it is a stub or says something else than the HTML, which is what people
    see.
    """
    if not html.strip():
        return plain, []
    shown, defects = html_to_text(html)
    if not plain.strip():
        return shown, defects
    said, seen = _words(plain), _words(shown)
    if seen and len(said - seen) >= MAX_UNSEEN:
        return shown, [*defects, "the plain text and the HTML say different things: the HTML was read"]
    if len(seen) > 40 and len(said) * 5 < len(seen):
        return shown, defects
    return plain, defects


def _words(text: str) -> set[str]:
    """The longer words, without what only the plain version spells out: addresses of links, names of pictures."""
    text = re.sub(r"\[[^\[\]\n]{1,200}\]", "", text.lower())
    spoken = " ".join(token for token in text.split() if "@" not in token and "://" not in token)
    return set(re.findall(r"\w{4,40}", spoken))
