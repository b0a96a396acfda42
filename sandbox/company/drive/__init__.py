"""Dockwell's Drive: a help centre that anybody may read, a handbook for those who work there, and their meetings.

`index.json` says which folder and file is where, who may read it, and as what kind of file it is kept; the texts beside
it are Markdown (one is HTML). What they say agrees with the e-mails in the inbox, and answers those that `answers.json`
names. Only tests read that one. Transcripts are dated like the e-mails: `[[2 %d %b %Y]]` is the day before yesterday.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox import papers
from sandbox.folders import DOCUMENT, FOLDER

HERE = Path(__file__).parent
MADE: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", papers.docx),
    "pdf": ("application/pdf", papers.pdf),
    "typed": ("application/pdf", papers.typed),
    "locked": ("application/pdf", papers.locked),
    "scan": ("image/png", papers.scan),
}
KEPT = {
    "document": DOCUMENT,
    "markdown": "text/markdown",
    "html": "text/html",
    "text": "text/plain",
    "vtt": "text/vtt",
}


def load() -> tuple[dict[str, Any], ...]:
    rows: list[dict[str, Any]] = json.loads((HERE / "index.json").read_text(encoding="utf-8"))
    return tuple(read(row) for row in rows)


def read(row: dict[str, Any]) -> dict[str, Any]:
    mime_type, content = content_of(row)
    return {
        "id": row["id"],
        "name": dated(row["name"]),
        "parent": row.get("parent", "root"),
        "mime_type": mime_type,
        "content": content,
        "days_ago": row["days_ago"],
        "limited": row.get("limited", False),
        "readers": row.get("readers", []),
    }


def content_of(row: dict[str, Any]) -> tuple[str, bytes]:
    if "file" not in row:
        return FOLDER, b""
    text = dated((HERE / row["file"]).read_text(encoding="utf-8"))
    if made := MADE.get(row["as"]):
        mime_type, make = made
        return mime_type, make(text)
    return KEPT[row["as"]], text.encode("utf-8")


def dated(template: str) -> str:
    from sandbox.company import date_text  # which imports this module

    return date_text(template, datetime.now(UTC))
