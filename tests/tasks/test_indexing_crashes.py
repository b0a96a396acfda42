"""Indexing when its process is killed, or when another does the same: in the end the library is as if nothing was."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from blocks.library import Library
from tasks import indexing
from tasks.sources import Folder
from tests.librarian import Lasting, dump, texts
from tests.postgres import Postgres

pytestmark = pytest.mark.slow

ROOT = Path(indexing.__file__).parents[1]
KILLS = 3

# One process that has imported all there is forks for each attempt: an import takes a second and more.
CHILDREN = """
import json, os, signal, sys
import sqlalchemy as sa
import onnxruntime, tokenizers, numpy
from blocks.library import Library
from tasks import indexing
from tasks.sources import Folder


def index(folder, url, statements):
    library, said = Library.open(url), 0

    def count(*_):
        nonlocal said
        said += 1
        if said == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(library.engine, "before_cursor_execute", count)
    sa.event.listen(library.engine, "commit", count)
    indexing.index(library, Folder(name="files", path=folder, readers=("anyone",)))


for line in sys.stdin:
    folder, attempts = json.loads(line)
    children = []
    for url, statements in attempts:
        child = os.fork()
        if child == 0:
            index(folder, url, statements)
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps(codes), flush=True)
"""

Children = Callable[[Path, list[tuple[str, int]]], list[int]]


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    """Lets processes index a folder at once, each killed before its so-manieth statement; tells how they ended."""
    mother = subprocess.Popen([sys.executable, "-c", CHILDREN], cwd=ROOT, text=True, stdin=-1, stdout=-1)
    assert mother.stdin
    assert mother.stdout
    asked, told = mother.stdin, mother.stdout

    def index(folder: Path, attempts: list[tuple[str, int]]) -> list[int]:
        asked.write(json.dumps([str(folder), attempts]) + "\n")
        asked.flush()
        codes: list[int] = json.loads(told.readline())
        return codes

    yield index
    mother.communicate()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder as it was when it was last indexed."""
    path = tmp_path / "files"
    path.mkdir()
    for name in ("a", "b", "c", "d"):
        (path / f"{name}.md").write_text(f"# The gate {name}\n\nOpens at six.\n\n# The ramp {name}\n\nIs closed.")
    (path / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    return path


def change(files: Path) -> None:
    """What happened to the folder since: one file is new, one changed, one gone, one broke and one was mended."""
    (files / "a.md").write_text("# The gate a\n\nOpens at seven.\n\n# The slot a\n\nIs half an hour.")
    (files / "b.md").unlink()
    (files / "c.md").write_bytes(b"%PDF-1.4 broken, too")
    (files / "e.md").write_text("# The gate e\n\nOpens at eight.")
    (files / "broken.pdf").write_text("Mended.")


@pytest.fixture
def copies(
    library: Library, library_url: str, database: str, request: pytest.FixtureRequest
) -> Iterator[Callable[[], str]]:
    """Makes copies of the library as it is."""
    made: list[str] = []

    def copy() -> str:
        library.engine.dispose()
        if database == "sqlite":
            there = Path(library_url.removeprefix("sqlite:///"))
            return f"sqlite:///{shutil.copy(there, there.with_name(f'copy-{len(list(there.parent.iterdir()))}.db'))}"
        server: Postgres = request.getfixturevalue("postgres")
        made.append(server.create(library_url.rsplit("/", 1)[1]))
        return server.url(made[-1])

    yield copy
    for name in made:
        request.getfixturevalue("postgres").drop(name)


@pytest.mark.both_databases
def test_killed_at_any_moment_and_begun_again_it_ends_as_if_nothing_had_happened(
    library: Library, files: Path, copies: Callable[[], str], children: Children, reader: Lasting
) -> None:
    source = Folder(name="files", path=str(files), readers=("anyone",))
    indexing.index(library, source)
    change(files)
    victims = [copies() for _ in range(KILLS)]
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(library.engine, event, count)
    tally = indexing.index(library, source)
    assert (tally.added, tally.changed, tally.removed, list(tally.refused)) == (2, 1, 1, ["c.md"])
    undisturbed, asked = dump(library), reader.files
    moments = sorted(random.Random(11).sample(range(10, statements), KILLS))
    assert children(files, list(zip(victims, moments, strict=True))) == [-9] * KILLS
    for url in victims:
        survivor = Library.open(url)
        assert dump(survivor) != undisturbed
        indexing.index(survivor, source)
        assert dump(survivor) == undisturbed
        assert texts(survivor, "when does gate a open")[0] == "Opens at seven."
        assert_words_are_those_of_the_text(survivor)
        survivor.engine.dispose()
    assert reader.files > asked


@pytest.mark.both_databases
def test_two_that_index_the_same_folder_at_once_end_with_one_copy_of_it(
    library: Library, library_url: str, files: Path, children: Children, reader: Lasting
) -> None:
    assert texts(library, "gate") == []
    assert children(files, [(library_url, -1)] * 2) == [0, 0]
    assert len(texts(library, "gate")) == 8, "what they did is seen here at the next search"
    once = dump(library)
    assert_words_are_those_of_the_text(library)
    library.forget("files")
    indexing.index(library, Folder(name="files", path=str(files), readers=("anyone",)))
    assert dump(library) == once
    assert reader.files == 5


def assert_words_are_those_of_the_text(library: Library) -> None:
    if library.engine.dialect.name == "sqlite":
        with library.write() as connection:
            connection.exec_driver_sql("INSERT INTO library_words(library_words, rank) VALUES ('integrity-check', 1)")
