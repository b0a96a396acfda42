"""Folders and closed tickets: what is in them, who may see it, and what happens when they cannot be looked at."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from blocks import connections
from blocks.hubspot import HubSpot
from blocks.library import Library
from sandbox import credentials
from sandbox.client import Sandbox
from tasks import indexing
from tasks.sources import ClosedTickets, DriveFolder, Folder, Gone, SourceError
from tests.librarian import Lasting, counts, hits, names, texts

MANY = 1_000_000
COLLEAGUES = "domain:dockwell.example"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NEW, CLOSED = "1", "4"
"""The stages of HubSpot's first pipeline."""


def folder(path: Path, **changes: Any) -> Folder:
    return Folder(**{"name": "files", "path": str(path), "readers": ("anyone",)} | changes)


def write(path: Path, text: str = "# Gates\n\nThe gates open at six.") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class TestNames:
    @pytest.mark.parametrize("name", ["", "Help Centre", "-x", "a/b", "../x", "ä", "x" * 62])
    def test_a_source_has_a_name_that_can_be_typed(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="name"):
            folder(tmp_path, name=name)

    @pytest.mark.parametrize("readers", [(), ("everyone",), ("anyone", "ann@dockwell.example")])
    def test_a_folder_says_who_may_see_it(self, tmp_path: Path, readers: tuple[str, ...]) -> None:
        with pytest.raises(ValidationError, match="readers"):
            folder(tmp_path, readers=readers)

    def test_what_nobody_knows_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="quotable"):
            folder(tmp_path, quotable=True)
        with pytest.raises(ValidationError, match="credential"):
            DriveFolder(name="x", credential="gmail/inbox", folder="f")

    @pytest.mark.parametrize("readers", [("anyone",), (COLLEAGUES, " Anyone ")])
    def test_closed_tickets_are_never_for_everybody(self, readers: tuple[str, ...]) -> None:
        with pytest.raises(ValidationError, match="what customers wrote in confidence: name readers other than anyone"):
            ClosedTickets(name="tickets", credential="hubspot/crm", readers=readers)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The folder that is indexed; the library is beside it."""
    path = tmp_path / "files"
    path.mkdir()
    return path


class TestFolder:
    def test_every_file_beneath_it_by_its_path(self, files: Path) -> None:
        write(files / "b.md"), write(files / "deep" / "er" / "Größe & 'Maß' 東京.md", "x")
        found = folder(files, readers=(COLLEAGUES, "Anyone"), link="https://h.example/{path}?s={stem}").look(None)
        assert found.cursor is None
        assert found.items is not None
        assert list(found.items) == ["b.md", "deep/er/Größe & 'Maß' 東京.md"]
        one = found.items["deep/er/Größe & 'Maß' 東京.md"]
        assert (one.name, one.size) == (one.external_id, 1)
        assert one.readers == {"anyone", COLLEAGUES}
        assert one.link == (
            "https://h.example/deep/er/Gr%C3%B6%C3%9Fe%20%26%20%27Ma%C3%9F%27%20%E6%9D%B1%E4%BA%AC.md"
            "?s=deep/er/Gr%C3%B6%C3%9Fe%20%26%20%27Ma%C3%9F%27%20%E6%9D%B1%E4%BA%AC"
        )

    @pytest.mark.parametrize(
        "name", [".hidden.md", ".git/config", "~$Report.docx", "Thumbs.db", "sub/desktop.ini", ".cache/a/b.md"]
    )
    def test_what_systems_leave_in_folders_is_left_out(self, files: Path, name: str) -> None:
        write(files / name), write(files / "a.md")
        assert list(folder(files).look(None).items or ()) == ["a.md"]

    def test_links_and_what_is_no_file_are_not_followed(self, files: Path) -> None:
        secret = write(files / "elsewhere" / "secret.md")
        root = files / "root"
        write(root / "a.md")
        (root / "to a file.md").symlink_to(secret)
        (root / "to a folder").symlink_to(secret.parent)
        (root / "round").symlink_to(root)
        (root / "to nothing.md").symlink_to(files / "nothing")
        os.mkfifo(root / "pipe.md")
        assert list(folder(root).look(None).items or ()) == ["a.md"]

    @pytest.mark.parametrize("link", ["a link", "no folder"])
    def test_a_folder_that_is_gone_is_named_and_nothing_is_forgotten(
        self, files: Path, library: Library, reader: Lasting, link: str
    ) -> None:
        write(files / "root" / "a.md")
        source = folder(files / "root")
        indexing.index(library, source)
        (files / "root").rename(files / "moved")
        if link == "no folder":
            write(files / "root")
        with pytest.raises(SourceError, match=r".*/root is no folder \(any more\).*stays"):
            indexing.index(library, source)
        assert texts(library, "gates") == ["The gates open at six."]
        assert reader.files == 1

    def test_a_folder_that_is_empty_all_at_once_is_named_and_nothing_is_forgotten(
        self, files: Path, library: Library
    ) -> None:
        path = write(files / "root" / "a.md")
        indexing.index(library, folder(files / "root"))
        path.unlink()
        with pytest.raises(SourceError, match=r"holds nothing any more.* signoff library forget files"):
            indexing.index(library, folder(files / "root"))
        assert texts(library, "gates") == ["The gates open at six."]

    @pytest.mark.parametrize(
        ("where", "number"),
        [("inner", errno.EACCES), ("inner", errno.EIO), ("", errno.ESTALE), ("", errno.ENOENT)],
    )
    def test_a_folder_that_cannot_be_read_is_named_and_nothing_is_forgotten(
        self, files: Path, library: Library, reader: Lasting, monkeypatch: pytest.MonkeyPatch, where: str, number: int
    ) -> None:
        write(files / "a.md"), write(files / "inner" / "b.md", "The ramp is closed.")
        indexing.index(library, folder(files))

        def scandir(path: str) -> Any:
            if Path(path) == files / where:
                raise OSError(number, os.strerror(number), path)
            return whole(path)

        whole = os.scandir
        monkeypatch.setattr(os, "scandir", scandir)
        with pytest.raises(SourceError, match=rf".*{where}: {os.strerror(number)}.*stays"):
            indexing.index(library, folder(files))
        assert "The ramp is closed." in texts(library, "ramp")
        assert reader.files == 2

    def test_a_folder_inside_that_vanishes_while_we_look_is_gone(
        self, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(files / "a.md"), write(files / "inner" / "b.md"), write(files / "z.md")

        def scandir(path: str) -> Any:
            if path.endswith("inner"):
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            return whole(path)

        whole = os.scandir
        monkeypatch.setattr(os, "scandir", scandir)
        assert list(folder(files).look(None).items or ()) == ["a.md", "z.md"]

    def test_a_file_is_fetched_and_no_more_of_it_than_is_read(self, files: Path) -> None:
        write(files / "a.md", "x" * 100)
        source = folder(files)
        [item] = (source.look(None).items or {}).values()
        assert source.fetch(item, MANY) == (b"x" * 100, None)
        assert len(source.fetch(item, 10)[0]) == 11
        (files / "a.md").unlink()
        with pytest.raises(Gone):
            source.fetch(item, MANY)

    def test_a_file_that_became_a_link_is_not_followed(self, files: Path, tmp_path: Path) -> None:
        write(files / "a.md")
        [item] = (folder(files).look(None).items or {}).values()
        (files / "a.md").unlink()
        (files / "a.md").symlink_to(write(tmp_path / "secret.md"))
        with pytest.raises(OSError, match="symbolic links"):
            folder(files).fetch(item, MANY)

    def test_a_name_with_percent_signs_leads_nowhere_else(self, files: Path, tmp_path: Path) -> None:
        write(tmp_path / "secret.md")
        planted = write(files / "x%2F..%2F..%2Fsecret.md")
        [item] = (folder(files).look(None).items or {}).values()
        planted.unlink()
        with pytest.raises(Gone):
            folder(files).fetch(item, MANY)

    def test_new_touched_changed_renamed_and_deleted_files(
        self, files: Path, library: Library, reader: Lasting
    ) -> None:
        source = folder(files)
        for name in ("touched", "changed", "renamed", "deleted"):
            write(files / f"{name}.md", f"The file {name}.")
        assert counts(indexing.index(library, source)) == (4, 0, 0, 0)
        os.utime(files / "touched.md", ns=(1, 1))
        write(files / "changed.md", "Quite another text.")
        (files / "renamed.md").rename(files / "new name.md")
        (files / "deleted.md").unlink()
        reader.files = 0
        assert counts(indexing.index(library, source)) == (1, 1, 1, 2)
        assert reader.files == 2
        assert set(names(library, "files")) == {"touched.md", "changed.md", "new name.md"}
        assert counts(indexing.index(library, source)) == (0, 0, 3, 0)

    def test_a_name_that_is_no_text_is_read_all_the_same(self, files: Path, library: Library, reader: Lasting) -> None:
        write(files / "a.md", "The ramp.")
        (files / os.fsdecode(b"Gr\xf6\xdfe.md")).write_text("The gates open at six.")
        source = folder(files, link="https://h.example/{path}")
        assert counts(indexing.index(library, source)) == (2, 0, 0, 0)
        hit = hits(library, "gates")[0]
        assert (hit.name, hit.link) == ("Gr\ufffd\ufffde.md", "https://h.example/Gr%F6%DFe.md")
        assert counts(indexing.index(library, source)) == (0, 0, 2, 0)
        assert reader.files == 2

    def test_a_path_begins_in_the_checkout_or_at_home(self, monkeypatch: pytest.MonkeyPatch, files: Path) -> None:
        monkeypatch.setenv("HOME", str(files))
        root = Path(indexing.__file__).parents[1]
        assert Folder(name="x", path="docs/help", readers=("anyone",)).place == str(root / "docs/help")
        assert Folder(name="x", path="~/help", readers=("anyone",)).place == str(files / "help")


class TestClosedTickets:
    @pytest.fixture
    def hubspot(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> HubSpot:
        block = HubSpot(access_token=SecretStr(credentials.HUBSPOT_TOKEN), address=f"{sandbox.url}/hubspot")
        monkeypatch.setattr(connections, "load", {"hubspot/crm": block}.__getitem__)
        return block

    @pytest.fixture
    def make(self, hubspot: HubSpot) -> Callable[..., str]:
        """Makes a ticket, closed if nothing else is said, with these notes."""

        def made(subject: str, content: str, *notes: str, stage: str = CLOSED) -> str:
            properties = {"subject": subject, "content": content, "hs_pipeline_stage": stage}
            ticket = str(hubspot.get_client().crm.tickets.basic_api.create({"properties": properties}).id)
            for note in notes:
                hubspot.create_ticket_note(ticket, note, NOON)
            return ticket

        return made

    @pytest.fixture
    def tickets(self) -> ClosedTickets:
        return ClosedTickets(name="tickets", credential="hubspot/crm", readers=(COLLEAGUES,))

    def test_a_ticket_is_a_page_of_the_question_and_its_answers(
        self, make: Callable[..., str], tickets: ClosedTickets, library: Library, reader: Lasting
    ) -> None:
        made = make("Board empty", "The board is empty\nsince 8 < 9.", "<p>Restarted <b>it</b></p>", "if a<b then c")
        make("Still open", "The printer is broken.", stage=NEW)
        assert indexing.index(library, tickets).added == reader.files == 1
        found = hits(library, "board", frozenset({COLLEAGUES}))
        assert {hit.name for hit in found} == {f"Board empty (ticket {made})"}
        assert {(hit.path, hit.text) for hit in found} == {
            (("Board empty", "Question"), "The board is empty\nsince 8 < 9."),
            (("Board empty", "Answer"), "Restarted it"),
            (("Board empty", "Answer"), "if a<b then c"),
        }
        assert texts(library, "board") == []

    def test_a_ticket_that_is_opened_again_is_let_go_of_until_it_is_closed(
        self, hubspot: HubSpot, make: Callable[..., str], tickets: ClosedTickets, library: Library, reader: Lasting
    ) -> None:
        made = make("Board empty", "The board is empty.", "Restarted it.")
        indexing.index(library, tickets)
        assert counts(indexing.index(library, tickets)) == (0, 0, 1, 0)
        hubspot.update_ticket(made, {"hs_pipeline_stage": NEW})
        assert counts(indexing.index(library, tickets)) == (0, 0, 0, 1)
        hubspot.update_ticket(made, {"hs_pipeline_stage": CLOSED})
        hubspot.create_ticket_note(made, "Replaced it.", NOON)
        assert counts(indexing.index(library, tickets)) == (1, 0, 0, 0)
        assert "Replaced it." in {hit.text for hit in hits(library, "board", frozenset({COLLEAGUES}))}
        assert reader.files == 2

    def test_a_ticket_that_was_deleted_before_it_is_fetched_is_gone(
        self, hubspot: HubSpot, make: Callable[..., str], tickets: ClosedTickets
    ) -> None:
        made = make("", "The board is empty.")
        [item] = (tickets.look(None).items or {}).values()
        assert item.name == f"(no subject) (ticket {made})"
        hubspot.get_client().crm.tickets.basic_api.archive(made)
        with pytest.raises(Gone):
            tickets.fetch(item, MANY)
