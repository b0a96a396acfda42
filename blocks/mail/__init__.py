"""Mail as the rest of Signoff sees it: raw RFC 822 bytes in, a normalised `Email` out; a reply in, raw
bytes out.

Whatever a stranger sends, `parse` returns in time linear in its size, raises nothing but `MalformedMail`,
and lists what it had to repair in `defects`.
"""

from blocks.mail.compose import compose_reply
from blocks.mail.model import Attachment, Email, Machine, MalformedMail
from blocks.mail.parse import files_of, parse

__all__ = ["Attachment", "Email", "Machine", "MalformedMail", "compose_reply", "files_of", "parse"]
