"""How the pages are made: templates in which everything is escaped, and markdown of our own without links."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from blocks.ledger import utcnow
from tasks import approval_slack
from tasks.inbox import Waiting
from tasks.plain import age

HERE = Path(__file__).parent
PICTURE = "data:image/jpeg;base64,"
"""The only address that an explanation may hold: a piece of a page, which the explanation brings along."""

BETWEEN = re.compile(r"(?<=\w)([@.])(?=\w)")
"""An @ or a dot within a word, as in addresses."""

STATIC = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


class OfRecord(NamedTuple):
    """What waits about one record."""

    record_id: int | None
    record: str
    rows: list[Waiting]


class OfWorkflow(NamedTuple):
    """What waits of one workflow."""

    workflow: str
    records: list[OfRecord]

    @property
    def rows(self) -> list[Waiting]:
        """All of it, in the order of the page."""
        return [row for record in self.records for row in record.rows]


def grouped(rows: list[Waiting]) -> list[OfWorkflow]:
    """By workflow and record: the workflow whose oldest waits longest comes first, and so do the records."""
    first: dict[object, int] = {}
    for row in rows:
        first.setdefault(row.workflow, row.id)
        first.setdefault(_record(row), row.id)
    order = sorted(rows, key=lambda row: (first[row.workflow], first[_record(row)], row.id))
    return [
        OfWorkflow(
            workflow,
            [
                OfRecord(some[0].record_id, some[0].record, some)
                for _, found in groupby(mine, _record)
                for some in [list(found)]
            ],
        )
        for workflow, mine in groupby(order, lambda row: row.workflow)
    ]


def _record(row: Waiting) -> tuple[str, int]:
    return row.workflow, row.record_id or -row.id


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"markdown": markdown, "ago": ago, "left": left, "outcome": approval_slack.outcome}
    made.filters["breaks"] = breaks
    made.globals |= {"version": _version()}
    return made


def page(template: str, **values: Any) -> str:
    """A template with its values."""
    return _environment().get_template(template).render(now=utcnow(), **values)


def markdown(text: str) -> Markup:
    """Our own markdown as HTML: no HTML in it, no links, no picture but what it brings along."""
    return Markup(_markdown().render(text))


@cache
def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).disable(["link", "autolink", "html_block", "html_inline"])
    made.validateLink = lambda url: url.startswith(PICTURE)  # type: ignore[method-assign]
    return made


def breaks(text: str) -> Markup:
    """A text that may go on in the next line behind an address's @ and dots, rather than in the middle of a word."""
    return Markup(BETWEEN.sub(r"\1<wbr>", str(escape(text))))


def ago(then: datetime, now: datetime) -> str:
    """`3 hours`."""
    return age(now - then)


def left(until: datetime | None, now: datetime) -> str:
    """`2 days left`; `expired` when nobody can decide any more."""
    if until is None:
        return "no end"
    return f"{age(until - now)} left" if until > now else "expired"


def static(name: str) -> bytes:
    """One of our own files."""
    return (HERE / name).read_bytes()


@cache
def _version() -> str:
    """Changes with the files, so that browsers may keep them."""
    return sha256(b"".join(static(name) for name in STATIC)).hexdigest()[:12]
