"""Pages in Notion, each made once."""

from collections.abc import Iterator
from contextlib import contextmanager

from blocks.notion import Notion, Page, PageGone
from blocks.notion_parts import Json, batches, blocks
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from tasks.actions import CreatePage
from tasks.performers.base import Attempt, Done
from tasks.verb import ACCOUNT

PAGE = "page"
"""In the journal: the page that was made."""

GIVEN_UP = "given_up"
"""In the journal: that it was us who have put it into the trash."""


def create_page(notion: Notion, action: CreatePage, attempt: Attempt) -> Done:
    """With the marker as its key, by which it is looked for first: the ledger may be a restored backup.

    A body that is too long for one request is written in several; what an earlier attempt has written is left alone.
    Where Notion refuses the rest of it for good, the page goes into the trash again.
    """
    body = blocks(action.body)
    first = next(batches(body), [])
    if attempt.progress.get(GIVEN_UP):
        notion.restore(attempt.progress[PAGE])
    with _whole_or_none(notion, attempt):
        page = _made(notion, attempt) or notion.create(action.name, action.properties, attempt.marker, first)
        attempt.save(**{PAGE: page.id, GIVEN_UP: False})
        for batch in batches(_missing(notion, page, body)):
            notion.append(page.id, batch)
    return _done(page)


def find_page(notion: Notion, action: CreatePage, attempt: Attempt) -> Done | None:
    """The page with the marker as its key, if all of its body is there."""
    if attempt.progress.get(GIVEN_UP):
        return None
    with _whole_or_none(notion, attempt):
        page = _made(notion, attempt)
        return None if page is None or _missing(notion, page, blocks(action.body)) else _done(page)


def _made(notion: Notion, attempt: Attempt) -> Page | None:
    """The page that an earlier attempt made, even if somebody has thrown it away since: it is not made again."""
    known = attempt.progress.get(PAGE)
    if known is None:
        return notion.find(attempt.marker)
    try:
        return notion.page(known)
    except PageGone:
        notion.database()  # fails where it is all of the database that cannot be seen
        return Page(known, "", in_trash=True)


def _missing(notion: Notion, page: Page, body: list[Json]) -> list[Json]:
    """The end of the body that is not on the page yet."""
    if page.in_trash or len(list(batches(body))) <= 1:  # what goes into one request is there, or the page is not
        return []
    return body[notion.length(page.id) :]


@contextmanager
def _whole_or_none(notion: Notion, attempt: Attempt) -> Iterator[None]:
    """An action that fails for good leaves no half of a page behind."""
    try:
        yield
    except VendorError as error:
        # These two leave the action to do, when a person has seen to the account or to the database.
        passing = error.status in ACCOUNT or isinstance(error, SchemaDrift)
        if error.permanent and not passing and PAGE in attempt.progress:
            attempt.save(**{GIVEN_UP: True})  # or a run that dies here would leave it to look like a person's doing
            notion.archive(attempt.progress[PAGE])
        raise


def _done(page: Page) -> Done:
    return Done("notion", page.id)  # without its address, which holds the title: receipts are kept for good
