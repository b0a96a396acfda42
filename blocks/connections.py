"""Finding the Prefect block that holds a credential, with an error that says how to make it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a second of imports, which whoever only names a credential need not pay
    from datetime import datetime

    from prefect.blocks.core import Block
    from prefect.client.schemas.objects import BlockDocument

BLOCKS = {
    "gmail": ("blocks.gmail", "Gmail"),
    "hubspot": ("blocks.hubspot", "HubSpot"),
    "slack": ("blocks.slack", "Slack"),
    "claude": ("blocks.anthropic", "Claude"),
    "drive": ("blocks.drive", "Drive"),
    "stripe": ("blocks.stripe", "Stripe"),
    "notion": ("blocks.notion", "Notion"),
    "webhook-endpoint": ("blocks.webhooks", "WebhookEndpoint"),
    "traces": ("blocks.traces", "Traces"),
    "outgoing-webhook": ("blocks.outgoing_webhook", "OutgoingWebhook"),
}
"""Block type slug -> module and class. Modules are imported when a credential of theirs is first asked for."""


ROWS = "ledger/rows"
"""The one destination that needs no credential: the tables in the ledger's own database."""

TRACES = "traces/collector"
"""Where runs send their traces, once it is saved."""


class MissingCredential(Exception):
    """No block holds the credential; the message names it and the way out."""


def block_class(slug: str) -> type[Block]:
    """The block class for a type slug.

    Raises:
        MissingCredential: there is no such type.
    """
    if slug not in BLOCKS:
        raise MissingCredential(f"there is no block type '{slug}'; there are {', '.join(BLOCKS)}")
    module, name = BLOCKS[slug]
    found: type[Block] = getattr(import_module(module), name)
    return found


def import_blocks(credentials: Iterable[str]) -> None:
    """Import what loading these will need: threads that import at once may wait for each other's modules for good."""
    for slug in sorted({credential.partition("/")[0] for credential in credentials} & set(BLOCKS)):
        block_class(slug)


@cache
def load(credential: str) -> Any:
    """The block `type/name`, read once a process: its client and connections are then shared.

    Raises:
        MissingCredential: no such block was saved on this Prefect server.
    """
    block = load_if_present(credential)
    if block is None:
        raise MissingCredential(
            f"no credential {credential}: no such block on this Prefect server. `signoff connect {credential}` "
            f"makes it, or create it under Blocks in the Prefect UI (type '{credential.split('/')[0]}', "
            f"name '{credential.split('/')[1]}')"
        )
    return block


def load_if_present(credential: str) -> Any | None:
    """The block `type/name`, or None when nobody has saved one."""
    if credential == ROWS:
        from blocks.ledger import Ledger
        from blocks.rows import Rows

        return Rows(Ledger.open())
    found = block_class(credential.split("/")[0])
    document = _document(credential, include_secrets=True)
    return None if document is None else found._from_block_document(document)


def saved_at(credential: str) -> datetime | None:
    """When the block `type/name` was last saved (UTC), or None when nobody has saved one."""
    document = _document(credential, include_secrets=False)
    return None if document is None else document.updated


def _document(credential: str, *, include_secrets: bool) -> BlockDocument | None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    slug, name = credential.split("/")
    with get_client(sync_client=True) as client:
        try:
            return client.read_block_document_by_name(name, slug, include_secrets=include_secrets)
        except ObjectNotFound:
            return None


def save(credential: str, block: Block) -> None:
    """Save a block as `type/name`, over one that is there."""
    slug, name = credential.split("/")
    if type(block).get_block_type_slug() != slug:
        raise MissingCredential(f"{credential} is no name for a block of type {type(block).get_block_type_slug()}")
    block.save(name, overwrite=True)
