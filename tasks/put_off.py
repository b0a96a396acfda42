"""Modules that others import at their top and hardly ever use are loaded once they are used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class PutOff(MetaPathFinder):
    """Finds these modules as Python does, but has them loaded at the first look at what is in them."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Its spec, with a lazy loader; None leaves a module to Python's own finders."""
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, Loader) or not hasattr(spec.loader, "exec_module"):
            return None
        spec.loader = LazyLoader(spec.loader)
        return spec


def put_off(*names: str) -> None:
    """From now on, in this process, load these modules when they are used. One that is loaded already stays so."""
    sys.meta_path.insert(0, PutOff(*names))
