"""A folder of Google Drive: who may see what is in it, and what of it is read again, as Drive tells of changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from blocks import connections
from blocks.drive import Drive
from blocks.library import ANYONE, Hit, Library
from blocks.vendor import VendorError
from sandbox import credentials
from sandbox.client import Sandbox
from tasks import indexing
from tasks.indexing import Tally
from tasks.sources import DriveFolder
from tests.librarian import Lasting, counts, hits, names, texts

DOC = "application/vnd.google-apps.document"
OWNER = "user:hello@company.example"
COLLEAGUES = "domain:dockwell.example"
ANN = frozenset({ANYONE, COLLEAGUES, "user:ann@dockwell.example"})
GATES = "The gates open at six."


@pytest.fixture
def drive(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """The sandbox's Drive, as `drive/company`."""
    block = Drive(
        client_id=credentials.GOOGLE_CLIENT_ID,
        client_secret=SecretStr(credentials.GOOGLE_CLIENT_SECRET),
        refresh_token=SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
        address=f"{sandbox.url}/google/",
        token_address=f"{sandbox.url}/google/token",
        timeout_seconds=5,
    )
    monkeypatch.setattr(connections, "load", {"drive/company": block}.__getitem__)
    return block


@pytest.fixture
def handbook(sandbox: Sandbox) -> str:
    """A folder for colleagues, with two files."""
    made = sandbox.put_folder("Handbook", readers=[COLLEAGUES])
    sandbox.put_file("gates.md", GATES, parent=made)
    sandbox.put_file("Slots", "A slot is half an hour.", DOC, made)
    return made


@pytest.fixture
def source(handbook: str) -> DriveFolder:
    return DriveFolder(name="handbook", credential="drive/company", folder=handbook)


@pytest.fixture
def run(drive: Drive, library: Library, source: DriveFolder, reader: Lasting) -> Callable[..., Tally]:  # noqa: ARG001
    """Indexes the folder."""
    return lambda: indexing.index(library, source)


@pytest.fixture
def asked(sandbox: Sandbox) -> Callable[[], list[str]]:
    """The ends of the paths that Drive was asked for since this was called last, tokens left out."""
    seen = 0

    def ask() -> list[str]:
        nonlocal seen
        calls = sandbox.requests("google")
        fresh, seen = calls[seen:], len(calls)
        return [call["path"].rsplit("/", 1)[1] for call in fresh if not call["path"].endswith("/token")]

    return ask


Run = Callable[..., Tally]
Asked = Callable[[], list[str]]


def seen(library: Library, question: str = "gates") -> Hit:
    """The best hit for a colleague."""
    return hits(library, question, ANN)[0]


class TestChanges:
    def test_where_nothing_has_changed_one_request_says_so(
        self, library: Library, run: Run, asked: Asked, reader: Lasting
    ) -> None:
        assert counts(run()) == (2, 0, 0, 0)
        asked()
        for _ in range(2):
            assert counts(run()) == (0, 0, 2, 0)
            assert asked() == ["changes"]
        assert reader.files == 2
        assert (seen(library).text, seen(library).name) == (GATES, "gates.md")

    def test_of_what_changed_only_that_is_downloaded(
        self, library: Library, run: Run, sandbox: Sandbox, handbook: str, reader: Lasting
    ) -> None:
        made = sandbox.put_file("old.md", "x", parent=handbook)
        run()
        reader.files = 0
        sandbox.change_file(made, content="The ramp is closed.")
        new = sandbox.put_file("new.md", "Carriers call first.", parent=handbook)
        assert counts(run()) == (1, 1, 2, 0)
        assert reader.files == 2
        assert seen(library, "ramp").text == "The ramp is closed."
        sandbox.change_file(new, trashed=True)
        sandbox.delete_file(made)
        assert counts(run()) == (0, 0, 2, 2)

    def test_what_is_shared_with_fewer_is_hidden_at_once_and_nothing_is_downloaded(
        self, library: Library, run: Run, sandbox: Sandbox, handbook: str, asked: Asked, reader: Lasting
    ) -> None:
        run(), asked()
        reader.files = 0
        sandbox.unshare_file(handbook, COLLEAGUES)
        assert counts(run()) == (0, 0, 2, 0)
        assert hits(library, "gates", ANN) == []
        sandbox.share_file(handbook, "anyone")
        run()
        assert set(texts(library, "gates")) == {GATES, "A slot is half an hour."}
        assert reader.files == 0
        assert not {"export"} & set(asked())

    def test_what_is_shared_with_fewer_is_hidden_though_it_cannot_be_downloaded(
        self, library: Library, run: Run, sandbox: Sandbox, source: DriveFolder
    ) -> None:
        run()
        [made] = [file["id"] for file in sandbox.files() if file["name"] == "gates.md"]
        sandbox.unshare_file(source.folder, COLLEAGUES)
        sandbox.change_file(made, content="Salaries.")
        sandbox.fault("server_error", "google", f"*/{made}*", times=None)
        assert list(run().left) == ["gates.md"]
        assert hits(library, "gates", ANN) == []

    def test_what_is_moved_out_of_the_folder_is_forgotten(
        self, library: Library, run: Run, sandbox: Sandbox, handbook: str
    ) -> None:
        inner = sandbox.put_folder("Inner", handbook)
        sandbox.put_file("ramp.md", "The ramp is closed.", parent=inner)
        run()
        assert seen(library, "ramp").name == "Inner/ramp.md"
        sandbox.change_file(inner, parent=sandbox.put_folder("Elsewhere"))
        assert counts(run()) == (0, 0, 2, 1)

    def test_a_new_name_is_taken_over_and_nothing_is_downloaded(
        self, library: Library, run: Run, sandbox: Sandbox, reader: Lasting
    ) -> None:
        run()
        [made] = [file["id"] for file in sandbox.files() if file["name"] == "gates.md"]
        sandbox.change_file(made, name="opening.md")
        assert counts(run()) == (0, 0, 2, 0)
        assert (seen(library).name, reader.files) == ("opening.md", 2)

    def test_an_expired_token_has_the_folder_looked_at_anew(
        self, run: Run, sandbox: Sandbox, asked: Asked, reader: Lasting
    ) -> None:
        run(), asked()
        sandbox.forget_drive_changes()
        assert counts(run()) == (0, 0, 2, 0)
        assert asked().count("files") >= 1
        assert counts(run()) == (0, 0, 2, 0)
        assert asked() == ["changes"]
        assert reader.files == 2


class TestWhatCannotBeHad:
    def test_a_file_that_may_not_be_downloaded_is_refused_and_the_others_are_read(
        self, library: Library, run: Run, sandbox: Sandbox, handbook: str, asked: Asked
    ) -> None:
        sandbox.put_file("locked.md", "x", parent=handbook, can_download=False)
        sandbox.put_file("A form", "", "application/vnd.google-apps.form", handbook)
        tally = run()
        assert tally.added == 2
        assert tally.refused == {
            "locked.md": "403 only editors may download this file; its owner can change that under Share, Settings",
            "A form": "a Google form has no text",
        }
        asked()
        assert run().refused == {}
        assert asked() == ["changes"], "not tried again"
        assert {refused.name for refused in library.refused()} == set(tally.refused)

    def test_a_file_that_fails_for_now_is_tried_by_the_next_run(
        self, library: Library, run: Run, sandbox: Sandbox
    ) -> None:
        sandbox.fault("server_error", "google", "*/export", times=None)
        tally = run()
        assert (tally.added, list(tally.left), tally.refused) == (1, ["Slots"], {})
        sandbox.clear_faults()
        assert counts(run()) == (1, 0, 1, 0)
        assert seen(library, "slot").text == "A slot is half an hour."

    def test_a_drive_that_is_down_keeps_what_it_had(self, library: Library, run: Run, sandbox: Sandbox) -> None:
        run()
        sandbox.fault("overloaded", "google", times=None)
        with pytest.raises(VendorError) as caught:
            run()
        assert not caught.value.permanent
        assert seen(library).text == GATES
        sandbox.clear_faults()
        assert counts(run()) == (0, 0, 2, 0)

    @pytest.mark.parametrize("where", ["*/changes", "*/export"])
    def test_an_account_that_is_refused_ends_the_run(
        self, library: Library, run: Run, sandbox: Sandbox, handbook: str, where: str
    ) -> None:
        run()
        sandbox.put_file("More", "x", DOC, handbook)
        sandbox.fault("unauthorized", "google", where, times=None)
        with pytest.raises(VendorError, match="connect the Google account again") as caught:
            run()
        assert (caught.value.status, caught.value.permanent) == (401, True)
        assert (seen(library).text, library.refused()) == (GATES, [])

    def test_a_folder_that_is_gone_keeps_what_it_had(
        self, library: Library, run: Run, sandbox: Sandbox, handbook: str
    ) -> None:
        run()
        sandbox.delete_file(handbook)
        with pytest.raises(VendorError) as caught:
            run()
        assert caught.value.permanent
        assert set(names(library, "handbook")) == {"gates.md", "Slots"}

    @pytest.mark.usefixtures("drive", "reader")
    def test_a_file_that_vanishes_before_it_is_fetched_is_forgotten(
        self, sandbox: Sandbox, source: DriveFolder, library: Library
    ) -> None:
        plan = indexing.look(library, source)
        for file in sandbox.files():
            if file["name"] == "gates.md":
                sandbox.delete_file(file["id"])
        tally = Tally("handbook")
        indexing.work(library, plan, tally)
        assert (tally.added, tally.refused, tally.left) == (1, {}, {})
        assert set(names(library, "handbook")) == {"Slots"}


class TestQuotable:
    @pytest.fixture
    def quoted(self, drive: Drive, library: Library, reader: Lasting) -> Callable[..., dict[str, Any]]:  # noqa: ARG002
        """The readers of each file, when the folder may be quoted."""

        def index(folder: str) -> dict[str, Any]:
            quotable = DriveFolder(name="handbook", credential="drive/company", folder=folder, quotable=True)
            indexing.index(library, quotable)
            return {known.name: set(known.readers) for known in library.known("handbook").values()}

        return index

    def test_what_is_shared_as_widely_as_the_folder_may_be_quoted_and_the_rest_not(
        self, quoted: Callable[..., dict[str, Any]], library: Library, sandbox: Sandbox, handbook: str
    ) -> None:
        board = sandbox.put_folder("Board", handbook, limited=True, readers=["user:mara@dockwell.example"])
        sandbox.put_file("pay.md", "The gates are paid for.", parent=board)
        sandbox.put_file("wider.md", "The gates.", parent=handbook, readers=["user:ben@northwind.example"])
        assert quoted(handbook) == {
            "gates.md": {OWNER, COLLEAGUES, ANYONE},
            "Slots": {OWNER, COLLEAGUES, ANYONE},
            "wider.md": {OWNER, COLLEAGUES, "user:ben@northwind.example", ANYONE},
            "Board/pay.md": {OWNER, "user:mara@dockwell.example"},
        }
        assert "The gates are paid for." not in texts(library, "gates")
        assert GATES in texts(library, "gates")

    def test_without_it_nothing_is_added(self, run: Run, library: Library) -> None:
        run()
        assert library.known("handbook")
        assert {known.readers for known in library.known("handbook").values()} == {frozenset({OWNER, COLLEAGUES})}
        assert texts(library, "gates") == []

    def test_a_folder_that_nobody_is_known_to_read_is_not_quoted(
        self, quoted: Callable[..., dict[str, Any]], sandbox: Sandbox
    ) -> None:
        shown = sandbox.put_folder("Shown to us", can_share=False)
        sandbox.put_file("a.md", GATES, parent=shown, can_share=False)
        assert quoted(shown) == {"a.md": set()}

    def test_a_folder_that_is_shared_with_fewer_is_quoted_as_it_was(
        self, quoted: Callable[..., dict[str, Any]], sandbox: Sandbox, handbook: str
    ) -> None:
        quoted(handbook)
        sandbox.unshare_file(handbook, COLLEAGUES)
        assert quoted(handbook) == {"gates.md": {OWNER, ANYONE}, "Slots": {OWNER, ANYONE}}
