"""Every page of the documentation, done from its first line to its last as a reader would."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# Fixtures of this module's own, and so a stack of its own: what waits there is what the pages say, whoever ran before.
from tests.deployments.conftest import machine, mother, triaged  # noqa: F401
from tests.deployments.machinery import Machine, clean_environment
from tests.snippets import ROOT, Reader, copy_checkout, has_something_to_run, needs_stack, problems
from tests.test_docs import README, WRITTEN

pytestmark = pytest.mark.slow

PAGES = [
    README,
    *(page for page in WRITTEN if page.is_file() and has_something_to_run(page)),
]


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Machine:
    """Everything up, and the inbox triaged once: started for the first page that needs it."""
    made: Machine = request.getfixturevalue("triaged")
    return made


@pytest.fixture(scope="module")
def empty_databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what one page has prepared waits for the next."""
    return tmp_path_factory.mktemp("empty")


@pytest.mark.timeout(3600)  # a page of drills waits for a dozen runs, and each fence has a limit of its own
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(
    page: Path, request: pytest.FixtureRequest, tmp_path: Path, empty_databases: Path
) -> None:
    assert problems(page) == []
    environment = clean_environment(PATH=os.environ["PATH"])
    if needs_stack(page):
        environment = request.getfixturevalue("stack").environment
    checkout = copy_checkout(tmp_path / "checkout")
    kept = checkout / ".signoff"
    kept.mkdir()
    hand_on(empty_databases, kept)
    Reader(checkout, environment).follow(page)
    hand_on(kept, empty_databases)


def hand_on(folder: Path, to: Path) -> None:
    """A checkout keeps an empty Prefect database, which takes long to make: one does for all pages."""
    for database in folder.glob("prefect-*.db"):
        shutil.copy2(database, to)
