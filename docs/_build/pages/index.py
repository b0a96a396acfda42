"""Where the reference begins."""

from __future__ import annotations

PAGE = """# Reference

Every name, option, field and column, made from the code when this site is built: what stands here is what runs.

- [Commands](commands.md): every command of `signoff`, its options and defaults.
- [The card](card.md): every field, its limits, and what is refused.
- [Actions](actions.md): every kind of action, and how it is done only once.
- [Blocks](blocks.md): every account type, its fields, and what it must be allowed.
- [Alerts](alerts.md): every kind of alert.
- [Prompts](prompts.md): every prompt folder and the type of its answer.
- [Deployments](deployments.md): what runs when, and which events start it.
- [Settings](settings.md): every environment variable.
- [Tables](tables.md): the ledger and the library, for SQL.
"""


def page() -> str:
    """The Markdown."""
    return PAGE
