"""Text from outside, shown to the letter in markdown: a sender must not be able to trick an approver."""

from datetime import timedelta

from tasks.visible import seen


def plain(text: str) -> str:
    """On one line, with everything escaped that markdown would make a link, an image or markup of."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-=.!|~&:/@" else c for c in one_line(text))


def one_line(text: str) -> str:
    """On one line, without what cannot be seen."""
    return " ".join(seen(" ".join(text.split())).split())


def capitalised(text: str) -> str:
    """As a sentence begins; all else as it is."""
    return text[:1].upper() + text[1:]


def counted(count: int, noun: str) -> str:
    """`1 record`, `1,000 records`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def quoted(text: str, limit: int = 4000) -> str:
    """As a block quote, line by line, each line escaped; cut to `limit` characters.

    Not a code block: those do not wrap, and an approver would read only the beginning of each line.
    """
    cut = text if len(text) <= limit else f"{text[:limit]}\n[... {len(text) - limit:,} more characters]"
    # Two spaces at a line's end are markdown's line break.
    return "\n".join(f"> {plain(line)}  " if line.strip() else ">" for line in cut.strip().splitlines())


def age(time: timedelta) -> str:
    """`5 minutes`, `3 hours`, `2 days`; days are rounded, so that a minute less than five is five."""
    minutes = max(int(time.total_seconds() // 60), 0)
    if minutes < 120:
        return counted(minutes, "minute")
    return counted(minutes // 60, "hour") if minutes < 2880 else counted(round(minutes / 1440), "day")
