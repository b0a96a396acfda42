"""The document library: what the company's own documents say, found by meaning and by words."""

from blocks.library.readers import ANYONE, STRANGERS, audience_of, may_see, readers_of
from blocks.library.search import RULES, Hit, Scope, search, within
from blocks.library.store import INDEXED, REFUSED, Item, Known, Library, LibraryError

__all__ = [
    "ANYONE", "INDEXED", "REFUSED", "RULES", "STRANGERS", "Hit", "Item", "Known", "Library", "LibraryError", "Scope",
    "audience_of", "may_see", "readers_of", "search", "within",
]  # fmt: skip
