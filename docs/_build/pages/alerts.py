"""Every kind of alert that the code can open."""

from __future__ import annotations

import re

from docs._build.alert_keys import alert_keys
from docs._build.source import ROOT
from docs._build.text import anchor, code, table

GUIDE = ROOT / "docs" / "how-to" / "alerts.md"
HEADING = re.compile(r"^#+ (.*`([^`]+)`.*)$", re.MULTILINE)

HEAD = """# Alerts

Every kind of alert that Signoff can open, by its key, read off the code. Each leads to what to do about it.
`signoff alerts` lists those that are open.

A word in capitals stands for what differs from case to case. One alert is open at a time for each key.

"""


def page() -> str:
    """The Markdown."""
    there = {key: anchor(heading) for heading, key in HEADING.findall(GUIDE.read_text(encoding="utf-8"))}
    rows = [(_link(key.text, there.get(key.text)), code(key.where)) for key in alert_keys()]
    return HEAD + table(("Key", "Opened in"), rows)


def _link(key: str, heading: str | None) -> str:
    return code(key) if heading is None else f"[{code(key)}](../how-to/alerts.md#{heading})"
