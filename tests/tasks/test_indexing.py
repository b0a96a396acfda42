"""Indexing: only what differs is read, who may see it is put right first, and one bad document keeps no other out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import PrivateAttr

from blocks.library import ANYONE, INDEXED, REFUSED, Item, Library
from blocks.shape import Part, Shape
from blocks.vendor import VendorError
from tasks import indexing
from tasks.indexing import Tally
from tasks.sources import Gone, Look, Source
from tests.librarian import Lasting, counts, hits, names, texts

ANN = frozenset({ANYONE, "user:ann@dockwell.example", "domain:dockwell.example"})
COLLEAGUES = frozenset({"domain:dockwell.example"})
DOWN = VendorError("drive", "download", "the server is busy", permanent=False, status=503)
FORBIDDEN = VendorError("drive", "download", "only editors may download this file", permanent=True, status=403)
EXPIRED = VendorError("drive", "download", "connect the Google account again", permanent=True, status=401)


class Shelf(Source):
    """A source in memory, which remembers what was asked of it and fails as it is told."""

    _items: dict[str, Item] = PrivateAttr(default_factory=dict)
    _contents: dict[str, bytes | Exception] = PrivateAttr(default_factory=dict)
    _fetched: list[str] = PrivateAttr(default_factory=list)
    _quiet: bool = PrivateAttr(default=False)
    _looks: int = PrivateAttr(default=0)

    @property
    def place(self) -> str:
        return "in memory"

    def look(self, cursor: str | None) -> Look:
        self._looks += 1
        if cursor and self._quiet:
            return Look(None, f"{cursor}+")
        return Look(dict(self._items), f"cursor {self._looks}")

    def fetch(self, item: Item, most_bytes: int) -> tuple[bytes, str | None]:
        self._fetched.append(item.name)
        content = self._contents[item.external_id]
        if isinstance(content, Exception):
            raise content
        return content[: most_bytes + 1], None

    def holds(self, name: str, content: str | bytes | Exception, *readers: str, version: str = "") -> None:
        """Put a document on the shelf, or another version of it."""
        self._contents[name] = content.encode() if isinstance(content, str) else content
        self._items[name] = Item(name, name, version or str(content), frozenset(readers or {ANYONE}))

    def loses(self, name: str) -> None:
        """Take a document away."""
        del self._items[name], self._contents[name]

    def asked(self) -> list[str]:
        """What was fetched since this was called last."""
        fetched, self._fetched = sorted(self._fetched), []
        return fetched


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf(name="shelf")
    shelf.holds("gates.md", "# Gates\n\nThe gates open at six.")
    shelf.holds("slots.md", "# Slots\n\nA slot is half an hour.")
    shelf.holds("prices.md", "# Prices\n\nA slot costs nine euros.")
    return shelf


@pytest.fixture
def run(library: Library, shelf: Shelf, reader: Lasting) -> Callable[..., Tally]:  # noqa: ARG001
    """Indexes the shelf."""

    def index(*, again: bool = False, tell: indexing.Tell = indexing.silent) -> Tally:
        return indexing.index(library, shelf, tell, again=again)

    return index


Run = Callable[..., Tally]


@pytest.mark.both_databases
class TestWhatDiffers:
    def test_at_first_all_is_read(self, library: Library, shelf: Shelf, run: Run) -> None:
        tally = run()
        assert counts(tally) == (3, 0, 0, 0)
        assert (tally.refused, tally.left, tally.problem) == ({}, {}, None)
        assert shelf.asked() == ["gates.md", "prices.md", "slots.md"]
        assert texts(library, "when do the gates open")[0] == "The gates open at six."
        assert library.cursor("shelf") == "cursor 1"

    def test_of_what_is_unchanged_nothing_is_fetched_or_read(self, shelf: Shelf, run: Run, reader: Lasting) -> None:
        run(), shelf.asked()
        reader.files = 0
        assert counts(run()) == (0, 0, 3, 0)
        shelf._quiet = True
        assert counts(run()) == (0, 0, 3, 0)
        assert (shelf.asked(), reader.files) == ([], 0)

    def test_only_what_changed_is_read_again(self, library: Library, shelf: Shelf, run: Run) -> None:
        run(), shelf.asked()
        shelf.holds("gates.md", "# Gates\n\nThe gates open at five.")
        assert counts(run()) == (0, 1, 2, 0)
        assert shelf.asked() == ["gates.md"]
        assert texts(library, "when do the gates open")[0] == "The gates open at five."

    def test_what_is_gone_is_forgotten_and_what_is_new_is_read(self, library: Library, shelf: Shelf, run: Run) -> None:
        run(), shelf.asked()
        shelf.loses("slots.md")
        shelf.holds("ramps.md", "# Ramps\n\nThere are two ramps.")
        assert counts(run()) == (1, 0, 2, 1)
        assert set(names(library, "shelf")) == {"gates.md", "prices.md", "ramps.md"}
        assert "A slot is half an hour." not in texts(library, "how long is a slot")


class TestTheSameContent:
    def test_it_is_not_embedded_again_nor_fetched_a_third_time(
        self, library: Library, shelf: Shelf, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(), shelf.asked()
        before = texts(library, "gates")
        shelf.holds("gates.md", "# Gates\n\nThe gates open at six.", version="touched")
        with monkeypatch.context() as patch:
            patch.setattr(Library, "embed", None)
            assert counts(run()) == (0, 0, 3, 0)
        assert shelf.asked() == ["gates.md"]
        assert library.known("shelf")["gates.md"].version == "touched"
        assert texts(library, "gates") == before
        run()
        assert shelf.asked() == []

    def test_a_document_that_was_refused_is_read_though_its_bytes_are_the_same(self, shelf: Shelf, run: Run) -> None:
        shelf.holds("scan.pdf", b"%PDF-1.4 broken", version="1")
        run()
        shelf.holds("scan.pdf", b"%PDF-1.4 broken", version="2")
        assert list(run().refused) == ["scan.pdf"]


class TestWhoMaySeeIt:
    def test_it_holds_at_once_and_nothing_is_read_for_it(self, library: Library, shelf: Shelf, run: Run) -> None:
        run(), shelf.asked()
        shelf.holds("gates.md", "# Gates\n\nThe gates open at six.", *COLLEAGUES)
        assert counts(run()) == (0, 0, 3, 0)
        assert "The gates open at six." not in texts(library, "gates")
        assert hits(library, "gates", ANN)[0].text == "The gates open at six."
        shelf.holds("gates.md", "# Gates\n\nThe gates open at six.")
        run()
        assert "The gates open at six." in texts(library, "gates")
        assert shelf.asked() == []

    @pytest.mark.parametrize("content", [DOWN, OSError("gone"), FORBIDDEN, b"%PDF-1.4 broken"])
    def test_it_holds_though_the_new_content_cannot_be_had(
        self, library: Library, shelf: Shelf, run: Run, content: Exception | bytes
    ) -> None:
        run()
        shelf.holds("slots.md", "# Slots\n\nNew.")
        shelf.holds("gates.md", content, *COLLEAGUES, version="2")
        run()
        assert "The gates open at six." not in texts(library, "gates")
        assert library.known("shelf")["gates.md"].readers == COLLEAGUES

    def test_it_holds_before_anything_is_read(
        self, library: Library, shelf: Shelf, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run()
        for name in ("gates.md", "slots.md", "prices.md"):
            shelf.holds(name, "# Salaries\n\nNine euros.", *COLLEAGUES)
        seen: list[list[str]] = []

        def fetch(*_: object) -> tuple[bytes, None]:
            seen.append(texts(library, "gates"))
            return b"# Salaries\n\nNine euros.", None

        monkeypatch.setattr(Shelf, "fetch", fetch)
        run()
        assert seen == [[]] * 3


class TestWhatCannotBeRead:
    def test_it_is_named_with_the_reason_and_keeps_no_other_out(self, library: Library, shelf: Shelf, run: Run) -> None:
        shelf.holds("broken.pdf", b"%PDF-1.4 broken")
        shelf.holds("music.mp3", b"ID3\x03\x00\x00")
        told: list[tuple[str, str]] = []
        tally = run(tell=lambda done: told.append((done.item.name, done.outcome)))
        assert counts(tally) == (3, 0, 0, 0)
        assert set(tally.refused) == {"broken.pdf", "music.mp3"}
        assert {r.name: r.reason for r in library.refused()} == tally.refused
        assert all(reason and "\n" not in reason for reason in tally.refused.values())
        assert dict(told) == {
            "broken.pdf": "refused", "music.mp3": "refused", "gates.md": "indexed", "slots.md": "indexed",
            "prices.md": "indexed",
        }  # fmt: skip

    def test_it_is_not_tried_again_until_somebody_asks(self, library: Library, shelf: Shelf, run: Run) -> None:
        shelf.holds("broken.pdf", b"%PDF-1.4 broken")
        run(), shelf.asked()
        assert counts(run()) == (0, 0, 4, 0)
        assert shelf.asked() == []
        assert list(run(again=True).refused) == ["broken.pdf"]
        assert shelf.asked() == ["broken.pdf"]
        shelf._quiet = True
        assert list(run(again=True).refused) == ["broken.pdf"], "also where the source says that nothing has changed"
        assert len(library.refused()) == 1

    def test_it_is_read_when_it_was_mended(self, library: Library, shelf: Shelf, run: Run) -> None:
        shelf.holds("broken.pdf", b"%PDF-1.4 broken")
        run()
        shelf.holds("broken.pdf", "There are two ramps.")
        assert counts(run()) == (1, 0, 3, 0)
        assert library.refused() == []
        assert "There are two ramps." in texts(library, "ramps")

    def test_one_that_breaks_is_no_longer_found(self, library: Library, shelf: Shelf, run: Run) -> None:
        run()
        shelf.holds("gates.md", b"%PDF-1.4 broken")
        run()
        assert "The gates open at six." not in texts(library, "gates")
        assert names(library, "shelf")["gates.md"] == REFUSED

    def test_one_that_is_too_large_is_refused_by_its_size(
        self, shelf: Shelf, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing, "MOST_BYTES", 50)
        shelf.holds("large.md", "x" * 51)
        shelf.holds("fits.md", "x" * 50)
        assert run().refused == {"large.md": "it has more than 50 bytes"}

    def test_a_refusal_of_one_document_is_its_own(self, library: Library, shelf: Shelf, run: Run) -> None:
        shelf.holds("locked.md", FORBIDDEN)
        tally = run()
        assert tally.refused == {"locked.md": "only editors may download this file"}
        assert tally.added == 3
        assert library.cursor("shelf") == "cursor 1"


class TestWhatCannotBeHad:
    def test_what_vanishes_before_it_is_fetched_is_forgotten(self, library: Library, shelf: Shelf, run: Run) -> None:
        run()
        shelf.holds("gates.md", Gone("gates.md"))
        shelf.holds("never.md", Gone("never.md"))
        assert counts(run()) == (0, 0, 2, 1)
        assert set(names(library, "shelf")) == {"slots.md", "prices.md"}

    @pytest.mark.parametrize(
        ("failure", "why"),
        [(DOWN, "the server is busy"), (PermissionError(13, "Permission denied"), "Permission denied")],
    )
    def test_what_fails_for_now_is_left_to_the_next_run_as_it_is(
        self, library: Library, shelf: Shelf, run: Run, failure: Exception, why: str
    ) -> None:
        run(), shelf.asked()
        shelf._quiet = True
        shelf.holds("gates.md", failure, version="2")
        shelf.holds("new.md", failure)
        shelf.holds("slots.md", "# Slots\n\nNew.")
        library.walked("shelf", None)  # the source has told of a change
        tally = run()
        assert set(tally.left) == {"gates.md", "new.md"}
        assert all(why in told for told in tally.left.values())
        assert (tally.changed, tally.refused) == (1, {})
        assert texts(library, "when do the gates open")[0] == "The gates open at six."
        assert library.cursor("shelf") is None, "the next run looks at everything"
        shelf.asked()
        shelf.holds("gates.md", "# Gates\n\nAt five.", version="2")
        shelf.holds("new.md", "# New\n\nNew.")
        assert counts(run()) == (1, 1, 2, 0)
        assert shelf.asked() == ["gates.md", "new.md"]

    def test_a_vendor_that_is_down_for_all_is_told_and_loses_nothing(
        self, library: Library, shelf: Shelf, run: Run
    ) -> None:
        run()
        for name in ("gates.md", "slots.md", "prices.md"):
            shelf.holds(name, DOWN, version="2")
        with pytest.raises(VendorError, match="busy"):
            run()
        assert set(names(library, "shelf").values()) == {INDEXED}
        assert texts(library, "when do the gates open")[0] == "The gates open at six."
        for name in ("gates.md", "slots.md", "prices.md"):
            shelf.holds(name, "# Back\n\nAgain.", version="2")
        assert counts(run()) == (0, 3, 0, 0)

    @pytest.mark.parametrize("failure", [EXPIRED, None])
    def test_what_every_document_would_meet_ends_the_run(
        self, library: Library, shelf: Shelf, run: Run, failure: VendorError | None
    ) -> None:
        run()
        shelf.holds("gates.md", failure or Shape("drive", "file", Part).missing("name", "GET file"), version="2")
        with pytest.raises(VendorError):
            run()
        assert set(names(library, "shelf").values()) == {INDEXED}

    def test_after_a_crash_the_next_run_does_the_rest(
        self, library: Library, shelf: Shelf, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Boom(Exception):
            pass

        def put(*arguments: object) -> int:
            if len(names(library, "shelf")) == 2:
                raise Boom
            return whole(*arguments)  # type: ignore[arg-type]

        whole = library.put
        with monkeypatch.context() as patch:
            patch.setattr(library, "put", put)
            with pytest.raises(Boom):
                run()
        assert len(names(library, "shelf")) == 2
        shelf.asked()
        assert counts(run()) == (1, 0, 2, 0)
        assert len(shelf.asked()) == 1


def test_a_batch_is_added_to_the_others() -> None:
    tally = Tally("shelf", added=1, refused={"a": "no"}, pages=2)
    tally.add(Tally("shelf", added=2, changed=1, refused={"b": "no"}, left={"c": "later"}, seconds=1.5))
    assert (counts(tally), tally.pages, tally.seconds) == ((3, 1, 0, 0), 2, 1.5)
    assert (tally.refused, tally.left) == ({"a": "no", "b": "no"}, {"c": "later"})
