"""Each block type: its fields, what it must be allowed, and which workflows use it."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from blocks import connections
from blocks.connecting import how, variables
from deployments.cards import cards
from docs._build.source import summary
from docs._build.text import code, codes, default, limits, table, words
from tasks.credentials import Need, needs

HEAD = """# Blocks

Each Prefect block type in which an account is kept: its fields, what its account must be allowed, and which workflows
use it. `signoff connect` makes them, checked; they can be made under *Blocks* in the Prefect UI, too.

A field is also looked for in the environment, in this order, by `signoff connect`: first the variable of this one
account, then the one of all accounts of its type, then those that people may have already.

"""


def page() -> str:
    """The Markdown."""
    wanted = needs(cards())
    return HEAD + _overview(wanted) + "\n".join(_block(slug, wanted) for slug in connections.BLOCKS) + _rows()


def _overview(wanted: list[Need]) -> str:
    rows = [
        ("" if number else code(need.credential), "" if number else "yes" if need.required else "no", workflow, what)
        for need in wanted
        for number, (workflow, what) in enumerate(need.uses)
    ]
    return "## Which accounts the workflows use\n\n" + table(("Block", "Needed", "Workflow", "What for"), rows) + "\n"


def _block(slug: str, wanted: list[Need]) -> str:
    kind: Any = connections.block_class(slug)
    declared = how(kind)
    names = [need.credential for need in wanted if need.credential.split("/")[0] == slug]
    facts = [
        ("Class", code(f"{kind.__module__}.{kind.__name__}")),
        ("Names in use", codes(names)),
        ("Must be allowed", declared.permissions),
        ("Where it is made", declared.found),
        ("Google's scopes", codes(declared.scopes)),
        ("Also", f"saved as `{declared.standalone.name}`: {declared.standalone.serves}" if declared.standalone else ""),
    ]
    lines = "\n".join(f"- **{name}:** {said}" for name, said in facts if said)
    return f"## {slug}\n\n{summary(kind)} {kind._description or ''}\n\n{lines}\n\n{_fields(kind, slug)}\n"


def _fields(kind: Any, slug: str) -> str:
    rows = []
    for name, field in kind.model_fields.items():
        secret = field.annotation is SecretStr or SecretStr in getattr(field.annotation, "__args__", ())
        found = variables(kind, f"{slug}/NAME", name)
        described = " ".join(filter(None, (field.description, f"({limits(field)})" if limits(field) else "")))
        type_ = "secret" if secret else words(field.annotation)
        rows.append((code(name), type_, default(field), described, codes(found[2:])))
    return table(("Field", "Type", "Default", "What it is", "Also looked for in"), rows)


def _rows() -> str:
    return (
        f"\n## {connections.ROWS}\n\nNo block: the one destination that needs no credential. What documents become is "
        "written into tables of the ledger's own database.\n"
    )
