"""Text from outside, shown to the letter in markdown: a sender must not be able to trick an approver."""


def plain(text: str) -> str:
    """On one line, with everything escaped that markdown would make a link, an image or markup of."""
    one_line = " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-=.!|~&:/@" else c for c in one_line)


def quoted(text: str, limit: int = 4000) -> str:
    """As a block quote, line by line, each line escaped; cut to `limit` characters.

    Not a code block: those do not wrap, and an approver would read only the beginning of each line.
    """
    cut = text if len(text) <= limit else f"{text[:limit]}\n[... {len(text) - limit:,} more characters]"
    # Two spaces at a line's end are markdown's line break.
    return "\n".join(f"> {plain(line)}  " if line.strip() else ">" for line in cut.strip().splitlines())
