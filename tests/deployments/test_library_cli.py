"""`signoff library` as people and programs see it; no server is needed but where a source asks for one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.ledger import Ledger
from blocks.library import Library
from deployments import views
from flows import index_documents as flow
from tasks.sources import Folder
from tests.deployments.machinery import Finished, clean_environment, run
from tests.librarian import Lasting, names, put

LONG = "The gates open at six in the morning. " + "Carriers that come later ring the bell at gate 7. " * 10

Signoff = Callable[..., Finished]


class Terminal(io.StringIO):
    """What a person types, at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def signoff(
    ledger: Ledger,  # noqa: ARG001
    library: Library,  # noqa: ARG001
    reader: Lasting,  # noqa: ARG001
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_process: Callable[..., Finished],
) -> Signoff:
    """Runs `signoff library ...` in this process at 80 columns; the repository's source is the folder `help`."""
    monkeypatch.setattr(flow, "SOURCES", (Folder(name="help", path=str(files), readers=("anyone",)),))

    def call(*arguments: str, typed: str | None = None) -> Finished:
        monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else Terminal(typed))
        return in_process("library", *arguments)

    return call


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with two documents that can be read, and two that cannot."""
    folder = tmp_path / "Help Centre"
    (folder / "deep").mkdir(parents=True)
    (folder / "gates.md").write_text(f"# Gates\n\n## Opening hours\n\n{LONG}")
    (folder / "deep" / "slots.md").write_text("# Slots\n\nA slot is half an hour.")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "[red]\x1b[31mevil.pdf").write_bytes(b"%PDF-1.4 broken")
    return folder


def said(shown: Finished) -> str:
    return " ".join(shown.out.split())


@pytest.mark.parametrize("command", [(), ("index",), ("search",), ("status",), ("forget",)])
def test_help_fits_80_columns(command: tuple[str, ...]) -> None:
    done = run(["signoff", "library", *command, "--help"], clean_environment())
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80


class TestIndex:
    def test_the_repositorys_sources(self, signoff: Signoff, library: Library) -> None:
        shown = signoff("index")
        assert (shown.code, shown.err) == (0, "")
        first, *refused = shown.out.splitlines()
        assert first.startswith("help: 2 new, 0 changed, 0 as before, 0 removed; 2 cannot be read")
        assert refused == [
            "  [red][31mevil.pdf: it is damaged: it is no PDF, or only a part of one",
            "  broken.pdf: it is damaged: it is no PDF, or only a part of one",
        ]
        assert library.known("help")["gates.md"].readers == {"anyone"}
        assert signoff("index", "help").out == "help: 0 new, 0 changed, 4 as before, 0 removed\n"
        assert "2 cannot be read" in signoff("index", "--again").out

    def test_for_programs(self, signoff: Signoff) -> None:
        shown = signoff("index", "--json")
        assert shown.err == ""
        [tally] = shown.json
        assert (tally["source"], tally["added"], tally["problem"]) == ("help", 2, None)
        assert set(tally["refused"]) == {"broken.pdf", "[red]\x1b[31mevil.pdf"}

    @pytest.mark.parametrize("flags", [(), ("--json",)])
    def test_a_bar_is_drawn_beside_the_output_and_not_in_it(
        self, signoff: Signoff, files: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
    ) -> None:
        (files / "deep" / "slots.md").rename(files / "deep" / f"{'a long name ' * 8}.md")
        for terminal in ("_force_terminal", "is_interactive"):
            monkeypatch.setattr(views.errors, terminal, True)
        monkeypatch.setenv("TERM", "xterm")
        shown = signoff("index", "--folder", str(files / "deep"), *flags)
        assert "\x1b" not in shown.out
        assert ("1/1" in shown.err, "...a long name a long name .md" in shown.err) == (
            (False, False) if flags else (True, True)
        )

    def test_a_folder_by_hand_is_for_nobody_else(self, signoff: Signoff, library: Library, files: Path) -> None:
        assert signoff("index", "--folder", str(files)).code == 0
        assert set(names(library, "help-centre")) == {
            "gates.md",
            "deep/slots.md",
            "broken.pdf",
            "[red]\x1b[31mevil.pdf",
        }
        assert signoff("search", "gates").code == 0
        assert signoff("search", "gates", "--for", "ann@dockwell.example").code == 1
        shared = ("--readers", "domain:dockwell.example", "--readers", "user:Ben@b.example")
        assert "0 new, 0 changed, 4 as before" in signoff("index", "--folder", str(files), *shared).out
        assert signoff("search", "gates", "--for", "Ann@Dockwell.example").code == 0
        assert signoff("search", "gates", "--for", "ben@b.example").code == 0
        assert signoff("search", "gates", "--for", "ann@b.example").code == 1

    def test_a_folder_that_is_gone_keeps_what_was_indexed_and_fails(
        self, signoff: Signoff, library: Library, files: Path
    ) -> None:
        by_hand = ("index", "--folder", str(files), "--name", "mine")
        signoff("index"), signoff(*by_hand)
        files.rename(files.with_name("moved"))
        for shown, name in ((signoff("index"), "help"), (signoff(*by_hand), "mine")):
            assert shown.code == 1
            assert f"{name}: not looked at: {files} is no folder (any more); what was indexed of it stays" in said(
                shown
            )
            assert len(names(library, name)) == 4
        assert signoff("index", "--json").code == 1

    def test_what_is_wrong_is_one_clear_line(self, signoff: Signoff, files: Path, tmp_path: Path) -> None:
        there = str(files)
        for arguments, told in (
            (("nope",), "there is no source nope; flows/index_documents.py names help"),
            (("--folder", f"{there}/none"), f"{there}/none is no folder"),
            (("--folder", f"{there}/gates.md"), f"{there}/gates.md is no folder"),
            (("--folder", there, "--readers", "everyone"), "'everyone' is no reader; write anyone, domain:"),
            (("--folder", there, "--name", "My Docs"), "--name is of small letters, digits and hyphens"),
            (
                ("--folder", there, "--name", "help"),
                "help is a source of flows/index_documents.py; give this one another",
            ),
            (("help", "--folder", there), "either --folder, or names from flows/index_documents.py such as help"),
            (("--readers", "anyone"), "--name and --readers are for --folder"),
            (("--name", "mine"), "--name and --readers are for --folder"),
        ):
            assert told in signoff("index", *arguments).refused()
        assert signoff("status").out.startswith("The library is empty.")
        (tmp_path / "other" / "Help Centre").mkdir(parents=True)
        signoff("index", "--folder", there)
        other = str(tmp_path / "other" / "Help Centre")
        assert f"help-centre is {there} already; give {other} another" in signoff("index", "--folder", other).refused()

    def test_where_the_repository_names_no_source(self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(flow, "SOURCES", ())
        assert "names no source yet; add one there, or try --folder PATH" in signoff("index").refused()


class TestSearch:
    def test_the_passage_where_it_stands_and_why(self, signoff: Signoff) -> None:
        signoff("index")
        shown = signoff("search", "When do the gates open?", "--limit", "1")
        assert shown.code == 0
        heading, where, why, *text, blank, count = shown.out.splitlines()
        assert (heading, where, blank.strip()) == ("1. Gates > Opening hours", "   help: gates.md", "")
        assert "alike in meaning; holds gates, opening, open, gate" in why
        assert " ".join(" ".join(text).split()) == f"{LONG[:280].rstrip()} ..."
        assert count.startswith("1 passage in ")
        assert max(map(len, shown.out.splitlines())) <= 80

    def test_for_programs(self, signoff: Signoff) -> None:
        signoff("index")
        [hit] = signoff("search", "gates", "--limit", "1", "--json").json
        assert (hit["source"], hit["name"], hit["heading"]) == ("help", "gates.md", "Gates > Opening hours")
        assert (hit["text"], hit["readers"], hit["path"]) == (LONG.strip(), ["anyone"], ["Gates", "Opening hours"])
        assert hit["matched"] == ["gates", "gate"]
        assert 0 < hit["similarity"] < 1

    def test_nothing_is_exit_code_1(self, signoff: Signoff, library: Library) -> None:
        assert signoff("search", "gates") == Finished(
            1, "The library is empty. Put documents into it with `signoff library index`.\n", ""
        )
        put(library, "a.md", "Salaries.", readers=frozenset({"domain:dockwell.example"}))
        hidden = signoff("search", "salaries", "--for", "ben@northwind.example")
        assert (hidden.code, hidden.out) == (1, "Nothing was found that ben@northwind.example may see.\n")
        for arguments in (("gates", "--for", "ben@northwind.example"), ("",)):
            shown = signoff("search", *arguments, "--json")
            assert (shown.code, json.loads(shown.out)) == (1, [])

    def test_only_some_sources_and_some_readers(self, signoff: Signoff, library: Library) -> None:
        put(library, "a.md", "The gates.", source="one")
        put(library, "b.md", "The gates.", source="two", readers=frozenset({"domain:dockwell.example"}))

        def found(*arguments: str) -> set[str]:
            return {hit["source"] for hit in json.loads(signoff("search", "gates", "--json", *arguments).out)}

        assert found() == found("--for", "ann@dockwell.example") == found("--source", "one", "--source", "two")
        assert found("--source", "two") == {"two"}
        assert found("--for", "ben@b.example") == {"one"}
        assert found("--for", "ben@b.example", "--source", "two") == set()

    def test_what_a_document_says_cannot_rewrite_the_terminal(self, signoff: Signoff, library: Library) -> None:
        put(
            library,
            "[b]\x1b[2Jx.md",
            "[red]: \x1b[31mgates[/red] \u202egates",
            link="https://x.example/\x1b[2J" + "y" * 90,
        )
        shown = signoff("search", "gates")
        assert "\x1b" not in shown.out
        assert "\u202e" not in shown.out
        assert "[31mgates[/red] gates" in shown.out
        assert f"   https://x.example/[2J{'y' * 90}\n" in shown.out

    @pytest.mark.parametrize("address", ["ann", "", "@dockwell.example", "Ann <ann@dockwell.example>"])
    def test_what_is_no_address_is_refused(self, signoff: Signoff, address: str) -> None:
        assert "--for takes an e-mail address, and " in signoff("search", "gates", "--for", address).refused()

    def test_what_is_wrong_is_one_clear_line(self, signoff: Signoff, library: Library) -> None:
        put(library, "a.md", "The gates.", source="one")
        assert "--limit is at least 1" in signoff("search", "gates", "--limit", "0").refused()
        assert "no source nope; it has one" in signoff("search", "gates", "--source", "nope").refused()


class TestStatus:
    def test_nothing_yet(self, signoff: Signoff, library: Library) -> None:
        assert signoff("status").out == "The library is empty. Put documents into it with `signoff library index`.\n"
        assert signoff("status", "--json").json == {"library": library.name, "sources": [], "refused": []}

    def test_each_source_and_every_document_that_cannot_be_read(
        self, signoff: Signoff, library: Library, files: Path
    ) -> None:
        signoff("index")
        library.begin("other", "Drive")
        library.walked("other", None, problem="no credential drive/x: create it")
        shown = signoff("status")
        assert shown.code == 0
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.out.splitlines() if "│" in line]
        assert [row[:4] for row in rows] == [["help", "2", "2", "2"], ["other", "0", "0", "0"]]
        assert rows[1][4] == "never"
        assert max(len(line) for line in shown.out.splitlines() if set(line) & set("│┃")) <= 80
        assert "help: broken.pdf: it is damaged: it is no PDF, or only a part of one\n" in shown.out
        assert "help: [red][31mevil.pdf: " in shown.out
        assert "other: no credential drive/x: create it\n" in shown.out
        assert f"{library.name}, 0." in shown.out
        told = signoff("status", "--json").json
        assert [source["place"] for source in told["sources"]] == [str(files), "Drive"]
        assert {refused["name"] for refused in told["refused"]} == {"broken.pdf", "[red]\x1b[31mevil.pdf"}


class TestForget:
    def test_it_asks_first(self, signoff: Signoff, library: Library) -> None:
        signoff("index")
        assert "forgetting needs --yes where nobody can be asked" in signoff("forget", "help").refused()
        for typed in ("n\n", "\n", ""):
            shown = signoff("forget", "help", typed=typed)
            assert (shown.code, len(names(library, "help"))) == (1, 4)
            assert "Forget help with 4 documents? [y/N]" in shown.out
            assert shown.out.endswith("Nothing was changed.\n")
        shown = signoff("forget", "help", typed="y\n")
        assert "Forgot help with 4 documents. The next index run reads it anew." in shown.out
        assert library.status() == []

    def test_without_asking(self, signoff: Signoff, library: Library) -> None:
        put(library, "a.md", "The gates.", source="mine")
        assert signoff("forget", "mine", "--yes").out == "Forgot mine with 1 document.\n"
        assert "the library has no source mine; it has none" in signoff("forget", "mine", "--yes").refused()


def test_a_library_that_cannot_be_used_is_one_clear_line(
    signoff: Signoff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "diary.db").write_text("Dear diary, " * 1000)
    monkeypatch.setenv("SIGNOFF_LIBRARY_URL", f"sqlite:///{tmp_path / 'diary.db'}")
    for command in (("search", "gates"), ("status",), ("index",), ("forget", "help")):
        assert "file is not a database: move the file away" in signoff(*command).refused()
