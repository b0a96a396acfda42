"""What nobody sees in a text is found, and what people write is let be."""

import unicodedata

import pytest

from tasks.visible import seen, unseen


@pytest.mark.parametrize(
    "hidden",
    [
        "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180e", "\u180f", "\u200b",
        "\u200d", "\u202e", "\u2060", "\u2065", "\u2800", "\u3164", "\ufe00", "\ufe0e", "\ufe0f", "\ufeff", "\uffa0",
        "\ufff0", "\U0001bca0", "\U0001d173", "\U000e0001", "\U000e0041", "\U000e0100", "\U000e01ef", "\U000e0fff",
        "\x00", "\x07", "\x1b", "\x7f", "\u2028", "\ue000", "\ud800",
    ],
    ids=lambda c: f"U+{ord(c):04X}",
)  # fmt: skip
def test_what_nobody_sees(hidden: str) -> None:
    for text in (f"pay{hidden}pal", hidden, f"{hidden}a", f"a{hidden}{hidden}"):
        assert unseen(text) == [hidden]
        assert seen(text) == text.replace(hidden, "")


@pytest.mark.parametrize(
    "text",
    [
        "", "Hello\r\n\tAnn\u00a0Berg, 12\u202f000", "e\u0301 \u00e9 \ud55c\uad6d\uc5b4 \u65e5\u672c",
        "\u0939\u093f\u0928\u094d\u0926\u0940 \u05e9\u05b8\u05dc\u05d5\u05b9\u05dd",
        "\U0001f469\u200d\U0001f680", "\U0001f3f3\ufe0f\u200d\U0001f308", "\u2764\ufe0f\u200d\U0001f525",
        "\u00a9\ufe0f \u2122\ufe0f \u2194\ufe0f",
        "1\ufe0f\u20e3", "\U0001f44d\U0001f3fd", "\U0001f469\U0001f3fd\u200d\U0001f4bb", "\u2801\u2803",
    ],
)  # fmt: skip
def test_what_people_write_is_let_be(text: str) -> None:
    assert unseen(text) == []
    assert seen(text) == text


@pytest.mark.parametrize(
    "text", ["\U0001f600\ufe0f\ufe0f\ufe0f", "\u2800\ufe0f", "\U000e0041\ufe0f", "a\u200db \U0001f600"]
)
def test_a_joiner_counts_only_beside_an_emoji_that_is_seen(text: str) -> None:
    assert {"\ufe0f", "\u200d"} & set(unseen(text))


def test_no_letter_or_digit_is_hidden_but_the_fillers() -> None:
    letters = [c for c in map(chr, range(0x30000)) if unicodedata.category(c)[0] in "LN"]
    assert [f"{ord(c):04X}" for c in unseen("".join(letters))] == ["115F", "1160", "3164", "FFA0"]
