"""A number that was heard is marked, whether Whisper has written it in digits or in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.speech import numbers

NUMBERS = """
5 5, $3.50 3.50 1-0-0 15th 2nd, Q4 ISO-9001 ½ ٣ 五 19:30 5% No.7
five Five, twenty-five twenties sixes hundreds thousandth second third dozens half one ones eleven twelfth fortieth
million twice zero Seventy-third?
eins zwei zwo fünf Fünfzehn fünfzehnten dreißig dreissig einundzwanzig neunzehnhundert zweihundertfünfzig tausendste
erste ersten dritter siebten zwölfte Millionen Milliarde halb anderthalb zweieinhalb dreimal zweifach zehnjährigen
Viertel Drittel Dutzend hunderte viertens achtstellige doppelt elfte zehntausend Sechziger
"""
OTHERS = """
- often tent tenant weight someone none phone money attention seconded thirdly fiver
ein eine einen einer einfach einmal und unter Hunde Achtung Zweifel zweifeln sieb beachten erst Elfe einige Einheit
neuer zehren hundemüde
"""


@pytest.mark.parametrize("word", NUMBERS.split())
def test_a_number_in_digits_or_words_is_one(word: str) -> None:
    assert numbers.among([word]) == [True]


@pytest.mark.parametrize("word", ["", *OTHERS.split()])
def test_what_only_looks_like_one_is_none(word: str) -> None:
    assert numbers.among([word]) == [False]


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("a hundred seats", "a hundred"),
        ("half a million euros", "half a million"),
        ("a seat for two", "two"),
        ("minus five degrees", "minus five"),
        ("three point five", "three point five"),
        ("um ein Uhr", "ein"),
        ("eine Million Euro", "eine Million"),
        ("ein Prozent, ein Haus", "ein"),
        ("We need twelve seats by the fifteenth", "twelve fifteenth"),
    ],
)
def test_what_belongs_to_a_number_is_marked_with_it(text: str, marked: str) -> None:
    words = text.split()
    assert " ".join(word for word, flag in zip(words, numbers.among(words), strict=True) if flag) == marked


@given(st.lists(st.text()))
def test_whatever_is_heard_gets_its_answer(words: list[str]) -> None:
    flags = numbers.among(words)
    assert len(flags) == len(words)
    assert all(flag for word, flag in zip(words, flags, strict=True) if any(char.isdigit() for char in word))
