"""The words by which a text is found: the same in a question as in a document, however they are written."""

import sqlite3
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.library import words
from blocks.library.words import LONGEST, STOP_WORDS, WORD, stemmed, stems

SPOKEN = {
    "en": "The invoices were not sent, and that is why we could not pay them",
    "de": "Die Rechnungen wurden nicht verschickt, und wir können sie auch nicht bezahlen",
    "fr": "Les factures ne sont pas dans la boîte, et nous ne pouvons pas les payer",
    "es": "Las facturas no se han enviado, y por eso no las podemos pagar",
}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("invoice", "invoices"),
        ("cancel", "cancelled"),
        ("subscription", "Subscriptions"),
        ("VAT", "vat"),
        ("café", "CAFE"),
        ("cafe\u0301", "café"),
        ("Größe", "grösse"),
        ("Straße", "STRASSE"),
        ("Müller", "muller"),
        ("İstanbul", "istanbul"),
        ("ﬁle", "file"),
        ("ＡＢＣ１２３", "abc123"),
        ("ᴬB", "ab"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_a_word_is_the_same_in_all_its_spellings(one: str, other: str) -> None:
    assert stems(one) == stems(other) != []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("error E-4012 in v2.3.1", ["error", "e", "4012", "v2", "3", "1"]),
        ("max_retry_count", ["max", "retri", "count"]),
        ("PN_00417-B/7", ["pn", "00417", "b", "7"]),
        ("1,250.50 EUR", ["1", "250", "50", "eur"]),
        ("C++ and R&D", ["c", "r", "d"]),
        ("ann@northwind.example", ["ann", "northwind", "exampl"]),
        ("東京 ключ مفتاح", ["東京", "ключ", "مفتاح"]),
        ("1½", ["112"]),
        ("🎉 … — “”", []),
        ("", []),
    ],
)
def test_numbers_codes_and_other_scripts(text: str, found: list[str]) -> None:
    assert stems(text) == found


@pytest.mark.parametrize(
    ("language", "left"),
    [
        ("en", ["invoic", "sent", "pay"]),
        ("de", ["rechnungen", "wurden", "verschickt", "bezahlen"]),
        ("fr", ["factur", "boit", "pouvon", "payer"]),
        ("es", ["factura", "han", "enviado", "eso", "podemo", "pagar"]),
    ],
)
def test_words_that_say_nothing_are_left_out(language: str, left: list[str]) -> None:
    assert stems(SPOKEN[language]) == left
    assert stems(SPOKEN[language].upper()) == left


def test_stop_words_are_written_as_they_are_looked_up() -> None:
    assert all(word == word.casefold() and word.isascii() and word.isalpha() for word in STOP_WORDS)


def test_a_very_long_word_is_found_by_its_beginning() -> None:
    digest = "3fa9" * 50
    assert stems(digest) == stems(digest[:LONGEST] + "other") == [digest[:LONGEST]]
    assert stems("ﷺ" * LONGEST)[0] == stems("ﷺ" * LONGEST + "x")[0]
    assert len(stems("ﷺ" * LONGEST)[0]) == LONGEST


def test_each_word_comes_with_its_stem_as_it_is_written() -> None:
    assert list(stemmed("Who pays the Größen_Zuschläge?")) == [
        ("pays", "pay"),
        ("Größen", "grossen"),
        ("Zuschläge", "zuschlag"),
    ]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_case_and_the_way_accents_are_composed_make_no_difference_to_latin_text(text: str) -> None:
    latin = "".join(c for c in text if unicodedata.name(c, "").startswith(("LATIN", "SPACE", "DIGIT")))
    found = stems(unicodedata.normalize("NFC", latin))
    assert stems(unicodedata.normalize("NFD", latin)) == found
    assert stems(latin.casefold()) == found


def test_threads_do_not_get_each_others_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_stem", words._stem.__wrapped__)  # nothing is remembered
    text = " ".join(f"{word}{ending}" for word in ("organ", "nation", "gener") for ending in ("ization", "ally", "ing"))
    expected, interval = stems(text), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(found == expected for found in pool.map(stems, [text] * 200))
    finally:
        sys.setswitchinterval(interval)


def test_each_stem_is_one_word_to_sqlite_and_needs_no_quoting() -> None:
    characters = map(chr, range(0x110000))
    odd = [c for c in characters if unicodedata.normalize("NFKD", c) != c or (not c.isalpha() and WORD.fullmatch(c))]
    found = {stem for letter in odd if not "가" <= letter <= "힣" for stem in stems(f"{letter}x{letter}")}
    assert len(found) > 3_000
    assert [stem for stem in found if set(stem) & set("'\"\\ ()&|!:*")] == []
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(stems, tokenize='ascii')")
        connection.execute("CREATE VIRTUAL TABLE terms USING fts5vocab(words, 'row')")
        connection.executemany("INSERT INTO words VALUES (?)", [(stem,) for stem in found])
        assert {term for (term,) in connection.execute("SELECT term FROM terms")} == found
    connection.close()
