"""A checkout's files somewhere else, for tests that change them or that leave state beside them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOR_COMMANDS = ("flows", "tasks", "blocks", "prompts", "deployments", "sandbox", "prefect.yaml", "pyproject.toml")
"""What the commands need."""


def copied_to(folder: Path, names: Sequence[str] = FOR_COMMANDS) -> Path:
    """Copy these files and folders, without state; with what Python has compiled, which takes a second anew."""
    folder.mkdir(parents=True)
    ignore = shutil.ignore_patterns("*.pyc.*", ".*_cache", "*.db")
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder
