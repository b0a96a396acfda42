"""A reply as raw bytes. The server adds Message-ID and Date when it sends."""

import re
from collections.abc import Mapping, Sequence
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses
from types import MappingProxyType
from unicodedata import category

from blocks.mail import words
from blocks.mail.headers import valid_address

REPLY_PREFIX = re.compile(rf"\s*(?:{words.REPLY_PREFIXES})\s?(?:\[\d{{1,3}}\])?\s?[:：]\s*", re.IGNORECASE)
_OURS = {
    "to",
    "from",
    "subject",
    "in-reply-to",
    "references",
    "message-id",
    "date",
    "mime-version",
    "cc",
    "bcc",
}
_NONE: Mapping[str, str] = MappingProxyType({})


def compose_reply(
    *,
    to: str,
    subject: str,
    body: str,
    in_reply_to: str,
    references: Sequence[str],
    sender: str = "",
    headers: Mapping[str, str] = _NONE,
    begins: bool = False,
) -> bytes:
    """One plain-text reply to one person, threaded under what it answers (RFC 5322 section 3.6.4).

    With `begins` it answers nothing, and its subject gets no "Re: ".

    Raises ValueError for anything that would put a second recipient or a second header into the message.
    """
    message = EmailMessage(policy=SMTP)
    if sender:
        message["From"] = _address("sender", sender)
    message["To"] = _address("to", to)
    for name, value in headers.items():
        message[_extra_name(name)] = _plain(name, value)
    message.set_content(_body(body), charset="utf-8", cte="quoted-printable")
    return _subject(subject, begins=begins) + _thread(in_reply_to, references) + message.as_bytes()


def reply_subject(subject: str) -> str:
    """With exactly one "Re: ", however many mail programs have added theirs."""
    rest = subject.strip()
    while match := REPLY_PREFIX.match(rest):
        rest = rest[match.end() :]
    return f"Re: {rest}".rstrip()


def _subject(subject: str, *, begins: bool) -> bytes:
    """Folded here: EmailMessage loses the spaces between two encoded words of a long one."""
    text = _plain("subject", subject)
    text = text.strip() if begins else reply_subject(text)
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    folded = Header(text, charset, header_name="Subject").encode(linesep="\r\n")
    return f"Subject: {folded}\r\n".encode()


def _plain(name: str, value: str) -> str:
    if any(category(char) in {"Cc", "Zl", "Zp", "Cs"} for char in value):
        raise ValueError(f"{name} contains a line break or control character: {value[:80]!r}")
    return value


def _address(name: str, value: str) -> Address:
    found = getaddresses([_plain(name, value)])
    display, valid = (found[0][0], valid_address(found[0][1])) if len(found) == 1 else ("", "")
    if not valid or value.count("<") > 1 or ("<" not in value and value.strip().lower() != valid.lower()):
        raise ValueError(f"{name} is not one e-mail address: {value[:80]!r}")
    local, _, domain = valid.rpartition("@")
    try:
        return Address(display, username=local.encode("ascii").decode(), domain=domain.encode("idna").decode())
    except UnicodeError as error:
        raise ValueError(f"{name} has an address that cannot be sent to: {value[:80]!r}") from error


def _extra_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,76}", name):
        raise ValueError(f"not a header name: {name[:80]!r}")
    if name.lower() in _OURS or name.lower().startswith("content-"):
        raise ValueError(f"the header {name} is set by compose_reply and cannot be given")
    return name


def _body(body: str) -> str:
    if any(category(char) == "Cs" for char in body) or "\0" in body:
        raise ValueError("body contains a character that cannot be sent")
    return "\n".join(body.replace("\r\n", "\n").replace("\r", "\n").split("\n"))


def _thread(in_reply_to: str, references: Sequence[str]) -> bytes:
    """In-Reply-To and References, folded here: the standard library encodes long ids, which breaks the
    thread.
    """
    parent = _message_id("in_reply_to", in_reply_to) if in_reply_to else ""
    chain = dict.fromkeys(_message_id("references", reference) for reference in references)
    if parent:
        chain.pop(parent, None)
        chain[parent] = None
    lines = [f"In-Reply-To: {parent}\r\n"] if parent else []
    lines += ["References: " + "\r\n ".join(chain) + "\r\n"] if chain else []
    return "".join(lines).encode()


def _message_id(name: str, value: str) -> str:
    if not re.fullmatch(r"<[!-;=?-~]{1,900}>", _plain(name, value.strip())):
        raise ValueError(f"{name} is not a message id in angle brackets: {value[:80]!r}")
    return value.strip()
