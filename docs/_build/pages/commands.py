"""Every command of `signoff`: usage, arguments, options, defaults."""

from __future__ import annotations

import re

from deployments.cli import app

HEAD = """# Commands

Every command of `signoff`, with its arguments, options and defaults. The same is printed by `--help` after any of them.

With `--json` a command prints JSON for programs. The exit code is 0 when all went well, and 1 when something was
refused or is wrong: then one line on standard error says what, and the way out.

"""
UNSAID = re.compile(r" \*\[default: (False|\(\)|\"\")\]\*")
"""Defaults that say only that nothing was given."""
STARTED_BY = re.compile(r"^(signoff.*?) -m [\w.]+", re.MULTILINE)
"""What cyclopts 5.4 puts into each usage when the page is made by `python -m mkdocs`."""
OPTIONS = "**Parameters**:"


def page() -> str:
    """The Markdown."""
    made = app.generate_docs(output_format="markdown", heading_level=1)
    made = made.partition("## Table of Contents")[2]
    lists = made.partition("\n**")[2]  # after the table of contents, which the site has its own of
    found = (
        STARTED_BY.sub(r"\1", UNSAID.sub("", f"**{lists}"))
        .replace("```console", "```text")
        .replace(OPTIONS, "**Options**:")
    )
    return HEAD + found.strip() + "\n"
