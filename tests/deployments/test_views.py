"""What the terminal is given of texts from outside."""

from __future__ import annotations

import pytest

from deployments.views import printable


@pytest.mark.parametrize(
    ("text", "one_line", "with_lines"),
    [
        ("for all drivers.\nE-mail 7", "for all drivers. E-mail 7", "for all drivers.\nE-mail 7"),
        ("a\tb\r\nc", "a b c", "a b\nc"),
        ("\x1b[31mred\x07", "[31mred", "[31mred"),
        ("a\u2028b \u202ec", "a b c", "a b c"),
    ],
)
def test_no_control_character_is_left_and_no_words_run_together(text: str, one_line: str, with_lines: str) -> None:
    assert printable(text) == one_line
    assert printable(text, lines=True) == with_lines
