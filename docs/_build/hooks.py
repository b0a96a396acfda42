"""What MkDocs calls while it builds the site: the reference is made from the code, and files to be made say so."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
TITLE = re.compile(r'^(```\w+ .*title=")(NEW|EDIT) ', re.MULTILINE)
SAYS = {"NEW": "New file: ", "EDIT": "Change in "}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the reference, which are not kept in the repository."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from docs._build.names import PAGES

    for name in PAGES:
        made = importlib.import_module(f"docs._build.pages.{name}").page()
        files.append(File.generated(config, f"reference/{name}.md", content=made))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Say over a file that the reader is to make, or to change, that it is one."""
    return TITLE.sub(lambda found: found[1] + SAYS[found[2]], markdown)
