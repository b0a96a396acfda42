"""What the library holds: each document whole or not at all, and its words and vectors always of the same text."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from blocks.documents import Document, Section
from blocks.library import INDEXED, REFUSED, Known, Library, LibraryError
from blocks.library.tables import chunks, documents, meta, passages
from tests.librarian import SOURCE, document, dump, hits, item, names, put, texts

pytestmark = pytest.mark.both_databases

OLD = ("Gates: Gate 7 opens at six.", "Slots: A slot is half an hour.")
NEW = ("Gates: Gate 9 opens at seven.",)


def counts(library: Library) -> tuple[int, int, int]:
    """How many documents, passages and chunks there are."""
    with library.read() as connection:
        one, two, three = (
            connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in (documents, passages, chunks)
        )
    return int(one or 0), int(two or 0), int(three or 0)


def assert_sound(library: Library) -> None:
    """Every chunk has its document, its passage and its words, and there are no others."""
    number, cut, _ = counts(library)
    with library.read() as connection:
        assert len(set(connection.scalars(sa.select(chunks.c.passage_id)))) == cut
        assert len(set(connection.scalars(sa.select(passages.c.document_id)))) <= number
    if library.engine.dialect.name == "sqlite":
        with library.write() as connection:
            connection.exec_driver_sql("INSERT INTO library_words(library_words, rank) VALUES ('integrity-check', 1)")
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


class TestPut:
    def test_what_is_put_in_is_known_and_found(self, library: Library) -> None:
        assert put(library, "gates.md", *OLD, title="Manual", link="https://help.example/gates", size=70) == 2
        [known] = library.known(SOURCE).values()
        assert (known.version, known.state, known.name) == ("1", INDEXED, "gates.md")
        assert (known.link, len(known.content or "")) == ("https://help.example/gates", 64)
        assert known.readers == {"anyone"}
        best, _ = hits(library, "When does gate 7 open?")
        assert (best.text, best.heading, best.title) == ("Gate 7 opens at six.", "Manual > Gates", "Manual")
        assert_sound(library)

    def test_the_new_takes_the_place_of_the_old(self, library: Library) -> None:
        put(library, "gates.md", *OLD)
        put(library, "gates.md", *NEW)
        assert texts(library, "gate opens slot") == ["Gate 9 opens at seven."]
        assert counts(library) == (1, 1, 1)
        assert_sound(library)

    def test_one_that_fails_half_way_leaves_the_old_one_whole(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(library, "gates.md", *OLD)
        before = dump(library)

        class Boom(Exception):
            pass

        def boom(*_: object) -> None:
            raise Boom

        for owner, step in ((library.index, "added"), (Library, "_changed"), (library.index, "removing")):
            with monkeypatch.context() as patch:
                patch.setattr(owner, step, boom)
                with pytest.raises(Boom):
                    put(library, "gates.md", *NEW)
            assert dump(library) == before
            assert set(texts(library, "gate opens slot")) == {"Gate 7 opens at six.", "A slot is half an hour."}
        assert_sound(library)

    def test_a_document_without_text_is_known_and_not_found(self, library: Library) -> None:
        assert put(library, "empty.md") == 0
        assert names(library) == {"empty.md": INDEXED}
        assert texts(library, "empty") == []

    def test_a_heading_alone_is_found(self, library: Library) -> None:
        put(library, "contact.md", "Fax number:  ")
        [hit] = hits(library, "fax")
        assert (hit.text, hit.path, hit.matched) == ("", ("Fax number",), ("fax",))

    def test_without_a_title_its_name_is_one(self, library: Library) -> None:
        put(library, "folder/Opening hours.md", "At six.", title=" ")
        [hit] = hits(library, "opening hours")
        assert hit.heading == "folder/Opening hours.md"
        assert "opening" in hit.matched

    def test_a_link_leads_to_the_section_where_that_is_possible(self, library: Library) -> None:
        library.begin(SOURCE, "a folder")
        read = Document("", (Section((), "Gate 7.", page=2, anchor="s1"),), 3, "https://x/d")
        library.put(SOURCE, item("linked by itself"), "0", read)
        library.put(SOURCE, item("without anchors", anchored=False), "0", read)
        library.put(SOURCE, item("linked by its source", link="https://x/c"), "0", read)
        library.put(SOURCE, item("linked to a section", link="https://x/c#top"), "0", read)
        found = hits(library, "gate")
        assert {hit.page for hit in found} == {2}
        assert {hit.name: hit.link for hit in found} == {
            "linked by itself": "https://x/d#s1",
            "without anchors": "https://x/d",
            "linked by its source": "https://x/c#s1",
            "linked to a section": "https://x/c#top",
        }

    def test_text_that_is_no_text(self, library: Library) -> None:
        put(library, "odd\0name.md", "Odd\0heading: Gate\0 7 is \ud800 open.")
        [hit] = hits(library, "gate\0 7 \ud800")
        assert hit.text.startswith("Gate")
        assert_sound(library)


class TestTheRest:
    def test_a_refused_document_is_let_go_of_and_named_with_its_reason(self, library: Library) -> None:
        put(library, "gates.md", *OLD)
        library.refuse(SOURCE, item("gates.md", version="2"), "00", "it is encrypted")
        assert texts(library, "gate") == []
        assert library.known(SOURCE)["gates.md"] == Known("2", "00", frozenset({"anyone"}), "gates.md", "", REFUSED)
        assert [(r.source, r.name, r.reason) for r in library.refused()] == [(SOURCE, "gates.md", "it is encrypted")]
        put(library, "gates.md", *NEW)
        assert library.refused() == []
        assert_sound(library)

    def test_what_is_removed_is_gone_and_the_rest_stays(self, library: Library) -> None:
        put(library, "a", "Gate 1."), put(library, "b", "Gate 2."), put(library, "c", "Gate 3.")
        assert library.remove(SOURCE, ["a", "c", "never there"]) == 2
        assert library.remove(SOURCE, []) == 0
        assert texts(library, "gate") == ["Gate 2."]
        assert_sound(library)

    def test_relabelling_keeps_the_text_and_changes_who_sees_it_under_which_name(self, library: Library) -> None:
        put(library, "a", "Gate 1.", link="https://x/old")
        changed = item("a", name="b", readers=frozenset({"domain:dockwell.example"}), version="2")
        library.relabel(SOURCE, [changed])
        assert texts(library, "gate") == []
        [hit] = hits(library, "gate", frozenset({"domain:dockwell.example"}))
        assert (hit.name, hit.link) == ("b", "https://x/old")
        assert hit.readers == {"domain:dockwell.example"}
        assert library.known(SOURCE)["a"].version == "1"
        library.relabel(SOURCE, [changed], version=True)
        assert library.known(SOURCE)["a"].version == "2"

    def test_a_source_is_forgotten_with_all_of_its_documents(self, library: Library) -> None:
        put(library, "a", "Gate 1."), put(library, "a", "Gate 2.", source="other")
        library.refuse(SOURCE, item("b"), None, "it is encrypted")
        assert library.forget(SOURCE) == 2
        assert library.forget(SOURCE) == 0
        assert texts(library, "gate") == ["Gate 2."]
        assert [status.name for status in library.status()] == ["other"]
        assert_sound(library)

    def test_the_status_of_each_source(self, library: Library) -> None:
        put(library, "a", *OLD), put(library, "b", "Gate 1.")
        library.refuse(SOURCE, item("c"), None, "no")
        library.begin("another", "Drive")
        library.walked(SOURCE, "token-1")
        library.walked("another", None, problem="it is down")
        another, manual = library.status()
        assert (manual.documents, manual.refused, manual.passages, manual.problem) == (2, 1, 3, None)
        assert manual.walked_at
        assert datetime.now(UTC) - manual.walked_at < timedelta(minutes=1)
        assert (another.place, another.documents, another.walked_at) == ("Drive", 0, None)
        assert another.problem == "it is down"
        assert (library.cursor(SOURCE), library.cursor("another"), library.cursor("nobody")) == ("token-1", None, None)
        library.walked(SOURCE, None, problem="it is down")
        assert library.cursor(SOURCE) == "token-1", "a look that failed goes on from where the last one was"
        library.begin(SOURCE, "another folder")
        assert library.status()[1].place == "another folder"

    def test_its_size_grows_with_what_is_in_it(self, library: Library) -> None:
        before = library.size()
        for number in range(8):
            put(library, str(number), *(f"Heading {n}: Gate {number} {n}." for n in range(8)))
        assert library.size() > before > 0

    def test_a_source_that_nobody_began_is_refused(self, library: Library) -> None:
        with pytest.raises(sa.exc.IntegrityError):
            library.put("unheard-of", item("a"), "0", document("Gate 1."))


def test_after_many_changes_words_and_vectors_are_those_of_the_text(library: Library) -> None:
    by_chance = random.Random(3)
    alive: dict[str, str] = {}
    for step in range(40):
        name, what = str(by_chance.randrange(6)), by_chance.choice(["put", "put", "remove", "refuse", "relabel"])
        if what == "put":
            put(library, name, text := f"Gate {step} of {name}.")
            alive[name] = text
        elif what == "relabel":
            library.relabel(SOURCE, [item(name, name=name)])
        else:
            alive.pop(name, None)
            if what == "remove":
                library.remove(SOURCE, [name])
            else:
                library.refuse(SOURCE, item(name), None, "no")
        if step % 5 == 0:
            assert set(texts(library, "gate")) == set(alive.values())
    assert set(texts(library, "gate")) == set(alive.values())
    assert_sound(library)
    after = dump(library)
    library.forget(SOURCE)
    for name, text in alive.items():
        put(library, name, text)
    assert [row for row in after if INDEXED in row] == dump(library)


def test_what_one_process_changes_another_sees_at_its_next_search(library: Library, library_url: str) -> None:
    here, there = library, other_pool(library_url)
    put(there, "a", "Gate 1.")
    assert texts(here, "gate") == ["Gate 1."]
    put(there, "b", "Gate 2."), put(there, "a", "Gate 3.")
    assert set(texts(here, "gate")) == {"Gate 3.", "Gate 2."}
    there.relabel(SOURCE, [item("a", readers=frozenset({"user:ann@b.example"}))])
    assert texts(here, "gate") == ["Gate 2."]
    there.remove(SOURCE, ["b"])
    assert texts(here, "gate") == []
    there.relabel(SOURCE, [item("a")])
    assert texts(here, "gate") == ["Gate 3."]
    there.engine.dispose()


def test_what_was_read_stays_what_it_was_until_the_reading_ends(library: Library) -> None:
    put(library, "a", "Gate 1.")
    count = sa.select(sa.func.count()).select_from(documents)
    with library.read() as connection:
        assert connection.scalar(count) == 1
        put(library, "b", "Gate 2.")
        assert connection.scalar(count) == 1


def test_a_search_that_began_before_a_change_does_not_spoil_the_next_ones(library: Library) -> None:
    """Threads share what is held in memory, and the slowest may look at the oldest."""
    for number in range(4):
        put(library, str(number), f"Gate {number}.")
    [vector] = library.embed(["gate"])
    with library.read() as slow:
        slow.scalar(sa.select(meta.c.value))
        library.remove(SOURCE, ["1"]), put(library, "4", "Gate 4.")
        assert sorted(texts(library, "gate")) == ["Gate 0.", "Gate 2.", "Gate 3.", "Gate 4."]
        assert texts_of(slow, [near.chunk for near in library.index.nearest(slow, vector, None, 10)]) == [
            f"Gate {number}." for number in range(4)
        ]
    scores = {hit.text: hit.similarity for hit in hits(library, "gate")}
    fresh = other_pool(library.engine.url.render_as_string(hide_password=False))
    assert scores == pytest.approx({hit.text: hit.similarity for hit in hits(fresh, "gate")}, abs=1e-6)
    fresh.engine.dispose()


def texts_of(connection: Connection, numbers: Sequence[int]) -> list[str]:
    query = sa.select(passages.c.text).join(chunks, chunks.c.passage_id == passages.c.id)
    return sorted(connection.scalars(query.where(chunks.c.id.in_(numbers))))


def test_writers_in_threads_take_turns(library: Library) -> None:
    library.begin(SOURCE, "a folder")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(library, str(number % 4), f"Gate {number % 4}."), range(24)))
    assert sorted(texts(library, "gate")) == [f"Gate {number}." for number in range(4)]
    assert_sound(library)


def other_pool(url: str) -> Library:
    """The library as another process has it: nothing of it is in memory."""
    from blocks.database import with_driver
    from blocks.library import store

    return store._open.__wrapped__(with_driver(url), None)


class TestAnotherFormat:
    @pytest.fixture
    def outdated(self, library: Library) -> Library:
        """One that was indexed by other rules."""
        put(library, "a", "Gate 1.")
        with library.write() as connection:
            connection.execute(sa.update(meta).where(meta.c.key == "format").values(value="0.0.0.model"))
        return library

    def test_it_is_not_searched_and_the_way_out_is_told(self, outdated: Library) -> None:
        with pytest.raises(LibraryError, match=r"another version or embedding model: run `signoff library index`"):
            hits(outdated, "gate")

    def test_the_next_index_run_makes_it_anew(self, outdated: Library) -> None:
        outdated.begin("new", "a folder")
        assert [status.name for status in outdated.status()] == ["new"]
        put(outdated, "b", "Gate 2.")
        assert texts(outdated, "gate") == ["Gate 2."]
        assert_sound(outdated)

    def test_what_is_held_in_memory_of_the_old_one_is_not_used(self, library: Library) -> None:
        put(library, "a", "Gate 1."), put(library, "b", "The moon.")
        assert texts(library, "gate")[0] == "Gate 1."
        there = other_pool(library.engine.url.render_as_string(hide_password=False))
        with there.write() as connection:
            there._make_anew(connection)
        put(there, "c", "The moon."), put(there, "d", "Gate 2.")
        seen = {hit.text: hit.similarity for hit in hits(library, "gate")}
        assert seen == pytest.approx({hit.text: hit.similarity for hit in hits(there, "gate")}, abs=1e-6)
        there.engine.dispose()
