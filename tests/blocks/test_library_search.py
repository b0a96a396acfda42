"""Searching: by meaning, by words, and only in what the readers of the answer may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from blocks import minilm
from blocks.library import ANYONE, STRANGERS, Hit, Library, Scope, audience_of, search, within
from tests.librarian import hits, put, texts
from tests.postgres import Postgres

COLLEAGUES = frozenset({"domain:dockwell.example"})
BOARD = frozenset({"user:mara@dockwell.example", "user:kofi@dockwell.example"})
ANN, MARA = audience_of("ann@dockwell.example"), audience_of("mara@dockwell.example")

HELP = {
    "gates.md": ("Opening hours: The gates open at six in the morning and close at ten at night.",),
    "printer.md": (
        "E-4012: The label printer has run out of paper.",
        "E-4013: The label printer is not connected to the network.",
        "Which paper: Rolls of 100 mm, sold by any stationer.",
    ),
    "parts.md": ("Spare parts: PN_00417-B is the battery of the scanner, PN_00418-B its charger.",),
    "sign-in.md": ("Locked out: Click the link below the form, and we mail you a way to choose new credentials.",),
    "rechnung.md": ("Rechnungsadresse: Die Rechnungsadresse ändern Sie unter Konto, dann Zahlung.",),
    "cafe.md": ("Cantine: Le café crème coûte deux euros, à la réception.",),
    "feiertage.md": ("Feiertage: An Feiertagen bleibt die Rampe geschlossen.",),
}
HIDDEN = {
    "discounts.md": (COLLEAGUES, ("Discounts: Gates are a tenth cheaper for carriers who open two at a time.",)),
    "salaries.md": (BOARD, ("Salaries: Mara opens the gates and is paid for mornings.",)),
    **{
        f"incident {number}.md": (COLLEAGUES, (f"Incident {number}: The label printer printed no labels. Paper!",))
        for number in range(12)
    },
}
QUESTIONS = [
    "When do the gates open?",
    "label printer paper",
    "printer network",
    "open",
    "E-4012",
    "Die Rampe und das Konto",
    "battery or labels for the morning",
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Library]:
    """Makes libraries that the tests of this module share."""

    def make() -> Library:
        if request.param == "sqlite":
            return Library.open(f"sqlite:///{tmp_path_factory.mktemp('shared') / 'library.db'}")
        request.getfixturevalue("library_database")
        server: Postgres = request.getfixturevalue("postgres")
        return Library.open(server.url(server.create()))

    return make


@pytest.fixture(scope="module")
def public(new_library: Callable[[], Library]) -> Iterator[Library]:
    """What anyone may see, and nothing else."""
    library = new_library()
    for name, sections in HELP.items():
        put(library, name, *sections, source="help", title=name.removesuffix(".md"))
    yield library
    library.engine.dispose()


@pytest.fixture(scope="module")
def library(new_library: Callable[[], Library]) -> Iterator[Library]:
    """The same, among what only some may see."""
    library = new_library()
    secret = iter(HIDDEN.items())
    for name, sections in HELP.items():
        for _, (hidden, (readers, said)) in zip(range(2), secret, strict=False):
            put(library, hidden, *said, source="handbook", readers=readers)
        put(library, name, *sections, source="help", title=name.removesuffix(".md"))
    yield library
    library.engine.dispose()


def best(library: Library, question: str, *readers: frozenset[str]) -> Hit:
    return hits(library, question, *readers)[0]


class TestWhatIsFound:
    @pytest.mark.parametrize(
        ("question", "name"),
        [
            ("I forgot my password", "sign-in.md"),
            ("At what time may a lorry drive in?", "gates.md"),
            ("The sticker machine is offline", "printer.md"),
        ],
    )
    def test_by_its_meaning_without_a_word_in_common(self, library: Library, question: str, name: str) -> None:
        hit = best(library, question)
        assert (hit.name, hit.matched) == (name, ())
        assert hit.similarity is not None
        assert 0 < hit.similarity < 1

    @pytest.mark.parametrize(
        ("question", "text", "matched"),
        [
            ("it says 4013", "The label printer is not connected to the network.", ("4013",)),
            ("what does E 4012 mean", "The label printer has run out of paper.", ("4012",)),
            ("PN_00418-B", "PN_00417-B is the battery", ("00418",)),
            ("cafe creme", "Le café crème", ("café", "crème")),
            ("CAFÉ CRE\u0300ME", "Le café crème", ("café", "crème")),
            ("rechnungsadresse", "Die Rechnungsadresse ändern", ("rechnungsadresse",)),
            ("Wie ändere ich die Adresse auf der Rechnung?", "Die Rechnungsadresse ändern", ()),
            ("Ist die Rampe am Feiertag zu?", "An Feiertagen bleibt", ("rampe",)),
        ],
    )
    def test_by_codes_accents_and_compound_words(
        self, library: Library, question: str, text: str, matched: tuple[str, ...]
    ) -> None:
        hit = best(library, question)
        assert hit.text.startswith(text)
        assert set(matched) <= set(hit.matched)

    def test_each_hit_tells_where_it_stands_and_why_it_was_found(self, library: Library) -> None:
        hit = best(library, "The Gate's opening, please: MORNINGS?")
        assert (hit.source, hit.name, hit.title, hit.path) == ("help", "gates.md", "gates", ("Opening hours",))
        assert (hit.heading, hit.section, hit.start, hit.end) == ("gates > Opening hours", 0, 0, len(hit.text))
        assert hit.matched == ("gates", "opening", "open", "morning")
        assert hit.readers == {ANYONE}

    @pytest.mark.parametrize("question", ["", "   ", "\n"])
    def test_nothing_is_asked(self, library: Library, question: str) -> None:
        assert texts(library, question) == []

    @pytest.mark.parametrize("question", ["what is it that you and I are", "und was ist das", "?!", "🎉", "\0", "_"])
    def test_without_a_word_that_counts_it_is_the_meaning_alone(self, library: Library, question: str) -> None:
        found = hits(library, question)
        assert found
        assert {hit.matched for hit in found} == {()}
        assert all(hit.similarity is not None for hit in found)

    @pytest.mark.parametrize(
        "question",
        [
            'gates "open', "gates'); DROP TABLE library_chunks; --", "gates AND open* NEAR(^ ", "stems:gates", "-gates",
            "gates | open & !close <-> at:*", "gates \\ %s :x {y} $1 ?", "gates\0open", "gates \ud800 open", "🎉 gates",
            "gates = 1 OR 1=1", "(gates" + ")" * 300, "gates + open", "''''gates", "gates\u2019s \u202e open",
        ],
    )  # fmt: skip
    def test_what_looks_like_a_query_is_but_words(self, library: Library, question: str) -> None:
        assert best(library, question).name == "gates.md"
        assert len(texts(library, "gates")) > 3

    def test_a_question_of_ten_thousand_words(self, library: Library) -> None:
        assert (
            best(library, "gates open morning " + " ".join(f"w{number}" for number in range(10_000))).name == "gates.md"
        )

    def test_at_most_as_many_as_asked_for(self, library: Library) -> None:
        everything = hits(library, "printer", most=100)
        assert len(everything) == sum(map(len, HELP.values()))
        assert hits(library, "printer", most=2) == everything[:2]

    def test_an_empty_library_has_no_answer(self, new_library: Callable[[], Library]) -> None:
        empty = new_library()
        assert texts(empty, "gates") == []
        empty.engine.dispose()


class TestWhoSeesWhat:
    @pytest.mark.parametrize("question", QUESTIONS)
    def test_what_is_hidden_changes_nothing_of_what_is_shown(
        self, library: Library, public: Library, question: str
    ) -> None:
        def shown(shelf: Library) -> list[tuple[str, str, float, float]]:
            found = hits(shelf, question, most=100)
            return [(hit.name, hit.text, hit.score, round(hit.similarity or 0, 6)) for hit in found]

        assert shown(library) == shown(public)

    def test_colleagues_see_more_and_the_board_sees_all(self, library: Library) -> None:
        def seen(*readers: frozenset[str]) -> set[str]:
            return {hit.name for hit in hits(library, "gates label printer paid", *readers, most=100)}

        assert seen(STRANGERS) == set(HELP)
        assert seen(ANN) == seen() | HIDDEN.keys() - {"salaries.md"}
        assert seen(MARA) == seen(ANN) | {"salaries.md"}
        assert seen(audience_of("ann@elsewhere.example")) == set(HELP)

    def test_an_answer_for_several_shows_what_all_of_them_may_see(self, library: Library) -> None:
        assert best(library, "discounts", ANN).name == "discounts.md"
        assert best(library, "salaries", MARA).name == "salaries.md"
        for audiences in ((ANN, STRANGERS), (MARA, STRANGERS), (ANN, audience_of("ben@northwind.example"))):
            assert {hit.name for hit in hits(library, "discounts salaries", *audiences, most=100)} == set(HELP)
        assert "salaries.md" not in {hit.name for hit in hits(library, "salaries", MARA, ANN, most=100)}

    def test_only_the_sources_that_are_asked_for(self, library: Library) -> None:
        def seen(*sources: str, readers: frozenset[str] = ANN) -> set[str]:
            found = search(library, "gates", Scope((readers,), frozenset(sources)), 100)
            return {hit.source for hit in found}

        assert seen("help") == {"help"}
        assert seen("handbook") == {"handbook"}
        assert seen("handbook", "help") == {"handbook", "help"}
        assert seen("handbook", readers=STRANGERS) == seen("nowhere") == seen() == set()


def test_the_same_text_comes_in_the_order_in_which_it_was_indexed(new_library: Callable[[], Library]) -> None:
    library = new_library()
    order = [f"{number}.md" for number in (5, 3, 8, 1, 9, 2, 7)]
    for name in order:
        put(library, name, "Gates: The gates open at six.", title="Hours")
    for question in ("gates", "when can I come in", "gates at six"):
        assert [hit.name for hit in hits(library, question)] == order
    library.engine.dispose()


@pytest.fixture(scope="module")
def long(new_library: Callable[[], Library]) -> Iterator[Library]:
    """A section of several passages that overlap, and a short one."""
    library = new_library()
    sentences = [f"Gate {number} opens at {number % 12} o'clock for carrier {number * 7}." for number in range(75)]
    put(library, "long.md", "Gates: " + "\n\n".join(" ".join(sentences[at : at + 5]) for at in range(0, 75, 5)))
    put(library, "short.md", "Gates: Ask at the gate.")
    yield library
    library.engine.dispose()


class TestWithin:
    def test_passages_that_repeat_another_are_left_out(self, long: Library) -> None:
        found = hits(long, "gate opens carrier")
        kept = list(within(found, 10_000))
        assert len(kept) < len(found)
        assert kept[0] == found[0]
        assert {hit.name for hit in kept} == {"long.md", "short.md"}

    @pytest.mark.parametrize("budget", [50, 500, 800, 1_200])
    def test_together_they_fit(self, long: Library, budget: int) -> None:
        found = hits(long, "gate opens carrier")
        kept = list(within(found, budget))
        sizes = [len(minilm.encoder().places(f"{hit.heading}\n{hit.text}")) for hit in kept]
        assert sum(sizes) <= budget or len(kept) == 1
        assert kept[0] == found[0], "one that is too long says more than none"

    def test_of_nothing_nothing(self) -> None:
        assert list(within([], 100)) == []
